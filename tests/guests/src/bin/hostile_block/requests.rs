//! Requests that make no sense, or ask for what is not the domain's. Each has its own answer, and the next one is done.

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::grant_table::GrantFlags;
use guest_abi::io::blkif::{BlkOp, MAX_SEGMENTS, Request64};
use test_guests::{guest_abi, println};

use crate::disk::{Answer, Disk, UNREAD};

/// Asks for a read of two pages that was changed; what is read must be nothing.
fn changed(disk: &mut Disk, what: &str, expected: Answer, change: impl Fn(&mut Request64)) {
    let asked = disk.request(BlkOp::READ, 0, 2);
    let mut request = asked;
    change(&mut request);
    disk.fill(UNREAD);
    disk.ask(what, request, expected);
    let is_untouched = disk.is_filled(UNREAD);
    disk.front
        .expect(is_untouched, what, "something was read all the same");
    disk.end_grants(&asked);
}

/// A read and a write as they should be.
fn in_order(disk: &mut Disk) {
    for operation in [BlkOp::WRITE, BlkOp::READ] {
        let request = disk.request(operation, 0, MAX_SEGMENTS);
        disk.ask("a request in order", request, Answer::Done);
        disk.end_grants(&request);
    }
}

/// What cannot be asked for.
pub fn nonsense(disk: &mut Disk) {
    disk.connect();
    for number in [2, 4, 5, 6, 7, 77, 255] {
        changed(disk, "an operation that is not offered", Answer::Unknown, |r| {
            r.operation = BlkOp::new(number);
        });
    }
    for count in [0, MAX_SEGMENTS as u8 + 1, 32, 255] {
        changed(disk, "none or too many segments", Answer::Refused, |r| {
            r.nr_segments = count;
        });
    }
    for (first, last) in [(0, 8), (0, 255), (8, 8), (255, 255), (5, 3), (7, 0), (255, 0)] {
        changed(
            disk,
            "a segment beyond its page or backwards",
            Answer::Refused,
            |r| {
                (r.seg[1].first_sect, r.seg[1].last_sect) = (first, last);
            },
        );
    }
    changed(disk, "a flush of something", Answer::Refused, |r| {
        r.operation = BlkOp::FLUSH_DISKCACHE;
    });
    let flush = Request64 {
        operation: BlkOp::FLUSH_DISKCACHE,
        sector_number: u64::MAX,
        id: u64::MAX,
        ..Request64::default()
    };
    disk.ask("a flush, its sector being nonsense", flush, Answer::Done);
    in_order(disk);
    disk.leave();
    println!("nonsense in requests: done");
}

/// Sectors before and behind the domain's own, which are others'.
pub fn foreign_sectors(disk: &mut Disk) {
    disk.connect();
    let end = disk.sectors;
    // The last ones wrap around where the disk that it is a part of is asked: to the beginning of that, to what is before.
    let failing = [
        end - 15,
        end - 1,
        end,
        end + 1000,
        u64::MAX - 16,
        u64::MAX - 1015,
        u64::MAX - 42_047,
    ];
    for (sectors, expected) in [
        (&failing[..], Answer::Failed),
        (&[u64::MAX - 14, u64::MAX][..], Answer::Refused),
    ] {
        for sector in sectors {
            for operation in [BlkOp::READ, BlkOp::WRITE] {
                changed(disk, "sectors of others", expected, |r| {
                    (r.operation, r.sector_number) = (operation, *sector);
                });
            }
        }
    }
    // The last that are its own: what was asked for in part was not done in part.
    let request = disk.request(BlkOp::READ, end - 16, 2);
    disk.fill(0);
    disk.ask("the last sectors", request, Answer::Done);
    let is_untouched = disk.is_filled(0);
    disk.front
        .expect(is_untouched, "the last sectors were never written", end);
    disk.end_grants(&request);
    in_order(disk);
    disk.leave();
    println!("sectors of others: done");
}

/// Frames that are not granted, or not so, or that nobody may grant.
pub fn foreign_frames(disk: &mut Disk) {
    disk.connect();
    let own = disk.data[1].0.mfn();
    let access = GrantFlags::PERMIT_ACCESS;
    let (zero, other) = (DomId::DOM0, DomId::new(4711));
    let grants = [
        ("to be read only", zero, own, access | GrantFlags::READ_ONLY),
        ("to another domain", other, own, access),
        ("nobody's frame", zero, Mfn::new(0x00FF_FFF0), access),
        ("no frame at all", zero, Mfn::new(u32::MAX), access),
        ("the hypervisor's code", zero, Mfn::new(0x100), access),
        ("a page table", zero, disk.front.page_table, access),
        ("for a transfer", zero, own, GrantFlags::ACCEPT_TRANSFER),
        ("of no kind", zero, own, GrantFlags::from_bits_retain(3)),
    ];
    for (what, to, frame, flags) in grants {
        let reference = disk.front.publish(to, frame, flags);
        changed(disk, what, Answer::BadGrant, |r| r.seg[1].gref = reference);
        disk.front.end(reference);
    }
    let withdrawn = disk.front.grant(own, false);
    disk.front.end(withdrawn);
    for reference in [withdrawn, 511, 512, 0x8000_0000, u32::MAX] {
        changed(disk, "a reference to nothing", Answer::BadGrant, |r| {
            r.seg[1].gref = reference;
        });
    }
    in_order(disk);
    disk.leave();
    println!("frames of others: done");
}
