//! The console of a domain that has no right to the machine's: a page shared with Domain0, and an event channel.
//!
//! The builder names both in start_info, and has mapped the page with the rest of the start region. Each side tells the other
//! whenever it moved an index.
//!
//! Source: Xen 4.x, `public/io/console.h`; [`guest_abi::io::console`].

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use guest_abi::addr::{INVALID_FRAME, PAGE_SIZE};
use guest_abi::event_channel::Send;
use guest_abi::io::byte_ring::ByteRing;
use guest_abi::io::console::{ConsoleRing, IN_BYTES, IN_CONS, IN_PROD, OUT_BYTES, OUT_CONS, OUT_PROD};
use guest_abi::start_info::{StartFlags, StartInfo};

use crate::cell::OneCpu;
use crate::mm::layout::DIRECT_START;
use crate::mm::{layout::direct, translate};
use crate::{hypercall, time};

/// How long the kernel's own messages wait for room when nobody takes any: then they are lost.
const PATIENCE_NS: u64 = time::NS_PER_SEC;

/// The page's address and the port, once there are any.
static RING: OneCpu<Cell<Option<Ring>>> = OneCpu::new(Cell::new(None));

/// This domain's end of the ring.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    page: u32,
    /// The event channel's port.
    pub port: u32,
}

/// Learns from start_info whether this domain has a ring, and from then on uses it.
pub fn init(start_info: &StartInfo) {
    let frame = start_info.console_mfn;
    let is_machines = start_info.flags.contains(StartFlags::INITIAL_DOMAIN);
    if is_machines || [0, INVALID_FRAME].contains(&frame.raw()) {
        return;
    }
    translate::init(start_info);
    let is_ours = start_info.mfn_list.raw() >= DIRECT_START;
    if let Some(pfn) = translate::pfn(frame).filter(|_| is_ours) {
        RING.set(Some(Ring {
            page: direct(pfn),
            port: start_info.console_evtchn,
        }));
    }
}

/// The ring, where this domain has one.
#[must_use]
pub fn get() -> Option<Ring> {
    RING.get()
}

impl Ring {
    fn word(&self, offset: usize) -> &'static AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= size_of::<ConsoleRing>());
        // SAFETY: inside the page, which is mapped for ever, aligned, and reached by atomics alone.
        unsafe { AtomicU32::from_ptr((self.page as *mut u8).wrapping_add(offset).cast()) }
    }

    /// Takes the request in the word at `offset`, which lies behind the ring: 0 is none.
    #[must_use]
    pub fn take_request(&self, offset: usize) -> u32 {
        let is_behind = (size_of::<ConsoleRing>()..=PAGE_SIZE - 4).contains(&offset);
        assert!(is_behind && offset.is_multiple_of(4));
        // SAFETY: as for `word`.
        let word = unsafe { AtomicU32::from_ptr((self.page as *mut u8).wrapping_add(offset).cast()) };
        word.swap(0, Ordering::AcqRel)
    }

    fn output(&self) -> ByteRing<'static> {
        ByteRing::new(self.word(OUT_PROD), self.word(OUT_CONS), OUT_BYTES)
    }

    fn input(&self) -> ByteRing<'static> {
        ByteRing::new(self.word(IN_PROD), self.word(IN_CONS), IN_BYTES)
    }

    fn notify(&self) {
        // Nobody may be there to be told; the bytes wait in the ring.
        let _ = hypercall::event_channel_op(&Send {
            local_port: self.port,
        });
    }

    /// How many bytes can be printed now. A ring that makes no sense takes everything, and nothing comes of it.
    #[must_use]
    pub fn room(&self) -> usize {
        self.output()
            .len()
            .map_or(OUT_BYTES, |used| OUT_BYTES - used as usize)
    }

    /// Puts as much into the ring as there is room for, and says how much.
    pub fn try_write(&self, bytes: &[u8]) -> usize {
        let ring = self.output();
        let mut done = 0;
        while done < bytes.len() {
            let Ok(place) = ring.writable() else {
                return bytes.len();
            };
            let part = &bytes[done..bytes.len().min(done + place.len())];
            if part.is_empty() {
                break;
            }
            let to = (self.page as *mut u8).wrapping_add(IN_BYTES + place.start);
            // SAFETY: the place lies inside the page; the other side does not read it before the index has moved.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
            ring.produce(part.len());
            done += part.len();
        }
        if done > 0 {
            self.notify();
        }
        done
    }

    /// Writes all of it, letting others run while there is no room; what finds none for long is lost.
    pub fn write(&self, mut bytes: &[u8]) {
        let mut patience = time::now_ns() + PATIENCE_NS;
        while !bytes.is_empty() {
            let done = self.try_write(bytes);
            bytes = &bytes[done..];
            let now = time::now_ns();
            if done > 0 {
                patience = now + PATIENCE_NS;
            } else if now > patience {
                return;
            } else {
                let _ = hypercall::yield_now();
            }
        }
    }

    /// Takes what was typed, and says how many bytes.
    pub fn read(&self, into: &mut [u8]) -> usize {
        let ring = self.input();
        let mut done = 0;
        while done < into.len() {
            let Ok(place) = ring.readable() else {
                break;
            };
            let count = place.len().min(into.len() - done);
            if count == 0 {
                break;
            }
            let from = (self.page as *const u8).wrapping_add(place.start);
            // SAFETY: the place lies inside the page; the other side does not write it before the index has moved.
            unsafe { ptr::copy_nonoverlapping(from, into[done..].as_mut_ptr(), count) };
            ring.consume(count);
            done += count;
        }
        if done > 0 {
            self.notify();
        }
        done
    }
}
