//! Nothing that the processor may remember reaches a frame that is something or somebody else's by now.

use super::{must, pin, set, unmap};
use crate::{
    mm::pte::{P, RW, US},
    outcome::Outcome,
    testing::{Guest, World, entry},
};
use guest_abi::addr::Mfn;

#[test]
fn a_page_is_flushed_before_it_becomes_a_page_table() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    world.machine.zero(page);
    assert!(world.guest_write(Guest::va(10), 0));
    unmap(&mut world, &guest, 10);
    assert!(
        world.guest_write(Guest::va(10), 0),
        "the guest has not flushed, so the way is still open"
    );
    let flushes = world.machine.flushes.get();
    must(&mut world, &[pin(1, page)]);
    assert_eq!(world.machine.flushes.get(), flushes + 1);
    assert!(!world.guest_write(Guest::va(10), 0));
}

#[test]
fn no_flush_where_one_came_in_between() {
    let (mut world, guest) = World::with_dom0();
    for index in [10, 11, 12] {
        world.machine.zero(guest.frames[index]);
        unmap(&mut world, &guest, index);
    }
    must(&mut world, &[pin(1, guest.frames[10])]);
    let flushes = world.machine.flushes.get();
    must(&mut world, &[pin(1, guest.frames[11]), pin(1, guest.frames[12])]);
    assert_eq!(
        world.machine.flushes.get(),
        flushes,
        "one flush is for all that went before it"
    );
}

#[test]
fn a_table_is_flushed_before_it_becomes_a_page() {
    // Through a directory entry that the processor remembers it would still walk the table.
    let (mut world, guest) = World::with_dom0();
    let (l1, page) = (guest.low_l1(), guest.frames[10]);
    must(&mut world, &[set(l1, 3, entry(page, P | US))]);
    assert!(world.guest_read(0x3000).is_some());
    must(
        &mut world,
        &[set(guest.l2(), 0, 0), set(guest.l1(), 4, entry(l1, P | RW))],
    );
    // The guest's own entry now, for a frame of the hypervisor.
    assert!(world.guest_write(Guest::va(4) + 4 * 8, entry(Mfn::new(16), P) as u32));
    assert_eq!(world.guest_read(0x4000), None);
}

#[test]
fn an_l2_is_flushed_before_it_becomes_a_page() {
    let (mut world, guest) = World::with_dom0();
    let (l2, page) = (guest.l2(), guest.frames[10]);
    must(&mut world, &[set(guest.low_l1(), 3, entry(page, P | US))]);
    assert!(world.guest_read(0x3000).is_some());
    must(
        &mut world,
        &[set(guest.l3(), 0, 0), set(guest.l1(), 1, entry(l2, P | RW))],
    );
    // A table of the guest's making, hooked in where the processor remembers an L2.
    assert!(world.guest_write(Guest::va(20), entry(Mfn::new(16), P) as u32));
    assert!(world.guest_write(Guest::va(20) + 4, 0));
    assert!(world.guest_write(Guest::va(1) + 8, entry(guest.frames[20], P) as u32));
    assert!(world.guest_write(Guest::va(1) + 12, 0));
    assert_eq!(world.guest_read(0x20_0000), None);
}

#[test]
fn a_frame_is_flushed_before_another_domain_gets_it() {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    let page = guest.frames[10];
    assert!(world.guest_read(Guest::va(10)).is_some());
    let list = Guest::va(30);
    assert!(world.guest_write(list, page.raw()));
    unmap(&mut world, &guest, 10);
    assert_eq!(world.call(12, [1, list, 1, 0, 0x7FF0]), Ok(Outcome::Return(1)));
    assert!(world.guest_read(Guest::va(10)).is_some(), "still remembered");
    // Domain 0 asks for domain 1, and gets that very frame.
    assert_eq!(world.call(12, [0, list, 1, 0, 1]), Ok(Outcome::Return(1)));
    assert_eq!(world.guest_read(list), Some(page.raw()));
    assert_eq!(world.guest_read(Guest::va(10)), None);
    let _ = other;
}

#[test]
fn a_free_frame_is_flushed_before_it_is_made_clean() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    assert!(world.guest_write(Guest::va(10), 1));
    let list = Guest::va(30);
    assert!(world.guest_write(list, page.raw()));
    unmap(&mut world, &guest, 10);
    assert_eq!(world.call(12, [1, list, 1, 0, 0x7FF0]), Ok(Outcome::Return(1)));
    while world.mmu().scrub_some(64) {}
    assert!(world.info(page).free_word().is_clean());
    assert!(!world.guest_write(Guest::va(10), 2));
    assert!((0..512).all(|word| world.machine.peek(page, word) == 0));
}

#[test]
fn a_page_given_away_is_flushed_before_the_guest_goes_on() {
    use guest_abi::mmu::{Extended, MmuUpdate};
    let mut world = World::new(512);
    world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    assert!(world.guest_read(Guest::va(10)).is_some());
    unmap(&mut world, &guest, 10);
    let domain = guest_abi::domain::DomId::new(1);
    let give = Extended::ReassignPage {
        frame: guest.frames[10].addr(),
    };
    must(
        &mut world,
        &[Extended::SetForeignDom { domain }, give].map(MmuUpdate::extended),
    );
    assert_eq!(world.guest_read(Guest::va(10)), None);
}
