//! A storm of events under borrowed virtual time.
//!
//! timeout: 600
//! icount: yes
#![no_std]
#![no_main]

use guest_abi::start_info::StartInfo;
use test_guests::tables::Space;
use test_guests::{guest_abi, report, storm};

test_guests::entry!(main);

/// The allowance of 5 ms, and a little for the switches.
const LATEST_NS: u64 = 6_000_000;

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    storm::storms(LATEST_NS);
    report::success()
}
