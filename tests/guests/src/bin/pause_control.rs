//! Long commands of `dom0_op` and `dom_mem_op` with an event due: they pause, the event is taken in the middle, and the answer is
//! that of a call that was not disturbed.
//!
//! timeout: 300
//! icount: yes
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{GetMemList, GetPageFrameInfo2, MAX_FRAME_INFOS, SetDomainInitialMem, frame_info};
use guest_abi::errno::Errno;
use guest_abi::event_channel::{BindVirq, Virq};
use guest_abi::start_info::StartInfo;
use mini_guest::time::now_ns;
use mini_guest::{shared, traps};
use test_guests::pages::{Page, peek32, poke32};
use test_guests::small_domain::{create, destroy, free_pages, info, op};
use test_guests::tables::{Space, pin, unpin};
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Pages of the domain that is looked at and ended, and of what it grows by.
const PAGES: u32 = 4096;
const GROWN: u32 = 8192;
/// Events that met a call under way.
static DURING: AtomicU32 = AtomicU32::new(0);

fn on_event(regs: &mut Regs) {
    // A call that pauses stands at its `int 0x82`.
    if peek32(regs.eip) & 0xFFFF == 0x82CD {
        DURING.fetch_add(1, Relaxed);
    }
    shared::upcall_pending().store(0, Relaxed);
    shared::pending_selector().store(0, Relaxed);
    shared::pending_word(0).store(0, Relaxed);
}

/// Does `call` with events at more and more places in it, until `times` of them have met it; each answer must be the same.
#[track_caller]
fn disturbed<T: PartialEq + core::fmt::Debug>(what: &str, times: u32, mut call: impl FnMut() -> T) {
    let undisturbed = call();
    let (mut met, mut ahead) = (0, 500);
    let mut rounds = 0;
    while met < times {
        rounds += 1;
        check!(rounds < 4000, "{what}: an event never meets it: {met}");
        let before = DURING.load(Relaxed);
        check_eq!(hypercall::set_timer(now_ns() + ahead), Ok(()));
        shared::upcall_mask().store(0, Relaxed);
        let answer = call();
        shared::upcall_mask().store(1, Relaxed);
        check_eq!(answer, undisturbed, "{what}, an event after {ahead} ns");
        let during = DURING.load(Relaxed) - before;
        met += during;
        // Where it was not met, the event came before it or behind it.
        ahead = if ahead > 4_000_000 { 500 } else { ahead + ahead / 8 };
    }
    check_eq!(hypercall::set_timer(0), Ok(()));
    println!("{what}: {met} events in {rounds} rounds");
}

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let bound = hypercall::event_channel_op(&BindVirq {
        virq: Virq::TIMER,
        port: 0,
    });
    shared::set_port_mask(bound.expect("a port").port, false);
    traps::set_kernel_event_handler(Some(on_event));
    let list = Page::take_run(8);
    types(space, list);
    lists(list);
    lives();
    report::success()
}

/// GETPAGEFRAMEINFO2 of as many frames as there can be, tables of every kind among them.
fn types(space: Space, list: Page) {
    let tables = Page::take_run(4);
    for n in 0..4 {
        tables.next(n).protect();
        check_eq!(pin(1, tables.next(n)), Ok(()));
    }
    let frames = |n: u32| match n % 16 {
        0 => space.l3.mfn().raw(),
        1 => space.l2(list.0).mfn().raw(),
        2 => space.l1(list.0).mfn().raw(),
        3..7 => tables.next(n % 16 - 3).mfn().raw(),
        // Nobody's.
        7 => frame_info::FRAME_MASK,
        _ => list.mfn().raw() + n % 4,
    };
    let ask = |num: u32| {
        (0..MAX_FRAME_INFOS).for_each(|n| poke32(list.0 + 4 * n, frames(n)));
        let args = GetPageFrameInfo2 {
            domain: DomId::DOM0,
            num,
            array: GuestVirt::new(list.0),
            ..GetPageFrameInfo2::default()
        };
        let answer = op(&args).map(drop);
        let sum = (0..MAX_FRAME_INFOS).fold(0xCBF2_9CE4_8422_2325_u64, |sum, n| {
            (sum ^ u64::from(peek32(list.0 + 4 * n))).wrapping_mul(0x100_0000_01B3)
        });
        (answer, sum)
    };
    disturbed("types of frames", 40, || ask(MAX_FRAME_INFOS));
    // And they are what they should be.
    let answer = ask(MAX_FRAME_INFOS).0;
    check_eq!(answer, Ok(()));
    for n in 0..MAX_FRAME_INFOS {
        let wanted = frames(n)
            | match n % 16 {
                0 => frame_info::L3,
                1 => frame_info::L2,
                2 => frame_info::L1,
                3..7 => frame_info::L1 | frame_info::PINNED,
                7 => frame_info::INVALID,
                _ => 0,
            };
        let found = peek32(list.0 + 4 * n);
        // The root and what it reaches may be pinned or not.
        let mask = if n % 16 < 3 { !frame_info::PINNED } else { !0 };
        check_eq!(found & mask, wanted & mask, "word {n}");
    }
    check_eq!(ask(MAX_FRAME_INFOS + 1).0, Err(Errno::TooBig));
    for n in 0..4 {
        check_eq!(unpin(tables.next(n)), Ok(()));
        tables.next(n).unprotect();
    }
}

/// GETMEMLIST of a whole domain.
fn lists(list: Page) {
    let id = create(PAGES).expect("a domain");
    disturbed("a list of frames", 20, || {
        (0..PAGES).for_each(|n| poke32(list.0 + 4 * n, 0));
        let args = GetMemList {
            domain: id,
            max_pfns: PAGES,
            buffer: GuestVirt::new(list.0),
            ..GetMemList::default()
        };
        let answer = op(&args).map(|done| done.num_pfns);
        let sum = (0..PAGES).fold(0xCBF2_9CE4_8422_2325_u64, |sum, n| {
            (sum ^ u64::from(peek32(list.0 + 4 * n))).wrapping_mul(0x100_0000_01B3)
        });
        check_eq!(answer, Ok(PAGES));
        sum
    });
    check_eq!(destroy(id), Ok(()));
}

/// Creating, growing and ending a domain.
fn lives() {
    let free = free_pages();
    disturbed("a domain's life", 40, || {
        let id = create(PAGES).expect("a domain");
        let made = info(id).map(|info| (info.tot_pages, info.max_pages));
        let args = SetDomainInitialMem {
            domain: id,
            initial_memkb: u64::from(GROWN) * 4,
            ..SetDomainInitialMem::default()
        };
        let grown = op(&args).map(drop);
        let after = info(id).map(|info| (info.tot_pages, info.max_pages));
        let ended = destroy(id);
        check_eq!(free_pages(), free, "to the frame");
        (made, grown, after, ended)
    });
    reservation(free);
}

/// `dom_mem_op`: many frames at once, and back.
fn reservation(free: u32) {
    let mut extents = [Mfn::new(0); 256];
    let before = info(DomId::DOM0).expect("ourselves");
    if before.tot_pages + 256 > before.max_pages {
        println!("Domain0 has all it may have");
        return;
    }
    disturbed("a reservation", 20, || {
        let got = hypercall::increase_reservation(&mut extents, 0, DomId::SELF);
        // SAFETY: frames that are mapped nowhere.
        let back = unsafe { hypercall::decrease_reservation(&extents, 0, DomId::SELF) };
        check_eq!(free_pages(), free);
        (got, back)
    });
}
