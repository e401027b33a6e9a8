//! Non-maskable interrupts while the guest computes and while the machine sleeps: each is told of on the log, and the guest
//! notices nothing.
//!
//! monitor: nmi
//! prints: non-maskable interrupt 1: the chipset names no source
//! prints: non-maskable interrupt 2: the chipset names no source
//! prints: non-maskable interrupt 3: the chipset names no source
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::event_channel::{BindVirq, Virq};
use guest_abi::start_info::StartInfo;
use mini_guest::{shared, traps};
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, log, println, report};

test_guests::entry!(main);

/// How long the domain sleeps before it looks again.
const NAP_NS: u64 = 20_000_000;

fn now() -> u64 {
    // SAFETY: reading the time-stamp counter.
    shared::time_record().system_time_at(unsafe { core::arch::x86::_rdtsc() })
}

fn on_event(_: &mut Regs) {
    shared::upcall_pending().store(0, core::sync::atomic::Ordering::Relaxed);
    shared::pending_selector().swap(0, core::sync::atomic::Ordering::Relaxed);
    shared::pending_word(0).swap(0, core::sync::atomic::Ordering::Relaxed);
}

fn main(_: &'static StartInfo) -> ! {
    traps::set_kernel_event_handler(Some(on_event));
    let bound = hypercall::event_channel_op(&BindVirq {
        virq: Virq::TIMER,
        port: 0,
    });
    check!(bound.is_ok(), "{bound:?}");
    shared::set_port_mask(bound.map_or(0, |bound| bound.port), false);

    // In guest code that makes few calls: registers, flags and the stack stay as they were.
    println!("monitor: nmi");
    while !is_told(1) {
        compute();
    }
    // In hypercalls, mostly.
    println!("monitor: nmi");
    while !is_told(2) {
        check_eq!(hypercall::xen_version(), Ok(0x0002_0000));
    }
    // While nobody runs.
    println!("monitor: nmi");
    while !is_told(3) {
        check_eq!(hypercall::set_timer(now() + NAP_NS), Ok(()));
        check_eq!(hypercall::block(), Ok(()));
    }
    report::success()
}

/// Whether the hypervisor has told of interrupt `number`, one digit.
fn is_told(number: u8) -> bool {
    let mut line = *b"non-maskable interrupt N";
    line[line.len() - 1] = b'0' + number;
    log::holds(&line)
}

/// A million turns with values in the registers that each turn compares.
fn compute() {
    let wrong: u32;
    // SAFETY: pushes and pops in equal number, and changes what it says.
    unsafe {
        asm!(
            "mov ecx, 1000000",
            "2:",
            "push 0x55aa55aa",
            "pop eax",
            "mov edx, eax",
            "mov ebx, edx",
            "mov edi, ebx",
            "xor edi, 0x55aa55aa",
            "jnz 3f",
            "dec ecx",
            "jnz 2b",
            "3:",
            out("eax") _, out("ecx") wrong, out("edx") _, out("ebx") _, out("edi") _,
        );
    }
    check_eq!(wrong, 0, "turns left");
}
