//! The real IDT: which ring may enter by which vector, and where each leads (Intel SDM vol. 3A, 6.14.1).
//!
//! | vectors | DPL | |
//! |---|---|---|
//! | 0–31 but 3 and 4 | 0 | exceptions; `int n` of a guest is a #GP |
//! | 3, 4 | 3 | `int3`, `into` |
//! | 0x82 | 1 | hypercalls: the guest kernel's ring only |
//! | 0xE0–0xFF | 0 | devices |
//! | all others | 3 | bounced to the guest after a check of its own registered DPL |

use crate::{cpu, entry::points, gdt::HV_CS, tss::ist};
use core::{
    arch::asm,
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The hypercall vector.
pub const HYPERCALL: u8 = 0x82;
/// First device vector.
pub const FIRST_DEVICE: u8 = 0xE0;

const PRESENT_INTERRUPT_GATE: u64 = 0x8E << 40;

#[derive(Clone, Copy)]
#[repr(C)]
struct Gate([u64; 2]);

#[repr(C, align(4096))]
struct Table(UnsafeCell<[Gate; 256]>);
// SAFETY: written at boot and, for the fast trap, by the one CPU that owns it.
unsafe impl Sync for Table {}

static IDT: Table = Table(UnsafeCell::new([Gate([0; 2]); 256]));

fn gate(target: u64, dpl: u8, ist: u8) -> Gate {
    Gate([
        target & 0xFFFF
            | u64::from(HV_CS) << 16
            | u64::from(ist) << 32
            | PRESENT_INTERRUPT_GATE
            | u64::from(dpl) << 45
            | (target >> 16 & 0xFFFF) << 48,
        target >> 32,
    ])
}

fn set(vector: u8, gate: Gate) {
    // SAFETY: see `Table`; the index is in range by type.
    unsafe { (*IDT.0.get())[usize::from(vector)] = gate }
}

fn ordinary(vector: u8) -> Gate {
    let dpl = match vector {
        3 | 4 => 3,
        0..=31 | FIRST_DEVICE..=0xFF => 0,
        _ => 3,
    };
    gate(points::stub(vector), dpl, 0)
}

/// Fills the table and loads it.
pub fn init() {
    for vector in 0..=255 {
        set(vector, ordinary(vector));
    }
    let hypercall_dpl = if cfg!(feature = "mutant-hypercall-dpl") {
        3
    } else {
        1
    };
    set(HYPERCALL, gate(points::hypercall(), hypercall_dpl, 0));
    set(1, gate(points::debug(), 0, ist::DEBUG));
    set(2, gate(points::nmi(), 0, ist::NMI));
    set(8, gate(points::double_fault(), 0, ist::DOUBLE_FAULT));
    set(18, gate(points::machine_check(), 0, ist::MACHINE_CHECK));
    cpu::load_idt(IDT.0.get() as u64, 4095);
}

/// Leads `vector` through the fast-trap stub.
///
/// # Panics
/// For a vector that is not one a guest may arm (below 32, the hypercall's, a device's).
pub fn arm_fast_trap(vector: u8) {
    assert!(
        vector >= 32 && vector != HYPERCALL && vector < FIRST_DEVICE,
        "fast trap on vector {vector}"
    );
    set(vector, gate(points::fast_trap(), 3, 0));
}

/// Gives `vector` its ordinary stub back.
pub fn disarm_fast_trap(vector: u8) {
    set(vector, ordinary(vector));
}

/// The vector that [`error_code_form`] raises.
const ABSENT: u8 = 0x40;
/// Error code of the last fault that had a place to go on.
static RECOVERED_CODE: AtomicU32 = AtomicU32::new(0);

/// Notes the error code of a fault in ring 0 that goes on at its recovery address.
pub fn note_recovered(error_code: u32) {
    RECOVERED_CODE.store(error_code, Relaxed);
}

/// Raises a vector that is beyond a shortened IDT, and gives the vector and the #GP's error code: machines differ in
/// how they write a vector into it. To be called at boot, when the fault handlers work.
#[must_use]
pub fn error_code_form() -> (u8, u32) {
    cpu::load_idt(IDT.0.get() as u64, u16::from(ABSENT) * 16 - 1);
    // SAFETY: the vector has no gate now, so this is a #GP, which goes on behind the instruction by the exception table.
    unsafe {
        asm!(
            "2: int {vector}",
            "3:",
            ".pushsection .ex_table, \"a\"",
            ".balign 4",
            ".long 2b - ., 3b - .",
            ".popsection",
            vector = const ABSENT,
        );
    }
    cpu::load_idt(IDT.0.get() as u64, 4095);
    (ABSENT, RECOVERED_CODE.load(Relaxed))
}
