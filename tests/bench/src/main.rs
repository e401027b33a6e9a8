//! The guest that counts what each operation costs: guest instructions from the one that enters the hypervisor to the next
//! one of the guest.
//!
//! It is started as Domain0 under an emulator whose time-stamp counter counts executed instructions. Each operation is
//! done [`routine::ROUNDS`] times in a loop of assembly, and the same loop without it is subtracted; a line
//! `bench: <key> <instructions>` each says what one cost. `docs/costs.md` says what the keys mean.
#![no_std]
#![no_main]

mod calls;
mod events;
mod memory;
mod ring3;
mod routine;
mod stretch;
mod tables;
mod traps;

use guest_abi::start_info::StartInfo;
use mini_guest::{mm, report};

mini_guest::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    mm::init(start_info);
    calls::measure();
    tables::measure();
    traps::measure();
    ring3::measure();
    events::measure();
    stretch::measure();
    report::success()
}
