//! Extended commands of call 1: flushes, frame numbers, and what is refused of any.

use super::{REQUESTS, assert_sound, batch, ext, mm, must, post, refused, set, two};
use crate::{
    mm::{
        MmError,
        pte::{P, RW},
    },
    outcome::Outcome,
    testing::{World, entry},
};
use guest_abi::{
    addr::{GuestVirt, Mfn, Pfn},
    mmu::{Extended, MmuUpdate},
};

#[test]
fn unknown_commands_are_refused() {
    let (mut world, guest) = World::with_dom0();
    for ptr in [1, 4, 5, 6, 7] {
        let request = MmuUpdate {
            ptr: guest.low_l1().addr().raw() | ptr,
            val: 0,
        };
        assert_eq!(refused(&mut world, request), mm(MmError::BadRequest));
    }
    for val in [14, 255, 0x100, 1 << 63] {
        assert_eq!(
            refused(&mut world, MmuUpdate { ptr: 3, val }),
            mm(MmError::BadRequest)
        );
    }
}

#[test]
fn flushes() {
    let (mut world, _) = World::with_dom0();
    let flush = ext(Extended::TlbFlush);
    must(
        &mut world,
        &[
            flush,
            flush,
            ext(Extended::Invlpg {
                address: GuestVirt::new(0x1234_5678),
            }),
        ],
    );
    assert_eq!(world.machine.flushes.take(), 1);
    assert_eq!(world.machine.page_flushes.take(), [GuestVirt::new(0x1234_5678)]);
    // At the end even of a batch that fails.
    let (result, done) = batch(&mut world, &[flush, MmuUpdate { ptr: 1, val: 0 }]);
    assert!(result.is_err() && done == 1 && world.machine.flushes.take() == 1);
    must(&mut world, &[ext(Extended::FlushCache)]);
    assert_eq!(world.machine.cache_flushes.take(), 1);
    let mut world = World::new(512);
    world.add_guest(1, false, 40);
    assert_eq!(
        refused(&mut world, ext(Extended::FlushCache)),
        mm(MmError::Denied)
    );
    assert_eq!(world.machine.cache_flushes.take(), 0);
}

#[test]
fn a_new_base_has_flushed_already() {
    let (mut world, guest) = World::with_dom0();
    must(
        &mut world,
        &[
            ext(Extended::TlbFlush),
            ext(Extended::NewBasePtr {
                l3: guest.l3().addr(),
            }),
        ],
    );
    assert_eq!(world.machine.flushes.take(), 0);
    assert_sound(&world);
}

#[test]
fn frame_numbers_are_set_for_ones_own_frames() {
    let (mut world, guest, other) = two();
    must(
        &mut world,
        &[MmuUpdate::machphys(guest.frames[10], Pfn::new(0xFFFF_FFFF))],
    );
    assert_eq!(world.machine.m2p.borrow()[guest.frames[10].index()], 0xFFFF_FFFF);
    for mfn in [other.frames[10], Mfn::new(16), Mfn::new(3)] {
        assert_eq!(
            refused(&mut world, MmuUpdate::machphys(mfn, Pfn::new(1))),
            mm(MmError::NotOwned(mfn))
        );
    }
    assert_eq!(
        refused(&mut world, MmuUpdate::machphys(Mfn::new(512), Pfn::new(1))),
        mm(MmError::NoSuchFrame)
    );
    let wide = MmuUpdate {
        val: 1 << 32,
        ..MmuUpdate::machphys(guest.frames[10], Pfn::new(1))
    };
    assert_eq!(refused(&mut world, wide), mm(MmError::BadRequest));
}

#[test]
fn a_request_that_changes_while_it_is_judged_counts_as_it_was_read() {
    let (mut world, guest) = World::with_dom0();
    let good = entry(guest.frames[20], P);
    let bad = entry(guest.l1(), P | RW);
    let requests = guest.frames[38];
    // A device, say, writes the value of the first request right after it was read.
    for count in [1, 2] {
        post(
            &world,
            &[set(guest.low_l1(), 0, good), set(guest.low_l1(), 1, good)],
        );
        world.machine.tamper.borrow_mut().push((requests, 1, bad));
        assert_eq!(world.call(1, [REQUESTS, count, 0, 0, 0]), Ok(Outcome::Return(0)));
        assert_eq!(world.machine.peek(requests, 1), bad, "it did change");
        assert_eq!(world.machine.peek(guest.low_l1(), 0), good);
        assert_sound(&world);
    }
}
