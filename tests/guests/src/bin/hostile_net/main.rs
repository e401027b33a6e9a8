//! A frontend of two network interfaces that does everything wrong: nonsense in requests, pages that are not its own, other stations'
//! addresses, buffers that are none, indices that run away and go back, slots that change, answers that nobody looks at, grants that
//! end in flight, keys that lie; and in the end frames without end, until somebody destroys the domain.
//!
//! It attacks Domain0's backends and bridge, so it is another domain's kernel (`system::hostile_frontends_hurt_nobody`); as Domain0 it has
//! nothing to do. The second interface shows what the bridge has passed on. Its last lines say what must have been counted.
//!
//! expect: skip
#![no_std]
#![no_main]

extern crate alloc;

use guest_abi::start_info::StartInfo;
use test_guests::frontend::{self, Front};
use test_guests::{guest_abi, println};

mod handshake;
mod net;
mod receiving;
mod rings;
mod sending;
mod vif;

use net::Net;

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    let dies_after = frontend::dies_after(start_info);
    let mut net = Net::new(Front::start(start_info));
    if dies_after.is_some() {
        rings::without_end(&mut net, dies_after);
    }
    net.connect(1);
    sending::nonsense(&mut net);
    sending::foreign_frames(&mut net);
    sending::foreign_addresses(&mut net);
    receiving::buffers_that_are_none(&mut net);
    rings::indices(&mut net);
    rings::answers_unread(&mut net);
    rings::changed_in_flight(&mut net);
    handshake::keys_that_lie(&mut net);
    handshake::states_that_jump(&mut net);
    let (wrong, counts) = (net.front.wrong(), net.counts);
    println!(
        "{} refused, {} with bad grants",
        counts.refused, counts.bad_grants
    );
    println!("{} from addresses of others", counts.foreign);
    println!("{wrong} were wrong");
    rings::without_end(&mut net, None)
}
