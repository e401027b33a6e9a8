//! Writable page tables (call 21, type 2): direct writes to a live L1 by every instruction that is meant to work, those that
//! are not, entries that no request would get either, and who may write.
//!
//! The entry that is written maps one page; what it maps is looked at through it. The audit at the end recounts what
//! the writes did to the references.
#![no_std]
#![no_main]

mod entries;
mod instructions;
mod surroundings;
mod window;

use guest_abi::addr::GuestVirt;
use guest_abi::start_info::StartInfo;
use guest_abi::vm_assist::{AssistCmd, AssistType};
use test_guests::pages::{Page, poke32};
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, hypercall, report};
use window::{In, ONE, TWO, Window, run};

test_guests::entry!(main);

fn switch(on: bool) {
    let command = if on { AssistCmd::ENABLE } else { AssistCmd::DISABLE };
    check_eq!(
        hypercall::vm_assist(command, AssistType::WRITABLE_PAGETABLES),
        Ok(())
    );
}

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let (page, other) = (Page::take(), Page::take());
    poke32(page.0, ONE);
    poke32(other.0, TWO);
    let at = space.l1(page.0).0 + 8 * GuestVirt::new(page.0).table_index(1) as u32;
    let window = Window {
        space,
        page,
        other,
        at,
    };
    let zero = |window: Window| run!(window.at, In::default(), "mov dword ptr [edi], eax");
    window.refused(zero(window), "while the assist is off");
    switch(true);
    window.halves();
    window.exchanges();
    window.bits();
    window.narrow();
    window.upper_half_first();
    window.counts();
    window.bad_entries();
    window.other_instructions();
    window.segments();
    window.single_step();
    window.ring_3();
    switch(false);
    window.refused(zero(window), "when the assist is off again");
    report::success()
}
