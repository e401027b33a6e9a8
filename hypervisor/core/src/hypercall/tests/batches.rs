//! Call 13.

use super::{
    traps::{FLAT, trap},
    *,
};

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
    let mut world = World::running();
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
    assert_eq!(world.hypercall(13, [ARGS, 5, 0, 0, 0]), 0);
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
    let mut world = World::running();
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
    assert_eq!(world.hypercall(13, [u32::MAX, 0, 0, 0, 0]), 0, "nothing to do");
}

#[test]
fn a_batch_in_a_batch_is_refused_and_the_rest_goes_on() {
    let mut world = World::running();
    batch(&world, &[(13, [ARGS, 3, 0, 0, 0]), VERSION]);
    assert_eq!(world.hypercall(13, [ARGS, 2, 0, 0, 0]), 0);
    assert_eq!(results(&world, 2), [Errno::Inval.to_eax(), 0x2_0000]);
    assert_eq!((world.hv.calls.made[13], world.hv.calls.refused[13]), (2, 1));
}

#[test]
fn a_batch_pauses_between_entries_and_goes_on_there() {
    // An empty table: a call of the kind that may be long.
    let empty = (0, [ARGS + 0x1000, 0, 0, 0, 0]);
    let mut world = World::running();
    batch(&world, &[empty, VERSION, empty, VERSION]);
    for n in 0..4 {
        world.write(ARGS + n * 32 + 24, &0xDEAD_u32);
    }
    world.machine.work.set(Work::After(1));
    let rip = world.regs.rip;
    assert_eq!(world.hypercall(13, [ARGS, 4, 0, 0, 0]), 13);
    assert_eq!(
        (world.regs.rip, world.regs.rbx, world.regs.rcx),
        (rip - 2, u64::from(ARGS + 96), 1)
    );
    assert_eq!(results(&world, 4), [0, 0x2_0000, 0, 0xDEAD]);
    world.machine.work.set(Work::Never);
    world.hypercall(13, [ARGS + 96, 1, 0, 0, 0]);
    assert_eq!(results(&world, 4), [0, 0x2_0000, 0, 0x2_0000]);
}

#[test]
fn many_short_calls_pause_too() {
    let mut world = World::running();
    batch(&world, &[VERSION; 40]);
    world.machine.work.set(Work::After(0));
    assert_eq!(world.hypercall(13, [ARGS, 40, 0, 0, 0]), 13);
    assert_eq!((world.regs.rbx, world.regs.rcx), (u64::from(ARGS + 8 * 32), 32));
    assert_eq!(world.hypercall(13, [ARGS + 8 * 32, 32, 0, 0, 0]), 13);
    assert_eq!((world.regs.rbx, world.regs.rcx), (u64::from(ARGS + 24 * 32), 16));
    assert_eq!(
        world.hypercall(13, [ARGS + 24 * 32, 16, 0, 0, 0]),
        0,
        "the last one ends the batch, whatever is pending"
    );
    assert_eq!(results(&world, 40), [0x2_0000; 40]);
}

#[test]
fn a_call_that_pauses_inside_a_batch_has_its_arguments_rewritten_there() {
    let mut world = World::running();
    for n in 0..200 {
        world.write(ARGS + 0x400 + n * 8, &trap(n as u8, 0, FLAT, n + 1));
    }
    world.write(ARGS + 0x400 + 200 * 8, &TrapInfo::default());
    batch(&world, &[VERSION, (0, [ARGS + 0x400, 7, 0, 0, 0]), VERSION]);
    world.machine.work.set(Work::After(0));
    assert_eq!(world.hypercall(13, [ARGS, 3, 0, 0, 0]), 13);
    assert_eq!((world.regs.rbx, world.regs.rcx), (u64::from(ARGS + 32), 2));
    let entry: MulticallEntry = world.read(ARGS + 32);
    assert_eq!(entry.args[0], ARGS + 0x400 + 128 * 8);
    world.machine.work.set(Work::Never);
    world.hypercall(13, [ARGS + 32, 2, 0, 0, 0]);
    assert_eq!(results(&world, 3), [0x2_0000, 0, 0x2_0000]);
    assert_eq!(world.vcpu().gates[199].address, 200);
}

/// Defect 4: yield or block in a batch lost the batch.
#[test]
fn a_batch_that_yields_or_blocks_finishes_the_entry_and_goes_on_behind_it() {
    for (command, held) in [(0, Held::empty()), (1, Held::BLOCKED)] {
        let mut world = World::running();
        world.add_domain(DomId(1), false);
        batch(&world, &[VERSION, (6, [command, 0, 0, 0, 0]), VERSION]);
        world.write(ARGS + 32 + 24, &0xDEAD_BEEF_u32);
        let rip = world.regs.rip;
        assert_eq!(world.hypercall(13, [ARGS, 3, 0, 0, 0]), 13);
        assert_eq!(
            (world.regs.rip, world.regs.rbx, world.regs.rcx),
            (rip - 2, u64::from(ARGS + 64), 1)
        );
        assert_eq!(results(&world, 3), [0x2_0000, 0, 0]);
        assert!(world.hv.sched.wants_pick && world.machine.cpu.exit_work.get());
        assert_eq!(world.domain(0).run.held, held);
        world.hypercall(13, [ARGS + 64, 1, 0, 0, 0]);
        assert_eq!(results(&world, 3), [0x2_0000, 0, 0x2_0000]);

        // As the last entry it ends the batch.
        let mut world = World::running();
        world.add_domain(DomId(1), false);
        batch(&world, &[(6, [command, 0, 0, 0, 0])]);
        assert_eq!(world.hypercall(13, [ARGS, 1, 0, 0, 0]), 0);
        assert_eq!(world.regs.rip, rip);
        assert!(world.hv.sched.wants_pick);
    }
}

#[test]
fn a_batch_that_yields_to_nobody_just_goes_on() {
    let mut world = World::running();
    batch(&world, &[(6, [0; 5]), VERSION]);
    world.write(ARGS + 24, &0xDEAD_BEEF_u32);
    assert_eq!(world.hypercall(13, [ARGS, 2, 0, 0, 0]), 0);
    assert_eq!(results(&world, 2), [0, 0x2_0000]);
}

#[test]
fn a_shutdown_in_a_batch_ends_it() {
    let mut world = World::running();
    batch(
        &world,
        &[(6, [0x102, 0, 0, 0, 0]), (3, [0xE021, 0x3000, 0, 0, 0])],
    );
    world.hypercall(13, [ARGS, 2, 0, 0, 0]);
    assert_eq!(world.domain(0).run.held, Held::SHUTDOWN);
    assert_eq!(world.vcpu().kernel_esp, KERNEL_ESP);
}
