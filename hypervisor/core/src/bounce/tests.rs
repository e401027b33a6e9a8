use super::*;
use crate::{
    guest_mem::in_guest_range,
    platform::FrameMemory,
    testing::{INNER_ESP, KERNEL_ESP, World, ring1_regs, ring3_regs},
};
use guest_abi::{addr::HV_START, segment::Selector, shared_info::offset};
use proptest::prelude::*;

const FLAGS: u32 = eflags::IF | eflags::RESERVED;

fn in_ring(ring: u8) -> World {
    let mut world = World::running();
    world.regs = if ring == 1 { ring1_regs() } else { ring3_regs() };
    world
}

#[test]
fn a_page_fault_in_the_kernel_pushes_five_words_on_its_own_stack() {
    let mut world = in_ring(1);
    deliver_exception(&mut world.cx(), 14, Some(2), Some(0x1234_5678)).expect("delivered");
    let esp = INNER_ESP - 20;
    let frame: [u32; 5] = world.read(esp);
    assert_eq!(frame, [0x1234_5678, 2, 0x40_0002, 0xE019, FLAGS]);
    assert_eq!(world.regs.rsp, u64::from(esp));
    assert_eq!(world.regs.ss, 0xE021);
    assert_eq!(world.regs.cs, 0xE019);
    assert_eq!(world.regs.rip, 0x50_000E);
}

#[test]
fn a_page_fault_in_an_application_pushes_seven_words_on_the_kernel_stack() {
    let mut world = in_ring(3);
    deliver_exception(&mut world.cx(), 14, Some(4), Some(0xB000)).expect("delivered");
    let esp = KERNEL_ESP - 28;
    let frame: [u32; 7] = world.read(esp);
    assert_eq!(frame, [0xB000, 4, 0x40_0002, 0xE02B, FLAGS, 0x7000_0000, 0xE033]);
    assert_eq!((world.regs.rsp, world.regs.ss), (u64::from(esp), 0xE021));
}

#[test]
fn frames_without_code_and_with_one() {
    for (ring, words) in [(1, 3), (3, 5)] {
        let mut world = in_ring(ring);
        deliver_exception(&mut world.cx(), 6, None, None).expect("delivered");
        let top = if ring == 1 { INNER_ESP } else { KERNEL_ESP };
        assert_eq!(world.regs.rsp, u64::from(top - words * 4));
        assert_eq!(world.read::<u32>(top - words * 4), 0x40_0002);

        let mut world = in_ring(ring);
        deliver_exception(&mut world.cx(), 13, Some(0xABC0), None).expect("delivered");
        assert_eq!(world.regs.rsp, u64::from(top - words * 4 - 4));
        assert_eq!(world.read::<[u32; 2]>(top - words * 4 - 4), [0xABC0, 0x40_0002]);
    }
}

#[test]
fn ring_2_enters_like_ring_3() {
    let mut world = in_ring(3);
    world.regs.cs = 0xE02A;
    world.regs.ss = 0xE02A;
    deliver_exception(&mut world.cx(), 0, None, None).expect("delivered");
    assert_eq!(world.regs.rsp, u64::from(KERNEL_ESP - 20));
    assert_eq!(world.read::<[u32; 2]>(KERNEL_ESP - 8), [0x7000_0000, 0xE02A]);
}

#[test]
fn the_frame_keeps_the_flags_that_the_handler_starts_without() {
    let mut world = in_ring(3);
    let interrupted = FLAGS | eflags::TF | eflags::NT | eflags::RF | eflags::DF | 1;
    world.regs.rflags = interrupted.into();
    deliver_exception(&mut world.cx(), 1, None, None).expect("delivered");
    assert_eq!(world.read::<u32>(KERNEL_ESP - 12), interrupted);
    assert_eq!(world.regs.rflags, u64::from(FLAGS | eflags::DF | 1));
}

#[test]
fn only_a_gate_with_the_flag_masks_events_and_never_those_of_1_and_7() {
    for vector in [0, 1, 3, 7, 13, 14, 0x80] {
        for flag in [false, true] {
            let mut world = in_ring(3);
            world.vcpu().gates[usize::from(vector)]
                .flags
                .set(TrapFlags::MASK_EVENTS, flag);
            deliver_exception(&mut world.cx(), vector, None, None).expect("delivered");
            let masked = world.shared_u8(0, offset::EVTCHN_UPCALL_MASK) != 0;
            assert_eq!(masked, flag && vector != 1 && vector != 7, "vector {vector}");
        }
    }
}

#[test]
fn an_event_masks_events_and_leaves_the_pending_flag() {
    let mut world = in_ring(3);
    world
        .machine
        .store_u8(world.shared(0), offset::EVTCHN_UPCALL_PENDING, 1);
    deliver_event(&mut world.cx()).expect("delivered");
    assert_eq!(world.regs.rip, 0x51_0000);
    assert_eq!(world.regs.rsp, u64::from(KERNEL_ESP - 20));
    assert_eq!(world.shared_u8(0, offset::EVTCHN_UPCALL_MASK), 1);
    assert_eq!(world.shared_u8(0, offset::EVTCHN_UPCALL_PENDING), 1);
}

#[test]
fn failsafe_pushes_the_four_selectors_first_and_leaves_the_mask() {
    for (ring, words, top) in [(1, 7, INNER_ESP), (3, 9, KERNEL_ESP)] {
        let mut world = in_ring(ring);
        let segments = DataSegments {
            ds: 1,
            es: 2,
            fs: 3,
            gs: 4,
        };
        deliver_failsafe(&mut world.cx(), segments).expect("delivered");
        assert_eq!(world.regs.rsp, u64::from(top - words * 4));
        assert_eq!(world.read::<[u32; 5]>(top - words * 4), [1, 2, 3, 4, 0x40_0002]);
        assert_eq!(world.regs.rip, 0x52_0000);
        assert_eq!(world.shared_u8(0, offset::EVTCHN_UPCALL_MASK), 0);
    }
}

#[track_caller]
fn refused(
    mut world: World,
    why: CrashReason,
    deliver: impl FnOnce(&mut Context<'_, crate::testing::Machine>) -> Result<(), CrashReason>,
) {
    let before = world.snapshot();
    assert_eq!(deliver(&mut world.cx()), Err(why));
    world.assert_unchanged_since(&before);
}

/// Defect 18 of the old implementation: it jumped to offset 0.
#[test]
fn a_null_handler_is_refused_not_jumped_to() {
    let mut world = in_ring(3);
    world.vcpu().gates[6].address = 0;
    refused(world, CrashReason::NoHandler { vector: 6 }, |cx| {
        deliver_exception(cx, 6, None, None)
    });
    let mut world = in_ring(3);
    world.vcpu().event_callback.eip = 0;
    refused(world, CrashReason::NoEventCallback, deliver_event);
    let mut world = in_ring(3);
    world.vcpu().failsafe_callback.eip = 0;
    refused(world, CrashReason::FailsafeFailed, |cx| {
        deliver_failsafe(cx, DataSegments::default())
    });
}

#[test]
fn the_failsafe_handler_itself_has_no_failsafe() {
    let mut world = in_ring(3);
    deliver_failsafe(&mut world.cx(), DataSegments::default()).expect("the first one");
    refused(world, CrashReason::FailsafeFailed, |cx| {
        deliver_failsafe(cx, DataSegments::default())
    });
}

/// Defect 29: a bad stack is found at delivery, and is the guest's end only.
#[test]
fn a_stack_that_cannot_take_the_frame_is_refused() {
    let flat = Selector::FLAT_RING1_DS.raw();
    let bad = [
        // Unmapped, at the edge of a mapped page, across 0, into the hypervisor's range.
        (flat, 0x5000_0000),
        (flat, 0x8_0004),
        (flat, 0),
        (flat, 4),
        (flat, 19),
        (flat, HV_START + 4),
        (flat, u32::MAX),
        // Selectors that ring 1 cannot have in SS.
        (0, KERNEL_ESP),
        (1, KERNEL_ESP),
        (Selector::FLAT_RING1_CS.raw(), KERNEL_ESP),
        (Selector::FLAT_RING3_DS.raw(), KERNEL_ESP),
        (0xE012, KERNEL_ESP),
        (0x0009, KERNEL_ESP),
        (0x000D, KERNEL_ESP),
    ];
    for (ss, esp) in bad {
        let mut world = in_ring(3);
        world.vcpu().kernel_ss = ss;
        world.vcpu().kernel_esp = esp;
        refused(world, CrashReason::BadKernelStack { ss, esp }, |cx| {
            deliver_exception(cx, 6, None, None)
        });
    }
    let mut world = in_ring(1);
    world.regs.rsp = 8;
    refused(world, CrashReason::BadKernelStack { ss: flat, esp: 8 }, |cx| {
        deliver_exception(cx, 14, Some(0), Some(0))
    });
}

#[test]
fn a_read_only_stack_is_refused() {
    let mut world = in_ring(3);
    world.protect(KERNEL_ESP - 4096);
    let why = CrashReason::BadKernelStack {
        ss: 0xE021,
        esp: KERNEL_ESP,
    };
    refused(world, why, |cx| deliver_exception(cx, 6, None, None));
}

/// A GDT of one page with `descriptor` as entry 5 (selector 0x29), and the kernel stack on it.
fn with_segment(descriptor: u64, esp: u32) -> World {
    let mut world = in_ring(3);
    let frame = world.mmu().take_own_frame().expect("a frame");
    world.machine.write_entry(frame, 5, descriptor);
    let vcpu = world.vcpu();
    vcpu.gdt_frames[0] = Some(frame);
    vcpu.gdt_entries = 6;
    vcpu.kernel_ss = 0x29;
    vcpu.kernel_esp = esp;
    world
}

#[test]
fn a_stack_of_the_guests_own_segment_is_used_by_base_and_limit() {
    // Base 0x80000, limit 0xFFF bytes, ring-1 writable data.
    let mut world = with_segment(0x0040_B208_0000_0FFF, 0x1000);
    deliver_exception(&mut world.cx(), 6, None, None).expect("fits exactly");
    assert_eq!(world.regs.rsp, 0xFEC);
    assert_eq!(world.regs.ss, 0x29);
    assert_eq!(world.read::<u32>(0x8_0FEC), 0x40_0002);
}

#[test]
fn a_segment_that_cannot_be_a_ring_1_stack_is_refused() {
    let bad = [
        (0x0040_B208_0000_0FFF, 0x1004, "beyond the limit"),
        (0x0040_F208_0000_0FFF, 0x1000, "level 3"),
        (0x0040_3208_0000_0FFF, 0x1000, "not present"),
        (0x0040_B008_0000_0FFF, 0x1000, "read-only"),
        (0x0040_BA08_0000_0FFF, 0x1000, "code"),
        (0x0040_A208_0000_0FFF, 0x1000, "system"),
        (0x0000_B208_0000_0FFF, 0x1000, "16-bit"),
        (0xFC40_B200_0000_0FFF, 0x1000, "in the hypervisor's range"),
        (0, 0x1000, "null"),
    ];
    for (descriptor, esp, what) in bad {
        let mut world = with_segment(descriptor, esp);
        let before = world.snapshot();
        let result = deliver_exception(&mut world.cx(), 6, None, None);
        assert_eq!(
            result,
            Err(CrashReason::BadKernelStack { ss: 0x29, esp }),
            "{what}"
        );
        world.assert_unchanged_since(&before);
    }
    // An entry beyond the registered length does not count, good as it may be.
    let mut world = with_segment(0x0040_B208_0000_0FFF, 0x1000);
    world.vcpu().gdt_entries = 5;
    refused(
        world,
        CrashReason::BadKernelStack {
            ss: 0x29,
            esp: 0x1000,
        },
        |cx| deliver_exception(cx, 6, None, None),
    );
}

proptest! {
    #[test]
    fn whatever_is_registered_the_way_back_is_harmless(
        ring in prop::sample::select(vec![1u64, 2, 3]),
        eip: u32, esp: u32, ss: u16, flags: u32, handler_cs: u16, handler_eip: u32, descriptor: u64,
        flat: bool, near in 0u32..0x2000, is_near: bool,
        error: Option<u32>, cr2: Option<u32>,
    ) {
        let mut world = with_segment(descriptor, 0);
        let esp = if is_near { 0x7_F800 + near } else { esp };
        let ss = if flat { 0xE021 } else if ss & 1 == 0 { 0x29 } else { ss };
        world.regs.cs = 0x18 | ring;
        world.regs.rip = eip.into();
        world.regs.rflags = flags.into();
        world.regs.rsp = esp.into();
        world.regs.ss = ss.into();
        let vcpu = world.vcpu();
        (vcpu.kernel_ss, vcpu.kernel_esp) = (ss, esp);
        vcpu.gates[40].cs = Selector::new(handler_cs & !3 | 1);
        vcpu.gates[40].address = handler_eip | 1;
        let before = world.regs;
        match deliver_exception(&mut world.cx(), 40, error, cr2) {
            Err(why) => {
                prop_assert_eq!(why, CrashReason::BadKernelStack { ss, esp });
                prop_assert_eq!(world.regs, before);
            }
            Ok(()) => {
                let r = world.regs;
                prop_assert_eq!(r.cs & 3, 1);
                prop_assert_eq!(r.ss & 3, 1);
                prop_assert!(r.rflags as u32 & eflags::IF != 0);
                prop_assert_eq!(
                    r.rflags as u32 & (eflags::IOPL | eflags::NT | eflags::VM | eflags::TF | eflags::RF), 0);
                for register in [r.rip, r.cs, r.rsp, r.ss, r.rflags] {
                    prop_assert!(u32::try_from(register).is_ok());
                }
                if flat {
                    prop_assert!(in_guest_range(r.rsp as u32, esp.wrapping_sub(r.rsp as u32)));
                }
            }
        }
    }
}
