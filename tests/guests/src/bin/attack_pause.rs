//! Attack: to keep the processor by one long call.
//!
//! Thousands of entries are judged in one call. An event that becomes due meanwhile must come before the call is done: the
//! call pauses, the guest takes the event at the call's own instruction, and the call goes on by itself.
//!
//! mutant: mutant-preempt
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::event_channel::{BindVirq, Virq};
use guest_abi::start_info::StartInfo;
use mini_guest::{shared, traps};
use test_guests::pages::{Page, READ_ONLY, peek32};
use test_guests::tables::{DIRECTORY, Space, pin, unpin};
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Tables of the L2 that is pinned.
const TABLES: u32 = 300;
/// How far ahead the event is: less than a call takes anywhere.
const AHEAD_NS: u64 = 300_000;
/// Events that interrupted a call, and all.
static DURING: AtomicU32 = AtomicU32::new(0);
static EVENTS: AtomicU32 = AtomicU32::new(0);

fn on_event(regs: &mut Regs) {
    EVENTS.fetch_add(1, Relaxed);
    // A call that pauses stands at its `int 0x82`.
    if peek32(regs.eip) & 0xFFFF == 0x82CD {
        DURING.fetch_add(1, Relaxed);
    }
    shared::upcall_pending().store(0, Relaxed);
    shared::pending_selector().store(0, Relaxed);
    shared::pending_word(0).store(0, Relaxed);
}

/// System time.
fn now() -> u64 {
    // SAFETY: reading the time-stamp counter, which this machine has and lets us.
    shared::time_record().system_time_at(unsafe { core::arch::x86::_rdtsc() })
}

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let args = BindVirq {
        virq: Virq::TIMER,
        port: 0,
    };
    let port = hypercall::event_channel_op(&args).map(|args| args.port);
    check!(port.is_ok_and(|port| port > 0 && port < 32), "{port:?}");
    shared::set_port_mask(port.unwrap_or(0), false);
    traps::set_kernel_event_handler(Some(on_event));

    let (directory, first) = (Page::take(), Page::take_run(TABLES));
    let target = space.l3;
    for n in 0..TABLES {
        let table = first.next(n);
        table.fill(target.pte(READ_ONLY).raw());
        table.protect();
        directory.write(n as usize, table.pte(DIRECTORY).raw());
    }
    directory.protect();
    let mut paused = 0;
    for _ in 0..8 {
        for is_pin in [true, false] {
            let before = DURING.load(Relaxed);
            check_eq!(hypercall::set_timer(now() + AHEAD_NS), Ok(()));
            shared::upcall_mask().store(0, Relaxed);
            let answer = if is_pin {
                pin(2, directory)
            } else {
                unpin(directory)
            };
            shared::upcall_mask().store(1, Relaxed);
            check_eq!(answer, Ok(()));
            paused += DURING.load(Relaxed) - before;
        }
    }
    println!(
        "{} events, {paused} of them while a call was under way",
        EVENTS.load(Relaxed)
    );
    check!(paused >= 4, "a long call is not interrupted");
    report::success()
}
