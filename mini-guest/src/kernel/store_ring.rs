//! This domain's way to the store: the ring page and the port of start_info.
//!
//! Who waits for an answer sleeps until the port fires, or until its patience is over; what else fires meanwhile is kept, and fires again behind that. Events
//! of watches are taken when the port fires.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use guest_abi::addr::INVALID_FRAME;
use guest_abi::io::byte_ring::ByteRing;
use guest_abi::io::xenstore::{
    CONNECTED, FEATURE_ERROR, FEATURE_RECONNECT, RECONNECT, REQ_CONS, REQ_PROD, RING_BYTES, RSP_CONS,
    RSP_PROD, StoreRing as Page,
};
use guest_abi::start_info::StartInfo;

use crate::mm::window::{copy_in, copy_out};
use crate::mm::{layout::direct, translate};
use crate::store::Error;
use crate::xenbus::Transport;
use crate::{events, time};

/// How long a fresh connection may take.
const PATIENCE_NS: u64 = 2 * time::NS_PER_SEC;

/// The ring.
#[derive(Debug)]
pub struct StoreRing {
    page: u32,
    /// The event channel's port.
    pub port: u32,
    /// When whoever waits stops waiting.
    until: u64,
    /// Ports that fired meanwhile.
    fired: Vec<u32>,
    /// Somebody has slept, so the timer is another one.
    pub has_slept: Cell<bool>,
}

impl StoreRing {
    /// The ring that start_info names.
    #[must_use]
    pub fn find(start_info: &StartInfo) -> Option<Self> {
        let frame = start_info.store_mfn;
        if [0, INVALID_FRAME].contains(&frame.raw()) {
            return None;
        }
        let page = direct(translate::pfn(frame)?);
        Some(Self {
            page,
            port: start_info.store_evtchn,
            until: 0,
            fired: vec![],
            has_slept: Cell::new(false),
        })
    }

    fn word(&self, offset: usize) -> &'static AtomicU32 {
        // SAFETY: inside the page, which is mapped for ever, aligned, and reached by atomics.
        unsafe { AtomicU32::from_ptr((self.page as *mut u8).wrapping_add(offset).cast()) }
    }

    fn requests(&self) -> ByteRing<'static> {
        ByteRing::new(self.word(REQ_PROD), self.word(REQ_CONS), RING_BYTES)
    }

    fn replies(&self) -> ByteRing<'static> {
        ByteRing::new(self.word(RSP_PROD), self.word(RSP_CONS), RING_BYTES)
    }

    /// Has the store make the connection a fresh one, without watches, if it can.
    ///
    /// # Errors
    /// [`Error::Io`]: it cannot, or does not do it in time.
    pub fn reconnect(&mut self) -> Result<(), Error> {
        let features = self.word(offset_of!(Page, server_features));
        if features.load(Ordering::Acquire) & FEATURE_RECONNECT == 0 {
            return Err(Error::Io);
        }
        let state = self.word(offset_of!(Page, connection));
        state.store(RECONNECT, Ordering::Release);
        events::notify(self.port).map_err(|_| Error::Io)?;
        self.begin(PATIENCE_NS);
        while state.load(Ordering::Acquire) != CONNECTED && self.wait() {}
        self.end();
        if state.load(Ordering::Acquire) == CONNECTED {
            Ok(())
        } else {
            Err(Error::Io)
        }
    }
}

impl Transport for StoreRing {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let (ring, mut done) = (self.requests(), 0);
        while done < bytes.len() {
            let place = ring.writable().map_err(|_| Error::Io)?;
            let part = &bytes[done..bytes.len().min(done + place.len())];
            if part.is_empty() {
                break;
            }
            copy_in(self.page, place.start, part);
            ring.produce(part.len());
            done += part.len();
        }
        if done > 0 {
            events::notify(self.port).map_err(|_| Error::Io)?;
        }
        Ok(done)
    }

    fn receive(&mut self) -> Result<Vec<u8>, Error> {
        let features = self.word(offset_of!(Page, server_features));
        let error = self.word(offset_of!(Page, error));
        if features.load(Ordering::Acquire) & FEATURE_ERROR != 0 && error.load(Ordering::Acquire) != 0 {
            return Err(Error::Io);
        }
        let ring = self.replies();
        let mut bytes = vec![];
        loop {
            let place = ring.readable().map_err(|_| Error::Io)?;
            // A store that always writes has the rest read next time.
            if place.is_empty() || bytes.len() >= RING_BYTES {
                break;
            }
            let start = bytes.len();
            bytes.resize(start + place.len(), 0);
            copy_out(self.page, RING_BYTES + place.start, &mut bytes[start..]);
            ring.consume(place.len());
        }
        if !bytes.is_empty() {
            let _ = events::notify(self.port);
        }
        Ok(bytes)
    }

    fn begin(&mut self, patience_ns: u64) {
        self.until = time::now_ns().saturating_add(patience_ns);
    }

    fn wait(&mut self) -> bool {
        if time::now_ns() >= self.until {
            return false;
        }
        self.has_slept.set(true);
        if time::set_timer(Some(self.until)).is_err() {
            return false;
        }
        events::wait();
        let fired = &mut self.fired;
        events::poll(|port| {
            if !fired.contains(&port) {
                fired.push(port);
            }
        });
        true
    }

    fn end(&mut self) {
        for port in core::mem::take(&mut self.fired) {
            events::raise_again(port);
        }
    }
}
