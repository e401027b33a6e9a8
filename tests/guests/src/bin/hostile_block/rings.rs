//! Rings that make no sense, or that change while they are looked at.

use guest_abi::io::blkif::{BlkOp, BlkStatus, MAX_SEGMENTS, Request64, SLOTS};
use test_guests::frontend::die;
use test_guests::{guest_abi, hypercall, println};

use crate::disk::{Answer, Disk};

/// Rounds in which a request is to be caught on its way; one is enough.
const ROUNDS: u32 = 400;
/// Requests of such a round.
const CROWD: usize = 16;
/// Turns of the endless ones from one line to the next.
const TOLD: u64 = 1000;
/// The number of the request that a slot is changed to.
const OTHER: u64 = 99;
/// The last request's.
const LAST: u64 = CROWD as u64 - 1;

/// More requests than there are slots.
pub fn index_ahead(disk: &mut Disk) {
    for ahead in [SLOTS + 1, 1000, 0x8000_0000, u32::MAX] {
        disk.connect();
        let request = disk.request(BlkOp::READ, 0, 1);
        disk.put(request);
        disk.show(ahead);
        disk.front.let_it_work();
        // A ring that made no sense is not used again, whatever is in it later.
        disk.show(1);
        disk.front.let_it_work();
        let answered = disk.answered();
        disk.front
            .expect(answered == 0, "nothing behind an index ahead", answered);
        disk.leave();
        disk.end_grants(&request);
    }
    println!("index ahead: done");
}

/// Fewer requests than there were.
pub fn index_behind(disk: &mut Disk) {
    disk.connect();
    for _ in 0..3 {
        let request = disk.request(BlkOp::READ, 8, 1);
        disk.ask("a read in order", request, Answer::Done);
        disk.end_grants(&request);
    }
    disk.show(1);
    disk.front.let_it_work();
    let request = disk.request(BlkOp::READ, 8, 1);
    disk.put(request);
    disk.show(disk.asked);
    disk.front.let_it_work();
    let answered = disk.answered();
    disk.front
        .expect(answered == 3, "nothing behind an index that went back", answered);
    disk.leave();
    disk.end_grants(&request);
    println!("index behind: done");
}

/// The disk's sectors are read into the ring itself.
pub fn ring_as_data(disk: &mut Disk) {
    for word in [0, u64::MAX] {
        disk.connect();
        disk.fill(word);
        let write = disk.request(BlkOp::WRITE, 512, 1);
        disk.ask("a write in order", write, Answer::Done);
        disk.end_grants(&write);
        let mut read = disk.request(BlkOp::READ, 512, 1);
        let data = core::mem::replace(&mut read.seg[0].gref, disk.front.grant(disk.ring.0.mfn(), false));
        disk.put(read);
        disk.show(disk.asked);
        // The answer is the last that is written there.
        let is_answered = disk.await_answers(2);
        disk.front
            .expect(is_answered, "a read over the ring is answered", disk.answered());
        disk.leave();
        disk.end_grants(&read);
        disk.front.end(data);
    }
    println!("a ring as data: done");
}

/// Nobody looks at the answers.
pub fn answers_unread(disk: &mut Disk) {
    disk.connect();
    let request = disk.request(BlkOp::READ, 16, 1);
    for _ in 0..3 {
        for _ in 0..SLOTS {
            disk.put(request);
        }
        disk.show(disk.asked);
        let all = disk.await_answers(disk.asked);
        disk.front
            .expect(all, "all are answered that nobody looks at", disk.answered());
    }
    disk.leave();
    disk.end_grants(&request);
    println!("answers unread: done");
}

/// Grants end and slots change: before they are looked at, while they are, and when the disk has them.
pub fn changed_in_flight(disk: &mut Disk) {
    disk.connect();
    let mut caught = 0;
    for round in 0..ROUNDS {
        // Each at a place of its own, so that the disk has something to do.
        let requests: [Request64; CROWD] = core::array::from_fn(|n| {
            let mut request = disk.request(BlkOp::READ, 1000 + 200 * n as u64, MAX_SEGMENTS);
            request.id = n as u64;
            request
        });
        let first = disk.asked;
        requests.iter().for_each(|request| disk.put(*request));
        disk.show(disk.asked);
        let last = requests[CROWD - 1];
        let is_used = |disk: &Disk| disk.front.is_used(last.seg[0].gref);
        // In every fourth round it is not waited for.
        for _ in 0..round % 4 * 100 {
            if is_used(disk) || disk.answered() != first {
                break;
            }
            let _ = hypercall::yield_now();
        }
        let was_used = is_used(disk);
        let revokes = round % 2 == 0;
        if revokes {
            let grants = requests.iter().flat_map(|request| request.seg);
            grants.for_each(|segment| disk.front.revoke(segment.gref));
        } else {
            // Sectors that are not its own.
            let changed = Request64 {
                id: OTHER,
                sector_number: disk.sectors,
                ..last
            };
            disk.overwrite(disk.asked - 1, changed);
        }
        let is_caught = was_used && disk.answered() == first;
        let all = disk.await_answers(disk.asked);
        disk.front
            .expect(all, "they are answered, whatever became of them", disk.answered());
        for slot in first..disk.asked {
            match disk.answer(slot) {
                // Answers are in any order. The one that was changed is whichever of the two requests it was, or some of both.
                (OTHER | LAST, BlkStatus::ERROR) if !revokes => disk.counts.failed += 1,
                (OTHER, BlkStatus::OKAY) if !revokes => {}
                (0..16, BlkStatus::ERROR) if revokes => disk.counts.bad_grants += 1,
                (0..16, BlkStatus::OKAY) => {}
                // An answer was there already, and this domain has written over it itself.
                _ if !revokes && slot == disk.asked - 1 => {}
                found => disk.front.expect(false, "an answer to what was asked", found),
            }
        }
        caught += u32::from(is_caught);
        requests.iter().for_each(|request| disk.end_grants(request));
        if caught >= 8 && round >= 40 {
            break;
        }
    }
    disk.front
        .expect(caught > 0, "a request is caught on its way", caught);
    disk.leave();
    println!("changed in flight: {caught} times on the way");
}

/// Requests without end, until the domain is destroyed, or dies by itself in the middle of them.
pub fn without_end(disk: &mut Disk, dies_after: Option<u32>) -> ! {
    disk.connect();
    let requests: [Request64; 4] =
        core::array::from_fn(|n| disk.request(BlkOp::WRITE, 8192 * n as u64, MAX_SEGMENTS));
    println!("requests without end");
    for turn in 1_u64.. {
        while disk.asked.wrapping_sub(disk.answered()) < SLOTS {
            let request = requests[disk.asked as usize % requests.len()];
            disk.put(request);
        }
        disk.show(disk.asked);
        if dies_after.is_some_and(|count| disk.answered() >= count) {
            println!(
                "dies with {} requests under way",
                disk.asked.wrapping_sub(disk.answered())
            );
            die();
        }
        let _ = hypercall::yield_now();
        if turn % TOLD == 0 {
            println!("requests go on");
        }
    }
    unreachable!("somebody destroys the domain")
}
