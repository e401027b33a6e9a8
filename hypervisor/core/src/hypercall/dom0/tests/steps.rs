//! A life that is ended at each of its steps.

use super::bench::{Bench, context};
use crate::{
    domain::DomId,
    hypercall::dom0::tests::bench::{BLOCK, BUFFER},
    io_rights::given::Given,
    mm::pte::{P, RW},
    outcome::Outcome,
    pci::Register,
    testing::{Guest, Work, entry},
};
use guest_abi::{
    addr::GuestVirt,
    domain::DomId as WireId,
    domctl::{
        BuildDomain, CreateDomain, DestroyDomain, Dom0Op, IoMemPermission, IoPortPermission, IrqPermission,
        PciDevAccess, Personality, SetDomainInitialMem,
    },
    event_channel::{AllocUnbound, BindInterdomain, EvtchnArgs, EvtchnOp},
    mmu::MmuUpdate,
};

pub const CHILD: WireId = WireId::new(1);

pub fn create_args(pages: u32) -> CreateDomain {
    CreateDomain {
        memory_kb: u64::from(pages) * 4,
        cpu: -1,
        domain: CHILD,
        personality: Personality::V2,
    }
}

pub fn event<A: EvtchnArgs>(bench: &mut Bench, args: &A) -> A {
    bench.write(BLOCK, &EvtchnOp::new(args));
    assert_eq!(bench.world.call(16, [BLOCK, 0, 0, 0, 0]), Ok(Outcome::Return(0)));
    bench.read::<EvtchnOp>(BLOCK).args()
}

/// A device of 8 KiB and 16 ports, on a line.
const DEVICE: [u32; 3] = [0, 2, 0];
const DEVICE_FRAME: u32 = 0xF0000;
const LINE: u8 = 11;

pub fn add_device(bench: &mut Bench) {
    let devices = &bench.world.machine.devices;
    let bytes = [
        (4, 3),
        (0x13, 0xF0),
        (0x14, 1),
        (0x15, 0xC0),
        (0x3C, LINE),
        (0x3D, 1),
    ];
    devices.add(DEVICE, &bytes);
    devices.set_sizes(DEVICE, [0xFFFF_E000, 0xFFFF_FFF0, 0, 0, 0, 0]);
    bench.world.hv.pci_buses = [1, 0, 0, 0, 0, 0, 0, 0];
    bench.domain(0).io.lines = u16::MAX;
}

pub fn access(domain: WireId, allow: u32) -> PciDevAccess {
    let [bus, dev, func] = DEVICE;
    PciDevAccess {
        domain,
        pad: 0,
        bus,
        dev,
        func,
        allow,
    }
}

/// The command register of the device.
pub fn command(bench: &Bench) -> u8 {
    bench.world.machine.devices.functions.borrow()[&(2 << 3)][4]
}

/// The guest maps a frame of the device in its own table, or unmaps it.
pub fn map_device(bench: &mut Bench, guest: &Guest, is_mapped: bool) -> bool {
    let owner = bench.world.owner(guest.slot);
    let val = if is_mapped {
        entry(guest_abi::addr::Mfn::new(DEVICE_FRAME + 1), P | RW)
    } else {
        0
    };
    bench.world.mmu().update_l1(guest.l1(), 300, val, owner).is_ok()
}

/// One life by its steps; the machine is full of work, so every step is as short as can be. Says whether step `last` was
/// reached.
fn live_until(bench: &mut Bench, last: usize) -> bool {
    let mut step = 0;
    macro_rules! pausing {
        ($args:expr) => {{
            let args = $args;
            let mut pauses = 0;
            bench.write(BLOCK, &Dom0Op::new(&args));
            let mut registers = [BLOCK, 0, 0, 0, 0];
            loop {
                if step == last {
                    return true;
                }
                step += 1;
                pauses += 1;
                assert!(pauses < 10_000);
                match bench.world.call_once(7, registers) {
                    Ok(Outcome::Again(next)) => registers = next,
                    other => break assert_eq!(other, Ok(Outcome::Return(0))),
                }
            }
        }};
    }
    macro_rules! whole {
        ($done:expr) => {{
            if step == last {
                return true;
            }
            step += 1;
            $done
        }};
    }
    pausing!(create_args(48));
    pausing!(SetDomainInitialMem {
        domain: CHILD,
        initial_memkb: 256,
        ..Default::default()
    });
    let guest = whole!(bench.fill(1));
    let (l1, frame) = (bench.dom0.l1(), guest.frames[Guest::DATA]);
    whole!({
        // Domain0 maps a frame of it, and its shared page.
        let shared = bench.domain(1).shared_info;
        let at = |index: u64| l1.addr().raw() + 8 * index;
        let maps = [
            MmuUpdate {
                ptr: at(20),
                val: entry(frame, P | RW),
            },
            MmuUpdate {
                ptr: at(21),
                val: entry(shared, P | RW),
            },
        ];
        assert_eq!(bench.for_domain(1, &maps), Ok(Outcome::Return(0)));
    });
    for _ in 0..80 {
        whole!(event(
            bench,
            &BindInterdomain {
                dom1: WireId::SELF,
                dom2: CHILD,
                port1: 0,
                port2: 0
            }
        ));
    }
    whole!(event(
        bench,
        &AllocUnbound {
            dom: CHILD,
            pad: 0,
            port: 0
        }
    ));
    whole!(bench.write(BUFFER, &context(&guest)));
    pausing!(BuildDomain {
        domain: CHILD,
        pad: 0,
        ctxt: GuestVirt::new(BUFFER)
    });
    pausing!(access(CHILD, PciDevAccess::GIVE));
    pausing!(access(CHILD, PciDevAccess::TAKE));
    pausing!(access(CHILD, PciDevAccess::GIVE_WITH_DMA));
    pausing!(IoMemPermission {
        domain: CHILD,
        allow: 1,
        pad: 0,
        first_frame: guest_abi::addr::Mfn::new(0xE0000),
        nr_frames: 3,
    });
    pausing!(IoPortPermission {
        domain: CHILD,
        allow: 1,
        pad: 0,
        first_port: 0x200,
        nr_ports: 0x40
    });
    pausing!(IrqPermission {
        domain: CHILD,
        allow: 1,
        pad: 0,
        irq: 3
    });
    whole!({
        assert!(map_device(bench, &guest, true));
        let (hv, machine) = (&mut bench.world.hv, &bench.world.machine);
        let held = &mut hv.domain_at(guest.slot).expect("there").io.functions[0];
        let register = Register::new(4, 2).expect("the command register");
        assert_eq!(held.write(machine, register, 7), Ok(()));
        assert_eq!(command(bench), 7);
    });
    whole!(assert_eq!(bench.unpause(1), Ok(())));
    pausing!(DestroyDomain {
        domain: CHILD,
        pad: 0
    });
    false
}

/// What Domain0 may still map of the dead one goes, and its ports.
pub fn let_go(bench: &mut Bench) {
    let l1 = bench.dom0.l1();
    let frames = bench.dom0.frames.clone();
    let own = |index: usize| MmuUpdate {
        ptr: l1.addr().raw() + 8 * index as u64,
        val: entry(frames[index], P | RW),
    };
    for (n, request) in [own(20), own(21)].iter().enumerate() {
        bench.write(BUFFER + 16 * n as u32, request);
    }
    assert_eq!(bench.world.call(1, [BUFFER, 2, 0, 0, 0]), Ok(Outcome::Return(0)));
}

#[test]
fn a_domain_can_be_ended_at_every_step_of_its_life() {
    let mut step = 0;
    loop {
        let mut bench = Bench::new();
        bench.world.machine.work.set(Work::Always);
        add_device(&mut bench);
        let free = bench.free();
        let is_alive = live_until(&mut bench, step);
        bench.assert_sound();
        if bench.hv().slot_of_any(DomId(1)).is_some() {
            assert_eq!(bench.destroy(1), Ok(()));
            bench.assert_sound();
        }
        let_go(&mut bench);
        // The record of a domain whose frames were still mapped goes with the next call.
        assert!(bench.op(&guest_abi::domctl::PhysInfo::default()).is_ok());
        assert_eq!(bench.hv().slot_of_any(DomId(1)), None);
        let table = u32::from(bench.domain(0).events.frame().is_some());
        assert_eq!(bench.free() + table, free, "step {step}");
        // All devices are Domain0's again, and none is master of the bus.
        assert_eq!(bench.hv().given, Given::NOTHING, "step {step}");
        assert_eq!((bench.domain(0).io.lines, command(&bench) & 4), (u16::MAX, 0));
        bench.assert_sound();
        if !is_alive {
            break;
        }
        step += 1;
    }
    assert!(step > 90, "{step} steps");
}
