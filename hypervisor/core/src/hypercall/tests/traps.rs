//! Calls 0, 3, 4 and 11.

use super::*;

pub(super) const FLAT: Selector = Selector::FLAT_RING1_CS;

pub(super) fn trap(vector: u8, flags: u8, cs: Selector, address: u32) -> TrapInfo {
    TrapInfo {
        vector,
        flags: TrapFlags::from_bits_retain(flags),
        cs,
        address,
    }
}

#[test]
fn a_trap_table_is_merged_up_to_its_terminator() {
    let mut world = World::running();
    let before = world.vcpu().clone();
    let local = Selector::new(0x000D);
    let table = [
        trap(3, 3, FLAT, 0x1000),
        trap(0x80, 0xFC | 3, local, 0x2000),
        TrapInfo::default(),
        trap(5, 0, FLAT, 1),
    ];
    world.write(ARGS, &table);
    assert_eq!(world.hypercall(0, [ARGS, 0, 0, 0, 0]), 0);
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
        let mut world = World::running();
        world.write(
            ARGS,
            &[
                trap(3, 3, FLAT, 0x1000),
                trap(4, 3, bad, 0x1000),
                TrapInfo::default(),
            ],
        );
        assert_eq!(world.hypercall(0, [ARGS, 0, 0, 0, 0]), Errno::Perm.to_eax());
        assert_eq!(world.vcpu().gates[3].address, 0x1000);
        assert_eq!(world.vcpu().gates[4].address, 0x50_0004);
    }
}

#[test]
fn a_trap_table_outside_the_guest_is_refused() {
    let mut world = World::running();
    for at in [0, HV_START, HV_START - 4, u32::MAX - 3, 0x7000_0000] {
        world.refused(0, [at, 0, 0, 0, 0], Errno::Fault);
    }
    // Half of the entry is unmapped.
    world.refused(0, [ARGS + 0x1FFC, 0, 0, 0, 0], Errno::Fault);
    // Unaligned is no reason to refuse.
    world.write(ARGS + 1, &[trap(3, 3, FLAT, 0x1000), TrapInfo::default()]);
    assert_eq!(world.hypercall(0, [ARGS + 1, 0, 0, 0, 0]), 0);
}

#[test]
fn a_long_trap_table_pauses_and_goes_on() {
    let mut world = World::running();
    let mut table: Vec<TrapInfo> = (0..300u32).map(|n| trap(n as u8, 0, FLAT, n + 1)).collect();
    table.push(TrapInfo::default());
    for (n, entry) in table.iter().enumerate() {
        world.write(ARGS + n as u32 * 8, entry);
    }
    world.machine.work.set(Work::After(1));
    let rip = world.regs.rip;
    assert_eq!(
        world.hypercall(0, [ARGS, 0, 0, 0, 0]),
        0,
        "EAX holds the number of the call to repeat"
    );
    assert_eq!(world.regs.rip, rip - 2);
    assert_eq!(world.regs.rbx, u64::from(ARGS + 256 * 8));
    assert_eq!(world.vcpu().gates[255].address, 256);
    assert_eq!(world.vcpu().gates[0].address, 1);
    world.machine.work.set(Work::Never);
    assert_eq!(world.hypercall(0, [world.regs.rbx as u32, 0, 0, 0, 0]), 0);
    assert_eq!(world.regs.rip, rip - 2);
    assert_eq!(world.vcpu().gates[0].address, 257);
    assert_eq!(world.vcpu().gates[299 - 256].address, 300);
}

#[test]
fn stack_switch_looks_at_the_rpl_only() {
    let mut world = World::running();
    assert_eq!(world.hypercall(3, [0xE021, 0x1234, 0, 0, 0]), 0);
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
    let mut world = World::running();
    assert_eq!(world.hypercall(4, [0xE019, 0x10, 0x0029, 0x20, 0]), 0);
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
    let mut world = World::running();
    world.vcpu().gates[0x80].flags = TrapFlags::with_dpl(3);
    assert_eq!(world.hypercall(11, [0x80, 0, 0, 0, 0]), 0);
    let armed = Some(FastTrap {
        vector: 0x80,
        dpl: 3,
        cs: 0xE019,
        eip: 0x50_0080,
    });
    assert_eq!(world.machine.cpu.fast_trap.get(), armed);
    world.vcpu().gates[0x80].address = 1;
    assert_eq!(world.machine.cpu.fast_trap.get(), armed);
    assert_eq!(world.hypercall(11, [0x2F, 0, 0, 0, 0]), 0);
    assert_eq!(
        world.machine.cpu.fast_trap.get().map(|t| t.vector),
        Some(0x2F),
        "one at a time"
    );
    assert_eq!(world.hypercall(11, [0; 5]), 0);
    assert_eq!(world.machine.cpu.fast_trap.get(), None);
}

#[test]
fn what_cannot_be_a_fast_trap() {
    let mut world = World::running();
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
    let mut world = World::running();
    world.hypercall(11, [0x80, 0, 0, 0, 0]);
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
        assert_eq!(world.hypercall(3, [ss, esp, 0, 0, 0]), 0);
        assert_eq!(
            world.machine.cpu.fast_trap.get().is_some(),
            armed,
            "{ss:x}:{esp:x}"
        );
    }
    // Asked for while the stack is bad, armed when it becomes good.
    world.hypercall(3, [0xE021, 0, 0, 0, 0]);
    world.hypercall(11, [0x21, 0, 0, 0, 0]);
    assert_eq!(world.machine.cpu.fast_trap.get(), None);
    world.hypercall(3, [0xE021, KERNEL_ESP, 0, 0, 0]);
    assert_eq!(world.machine.cpu.fast_trap.get().map(|t| t.vector), Some(0x21));
}
