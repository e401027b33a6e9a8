//! Devices that change hands while somebody maps them, or tries to.

use super::bench::{BLOCK, Bench};
use crate::{
    error::HvError,
    mm::pte::{P, RW, US},
    outcome::Outcome,
    testing::{Guest, Work, entry},
};
use guest_abi::{
    addr::Mfn,
    domain::DomId as WireId,
    domctl::{Dom0Op, IoMemPermission, PciDevAccess},
    mmu::MmuUpdate,
};

const BEGIN: usize = 0x10;
const DEVICE: [u32; 3] = [0, 2, 0];
const FRAME: u32 = 0xF0000;

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

/// Domain0 and two guests with page tables, and a device that lies beyond all RAM.
fn bench() -> (Bench, [Guest; 2]) {
    let mut bench = Bench::new();
    let guests = [1, 2].map(|id| bench.make(id, 24));
    let devices = &bench.world.machine.devices;
    devices.add([0, 2, 0], &[(4, 3), (BEGIN + 3, 0xF0)]);
    devices.set_sizes([0, 2, 0], [0xFFFF_C000, 0, 0, 0, 0, 0]);
    bench.world.hv.pci_buses = [1, 0, 0, 0, 0, 0, 0, 0];
    (bench, guests)
}

/// The domain in `slot` maps or unmaps frame `n` of the device at a place of its own.
fn map(bench: &mut Bench, guest: &Guest, n: u32, is_mapped: bool) -> bool {
    let owner = bench.world.owner(guest.slot);
    let val = if is_mapped {
        entry(Mfn::new(n), P | RW | US)
    } else {
        0
    };
    let (l1, current) = (guest.l1(), bench.world.hv.current);
    bench.world.hv.current = guest.slot;
    let done = bench.world.mmu().update_l1(l1, 300, val, owner);
    bench.world.hv.current = current;
    done.is_ok()
}

#[test]
fn a_function_whose_registers_are_mapped_does_not_change_hands() {
    for work in [Work::Never, Work::Always] {
        let (mut bench, [one, two]) = bench();
        bench.world.machine.work.set(work);
        let dom0 = bench.dom0.clone();
        let busy = |bench: &mut Bench, args: &PciDevAccess| bench.refused(args, HvError::Busy);
        // Domain0 has it mapped, its last frame only.
        assert!(map(&mut bench, &dom0, FRAME + 3, true));
        busy(&mut bench, &access(1, DEVICE, 1));
        assert!(map(&mut bench, &dom0, FRAME + 3, false));
        assert_eq!(bench.op(&access(1, DEVICE, 1)).map(drop), Ok(()));
        assert!(!map(&mut bench, &dom0, FRAME, true), "given away");
        assert!(!map(&mut bench, &two, FRAME, true) && map(&mut bench, &one, FRAME, true));
        bench.assert_sound();
        // Named as the holder's, by Domain0, in Domain0's tables.
        let at = dom0.l1().addr().raw() + 8 * 300;
        let foreign = [MmuUpdate {
            ptr: at,
            val: entry(Mfn::new(FRAME), P | RW),
        }];
        assert!(bench.for_domain(1, &foreign).is_err());
        // The holder has it mapped.
        busy(&mut bench, &access(1, DEVICE, 0));
        assert!(map(&mut bench, &one, FRAME, false));
        assert_eq!(bench.op(&access(1, DEVICE, 0)).map(drop), Ok(()));
        assert!(!map(&mut bench, &one, FRAME, true) && map(&mut bench, &dom0, FRAME, true));
        assert!(map(&mut bench, &dom0, FRAME, false));
        // Who dies with it mapped gives it back, and what his tables name does not count any more.
        assert_eq!(bench.op(&access(1, DEVICE, 1)).map(drop), Ok(()));
        assert!(map(&mut bench, &one, FRAME, true));
        assert_eq!(bench.destroy(1), Ok(()));
        assert_eq!(bench.op(&access(2, DEVICE, 1)).map(drop), Ok(()));
        assert!(map(&mut bench, &two, FRAME, true));
        bench.assert_sound();
    }
}

/// While a search of all page tables pauses, nobody can map what it looks for, where it was already.
#[test]
fn nothing_slips_in_while_it_is_looked_for() {
    let mut pauses = 0;
    loop {
        let (mut bench, [one, _]) = bench();
        bench.world.machine.work.set(Work::Always);
        let dom0 = bench.dom0.clone();
        bench.write(BLOCK, &Dom0Op::new(&access(1, DEVICE, 1)));
        let mut registers = [BLOCK, 0, 0, 0, 0];
        let mut is_over = false;
        for _ in 0..=pauses {
            match bench.world.call_once(7, registers) {
                Ok(Outcome::Again(next)) => registers = next,
                other => {
                    assert_eq!(other, Ok(Outcome::Return(0)));
                    is_over = true;
                    break;
                }
            }
        }
        assert!(!map(&mut bench, &dom0, FRAME, true), "pause {pauses}");
        // It is the new holder's when it is given, not before.
        assert_eq!(map(&mut bench, &one, FRAME, true), is_over);
        if is_over {
            break;
        }
        // Another request gives up what was begun.
        let frames = IoMemPermission {
            domain: WireId::new(1),
            allow: 1,
            pad: 0,
            first_frame: Mfn::new(0xE0000),
            nr_frames: 1,
        };
        assert_eq!(bench.op(&frames).map(drop), Ok(()));
        assert!(map(&mut bench, &dom0, FRAME, true), "given up");
        bench.refused(&access(1, DEVICE, 1), HvError::Busy);
        bench.assert_sound();
        pauses += 1;
    }
    assert!(pauses > 1, "{pauses} pauses");
}

#[test]
fn frames_that_were_given_by_number_are_one_domains() {
    let (mut bench, [one, two]) = bench();
    let dom0 = bench.dom0.clone();
    let frames = |domain, first, nr_frames, allow| IoMemPermission {
        domain: WireId::new(domain),
        allow,
        pad: 0,
        first_frame: Mfn::new(first),
        nr_frames,
    };
    assert!(map(&mut bench, &dom0, 0xE0001, true));
    bench.refused(&frames(1, 0xE0000, 2, 1), HvError::Busy);
    assert!(map(&mut bench, &dom0, 0xE0001, false));
    assert_eq!(bench.op(&frames(1, 0xE0000, 2, 1)).map(drop), Ok(()));
    for (domain, first, count) in [(2, 0xE0001, 1), (2, 0xDFFFF, 2), (2, 0xE0000, 2), (0, 0xE0000, 1)] {
        bench.refused(&frames(domain, first, count, 1), HvError::Busy);
    }
    assert_eq!(bench.op(&frames(2, 0xE0002, 1, 1)).map(drop), Ok(()));
    assert!(!map(&mut bench, &dom0, 0xE0001, true) && !map(&mut bench, &two, 0xE0001, true));
    assert!(map(&mut bench, &one, 0xE0001, true));
    bench.refused(&frames(1, 0xE0000, 2, 0), HvError::Busy);
    assert!(map(&mut bench, &one, 0xE0001, false));
    assert_eq!(bench.op(&frames(1, 0xE0000, 2, 0)).map(drop), Ok(()));
    assert!(!map(&mut bench, &one, 0xE0001, true) && map(&mut bench, &dom0, 0xE0001, true));
    // The console's screen is there: its frames are given to nobody, and stay Domain0's to map.
    bench.world.hv.screen = Some(0xE0001..0xE0003);
    for (first, count) in [(0xE0001, 1), (0xE0000, 2), (0xE0002, 1)] {
        bench.refused(&frames(1, first, count, 1), HvError::Denied);
    }
    assert_eq!(bench.op(&frames(0, 0xE0001, 1, 1)).map(drop), Ok(()));
    assert!(map(&mut bench, &dom0, 0xE0001, true) && map(&mut bench, &dom0, 0xE0001, false));
    // A function lies there.
    assert_eq!(bench.op(&frames(2, FRAME + 1, 1, 1)).map(drop), Ok(()));
    bench.refused(&access(1, DEVICE, 1), HvError::Busy);
    bench.assert_sound();
}
