//! The audit finds faults in the books of grants.

use super::*;
use crate::{
    domain::DomId as Id,
    grant::{
        active::{Active, Uses},
        books,
    },
    mm::audit::Difference,
    platform::FrameMemory,
};

/// A world in which reference 10 is mapped writable by handle 0 and 11 read-only by handle 1.
fn busy() -> Pair {
    let mut pair = pair();
    map(&mut pair.world, map_at(1, 10, WINDOW, MapFlags::HOST_MAP));
    let flags = MapFlags::HOST_MAP | MapFlags::READ_ONLY;
    map(&mut pair.world, map_at(1, 11, WINDOW + 0x1000, flags));
    let third = map(&mut pair.world, map_at(1, 11, WINDOW + 0x2000, flags));
    unmap(&mut pair.world, unmap_at(third, WINDOW + 0x2000, 0));
    pair
}

#[track_caller]
fn finds(is_it: impl Fn(&Difference) -> bool, injure: impl FnOnce(&mut Pair)) {
    let mut pair = busy();
    injure(&mut pair);
    let found = pair.world.audit();
    assert!(found.iter().any(is_it), "{found:?}");
}

fn set_word(pair: &mut Pair, reference: u32, change: impl Fn(Active) -> Active) {
    let memory = &pair.world.machine;
    let granter = pair.world.hv.domain_in(pair.granter.slot).expect("a domain");
    let grant = granter.grants.get(memory, reference).expect("in the table");
    grant.set_active(memory, change(grant.active(memory)));
}

/// Frame and word of the first handle.
fn handle_word(pair: &Pair) -> (Mfn, usize) {
    let mapper = pair.world.hv.domain_in(pair.mapper.slot).expect("a domain");
    (
        mapper
            .grants
            .handle_frame(&pair.world.machine, 0)
            .expect("handles"),
        0,
    )
}

#[test]
fn counts_of_uses() {
    let is_it = |d: &Difference| {
        *d == Difference::Grant {
            domain: Id(1),
            reference: 10,
        }
    };
    finds(is_it, |pair| {
        set_word(pair, 10, |word| {
            word.with(word.frame(), Uses::HOST).expect("room")
        });
    });
    finds(is_it, |pair| {
        set_word(pair, 10, |word| {
            word.without(Uses::HOST)
                .with(word.frame(), Uses::DEVICE)
                .expect("room")
        });
    });
    // A use that nobody has, of a frame that is not held for it.
    let references = |d: &Difference| matches!(d, Difference::References { .. });
    finds(references, |pair| {
        let frame = pair.granter.frames[30].raw();
        set_word(pair, 20, |word| word.with(frame, Uses::HOST).expect("room"));
    });
    finds(
        |d| matches!(d, Difference::Uses { .. }),
        |pair| {
            let frame = pair.granter.frames[30].raw();
            set_word(pair, 20, |word| word.with(frame, Uses::DEVICE).expect("room"));
        },
    );
}

#[test]
fn a_grant_forgotten_while_it_is_used() {
    finds(
        |d| matches!(d, Difference::Handles { .. }),
        |pair| set_word(pair, 10, |_| Active::NONE),
    );
    finds(
        |d| matches!(d, Difference::References { .. }),
        |pair| set_word(pair, 10, |_| Active::NONE),
    );
    finds(
        |d| matches!(d, Difference::BadEntry { .. }),
        |pair| set_word(pair, 10, |_| Active::NONE),
    );
}

#[test]
fn handles_that_are_lost_or_name_another() {
    let handles = |d: &Difference| matches!(d, Difference::Handles { .. });
    finds(handles, |pair| {
        let (frame, word) = handle_word(pair);
        pair.world.machine.write_entry(frame, word, 0);
    });
    finds(
        |d| matches!(d, Difference::Grant { reference: 11, .. }),
        |pair| {
            let (frame, word) = handle_word(pair);
            let now = pair.world.machine.peek(frame, word);
            pair.world.machine.write_entry(frame, word, now + 1);
        },
    );
    finds(handles, |pair| {
        let mapper = pair.mapper.slot;
        books::of(&mut pair.world.mmu(), mapper).used += 1;
    });
    finds(handles, |pair| {
        let mapper = pair.mapper.slot;
        books::of(&mut pair.world.mmu(), mapper).first_free = None;
    });
    // A free list that goes in a circle.
    finds(handles, |pair| {
        let (frame, _) = handle_word(pair);
        pair.world.machine.write_entry(frame, 4, 3);
    });
}

#[test]
fn marks_without_a_handle() {
    let bad = |d: &Difference| matches!(d, Difference::BadEntry { .. });
    let entry = |pair: &Pair| entry_at(&pair.world, &pair.mapper, WINDOW);
    finds(bad, |pair| {
        let word = entry(pair);
        pair.world.machine.poke(pair.mapper.low_l1(), 0x30, word);
    });
    // The mark on a page that no grant is about.
    finds(bad, |pair| {
        let word = crate::testing::entry(pair.mapper.frames[30], P | GRANTED);
        pair.world.machine.poke(pair.mapper.low_l1(), 0x10, word);
    });
    // In the granter's own tables.
    finds(bad, |pair| {
        let word = entry(pair);
        pair.world.machine.poke(pair.granter.low_l1(), 0x10, word);
    });
}

#[test]
fn frames_of_the_books_that_are_lost() {
    finds(
        |d| matches!(d, Difference::References { .. } | Difference::Charged { .. }),
        |pair| {
            let (frame, _) = handle_word(pair);
            pair.world.info(frame).force_counts(Some(2), None);
        },
    );
}
