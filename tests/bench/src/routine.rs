//! The loops of `routines.S`, and how a cost is taken from them.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::fmt::Display;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use guest_abi::domctl::{CreateDomain, DestroyDomain, Dom0Op};
use guest_abi::segment::Selector;
use guest_abi::shared_info::offset;
use mini_guest::println;

/// Rounds of a measurement.
const ROUNDS: u32 = 1000;
/// Rounds of a measurement that somebody wants to trace.
static FEW_ROUNDS: AtomicU32 = AtomicU32::new(0);
/// Rounds before it, so that what happens once only is over.
const WARM_UP: u32 = 4;

/// The words that the loops take their arguments from.
#[repr(C, align(64))]
pub struct Arguments(UnsafeCell<[u32; 16]>);

// SAFETY: one processor; Rust code accesses the words only between runs of the loops.
unsafe impl Sync for Arguments {}

/// See [`Arguments`].
pub static ARGS: Arguments = Arguments(UnsafeCell::new([0; 16]));

impl Arguments {
    /// Sets the first words.
    pub fn set<const N: usize>(&self, words: [u32; N]) {
        const { assert!(N <= 8) };
        for (n, word) in words.into_iter().enumerate() {
            // SAFETY: inside the array; no loop runs now.
            unsafe { self.0.get().cast::<u32>().add(n).write_volatile(word) };
        }
    }

    /// Word `n`.
    pub fn get(&self, n: usize) -> u32 {
        assert!(n < 16);
        // SAFETY: inside the array; no loop runs now.
        unsafe { self.0.get().cast::<u32>().add(n).read_volatile() }
    }

    /// The time that the timer's callback noted.
    pub fn noted_time(&self) -> u64 {
        // SAFETY: inside the array; the callback wrote them before or will later, volatile for that.
        let word = |n| unsafe { self.0.get().cast::<u32>().add(n).read_volatile() };
        u64::from(word(11)) << 32 | u64::from(word(10))
    }
}

global_asm!(
    include_str!("routines.S"),
    ARGS = sym ARGS,
    KERNEL_DS = const Selector::FLAT_RING1_DS.raw(),
    USER_DS = const Selector::FLAT_RING3_DS.raw(),
    USER_CS = const Selector::FLAT_RING3_CS.raw(),
    SELECTOR = const offset::EVTCHN_PENDING_SEL,
    PENDING = const offset::EVTCHN_UPCALL_PENDING,
    MASK = const offset::EVTCHN_UPCALL_MASK,
    CREATED = const offset_of!(Dom0Op, u) + offset_of!(CreateDomain, domain),
    DESTROYED = const offset_of!(Dom0Op, u) + offset_of!(DestroyDomain, domain),
);

/// Runs so many rounds; gives the time it took.
pub type Routine = unsafe extern "C" fn(u32) -> u64;

macro_rules! routines {
    ($($name:ident = $full:ident, $empty:ident;)*) => {
        unsafe extern "C" {
            $(fn $full(rounds: u32) -> u64; fn $empty(rounds: u32) -> u64;)*
        }
        $(
            /// The loop of this operation, and the same without it.
            pub const $name: (Routine, Routine) = ($full, $empty);
        )*
    };
}

routines! {
    NULL = bench_null_full, bench_null_empty;
    UNKNOWN = bench_unknown_full, bench_unknown_empty;
    STACK_SWITCH = bench_stack_switch_full, bench_stack_switch_empty;
    MMU_UPDATE = bench_mmu_update_full, bench_mmu_update_empty;
    MMU_BATCH = bench_mmu_batch_full, bench_mmu_batch_empty;
    UPDATE_VA = bench_update_va_full, bench_update_va_empty;
    TABLE_WRITE = bench_table_write_full, bench_table_write_empty;
    PIN_UNPIN = bench_pin_unpin_full, bench_pin_unpin_empty;
    PAGE_FAULT = bench_page_fault_full, bench_page_fault_empty;
    UNDEFINED = bench_undefined_full, bench_undefined_empty;
    BREAKPOINT = bench_breakpoint_full, bench_breakpoint_empty;
    SEND_MASKED = bench_send_masked_full, bench_send_masked_empty;
    SEND_DELIVERED = bench_send_delivered_full, bench_send_delivered_empty;
    ALLOC_CLOSE = bench_alloc_close_full, bench_alloc_close_empty;
    GRANT = bench_grant_full, bench_grant_empty;
    MULTICALL = bench_multicall_full, bench_multicall_empty;
    TRAP_TABLE = bench_trap_table_full, bench_trap_table_empty;
    DESCRIPTOR = bench_descriptor_full, bench_descriptor_empty;
    TIMER = bench_timer_full, bench_timer_empty;
    YIELD = bench_yield_full, bench_yield_empty;
    CREATE_DESTROY = bench_create_destroy_full, bench_create_destroy_empty;
    SEND = bench_send_full, bench_send_empty;
    WAKE = bench_wake_full, bench_wake_empty;
}

/// Makes every measurement one of `rounds` rounds.
pub fn limit_rounds(rounds: u32) {
    FEW_ROUNDS.store(rounds, Ordering::Relaxed);
}

/// Measures an operation that does `units` things a round and prints what one of them costs.
///
/// # Safety
/// [`ARGS`] must hold what the operation needs, and what it does must be something that Rust code survives.
pub unsafe fn measure(key: &str, (full, empty): (Routine, Routine), units: u32) {
    // SAFETY: the caller's promise.
    print(key, units, |rounds| unsafe { (full(rounds), empty(rounds)) });
}

/// Prints the cost of one of `units` things, rounded to the nearest whole instruction.
pub fn print(key: impl Display, units: u32, run: impl FnMut(u32) -> (u64, u64)) {
    print_of(key, units, ROUNDS, run);
}

/// The same of another number of rounds.
pub fn print_of(key: impl Display, units: u32, rounds: u32, mut run: impl FnMut(u32) -> (u64, u64)) {
    let few = FEW_ROUNDS.load(Ordering::Relaxed);
    let rounds = if few == 0 { rounds } else { few };
    run(WARM_UP);
    let (full, empty) = run(rounds);
    let things = u64::from(rounds * units);
    println!("bench: {key} {}", ((full - empty) + things / 2) / things);
}
