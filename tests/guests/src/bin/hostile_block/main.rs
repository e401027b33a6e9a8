//! A frontend of a disk that does everything wrong: nonsense in requests, sectors and frames that are not its own, indices that run away and go
//! back, slots that change, answers that nobody looks at, grants that end in flight or while they stay, lists of segments that are none, keys that lie; and in the end requests without
//! end, until somebody destroys the domain.
//!
//! It attacks Domain0's backend, so it is another domain's kernel, with the disk `xvda` (`system::hostile_frontends_hurt_nobody`);
//! as Domain0 it has nothing to do. Its last lines say what the backend must have counted.
//!
//! expect: skip
#![no_std]
#![no_main]

extern crate alloc;

use guest_abi::start_info::StartInfo;
use test_guests::frontend::{self, Front};
use test_guests::{guest_abi, println};

mod disk;
mod handshake;
mod lasting;
mod requests;
mod rings;

use disk::Disk;

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    let dies_after = frontend::dies_after(start_info);
    let mut disk = Disk::new(Front::start(start_info));
    if dies_after.is_some() {
        rings::without_end(&mut disk, dies_after);
    }
    requests::nonsense(&mut disk);
    requests::foreign_sectors(&mut disk);
    requests::foreign_frames(&mut disk);
    rings::index_ahead(&mut disk);
    rings::index_behind(&mut disk);
    rings::ring_as_data(&mut disk);
    rings::answers_unread(&mut disk);
    rings::changed_in_flight(&mut disk);
    lasting::grants_that_stay(&mut disk);
    lasting::lists_of_segments(&mut disk);
    handshake::keys_that_lie(&mut disk);
    handshake::states_that_jump(&mut disk);
    let (wrong, counts) = (disk.front.wrong(), disk.counts);
    println!(
        "{} refused, {} with bad grants, {} failed",
        counts.refused, counts.bad_grants, counts.failed
    );
    println!("{wrong} were wrong");
    rings::without_end(&mut disk, None)
}
