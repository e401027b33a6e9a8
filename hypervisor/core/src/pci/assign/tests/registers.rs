//! What the holder of a function writes into its configuration space, and what not.

use super::*;

#[test]
fn who_may_not_be_master_of_the_bus_is_not() {
    let mut world = world();
    // It was Domain0's, and is at it.
    assert_eq!(write(&mut world, 0, 4, 2, 7), 0);
    allow(&mut world, &access(5, PLACE, 1));
    assert_eq!(read(&mut world, 0, PLACE, 4, 2), (0, 0x400));
    let registers = world.machine.devices.functions.borrow().clone();
    for (len, value) in [(1, 4), (1, 7), (2, 7), (4, 7), (4, 0xFFFF_FFFF)] {
        assert_eq!(
            write(&mut world, 1, 4, len, value),
            Errno::Perm.to_eax(),
            "{value:#x}"
        );
    }
    assert_eq!(*world.machine.devices.functions.borrow(), registers);
    // The other byte of the register has the line's bit alone.
    assert_eq!(write(&mut world, 1, 5, 1, 0xFF), 0);
    assert_eq!(read(&mut world, 1, PLACE, 4, 2), (0, 0x400));
    assert_eq!(write(&mut world, 1, 4, 1, 2), 0);
    assert_eq!(read(&mut world, 1, PLACE, 4, 2), (0, 0x402));
    allow(&mut world, &access(5, PLACE, 0));
    allow(&mut world, &access(5, PLACE, 3));
    assert_eq!(write(&mut world, 1, 4, 2, 7), 0);
    assert_eq!(read(&mut world, 0, PLACE, 4, 2), (0, 0x407));
}

#[test]
fn the_holder_sees_sizes_and_cannot_move_it() {
    let mut world = world();
    allow(&mut world, &access(5, PLACE, 1));
    let registers = world.machine.devices.functions.borrow().clone();
    let bar = |n: u32| 0x10 + 4 * n;
    for (n, base, size) in [
        (0, 0xF000_000C, 0xFFFF_C00C),
        (1, 1, u32::MAX),
        (2, 0xC001, 0xFFFF_FFE1),
        (3, 0, 0),
    ] {
        assert_eq!(read(&mut world, 1, PLACE, bar(n), 4), (0, base));
        assert_eq!(write(&mut world, 1, bar(n), 4, u32::MAX), 0);
        assert_eq!(read(&mut world, 1, PLACE, bar(n), 4), (0, size));
        assert_eq!(read(&mut world, 1, PLACE, bar(n) + 2, 2), (0, size >> 16));
        assert_eq!(write(&mut world, 1, bar(n), 4, 0x1234_5000), Errno::Perm.to_eax());
        assert_eq!(
            read(&mut world, 1, PLACE, bar(n), 4),
            (0, size),
            "nothing has changed"
        );
        assert_eq!(write(&mut world, 1, bar(n), 4, base), 0);
        assert_eq!(read(&mut world, 1, PLACE, bar(n), 4), (0, base));
    }
    // Nor give itself another's line, a ROM over somebody's memory, messages, or what a vendor has there.
    for (reg, len, value) in [
        (0x3C, 1, 5),
        (0x3C, 4, 5),
        (0x30, 4, 0xF000_0001),
        (0x13, 1, 9),
        (0x10, 1, 0xFF),
        (0x0E, 1, 1),
        (0x0F, 1, 0x40),
        (0x0C, 4, 0),
        (0x28, 4, 1),
        (0x34, 1, 0x60),
        (0x40, 1, 1),
        (0x52, 2, 1),
        (0xFC, 4, u32::MAX),
    ] {
        assert_eq!(
            write(&mut world, 1, reg, len, value),
            Errno::Perm.to_eax(),
            "{reg:#x}"
        );
    }
    assert_eq!(write(&mut world, 1, 0x30, 4, 0xFFFF_F800), 0);
    assert_eq!(write(&mut world, 1, 0x3C, 1, LINE.into()), 0);
    assert_eq!(*world.machine.devices.functions.borrow(), registers);
    assert_eq!(read(&mut world, 1, PLACE, 0x30, 4), (0, 0));
    assert_eq!(read(&mut world, 1, PLACE, 0x3C, 1), (0, LINE.into()));
    assert_eq!(write(&mut world, 1, 0x0C, 2, 0x2010), 0);
}

#[test]
fn a_base_address_without_a_place_is_not_answered_to() {
    let mut world = world();
    let other = [0, 7, 0];
    // 4 KiB of memory and 16 ports, neither of which firmware has placed.
    world.machine.devices.add(other, &[(BEGIN + 4, 1)]);
    world
        .machine
        .devices
        .set_sizes(other, [0xFFFF_F000, 0xFFFF_FFF0, 0, 0, 0, 0]);
    allow(&mut world, &access(5, other, 1));
    for value in [1, 2, 3] {
        let [bus, dev, func] = other;
        let args = PciConfigWrite {
            bus,
            dev,
            func,
            reg: 4,
            len: 2,
            value,
        };
        assert_eq!(physdev(&mut world, 1, &args).0, Errno::Perm.to_eax());
    }
    assert!(!world.domain(1).io.may_map(0) && world.domain(1).io.ports.is_none());
}
