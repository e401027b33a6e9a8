//! The page a domain shares with the hypervisor, from the hypervisor's side.
//!
//! The guest may write every byte of it at any time, so nothing read here is trusted beyond its own meaning: a
//! flag is a flag, a version is a number that the guest can only spoil for itself. Bits that both sides change are
//! reached by atomics; the two upcall flags are single bytes of their own.
//!
//! Where things are is a [`Layout`], so that another guest interface brings a second one; there is one so far.
//!
//! Source: Xen 2.0: shared_info_t and the event rules of its interface.

use crate::{
    domain::Domain,
    platform::{FrameMemory, FrameWords},
};
use guest_abi::{
    addr::Mfn,
    event_channel::MAX_PORTS,
    shared_info::{TimeRecord, offset},
};

/// Byte offsets of what the hypervisor touches in the page. Bitmap words are 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Flag byte: an upcall is due.
    pub upcall_pending: usize,
    /// Flag byte: upcalls are masked.
    pub upcall_mask: usize,
    /// Pending bit per port.
    pub pending: usize,
    /// Bit per word of the pending bitmap.
    pub pending_selector: usize,
    /// Mask bit per port.
    pub mask: usize,
    /// The time record.
    pub time: usize,
}

/// The layout of the 2.0 interface.
pub const V2: Layout = Layout {
    upcall_pending: offset::EVTCHN_UPCALL_PENDING,
    upcall_mask: offset::EVTCHN_UPCALL_MASK,
    pending: offset::EVTCHN_PENDING,
    pending_selector: offset::EVTCHN_PENDING_SEL,
    mask: offset::EVTCHN_MASK,
    time: offset::TIME,
};

/// A domain's shared page.
#[derive(Debug)]
pub struct SharedInfo<'a, M> {
    memory: &'a M,
    frame: Mfn,
    layout: Layout,
}

impl<'a, M: FrameMemory> SharedInfo<'a, M> {
    /// The page of `domain`.
    #[inline(always)]
    #[must_use]
    pub fn of(memory: &'a M, domain: &Domain) -> Self {
        Self {
            memory,
            frame: domain.shared_info,
            layout: V2,
        }
    }

    /// Whether the guest is to be entered at its event callback: pending and not masked.
    #[inline(always)]
    #[must_use]
    pub fn upcall_is_due(&self) -> bool {
        self.upcall_is_pending() && self.memory.load_u8(self.frame, self.layout.upcall_mask) == 0
    }

    /// Whether an upcall is pending, masked or not.
    #[inline(always)]
    #[must_use]
    pub fn upcall_is_pending(&self) -> bool {
        self.memory.load_u8(self.frame, self.layout.upcall_pending) != 0
    }

    /// Masks upcalls.
    #[inline(always)]
    pub fn mask_upcalls(&self) {
        self.memory.store_u8(self.frame, self.layout.upcall_mask, 1);
    }

    /// Unmasks upcalls.
    pub fn unmask_upcalls(&self) {
        self.memory.store_u8(self.frame, self.layout.upcall_mask, 0);
    }

    /// Sets `port` pending, in the order the interface demands, and says whether the domain is to be woken:
    ///
    /// 1. pending bit; was it set already, stop;
    /// 2. masked: stop (the edge stays in the pending bit);
    /// 3. selector bit; was it set already, stop;
    /// 4. upcall flag; wake.
    #[inline(always)]
    pub fn set_pending(&self, port: u32) -> bool {
        // The remainder only says that all this stays inside the bitmaps.
        let port = port % MAX_PORTS;
        let (word, shift) = (port / 32, port % 32);
        let at = word as usize * 4;
        let page = self.memory.words(self.frame);
        let set = |offset: usize, bit: u32| page.fetch_or_u32(offset, 1 << bit) >> bit & 1 != 0;
        if set(self.layout.pending + at, shift)
            || page.load_u32(self.layout.mask + at) >> shift & 1 != 0
            || set(self.layout.pending_selector, word)
        {
            return false;
        }
        page.store_u8(self.layout.upcall_pending, 1);
        true
    }

    /// Clears pending and mask bit of a port that is closed.
    #[inline(always)]
    pub fn forget_port(&self, port: u32) {
        let port = port % MAX_PORTS;
        let (at, bit) = (port as usize / 32 * 4, 1 << (port % 32));
        self.memory
            .fetch_clear_u32(self.frame, self.layout.pending + at, bit);
        self.memory
            .fetch_clear_u32(self.frame, self.layout.mask + at, bit);
    }

    /// Whether `port` is masked.
    #[must_use]
    pub fn is_masked(&self, port: u32) -> bool {
        self.memory
            .load_u32(self.frame, self.layout.mask + port as usize / 32 * 4)
            & 1 << (port % 32)
            != 0
    }

    /// Whether `port` is pending.
    #[must_use]
    pub fn is_pending(&self, port: u32) -> bool {
        self.memory
            .load_u32(self.frame, self.layout.pending + port as usize / 32 * 4)
            & 1 << (port % 32)
            != 0
    }

    /// Writes the time record between its two versions. Those in `record` are not looked at: the page's first
    /// version is incremented and the second made equal to it.
    #[inline(always)]
    pub fn write_time(&self, record: &TimeRecord) {
        let at = |field: usize| self.layout.time + field;
        let (version1, version2) = (
            at(core::mem::offset_of!(TimeRecord, version1)),
            at(core::mem::offset_of!(TimeRecord, version2)),
        );
        let page = self.memory.words(self.frame);
        let version = page.load_u32(version1).wrapping_add(1);
        page.store_u32(version1, version);
        let word = |field: usize, value: u64| page.write(at(field) / 8, value);
        word(core::mem::offset_of!(TimeRecord, cpu_freq), record.cpu_freq);
        word(
            core::mem::offset_of!(TimeRecord, tsc_timestamp),
            record.tsc_timestamp,
        );
        word(core::mem::offset_of!(TimeRecord, system_time), record.system_time);
        page.store_u32(at(core::mem::offset_of!(TimeRecord, wc_sec)), record.wc_sec);
        page.store_u32(at(core::mem::offset_of!(TimeRecord, wc_usec)), record.wc_usec);
        page.store_u32(version2, version);
    }
}

const _: () = assert!(
    V2.time.is_multiple_of(8)
        && core::mem::offset_of!(TimeRecord, cpu_freq).is_multiple_of(8)
        && core::mem::offset_of!(TimeRecord, tsc_timestamp).is_multiple_of(8)
        && core::mem::offset_of!(TimeRecord, system_time).is_multiple_of(8),
    "the record's 8-byte fields are words of the frame"
);
