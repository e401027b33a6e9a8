//! Calls 5, 8 and 9.

use super::*;

#[test]
fn debug_registers_refuse_what_reaches_the_hypervisor() {
    let mut world = World::running();
    for register in 0..4 {
        assert_eq!(world.hypercall(8, [register, 0xFBFF_FFFC, 0, 0, 0]), 0);
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
    let mut world = World::running();
    world.hypercall(8, [0, 0x1000, 0, 0, 0]);
    assert_eq!(world.machine.cpu.debug_registers.get(), [0; 8]);
    world.hypercall(8, [7, 1, 0, 0, 0]);
    assert_eq!(
        world.machine.cpu.debug_registers.get(),
        [0x1000, 0, 0, 0, 0, 0, dr6::ALWAYS_ONE, 0x401]
    );
    world.hypercall(8, [1, 0x2000, 0, 0, 0]);
    assert_eq!(world.machine.cpu.debug_registers.get()[1], 0x2000);
    world.hypercall(8, [7, 0, 0, 0, 0]);
    assert_eq!(world.machine.cpu.debug_registers.get()[7], 0);
}

/// Defect 26: an error could not be told from a value.
#[test]
fn get_debugreg_tells_value_and_status_apart() {
    let mut world = World::running();
    world.vcpu().debug_registers[2] = Errno::Inval.to_eax();
    assert_eq!(world.hypercall(9, [2, 0, 0, 0, 0]), Errno::Inval.to_eax());
    assert_eq!(world.regs.rbx, 0);
    assert_eq!(world.hypercall(9, [4, 0, 0, 0, 0]), 0);
    for register in [8, u32::MAX] {
        assert_eq!(world.hypercall(9, [register, 0, 0, 0, 0]), Errno::Inval.to_eax());
        assert_eq!(world.regs.rbx, u64::from(Errno::Inval.to_eax()));
    }
}

#[test]
fn fpu_taskswitch_sets_ts() {
    let mut world = World::running();
    world.machine.set_task_switched(false);
    assert_eq!(world.hypercall(5, [0; 5]), 0);
    assert!(world.machine.cpu.task_switched.get() && world.vcpu().fpu_trap_armed);
}
