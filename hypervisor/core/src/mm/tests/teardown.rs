//! The end of a domain.

use super::{assert_sound, must, pin, set};
use crate::{
    mm::{
        Stop,
        pte::{P, RW},
    },
    testing::{Work, World, entry},
};
use guest_abi::addr::GuestVirt;

#[test]
fn everything_of_a_domain_comes_back() {
    for pending in [Work::Never, Work::Always] {
        let mut world = World::new(1024);
        let guest = world.add_guest(0, true, 40);
        let free = world.hv.mm.allocator.free_frames();
        let other = world.add_guest(1, false, 60);
        let owner = world.owner(1);
        // Pins of all levels, a linear map, an LDT, a GDT page, a page half validated.
        must(
            &mut world,
            &[
                pin(1, other.l1()),
                pin(2, other.l2()),
                set(other.top_l2(), 4, entry(other.l2(), P)),
            ],
        );
        for index in [10, 11, 12] {
            must(
                &mut world,
                &[set(other.l1(), index, entry(other.frames[index], P))],
            );
            world.machine.zero(other.frames[index]);
        }
        world
            .mmu()
            .set_ldt(GuestVirt::new(crate::testing::Guest::va(10)), 512)
            .unwrap();
        assert!(world.mmu().map_ldt_page(0));
        let page = world
            .mmu()
            .take_descriptor_page(super::n(other.frames[11]), owner)
            .unwrap();
        world.hv.domains[1].as_deref_mut().unwrap().vcpus[0].gdt_frames[0] = Some(page);
        let l2 = other.frames[12];
        for index in 0..20 {
            let l1 = other.frames[20 + index];
            must(&mut world, &[set(other.l1(), 20 + index, 0)]);
            for word in 0..512 {
                world.machine.poke(l1, word, entry(other.frames[50], P | RW));
            }
            world.machine.poke(l2, index, entry(l1, P | RW));
        }
        world.machine.work.set(Work::Always);
        let kind = crate::mm::Kind::L2;
        assert_eq!(world.mmu().pin(super::n(l2), kind, owner), Err(Stop::Preempted));
        world.machine.work.set(pending);
        assert_sound(&world);
        world.switch_to(&guest);
        world.machine.measure_stretch();
        world.destroy(&other);
        assert!(world.machine.longest_stretch.get() <= 512 + 16);
        assert_eq!(world.hv.mm.allocator.free_frames(), free);
        assert_sound(&world);
    }
}

#[test]
fn a_page_that_another_domain_maps_stays_until_it_does_not() {
    let mut world = World::new(512);
    let guest = world.add_guest(0, true, 40);
    let other = world.add_guest(1, false, 40);
    world.switch_to(&guest);
    let page = other.frames[20];
    let word = entry(page, P | RW);
    assert!(
        world
            .call(22, [5, word as u32, (word >> 32) as u32, 0, 1])
            .is_ok()
    );
    world.relinquish(&other);
    assert_eq!(world.hv.domains[1].as_deref().unwrap().total_pages, 1);
    assert_sound(&world);
    must(&mut world, &[set(guest.low_l1(), 5, 0)]);
    assert_eq!(world.hv.domains[1].as_deref().unwrap().total_pages, 0);
    assert_sound(&world);
}
