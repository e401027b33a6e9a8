//! Random sequences of calls.

use super::*;

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
    let armed = world.machine.cpu.fast_trap.get();
    assert_eq!(armed, vcpu.armed_fast_trap());
    if let Some(trap) = armed {
        assert!(trap.eip != 0 && check_code_selector(Selector::new(trap.cs)).is_ok());
        assert_eq!(vcpu.kernel_ss, Selector::FLAT_RING1_DS.raw());
        assert!((20..=HV_START).contains(&vcpu.kernel_esp));
    }
    if armed.is_some() {
        let told = world.machine.cpu.kernel_stack.get();
        assert_eq!(told, (vcpu.kernel_ss, vcpu.kernel_esp));
    }
    assert_eq!(world.machine.cpu.task_switched.get(), vcpu.fpu_trap_armed);
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
        let mut world = World::running();
        world.hypercall(3, [0xE021, KERNEL_ESP, 0, 0, 0]);
        for (n, word) in page.iter().enumerate() {
            world.write(ARGS + n as u32 * 4, word);
        }
        for (number, args) in calls {
            world.machine.work.set(Work::After(3));
            world.hypercall(number, args);
            check_registered(&mut world);
            if world.hv.sched.end.is_some() {
                break;
            }
        }
    }
}
