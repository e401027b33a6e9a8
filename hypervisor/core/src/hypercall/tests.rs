use super::*;
use crate::{
    domain::DomId,
    mock::{ARGS, INNER_ESP, KERNEL_ESP, World},
    outcome::CrashReason,
    platform::{CpuControl, FastTrap},
    sched::Held,
    segment::check_code_selector,
    vcpu::CodePointer,
};
use guest_abi::{
    addr::HV_START,
    debugreg::dr6,
    errno::Errno,
    hypercall::CallNumber,
    multicall::MulticallEntry,
    segment::Selector,
    trap::{TrapFlags, TrapInfo},
    version::{EXTRAVERSION, FeatureInfo, Features},
};
use proptest::prelude::*;

const FLAT: Selector = Selector::FLAT_RING1_CS;

fn trap(vector: u8, flags: u8, cs: Selector, address: u32) -> TrapInfo {
    TrapInfo {
        vector,
        flags: TrapFlags::from_bits_retain(flags),
        cs,
        address,
    }
}

/// Defect 3: the number was masked with 31.
#[test]
fn a_number_beyond_the_table_is_no_alias() {
    let mut world = World::new();
    for number in [23, 31, 32, 32 + 17, 255, 0x8000_0011, u32::MAX] {
        world.refused(number, [0; 5], Errno::NoSys);
    }
    assert_eq!(world.hv.calls.unknown, 7);
    assert_eq!(unknown(&mut world.hv), Errno::NoSys.to_eax());
    assert_eq!(world.hv.calls.unknown, 8);
}

#[test]
fn calls_are_counted_with_their_refusals() {
    let mut world = World::new();
    world.call(17, [0; 5]);
    world.call(17, [99, 0, 0, 0, 0]);
    let row = world.hv.calls.rows().find(|(name, ..)| *name == "xen_version");
    assert_eq!(row, Some(("xen_version", 1, 1)));
    assert_eq!(world.hv.calls.rows().count(), CallNumber::COUNT);
    // The thunk of a call counts like the dispatcher.
    assert_eq!(call::<_, 17>(&mut world.cx(), [0; 5]), 0x0002_0000);
    assert_eq!(world.hv.calls.made[17], 3);
}

#[test]
fn a_trap_table_is_merged_up_to_its_terminator() {
    let mut world = World::new();
    let before = world.vcpu().clone();
    let local = Selector::new(0x000D);
    let table = [
        trap(3, 3, FLAT, 0x1000),
        trap(0x80, 0xFC | 3, local, 0x2000),
        TrapInfo::default(),
        trap(5, 0, FLAT, 1),
    ];
    world.write(ARGS, &table);
    assert_eq!(world.call(0, [ARGS, 0, 0, 0, 0]), 0);
    let mut expected = before;
    expected.gates[3] = table[0];
    expected.gates[0x80] = table[1];
    assert!(table[1].flags.contains(TrapFlags::MASK_EVENTS) && table[1].flags.dpl() == 3);
    assert_eq!(*world.vcpu(), expected);
}

#[test]
fn a_trap_table_keeps_what_came_before_a_bad_entry() {
    for bad in [
        Selector::NULL,
        Selector::FLAT_RING3_CS,
        Selector::new(0xE008),
        Selector::new(0xE021),
    ] {
        let mut world = World::new();
        world.write(
            ARGS,
            &[
                trap(3, 3, FLAT, 0x1000),
                trap(4, 3, bad, 0x1000),
                TrapInfo::default(),
            ],
        );
        assert_eq!(world.call(0, [ARGS, 0, 0, 0, 0]), Errno::Perm.to_eax());
        assert_eq!(world.vcpu().gates[3].address, 0x1000);
        assert_eq!(world.vcpu().gates[4].address, 0x50_0004);
    }
}

#[test]
fn a_trap_table_outside_the_guest_is_refused() {
    let mut world = World::new();
    for at in [0, HV_START, HV_START - 4, u32::MAX - 3, 0x7000_0000] {
        world.refused(0, [at, 0, 0, 0, 0], Errno::Fault);
    }
    // Half of the entry is unmapped.
    world.refused(0, [ARGS + 0x1FFC, 0, 0, 0, 0], Errno::Fault);
    // Unaligned is no reason to refuse.
    world.write(ARGS + 1, &[trap(3, 3, FLAT, 0x1000), TrapInfo::default()]);
    assert_eq!(world.call(0, [ARGS + 1, 0, 0, 0, 0]), 0);
}

#[test]
fn a_long_trap_table_pauses_and_goes_on() {
    let mut world = World::new();
    let mut table: Vec<TrapInfo> = (0..300u32).map(|n| trap(n as u8, 0, FLAT, n + 1)).collect();
    table.push(TrapInfo::default());
    for (n, entry) in table.iter().enumerate() {
        world.write(ARGS + n as u32 * 8, entry);
    }
    world.machine.calm.set(Some(1));
    let rip = world.regs.rip;
    assert_eq!(
        world.call(0, [ARGS, 0, 0, 0, 0]),
        0,
        "EAX holds the number of the call to repeat"
    );
    assert_eq!(world.regs.rip, rip - 2);
    assert_eq!(world.regs.rbx, u64::from(ARGS + 256 * 8));
    assert_eq!(world.vcpu().gates[255].address, 256);
    assert_eq!(world.vcpu().gates[0].address, 1);
    world.machine.calm.set(None);
    assert_eq!(world.call(0, [world.regs.rbx as u32, 0, 0, 0, 0]), 0);
    assert_eq!(world.regs.rip, rip - 2);
    assert_eq!(world.vcpu().gates[0].address, 257);
    assert_eq!(world.vcpu().gates[299 - 256].address, 300);
}

#[test]
fn stack_switch_looks_at_the_rpl_only() {
    let mut world = World::new();
    assert_eq!(world.call(3, [0xE021, 0x1234, 0, 0, 0]), 0);
    assert_eq!(
        (world.vcpu().kernel_ss, world.vcpu().kernel_esp),
        (0xE021, 0x1234)
    );
    for ss in [0, 0xE010, 0x0028] {
        world.refused(3, [ss, 0x5678, 0, 0, 0], Errno::Perm);
    }
}

#[test]
fn callbacks_need_two_good_selectors() {
    let mut world = World::new();
    assert_eq!(world.call(4, [0xE019, 0x10, 0x0029, 0x20, 0]), 0);
    assert_eq!(
        world.vcpu().event_callback,
        CodePointer {
            cs: 0xE019,
            eip: 0x10
        }
    );
    assert_eq!(
        world.vcpu().failsafe_callback,
        CodePointer {
            cs: 0x0029,
            eip: 0x20
        }
    );
    world.refused(4, [0xE008, 1, 0xE019, 2, 0], Errno::Perm);
    world.refused(4, [0xE019, 1, 0xE02B, 2, 0], Errno::Perm);
}

#[test]
fn a_fast_trap_is_a_snapshot_of_its_gate() {
    let mut world = World::new();
    world.vcpu().gates[0x80].flags = TrapFlags::with_dpl(3);
    assert_eq!(world.call(11, [0x80, 0, 0, 0, 0]), 0);
    let armed = Some(FastTrap {
        vector: 0x80,
        dpl: 3,
        cs: 0xE019,
        eip: 0x50_0080,
    });
    assert_eq!(world.machine.fast_trap.get(), armed);
    world.vcpu().gates[0x80].address = 1;
    assert_eq!(world.machine.fast_trap.get(), armed);
    assert_eq!(world.call(11, [0x2F, 0, 0, 0, 0]), 0);
    assert_eq!(
        world.machine.fast_trap.get().map(|t| t.vector),
        Some(0x2F),
        "one at a time"
    );
    assert_eq!(world.call(11, [0; 5]), 0);
    assert_eq!(world.machine.fast_trap.get(), None);
}

#[test]
fn what_cannot_be_a_fast_trap() {
    let mut world = World::new();
    for vector in [
        1,
        3,
        14,
        0x1F,
        0x30,
        0x7F,
        0x81,
        0x82,
        0xFF,
        0x100,
        0x180,
        u32::MAX,
    ] {
        world.refused(11, [vector, 0, 0, 0, 0], Errno::Inval);
    }
    world.vcpu().gates[0x80].flags = TrapFlags::MASK_EVENTS;
    world.refused(11, [0x80, 0, 0, 0, 0], Errno::Inval);
    world.vcpu().gates[0x20].address = 0;
    world.refused(11, [0x20, 0, 0, 0, 0], Errno::Inval);
}

#[test]
fn the_fast_trap_is_armed_only_over_a_stack_its_stub_can_write() {
    let mut world = World::new();
    world.call(11, [0x80, 0, 0, 0, 0]);
    for (ss, esp, armed) in [
        (0xE021, KERNEL_ESP, true),
        (0xE021, 0, false),
        (0xE021, 19, false),
        (0xE021, 20, true),
        (0xE021, HV_START, true),
        (0xE021, HV_START + 1, false),
        (0x0029, KERNEL_ESP, false),
        (0xE033, KERNEL_ESP, false),
        (0xE021, KERNEL_ESP, true),
    ] {
        assert_eq!(world.call(3, [ss, esp, 0, 0, 0]), 0);
        assert_eq!(world.machine.fast_trap.get().is_some(), armed, "{ss:x}:{esp:x}");
    }
    // Asked for while the stack is bad, armed when it becomes good.
    world.call(3, [0xE021, 0, 0, 0, 0]);
    world.call(11, [0x21, 0, 0, 0, 0]);
    assert_eq!(world.machine.fast_trap.get(), None);
    world.call(3, [0xE021, KERNEL_ESP, 0, 0, 0]);
    assert_eq!(world.machine.fast_trap.get().map(|t| t.vector), Some(0x21));
}

#[test]
fn debug_registers_refuse_what_reaches_the_hypervisor() {
    let mut world = World::new();
    for register in 0..4 {
        assert_eq!(world.call(8, [register, 0xFBFF_FFFC, 0, 0, 0]), 0);
        for address in [HV_START - 3, HV_START, 0xFC3F_FFFC, u32::MAX] {
            world.refused(8, [register, address, 0, 0, 0], Errno::Perm);
        }
    }
    for dr7 in [1 << 13, 2 << 16, 2 << 18, 2 << 30] {
        world.refused(8, [7, dr7, 0, 0, 0], Errno::Perm);
    }
    for register in [4, 5, 8, u32::MAX] {
        world.refused(8, [register, 0, 0, 0, 0], Errno::Inval);
    }
}

#[test]
fn debug_registers_are_loaded_while_dr7_is_on() {
    let mut world = World::new();
    world.call(8, [0, 0x1000, 0, 0, 0]);
    assert_eq!(world.machine.debug_registers.get(), [0; 8]);
    world.call(8, [7, 1, 0, 0, 0]);
    assert_eq!(
        world.machine.debug_registers.get(),
        [0x1000, 0, 0, 0, 0, 0, dr6::ALWAYS_ONE, 0x401]
    );
    world.call(8, [1, 0x2000, 0, 0, 0]);
    assert_eq!(world.machine.debug_registers.get()[1], 0x2000);
    world.call(8, [7, 0, 0, 0, 0]);
    assert_eq!(world.machine.debug_registers.get()[7], 0);
}

/// Defect 26: an error could not be told from a value.
#[test]
fn get_debugreg_tells_value_and_status_apart() {
    let mut world = World::new();
    world.vcpu().debug_registers[2] = Errno::Inval.to_eax();
    assert_eq!(world.call(9, [2, 0, 0, 0, 0]), Errno::Inval.to_eax());
    assert_eq!(world.regs.rbx, 0);
    assert_eq!(world.call(9, [4, 0, 0, 0, 0]), 0);
    for register in [8, u32::MAX] {
        assert_eq!(world.call(9, [register, 0, 0, 0, 0]), Errno::Inval.to_eax());
        assert_eq!(world.regs.rbx, u64::from(Errno::Inval.to_eax()));
    }
}

#[test]
fn sched_op_refuses_what_it_does_not_know() {
    let mut world = World::new();
    for op in [3, 0xFF, 0x103] {
        world.refused(6, [op, 0, 0, 0, 0], Errno::NoSys);
    }
    world.refused(6, [0x1_0000, 0, 0, 0, 0], Errno::Inval);
}

#[test]
fn version_text_and_features() {
    let mut world = World::new();
    assert_eq!(world.call(17, [0, 0xFFFF_FFFF, 0, 0, 0]), 0x0002_0000);
    assert_eq!(world.call(17, [1, ARGS, 0, 0, 0]), 0);
    assert_eq!(world.read::<[u8; 16]>(ARGS), EXTRAVERSION);
    world.write(ARGS, &FeatureInfo::default());
    assert_eq!(world.call(17, [6, ARGS, 0, 0, 0]), 0);
    let features = world.read::<FeatureInfo>(ARGS).submap;
    assert!(features.contains(Features::DOM0 | Features::WRITABLE_PAGE_TABLES));
    assert!(!features.contains(Features::EXIT_ON_SHUTDOWN));
    world.write(
        ARGS,
        &FeatureInfo {
            submap_idx: 1,
            ..FeatureInfo::default()
        },
    );
    world.refused(17, [6, ARGS, 0, 0, 0], Errno::Inval);
    world.refused(17, [1, HV_START - 8, 0, 0, 0], Errno::Fault);
    world.refused(17, [6, 0, 0, 0, 0], Errno::Fault);
    for command in [2, 5, 7, u32::MAX] {
        world.refused(17, [command, ARGS, 0, 0, 0], Errno::NoSys);
    }
}

#[test]
fn vm_assist_has_one_type() {
    let mut world = World::new();
    assert_eq!(world.call(21, [0, 2, 0, 0, 0]), 0);
    assert_eq!(world.domain(0).vm_assist, 4);
    assert_eq!(world.call(21, [1, 2, 0, 0, 0]), 0);
    assert_eq!(world.domain(0).vm_assist, 0);
    for (command, kind, error) in [
        (2, 2, Errno::NoSys),
        (0, 0, Errno::NoSys),
        (1, 1, Errno::NoSys),
        (0, 3, Errno::Inval),
        (1, u32::MAX, Errno::Inval),
    ] {
        world.refused(21, [command, kind, 0, 0, 0], error);
    }
}

/// Defect 27: the right was domain 0's number, not privilege.
#[test]
fn the_console_is_for_the_privileged_whatever_their_number() {
    let mut world = World::new();
    world.write(ARGS, b"hello");
    assert_eq!(world.call(18, [0, 5, ARGS, 0, 0]), 5);
    assert_eq!(*world.machine.output.borrow(), b"hello");
    world.hv.current = world.add_domain(DomId(3), true);
    assert_eq!(world.call(18, [0, 5, ARGS, 0, 0]), 5);
    world.hv.current = world.add_domain(DomId(4), false);
    world.refused(18, [0, 5, ARGS, 0, 0], Errno::Perm);
    world.hv.current = 0;
    world.domain(0).is_privileged = false;
    world.refused(18, [1, 5, ARGS, 0, 0], Errno::Perm);
}

#[test]
fn console_output_is_cut_to_what_can_be_read() {
    let mut world = World::new();
    assert_eq!(world.call(18, [0, 10_000, ARGS, 0, 0]), 4095);
    assert_eq!(world.machine.output.borrow().len(), 4095);
    // Only the first chunk of 256 bytes is mapped as a whole.
    assert_eq!(world.call(18, [0, 1000, ARGS + 0x2000 - 300, 0, 0]), 256);
    world.refused(18, [0, 1000, ARGS + 0x2000 - 100, 0, 0], Errno::Fault);
    world.refused(18, [0, 4095, HV_START - 100, 0, 0], Errno::Fault);
    world.refused(18, [2, 1, ARGS, 0, 0], Errno::NoSys);
    assert_eq!(world.call(18, [0, 0, 0, 0, 0]), 0);
}

#[test]
fn console_input_is_not_lost_when_it_cannot_be_given() {
    let mut world = World::new();
    world.machine.input.borrow_mut().extend(b"abc");
    world.refused(18, [1, 10, 0x7000_0000, 0, 0], Errno::Fault);
    world.machine.map(0x90, false);
    world.refused(18, [1, 10, INNER_ESP - 100, 0, 0], Errno::Fault);
    world.write(ARGS, b"????");
    assert_eq!(world.call(18, [1, 2, ARGS, 0, 0]), 2);
    assert_eq!(world.call(18, [1, 10, ARGS + 2, 0, 0]), 1);
    assert_eq!(world.read::<[u8; 4]>(ARGS), *b"abc?");
    assert_eq!(world.call(18, [1, 10, ARGS, 0, 0]), 0);
}

#[test]
fn set_timer_op_takes_the_high_word_first() {
    let mut world = World::new();
    assert_eq!(world.call(15, [1, 2, 0, 0, 0]), 0);
    assert_eq!(world.vcpu().timer_deadline_ns, 0x1_0000_0002);
    assert_eq!(world.machine.timer.get(), Some(0x1_0000_0002));
}

fn batch(world: &World, calls: &[(u32, Args)]) {
    for (n, &(number, args)) in calls.iter().enumerate() {
        world.write(
            ARGS + n as u32 * 32,
            &MulticallEntry::new(CallNumber::new(number), args),
        );
    }
}

fn results(world: &World, count: u32) -> Vec<u32> {
    (0..count)
        .map(|n| world.read::<MulticallEntry>(ARGS + n * 32).result())
        .collect()
}

const VERSION: (u32, Args) = (17, [0; 5]);

#[test]
fn every_call_of_a_batch_is_run_and_has_its_result_in_its_entry() {
    let mut world = World::new();
    batch(
        &world,
        &[
            VERSION,
            (99, [0; 5]),
            (3, [0, 1, 0, 0, 0]),
            (3, [0xE021, 0x3000, 0, 0, 0]),
            VERSION,
        ],
    );
    assert_eq!(world.call(13, [ARGS, 5, 0, 0, 0]), 0);
    let expected = [0x2_0000, Errno::NoSys.to_eax(), Errno::Perm.to_eax(), 0, 0x2_0000];
    assert_eq!(results(&world, 5), expected);
    assert_eq!(world.vcpu().kernel_esp, 0x3000);
    let entry: MulticallEntry = world.read(ARGS + 3 * 32);
    assert_eq!(
        (entry.args[..5].to_vec(), entry.args[6]),
        (vec![0xE021, 0x3000, 0, 0, 0], 0)
    );
    assert_eq!(
        (
            world.hv.calls.made[17],
            world.hv.calls.made[3],
            world.hv.calls.refused[3]
        ),
        (2, 2, 1)
    );
}

#[test]
fn a_batch_outside_the_guest_is_refused_before_anything_runs() {
    let mut world = World::new();
    batch(&world, &[(3, [0xE021, 0x3000, 0, 0, 0])]);
    for (at, count) in [
        (HV_START - 16, 1),
        (ARGS, 0x0800_0000),
        (ARGS, u32::MAX),
        (HV_START, 1),
        (0x7000_0000, 1),
    ] {
        world.refused(13, [at, count, 0, 0, 0], Errno::Fault);
    }
    assert_eq!(world.call(13, [u32::MAX, 0, 0, 0, 0]), 0, "nothing to do");
}

#[test]
fn a_batch_in_a_batch_is_refused_and_the_rest_goes_on() {
    let mut world = World::new();
    batch(&world, &[(13, [ARGS, 3, 0, 0, 0]), VERSION]);
    assert_eq!(world.call(13, [ARGS, 2, 0, 0, 0]), 0);
    assert_eq!(results(&world, 2), [Errno::Inval.to_eax(), 0x2_0000]);
    assert_eq!((world.hv.calls.made[13], world.hv.calls.refused[13]), (2, 1));
}

#[test]
fn a_batch_pauses_between_entries_and_goes_on_there() {
    // An empty table: a call of the kind that may be long.
    let empty = (0, [ARGS + 0x1000, 0, 0, 0, 0]);
    let mut world = World::new();
    batch(&world, &[empty, VERSION, empty, VERSION]);
    for n in 0..4 {
        world.write(ARGS + n * 32 + 24, &0xDEAD_u32);
    }
    world.machine.calm.set(Some(1));
    let rip = world.regs.rip;
    assert_eq!(world.call(13, [ARGS, 4, 0, 0, 0]), 13);
    assert_eq!(
        (world.regs.rip, world.regs.rbx, world.regs.rcx),
        (rip - 2, u64::from(ARGS + 96), 1)
    );
    assert_eq!(results(&world, 4), [0, 0x2_0000, 0, 0xDEAD]);
    world.machine.calm.set(None);
    world.call(13, [ARGS + 96, 1, 0, 0, 0]);
    assert_eq!(results(&world, 4), [0, 0x2_0000, 0, 0x2_0000]);
}

#[test]
fn many_short_calls_pause_too() {
    let mut world = World::new();
    batch(&world, &[VERSION; 40]);
    world.machine.calm.set(Some(0));
    assert_eq!(world.call(13, [ARGS, 40, 0, 0, 0]), 13);
    assert_eq!((world.regs.rbx, world.regs.rcx), (u64::from(ARGS + 8 * 32), 32));
    assert_eq!(world.call(13, [ARGS + 8 * 32, 32, 0, 0, 0]), 13);
    assert_eq!((world.regs.rbx, world.regs.rcx), (u64::from(ARGS + 24 * 32), 16));
    assert_eq!(
        world.call(13, [ARGS + 24 * 32, 16, 0, 0, 0]),
        0,
        "the last one ends the batch, whatever is pending"
    );
    assert_eq!(results(&world, 40), [0x2_0000; 40]);
}

#[test]
fn a_call_that_pauses_inside_a_batch_has_its_arguments_rewritten_there() {
    let mut world = World::new();
    for n in 0..200 {
        world.write(ARGS + 0x400 + n * 8, &trap(n as u8, 0, FLAT, n + 1));
    }
    world.write(ARGS + 0x400 + 200 * 8, &TrapInfo::default());
    batch(&world, &[VERSION, (0, [ARGS + 0x400, 7, 0, 0, 0]), VERSION]);
    world.machine.calm.set(Some(0));
    assert_eq!(world.call(13, [ARGS, 3, 0, 0, 0]), 13);
    assert_eq!((world.regs.rbx, world.regs.rcx), (u64::from(ARGS + 32), 2));
    let entry: MulticallEntry = world.read(ARGS + 32);
    assert_eq!(entry.args[0], ARGS + 0x400 + 128 * 8);
    world.machine.calm.set(None);
    world.call(13, [ARGS + 32, 2, 0, 0, 0]);
    assert_eq!(results(&world, 3), [0x2_0000, 0, 0x2_0000]);
    assert_eq!(world.vcpu().gates[199].address, 200);
}

/// Defect 4: yield or block in a batch lost the batch.
#[test]
fn a_batch_that_yields_or_blocks_finishes_the_entry_and_goes_on_behind_it() {
    for (command, held) in [(0, Held::empty()), (1, Held::BLOCKED)] {
        let mut world = World::new();
        world.add_domain(DomId(1), false);
        batch(&world, &[VERSION, (6, [command, 0, 0, 0, 0]), VERSION]);
        world.write(ARGS + 32 + 24, &0xDEAD_BEEF_u32);
        let rip = world.regs.rip;
        assert_eq!(world.call(13, [ARGS, 3, 0, 0, 0]), 13);
        assert_eq!(
            (world.regs.rip, world.regs.rbx, world.regs.rcx),
            (rip - 2, u64::from(ARGS + 64), 1)
        );
        assert_eq!(results(&world, 3), [0x2_0000, 0, 0]);
        assert!(world.hv.sched.wants_pick && world.machine.exit_work.get());
        assert_eq!(world.domain(0).run.held, held);
        world.call(13, [ARGS + 64, 1, 0, 0, 0]);
        assert_eq!(results(&world, 3), [0x2_0000, 0, 0x2_0000]);

        // As the last entry it ends the batch.
        let mut world = World::new();
        world.add_domain(DomId(1), false);
        batch(&world, &[(6, [command, 0, 0, 0, 0])]);
        assert_eq!(world.call(13, [ARGS, 1, 0, 0, 0]), 0);
        assert_eq!(world.regs.rip, rip);
        assert!(world.hv.sched.wants_pick);
    }
}

#[test]
fn a_batch_that_yields_to_nobody_just_goes_on() {
    let mut world = World::new();
    batch(&world, &[(6, [0; 5]), VERSION]);
    world.write(ARGS + 24, &0xDEAD_BEEF_u32);
    assert_eq!(world.call(13, [ARGS, 2, 0, 0, 0]), 0);
    assert_eq!(results(&world, 2), [0, 0x2_0000]);
}

#[test]
fn a_shutdown_in_a_batch_ends_it() {
    let mut world = World::new();
    batch(
        &world,
        &[(6, [0x102, 0, 0, 0, 0]), (3, [0xE021, 0x3000, 0, 0, 0])],
    );
    world.call(13, [ARGS, 2, 0, 0, 0]);
    assert_eq!(world.domain(0).run.held, Held::SHUTDOWN);
    assert_eq!(world.vcpu().kernel_esp, KERNEL_ESP);
}

#[test]
fn an_outcome_becomes_registers_in_one_place() {
    let mut world = World::new();
    world.regs.rip = 1;
    assert_eq!(
        finish(&mut world.cx(), 13, Ok(Outcome::Again([1, 2, 3, 4, 5]))),
        13
    );
    let r = world.regs;
    assert_eq!((r.rbx, r.rcx, r.rdx, r.rsi, r.rdi), (1, 2, 3, 4, 5));
    assert_eq!(r.rip, 0xFFFF_FFFF, "32 bits, as the guest's own arithmetic");
    assert_eq!(finish(&mut world.cx(), 1, Ok(Outcome::Return(77))), 77);
    let crash = CrashReason::NoHandler { vector: 1 };
    finish(&mut world.cx(), 1, Ok(Outcome::Crash(crash)));
    assert_eq!(world.domain(0).run.held, Held::CRASHED);
}

#[test]
fn fpu_taskswitch_sets_ts() {
    let mut world = World::new();
    world.machine.set_task_switched(false);
    assert_eq!(world.call(5, [0; 5]), 0);
    assert!(world.machine.task_switched.get() && world.vcpu().fpu_trap_armed);
}

/// Defect 21: the call was a stub over code that did not work; here it is refused until it exists.
#[test]
fn grant_tables_are_refused_whatever_is_asked() {
    let mut world = World::new();
    for command in 0..8 {
        world.refused(20, [command, ARGS, 1, 0, 0], Errno::NoSys);
    }
}

/// Everything a guest can register about its CPU is still what its checks admit.
#[track_caller]
fn check_registered(world: &mut World) {
    let vcpu = world.vcpu().clone();
    for gate in &vcpu.gates {
        assert!(check_code_selector(gate.cs).is_ok(), "{gate:?}");
    }
    for callback in [vcpu.event_callback, vcpu.failsafe_callback] {
        assert!(check_code_selector(Selector::new(callback.cs)).is_ok());
    }
    assert_ne!(vcpu.kernel_ss & 3, 0);
    assert!(
        vcpu.debug_registers[..4]
            .iter()
            .all(|&address| address < HV_START)
    );
    assert_eq!(vcpu.debug_registers[4..6], [0, 0]);
    let armed = world.machine.fast_trap.get();
    assert_eq!(armed, vcpu.armed_fast_trap());
    if let Some(trap) = armed {
        assert!(trap.eip != 0 && check_code_selector(Selector::new(trap.cs)).is_ok());
        assert_eq!(vcpu.kernel_ss, Selector::FLAT_RING1_DS.raw());
        assert!((20..=HV_START).contains(&vcpu.kernel_esp));
    }
    if armed.is_some() {
        let told = world.machine.kernel_stack.get();
        assert_eq!(told, (vcpu.kernel_ss, vcpu.kernel_esp));
    }
    assert_eq!(world.machine.task_switched.get(), vcpu.fpu_trap_armed);
    assert_eq!(world.domain(0).vm_assist & !4, 0);
}

/// An argument: small, a selector, an address in or near the mapped pages, near the hypervisor, or anything.
fn argument() -> impl Strategy<Value = u32> {
    prop_oneof![
        0u32..40,
        prop::sample::select(vec![
            0xE019u32, 0xE021, 0xE02B, 0xE033, 0xE008, 0x29, 0x2D, 0x80, 0x82
        ]),
        ARGS - 16..ARGS + 0x2010,
        HV_START - 16..HV_START + 16,
        any::<u32>(),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_calls_leaves_something_registered_that_no_call_would_take(
        page in prop::collection::vec(argument(), 64),
        calls in prop::collection::vec((0u32..24, prop::array::uniform5(argument())), 1..60),
    ) {
        let mut world = World::new();
        world.call(3, [0xE021, KERNEL_ESP, 0, 0, 0]);
        for (n, word) in page.iter().enumerate() {
            world.write(ARGS + n as u32 * 4, word);
        }
        for (number, args) in calls {
            world.machine.calm.set(Some(3));
            world.call(number, args);
            check_registered(&mut world);
            if world.hv.sched.end.is_some() {
                break;
            }
        }
    }
}
