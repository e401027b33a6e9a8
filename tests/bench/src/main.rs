//! The guest that counts what each operation costs: guest instructions from the one that enters the hypervisor to the next
//! one of the guest.
//!
//! It is started as Domain0 under an emulator whose time-stamp counter counts executed instructions. Each operation is
//! done 1,000 times in a loop of assembly, and the same loop without it is subtracted; a line
//! `bench: <key> <instructions>` each says what one cost. `docs/costs.md` says what the keys mean, and how to see where the
//! instructions go: with the argument `trace` there are two rounds of each.
#![no_std]
#![no_main]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one argument holds for all measurements of a group"
)]

mod calls;
mod domains;
mod events;
mod grants;
mod memory;
mod partner;
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
    let is_trace = start_info.command_line().ends_with(b"trace");
    if is_trace {
        routine::limit_rounds(2);
    }
    calls::measure();
    tables::measure();
    traps::measure();
    ring3::measure();
    events::measure();
    grants::measure();
    if !is_trace {
        stretch::measure();
    }
    domains::measure(start_info, is_trace);
    report::success()
}
