//! Call 12.

use super::{assert_sound, must, pin, unmap};
use crate::{
    error::HvError,
    mm::pte::P,
    outcome::Outcome,
    testing::{Guest, Work, World, entry},
};
use guest_abi::addr::Mfn;

const LIST: u32 = Guest::va(30);
const SELF: u32 = 0x7FF0;

fn list(world: &World, frames: &[u32]) {
    for (i, &frame) in frames.iter().enumerate() {
        assert!(world.guest_write(LIST + 4 * i as u32, frame));
    }
}

fn total(world: &World, slot: usize) -> u32 {
    world.hv.domains[slot].as_deref().unwrap().total_pages
}

fn release(world: &mut World, frames: &[u32], order: u32) -> Result<Outcome, HvError> {
    list(world, frames);
    world.call(12, [1, LIST, frames.len() as u32, order, SELF])
}

#[test]
fn arguments_are_judged_in_order() {
    let mut world = World::new(512);
    world.add_guest(1, false, 40);
    let before = world.snapshot();
    for (args, error) in [
        ([1 << 4, LIST, 0, 0, SELF], HvError::Invalid),
        ([0, LIST, 0x1000_0000, 0, SELF], HvError::Invalid),
        ([0, LIST, 1, 0, 0], HvError::Denied),
        ([0, LIST, 1, 0, 1], HvError::Denied),
        ([2, LIST, 1, 0, SELF], HvError::NotImplemented),
        ([15, LIST, 1, 0, SELF], HvError::NotImplemented),
    ] {
        assert_eq!(world.call(12, args), Err(error), "{args:x?}");
    }
    world.assert_unchanged_since(&before);
    // Only a domain with devices may have blocks.
    assert_eq!(world.call(12, [0, LIST, 1, 1, SELF]), Ok(Outcome::Return(0)));
    world.add_guest(0, true, 40);
    for id in [2, 0x7FF1, 0x1_0000] {
        assert_eq!(world.call(12, [0, LIST, 1, 0, id]), Err(HvError::NoSuchDomain));
    }
    assert_eq!(world.call(12, [0, LIST, 1, 11, SELF]), Ok(Outcome::Return(0)));
    assert_sound(&world);
}

#[test]
fn the_hypervisors_own_frames_hold_zeroes_even_if_they_were_its_own_before() {
    let (mut world, _) = World::with_dom0();
    let mfn = world.mmu().take_own_frame().expect("a frame");
    world.machine.poke(mfn, 100, 0x5EC2E7);
    world.mmu().free_own_frame(mfn);
    assert_eq!(world.mmu().take_own_frame(), Ok(mfn));
    assert_eq!(world.machine.peek(mfn, 100), 0);
}

#[test]
fn frames_come_and_go_and_a_new_owner_finds_zeroes() {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    let page = guest.frames[10];
    unmap(&mut world, &guest, 10);
    world.machine.poke(page, 100, 0x5EC2E7);
    assert_eq!(release(&mut world, &[page.raw()], 0), Ok(Outcome::Return(1)));
    assert!(world.info(page).owner_word().is_free());
    assert_eq!(total(&world, 1), 39);
    assert_sound(&world);
    // The same domain gets it back as it left it.
    assert_eq!(world.call(12, [0, LIST, 1, 0, SELF]), Ok(Outcome::Return(1)));
    assert_eq!(world.guest_read(LIST), Some(page.raw()));
    assert_eq!(world.machine.peek(page, 100), 0x5EC2E7);
    assert_eq!(release(&mut world, &[page.raw()], 0), Ok(Outcome::Return(1)));
    // Another one does not, and whatever lies in a frame that was never anyone's is not shown either.
    world.switch_to(&other);
    assert_eq!(world.call(12, [0, LIST, 8, 0, SELF]), Ok(Outcome::Return(8)));
    for i in 0..8 {
        let mfn = Mfn::new(world.guest_read(LIST + 4 * i).unwrap());
        assert!((0..512).all(|word| world.machine.peek(mfn, word) == 0));
    }
    assert_eq!(total(&world, 0), 48);
    assert_sound(&world);
}

#[test]
fn a_new_bearer_of_a_number_is_somebody_else() {
    let mut world = World::new(512);
    let guest = world.add_guest(0, true, 40);
    let first = world.add_guest(1, false, 40);
    for &mfn in &first.frames[5..] {
        world.machine.poke(mfn, 7, 0x5EC2E7);
    }
    world.switch_to(&guest);
    world.destroy(&first);
    let second = world.add_guest(1, false, 60);
    assert!(
        second.frames[5..]
            .iter()
            .all(|&mfn| world.machine.peek(mfn, 7) == 0)
    );
    assert_sound(&world);
}

#[test]
fn quota_list_and_memory_end_a_call_early() {
    let mut world = World::new(512);
    let guest = world.add_guest(1, false, 40);
    let domain = world.hv.domains[0].as_deref_mut().unwrap();
    domain.max_pages = 43;
    assert_eq!(world.call(12, [0, LIST, 10, 0, SELF]), Ok(Outcome::Return(3)));
    let domain = world.hv.domains[0].as_deref_mut().unwrap();
    domain.max_pages = u32::MAX;
    // A list that cannot be written, half-way and at once.
    let end = Guest::va(40) - 8;
    assert_eq!(world.call(12, [0, end, 10, 0, SELF]), Ok(Outcome::Return(2)));
    assert_eq!(
        world.call(12, [0, Guest::va(3), 1, 0, SELF]),
        Ok(Outcome::Return(0)),
        "a page table"
    );
    assert_eq!(
        world.call(12, [0, 0xFBFF_FFFC, 2, 0, SELF]),
        Ok(Outcome::Return(0))
    );
    assert_eq!(
        world.call(12, [0, 0xFFFF_FFFC, 2, 0, SELF]),
        Ok(Outcome::Return(0))
    );
    assert_eq!(total(&world, 0), 45);
    assert_sound(&world);
    let free = world.hv.mm.allocator.free_frames();
    assert!(free < 512);
    assert_eq!(world.call(12, [0, LIST, 512, 0, SELF]), Ok(Outcome::Return(free)));
    assert_sound(&world);
    let _ = guest;
}

#[test]
fn only_frames_allocated_to_the_domain_are_taken_back() {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    let shared = world.hv.domains[1].as_deref().unwrap().shared_info;
    for bad in [
        other.frames[10],
        shared,
        Mfn::new(3),
        Mfn::new(16),
        Mfn::new(600),
        Mfn::new(u32::MAX),
    ] {
        list(&world, &[bad.raw()]);
        let before = world.snapshot();
        assert_eq!(world.call(12, [1, LIST, 1, 0, SELF]), Ok(Outcome::Return(0)));
        world.assert_unchanged_since(&before);
    }
    // A page that is still mapped is free when its mapping goes, and not before; it cannot be given back twice.
    let page = guest.frames[10];
    assert_eq!(
        release(&mut world, &[page.raw(), page.raw()], 0),
        Ok(Outcome::Return(1))
    );
    assert!(!world.info(page).owner_word().is_free() && total(&world, 1) == 40);
    assert_sound(&world);
    unmap(&mut world, &guest, 10);
    assert!(world.info(page).owner_word().is_free() && total(&world, 1) == 39);
    assert_sound(&world);
    // A pinned one loses its pin.
    let l1 = guest.frames[11];
    unmap(&mut world, &guest, 11);
    world.machine.zero(l1);
    world.machine.poke(l1, 0, entry(guest.frames[12], P));
    must(&mut world, &[pin(1, l1)]);
    assert_eq!(release(&mut world, &[l1.raw()], 0), Ok(Outcome::Return(1)));
    assert!(world.info(l1).owner_word().is_free());
    assert_sound(&world);
    // The privileged may do so for others.
    list(&world, &[other.frames[20].raw()]);
    assert_eq!(world.call(12, [1, LIST, 1, 0, 1]), Ok(Outcome::Return(1)));
    assert_sound(&world);
}

#[test]
fn blocks_are_aligned_and_come_back_whole() {
    for pending in [Work::Never, Work::Always] {
        let mut world = World::new(2048);
        world.add_guest(1, true, 40);
        world.machine.work.set(pending);
        let free = world.hv.mm.allocator.free_frames();
        assert_eq!(world.call(12, [0, LIST, 2, 8, SELF]), Ok(Outcome::Return(2)));
        let blocks = [0, 4].map(|i| world.guest_read(LIST + i).unwrap());
        assert!(blocks.iter().all(|b| b % 256 == 0) && blocks[0] != blocks[1]);
        assert!((0..256).all(|i| world.machine.peek(Mfn::new(blocks[0] + i), 3) == 0));
        assert_eq!(world.hv.mm.allocator.free_frames(), free - 512);
        assert_sound(&world);
        // Not whole: nothing of it.
        assert_eq!(
            release(&mut world, &[blocks[0].max(blocks[1]) + 1], 8),
            Ok(Outcome::Return(0))
        );
        assert_eq!(world.hv.mm.allocator.free_frames(), free - 512);
        assert_eq!(release(&mut world, &blocks, 8), Ok(Outcome::Return(2)));
        assert_eq!(world.hv.mm.allocator.free_frames(), free);
        assert_sound(&world);
        assert_eq!(
            world.call(12, [0, LIST, 1, 10, SELF]),
            Ok(Outcome::Return(1)),
            "merged again"
        );
    }
}

#[test]
fn an_extent_does_not_wrap_around_the_frame_numbers() {
    let mut world = World::new(512);
    let guest = world.add_guest(0, true, 40);
    unmap(&mut world, &guest, 10);
    // Forged progress: only the extent's last frame is left, and that is one of the guest's if numbers wrap.
    let first = guest.frames[10].raw().wrapping_sub(1023);
    list(&world, &[first]);
    let before = world.snapshot();
    let answer = world.call(12, [1, LIST, 1, 10 | 1023 << 16, SELF]);
    assert_eq!(answer, Ok(Outcome::Return(0)));
    world.assert_unchanged_since(&before);
    assert_sound(&world);
}
