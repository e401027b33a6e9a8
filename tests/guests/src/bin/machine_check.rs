//! A machine check that the processor could not correct, while the guest runs: the machine ends with a report of what
//! the hardware says.
//!
//! The status is: valid, uncorrected, reported, further words valid, the processor's state lost.
//!
//! expect: panic
//! monitor: mce 0 4 0xbe00000000000134 5 0x12345000 0x8c
//! prints: PANIC: machine check at
//! prints: machine-check status 0x5
//! prints: bank 4: uncorrected error, status 0xbe00000000000134, address 0x12345000, misc 0x8c
#![no_std]
#![no_main]

use guest_abi::start_info::StartInfo;
use mini_guest::shared;
use test_guests::{guest_abi, println, report};

test_guests::entry!(main);

fn main(_: &'static StartInfo) -> ! {
    // SAFETY: reading the time-stamp counter.
    let now = || shared::time_record().system_time_at(unsafe { core::arch::x86::_rdtsc() });
    let end = now() + 10_000_000_000;
    println!("monitor: mce 0 4 0xbe00000000000134 5 0x12345000 0x8c");
    while now() < end {}
    report::failure(format_args!("nothing comes of a machine check"))
}
