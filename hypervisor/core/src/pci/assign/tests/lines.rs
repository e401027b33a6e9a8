//! Lines of functions: whose they are, and that nobody can hold them.

use super::*;
use crate::event;
use guest_abi::{
    domctl::IrqPermission,
    event_channel::{BindPirq, Close, EvtchnOp},
    physdev::IrqUnmaskNotify,
    shared_info::offset,
};

const OTHER: [u32; 3] = [0, 9, 0];

/// [`world`] with another function on the line.
fn with_other() -> World {
    let world = world();
    world.machine.devices.add(OTHER, &[(0x3C, LINE), (0x3D, 1)]);
    world
}

fn bind(world: &mut World, slot: usize, flags: u32) -> Result<u32, u32> {
    world.hv.current = slot;
    let pirq = u32::from(LINE);
    world.write(ARGS, &EvtchnOp::new(&BindPirq { pirq, flags, port: 0 }));
    match world.hypercall(16, [ARGS, 0, 0, 0, 0]) {
        0 => {
            let bound: BindPirq = world.read::<EvtchnOp>(ARGS).args();
            let at = offset::EVTCHN_MASK + bound.port as usize / 32 * 4;
            let frame = world.shared(slot);
            crate::platform::FrameMemory::fetch_clear_u32(&world.machine, frame, at, 1 << (bound.port % 32));
            Ok(bound.port)
        }
        error => Err(error),
    }
}

fn close(world: &mut World, slot: usize, port: u32) {
    world.hv.current = slot;
    let close = Close {
        dom: WireId::SELF,
        pad: 0,
        port,
    };
    world.write(ARGS, &EvtchnOp::new(&close));
    assert_eq!(world.hypercall(16, [ARGS, 0, 0, 0, 0]), 0);
}

/// The device asks: its status bit, and the line, if its command register lets it. Says who was told.
fn ask(world: &mut World, place: [u32; 3], ports: &[(usize, u32)]) -> Vec<usize> {
    set_asks(world, place, true);
    pulse(world, ports)
}

fn set_asks(world: &mut World, [bus, dev, func]: [u32; 3], asks: bool) {
    let function = Function::new(bus, dev, func).expect("a function").raw();
    let mut functions = world.machine.devices.functions.borrow_mut();
    let status = &mut functions.get_mut(&function).expect("there")[6];
    *status = *status & !8 | u8::from(asks) << 3;
}

/// Whether some device pulls the line.
fn is_asserted(world: &World) -> bool {
    let functions = world.machine.devices.functions.borrow();
    functions
        .values()
        .any(|registers| registers[6] & 8 != 0 && registers[5] & 4 == 0 && registers[0x3C] == LINE)
}

/// The interrupt comes, if a device pulls the line and the controller lets it.
fn pulse(world: &mut World, ports: &[(usize, u32)]) -> Vec<usize> {
    use crate::platform::{FrameMemory, InterruptLines};
    if is_asserted(world) && world.machine.devices.is_open(LINE) {
        world.machine.mask_line(LINE);
        event::raise_line(&mut world.hv, &world.machine, LINE);
    }
    let told = ports.iter().filter(|&&(slot, port)| {
        let at = offset::EVTCHN_PENDING + port as usize / 32 * 4;
        let bit = 1 << (port % 32);
        world.machine.fetch_clear_u32(world.shared(slot), at, bit) & bit != 0
    });
    told.map(|&(slot, _)| slot).collect()
}

fn notify(world: &mut World, slot: usize) {
    assert_eq!(physdev(world, slot, &IrqUnmaskNotify {}).0, 0);
}

#[test]
fn a_domain_that_never_answers_does_not_hold_the_line() {
    let mut world = with_other();
    allow(&mut world, &access(5, PLACE, 1));
    // Domain0 has a function there, so it keeps the line.
    let ports = [
        (0, bind(&mut world, 0, 1).expect("shared")),
        (1, bind(&mut world, 1, 0).expect("shared")),
    ];
    assert_eq!(ask(&mut world, PLACE, &ports), [0, 1]);
    assert!(!world.machine.devices.is_open(LINE), "Domain0 looks");
    assert!(!is_asserted(&world), "the device is silenced");
    notify(&mut world, 0);
    assert!(world.machine.devices.is_open(LINE), "it waits for Domain0 only");
    assert_eq!(pulse(&mut world, &ports), []);
    // Domain0's own device goes on, again and again; the other is not told of what is not its.
    for _ in 0..3 {
        assert_eq!(ask(&mut world, OTHER, &ports), [0]);
        set_asks(&mut world, OTHER, false);
        notify(&mut world, 0);
    }
    // At last it answers, and asks at once, as it still has reason to.
    notify(&mut world, 1);
    assert_eq!(pulse(&mut world, &ports), [0, 1]);
    set_asks(&mut world, PLACE, false);
    notify(&mut world, 0);
    notify(&mut world, 1);
    assert_eq!(pulse(&mut world, &ports), []);
    // In the wrong order nothing happens.
    assert_eq!(ask(&mut world, PLACE, &ports), [0, 1]);
    notify(&mut world, 0);
    let mask = offset::EVTCHN_MASK + ports[1].1 as usize / 32 * 4;
    let shared = world.shared(1);
    crate::platform::FrameMemory::fetch_or_u32(&world.machine, shared, mask, 1 << (ports[1].1 % 32));
    notify(&mut world, 1);
    assert!(!is_asserted(&world));
    // Closed: silent for good.
    close(&mut world, 1, ports[1].1);
    assert!(!is_asserted(&world) && world.machine.devices.is_open(LINE));
    assert_eq!(write(&mut world, 1, 4, 2, 3), 0);
    assert!(!is_asserted(&world), "not by its command register either");
}

#[test]
fn alone_it_is_silenced_as_well_and_the_holder_can_do_it_himself() {
    let mut world = world();
    allow(&mut world, &access(5, PLACE, 1));
    let ports = [(1, bind(&mut world, 1, 0).expect("its line"))];
    assert_eq!(ask(&mut world, PLACE, &ports), [1]);
    assert!(!is_asserted(&world) && world.machine.devices.is_open(LINE));
    notify(&mut world, 1);
    assert_eq!(pulse(&mut world, &ports), [1]);
    assert_eq!(write(&mut world, 1, 4, 2, 0x402), 0);
    notify(&mut world, 1);
    assert!(!is_asserted(&world), "its own wish");
    assert_eq!(write(&mut world, 1, 4, 2, 2), 0);
    assert_eq!(pulse(&mut world, &ports), [1]);
    // The interrupt is in flight when he dies.
    assert!(!is_asserted(&world));
    end(&mut world, 1);
    assert!(!is_asserted(&world) && !world.machine.devices.is_open(LINE));
    allow(&mut world, &access(6, PLACE, 1));
    let ports = [(2, bind(&mut world, 2, 0).expect("its line"))];
    assert_eq!(pulse(&mut world, &ports), [2], "it still asks");
}

#[test]
fn two_domains_share_a_line_by_functions_of_theirs() {
    let mut world = with_other();
    allow(&mut world, &access(5, PLACE, 1));
    allow(&mut world, &access(6, OTHER, 1));
    assert!(
        !world.domain(0).io.may_bind(LINE.into()),
        "Domain0 has nothing there any more"
    );
    let ports = [
        (1, bind(&mut world, 1, 0).expect("shared")),
        (2, bind(&mut world, 2, 0).expect("shared")),
    ];
    assert_eq!(bind(&mut world, 0, 1), Err(Errno::Perm.to_eax()));
    assert_eq!(ask(&mut world, PLACE, &ports), [1]);
    assert_eq!(ask(&mut world, OTHER, &ports), [2]);
    set_asks(&mut world, OTHER, false);
    notify(&mut world, 2);
    assert_eq!(ask(&mut world, OTHER, &ports), [2], "the first never answers");
    end(&mut world, 1);
    notify(&mut world, 2);
    assert_eq!(pulse(&mut world, &ports), [2]);
    assert!(world.domain(0).io.may_bind(LINE.into()));
}

#[test]
fn a_device_that_cannot_be_silenced_does_not_share() {
    let mut world = with_other();
    let function = Function::new(PLACE[0], PLACE[1], PLACE[2])
        .expect("a function")
        .raw();
    world.machine.devices.unmutable.borrow_mut().push(function);
    refused(&mut world, &access(5, PLACE, 1), Errno::Busy);
    // With the whole line in one hand it is given, and is held back at the controller.
    allow(&mut world, &access(5, OTHER, 1));
    allow(&mut world, &access(5, PLACE, 1));
    let ports = [(1, bind(&mut world, 1, 0).expect("its line"))];
    assert_eq!(ask(&mut world, PLACE, &ports), [1]);
    assert!(!world.machine.devices.is_open(LINE));
    notify(&mut world, 1);
    assert!(world.machine.devices.is_open(LINE));
    allow(&mut world, &access(5, OTHER, 0));
    refused(&mut world, &access(6, OTHER, 1), Errno::Busy);
}

#[test]
fn a_line_by_number_is_one_domains_and_not_that_of_somebody_elses_function() {
    let mut world = world();
    let line = |domain, irq, allow| IrqPermission {
        domain: WireId::new(domain),
        allow,
        pad: 0,
        irq,
    };
    let set = |world: &mut World, args: IrqPermission| {
        world.hv.current = 0;
        world.write(ARGS, &Dom0Op::new(&args));
        assert_eq!(world.hypercall(7, [ARGS, 0, 0, 0, 0]), 0);
    };
    let no = |world: &mut World, args: IrqPermission, error| {
        world.hv.current = 0;
        world.write(ARGS, &Dom0Op::new(&args));
        world.refused(7, [ARGS, 0, 0, 0, 0], error);
    };
    no(&mut world, line(5, LINE.into(), 1), Errno::Busy);
    set(&mut world, line(5, 3, 1));
    set(&mut world, line(5, 3, 1));
    assert!(!world.domain(0).io.may_bind(3) && world.domain(1).io.may_bind(3));
    no(&mut world, line(6, 3, 1), Errno::Busy);
    no(&mut world, line(0, 3, 1), Errno::Busy);
    set(&mut world, line(5, 3, 0));
    assert!(world.domain(0).io.may_bind(3) && !world.domain(1).io.may_bind(3));
    set(&mut world, line(6, 3, 1));
    end(&mut world, 2);
    assert!(world.domain(0).io.may_bind(3));
    // What Domain0 has bound is closed.
    let port = bind(&mut world, 0, 0).expect("its line");
    allow(&mut world, &access(5, PLACE, 1));
    assert_eq!(world.hv.lines.sharers(LINE).count(), 0);
    assert_eq!(bind(&mut world, 0, 0), Err(Errno::Perm.to_eax()));
    let _ = port;
}
