//! The mini-guest's kernel image.
#![no_std]
#![no_main]

use guest_abi::sched::ShutdownReason;
use guest_abi::start_info::StartInfo;
use mini_guest::{hypercall, mm, println, report};

mini_guest::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    report::set_broken_reason(ShutdownReason::CRASH);
    println!("mini-guest: {} pages", start_info.nr_pages);
    let ramdisk = mm::init(start_info);
    let (free, total) = mm::frame_counts();
    println!(
        "mini-guest: RAM disk of {} bytes, {free} of {total} frames free",
        ramdisk.len()
    );
    hypercall::shutdown(ShutdownReason::POWEROFF)
}
