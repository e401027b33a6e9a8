//! Commands about frames of another domain, and frames that change hands.

use super::{
    DONE, REQUESTS, assert_sound, batch, ext, mm, must, n, pin, post, refused, set, two, unmap, unpin,
};
use crate::{
    error::HvError,
    mm::{
        MmError,
        pte::{CACHE, P, RW},
    },
    outcome::Outcome,
    testing::{World, entry},
};
use guest_abi::{
    addr::{Mfn, Pfn},
    domain::DomId,
    mmu::{Extended, MmuUpdate},
};

const fn foreign(id: u16) -> MmuUpdate {
    ext(Extended::SetForeignDom {
        domain: DomId::new(id),
    })
}

#[test]
fn the_foreign_domain_is_the_owner_of_what_is_named() {
    let (mut world, guest, other) = two();
    let theirs = set(guest.low_l1(), 0, entry(other.frames[20], P | RW));
    let ours = set(guest.low_l1(), 1, entry(guest.frames[20], P | RW));
    must(&mut world, &[foreign(1), theirs]);
    assert_sound(&world);
    assert_eq!(batch(&mut world, &[foreign(1), ours]).1, 1);
    assert_eq!(
        batch(&mut world, &[foreign(1), ext(Extended::ClearForeignDom), ours]).1,
        3
    );
    // Gone with the call.
    assert_eq!(
        refused(&mut world, set(guest.low_l1(), 2, entry(other.frames[20], P))),
        mm(MmError::NotOwned(other.frames[20]))
    );
    // A failed change clears it all the same; the batch ends there anyway.
    for id in [0x7FF0, 7, 0x7FFF, 0xFFFF] {
        assert_eq!(refused(&mut world, foreign(id)), mm(MmError::NoSuchDomain));
    }
    // Pins and frame numbers of the foreign domain's frames.
    must(
        &mut world,
        &[
            foreign(1),
            pin(1, other.low_l1()),
            MmuUpdate::machphys(other.frames[20], Pfn::new(7)),
        ],
    );
    assert_eq!(world.machine.m2p.borrow()[other.frames[20].index()], 7);
    assert_sound(&world);
    must(&mut world, &[foreign(1), unpin(other.low_l1())]);
    assert_eq!(batch(&mut world, &[foreign(1), pin(1, guest.low_l1())]).1, 1);
    assert_sound(&world);
}

#[test]
fn device_and_hypervisor_frames_by_foreign_domain() {
    let (mut world, guest, other) = two();
    must(
        &mut world,
        &[
            foreign(0x7FF1),
            set(guest.low_l1(), 0, entry(Mfn::new(3), P | RW | CACHE)),
        ],
    );
    must(
        &mut world,
        &[foreign(0x7FF2), set(guest.low_l1(), 1, entry(Mfn::new(24), P))],
    );
    assert_sound(&world);
    let shown = set(guest.low_l1(), 1, entry(Mfn::new(24), P | RW));
    assert_eq!(batch(&mut world, &[foreign(0x7FF2), shown]).1, 1);
    let hidden = set(guest.low_l1(), 1, entry(Mfn::new(16), P));
    assert_eq!(batch(&mut world, &[foreign(0x7FF2), hidden]).1, 1);
    for id in [0x7FF1, 0x7FF2] {
        for request in [
            pin(1, Mfn::new(3)),
            unpin(Mfn::new(3)),
            MmuUpdate::machphys(Mfn::new(3), Pfn::new(1)),
        ] {
            assert_eq!(batch(&mut world, &[foreign(id), request]).1, 1);
        }
    }
    assert_sound(&world);
    // A plain domain may name devices, and gets nothing by it.
    world.switch_to(&other);
    for id in [0, 0x7FF2] {
        assert_eq!(refused(&mut world, foreign(id)), mm(MmError::Denied));
    }
    let device = set(other.low_l1(), 0, entry(Mfn::new(3), P));
    let (result, done) = batch(&mut world, &[foreign(0x7FF1), device]);
    assert_eq!((result, done), (Err(mm(MmError::IoDenied)), 1));
    assert_sound(&world);
}

#[test]
fn reassigned_pages_are_counted_checked_and_flushed() {
    let (mut world, guest, other) = two();
    let page = guest.frames[10];
    let give = |mfn: Mfn| ext(Extended::ReassignPage { frame: mfn.addr() });
    assert_eq!(
        refused(&mut world, give(page)),
        mm(MmError::NoSuchDomain),
        "no foreign domain"
    );
    let failing = |world: &mut World, mfn| batch(world, &[foreign(1), give(mfn)]);
    assert_eq!(
        failing(&mut world, page),
        (Err(mm(MmError::InUse(page))), 1),
        "mapped"
    );
    unmap(&mut world, &guest, 10);
    assert_eq!(failing(&mut world, other.frames[10]).1, 1);
    assert_eq!(failing(&mut world, Mfn::new(16)).1, 1);
    let shared = world.hv.domains[1].as_deref().unwrap().shared_info;
    assert_eq!(
        failing(&mut world, shared),
        (Err(mm(MmError::NotOwned(shared))), 1)
    );
    world.machine.flushes.take();
    must(&mut world, &[foreign(1), give(page)]);
    assert_eq!(world.machine.flushes.take(), 1);
    assert_eq!(
        world
            .hv
            .domains
            .iter()
            .flatten()
            .map(|d| d.total_pages)
            .collect::<Vec<_>>(),
        [41, 39]
    );
    assert_sound(&world);
    // The receiver may own no more, or is going away.
    unmap(&mut world, &guest, 11);
    let receiver = world.hv.domains[0].as_deref_mut().unwrap();
    receiver.max_pages = 41;
    assert_eq!(
        failing(&mut world, guest.frames[11]),
        (Err(mm(MmError::OverQuota)), 1)
    );
    let receiver = world.hv.domains[0].as_deref_mut().unwrap();
    (receiver.max_pages, receiver.run.held) = (100, crate::sched::Held::DYING);
    assert_eq!(
        failing(&mut world, guest.frames[11]),
        (Err(mm(MmError::NoSuchDomain)), 0)
    );
    assert_sound(&world);
    // Transfers need an invitation, which nobody can give yet; the page stays.
    let receiver = world.hv.domains[0].as_deref_mut().unwrap();
    receiver.run.held = crate::sched::Held::empty();
    let transfer = |mfn: Mfn| {
        ext(Extended::TransferPage {
            frame: mfn.addr(),
            domain: DomId::new(1),
            reference: 8,
        })
    };
    assert_eq!(
        refused(&mut world, transfer(guest.frames[11])),
        mm(MmError::NotInvited)
    );
    assert_eq!(
        refused(&mut world, transfer(guest.frames[12])),
        mm(MmError::InUse(guest.frames[12]))
    );
    // A plain domain may not give pages away like that.
    world.switch_to(&other);
    assert_eq!(refused(&mut world, give(other.frames[12])), mm(MmError::Denied));
}

#[test]
fn a_forged_continuation_gets_nothing_that_requests_would_not() {
    let (mut world, guest, other) = two();
    world.switch_to(&other);
    post(&world, &[set(other.low_l1(), 0, entry(guest.frames[20], P | RW))]);
    let forged = |foreign: u32, left: u32| [REQUESTS, 1 << 31 | foreign << 16 | left, DONE, 0, 0];
    let before = world.snapshot();
    for foreign in [0, 7, 0x7FF2, 0x7FFF] {
        assert_eq!(world.call(1, forged(foreign, 1)), Err(HvError::Invalid));
    }
    assert!(world.call(1, forged(0x7FF0, 1)).is_err() && world.call(1, forged(0x7FF1, 1)).is_err());
    let (mut before, mut after) = (before, world.snapshot());
    for snapshot in [&mut before, &mut after] {
        snapshot.forget_word(other.frames[39], 0..1);
    }
    assert_eq!(after.differences(&before), Vec::<String>::new());
    assert!(world.guest_write(DONE, 41));
    post(&world, &[set(other.low_l1(), 0, entry(other.frames[20], P | RW))]);
    assert_eq!(world.call(1, forged(0x7FF0, 1)), Ok(Outcome::Return(0)));
    assert_eq!(world.guest_read(DONE), Some(42));
    assert_eq!(n(other.l1()), u64::from(other.l1().raw()));
}
