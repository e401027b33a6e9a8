//! This domain's way to the store: the ring page and the port of start_info.
//!
//! A request waits for its answer, up to a limit: Domain0 answers without waiting for anybody. Events are taken when the port fires.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;

use guest_abi::addr::INVALID_FRAME;
use guest_abi::io::byte_ring::ByteRing;
use guest_abi::io::xenstore::{REQ_CONS, REQ_PROD, RING_BYTES, RSP_CONS, RSP_PROD};
use guest_abi::start_info::StartInfo;

use crate::mm::window::{copy_in, copy_out};
use crate::mm::{layout::direct, translate};
use crate::store::Error;
use crate::xenbus::Transport;
use crate::{events, hypercall, time};

/// How long an answer may take.
const PATIENCE_NS: u64 = 2 * time::NS_PER_SEC;

/// The ring.
#[derive(Clone, Copy, Debug)]
pub struct StoreRing {
    page: u32,
    /// The event channel's port.
    pub port: u32,
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

    fn wait(&self, until: u64) -> Result<(), Error> {
        if time::now_ns() > until {
            return Err(Error::Io);
        }
        let _ = hypercall::yield_now();
        Ok(())
    }
}

impl Transport for StoreRing {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let until = time::now_ns() + PATIENCE_NS;
        let (ring, mut done) = (self.requests(), 0);
        while done < bytes.len() {
            let place = ring.writable().map_err(|_| Error::Io)?;
            let part = &bytes[done..bytes.len().min(done + place.len())];
            if part.is_empty() {
                self.wait(until)?;
                continue;
            }
            copy_in(self.page, place.start, part);
            ring.produce(part.len());
            done += part.len();
            events::notify(self.port).map_err(|_| Error::Io)?;
        }
        Ok(())
    }

    fn receive(&mut self, waits: bool) -> Result<Vec<u8>, Error> {
        let until = time::now_ns() + PATIENCE_NS;
        let ring = self.replies();
        let mut bytes = vec![];
        loop {
            let place = ring.readable().map_err(|_| Error::Io)?;
            if !place.is_empty() {
                let start = bytes.len();
                bytes.resize(start + place.len(), 0);
                copy_out(self.page, RING_BYTES + place.start, &mut bytes[start..]);
                ring.consume(place.len());
            } else if bytes.is_empty() && waits {
                self.wait(until)?;
            } else {
                break;
            }
        }
        if !bytes.is_empty() {
            let _ = events::notify(self.port);
        }
        Ok(bytes)
    }
}
