//! The shared-info page: mapped over a page of our own image, so that assembly can name its bytes.
//!
//! The image reserves [`SHARED_PAGE`]; [`map`] points that page's entry at the hypervisor's frame. The frame that
//! lay there before is out of use from then on. Bits that both sides change are reached by atomics only.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use guest_abi::addr::{GuestVirt, MachAddr, Mfn};
use guest_abi::errno::Errno;
use guest_abi::event_channel::MAX_PORTS;
use guest_abi::mmu::{Pte, PteFlags, UvmFlags};
use guest_abi::shared_info::{EVENT_WORDS, TimeRecord, offset};

use crate::hypercall;

/// A page of the image whose frame is exchanged.
#[repr(C, align(4096))]
pub struct SharedPage(UnsafeCell<[u8; 4096]>);

// SAFETY: its bytes are reached by atomics and volatile accesses alone.
unsafe impl Sync for SharedPage {}

/// Where shared-info is mapped.
#[unsafe(link_section = ".bss.pages")]
pub static SHARED_PAGE: SharedPage = SharedPage(UnsafeCell::new([0; 4096]));

/// Offset of the byte that masks upcalls, for the entry code.
pub(crate) const MASK_OFFSET: usize = offset::EVTCHN_UPCALL_MASK;
/// Offset of the byte that says an upcall is due, for the entry code.
pub(crate) const PENDING_OFFSET: usize = offset::EVTCHN_UPCALL_PENDING;

/// Maps the page whose machine address start_info gives.
///
/// # Errors
/// The hypervisor's refusal, or an address that is no frame's.
pub fn map(shared_info: MachAddr) -> Result<(), Errno> {
    let mfn = Mfn::try_containing(shared_info).ok_or(Errno::Inval)?;
    let flags = PteFlags::PRESENT | PteFlags::WRITABLE | PteFlags::ACCESSED | PteFlags::DIRTY;
    // SAFETY: the page at this address holds nothing yet and is only ever used as shared-info.
    unsafe { hypercall::update_va_mapping(address(), Pte::new(mfn, flags), UvmFlags::INVLPG) }
}

/// Linear address of the page.
#[must_use]
pub fn address() -> GuestVirt {
    GuestVirt::new(ptr::from_ref(&SHARED_PAGE) as u32)
}

fn byte(offset: usize) -> &'static AtomicU8 {
    assert!(offset < 4096);
    // SAFETY: inside the page, which lives for ever and is accessed by atomics.
    unsafe { AtomicU8::from_ptr(SHARED_PAGE.0.get().cast::<u8>().wrapping_add(offset)) }
}

fn word(offset: usize) -> &'static AtomicU32 {
    assert!(offset < 4096 && offset.is_multiple_of(4));
    // SAFETY: inside the page and aligned; else as above.
    unsafe { AtomicU32::from_ptr(SHARED_PAGE.0.get().cast::<u8>().wrapping_add(offset).cast()) }
}

/// The byte that says an upcall is due.
#[must_use]
pub fn upcall_pending() -> &'static AtomicU8 {
    byte(PENDING_OFFSET)
}

/// The byte that masks upcalls.
#[must_use]
pub fn upcall_mask() -> &'static AtomicU8 {
    byte(MASK_OFFSET)
}

/// The selector: a bit per word of [`pending_word`].
#[must_use]
pub fn pending_selector() -> &'static AtomicU32 {
    word(offset::EVTCHN_PENDING_SEL)
}

/// Word `index` (below 32) of the pending bits.
#[must_use]
pub fn pending_word(index: usize) -> &'static AtomicU32 {
    assert!(index < EVENT_WORDS);
    word(offset::EVTCHN_PENDING + 4 * index)
}

/// Word `index` (below 32) of the mask bits.
#[must_use]
pub fn mask_word(index: usize) -> &'static AtomicU32 {
    assert!(index < EVENT_WORDS);
    word(offset::EVTCHN_MASK + 4 * index)
}

/// Masks `port`, or unmasks it without looking at its pending bit.
pub fn set_port_mask(port: u32, masked: bool) {
    assert!(port < MAX_PORTS);
    let (word, bit) = (mask_word((port / 32) as usize), 1 << (port % 32));
    if masked {
        word.fetch_or(bit, Ordering::SeqCst);
    } else {
        word.fetch_and(!bit, Ordering::SeqCst);
    }
}

/// Takes a snapshot of the time record, again while the hypervisor changes it.
#[must_use]
pub fn time_record() -> TimeRecord {
    loop {
        let version = word(offset::TIME_VERSION2).load(Ordering::Acquire);
        // SAFETY: inside the page, aligned to 8 in it; any bytes are a valid record, and a torn one is thrown away below.
        let record = unsafe {
            ptr::read_volatile(
                SHARED_PAGE
                    .0
                    .get()
                    .cast::<u8>()
                    .wrapping_add(offset::TIME)
                    .cast::<TimeRecord>(),
            )
        };
        core::sync::atomic::fence(Ordering::Acquire);
        if word(offset::TIME_VERSION1).load(Ordering::Relaxed) == version {
            return record;
        }
    }
}

/// Tells the hypervisor where the phys-to-machine list begins and how long it is, for tools.
pub fn publish_p2m(list_list: Mfn, max_pfn: u32) {
    word(offset::P2M_LIST_LIST).store(list_list.raw(), Ordering::Relaxed);
    word(offset::MAX_PFN).store(max_pfn, Ordering::Relaxed);
}
