//! Debug registers at a switch: a breakpoint hits in the domain that set it and in no other, and DR0–DR7 tell nothing of others'.
//!
//! mutant: mutant-switch-debug
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::debugreg::dr6;
use guest_abi::hypercall::CallNumber;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use mini_guest::traps;
use test_guests::pages::{Page, poke32};
use test_guests::puppet::{DATA, Ended, Puppet};
use test_guests::tables::Space;
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, report, scripts};

test_guests::entry!(main);

scripts! {
    write_16: "mov dword ptr [data_page + 16], 1";
    write_32: "mov dword ptr [data_page + 32], 1";
    write_48: "mov dword ptr [data_page + 48], 1";
}

/// Enables breakpoint 0, or 0 and 1: four bytes, writes.
const WATCH: u32 = 0xD_0001;
const WATCH_BOTH: u32 = 0xDD_0005;
const DEBUG: u32 = Vector::DEBUG.raw() as u32;
static TRAPS: AtomicU32 = AtomicU32::new(0);

fn on_debug(_: &mut Regs) {
    TRAPS.fetch_add(1, Relaxed);
}

fn register(puppet: Puppet, number: u32) -> u32 {
    match puppet.call_raw(CallNumber::GET_DEBUGREG, &[number]) {
        Ended::Done(value, 0) => value,
        other => report::failure(format_args!("register {number}: {other:x?}")),
    }
}

/// What a domain that has set none finds in them.
fn none_set(puppet: Puppet) {
    for number in [0, 1, 2, 3] {
        check_eq!(register(puppet, number), 0, "DR{number}");
    }
    check_eq!(register(puppet, 6) & (dr6::HIT | dr6::STEP), 0, "DR6");
    check_eq!(register(puppet, 7) & 0xFFFF_00FF, 0, "DR7");
    for code in [write_16, write_32, write_48] as [extern "C" fn(); 3] {
        check_eq!(puppet.run(code).trap(), None, "somebody else's breakpoint");
    }
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    traps::set_kernel_handler(Vector::DEBUG, Some(on_debug));
    let (one, other, none) = (Puppet::new(|_| ()), Puppet::new(|_| ()), Puppet::new(|_| ()));
    none_set(none);
    let set = |puppet: Puppet, number: u32, value: u32| {
        check_eq!(puppet.call(CallNumber::SET_DEBUGREG, &[number, value]), Ok(0));
    };
    set(one, 0, DATA + 16);
    set(one, 7, WATCH);
    set(other, 0, DATA + 32);
    set(other, 3, DATA + 48);
    set(other, 7, WATCH);
    let own = Page::take();
    // One where the puppets write; here it is code, which nobody writes.
    check_eq!(hypercall::set_debugreg(0, DATA + 48), Ok(()));
    check_eq!(hypercall::set_debugreg(1, own.0 + 64), Ok(()));
    check_eq!(hypercall::set_debugreg(7, WATCH_BOTH), Ok(()));
    for round in 0..6 {
        none_set(none);
        for (puppet, hit, missed) in [
            (one, write_16 as extern "C" fn(), write_32 as extern "C" fn()),
            (other, write_32, write_16),
        ] {
            check_eq!(puppet.run(missed).trap(), None, "the other's, round {round}");
            check_eq!(
                puppet.run(write_48).trap(),
                None,
                "an address that nobody watches"
            );
            check_eq!(puppet.run(hit).trap(), Some(DEBUG), "its own, round {round}");
            check_eq!(register(puppet, 6) & dr6::HIT, 1);
            set(puppet, 6, 0);
        }
        check_eq!((register(one, 0), register(one, 3)), (DATA + 16, 0));
        check_eq!((register(other, 0), register(other, 3)), (DATA + 32, DATA + 48));
        check!(
            [one, other]
                .iter()
                .all(|puppet| register(*puppet, 7) & 0xFFFF_00FF == WATCH)
        );
        let before = TRAPS.load(Relaxed);
        poke32(own.0 + 64, round);
        check_eq!(TRAPS.load(Relaxed), before + 1, "our own, round {round}");
    }
    // Off in one, on in the other.
    set(one, 7, 0);
    check_eq!(one.run(write_16).trap(), None);
    check_eq!(other.run(write_32).trap(), Some(DEBUG));
    check_eq!(one.run(write_32).trap(), None);
    report::success()
}
