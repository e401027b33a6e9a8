//! Calls that touch no page tables: 0, 3, 6, 10, 13, 15, 17, and one that does not exist.

use guest_abi::addr::Mfn;
use guest_abi::hypercall::CallNumber;
use guest_abi::multicall::MulticallEntry;
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::timer;
use guest_abi::trap::{TrapFlags, TrapInfo};
use mini_guest::mm::{batch::Batch, kernel_map::zero_frame, translate};
use mini_guest::traps::KERNEL_STACK;
use mini_guest::{hypercall, time};

use crate::memory::{Shared, frame, with_map};
use crate::routine::{
    ARGS, DESCRIPTOR, MULTICALL, NULL, STACK_SWITCH, TIMER, TRAP_TABLE, UNKNOWN, YIELD, measure as cost,
};

const CALLS: usize = 32;
const LONG_TABLE: usize = 20;

static ENTRIES: Shared<[MulticallEntry; CALLS]> =
    Shared::new([MulticallEntry::new(CallNumber::XEN_VERSION, [0; 5]); CALLS]);
static TRAPS: Shared<[TrapInfo; LONG_TABLE + 1]> = Shared::new([NO_TRAP; LONG_TABLE + 1]);

const NO_TRAP: TrapInfo = TrapInfo {
    vector: 0,
    flags: TrapFlags::empty(),
    cs: Selector::NULL,
    address: 0,
};

/// Measures them.
pub fn measure() {
    ARGS.set([KERNEL_STACK.top()]);
    // SAFETY: here and below the arguments are those the routine names; the calls change nothing that Rust code
    // relies on.
    unsafe {
        cost("null_hypercall", NULL, 1);
        cost("unknown_hypercall", UNKNOWN, 1);
        cost("stack_switch", STACK_SWITCH, 1);
        cost("yield", YIELD, 1);
    }
    let entries = ENTRIES.set([MulticallEntry::new(CallNumber::XEN_VERSION, [0; 5]); CALLS]);
    ARGS.set([entries, CALLS as u32]);
    // SAFETY: as above.
    unsafe { cost("multicall", MULTICALL, CALLS as u32) };

    for (key, len) in [("set_trap_table_1", 1), ("set_trap_table_20", LONG_TABLE)] {
        ARGS.set([TRAPS.set(trap_table(len))]);
        // SAFETY: as above; nobody raises these vectors.
        unsafe { cost(key, TRAP_TABLE, 1) };
    }

    let (high, low) = timer::pack(time::now_ns() + 1000 * time::NS_PER_SEC);
    ARGS.set([high, low]);
    // SAFETY: as above.
    unsafe { cost("set_timer_op", TIMER, 1) };
    time::set_timer(None).expect("a timer can be cancelled");

    descriptor();
}

/// A table of `len` handlers for vectors that nobody uses.
fn trap_table(len: usize) -> [TrapInfo; LONG_TABLE + 1] {
    let mut table = [NO_TRAP; LONG_TABLE + 1];
    for (vector, entry) in (0x90..).zip(&mut table[..len]) {
        *entry = TrapInfo {
            vector,
            flags: TrapFlags::with_dpl(3),
            cs: Selector::FLAT_RING1_CS,
            address: 0xC000_0000,
        };
    }
    table
}

/// Call 10, on a GDT of our own.
fn descriptor() {
    let page = frame();
    // SAFETY: the frame is ours.
    unsafe { zero_frame(page) };
    let mut batch = Batch::new();
    with_map(|map| map.protect(&mut batch, page));
    batch.flush_page(mini_guest::mm::layout::direct(page));
    batch.flush();
    let frames: [Mfn; 1] = [translate::mfn(page)];
    hypercall::set_gdt(&frames, 512).expect("an empty GDT is a good one");

    let thread_area = Descriptor::from_fields(
        0x1234_5000,
        0xF_FFFF,
        segment_type::WRITABLE,
        3,
        DescriptorFlags::ORDINARY,
    );
    let ((at_low, at_high), (low, high)) = (
        translate::machine_address(page, 6 * 8).low_high(),
        thread_area.low_high(),
    );
    ARGS.set([at_low, at_high, low, high]);
    // SAFETY: the entry lies in our GDT, and no selector names it.
    unsafe { cost("update_descriptor", DESCRIPTOR, 1) };
}
