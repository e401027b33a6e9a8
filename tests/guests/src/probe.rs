//! A trap handler that only takes notes: what an entry looks like before any kernel code has touched it.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use guest_abi::errno::Errno;
use guest_abi::segment::Selector;
use guest_abi::trap::{TrapFlags, TrapInfo};
use mini_guest::hypercall;
use mini_guest::shared::{SHARED_PAGE, upcall_mask};

/// What [`install`]ed handlers note.
#[repr(C)]
pub struct Notes {
    /// How often one was entered.
    pub count: AtomicU32,
    /// The event mask at the last entry.
    pub mask: AtomicU32,
    /// The first words of its frame.
    pub frame: [AtomicU32; 5],
}

/// The notes.
pub static NOTES: Notes = Notes {
    count: AtomicU32::new(0),
    mask: AtomicU32::new(0),
    frame: [const { AtomicU32::new(0) }; 5],
};

global_asm!(
    r#"
        .section .text.test_probe, "ax", @progbits
        .globl  test_probe
test_probe:
        push    eax
        movzx   eax, byte ptr ss:[{SHARED} + 1]
        mov     ss:[{NOTES} + 4], eax
        inc     dword ptr ss:[{NOTES}]
        .irp    n, 0, 4, 8, 12, 16
        mov     eax, [esp + 4 + \n]
        mov     ss:[{NOTES} + 8 + \n], eax
        .endr
        pop     eax
        iretd
    "#,
    SHARED = sym SHARED_PAGE,
    NOTES = sym NOTES,
);

/// Address of the handler.
pub fn address() -> u32 {
    unsafe extern "C" {
        safe fn test_probe();
    }
    test_probe as *const () as u32
}

/// Makes the handler that of `vector`, which has no error code.
///
/// # Errors
/// What the hypervisor answered.
pub fn install(vector: u8, dpl: u8, masks_events: bool) -> Result<(), Errno> {
    let mut flags = TrapFlags::with_dpl(dpl);
    flags.set(TrapFlags::MASK_EVENTS, masks_events);
    let entry = TrapInfo {
        vector,
        flags,
        cs: Selector::FLAT_RING1_CS,
        address: address(),
    };
    hypercall::set_trap_table(&[entry, TrapInfo::default()])
}

/// Runs `raise` with events unmasked and says how often the handler was entered meanwhile, and with which mask.
pub fn watch(raise: impl FnOnce()) -> (u32, u32) {
    let before = NOTES.count.load(Relaxed);
    upcall_mask().store(0, Relaxed);
    raise();
    upcall_mask().store(1, Relaxed);
    (NOTES.count.load(Relaxed) - before, NOTES.mask.load(Relaxed))
}
