//! Functions given by `dom0_op` and driven by `physdev_op`.

mod lines;
mod registers;
mod shared;

use super::*;
use crate::{
    domain::DomId,
    outcome::Outcome,
    testing::{ARGS, EXPRESS, World},
};
use guest_abi::{
    domain::DomId as WireId,
    domctl::IoPortPermission,
    domctl::{Dom0Op, PciDevAccess, PciDevHolder},
    errno::Errno,
    physdev::{
        PciConfigRead, PciConfigWrite, PciInitialiseDevice, PciProbeRootBuses, PhysdevArgs, PhysdevOp,
    },
};

const PLACE: [u32; 3] = [3, 2, 1];
const LINE: u8 = 11;
const BEGIN: usize = super::registers::FIRST_BAR as usize;
/// Its first frame.
const FIRST: u64 = 0x1_F000_0000 >> 12;

/// Domain0, which owns the devices, domains 5 and 6, and a device: 16 KiB of memory beyond 4 GiB, 32 ports at 0xC000, a line.
fn world() -> World {
    let mut world = World::running();
    world.add_domain(DomId(5), false);
    world.add_domain(DomId(6), false);
    world.hv.pci_buses = [1 | 1 << 3, 0, 0, 0, 0, 0, 0, 0];
    world.domain(0).io.lines = u16::MAX;
    world.machine.devices.add([3, 2, 0], &[(0x0E, 0x80)]);
    world.machine.devices.add(
        PLACE,
        &[
            (0x3C, LINE),
            (0x3D, 1),
            (4, 3),
            (BEGIN, 0x0C),
            (BEGIN + 3, 0xF0),
            (BEGIN + 4, 1),
            (BEGIN + 8, 1),
            (BEGIN + 9, 0xC0),
        ],
    );
    let sizes = [0xFFFF_C000, u32::MAX, 0xFFFF_FFE0, 0, 0, 0];
    world.machine.devices.set_sizes(PLACE, sizes);
    world
}

fn access(domain: u16, [bus, dev, func]: [u32; 3], allow: u32) -> PciDevAccess {
    let domain = WireId::new(domain);
    PciDevAccess {
        domain,
        pad: 0,
        bus,
        dev,
        func,
        allow,
    }
}

/// Domain0 gives or takes.
#[track_caller]
fn allow(world: &mut World, args: &PciDevAccess) {
    world.hv.current = 0;
    world.write(ARGS, &Dom0Op::new(args));
    assert_eq!(world.hypercall(7, [ARGS, 0, 0, 0, 0]), 0);
}

#[track_caller]
fn refused(world: &mut World, args: &PciDevAccess, error: Errno) {
    world.hv.current = 0;
    world.write(ARGS, &Dom0Op::new(args));
    world.refused(7, [ARGS, 0, 0, 0, 0], error);
}

fn physdev<A: PhysdevArgs>(world: &mut World, slot: usize, args: &A) -> (u32, A) {
    world.hv.current = slot;
    world.write(ARGS, &PhysdevOp::new(args));
    let eax = world.hypercall(19, [ARGS, 0, 0, 0, 0]);
    (eax, world.read::<PhysdevOp>(ARGS).args())
}

fn read(world: &mut World, slot: usize, [bus, dev, func]: [u32; 3], reg: u32, len: u32) -> (u32, u32) {
    let args = PciConfigRead {
        bus,
        dev,
        func,
        reg,
        len,
        value: 5,
    };
    let (eax, args) = physdev(world, slot, &args);
    (eax, args.value)
}

fn write(world: &mut World, slot: usize, reg: u32, len: u32, value: u32) -> u32 {
    let [bus, dev, func] = PLACE;
    let args = PciConfigWrite {
        bus,
        dev,
        func,
        reg,
        len,
        value,
    };
    physdev(world, slot, &args).0
}

fn may_use(world: &mut World, slot: usize, port: u32) -> bool {
    use crate::platform::FrameMemory;
    let Some([low, high]) = world.domain(slot).io.ports else {
        return false;
    };
    let frame = if port < 0x8000 { low } else { high };
    let word = world.machine.read_entry(frame, (port % 0x8000 / 64) as usize);
    word >> (port % 64) & 1 == 0
}

fn holder(world: &mut World, [bus, dev, func]: [u32; 3]) -> (u32, PciDevHolder) {
    world.hv.current = 0;
    let args = PciDevHolder {
        bus,
        dev,
        func,
        ..Default::default()
    };
    world.write(ARGS, &Dom0Op::new(&args));
    let eax = world.hypercall(7, [ARGS, 0, 0, 0, 0]);
    (eax, world.read::<Dom0Op>(ARGS).args())
}

#[test]
fn a_function_comes_with_its_registers_ports_frames_and_line_and_goes_with_them() {
    let mut world = world();
    assert_eq!(read(&mut world, 1, PLACE, 0, 2), (Errno::Perm.to_eax(), u32::MAX));
    assert_eq!(holder(&mut world, PLACE).0, Errno::NoData.to_eax());
    allow(&mut world, &access(5, PLACE, 1));
    assert!(!world.machine.devices.was_moved_live.get());
    let io = &world.domain(1).io;
    assert!(io.may_map(FIRST) && io.may_map(FIRST + 3) && !io.may_map(FIRST + 4) && !io.may_map(FIRST - 1));
    assert!(io.may_bind(LINE.into()) && io.functions.len() == 1);
    for (port, is_given) in [(0xBFFF, false), (0xC000, true), (0xC01F, true), (0xC020, false)] {
        assert_eq!(may_use(&mut world, 1, port), is_given, "port {port:#x}");
    }
    assert!(!world.domain(1).is_privileged && !world.domain(1).has_devices);
    let buses = physdev(&mut world, 1, &PciProbeRootBuses::default()).1;
    assert_eq!(buses.busmask, [1 << 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&mut world, 1, PLACE, 0, 2), (0, 0x86));
    assert_eq!(read(&mut world, 0, PLACE, 4, 2), (0, 0x400), "it is given quiet");
    assert_eq!(read(&mut world, 1, PLACE, 4, 2), (0, 0));
    assert_eq!(write(&mut world, 1, 4, 2, 3), 0);
    assert_eq!(read(&mut world, 1, PLACE, 4, 2), (0, 3));
    assert_eq!(
        read(&mut world, 0, PLACE, 4, 2),
        (0, 0x403),
        "Domain0 may look; nobody serves the line"
    );
    let (eax, of) = holder(&mut world, PLACE);
    assert_eq!((eax, of.domain, of.has_dma), (0, WireId::new(5), 0));

    allow(&mut world, &access(5, PLACE, 0));
    allow(&mut world, &access(5, PLACE, 0));
    assert_eq!(read(&mut world, 0, PLACE, 4, 2), (0, 0x400), "it is quiet");
    assert_eq!(read(&mut world, 1, PLACE, 0, 2), (Errno::Perm.to_eax(), u32::MAX));
    let io = &world.domain(1).io;
    assert!(!io.may_map(FIRST) && !io.may_bind(LINE.into()) && io.functions.is_empty());
    assert!(!may_use(&mut world, 1, 0xC000));
    assert_eq!(holder(&mut world, PLACE).0, Errno::NoData.to_eax());
    allow(&mut world, &access(6, PLACE, 3));
    let (_, of) = holder(&mut world, PLACE);
    assert_eq!((of.domain, of.has_dma), (WireId::new(6), 1));
}

#[test]
fn domain0_has_it_no_more_and_then_again() {
    let mut world = world();
    let ports = |first_port, nr_ports, allow| IoPortPermission {
        domain: WireId::new(0),
        allow,
        pad: 0,
        first_port,
        nr_ports,
    };
    let dom0 = |world: &mut World, args: &IoPortPermission| {
        world.hv.current = 0;
        world.write(ARGS, &Dom0Op::new(args));
        world.hypercall(7, [ARGS, 0, 0, 0, 0])
    };
    assert_eq!(dom0(&mut world, &ports(0xC010, 0x20, 1)), 0);
    allow(&mut world, &access(5, PLACE, 1));
    // Configuration, ports, line, frames.
    let registers = world.machine.devices.functions.borrow().clone();
    assert_eq!(write(&mut world, 0, 4, 2, 7), Errno::Perm.to_eax());
    let [bus, dev, func] = PLACE;
    assert_eq!(
        physdev(&mut world, 0, &PciInitialiseDevice { bus, dev, func }).0,
        Errno::Perm.to_eax()
    );
    assert_eq!(*world.machine.devices.functions.borrow(), registers);
    assert!(
        !may_use(&mut world, 0, 0xC010) && !may_use(&mut world, 0, 0xC01F) && may_use(&mut world, 0, 0xC020)
    );
    world.hv.current = 0;
    world.write(ARGS, &Dom0Op::new(&ports(0xC01F, 1, 1)));
    world.refused(7, [ARGS, 0, 0, 0, 0], Errno::Busy);
    assert!(!world.domain(0).io.may_bind(LINE.into()));
    assert!(world.hv.given.is_kept_from(0, FIRST) && !world.hv.given.is_kept_from(1, FIRST));
    // And when the other dies.
    end(&mut world, 1);
    assert!(
        may_use(&mut world, 0, 0xC010) && may_use(&mut world, 0, 0xC01F) && !may_use(&mut world, 0, 0xC00F)
    );
    assert!(world.domain(0).io.may_bind(LINE.into()) && !world.hv.given.is_kept_from(0, FIRST));
    assert_eq!(write(&mut world, 0, 4, 2, 7), 0);
    assert_eq!(dom0(&mut world, &ports(0xC000, 1, 1)), 0);
}

/// What the end of the domain in `slot` takes from it.
fn end(world: &mut World, slot: usize) {
    begin_taking_all(&mut world.hv, &world.machine, slot);
    assert_eq!(finish_taking_all(&mut world.hv, &world.machine, slot), Ok(()));
    io_rights::take_all(&mut world.hv, &world.machine, slot);
}

#[test]
fn what_is_not_held_is_out_of_reach() {
    let mut world = world();
    let other = [0, 7, 0];
    world.machine.devices.add(other, &[(0x3C, 9), (0x3D, 1)]);
    allow(&mut world, &access(5, PLACE, 1));
    let [bus, dev, func] = other;
    assert_eq!(read(&mut world, 1, other, 0, 4), (Errno::Perm.to_eax(), u32::MAX));
    assert_eq!(
        physdev(&mut world, 1, &PciInitialiseDevice { bus, dev, func }).0,
        Errno::Perm.to_eax()
    );
    assert_eq!(
        read(&mut world, 1, [0, 8, 0], 0, 4),
        (Errno::NoDev.to_eax(), u32::MAX)
    );
    assert_eq!(
        read(&mut world, 1, [0, 32, 0], 0, 4),
        (Errno::Inval.to_eax(), u32::MAX)
    );
    assert_eq!(read(&mut world, 2, PLACE, 0, 4), (Errno::Perm.to_eax(), u32::MAX));
    let [bus, dev, func] = PLACE;
    assert_eq!(
        physdev(&mut world, 1, &PciInitialiseDevice { bus, dev, func }).0,
        0
    );
    assert_eq!(world.machine.devices.level_lines.get(), 1 << LINE);
}

#[test]
fn what_cannot_be_given_gives_nothing() {
    let mut world = world();
    let bridge = [0, 1, 0];
    let header = [0, 1, 1];
    let ours = [0, 2, 0];
    let memory = [0, 2, 1];
    let line = [0, 2, 2];
    let devices = &world.machine.devices;
    devices.add(bridge, &[(0x0B, 6)]);
    devices.add(header, &[(0x0E, 0x81)]);
    devices.add(ours, &[(BEGIN, 0xF1), (BEGIN + 1, 3)]);
    devices.set_sizes(ours, [0xFFFF_FFF0, 0, 0, 0, 0, 0]);
    devices.add(memory, &[(BEGIN + 2, 2)]);
    devices.set_sizes(memory, [0xFFFF_F000, 0, 0, 0, 0, 0]);
    devices.add(line, &[(0x3C, 4), (0x3D, 1)]);
    world.hv.lines.reserve(4);
    refused(&mut world, &access(5, [0, 31, 0], 1), Errno::NoDev);
    refused(&mut world, &access(5, [0, 0, 8], 1), Errno::Inval);
    refused(&mut world, &access(7, PLACE, 1), Errno::Srch);
    refused(&mut world, &access(0, PLACE, 1), Errno::Inval);
    refused(&mut world, &access(5, PLACE, 2), Errno::Inval);
    refused(&mut world, &access(5, PLACE, 4), Errno::Inval);
    for (place, error) in [
        (bridge, Errno::Perm),
        (header, Errno::Perm),
        (ours, Errno::Inval),
        (memory, Errno::Inval),
        (line, Errno::Busy),
    ] {
        refused(&mut world, &access(5, place, 1), error);
    }
    allow(&mut world, &access(5, PLACE, 1));
    refused(&mut world, &access(6, PLACE, 1), Errno::Busy);
    refused(&mut world, &access(5, PLACE, 1), Errno::Busy);
    refused(&mut world, &access(5, PLACE, 3), Errno::Busy);
    // Not the holder: nothing is taken from anybody.
    allow(&mut world, &access(6, PLACE, 0));
    assert_eq!(world.domain(1).io.functions.len(), 1);
}

#[test]
fn a_holder_that_dies_leaves_the_device_quiet_and_free() {
    let mut world = world();
    allow(&mut world, &access(5, PLACE, 3));
    assert_eq!(write(&mut world, 1, 4, 2, 7), 0);
    end(&mut world, 1);
    assert_eq!(read(&mut world, 0, PLACE, 4, 2), (0, 0x400));
    allow(&mut world, &access(6, PLACE, 1));
}

/// Lets the device of [`world`] reset itself, with messages on.
fn with_reset(world: &mut World) {
    let function = Function::new(PLACE[0], PLACE[1], PLACE[2]).expect("a function");
    let mut functions = world.machine.devices.functions.borrow_mut();
    let registers = functions.get_mut(&function.raw()).expect("it is there");
    for (at, byte) in [
        (6, 0x10),
        (0x34, 0x40),
        (0x40, 5),
        (0x41, EXPRESS as u8),
        (0x42, 1),
        (EXPRESS, 0x10),
        (EXPRESS + 1, 0x60),
        (EXPRESS + 7, 0x10),
        (0x60, 0x11),
        (0x63, 0x80),
    ] {
        registers[at] = byte;
    }
}

#[test]
fn a_device_that_can_be_reset_is_and_nobody_has_it_meanwhile() {
    let mut world = world();
    with_reset(&mut world);
    let before = world.machine.devices.functions.borrow().clone();
    allow(&mut world, &access(5, PLACE, 3));
    assert_eq!(read(&mut world, 0, PLACE, 0x42, 1), (0, 0), "no messages");
    assert_eq!(read(&mut world, 0, PLACE, 0x63, 1), (0, 0));
    assert_eq!(write(&mut world, 1, 4, 2, 7), 0);
    world.hv.current = 0;
    world.write(ARGS, &Dom0Op::new(&access(5, PLACE, 0)));
    let pause = |world: &mut World| world.call_once(7, [ARGS, 0, 0, 0, 0]);
    assert!(matches!(pause(&mut world), Ok(Outcome::Again(_))));
    assert_eq!(world.machine.devices.resets.get(), 1);
    // It is nobody's: not the old holder's, not Domain0's, and not to be given.
    assert_eq!(write(&mut world, 1, 4, 2, 7), Errno::Perm.to_eax());
    assert_eq!(write(&mut world, 0, 4, 2, 7), Errno::Perm.to_eax());
    assert!(!world.domain(1).io.may_map(FIRST) && !world.domain(1).io.may_bind(LINE.into()));
    assert!(world.hv.given.is_kept_from(0, FIRST) && !may_use(&mut world, 1, 0xC000));
    refused(&mut world, &access(6, PLACE, 1), Errno::Busy);
    let now = world.machine.now_ns.get();
    world.write(ARGS, &Dom0Op::new(&access(5, PLACE, 0)));
    world.machine.now_ns.set(now + 99_999_999);
    assert!(matches!(pause(&mut world), Ok(Outcome::Again(_))));
    world.machine.now_ns.set(now + 100_000_000);
    assert_eq!(pause(&mut world), Ok(Outcome::Return(0)));
    assert_eq!(world.machine.devices.resets.get(), 1);
    // Where it was, and quiet.
    let function = Function::new(PLACE[0], PLACE[1], PLACE[2])
        .expect("a function")
        .raw();
    let (before, after) = (
        &before[&function],
        world.machine.devices.functions.borrow()[&function].clone(),
    );
    assert_eq!((&after[0x10..0x28], after[0x3C]), (&before[0x10..0x28], LINE));
    assert_eq!(after[4..6], [0, 4]);
    assert!(!world.hv.given.is_kept_from(0, FIRST));
    allow(&mut world, &access(6, PLACE, 1));
}

#[test]
fn a_line_that_another_held_function_has_stays() {
    let mut world = world();
    let twin = [3, 2, 2];
    world.machine.devices.add(twin, &[(0x3C, LINE), (0x3D, 2)]);
    allow(&mut world, &access(5, PLACE, 1));
    allow(&mut world, &access(5, twin, 1));
    allow(&mut world, &access(5, PLACE, 0));
    assert!(world.domain(1).io.may_bind(LINE.into()));
    allow(&mut world, &access(5, twin, 0));
    assert_eq!(world.domain(1).io.lines, 0);
}

#[test]
fn the_screen_that_the_console_is_on_stays_where_it_is() {
    let mut world = world();
    // In the middle, on the first frame, on the last one; behind it and before it.
    for (screen, is_given) in [
        (FIRST + 1..FIRST + 3, false),
        (FIRST - 4..FIRST + 1, false),
        (FIRST + 3..FIRST + 4, false),
        (FIRST - 4..FIRST + 40, false),
        (FIRST + 4..FIRST + 5, true),
        (FIRST - 4..FIRST, true),
        // A screen in text mode, which an adapter like this has nothing to do with.
        (0xB8..0xB9, true),
    ] {
        world.hv.screen = Some(screen.clone());
        if is_given {
            allow(&mut world, &access(5, PLACE, 1));
            allow(&mut world, &access(5, PLACE, 0));
        } else {
            refused(&mut world, &access(5, PLACE, 1), Errno::Perm);
            assert_eq!(holder(&mut world, PLACE).0, Errno::NoData.to_eax(), "{screen:?}");
        }
    }
    // A VGA adapter, with the console in text mode and without.
    world.machine.devices.add([3, 4, 0], &[(0x0B, 3), (4, 3)]);
    world.machine.devices.set_sizes([3, 4, 0], [0; 6]);
    refused(&mut world, &access(5, [3, 4, 0], 1), Errno::Perm);
    world.hv.screen = None;
    allow(&mut world, &access(5, [3, 4, 0], 1));
}
