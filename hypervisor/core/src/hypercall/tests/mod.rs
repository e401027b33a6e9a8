//! The calls, made as a guest makes them: what they do, what they refuse.

mod batches;
mod console;
mod cpu;
mod random;
mod traps;

use super::*;
use crate::{
    domain::DomId,
    outcome::CrashReason,
    platform::{CpuControl, FastTrap},
    sched::Held,
    segment::check_code_selector,
    testing::{ARGS, INNER_ESP, KERNEL_ESP, Work, World},
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

/// Defect 3: the number was masked with 31.
#[test]
fn a_number_beyond_the_table_is_no_alias() {
    let mut world = World::running();
    for number in [23, 31, 32, 32 + 17, 255, 0x8000_0011, u32::MAX] {
        world.refused(number, [0; 5], Errno::NoSys);
    }
    assert_eq!(world.hv.calls.unknown, 7);
    assert_eq!(unknown(&mut world.hv), Errno::NoSys.to_eax());
    assert_eq!(world.hv.calls.unknown, 8);
}

#[test]
fn calls_are_counted_with_their_refusals() {
    let mut world = World::running();
    world.hypercall(17, [0; 5]);
    world.hypercall(17, [99, 0, 0, 0, 0]);
    let row = world.hv.calls.rows().find(|(name, ..)| *name == "xen_version");
    assert_eq!(row, Some(("xen_version", 1, 1)));
    assert_eq!(world.hv.calls.rows().count(), CallNumber::COUNT);
    // The thunk of a call counts like the dispatcher.
    assert_eq!(call::<_, 17>(&mut world.cx(), [0; 5]), 0x0002_0000);
    assert_eq!(world.hv.calls.made[17], 3);
}

#[test]
fn sched_op_refuses_what_it_does_not_know() {
    let mut world = World::running();
    for op in [3, 0xFF, 0x103] {
        world.refused(6, [op, 0, 0, 0, 0], Errno::NoSys);
    }
    world.refused(6, [0x1_0000, 0, 0, 0, 0], Errno::Inval);
}

#[test]
fn version_text_and_features() {
    let mut world = World::running();
    assert_eq!(world.hypercall(17, [0, 0xFFFF_FFFF, 0, 0, 0]), 0x0002_0000);
    assert_eq!(world.hypercall(17, [1, ARGS, 0, 0, 0]), 0);
    assert_eq!(world.read::<[u8; 16]>(ARGS), EXTRAVERSION);
    world.write(ARGS, &FeatureInfo::default());
    assert_eq!(world.hypercall(17, [6, ARGS, 0, 0, 0]), 0);
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
    let mut world = World::running();
    assert_eq!(world.hypercall(21, [0, 2, 0, 0, 0]), 0);
    assert_eq!(world.domain(0).vm_assist, 4);
    assert_eq!(world.hypercall(21, [1, 2, 0, 0, 0]), 0);
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

#[test]
fn set_timer_op_takes_the_high_word_first() {
    let mut world = World::running();
    assert_eq!(world.hypercall(15, [1, 2, 0, 0, 0]), 0);
    assert_eq!(world.vcpu().timer_deadline_ns, 0x1_0000_0002);
    assert_eq!(world.machine.timer.get(), Some(0x1_0000_0002));
}

#[test]
fn an_outcome_becomes_registers_in_one_place() {
    let mut world = World::running();
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

/// Defect 21: the call was a stub over code that did not work. What it has no command for is still refused.
#[test]
fn commands_of_grant_tables_that_do_not_exist_are_refused() {
    let mut world = World::running();
    for command in [3, 7, 8, 9, 10, 11, 12, u32::MAX] {
        world.refused(20, [command, ARGS, 1, 0, 0], Errno::NoSys);
    }
}
