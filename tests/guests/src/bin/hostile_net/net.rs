//! Both interfaces, and pages with frames.

use guest_abi::io::netif::{NetStatus, TxFlags, TxRequest};
use mini_guest::blkif::RingPage;
use mini_guest::net::Mac;
use test_guests::frontend::{Front, Page};
use test_guests::guest_abi;

use crate::vif::Vif;

/// Addresses of others, which the test gives them.
pub const OTHERS: [Mac; 2] = [
    Mac([0x00, 0x16, 0x3E, 0x77, 0, 1]),
    Mac([0x00, 0x16, 0x3E, 0x77, 0, 2]),
];
/// The kind of our frames, which nobody else sends: IEEE 802's first one for local experiments.
const KIND: [u8; 2] = [0x88, 0xB5];
/// Bytes of a frame.
pub const LENGTH: u16 = 60;
/// Buffers that receive.
const BUFFERS: usize = 16;

/// What must have been counted of the first interface.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests that make no sense.
    pub refused: u32,
    /// Requests and buffers that are not granted.
    pub bad_grants: u32,
    /// Frames from addresses that are not its own, or that make no sense.
    pub foreign: u32,
}

/// The interfaces.
pub struct Net {
    /// The store and the grants.
    pub front: Front,
    /// The one that attacks, and the one that looks.
    pub vifs: [Vif; 2],
    /// A frame to be sent, and its grant.
    pub page: Page,
    pub reference: u32,
    /// Buffers of the second interface with their grants, and how many answers were looked at.
    buffers: [Page; BUFFERS],
    grants: [u32; BUFFERS],
    seen: u32,
    /// What must have been counted.
    pub counts: Counts,
}

impl Net {
    /// Nothing is connected.
    pub fn new(mut front: Front) -> Self {
        let vifs = [0, 1].map(|number| Vif::new(&mut front, number));
        let page = Page::take();
        let buffers = [(); BUFFERS].map(|()| Page::take());
        Self {
            grants: buffers.map(|page| front.grant(page.0.mfn(), false)),
            buffers,
            reference: front.grant(page.0.mfn(), true),
            vifs,
            page,
            seen: 0,
            counts: Counts::default(),
            front,
        }
    }

    /// Connects an interface. The second one has all its buffers posted from then on.
    pub fn connect(&mut self, number: usize) {
        self.vifs[number].connect(&mut self.front);
        if number == 1 {
            for gref in self.grants {
                self.vifs[1].post(gref);
            }
        }
    }

    /// The first interface goes.
    pub fn leave(&mut self) {
        self.vifs[0].leave(&mut self.front);
    }

    /// Makes the frame.
    pub fn write(&self, to: Mac, from: Mac, tag: u8) {
        let mut bytes = [tag; LENGTH as usize];
        bytes[..6].copy_from_slice(&to.0);
        bytes[6..12].copy_from_slice(&from.0);
        bytes[12..14].copy_from_slice(&KIND);
        self.page.write(0, &bytes);
    }

    /// A request to send the frame.
    pub fn good(&self) -> TxRequest {
        TxRequest {
            gref: self.reference,
            offset: 0,
            flags: TxFlags::empty(),
            id: self.vifs[0].sent as u16,
            size: LENGTH,
        }
    }

    /// Sends requests of the first interface as they are, which must be answered so.
    pub fn send(&mut self, what: &str, requests: &[TxRequest], expected: &[NetStatus]) {
        let vif = &mut self.vifs[0];
        let first = vif.sent;
        requests.iter().for_each(|request| vif.put(*request));
        vif.show(vif.sent);
        self.await_answers(what);
        let vif = &self.vifs[0];
        for ((slot, request), expected) in (first..).zip(requests).zip(expected) {
            let answer = vif.answer(slot);
            let is_so =
                answer.status == *expected && (answer.id == request.id || *expected == NetStatus::NULL);
            self.front.expect(is_so, what, (slot, answer));
        }
    }

    /// Waits until all that the first interface sends is answered.
    pub fn await_answers(&mut self, what: &str) {
        let vif = &self.vifs[0];
        let all = self.front.wait(|_| vif.answered() == vif.sent);
        self.front.expect(all, what, vif.answered());
    }

    /// The tag of the next frame of ours that the second interface receives.
    pub fn next_received(&mut self) -> Option<u8> {
        loop {
            let (vif, seen) = (&self.vifs[1], self.seen);
            if !self.front.wait(|_| vif.received() != seen) {
                return None;
            }
            let answer = vif.reception(seen);
            self.seen += 1;
            let page = self.buffers[seen as usize % BUFFERS];
            let mut bytes = [0; 15];
            page.read(0, &mut bytes);
            // Answers come in the order of the buffers: this one is the next to be posted again.
            let gref = self.grants[seen as usize % BUFFERS];
            self.vifs[1].post(gref);
            // Others' frames to everybody come, too.
            if answer.status > 0 && bytes[12..14] == KIND {
                return Some(bytes[14]);
            }
        }
    }

    /// Sends a frame from the first interface to the second in order, and expects it to be the next one that comes there.
    pub fn expect_next(&mut self, what: &str, tag: u8) {
        self.write(self.vifs[1].mac, self.vifs[0].mac, tag);
        self.send(what, &[self.good()], &[NetStatus::OKAY]);
        let found = self.next_received();
        self.front.expect(found == Some(tag), what, found);
    }
}
