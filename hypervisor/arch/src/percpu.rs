//! The per-CPU block: data and stacks in one aligned piece, so that masking any stack pointer finds the data.
//!
//! ```text
//!  page  0       PerCpu (due word, fast-trap target …)
//!        1       guard
//!        2       #DF stack      3  guard
//!        4       NMI stack      5  guard
//!        6       #MC stack      7  guard
//!        8       #DB stack      9  guard
//!        10..15  the stack      (entries from guests start at its top)
//! ```
//! Guard pages are unmapped once [`crate::paging`] has built the final tables. One CPU runs for now; a second one
//! gets a second block.

use core::{cell::UnsafeCell, mem::offset_of, sync::atomic::AtomicU32};

/// Bytes in a per-CPU block, and its alignment.
pub const BLOCK_SIZE: usize = 0x10000;
/// Pages of the block that are left unmapped.
pub const GUARD_PAGES: [usize; 5] = [1, 3, 5, 7, 9];
/// First page of the ordinary stack.
pub const STACK_FIRST_PAGE: usize = 10;

/// Bits of [`PerCpu::due`]: reasons to leave the short way back to the guest.
pub mod due {
    /// The hypervisor has to look at its state (an outcome that is no plain return, a reschedule, a timer).
    pub const WORK: u32 = 1 << 0;
    /// A non-maskable interrupt came.
    pub const NMI: u32 = 1 << 1;
    /// A machine check came.
    pub const MACHINE_CHECK: u32 = 1 << 2;
}

/// What the entry code needs of the CPU it runs on. Addressed by assembly through `offset_of!`.
#[repr(C)]
pub struct PerCpu {
    /// Non-zero: the exit path must call the slow half. Set from NMI context, hence atomic.
    pub due: AtomicU32,
    /// Selector the fast-trap handler runs with, as an 8-byte word ready to push.
    pub fast_cs: u64,
    /// Fast-trap handler.
    pub fast_eip: u64,
    /// Ring-1 stack selector, ready to push.
    pub fast_ss: u64,
    /// Ring-1 stack pointer, already lowered by the five words of the frame.
    pub fast_esp: u64,
    /// Error-code word of the same vector taken the slow way: the vector in the upper half.
    pub fast_slot: u64,
    /// The running domain's upcall flags (pending, mask) through the direct map; never null.
    pub upcall_flags: *const u16,
}

/// A whole block.
#[repr(C, align(0x10000))]
pub struct Block(UnsafeCell<[u8; BLOCK_SIZE]>);
// SAFETY: each block is used by the one CPU it belongs to; access goes through `this_cpu` and the entry code.
unsafe impl Sync for Block {}

#[unsafe(link_section = ".bss.percpu")]
pub(crate) static BLOCK: Block = Block(UnsafeCell::new([0; BLOCK_SIZE]));

/// Address of the boot CPU's block.
#[must_use]
pub fn block_base() -> u64 {
    BLOCK.0.get() as u64
}

/// Top of the ordinary stack: where entries from guests start to push.
#[must_use]
pub fn stack_top() -> u64 {
    block_base() + BLOCK_SIZE as u64
}

/// This CPU's data.
#[must_use]
pub fn this_cpu() -> *mut PerCpu {
    BLOCK.0.get().cast()
}

/// Bounds of the stack that holds `address`, or `None` where it is in none of them.
#[must_use]
pub fn stack_bounds(address: u64) -> Option<(u64, u64)> {
    let page = usize::try_from(address.checked_sub(block_base())? >> 12).ok()?;
    let (first, last) = match page {
        2 | 4 | 6 | 8 => (page, page + 1),
        STACK_FIRST_PAGE..16 => (STACK_FIRST_PAGE, 16),
        _ => return None,
    };
    Some((
        block_base() + ((first as u64) << 12),
        block_base() + ((last as u64) << 12),
    ))
}

/// Asks the exit path to call its slow half before the guest runs again.
pub fn raise_due(bits: u32) {
    // SAFETY: the block is static and `due` is atomic.
    unsafe { &(*this_cpu()).due }.fetch_or(bits, core::sync::atomic::Ordering::Relaxed);
}

/// Takes back reasons that have been dealt with.
pub fn clear_due(bits: u32) {
    // SAFETY: as in `raise_due`.
    unsafe { &(*this_cpu()).due }.fetch_and(!bits, core::sync::atomic::Ordering::Relaxed);
}

/// Takes all reasons raised so far.
pub fn take_due() -> u32 {
    // SAFETY: as in `raise_due`.
    unsafe { &(*this_cpu()).due }.swap(0, core::sync::atomic::Ordering::Relaxed)
}

/// What the guest's upcall flags point at while no domain runs: nothing pending.
static NO_EVENTS: u16 = 0;

/// Tells the exit path where the running domain's upcall flags are (`None`: no domain).
pub fn set_upcall_flags(flags: Option<*const u16>) {
    let flags = flags.unwrap_or(&raw const NO_EVENTS);
    // SAFETY: only this CPU reads or writes its block outside `due`.
    unsafe { (*this_cpu()).upcall_flags = flags }
}

/// Masks upcalls of the domain that [`set_upcall_flags`] named.
///
/// Only while a domain runs: the flags that stand for none cannot be written.
#[inline(always)]
pub fn mask_upcalls() {
    // SAFETY: only this CPU reads or writes its block outside `due`.
    let flags = unsafe { (*this_cpu()).upcall_flags };
    let mask = flags.cast_mut().cast::<u8>().wrapping_add(1);
    // SAFETY: the flags of a running domain lie in the direct map of its shared page, which may be written; the mask is
    // their second byte. The guest writes it too, hence volatile.
    unsafe { mask.write_volatile(1) }
}

/// Sets the handler that the fast trap's stub leads to; see [`crate::entry`].
pub fn set_fast_trap_target(vector: u8, cs: u16, eip: u32) {
    // SAFETY: only this CPU reads or writes its block outside `due`.
    let cpu = unsafe { &mut *this_cpu() };
    cpu.fast_slot = u64::from(vector) << 32;
    cpu.fast_cs = u64::from(cs);
    cpu.fast_eip = u64::from(eip);
}

/// Sets the ring-1 stack that the fast trap's stub pushes on; `esp` as registered.
#[inline]
pub fn set_fast_trap_stack(ss: u16, esp: u32) {
    // SAFETY: as above.
    let cpu = unsafe { &mut *this_cpu() };
    cpu.fast_ss = u64::from(ss);
    cpu.fast_esp = u64::from(esp.wrapping_sub(20));
}

/// Offset of [`PerCpu::due`] for the entry code.
pub const DUE: usize = offset_of!(PerCpu, due);
/// Offset of [`PerCpu::upcall_flags`].
pub const UPCALL_FLAGS: usize = offset_of!(PerCpu, upcall_flags);
/// Offset of [`PerCpu::fast_cs`].
pub const FAST_CS: usize = offset_of!(PerCpu, fast_cs);
/// Offset of [`PerCpu::fast_eip`].
pub const FAST_EIP: usize = offset_of!(PerCpu, fast_eip);
/// Offset of [`PerCpu::fast_ss`].
pub const FAST_SS: usize = offset_of!(PerCpu, fast_ss);
/// Offset of [`PerCpu::fast_esp`].
pub const FAST_ESP: usize = offset_of!(PerCpu, fast_esp);
/// Offset of [`PerCpu::fast_slot`].
pub const FAST_SLOT: usize = offset_of!(PerCpu, fast_slot);
