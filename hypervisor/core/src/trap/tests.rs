use super::*;
use crate::testing::{INNER_ESP, KERNEL_ESP, World, ring1_regs, ring3_regs};
use guest_abi::{debugreg::dr6, trap::TrapFlags};

fn ring3() -> World {
    let mut world = World::running();
    world.regs = ring3_regs();
    world
}

fn raise(world: &mut World, vector: u8, error: u32, detail: u64) -> TrapOutcome {
    handle_guest_trap(&mut world.cx(), vector, error, detail)
}

/// Words pushed on the kernel stack by a trap from ring 3.
fn pushed(world: &World) -> u32 {
    (KERNEL_ESP - world.regs.rsp as u32) / 4
}

#[test]
fn every_exception_arrives_at_its_own_handler_with_the_frame_of_its_kind() {
    for (vectors, words) in [
        (&[0, 3, 4, 5, 6, 9, 16, 19][..], 5),
        (&[10, 11, 12, 13, 17][..], 6),
        (&[14][..], 7),
        (&[1][..], 5),
    ] {
        for &vector in vectors {
            let mut world = ring3();
            raise(&mut world, vector, 0x5A8, 0).expect("delivered");
            assert_eq!(world.regs.rip, 0x50_0000 + u64::from(vector));
            assert_eq!(pushed(&world), words, "vector {vector}");
        }
    }
}

#[test]
fn what_is_never_the_guests() {
    for vector in [2, 8, 18, 20, 21, 31] {
        let mut world = ring3();
        let before = world.snapshot();
        assert_eq!(
            raise(&mut world, vector, 0, 0),
            Err(CrashReason::Unhandled { vector })
        );
        world.assert_unchanged_since(&before);
    }
}

#[test]
fn a_spurious_interrupt_is_nothing() {
    let mut world = ring3();
    let before = world.snapshot();
    raise(&mut world, 15, 0, 0).expect("ignored");
    world.assert_unchanged_since(&before);
}

#[test]
fn int_n_obeys_the_registered_level() {
    for dpl in 0..4 {
        for ring in [1, 2, 3] {
            let mut world = World::running();
            world.regs = if ring == 1 { ring1_regs() } else { ring3_regs() };
            world.regs.cs = world.regs.cs & !3 | ring;
            world.vcpu().gates[0x80].flags = TrapFlags::with_dpl(dpl);
            raise(&mut world, 0x80, 0, 0).expect("delivered");
            let esp = world.regs.rsp as u32;
            if ring as u8 <= dpl {
                assert_eq!(world.regs.rip, 0x50_0080);
                assert_eq!(world.read::<u32>(esp), 0x40_0002, "behind the instruction");
            } else {
                assert_eq!(world.regs.rip, 0x50_000D);
                assert_eq!(
                    world.read::<[u32; 2]>(esp),
                    [0x402, 0x40_0000],
                    "at the instruction"
                );
            }
        }
    }
}

#[test]
fn a_forbidden_int_n_that_cannot_be_delivered_leaves_eip() {
    let mut world = ring3();
    world.vcpu().gates[13].address = 0;
    let before = world.snapshot();
    assert_eq!(
        raise(&mut world, 0x80, 0, 0),
        Err(CrashReason::NoHandler { vector: 13 })
    );
    world.assert_unchanged_since(&before);
}

/// Defect 20: decided explicitly, the level of 3 and 4 does not count.
#[test]
fn int3_and_into_reach_the_guest_whatever_level_it_registered() {
    for vector in [3, 4] {
        let mut world = ring3();
        assert_eq!(world.vcpu().gates[usize::from(vector)].flags.dpl(), 0);
        raise(&mut world, vector, 0, 0).expect("delivered");
        assert_eq!(world.regs.rip, 0x50_0000 + u64::from(vector));
    }
}

/// Defect 19 is gone with its cause: nothing is decoded, the processor's own EIP counts.
#[test]
fn int_n_with_prefixes_returns_behind_the_whole_instruction() {
    let mut world = ring3();
    world.vcpu().gates[0x80].flags = TrapFlags::with_dpl(3);
    world.regs.rip = 0x40_0005;
    raise(&mut world, 0x80, 0, 0).expect("delivered");
    assert_eq!(world.read::<u32>(KERNEL_ESP - 20), 0x40_0005);
}

#[test]
fn an_idt_error_code_arrives_in_the_manuals_form() {
    for (form, code) in [
        (IdtErrorForm::Architectural, 0x412),
        (IdtErrorForm::Doubled, 0x822),
    ] {
        let mut world = ring3();
        world.hv.idt_error_form = form;
        raise(&mut world, 13, code, 0).expect("delivered");
        assert_eq!(world.regs.rip, 0x50_000D);
        assert_eq!(world.read::<u32>(KERNEL_ESP - 24), 0x412);
    }
}

/// Defect 17: an external #GP with the IDT bit stopped the machine.
#[test]
fn a_general_protection_fault_with_the_external_bit_is_delivered_as_it_is() {
    let mut world = ring3();
    world.hv.idt_error_form = IdtErrorForm::Doubled;
    raise(&mut world, 13, 0x413, 0).expect("delivered");
    assert_eq!(world.read::<u32>(KERNEL_ESP - 24), 0x413);
}

#[test]
fn the_form_of_error_codes_is_measured() {
    assert_eq!(
        IdtErrorForm::measured(0x82, 0x412),
        Some(IdtErrorForm::Architectural)
    );
    assert_eq!(IdtErrorForm::measured(0x82, 0x822), Some(IdtErrorForm::Doubled));
    assert_eq!(IdtErrorForm::measured(0x82, 0), None);
}

#[test]
fn device_not_available_is_the_guests_only_once_and_only_when_asked_for() {
    let mut world = ring3();
    world.machine.cpu.task_switched.set(true);
    raise(&mut world, 7, 0, 0).expect("handled");
    assert_eq!(world.regs, ring3_regs(), "not asked for: goes on");
    assert!(!world.machine.cpu.task_switched.get());

    world.hypercall(5, [0; 5]);
    assert!(world.machine.cpu.task_switched.get());
    world.regs = ring3_regs();
    raise(&mut world, 7, 0, 0).expect("delivered");
    assert_eq!(world.regs.rip, 0x50_0007);
    assert!(
        !world.machine.cpu.task_switched.get(),
        "TS is clear in the handler"
    );

    world.regs = ring3_regs();
    raise(&mut world, 7, 0, 0).expect("handled");
    assert_eq!(world.regs, ring3_regs());
}

#[test]
fn debug_exceptions_update_dr6_and_stale_hits_vanish() {
    let mut world = ring3();
    raise(&mut world, 1, 0, u64::from(dr6::STEP)).expect("delivered");
    assert_eq!(world.regs.rip, 0x50_0001);
    assert_eq!(world.vcpu().debug_registers[6], dr6::ALWAYS_ONE | dr6::STEP);

    // A hit while the guest's DR7 is 0 is not its own.
    let mut world = ring3();
    let before = world.snapshot();
    raise(&mut world, 1, 0, 1).expect("swallowed");
    world.assert_unchanged_since(&before);

    // `int1` sets no bit; a hit with DR7 on; a hit together with a step.
    for (dr7, hit) in [(0, 0), (0x401, 1), (0, dr6::STEP | 2)] {
        let mut world = ring3();
        world.vcpu().debug_registers[7] = dr7;
        raise(&mut world, 1, 0, u64::from(hit)).expect("delivered");
        assert_eq!(world.regs.rip, 0x50_0001);
    }
}

#[test]
fn a_page_fault_has_address_and_code() {
    let mut world = World::running();
    raise(&mut world, 14, 3, 0xDEAD_B000).expect("delivered");
    assert_eq!(world.read::<[u32; 2]>(INNER_ESP - 20), [0xDEAD_B000, 3]);
}

#[test]
fn a_fetch_from_an_ldt_page_that_cannot_be_mapped_is_a_fault_at_the_guests_address() {
    let mut world = ring3();
    world.vcpu().ldt_base = 0x0070_0000;
    raise(&mut world, 14, 0, crate::segment::LDT_WINDOW + 0x1238).expect("delivered");
    assert_eq!(world.read::<[u32; 2]>(KERNEL_ESP - 28), [0x0070_1238, 0]);
}

#[test]
fn a_fetch_beyond_the_guests_gdt_is_a_general_protection_fault_with_the_selector() {
    let mut world = ring3();
    raise(&mut world, 14, 0, crate::segment::GDT_WINDOW + 0x123C).expect("delivered");
    assert_eq!(world.regs.rip, 0x50_000D);
    assert_eq!(world.read::<u32>(KERNEL_ESP - 24), 0x1238);
}

#[test]
fn an_access_that_an_emulator_carries_to_4_gib_faults_at_0() {
    let mut world = ring3();
    raise(&mut world, 14, 4, 1 << 32).expect("delivered");
    assert_eq!(world.read::<[u32; 2]>(KERNEL_ESP - 28), [0, 4]);
}
