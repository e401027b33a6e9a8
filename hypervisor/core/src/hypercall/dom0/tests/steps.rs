//! Interrupted lives: memory that runs out at each allocation, the end at each step, random sequences.

use super::bench::{Bench, context};
use crate::{
    domain::DomId,
    error::HvError,
    hypercall::dom0::tests::bench::{BLOCK, BUFFER},
    life::Building,
    mm::pte::{P, RW},
    outcome::Outcome,
    testing::{Guest, Work, entry},
};
use guest_abi::{
    addr::GuestVirt,
    domain::DomId as WireId,
    domctl::{BuildDomain, CreateDomain, DestroyDomain, Dom0Args, Dom0Op, Personality, SetDomainInitialMem},
    event_channel::{AllocUnbound, BindInterdomain, EvtchnArgs, EvtchnOp},
    mmu::{Extended, MmuUpdate},
};
use proptest::prelude::*;

const CHILD: WireId = WireId::new(1);

/// Runs a command for as many of its pauses as `pauses` says, and says whether it ended by then.
fn run_for<A: Dom0Args>(bench: &mut Bench, args: &A, pauses: usize) -> Option<Result<(), HvError>> {
    bench.write(BLOCK, &Dom0Op::new(args));
    let mut registers = [BLOCK, 0, 0, 0, 0];
    for _ in 0..=pauses {
        match bench.world.call_once(7, registers) {
            Ok(Outcome::Again(next)) => registers = next,
            Ok(Outcome::Return(0)) => return Some(Ok(())),
            Ok(other) => panic!("{other:?}"),
            Err(why) => return Some(Err(why)),
        }
    }
    None
}

fn create_args(pages: u32) -> CreateDomain {
    CreateDomain {
        memory_kb: u64::from(pages) * 4,
        cpu: -1,
        domain: CHILD,
        personality: Personality::V2,
    }
}

/// Takes free frames for Domain0 until `left` are free.
fn exhaust(bench: &mut Bench, left: u32) -> Vec<guest_abi::addr::Mfn> {
    let mut taken = Vec::new();
    bench.domain(0).max_pages = u32::MAX;
    while bench.free() > left {
        taken.push(bench.world.mmu().allocate(DomId(0), 0).expect("a free frame"));
    }
    taken
}

#[test]
fn memory_that_runs_out_at_any_allocation_of_a_creation_is_told_and_everything_is_back() {
    const PAGES: u32 = 20;
    for left in 0..PAGES + 3 {
        let mut bench = Bench::new();
        exhaust(&mut bench, left);
        let result = bench.op(&create_args(PAGES)).map(drop);
        if left < PAGES + 2 {
            assert_eq!(
                result.map_err(HvError::errno),
                Err(guest_abi::errno::Errno::NoMem)
            );
            assert_eq!(bench.free(), left);
            assert_eq!(bench.hv().slot_of_any(DomId(1)), None);
        } else {
            assert_eq!(result, Ok(()));
        }
        bench.assert_sound();
    }
}

/// Between two pauses somebody else takes what the creation was promised.
#[test]
fn memory_that_is_snatched_away_during_a_creation_is_told_and_everything_is_back() {
    const PAGES: u32 = 120;
    let mut pauses = 0;
    loop {
        let mut bench = Bench::new();
        bench.world.machine.work.set(Work::Always);
        if run_for(&mut bench, &create_args(PAGES), pauses).is_some() {
            break;
        }
        let building = bench.domain(1).building;
        let id = 0xC0DE_0001;
        let taken = exhaust(&mut bench, 0);
        let result = bench.world.call(7, [BLOCK, id, 0, 0, 0]);
        if matches!(building, Building::Populating { .. }) && bench.hv().slot_of(DomId(1)).is_none() {
            assert_eq!(
                result.map_err(HvError::errno),
                Err(guest_abi::errno::Errno::NoMem)
            );
        } else {
            assert_eq!(result, Ok(Outcome::Return(0)));
            assert_eq!(bench.destroy(1), Ok(()));
        }
        let free = 512 - 32 - 40 - 1 - taken.len() as u32;
        assert_eq!(bench.free(), free);
        bench.assert_sound();
        pauses += 1;
    }
    assert!(pauses > 2, "{pauses} pauses");
}

/// A block that cannot be written any more when the domain is there.
#[test]
fn a_creation_whose_answer_cannot_be_told_makes_nothing() {
    let mut bench = Bench::new();
    bench.world.machine.work.set(Work::Always);
    let free = bench.free();
    assert_eq!(run_for(&mut bench, &create_args(120), 1), None);
    let (l1, frame) = (bench.dom0.l1(), bench.dom0.frames[Guest::DATA]);
    let address = bench.dom0.l1().addr().raw() + 8 * Guest::DATA as u64;
    let read_only = MmuUpdate {
        ptr: address,
        val: entry(frame, P),
    };
    bench.write(
        BUFFER,
        &[read_only, MmuUpdate::extended(Extended::TlbFlush)].map(|r| [r.ptr, r.val]),
    );
    assert_eq!(bench.world.call(1, [BUFFER, 2, 0, 0, 0]), Ok(Outcome::Return(0)));
    assert_eq!(bench.world.machine.peek(l1, Guest::DATA) & RW, 0);
    assert_eq!(
        bench.world.call(7, [BLOCK, 0xC0DE_0001, 0, 0, 0]),
        Err(HvError::Fault)
    );
    assert_eq!(bench.free(), free);
    assert_eq!(bench.hv().slot_of_any(DomId(1)), None);
    bench.assert_sound();
}

fn event<A: EvtchnArgs>(bench: &mut Bench, args: &A) -> A {
    bench.write(BLOCK, &EvtchnOp::new(args));
    assert_eq!(bench.world.call(16, [BLOCK, 0, 0, 0, 0]), Ok(Outcome::Return(0)));
    bench.read::<EvtchnOp>(BLOCK).args()
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
    whole!(assert_eq!(bench.unpause(1), Ok(())));
    pausing!(DestroyDomain {
        domain: CHILD,
        pad: 0
    });
    false
}

/// What Domain0 may still map of the dead one goes, and its ports.
fn let_go(bench: &mut Bench) {
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
        bench.assert_sound();
        if !is_alive {
            break;
        }
        step += 1;
    }
    assert!(step > 90, "{step} steps");
}

#[test]
fn growth_that_fails_is_undone() {
    let mut bench = Bench::new();
    assert_eq!(bench.create(1, 8), Ok(1));
    let grow = |pages: u64| SetDomainInitialMem {
        domain: CHILD,
        initial_memkb: pages * 4,
        ..Default::default()
    };
    assert_eq!(bench.op(&grow(24)).map(drop), Ok(()));
    assert_eq!((bench.domain(1).total_pages, bench.domain(1).max_pages), (24, 24));
    let frames = bench.frames(1);
    for (pfn, frame) in frames.iter().enumerate() {
        assert_eq!(bench.world.machine.m2p.borrow()[frame.index()], pfn as u32);
    }
    let free = bench.free();
    let too_much = u64::from(24 + free + 1);
    bench.refused(&grow(too_much), HvError::NoMemory);
    bench.world.machine.work.set(Work::Always);
    assert_eq!(run_for(&mut bench, &grow(200), 1), None);
    let taken = exhaust(&mut bench, 0).len() as u32;
    let result = bench.world.call(7, [BLOCK, 0, 0, 0, 0]);
    assert_eq!(
        result.map_err(HvError::errno),
        Err(guest_abi::errno::Errno::NoMem)
    );
    assert_eq!((bench.domain(1).total_pages, bench.domain(1).max_pages), (24, 24));
    assert_eq!(bench.free(), free - taken);
    bench.assert_sound();
}

#[derive(Clone, Debug)]
enum Act {
    Create(u16, u32),
    Fill(u16),
    Build(u16),
    Unpause(u16),
    Bind(u16),
    Map(u16),
    Unmap,
    Destroy(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let id = || prop_oneof![1..4_u16, Just(1025), Just(2049)];
    let act = prop_oneof![
        (id(), 0..40_u32).prop_map(|(id, pages)| Act::Create(id, pages)),
        id().prop_map(Act::Fill),
        id().prop_map(Act::Build),
        id().prop_map(Act::Unpause),
        id().prop_map(Act::Bind),
        id().prop_map(Act::Map),
        Just(Act::Unmap),
        id().prop_map(Act::Destroy),
    ];
    prop::collection::vec(act, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_made_and_ended_in_whatever_order_nothing_is_lost(acts in acts(), is_busy: bool) {
        let mut bench = Bench::new();
        bench.world.machine.work.set(if is_busy { Work::Always } else { Work::Never });
        let free = bench.free();
        let mut guests: Vec<Guest> = Vec::new();
        for act in acts {
            match act {
                Act::Create(id, pages) => {
                    // Whatever it is asked, Domain0's call first buries those that nobody maps any more.
                    prop_assert!(bench.op(&guest_abi::domctl::PhysInfo::default()).is_ok());
                    let is_new = bench.hv().slot_of_any(DomId(id)).is_none();
                    let has_room = bench.free() >= pages + 2;
                    prop_assert_eq!(bench.create(id, pages).is_ok(), is_new && has_room);
                }
                Act::Fill(id) => {
                    let is_fit = bench.hv().slot_of(DomId(id)).is_some()
                        && bench.domain(id).total_pages > Guest::DATA as u32
                        && !guests.iter().any(|guest| guest.id == DomId(id));
                    if is_fit {
                        let guest = bench.fill(id);
                        guests.push(guest);
                    }
                }
                Act::Build(id) => {
                    if let Some(guest) = guests.iter().find(|guest| guest.id == DomId(id)) {
                        let is_ready = bench.domain(id).building == Building::Ready;
                        prop_assert_eq!(bench.build(id, &context(guest)).is_ok(), is_ready);
                    }
                }
                Act::Unpause(id) => {
                    let is_built = bench.hv().slot_of(DomId(id)).is_some() && bench.domain(id).is_built();
                    prop_assert_eq!(bench.unpause(id).is_ok(), is_built);
                }
                Act::Bind(id) => {
                    if bench.hv().slot_of(DomId(id)).is_some() {
                        event(&mut bench, &AllocUnbound { dom: WireId::new(id), pad: 0, port: 0 });
                        let dom2 = WireId::new(id);
                        event(&mut bench, &BindInterdomain { dom1: WireId::SELF, dom2, port1: 0, port2: 0 });
                    }
                }
                Act::Map(id) => {
                    if let Some(guest) = guests.iter().find(|guest| guest.id == DomId(id)) {
                        let at = bench.dom0.l1().addr().raw() + 8 * 20;
                        let map = MmuUpdate { ptr: at, val: entry(guest.frames[Guest::DATA], P | RW) };
                        prop_assert!(bench.for_domain(id, &[map]).is_ok());
                    }
                }
                Act::Unmap => let_go(&mut bench),
                Act::Destroy(id) => {
                    // As above.
                    prop_assert!(bench.op(&guest_abi::domctl::PhysInfo::default()).is_ok());
                    let exists = bench.hv().slot_of_any(DomId(id)).is_some();
                    prop_assert_eq!(bench.destroy(id).is_ok(), exists);
                    guests.retain(|guest| guest.id != DomId(id));
                }
            }
            bench.assert_sound();
        }
        for id in [1, 2, 3, 1025, 2049] {
            let _ = bench.destroy(id);
        }
        let_go(&mut bench);
        prop_assert!(bench.op(&guest_abi::domctl::PhysInfo::default()).is_ok());
        bench.assert_sound();
        prop_assert_eq!(bench.free(), free);
    }
}
