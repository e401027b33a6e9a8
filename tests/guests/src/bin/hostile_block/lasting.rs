//! Grants that stay mapped, and lists of segments in a page: withdrawn, changed, or never granted.

use guest_abi::io::blkif::{BlkOp, Segment};
use mini_guest::blkif::RingPage;
use test_guests::frontend::Page;
use test_guests::{guest_abi, println};

use crate::disk::{Answer, Disk, UNREAD};

/// The key by which a frontend says that its grants stay.
const KEY: &str = "feature-persistent";

/// A frontend that says so, and then withdraws them while the backend has them mapped, or wants more of them than it granted.
pub fn grants_that_stay(disk: &mut Disk) {
    disk.set(KEY, 1);
    disk.connect();
    const WRITTEN: u64 = 7;
    let first = disk.request(BlkOp::WRITE, 0, 2);
    disk.fill(WRITTEN);
    disk.ask("the first write with grants that stay", first, Answer::Done);
    let read = disk.request(BlkOp::READ, 0, 2);
    disk.ask("a read with grants that stay", read, Answer::Done);
    let references = read.seg[..2].iter().map(|segment| segment.gref);
    let stay = references.clone().all(|reference| disk.front.is_used(reference));
    disk.front.expect(stay, "grants stay mapped", ());
    // What is mapped is meant, whatever the table says by now: the pages that are this domain's own.
    references
        .clone()
        .for_each(|reference| disk.front.revoke(reference));
    disk.fill(UNREAD);
    disk.ask("a read with grants that were withdrawn", read, Answer::Done);
    let is_read = disk.data[..2].iter().all(|page| page.0.read(0) == WRITTEN);
    disk.front
        .expect(is_read, "the pages that are mapped are read into", ());
    // To be read alone, and then to be written, too.
    let mut write = disk.request(BlkOp::WRITE, 0, 2);
    disk.ask("a write with grants that stay", write, Answer::Done);
    write.operation = BlkOp::READ;
    disk.fill(UNREAD);
    disk.ask(
        "a read into pages that are granted to be read",
        write,
        Answer::BadGrant,
    );
    let is_untouched = disk.is_filled(UNREAD);
    disk.front
        .expect(is_untouched, "a grant to be read is written", ());
    disk.leave();
    disk.end_grants(&write);
    disk.end_grants(&first);
    let used = references
        .filter(|reference| disk.front.is_used(*reference))
        .count();
    disk.front
        .expect(used == 0, "all is unmapped when the backend goes", used);
    println!("grants that stay: done");
}

/// Lists that are none, or not granted, or of nonsense; with grants that stay and without.
pub fn lists_of_segments(disk: &mut Disk) {
    for stays in [1, 0] {
        disk.set(KEY, stays);
        disk.connect();
        let list = Page::take();
        let reference = disk.front.grant(list.0.mfn(), true);
        let request = disk.request(BlkOp::READ, 0, 11);
        let piece = |n: usize| request.seg[n % 11];
        let write = |at: usize, segment: Segment| {
            let words = [
                segment.gref,
                u32::from(segment.first_sect) | u32::from(segment.last_sect) << 8,
            ];
            let bytes = words.map(u32::to_le_bytes);
            list.write(at * 8, bytes.as_flattened());
        };
        (0..32).for_each(|n| write(n, piece(n)));
        let refused = Answer::Refused;
        for count in [0, 33, 512, 513, u16::MAX] {
            disk.ask_list(
                "none or too many in a list",
                BlkOp::READ,
                (count, reference),
                refused,
            );
        }
        for operation in [
            BlkOp::FLUSH_DISKCACHE,
            BlkOp::INDIRECT,
            BlkOp::DISCARD,
            BlkOp::new(99),
        ] {
            disk.ask_list("what has no list", operation, (2, reference), Answer::Unknown);
        }
        let withdrawn = disk.front.grant(list.0.mfn(), true);
        disk.front.end(withdrawn);
        for page in [withdrawn, 0x8000_0000, u32::MAX] {
            disk.ask_list(
                "a list that is not granted",
                BlkOp::READ,
                (2, page),
                Answer::BadGrant,
            );
        }
        write(
            31,
            Segment {
                last_sect: 8,
                ..piece(31)
            },
        );
        disk.ask_list(
            "a list with a segment beyond its page",
            BlkOp::READ,
            (32, reference),
            refused,
        );
        write(
            31,
            Segment {
                gref: reference,
                ..piece(31)
            },
        );
        let bad = Answer::BadGrant;
        disk.ask_list(
            "a list that is to be read into",
            BlkOp::READ,
            (32, reference),
            bad,
        );
        disk.ask_list("a list in order", BlkOp::READ, (31, reference), Answer::Done);
        disk.ask_list(
            "a list in order, again",
            BlkOp::WRITE,
            (31, reference),
            Answer::Done,
        );
        disk.leave();
        disk.end_grants(&request);
        disk.front.end(reference);
    }
    println!("lists of segments: done");
}
