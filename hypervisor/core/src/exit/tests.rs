use super::*;
use crate::{
    domain::DomId,
    platform::{FastTrap, FrameMemory},
    sched::Held,
    testing::{INNER_ESP, KERNEL_ESP, World, ring3_regs},
    vcpu::{DataSegments, FpuState},
};
use guest_abi::{addr::Mfn, shared_info::offset};

fn go(world: &mut World) -> BeforeGuest {
    let cx = &mut world.cx();
    if before_guest_quickly(cx) {
        BeforeGuest::Go
    } else {
        before_guest(cx)
    }
}

fn raise_upcall(world: &World, slot: usize) {
    world
        .machine
        .store_u8(world.shared(slot), offset::EVTCHN_UPCALL_PENDING, 1);
}

#[test]
fn with_nothing_to_do_nothing_is_done() {
    let mut world = World::running();
    let before = world.snapshot();
    assert_eq!(go(&mut world), BeforeGuest::Go);
    world.assert_unchanged_since(&before);
}

#[test]
fn an_upcall_that_is_due_is_delivered_once() {
    let mut world = World::running();
    raise_upcall(&world, 0);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.regs.rip, 0x51_0000);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.regs.rsp, u64::from(INNER_ESP - 12), "masked now");
}

#[test]
fn a_masked_upcall_waits() {
    let mut world = World::running();
    raise_upcall(&world, 0);
    world
        .machine
        .store_u8(world.shared(0), offset::EVTCHN_UPCALL_MASK, 0x80);
    let before = world.snapshot();
    assert_eq!(go(&mut world), BeforeGuest::Go);
    world.assert_unchanged_since(&before);
}

#[test]
fn an_event_stacks_on_top_of_an_exception() {
    let mut world = World::running();
    world.regs = ring3_regs();
    raise_upcall(&world, 0);
    crate::trap::handle_guest_trap(&mut world.cx(), 6, 0, 0).expect("delivered");
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.regs.rsp, u64::from(KERNEL_ESP - 20 - 12));
    assert_eq!(world.read::<[u32; 2]>(KERNEL_ESP - 32), [0x50_0006, 0xE019]);
}

#[test]
fn a_pick_with_nobody_else_comes_back() {
    let mut world = World::running();
    sched::request_pick(&mut world.hv, &world.machine);
    let regs = world.regs;
    world.machine.now_ns.set(9_000_000);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.regs, regs);
    assert!(!world.hv.sched.wants_pick);
    assert_eq!(
        world.shared_u32(0, offset::EVTCHN_PENDING),
        0,
        "not scheduled in: no timer event"
    );
    assert_eq!(world.domain(0).run.cpu_time_ns, 9_000_000);
}

#[test]
fn an_idle_machine_is_woken_by_a_domains_timer_and_by_no_slice() {
    let mut world = World::running();
    time::set_slice_end(&mut world.hv, &world.machine, 3_000_000);
    assert_eq!(world.machine.timer.get(), Some(3_000_000));
    world.hypercall(6, [1, 0, 0, 0, 0]);
    assert_eq!(go(&mut world), BeforeGuest::Idle);
    assert_eq!(world.machine.timer.get(), None);
    let mut world = World::running();
    world.hypercall(15, [0, 5_000_000, 0, 0, 0]);
    time::set_slice_end(&mut world.hv, &world.machine, 3_000_000);
    world.hypercall(6, [1, 0, 0, 0, 0]);
    assert_eq!(go(&mut world), BeforeGuest::Idle);
    assert_eq!(world.machine.timer.get(), Some(5_000_000));
}

#[test]
fn a_blocked_domain_idles_and_comes_back_with_a_fresh_clock() {
    let mut world = World::running();
    world.domain(0).run.started_ns = 1_000_000;
    world.hypercall(15, [0, 5_000_000, 0, 0, 0]);
    world.hypercall(6, [1, 0, 0, 0, 0]);
    world.machine.now_ns.set(2_000_000);
    assert_eq!(go(&mut world), BeforeGuest::Idle);
    assert_eq!(go(&mut world), BeforeGuest::Idle);
    world.machine.now_ns.set(5_000_000);
    world.hv.time.has_fired = true;
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.regs.rip, 0x51_0000);
    assert_eq!(world.shared_u32(0, offset::TIME + 24), 5_000_000);
    let run = world.domain(0).run;
    assert_eq!(
        (run.cpu_time_ns, run.started_ns),
        (1_000_000, 5_000_000),
        "idle time is nobody's"
    );
}

#[test]
fn two_domains_that_yield_take_turns_with_all_their_state() {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    // A root of its own, which leads to the same pages.
    let root = world.mmu().take_own_frame().expect("a frame");
    let first = world.vcpu().roots[0].expect("a root");
    world.machine.copy_bytes((first, 0), (root, 0), 4096);
    let vcpu = &mut world.domain(other).vcpus[0];
    vcpu.regs.rax = 0x1111;
    vcpu.segments = DataSegments {
        ds: 1,
        es: 2,
        fs: 3,
        gs: 4,
    };
    vcpu.fpu = FpuState([7; 512]);
    vcpu.fpu_trap_armed = true;
    vcpu.roots[0] = Some(root);
    vcpu.gdt_frames[0] = Some(Mfn::new(78));
    vcpu.gdt_entries = 300;
    vcpu.ldt_entries = 600;
    vcpu.ldt_frames[1] = Some(Mfn::new(79));
    vcpu.debug_registers = [8, 9, 10, 11, 0, 0, 12, 0x401];
    let fast_trap = FastTrap {
        vector: 0x80,
        dpl: 3,
        cs: 0xE019,
        eip: 5,
    };
    (vcpu.fast_trap, vcpu.fast_trap_is_armed) = (Some(fast_trap), true);
    world.machine.cpu.segments.set(DataSegments {
        ds: 5,
        es: 6,
        fs: 7,
        gs: 8,
    });
    let (machine0, regs0) = (world.machine.clone(), world.regs);

    assert_eq!(world.hypercall(6, [0; 5]), 0);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!((world.hv.current, world.regs.rax), (other, 0x1111));
    let m = &world.machine.cpu;
    assert_eq!(m.root.get(), Some(root));
    assert_eq!(*m.gdt.borrow(), (vec![Mfn::new(78)], 300));
    assert_eq!((m.ldt.borrow().0[&1], m.ldt.borrow().1), (Mfn::new(79), 600));
    assert_eq!(m.debug_registers.get(), [8, 9, 10, 11, 0, 0, 12, 0x401]);
    assert_eq!(m.fast_trap.get(), Some(fast_trap));
    assert_eq!(m.kernel_stack.get(), (0xE021, KERNEL_ESP));
    assert_eq!(m.shared_info.get(), Some(world.shared(1)));
    assert_eq!(*m.fpu.borrow(), Some(FpuState([7; 512])));
    assert_eq!(
        m.segments.get(),
        DataSegments {
            ds: 1,
            es: 2,
            fs: 3,
            gs: 4
        }
    );
    assert!(m.task_switched.get(), "the guest's own laziness comes with it");
    // Scheduled in: a fresh record and the timer event, whose upcall is due at once.
    assert_eq!(world.shared_u32(1, offset::EVTCHN_PENDING), 1);
    assert_eq!(world.regs.rip, 0x51_0000);

    world.hypercall(6, [0; 5]);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.hv.current, 0);
    assert_eq!(world.regs.rip, 0x51_0000);
    assert_eq!(
        (world.regs.rax, world.read::<u32>(INNER_ESP - 12)),
        (0, regs0.rip as u32)
    );
    assert_eq!(world.machine.cpu.segments.get(), machine0.cpu.segments.get());
    assert_eq!(*world.machine.cpu.fpu.borrow(), Some(FpuState::CLEAN));
    assert!(!world.machine.cpu.task_switched.get());
    assert_eq!(
        world.machine.cpu.debug_registers.get()[7],
        0,
        "nobody's breakpoints hit him"
    );
    assert_eq!(world.machine.cpu.fast_trap.get(), None);
}

#[test]
fn bad_data_segments_of_the_next_domain_give_it_its_failsafe_callback() {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    world.domain(other).vcpus[0].segments = DataSegments {
        ds: 1,
        es: 0xBAD,
        fs: 3,
        gs: 4,
    };
    world.domain(other).vcpus[0].regs = ring3_regs();
    world.machine.cpu.bad_selector.set(Some(0xBAD));
    world
        .machine
        .store_u8(world.shared(1), offset::EVTCHN_UPCALL_MASK, 1);
    world.hypercall(6, [0; 5]);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.regs.rip, 0x52_0000);
    assert_eq!(
        world.read::<[u32; 5]>(KERNEL_ESP - 36),
        [1, 0xBAD, 3, 4, 0x40_0002]
    );
    assert_eq!(world.machine.cpu.segments.get(), DataSegments::default());
}

#[test]
fn a_domain_whose_failsafe_fails_dies_and_the_next_runs() {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    let vcpu = &mut world.domain(other).vcpus[0];
    vcpu.segments.ds = 0xBAD;
    vcpu.failsafe_callback.eip = 0;
    world.machine.cpu.bad_selector.set(Some(0xBAD));
    world.hypercall(6, [0; 5]);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.hv.current, 0);
    assert_eq!(world.domain(other).run.held, Held::CRASHED);
}

#[test]
fn an_event_that_cannot_be_delivered_kills_the_domain_not_the_machine() {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    world.domain(other).vcpus[0].regs.rsp = 0;
    world.hypercall(6, [0; 5]);
    assert_eq!(go(&mut world), BeforeGuest::Go);
    assert_eq!(world.hv.current, 0);
    assert_eq!(world.domain(other).run.held, Held::CRASHED);
    assert_eq!(world.hv.sched.end, None);
}

#[test]
fn domain0_beyond_repair_ends_the_machine() {
    let mut world = World::running();
    world.regs.rsp = 0;
    raise_upcall(&world, 0);
    assert_eq!(go(&mut world), BeforeGuest::End(MachineEnd::Dom0Crashed));
    let mut world = World::running();
    world.hypercall(6, [2, 0, 0, 0, 0]);
    assert_eq!(go(&mut world), BeforeGuest::End(MachineEnd::Shutdown(0)));
}
