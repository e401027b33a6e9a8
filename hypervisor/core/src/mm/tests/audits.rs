//! The audit finds what is wrong, and nothing where nothing is.

use super::{assert_sound, must, pin, set, unmap};
use crate::{
    domain::DomId,
    mm::{
        Kind,
        audit::{Difference, Tally, audit},
        pte::{P, RW, US},
    },
    testing::{Guest, World, entry},
};
use guest_abi::addr::Mfn;

fn busy_world() -> (World, Guest) {
    let mut world = World::new(512);
    world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    unmap(&mut world, &guest, 10);
    world.machine.zero(guest.frames[10]);
    must(
        &mut world,
        &[
            set(guest.low_l1(), 1, entry(guest.frames[20], P | RW | US)),
            set(guest.low_l1(), 2, entry(Mfn::new(3), P | RW)),
            set(guest.top_l2(), 5, entry(guest.l2(), P)),
            set(guest.top_l2(), 6, entry(guest.top_l2(), P)),
            pin(1, guest.frames[10]),
        ],
    );
    assert_sound(&world);
    (world, guest)
}

/// What the audit finds after `injure`.
fn found(injure: impl FnOnce(&mut World, &Guest)) -> Vec<Difference> {
    let (mut world, guest) = busy_world();
    injure(&mut world, &guest);
    world.audit()
}

fn finds(what: impl Fn(&Difference) -> bool, injure: impl FnOnce(&mut World, &Guest)) {
    let found = found(injure);
    assert!(found.iter().any(what), "{found:?}");
}

#[test]
fn counts_that_are_off_by_one() {
    for (references, uses) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
        for pick in [|g: &Guest| g.frames[20], Guest::l1, Guest::l3, Guest::top_l2] {
            let (world, guest) = busy_world();
            let mfn = pick(&guest);
            let info = world.info(mfn);
            let (kept_references, kept_uses) = (info.owner_word().count(), info.type_word().count());
            let off = |count: u64, by: i64| Some(count.wrapping_add_signed(by));
            info.force_counts(off(kept_references, references), off(kept_uses, uses));
            let found = world.audit();
            let is_it = |d: &Difference| match *d {
                Difference::References { mfn: m, kept, found } => {
                    m == mfn && i64::from(kept) - i64::from(found) == references
                }
                Difference::Uses { mfn: m, kept, found } => {
                    m == mfn && i64::from(kept) - i64::from(found) == uses
                }
                Difference::Invalid(m) => m == mfn,
                _ => false,
            };
            assert!(!found.is_empty() && found.iter().all(is_it), "{found:?}");
        }
    }
}

#[test]
fn entries_that_nobody_counted() {
    finds(
        |d| matches!(d, Difference::References { .. }),
        |world, guest| {
            world.machine.poke(guest.low_l1(), 9, entry(guest.frames[21], P));
        },
    );
    finds(
        |d| matches!(d, Difference::Uses { .. }),
        |world, guest| {
            world.machine.poke(guest.low_l1(), 1, entry(guest.frames[20], P));
        },
    );
    finds(
        |d| {
            matches!(
                d,
                Difference::WrongKind {
                    is: Kind::L1,
                    used_as: Kind::Writable,
                    ..
                }
            )
        },
        |world, guest| {
            world.machine.poke(guest.low_l1(), 9, entry(guest.l1(), P | RW));
        },
    );
    finds(
        |d| matches!(d, Difference::Dangling { .. }),
        |world, guest| {
            let free = (32..512)
                .rev()
                .map(Mfn::new)
                .find(|&m| world.info(m).owner_word().is_free())
                .unwrap();
            world.machine.poke(guest.low_l1(), 9, entry(free, P));
        },
    );
    finds(
        |d| {
            matches!(
                d,
                Difference::WrongKind {
                    is: Kind::Writable,
                    used_as: Kind::L1,
                    ..
                }
            )
        },
        |world, guest| {
            world.machine.poke(guest.l2(), 9, entry(guest.frames[20], P));
        },
    );
}

fn guest_page(guest: &Guest) -> Mfn {
    guest.frames[20]
}

#[test]
fn entries_that_none_may_hold() {
    let bad = |d: &Difference| matches!(d, Difference::BadEntry { .. });
    finds(bad, |world, guest| {
        world
            .machine
            .poke(guest.low_l1(), 1, entry(guest.frames[20], P | RW | US | 1 << 8));
    });
    finds(bad, |world, guest| {
        world
            .machine
            .poke(guest.top_l2(), 6, entry(guest.top_l2(), P | RW))
    });
    finds(bad, |world, guest| {
        world.machine.poke(guest.top_l2(), 5, entry(guest.l2(), P | RW))
    });
    finds(bad, |world, guest| world.machine.poke(guest.top_l2(), 500, 0));
    // Non-present ones on which a processor may speculate.
    for (table, word) in [
        (Guest::low_l1 as fn(&Guest) -> Mfn, entry(Mfn::new(100), 0)),
        (Guest::l2, entry(Mfn::new(100), 0)),
        (Guest::l2, 1 << 7),
        (Guest::l3, 1 << 7),
    ] {
        finds(bad, |world, guest| world.machine.poke(table(guest), 2, word));
    }
    // Somebody else's page, a device's, in the tables of a domain without privilege.
    for page in [guest_page, |_: &Guest| Mfn::new(3)] {
        finds(bad, |world, guest| {
            let other = world.hv.domains[0].as_deref().map(|d| d.vcpus[0].roots[0]);
            let l2 = world.machine.peek(other.flatten().expect("a root"), 0);
            let l1 = world.machine.peek(Mfn::new((l2 >> 12) as u32), 0);
            world
                .machine
                .poke(Mfn::new((l1 >> 12) as u32), 7, entry(page(guest), P));
        });
    }
    finds(bad, |world, guest| world.machine.poke(guest.l3(), 4, 1));
    finds(bad, |world, guest| {
        world.machine.poke(guest.l3(), 0, entry(guest.l2(), P))
    });
    finds(bad, |world, guest| {
        world
            .machine
            .poke(guest.low_l1(), 2, entry(Mfn::new(0xF_EE00), P | RW))
    });
}

#[test]
fn holders_other_than_entries() {
    finds(
        |d| matches!(d, Difference::Uses { .. }),
        |world, _| {
            world.hv.domains[1].as_deref_mut().unwrap().vcpus[0].roots[0] = None;
        },
    );
    finds(
        |d| {
            matches!(
                d,
                Difference::WrongKind {
                    used_as: Kind::SegDesc,
                    ..
                }
            )
        },
        |world, guest| {
            world.hv.domains[1].as_deref_mut().unwrap().vcpus[0].ldt_frames[3] = Some(guest.frames[20]);
        },
    );
    finds(
        |d| {
            *d == (Difference::Charged {
                domain: DomId(1),
                kept: 41,
                found: 40,
            })
        },
        |world, _| {
            world.hv.domains[0].as_deref_mut().unwrap().total_pages += 1;
        },
    );
}

#[test]
fn free_lists() {
    let broken = |d: &Difference| matches!(d, Difference::FreeList { .. });
    finds(broken, |world, _| {
        let head = (32..512)
            .rev()
            .map(Mfn::new)
            .find(|&m| world.info(m).free_word().head_order().is_some())
            .unwrap();
        world.info(head).break_links();
    });
    finds(broken, |world, _| {
        let member = (32..512).rev().map(Mfn::new).find(|&m| {
            world.info(m).free_word().is_free() && world.info(m).free_word().head_order().is_none()
        });
        world.table().share(member.unwrap(), DomId(0));
    });
}

#[test]
fn a_window_of_one_frame_is_as_good_as_one_of_all() {
    let (world, guest) = busy_world();
    world.machine.poke(guest.low_l1(), 9, entry(guest.l1(), P | RW));
    world.machine.poke(guest.top_l2(), 500, 0);
    world
        .machine
        .poke(guest.low_l1(), 8, entry(Mfn::new(511), P | RW));
    let audit_by = |size: usize| {
        let mut found = Vec::new();
        audit(
            &world.hv,
            &world.machine,
            &mut vec![Tally::default(); size],
            |d| found.push(format!("{d:?}")),
        );
        found.sort();
        found
    };
    let whole = audit_by(512);
    assert!(whole.len() >= 4, "{whole:?}");
    assert_eq!(audit_by(100), whole);
    assert_eq!(audit_by(7), whole);
}
