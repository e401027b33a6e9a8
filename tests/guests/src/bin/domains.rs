//! A second domain, made and ended by calls alone: created, its frames mapped and filled, its root pinned, built, started;
//! it shuts down and is destroyed. In between the calls' refusals. At the end it is all done thousands of times over,
//! and memory is compared to the frame.
//!
//! timeout: 400
//! icount: yes
#![no_std]
#![no_main]

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::domctl::{CPU_ANY, CreateDomain, DomainFlags, Personality};
use guest_abi::errno::Errno;
use guest_abi::sched::{ShutdownReason, pack_shutdown};
use guest_abi::start_info::StartInfo;
use test_guests::pages::Page;
use test_guests::small_domain::{
    PAGES, build, context, create, destroy, ended, fill, frames, free_pages, info, op, pause, unpause,
};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, println, report};

test_guests::entry!(main);

/// How often a domain is made and ended without running, and with.
const ROUNDS: u32 = 10_000;
const RUNS: u32 = 200;
/// Domains that there can be beside Domain0, and which of them run.
const DOMAINS: usize = 1023;
const RUN_EVERY: usize = 8;
/// What it gives as its reason.
const REASON: ShutdownReason = ShutdownReason::new(0x42);

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let window = Page::take();
    life(window);
    refusals();
    crowd(window);
    let free = free_pages();
    for round in 0..ROUNDS {
        let id = create(PAGES).expect("memory for a small domain");
        if round < RUNS {
            run(window, id);
        }
        check_eq!(destroy(id), Ok(()));
    }
    check_eq!(free_pages(), free, "to the frame");
    println!("{ROUNDS} domains made and ended, {free} frames free");
    report::success()
}

/// One life with a look at every stage.
fn life(window: Page) {
    let free = free_pages();
    let id = create(PAGES).expect("memory for a small domain");
    let info = info(id).expect("the new domain");
    check_eq!((info.tot_pages, info.max_pages), (PAGES, PAGES));
    check!(info.flags == DomainFlags::PAUSED, "{:?}", info.flags);
    check_eq!(
        free_pages(),
        free - PAGES - 2,
        "a record and a shared page besides"
    );
    check_eq!(unpause(id), Err(Errno::Inval), "it is not built");
    run(window, id);
    check_eq!(pause(id), Ok(()));
    check_eq!(destroy(id), Ok(()));
    check_eq!(destroy(id), Err(Errno::Srch));
    check_eq!(free_pages(), free);
}

/// As many domains at once as there can be, each of which runs.
fn crowd(window: Page) {
    let free = free_pages();
    let mut ids = [DomId::DOM0; DOMAINS];
    for (n, id) in ids.iter_mut().enumerate() {
        *id = create(PAGES).expect("memory and a slot");
        if n % RUN_EVERY == 0 {
            run(window, *id);
        }
    }
    check_eq!(create(PAGES), Err(Errno::NoMem), "no slot is left");
    check_eq!(free_pages(), free - DOMAINS as u32 * (PAGES + 2));
    for id in ids {
        check!(info(id).is_ok_and(|info| info.tot_pages == PAGES));
        check_eq!(destroy(id), Ok(()));
    }
    check_eq!(free_pages(), free);
    println!("{DOMAINS} domains at once");
}

/// Builds domain `id`, lets it run, and waits for its end.
fn run(window: Page, id: DomId) {
    let frames = frames(id);
    fill(window, id, &frames, &code());
    check_eq!(build(id, &context(&frames)), Ok(()));
    check_eq!(unpause(id), Ok(()));
    let flags = ended(id);
    check!(flags == DomainFlags::SHUTDOWN.with(0, REASON), "{flags:?}");
}

fn refusals() {
    check_eq!(create(u32::MAX), Err(Errno::NoMem));
    for result in [pause(DomId::DOM0), destroy(DomId::DOM0)] {
        check_eq!(result, Err(Errno::Inval), "itself");
    }
    for result in [
        pause(DomId::new(77)),
        unpause(DomId::new(77)),
        destroy(DomId::SELF),
    ] {
        check_eq!(result, Err(Errno::Srch));
    }
    let id = create(PAGES).expect("memory for a small domain");
    let own = Page::take();
    let mut bad = context(&[Mfn::new(0); PAGES as usize]);
    check_eq!(build(id, &bad), Err(Errno::Inval), "a root of nobody's");
    bad.pt_base = own.mfn().addr();
    check_eq!(build(id, &bad), Err(Errno::Inval), "a root of ours");
    check_eq!(destroy(id), Ok(()));
    check_eq!(
        create_as(DomId::DOM0.raw() + 5, Personality::new(4)),
        Err(Errno::Inval)
    );
}

fn create_as(id: u16, personality: Personality) -> Result<DomId, Errno> {
    let args = CreateDomain {
        memory_kb: 4,
        cpu: CPU_ANY,
        domain: DomId::new(id),
        personality,
    };
    op(&args).map(|done| done.domain)
}

/// `mov eax, 6; mov ebx, shutdown; int 0x82; jmp $`
fn code() -> [u64; 2] {
    let [b0, b1, b2, b3] = pack_shutdown(REASON).to_le_bytes();
    let bytes = [
        0xB8, 6, 0, 0, 0, 0xBB, b0, b1, b2, b3, 0xCD, 0x82, 0xEB, 0xFE, 0x90, 0x90,
    ];
    [0, 8].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")))
}
