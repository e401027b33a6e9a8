//! The frontend: an interface whose frames another domain carries.
//!
//! A pool of pages is granted to the backend once, so that neither sending nor receiving changes a grant. A sent frame is copied to half a page of
//! the pool, which is free again when its answer came; a received one is copied out of its page, which goes back into the ring.
//!
//! When the backend goes and another one comes ([`Frontend::connect`]), all buffers are offered anew in fresh rings. What was on the way is lost, as on a
//! wire; nothing is sent twice.
//!
//! The backend is believed as far as it makes sense: an answer to nothing, or a frame beyond its page, is the end of
//! these rings.

use alloc::rc::Rc;
use alloc::vec::Vec;

use guest_abi::addr::PAGE_SIZE;
use guest_abi::io::netif::{RX_SLOTS, RxRequest, TX_SLOTS, TxFlags, TxRequest};
use guest_abi::io::ring::{FrontRing, RingError};

use super::slots::{Rx, Slots, Tx};
use crate::blkif::RingPage;
use crate::net::{FRAME, HEADER, Interface, Mac, NotSent};

/// Frames that can be on their way in.
pub const RX_BUFFERS: usize = 64;
/// Frames that can be on their way out.
pub const TX_BUFFERS: usize = 64;
/// Pages of the pool: one for each frame in, half a one for each frame out.
pub const PAGES: usize = RX_BUFFERS + TX_BUFFERS / 2;
/// Bytes of a buffer for sending.
const HALF: usize = PAGE_SIZE / 2;
/// So many buffers are given back together.
const POST_BATCH: usize = 16;
const _: () = assert!(RX_BUFFERS <= RX_SLOTS as usize && TX_BUFFERS <= TX_SLOTS as usize && FRAME <= HALF);

/// What the frontend needs of its domain: a pool of [`PAGES`] pages that are granted to the backend (the first [`RX_BUFFERS`] to be written, the
/// others to be read), and the event.
pub trait Host {
    /// The grant of a page of the pool.
    fn reference(&self, page: usize) -> u32;

    /// Copies bytes out of a page, which the backend may change meanwhile.
    fn read(&self, page: usize, offset: usize, into: &mut [u8]);

    /// Copies bytes into a page.
    fn write(&self, page: usize, offset: usize, bytes: &[u8]);

    /// Tells the backend that there is something in a ring.
    fn notify(&self);
}

/// What went wrong or was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the backend did not send.
    pub not_sent: u64,
    /// Frames that were lost as the backend went, or of which it cannot be known.
    pub lost: u64,
    /// Received what is no frame of ours: too short, too long, of several pieces.
    pub odd: u64,
    /// Rings that made no sense.
    pub broken: u64,
}

struct Half<S> {
    page: Rc<dyn RingPage>,
    ring: FrontRing,
    slots: core::marker::PhantomData<S>,
}

impl<S: Slots> Half<S> {
    fn new(page: Rc<dyn RingPage>) -> Self {
        page.indices().init();
        Self {
            page,
            ring: FrontRing::new(S::COUNT),
            slots: core::marker::PhantomData,
        }
    }

    /// Takes the next answer.
    fn take(&mut self) -> Result<Option<S::Response>, RingError> {
        let slot = self.ring.take_response(self.page.indices())?;
        Ok(slot.map(|slot| S::response(&*self.page, slot)))
    }

    /// Asks for an event of the next answer; `true` where there is one already.
    fn ask(&self) -> Result<bool, RingError> {
        self.ring.check_responses(self.page.indices())
    }

    /// Puts a request into the ring; there are fewer buffers than slots.
    fn put(&mut self, request: S::Request) {
        if let Some(slot) = self.ring.reserve() {
            S::put_request(&*self.page, slot, request);
        }
    }

    fn push(&mut self) -> bool {
        self.ring.push_requests(self.page.indices())
    }
}

struct Connection {
    tx: Half<Tx>,
    rx: Half<Rx>,
    /// Buffers that nothing is in.
    free: Vec<u16>,
    is_sending: [bool; TX_BUFFERS],
    is_posted: [bool; RX_BUFFERS],
    /// Buffers that go back into the ring soon.
    unposted: Vec<u16>,
}

/// The rings make no sense.
struct Broken;

impl From<RingError> for Broken {
    fn from(_: RingError) -> Self {
        Self
    }
}

/// An interface made of two rings.
pub struct Frontend<H> {
    /// The pool, and the event.
    pub host: H,
    mac: Mac,
    connection: Option<Connection>,
    must_restart: bool,
    counters: Counters,
}

impl<H: Host> Frontend<H> {
    /// An interface that nobody is behind yet.
    #[must_use]
    pub fn new(host: H, mac: Mac) -> Self {
        Self {
            host,
            mac,
            connection: None,
            must_restart: false,
            counters: Counters::default(),
        }
    }

    /// Begins to use two ring pages, which are made empty rings: all buffers are offered.
    pub fn connect(&mut self, tx: Rc<dyn RingPage>, rx: Rc<dyn RingPage>) {
        self.disconnect();
        self.must_restart = false;
        self.connection = Some(Connection {
            tx: Half::new(tx),
            rx: Half::new(rx),
            free: (0..TX_BUFFERS as u16).rev().collect(),
            is_sending: [false; TX_BUFFERS],
            is_posted: [false; RX_BUFFERS],
            unposted: (0..RX_BUFFERS as u16).collect(),
        });
        if let Some(connection) = &mut self.connection {
            connection.post(&self.host);
        }
    }

    /// Stops using the rings, as the backend goes.
    pub fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.counters.lost += connection
                .is_sending
                .iter()
                .filter(|is_sending| **is_sending)
                .count() as u64;
        }
    }

    /// Whether there are rings.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether the rings made no sense since this was asked last: the handshake has to begin anew.
    pub fn take_restart(&mut self) -> bool {
        core::mem::take(&mut self.must_restart)
    }

    /// What went wrong.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn break_off(&mut self) {
        self.counters.broken += 1;
        self.disconnect();
        self.must_restart = true;
    }
}

impl Connection {
    /// Offers the buffers that are to go back.
    fn post(&mut self, host: &impl Host) {
        for id in self.unposted.drain(..) {
            let gref = host.reference(id.into());
            self.rx.put(RxRequest { id, pad: 0, gref });
            self.is_posted[usize::from(id)] = true;
        }
        if self.rx.push() {
            host.notify();
        }
    }

    /// Takes what the backend says of frames that were sent; gives a free buffer.
    fn free_buffer(&mut self, counters: &mut Counters) -> Result<Option<u16>, Broken> {
        loop {
            if let Some(id) = self.free.pop() {
                return Ok(Some(id));
            }
            // Answers are looked at together, when buffers are needed; an event is asked for when there are none.
            self.take_answers(counters)?;
            if self.free.is_empty() && !self.tx.ask()? {
                return Ok(None);
            }
        }
    }

    fn take_answers(&mut self, counters: &mut Counters) -> Result<(), Broken> {
        while let Some(response) = self.tx.take()? {
            let is_sending = self.is_sending.get_mut(usize::from(response.id)).ok_or(Broken)?;
            if !core::mem::take(is_sending) {
                return Err(Broken);
            }
            self.free.push(response.id);
            if response.status != guest_abi::io::netif::NetStatus::OKAY {
                counters.not_sent += 1;
            }
        }
        Ok(())
    }

    fn send(&mut self, host: &impl Host, counters: &mut Counters, frame: &[u8]) -> Result<bool, Broken> {
        let Some(id) = self.free_buffer(counters)? else {
            return Ok(false);
        };
        let index = usize::from(id);
        let (page, offset) = (RX_BUFFERS + index / 2, index % 2 * HALF);
        host.write(page, offset, frame);
        self.is_sending[index] = true;
        // Both fit: a frame is checked to be short, a buffer lies in a page.
        self.tx.put(TxRequest {
            gref: host.reference(page),
            offset: offset as u16,
            flags: TxFlags::empty(),
            id,
            size: frame.len() as u16,
        });
        if self.tx.push() {
            host.notify();
        }
        Ok(true)
    }

    fn next(
        &mut self,
        host: &impl Host,
        counters: &mut Counters,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, Broken> {
        loop {
            let Some(response) = self.rx.take()? else {
                self.post(host);
                if self.rx.ask()? {
                    continue;
                }
                return Ok(None);
            };
            let index = usize::from(response.id);
            if !core::mem::take(self.is_posted.get_mut(index).ok_or(Broken)?) {
                return Err(Broken);
            }
            let offset = usize::from(response.offset);
            let len = response.packet_len();
            if len.is_ok_and(|len| offset + len > PAGE_SIZE) {
                return Err(Broken);
            }
            let is_whole = response.flags.bits() & !guest_abi::io::netif::RxFlags::DATA_VALIDATED.bits() == 0;
            let len = len.ok().filter(|len| is_whole && (HEADER..=FRAME).contains(len));
            if let Some(len) = len {
                host.read(index, offset, &mut buffer[..len]);
            } else {
                counters.odd += 1;
            }
            self.unposted.push(response.id);
            if self.unposted.len() >= POST_BATCH {
                self.post(host);
            }
            if len.is_some() {
                return Ok(len);
            }
        }
    }
}

impl<H: Host> Interface for Frontend<H> {
    fn mac(&self) -> Mac {
        self.mac
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        if !(HEADER..=FRAME).contains(&frame.len()) {
            return Err(NotSent::Length);
        }
        let connection = self.connection.as_mut().ok_or(NotSent::Gone)?;
        match connection.send(&self.host, &mut self.counters, frame) {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotSent::Full),
            Err(Broken) => {
                self.break_off();
                Err(NotSent::Gone)
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        let connection = self.connection.as_mut()?;
        connection
            .next(&self.host, &mut self.counters, buffer)
            .unwrap_or_else(|Broken| {
                self.break_off();
                None
            })
    }
}
