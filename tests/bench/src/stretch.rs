//! How long the hypervisor keeps the processor in one piece: the latency of a timer event that comes due in the midst of
//! a long call. Between two looks at pending work it cannot be delivered, so the longest latency seen is the longest
//! stretch and the way to the callback (and the hardware timer's own resolution, about 1 µs, that is 1,000 instructions).

use core::sync::atomic::Ordering;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::event_channel::Virq;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::segment::Selector;
use mini_guest::mm::{kernel_map::READ_WRITE, translate::mfn};
use mini_guest::time::{NS_PER_SEC, tsc};
use mini_guest::{events, hypercall, println, shared, time, traps};

use crate::memory::{Shared, entry_address, frame};
use crate::routine::ARGS;
use crate::tables::full_table;

unsafe extern "C" {
    safe fn bench_on_timer();
}

/// Points of each call's duration at which the timer fires.
const SAMPLES: u64 = 61;
const REQUESTS: usize = 2048;
const ORDER: u32 = 9;

static BATCH: Shared<[MmuUpdate; REQUESTS]> = Shared::new([MmuUpdate { ptr: 0, val: 0 }; REQUESTS]);

/// Measures it.
pub fn measure() {
    let port = events::bind_virq(Virq::TIMER).expect("the timer's event can be bound");
    let callback = (Selector::FLAT_RING1_CS, bench_on_timer as *const () as u32);
    hypercall::set_callbacks(callback, callback).expect("good callbacks");

    let table = mfn(full_table()).addr();
    let pin = MmuUpdate::extended(Extended::Pin {
        level: 1,
        frame: table,
    });
    let unpin = MmuUpdate::extended(Extended::Unpin { frame: table });
    let page = frame();
    let same = MmuUpdate::normal(entry_address(page), Pte::new(mfn(page), READ_WRITE));
    let none = MmuUpdate::normal(entry_address(page), Pte::EMPTY);
    // SAFETY: nothing else refers to the requests; from here on they are only read.
    let batch = unsafe { &mut *BATCH.get() };
    for (n, request) in batch.iter_mut().enumerate() {
        *request = if n % 2 == 0 { none } else { same };
    }

    let mut longest = 0;
    let mut sweep = |run: &mut dyn FnMut()| {
        run();
        let start = tsc();
        run();
        let whole = tsc() - start;
        for n in 0..SAMPLES {
            longest = longest.max(latency(whole * n / SAMPLES, run));
        }
    };
    sweep(&mut || {
        // SAFETY: the table is hooked in nowhere.
        unsafe { hypercall::mmu_update(&[pin, unpin]) }.expect("a good table");
    });
    sweep(&mut || {
        // SAFETY: the page is ours and nobody reads or writes it.
        unsafe { hypercall::mmu_update(batch) }.expect("good entries");
    });
    let mut extents = [Mfn::new(0)];
    sweep(&mut || {
        let given = hypercall::increase_reservation(&mut extents, ORDER, DomId::SELF);
        assert_eq!(given, Ok(1));
        // SAFETY: nobody has used the frames.
        let taken = unsafe { hypercall::decrease_reservation(&extents, ORDER, DomId::SELF) };
        assert_eq!(taken, Ok(1));
    });
    println!("bench: longest_stretch {longest}");

    time::set_timer(None).expect("a timer can be cancelled");
    events::close(port).expect("an open port");
    traps::init().expect("the kernel's own callbacks");
}

/// Runs `run` with the timer due `ahead` instructions after its start; gives how late its event came.
fn latency(ahead: u64, run: &mut dyn FnMut()) -> u64 {
    let before = ARGS.noted_time();
    // The way to the call's first instruction takes some hundred instructions.
    const START: u64 = 3000;
    let record = shared::time_record();
    let deadline = tsc() + START + ahead;
    let since = u128::from(deadline - record.tsc_timestamp) * u128::from(NS_PER_SEC);
    let ns = record.system_time + (since / u128::from(record.cpu_freq)) as u64;
    time::set_timer(Some(ns)).expect("a timer can be set");
    shared::upcall_mask().store(0, Ordering::SeqCst);
    while tsc() + 200 < deadline - ahead {}
    run();
    while ARGS.noted_time() == before {}
    // The callback left the mask set.
    events::poll(|_| ());
    ARGS.noted_time().saturating_sub(deadline)
}
