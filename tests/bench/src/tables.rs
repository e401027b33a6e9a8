//! Page-table updates.

use guest_abi::addr::Pfn;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::vm_assist::{AssistCmd, AssistType};
use mini_guest::hypercall;
use mini_guest::mm::{
    batch::Batch,
    kernel_map::{KernelMap, L2_FLAGS, READ_ONLY, READ_WRITE, frame_of, read_entry, write_plain, zero_frame},
    layout::direct,
    translate::{machine_address, mfn},
};

use crate::memory::{Shared, entry_address, entry_of, flip, frame, with_map};
use crate::routine::{ARGS, MMU_BATCH, MMU_UPDATE, PIN_UNPIN, TABLE_WRITE, UPDATE_VA, measure as cost};

const BATCH: usize = 128;
const NOTHING: MmuUpdate = MmuUpdate { ptr: 0, val: 0 };

static REQUESTS: [Shared<[MmuUpdate; BATCH]>; 2] = [const { Shared::new([NOTHING; BATCH]) }; 2];

/// Measures them.
pub fn measure() {
    let (a, b) = (frame(), frame());
    let entry = Pte::new(mfn(a), READ_WRITE);
    let (low, high) = entry.low_high();

    let mut one = [NOTHING; BATCH];
    one[0] = MmuUpdate::normal(entry_address(a), entry);
    ARGS.set([REQUESTS[0].set(one), flip(a, b)]);
    // SAFETY: here and below the arguments are those the routine names; the frames and the addresses at which they are
    // mapped are ours, and nobody reads or writes there.
    unsafe { cost("mmu_update_one", MMU_UPDATE, 1) };

    batch();

    ARGS.set([direct(a) >> 12, low, high, flip(a, b)]);
    // SAFETY: as above.
    unsafe { cost("update_va_mapping", UPDATE_VA, 1) };

    hypercall::vm_assist(AssistCmd::ENABLE, AssistType::WRITABLE_PAGETABLES)
        .expect("writable page tables exist");
    let (table, index) = entry_of(a);
    ARGS.set([direct(table) + index as u32 * 8, low, high, flip(a, b)]);
    // SAFETY: as above.
    unsafe { cost("writable_page_table", TABLE_WRITE, 1) };
    hypercall::vm_assist(AssistCmd::DISABLE, AssistType::WRITABLE_PAGETABLES).expect("and can be disabled");

    let table = full_table();
    let request = |extended| {
        let mut requests = [NOTHING; BATCH];
        requests[0] = MmuUpdate::extended(extended);
        requests
    };
    let address = mfn(table).addr();
    let pin = REQUESTS[0].set(request(Extended::Pin {
        level: 1,
        frame: address,
    }));
    let unpin = REQUESTS[1].set(request(Extended::Unpin { frame: address }));
    ARGS.set([pin, unpin]);
    // SAFETY: the table is hooked in nowhere.
    unsafe { cost("pin_unpin", PIN_UNPIN, 1) };

    let bases = [second_root(), with_map(KernelMap::base)];
    let [first, second] = [0, 1].map(|n| {
        REQUESTS[n].set(request(Extended::NewBasePtr {
            l3: mfn(bases[n]).addr(),
        }))
    });
    ARGS.set([first, first ^ second, 1]);
    // SAFETY: both map the kernel alike. The number of rounds is even: the last base is again the first one.
    unsafe { cost("new_base", MMU_BATCH, 1) };
}

/// 128 entries in one call, each of which gets another frame every time.
fn batch() {
    let frames: [Pfn; BATCH] = core::array::from_fn(|_| frame());
    let requests = |shift: usize| {
        core::array::from_fn(|n| {
            let target = mfn(frames[n ^ shift]);
            MmuUpdate::normal(entry_address(frames[n]), Pte::new(target, READ_WRITE))
        })
    };
    let [first, second] = [REQUESTS[0].set(requests(0)), REQUESTS[1].set(requests(1))];
    ARGS.set([first, first ^ second, BATCH as u32]);
    // SAFETY: the frames are ours, and nobody uses the addresses at which they are mapped.
    unsafe { cost("mmu_update_batch", MMU_BATCH, BATCH as u32) };
}

/// An L1 whose 512 entries map as many frames writable; mapped read-only, not hooked in.
pub fn full_table() -> Pfn {
    let table = frame();
    for index in 0..512 {
        // SAFETY: the frame is ours.
        unsafe { write_plain(table, index, Pte::new(mfn(frame()), READ_WRITE)) };
    }
    protect(table);
    table
}

/// A root of its own that maps the kernel as the first one does; pinned.
fn second_root() -> Pfn {
    let (root, top) = (frame(), frame());
    let old = frame_of(read_entry(with_map(KernelMap::base), 3)).expect("the root has its slot 3");
    // SAFETY: both frames are ours.
    unsafe {
        zero_frame(root);
        zero_frame(top);
        for slot in 0..guest_abi::addr::FIRST_HV_L2_SLOT {
            if let Some(table) =
                frame_of(read_entry(old, slot)).filter(|_| read_entry(old, slot).is_present())
            {
                write_plain(top, slot, Pte::new(mfn(table), L2_FLAGS));
            }
        }
        write_plain(root, 3, Pte::new(mfn(top), guest_abi::mmu::PteFlags::PRESENT));
    }
    protect(top);
    protect(root);
    Batch::new().pin_l3(root);
    root
}

/// Maps `frame` read-only in the direct map.
fn protect(frame: Pfn) {
    let mut batch = Batch::new();
    // SAFETY: nobody writes to the frame any more.
    unsafe {
        batch.push(MmuUpdate::normal(
            entry_address(frame),
            Pte::new(mfn(frame), READ_ONLY),
        ));
    }
    batch.flush_page(direct(frame));
    debug_assert!(machine_address(frame, 0).raw() != 0);
}
