//! Frames given away, by call 20 and by call 1.

use super::*;
use crate::mm::MmError;
use guest_abi::mmu::{Extended, MmuUpdate};

const ACCEPT: GrantFlags = GrantFlags::ACCEPT_TRANSFER;

/// Domain 1 accepts a frame of domain 2 by reference 30; domain 2 has frame 25 used nowhere.
fn invited() -> Pair {
    let mut pair = pair();
    publish(&pair.world, &pair.table, 30, 2, Mfn::new(0x77), ACCEPT);
    let args = [Guest::va(25) >> 12, 0, 0, 2, 0];
    assert_eq!(pair.world.call(14, args), Ok(Outcome::Return(0)));
    pair
}

fn word_of(pair: &Pair, reference: usize) -> u64 {
    pair.world.machine.peek(pair.table[0], reference)
}

fn totals(world: &World) -> Vec<u32> {
    world.hv.domains.iter().flatten().map(|d| d.total_pages).collect()
}

#[test]
fn a_frame_that_was_invited_changes_hands_with_what_it_holds() {
    for by_request in [false, true] {
        let mut pair = invited();
        let frame = pair.mapper.frames[25];
        pair.world.machine.poke(frame, 7, 0x1234);
        let [first, second] = totals(&pair.world)[..] else {
            unreachable!()
        };
        let flushes = pair.world.machine.flushes.get();
        if by_request {
            let request = MmuUpdate::extended(Extended::TransferPage {
                frame: frame.addr(),
                domain: DomId::new(1),
                reference: 30,
            });
            put(&pair.world, RECORDS, &[request.ptr, request.val]);
            let done = pair.world.call(1, [RECORDS, 1, 0, 0, 0]);
            assert_eq!(done, Ok(Outcome::Return(0)));
        } else {
            assert_eq!(one(&mut pair.world, transfer_of(frame, 1, 30)).status, OKAY);
        }
        assert!(pair.world.machine.flushes.get() > flushes);
        let done = ACCEPT | GrantFlags::TRANSFER_COMMITTED | GrantFlags::TRANSFER_COMPLETED;
        let expected = u64::from(frame.raw()) << 32 | 2 << 16 | u64::from(done.bits());
        assert_eq!(word_of(&pair, 30), expected);
        assert_eq!(totals(&pair.world), [first + 1, second - 1]);
        assert!(pair.world.info(frame).owner_word().is_owned_by(pair.granter.id));
        assert_eq!(pair.world.machine.peek(frame, 7), 0x1234);
        assert_sound(&pair.world);
        // Once only, and it is not the giver's any more.
        let status = GrantStatus::BAD_PAGE;
        refused(&mut pair.world, transfer_of(frame, 1, 30).answered(status));
    }
}

#[test]
fn refusals_change_nothing() {
    let mut pair = invited();
    let frame = pair.mapper.frames[25];
    publish(&pair.world, &pair.table, 31, 3, Mfn::new(0), ACCEPT);
    publish(
        &pair.world,
        &pair.table,
        32,
        2,
        Mfn::new(0),
        ACCEPT | GrantFlags::TRANSFER_COMMITTED,
    );
    publish(
        &pair.world,
        &pair.table,
        33,
        2,
        Mfn::new(0),
        ACCEPT | GrantFlags::TRANSFER_COMPLETED,
    );
    publish(&pair.world, &pair.table, 34, 2, Mfn::new(0), ACCESS);
    let world = &mut pair.world;
    let cases = [
        (GrantStatus::BAD_DOMAIN, transfer_of(frame, 4, 30), "nobody"),
        (GrantStatus::BAD_DOMAIN, transfer_of(frame, 0x7FF0, 30), "nobody"),
        (
            GrantStatus::BAD_GNTREF,
            transfer_of(frame, 1, 512),
            "beyond the table",
        ),
        (GrantStatus::BAD_GNTREF, transfer_of(frame, 2, 1), "no table"),
        (
            GrantStatus::GENERAL_ERROR,
            transfer_of(frame, 1, 31),
            "from another",
        ),
        (GrantStatus::GENERAL_ERROR, transfer_of(frame, 1, 32), "committed"),
        (GrantStatus::GENERAL_ERROR, transfer_of(frame, 1, 33), "completed"),
        (GrantStatus::GENERAL_ERROR, transfer_of(frame, 1, 34), "access"),
        (GrantStatus::GENERAL_ERROR, transfer_of(frame, 1, 35), "nothing"),
        (
            GrantStatus::BAD_PAGE,
            transfer_of(pair.mapper.frames[26], 1, 30),
            "mapped",
        ),
        (
            GrantStatus::BAD_PAGE,
            transfer_of(pair.mapper.l1(), 1, 30),
            "a table",
        ),
        (
            GrantStatus::BAD_PAGE,
            transfer_of(pair.granter.frames[26], 1, 30),
            "another's",
        ),
        (
            GrantStatus::BAD_PAGE,
            transfer_of(Mfn::new(3), 1, 30),
            "a device's",
        ),
        (
            GrantStatus::BAD_PAGE,
            transfer_of(Mfn::new(u32::MAX), 1, 30),
            "no frame",
        ),
    ];
    for (status, record, why) in cases {
        std::println!("{why}");
        refused(world, record.answered(status));
    }
    // The receiver has all that it may own.
    let receiver = world.hv.domain_at(pair.granter.slot).expect("a domain");
    receiver.max_pages = receiver.total_pages;
    let status = GrantStatus::BAD_PAGE;
    refused(world, transfer_of(frame, 1, 30).answered(status));
    let receiver = world.hv.domain_at(pair.granter.slot).expect("a domain");
    receiver.run.held |= crate::sched::Held::DYING;
    let status = GrantStatus::BAD_DOMAIN;
    refused(world, transfer_of(frame, 1, 30).answered(status));
}

#[test]
fn call_1_says_invalid_and_changes_nothing() {
    let mut pair = invited();
    for (frame, domain, reference, why) in [
        (pair.mapper.frames[25], 1, 31, MmError::NotInvited),
        (pair.mapper.frames[25], 1, 512, MmError::NotInvited),
        (pair.mapper.frames[25], 4, 30, MmError::NoSuchDomain),
        (
            pair.mapper.frames[26],
            1,
            30,
            MmError::InUse(pair.mapper.frames[26]),
        ),
    ] {
        let request = MmuUpdate::extended(Extended::TransferPage {
            frame: frame.addr(),
            domain: DomId::new(domain),
            reference,
        });
        put(&pair.world, RECORDS, &[request.ptr, request.val]);
        let before = pair.world.snapshot();
        let done = pair.world.call(1, [RECORDS, 1, 0, 0, 0]);
        assert_eq!(done, Err(HvError::Mm(why)));
        pair.world.assert_unchanged_since(&before);
    }
}

#[test]
fn an_answer_that_cannot_be_written_undoes_it() {
    let mut pair = invited();
    let frame = pair.mapper.frames[25];
    put(&pair.world, RECORDS, &transfer_of(frame, 1, 30));
    let word = crate::testing::entry(pair.mapper.frames[38], P);
    let owner = pair.world.owner(pair.mapper.slot);
    let low = pair.mapper.low_l1();
    pair.world
        .mmu()
        .update_l1(low, 0x20, word, owner)
        .expect("its own page");
    fails(&mut pair.world, [TRANSFER, 0x2_0000, 1, 0, 0], HvError::Fault);
    assert_eq!(word_of(&pair, 30) as u16, ACCEPT.bits());
    assert_sound(&pair.world);
}
