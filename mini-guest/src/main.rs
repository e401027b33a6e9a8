//! The mini-guest's kernel image.
#![no_std]
#![no_main]

use guest_abi::sched::ShutdownReason;
use guest_abi::start_info::StartInfo;
use mini_guest::{hypercall, println, report};

mini_guest::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    report::set_broken_reason(ShutdownReason::CRASH);
    println!("mini-guest: {} pages", start_info.nr_pages);
    hypercall::shutdown(ShutdownReason::POWEROFF)
}
