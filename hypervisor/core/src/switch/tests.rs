//! After a switch the processor holds what is the new domain's, and nothing of the one before: item by item, and for
//! states at random.

use super::*;
use crate::{
    domain::DomId,
    platform::FastTrap,
    testing::{Machine, World},
    vcpu::{DataSegments, FpuState},
};
use guest_abi::{addr::Mfn, debugreg::dr6};
use proptest::prelude::*;

const TRAP: FastTrap = FastTrap {
    vector: 0x80,
    dpl: 3,
    cs: 0xE019,
    eip: 0x1234,
};

/// Domain0 in the state that `busy` gives it runs, and then a domain in the state that `next` gives.
fn switched(busy: impl FnOnce(&mut Vcpu), next: impl FnOnce(&mut Vcpu)) -> (World, usize) {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    busy(&mut world.domain(0).vcpus[0]);
    next(&mut world.domain(other).vcpus[0]);
    enter(&mut world.cx(), 0);
    switch_to(&mut world.cx(), other);
    (world, other)
}

fn all(vcpu: &mut Vcpu) {
    vcpu.regs.rax = 0xAAAA;
    vcpu.segments = DataSegments {
        ds: 0x11,
        es: 0x22,
        fs: 0x33,
        gs: 0x44,
    };
    vcpu.fpu = FpuState([0xA5; 512]);
    vcpu.fpu_trap_armed = true;
    vcpu.roots[0] = Some(Mfn::new(70));
    vcpu.gdt_frames[0] = Some(Mfn::new(71));
    vcpu.gdt_frames[1] = Some(Mfn::new(72));
    vcpu.gdt_entries = 700;
    vcpu.ldt_entries = 8192;
    vcpu.ldt_frames = [Some(Mfn::new(73)); 16];
    vcpu.debug_registers = [1, 2, 3, 4, 0, 0, dr6::forced(1), 0x455];
    (vcpu.fast_trap, vcpu.fast_trap_is_armed) = (Some(TRAP), true);
    (vcpu.kernel_ss, vcpu.kernel_esp) = (0xE021, 0x5000);
}

#[test]
fn registers_and_segments_are_the_next_ones() {
    let (world, _) = switched(all, |_| {});
    assert_eq!(world.regs, crate::testing::ring1_regs());
    assert_eq!(world.machine.cpu.segments.get(), Vcpu::new().segments);
}

#[test]
fn fpu_and_sse_registers_are_the_next_ones() {
    let (mut world, _) = switched(all, |_| {});
    assert_eq!(*world.machine.cpu.fpu.borrow(), Some(FpuState::CLEAN));
    assert_eq!(
        world.domain(0).vcpus[0].fpu,
        FpuState([0xA5; 512]),
        "and the others are kept"
    );
}

#[test]
fn task_switched_is_that_of_who_runs() {
    let (world, _) = switched(all, |_| {});
    assert!(!world.machine.cpu.task_switched.get());
    let (world, _) = switched(|_| {}, |next| next.fpu_trap_armed = true);
    assert!(world.machine.cpu.task_switched.get());
}

#[test]
fn no_breakpoint_of_another_is_on() {
    let (mut world, other) = switched(all, |_| {});
    assert_eq!(world.machine.cpu.debug_registers.get()[7], 0);
    // Even where the processor marks one that is off during a step, nobody is told.
    let hit = dr6::STEP | 1;
    crate::trap::handle_guest_trap(&mut world.cx(), 1, 0, u64::from(hit)).expect("delivered");
    assert_eq!(
        world.domain(other).vcpus[0].debug_registers[6],
        dr6::forced(dr6::STEP)
    );
}

#[test]
fn breakpoints_switched_on_after_another_used_his_are_ones_own() {
    let (mut world, _) = switched(all, |next| next.debug_registers[0] = 0x9000);
    assert_eq!(world.hypercall(8, [7, 0x401, 0, 0, 0]), 0);
    let [first, second, .., on] = world.machine.cpu.debug_registers.get();
    assert_eq!((first, second, on), (0x9000, 0, 0x401));
}

#[test]
fn no_page_of_anothers_ldt_is_left() {
    let (world, _) = switched(all, |_| {});
    let ldt = world.machine.cpu.ldt.borrow();
    assert!(ldt.0.is_empty() && ldt.1 == 0, "{ldt:?}");
    drop(ldt);
    let (world, _) = switched(all, |next| {
        next.ldt_entries = 600;
        next.ldt_frames[1] = Some(Mfn::new(80));
    });
    let ldt = world.machine.cpu.ldt.borrow();
    assert_eq!((ldt.0.len(), ldt.0[&1], ldt.1), (1, Mfn::new(80), 600));
}

#[test]
fn no_page_of_anothers_gdt_is_left() {
    let (world, _) = switched(all, |_| {});
    assert_eq!(*world.machine.cpu.gdt.borrow(), (vec![], 0));
}

#[test]
fn no_fast_trap_of_another_is_armed() {
    let (world, _) = switched(all, |_| {});
    assert_eq!(world.machine.cpu.fast_trap.get(), None);
    assert_eq!(
        world.machine.cpu.kernel_stack.get(),
        (0xE021, crate::testing::KERNEL_ESP)
    );
    let (world, _) = switched(all, |next| next.fast_trap = Some(TRAP));
    assert_eq!(
        world.machine.cpu.fast_trap.get(),
        None,
        "asked for, but not armed"
    );
}

#[test]
fn the_ports_are_those_of_who_runs() {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    let ports = Some([Mfn::new(90), Mfn::new(91)]);
    world.domain(0).io.ports = ports;
    enter(&mut world.cx(), 0);
    assert_eq!(world.machine.cpu.io_bitmap.get(), ports);
    switch_to(&mut world.cx(), other);
    assert_eq!(world.machine.cpu.io_bitmap.get(), None);
    switch_to(&mut world.cx(), 0);
    assert_eq!(world.machine.cpu.io_bitmap.get(), ports);
}

/// What of the machine belongs to who runs. Breakpoint addresses and DR6 count only while breakpoints are on.
fn state(machine: &Machine) -> impl PartialEq + core::fmt::Debug + use<> {
    let debug = machine.cpu.debug_registers.get();
    (
        machine.cpu.segments.get(),
        machine.cpu.fpu.borrow().clone(),
        machine.cpu.task_switched.get(),
        if debug[7] == 0 { [0; 8] } else { debug },
        machine.cpu.ldt.borrow().clone(),
        machine.cpu.gdt.borrow().clone(),
        machine.cpu.fast_trap.get(),
        machine.cpu.kernel_stack.get(),
        machine.cpu.shared_info.get(),
        machine.cpu.root.get(),
    )
}

fn any_vcpu() -> impl Strategy<Value = Vcpu> {
    let frames = |n| proptest::collection::vec(proptest::option::of(64u32..128), n);
    (
        (any::<[u16; 4]>(), any::<u8>(), any::<bool>()),
        (64u32..128, frames(16), 0u32..8193),
        (0usize..14, 0u32..7169),
        (
            any::<[u32; 4]>(),
            prop_oneof![Just(0u32), Just(0x401), Just(0x455)],
        ),
        (any::<bool>(), any::<bool>(), any::<u32>()),
    )
        .prop_map(|(cpu, ldt, gdt, debug, trap)| {
            let mut vcpu = Vcpu::new();
            let ([ds, es, fs, gs], fpu, armed) = cpu;
            vcpu.segments = DataSegments { ds, es, fs, gs };
            (vcpu.fpu, vcpu.fpu_trap_armed) = (FpuState([fpu; 512]), armed);
            vcpu.roots[0] = Some(Mfn::new(ldt.0));
            for (frame, wanted) in vcpu.ldt_frames.iter_mut().zip(ldt.1) {
                *frame = wanted.map(Mfn::new);
            }
            vcpu.ldt_entries = ldt.2;
            for (frame, n) in vcpu.gdt_frames.iter_mut().zip(0..gdt.0) {
                *frame = Some(Mfn::new(200 + n as u32));
            }
            vcpu.gdt_entries = gdt.1;
            vcpu.debug_registers[..4].copy_from_slice(&debug.0);
            vcpu.debug_registers[7] = debug.1;
            (vcpu.fast_trap, vcpu.fast_trap_is_armed) = (trap.0.then_some(TRAP), trap.1);
            vcpu.kernel_esp = trap.2;
            vcpu
        })
}

proptest! {
    #[test]
    fn who_ran_before_makes_no_difference(first in any_vcpu(), second in any_vcpu(), next in any_vcpu()) {
        let (after_first, slot) = switched(|vcpu| *vcpu = first, |vcpu| *vcpu = next.clone());
        let (after_second, _) = switched(|vcpu| *vcpu = second, |vcpu| *vcpu = next.clone());
        prop_assert_eq!(state(&after_first.machine), state(&after_second.machine));
        prop_assert_eq!(after_first.regs, after_second.regs);
        // And back again: nothing of a domain is lost while it does not run.
        let mut world = after_first;
        let before = state(&world.machine);
        switch_to(&mut world.cx(), 0);
        switch_to(&mut world.cx(), slot);
        prop_assert_eq!(state(&world.machine), before);
    }
}
