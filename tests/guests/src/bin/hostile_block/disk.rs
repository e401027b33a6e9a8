//! A ring, and requests that go into it as they are.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::Ordering;

use guest_abi::io::blkif::{BlkOp, BlkStatus, MAX_SEGMENTS, PROTOCOL_X86_32, Request64, SLOTS, Segment};
use mini_guest::blkif::ring::Asked;
use mini_guest::blkif::{Layout, RingPage};
use mini_guest::events;
use test_guests::frontend::{BACKEND, Front, Page};
use test_guests::guest_abi;

/// Where the disk is in the store.
pub const DIRECTORY: &str = "device/vbd/51712";
/// What is in memory that nothing may be read into.
pub const UNREAD: u64 = 0x5A5A_5A5A_5A5A_5A5A;
const LAYOUT: Layout = Layout::X86_32;

/// What the backend is to have counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests that make no sense.
    pub refused: u32,
    /// Requests with frames that are not granted.
    pub bad_grants: u32,
    /// Requests that the disk cannot do.
    pub failed: u32,
}

/// How a request must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It makes no sense.
    Refused,
    /// It asks for what is not offered.
    Unknown,
    /// A frame is not granted so.
    BadGrant,
    /// The disk has no such sectors.
    Failed,
}

/// The disk.
pub struct Disk {
    /// The store and the grants.
    pub front: Front,
    /// The backend's directory.
    pub backend: String,
    /// The ring.
    pub ring: Page,
    /// Pages for data.
    pub data: [Page; MAX_SEGMENTS],
    /// The ring's grant, and the port.
    pub reference: u32,
    pub port: u32,
    /// Requests so far on this ring.
    pub asked: u32,
    /// How large the disk is.
    pub sectors: u64,
    /// What the backend must have counted.
    pub counts: Counts,
}

impl Disk {
    /// The disk, not connected.
    pub fn new(mut front: Front) -> Self {
        let backend = front.read(&format!("{DIRECTORY}/backend"));
        Self {
            front,
            backend,
            ring: Page::take(),
            data: [(); MAX_SEGMENTS].map(|()| Page::take()),
            reference: 0,
            port: 0,
            asked: 0,
            sectors: 0,
            counts: Counts::default(),
        }
    }

    /// Writes a key of its directory.
    pub fn set(&mut self, key: &str, value: impl core::fmt::Display) {
        self.front.write(&format!("{DIRECTORY}/{key}"), value);
    }

    /// Waits for the backend's state.
    pub fn await_backend(&mut self, state: u32) {
        let backend = self.backend.clone();
        self.front.await_state(&backend, state);
    }

    /// A fresh ring, granted, and a port; nobody is told yet.
    pub fn prepare(&mut self) {
        self.ring.indices().init();
        self.asked = 0;
        self.reference = self.front.grant(self.ring.0.mfn(), false);
        self.port = events::alloc_unbound(BACKEND).expect("a port");
    }

    /// Says where the ring is.
    pub fn offer(&mut self, ring: u32, port: u32, protocol: &str) {
        self.set("ring-ref", ring);
        self.set("event-channel", port);
        self.set("protocol", protocol);
        self.set("state", 3);
    }

    /// Connects as a frontend should.
    pub fn connect(&mut self) {
        self.await_backend(2);
        self.prepare();
        self.offer(self.reference, self.port, PROTOCOL_X86_32);
        self.await_backend(4);
        let sectors = format!("{}/sectors", self.backend);
        self.sectors = self.front.number(&sectors);
        self.set("state", 4);
    }

    /// Goes; the backend waits for another ring then.
    pub fn leave(&mut self) {
        self.set("state", 6);
        self.await_backend(6);
        self.front.end(self.reference);
        let _ = events::close(self.port);
        self.set("state", 1);
    }

    /// A request of so many pages, granted.
    pub fn request(&self, operation: BlkOp, sector: u64, pages: usize) -> Request64 {
        let mut seg = [Segment::default(); MAX_SEGMENTS];
        for (slot, page) in seg.iter_mut().zip(&self.data).take(pages) {
            let gref = self.front.grant(page.0.mfn(), operation == BlkOp::WRITE);
            *slot = Segment {
                gref,
                first_sect: 0,
                last_sect: 7,
                pad: 0,
            };
        }
        Request64 {
            operation,
            nr_segments: pages as u8,
            id: u64::from(self.asked) | 0xABCD_0000_0000,
            sector_number: sector,
            seg,
            ..Request64::default()
        }
    }

    /// Ends the grants of a request that was made above, whatever became of it.
    pub fn end_grants(&self, request: &Request64) {
        for segment in request.seg.iter().filter(|segment| segment.gref != 0) {
            self.front.end(segment.gref);
        }
    }

    /// Puts a request into the next slot.
    pub fn put(&mut self, request: Request64) {
        LAYOUT.put_request(&self.ring, self.asked % SLOTS, request);
        self.asked = self.asked.wrapping_add(1);
    }

    /// Writes a request where an older one was put.
    pub fn overwrite(&self, slot: u32, request: Request64) {
        LAYOUT.put_request(&self.ring, slot % SLOTS, request);
    }

    /// Moves the index, and tells the backend.
    pub fn show(&self, producer: u32) {
        self.ring.indices().req_prod.store(producer, Ordering::SeqCst);
        let _ = events::notify(self.port);
    }

    /// How many answers there are.
    pub fn answered(&self) -> u32 {
        self.ring.indices().rsp_prod.load(Ordering::SeqCst)
    }

    /// The answer in a slot: whose it is, and what it says.
    pub fn answer(&self, slot: u32) -> (u64, BlkStatus) {
        let answer = LAYOUT.response(&self.ring, slot % SLOTS);
        (answer.id, answer.status)
    }

    /// Asks one thing as it is, which must be answered so.
    pub fn ask(&mut self, what: &str, request: Request64, expected: Answer) {
        self.put(request);
        self.must_answer(what, request.id, expected);
    }

    /// Asks for so many segments of the list that a granted page is said to hold.
    pub fn ask_list(&mut self, what: &str, operation: BlkOp, (count, page): (u16, u32), expected: Answer) {
        let asked = Asked {
            operation,
            count,
            id: u64::from(self.asked) | 0xDCBA_0000_0000,
            sector: 0,
            is_indirect: true,
            page,
        };
        LAYOUT.put(&self.ring, self.asked % SLOTS, &asked, &[]);
        self.asked = self.asked.wrapping_add(1);
        self.must_answer(what, asked.id, expected);
    }

    /// What was put last must be answered so.
    fn must_answer(&mut self, what: &str, id: u64, expected: Answer) {
        let slot = self.asked.wrapping_sub(1);
        self.show(self.asked);
        let wanted = self.asked;
        let answer = self.await_answers(wanted).then(|| self.answer(slot));
        let (status, counter) = match expected {
            Answer::Done => (BlkStatus::OKAY, None),
            Answer::Refused => (BlkStatus::ERROR, Some(&mut self.counts.refused)),
            Answer::Unknown => (BlkStatus::EOPNOTSUPP, Some(&mut self.counts.refused)),
            Answer::BadGrant => (BlkStatus::ERROR, Some(&mut self.counts.bad_grants)),
            Answer::Failed => (BlkStatus::ERROR, Some(&mut self.counts.failed)),
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
        self.front.expect(answer == Some((id, status)), what, answer);
    }

    /// Waits until so many are answered; whether they were.
    pub fn await_answers(&mut self, wanted: u32) -> bool {
        let ring = self.ring;
        self.front
            .wait(|_| ring.indices().rsp_prod.load(Ordering::SeqCst) == wanted)
    }

    /// Fills the pages for data with one word.
    pub fn fill(&self, word: u64) {
        self.data.iter().for_each(|page| page.0.fill(word));
    }

    /// Whether the pages for data hold that word alone.
    pub fn is_filled(&self, word: u64) -> bool {
        let mut words = self.data.iter().flat_map(|page| (0..512).map(|n| page.0.read(n)));
        words.all(|found| found == word)
    }
}
