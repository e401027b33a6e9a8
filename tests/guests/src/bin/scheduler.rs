//! The processor shared among domains under borrowed virtual time: by weight, beside domains that yield or flood, and how late a
//! domain wakes beside eight that compute, with and without warping. The figures are those of docs/scheduling.md.
//!
//! timeout: 400
//! icount: yes
#![no_std]
#![no_main]

use guest_abi::domain::DomId;
use guest_abi::domctl::{AdjustDom, Direction, GetSchedId, SchedCtl, SchedId};
use guest_abi::errno::Errno;
use guest_abi::event_channel::{BindVirq, Virq};
use guest_abi::start_info::StartInfo;
use mini_guest::{shared, time::now_ns, traps};
use test_guests::pages::Page;
use test_guests::small_domain::{destroy, info, op, unpause, with_code};
use test_guests::tables::Space;
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, println, report};

use core::sync::atomic::Ordering::Relaxed;

test_guests::entry!(main);

const MS: u64 = 1_000_000;
const SEC: u64 = 1_000 * MS;

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let window = Page::take();
    traps::set_kernel_event_handler(Some(on_event));
    let bound = hypercall::event_channel_op(&BindVirq {
        virq: Virq::TIMER,
        port: 0,
    });
    shared::set_port_mask(bound.expect("a port").port, false);
    parameters();
    weights(window);
    neighbours(window);
    waking(window);
    report::success()
}

fn on_event(_: &mut Regs) {
    shared::upcall_pending().store(0, Relaxed);
    shared::pending_selector().swap(0, Relaxed);
    shared::pending_word(0).swap(0, Relaxed);
}

fn sleep_until(deadline: u64) {
    check_eq!(hypercall::set_timer(deadline), Ok(()));
    while now_ns() < deadline {
        check_eq!(hypercall::block(), Ok(()));
        shared::upcall_mask().store(1, Relaxed);
    }
}

const fn ask(direction: Direction, domain: DomId) -> AdjustDom {
    AdjustDom {
        sched_id: SchedId::BVT,
        direction,
        domain,
        pad: 0,
        mcu_advance: 10,
        warpback: 0,
        warpvalue: 0,
        warpl_ns: 0,
        warpu_ns: 0,
    }
}

fn parameters() {
    check_eq!(
        op(&GetSchedId::default()).map(|got| got.sched_id),
        Ok(SchedId::BVT)
    );
    let ctl = SchedCtl {
        sched_id: SchedId::BVT,
        direction: Direction::GET,
        slice_ns: 0,
    };
    check_eq!(op(&ctl).map(|got| got.slice_ns), Ok(5 * MS));
    let wrong = SchedCtl {
        sched_id: SchedId::RROBIN,
        ..ctl
    };
    check_eq!(op(&wrong).err(), Some(Errno::Inval));
    let nobody = ask(Direction::GET, DomId::new(99));
    check_eq!(op(&nobody).err(), Some(Errno::Srch));
    let own = op(&ask(Direction::GET, DomId::SELF)).expect("our own");
    check_eq!((own.mcu_advance, own.warpback), (10, 0));
    let none = AdjustDom {
        mcu_advance: 0,
        ..ask(Direction::PUT, DomId::SELF)
    };
    check_eq!(op(&none).err(), Some(Errno::Inval));
}

/// Domains that run, from now on.
struct Neighbours<const N: usize> {
    ids: [DomId; N],
    used: [u64; N],
    began: u64,
}

impl<const N: usize> Neighbours<N> {
    /// A domain per code, with its `mcu_advance`.
    fn start(window: Page, codes: [(&[u64], u32); N]) -> Self {
        let ids = codes.map(|(code, mcu_advance)| {
            let id = with_code(window, code);
            let params = AdjustDom {
                mcu_advance,
                ..ask(Direction::PUT, id)
            };
            check!(op(&params).is_ok());
            id
        });
        for id in ids {
            check_eq!(unpause(id), Ok(()));
        }
        Self {
            ids,
            used: ids.map(used),
            began: now_ns(),
        }
    }

    /// What each used since, in hundredths of a percent of the time, after which they are gone.
    fn end(self) -> [u64; N] {
        let all = now_ns() - self.began;
        let mut used_before = self.used.iter();
        self.ids.map(|id| {
            let before = used_before.next().copied().unwrap_or(0);
            let share = (used(id) - before) * 10_000 / all;
            check_eq!(destroy(id), Ok(()));
            share
        })
    }
}

fn used(id: DomId) -> u64 {
    info(id).expect("the domain").cpu_time
}

#[track_caller]
fn within_2_percent(share: u64, wanted: u64) {
    check!(share.abs_diff(wanted) * 50 <= wanted, "{share}, not {wanted}");
}

fn weights(window: Page) {
    let hog = hog();
    let neighbours = Neighbours::start(window, [(&hog, 40), (&hog, 20), (&hog, 10)]);
    sleep_until(now_ns() + 10 * SEC);
    let shares = neighbours.end();
    println!("weights 1:2:4 over 10 s, in 0.01 %: {shares:?}");
    for (share, weight) in shares.into_iter().zip([1, 2, 4]) {
        within_2_percent(share, 10_000 * weight / 7);
    }
}

fn neighbours(window: Page) {
    let hog = hog();
    let codes: [(&[u64], u32); 4] = [(&hog, 10), (&hog, 10), (&FLOOD, 10), (&YIELD, 10)];
    let neighbours = Neighbours::start(window, codes);
    sleep_until(now_ns() + 2 * SEC);
    let shares = neighbours.end();
    println!("two that compute, one that floods hypercalls, one that yields, in 0.01 %: {shares:?}");
    let [first, second, flood, yields] = shares;
    within_2_percent(second, first);
    within_2_percent(flood, first);
    check!(first >= 2_500 && yields <= 2_500);
}

/// Beside eight that compute: twice in three seconds, for half a second, every 10 ms 2 ms of work.
fn waking(window: Page) {
    let hog = hog();
    let codes: [(&[u64], u32); 8] = [(&hog, 10); 8];
    let neighbours = Neighbours::start(window, codes);
    let (plain_worst, plain_mean) = bursts();
    let warp = AdjustDom {
        warpback: 1,
        // 200 ms of its running.
        warpvalue: 20_000,
        warpl_ns: 2 * SEC,
        warpu_ns: SEC,
        ..ask(Direction::PUT, DomId::SELF)
    };
    check!(op(&warp).is_ok());
    let (warped_worst, warped_mean) = bursts();
    check!(op(&ask(Direction::PUT, DomId::SELF)).is_ok());
    neighbours.end();
    println!("late without warp: at worst {plain_worst} ns, {plain_mean} ns on the mean");
    println!("late with warp: at worst {warped_worst} ns, {warped_mean} ns on the mean");
    check!(warped_worst < MS / 5 && plain_worst > 2 * MS && warped_mean < plain_mean);
}

/// How late we are, at worst and on the mean.
fn bursts() -> (u64, u64) {
    let (mut worst, mut sum, mut count) = (0, 0, 0);
    for _ in 0..2 {
        let mut next = now_ns() + SEC;
        let end = next + SEC / 2;
        while next < end {
            sleep_until(next);
            let woke = now_ns();
            worst = worst.max(woke - next);
            sum += woke - next;
            count += 1;
            while now_ns() < woke + 2 * MS {}
            next += 10 * MS;
            // What is past is not caught up with.
            while next < now_ns() {
                next += 10 * MS;
            }
        }
    }
    (worst, sum / count)
}

/// 496 times `inc eax`, and back.
fn hog() -> [u64; 63] {
    let mut code = [u64::from_le_bytes([0x40; 8]); 63];
    code[62] = u64::from_le_bytes([0xE9, 0x0B, 0xFE, 0xFF, 0xFF, 0x90, 0x90, 0x90]);
    code
}

/// `mov eax, 17; xor ebx, ebx; int 0x82`, and back.
const FLOOD: [u64; 2] = [
    u64::from_le_bytes([0xB8, 17, 0, 0, 0, 0x31, 0xDB, 0xCD]),
    u64::from_le_bytes([0x82, 0xEB, 0xF5, 0x90, 0x90, 0x90, 0x90, 0x90]),
];

/// `mov eax, 6; xor ebx, ebx; int 0x82`, and back.
const YIELD: [u64; 2] = [
    u64::from_le_bytes([0xB8, 6, 0, 0, 0, 0x31, 0xDB, 0xCD]),
    u64::from_le_bytes([0x82, 0xEB, 0xF5, 0x90, 0x90, 0x90, 0x90, 0x90]),
];
