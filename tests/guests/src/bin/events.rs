//! Events and time: the timer, blocking, yielding, channels, the time record, the refusals of calls 6, 15 and 16.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindVirq, Close, PortState, Send, Status, Virq,
};
use guest_abi::hypercall::CallNumber;
use guest_abi::start_info::StartInfo;
use mini_guest::{shared, traps};
use test_guests::raw::call;
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

/// Pending bits seen so far, and how many upcalls there were.
static SEEN: AtomicU32 = AtomicU32::new(0);
static UPCALLS: AtomicU32 = AtomicU32::new(0);

fn on_event(_: &mut Regs) {
    UPCALLS.fetch_add(1, Relaxed);
    shared::upcall_pending().store(0, Relaxed);
    shared::pending_selector().swap(0, Relaxed);
    SEEN.fetch_or(shared::pending_word(0).swap(0, Relaxed), Relaxed);
}

fn now() -> u64 {
    // SAFETY: reading the time-stamp counter.
    shared::time_record().system_time_at(unsafe { core::arch::x86::_rdtsc() })
}

/// Waits with events unmasked until `bit` was seen or `ns` went by.
fn wait_for(bit: u32, ns: u64) -> bool {
    SEEN.store(0, Relaxed);
    let end = now() + ns;
    shared::upcall_mask().store(0, Relaxed);
    while SEEN.load(Relaxed) & bit == 0 && now() < end {
        let _ = hypercall::xen_version();
    }
    shared::upcall_mask().store(1, Relaxed);
    SEEN.load(Relaxed) & bit != 0
}

fn main(_: &'static StartInfo) -> ! {
    traps::set_kernel_event_handler(Some(on_event));
    let bound = hypercall::event_channel_op(&BindVirq {
        virq: Virq::TIMER,
        port: 0,
    });
    let port = bound.map_or(0, |bound| bound.port);
    check!(port > 0 && port < 32, "{bound:?}");
    shared::set_port_mask(port, false);
    let bit = 1 << port;
    timer(bit);
    channels();

    let op = |ebx| call(CallNumber::SCHED_OP, &[ebx]);
    check_eq!(hypercall::yield_now(), Ok(()));
    for ebx in [3, 4, 0xFF] {
        check_eq!(op(ebx), Err(Errno::NoSys), "sched_op {ebx:#x}");
    }
    for ebx in [0x1_0000, 0x8000_0001, 0xFFFF_0002] {
        check_eq!(op(ebx), Err(Errno::Inval), "sched_op {ebx:#x}");
    }
    report::success()
}

fn timer(bit: u32) {
    let record = shared::time_record();
    check!(record.cpu_freq > 1_000_000, "{record:?}");
    check!(record.wc_sec > 1_500_000_000, "{record:?}");
    check_eq!(record.version1, record.version2);
    let start = now();
    check_eq!(hypercall::set_timer(start + 3_000_000), Ok(()));
    check!(wait_for(bit, 2_000_000_000), "the timer's event does not come");
    check!(now() >= start + 2_900_000, "it came too early");
    check_eq!(hypercall::set_timer(1), Ok(()));
    check!(wait_for(bit, 2_000_000_000), "a time that is past comes at once");
    check_eq!(hypercall::set_timer(now() + 1_000_000), Ok(()));
    check_eq!(hypercall::set_timer(0), Ok(()));
    check!(!wait_for(bit, 4_000_000), "a cancelled timer fires");

    // Blocking unmasks, and the callback has run when the call is back.
    let before = UPCALLS.load(Relaxed);
    let start = now();
    check_eq!(hypercall::set_timer(start + 3_000_000), Ok(()));
    check_eq!(hypercall::block(), Ok(()));
    check_eq!(UPCALLS.load(Relaxed), before + 1);
    check_eq!(shared::upcall_mask().load(Relaxed), 1, "an upcall masks");
    check!(now() >= start + 2_900_000, "it did not sleep");
    // An event that is there already keeps it from sleeping.
    check_eq!(hypercall::set_timer(1), Ok(()));
    for _ in 0..1000 {
        let _ = hypercall::xen_version();
    }
    check_eq!(hypercall::block(), Ok(()));
    // A masked port's event is pending and no more.
    let (port, word) = (bit.trailing_zeros(), shared::pending_word(0));
    shared::set_port_mask(port, true);
    check_eq!(hypercall::set_timer(now() + 100_000), Ok(()));
    check!(!wait_for(bit, 4_000_000), "a masked port's event comes through");
    check!(
        word.load(Relaxed) & bit != 0,
        "a masked port's event is not pending"
    );
    word.store(0, Relaxed);
    shared::set_port_mask(port, false);
}

/// A channel from the domain to itself, and what is refused.
fn channels() {
    let unbound = hypercall::event_channel_op(&AllocUnbound {
        dom: DomId::SELF,
        ..AllocUnbound::default()
    });
    let remote = unbound.map_or(0, |args| args.port);
    check!(remote > 0, "{unbound:?}");
    let bound = hypercall::event_channel_op(&BindInterdomain {
        dom1: DomId::SELF,
        dom2: DomId::SELF,
        port1: 0,
        port2: remote,
    });
    let local = bound.map_or(0, |args| args.port1);
    check!(local > 0 && local != remote, "{bound:?}");
    let status = |port| {
        hypercall::event_channel_op(&Status {
            dom: DomId::SELF,
            port,
            ..Status::default()
        })
    };
    let found = status(remote);
    check!(
        found.is_ok_and(|s| s.state == PortState::INTERDOMAIN && s.remote_port == local),
        "{found:?}"
    );
    shared::set_port_mask(remote, false);
    check_eq!(
        hypercall::event_channel_op(&Send { local_port: local }).map(drop),
        Ok(())
    );
    check!(wait_for(1 << remote, 1_000_000_000), "a sent event does not come");

    let close = |port| {
        hypercall::event_channel_op(&Close {
            dom: DomId::SELF,
            port,
            ..Close::default()
        })
    };
    check_eq!(close(local).map(drop), Ok(()));
    check!(status(remote).is_ok_and(|s| s.state == PortState::UNBOUND));
    check_eq!(close(remote).map(drop), Ok(()));
    for port in [0, remote, 1024, u32::MAX] {
        check_eq!(close(port).map(drop), Err(Errno::Inval), "close {port:#x}");
        check_eq!(
            hypercall::event_channel_op(&Send { local_port: port }).map(drop),
            Err(Errno::Inval)
        );
    }
    let virq = |n| {
        hypercall::event_channel_op(&BindVirq {
            virq: Virq::new(n),
            port: 0,
        })
    };
    check_eq!(virq(7).map(drop), Err(Errno::Inval));
    check_eq!(status(1024).map(drop), Err(Errno::Inval));
}
