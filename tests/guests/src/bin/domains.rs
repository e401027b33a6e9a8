//! A second domain, made and ended by calls alone: created, its frames mapped and filled, its root pinned, built, started;
//! it shuts down and is destroyed. In between the calls' refusals. At the end it is all done thousands of times over,
//! and memory is compared to the frame.
//!
//! timeout: 400
//! icount: yes
#![no_std]
#![no_main]

use core::ptr::addr_of;

use guest_abi::addr::{GuestVirt, Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{
    BuildDomain, CPU_ANY, CreateDomain, DestroyDomain, Dom0Args, Dom0Op, DomainFlags, GetDomainInfo,
    GetMemList, PauseDomain, Personality, PhysInfo, UnpauseDomain,
};
use guest_abi::errno::Errno;
use guest_abi::mmu::{Extended, MmuUpdate, Pte, PteFlags, UvmFlags};
use guest_abi::sched::{ShutdownReason, pack_shutdown};
use guest_abi::segment::Selector;
use guest_abi::start_info::StartInfo;
use guest_abi::vcpu::{Callback, CpuContext};
use test_guests::pages::{Page, READ_ONLY, WRITABLE};
use test_guests::raw::mmu;
use test_guests::tables::{DIRECTORY, Space};
use test_guests::{check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Frames of the small domain: L3, top L2, L1, code and stack.
const PAGES: u32 = 8;
const L3: usize = 0;
const TOP: usize = 1;
const L1: usize = 2;
const CODE: usize = 3;
/// Where its frames are mapped in it.
const BASE: u32 = 0xC000_0000;
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
    fill(window, id, &frames);
    check_eq!(build(id, &context(&frames)), Ok(()));
    check_eq!(unpause(id), Ok(()));
    let flags = loop {
        hypercall::yield_now().expect("yield");
        let flags = info(id).expect("the domain").flags;
        if flags.intersects(DomainFlags::SHUTDOWN | DomainFlags::CRASHED) {
            break flags;
        }
    };
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

fn op<A: Dom0Args>(args: &A) -> Result<A, Errno> {
    let mut block = Dom0Op::new(args);
    // SAFETY: what the commands write lies in this guest's own buffers.
    unsafe { hypercall::dom0_op(&mut block) }?;
    Ok(block.args())
}

fn create(pages: u32) -> Result<DomId, Errno> {
    let args = CreateDomain {
        memory_kb: u64::from(pages) * 4,
        cpu: CPU_ANY,
        domain: DomId::DOM0,
        personality: Personality::V2,
    };
    op(&args).map(|done| done.domain)
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

fn destroy(domain: DomId) -> Result<(), Errno> {
    op(&DestroyDomain { domain, pad: 0 }).map(drop)
}

fn pause(domain: DomId) -> Result<(), Errno> {
    op(&PauseDomain { domain, pad: 0 }).map(drop)
}

fn unpause(domain: DomId) -> Result<(), Errno> {
    op(&UnpauseDomain { domain, pad: 0 }).map(drop)
}

fn info(domain: DomId) -> Result<GetDomainInfo, Errno> {
    let info = op(&GetDomainInfo {
        domain,
        ..GetDomainInfo::default()
    })?;
    if info.domain == domain {
        Ok(info)
    } else {
        Err(Errno::Srch)
    }
}

fn free_pages() -> u32 {
    op(&PhysInfo::default()).expect("physinfo").free_pages
}

fn frames(domain: DomId) -> [Mfn; PAGES as usize] {
    let mut list = [Mfn::new(0); PAGES as usize];
    let done = op(&GetMemList {
        domain,
        max_pfns: PAGES,
        buffer: GuestVirt::new(list.as_mut_ptr() as u32),
        ..GetMemList::default()
    });
    check_eq!(done.map(|done| done.num_pfns), Ok(PAGES));
    list
}

fn build(domain: DomId, context: &CpuContext) -> Result<(), Errno> {
    op(&BuildDomain {
        domain,
        pad: 0,
        ctxt: GuestVirt::new(addr_of!(*context) as u32),
    })
    .map(drop)
}

/// A context that begins at the first byte of the code page, with the stack at its end.
fn context(frames: &[Mfn; PAGES as usize]) -> CpuContext {
    let flat = Callback {
        cs: Selector::FLAT_RING1_CS,
        ..Callback::default()
    };
    let data = u32::from(Selector::FLAT_RING1_DS.raw());
    let mut context = CpuContext {
        pt_base: frames[L3].addr(),
        kernel_ss: data,
        kernel_esp: BASE + CODE as u32 * 4096 + 4096,
        event_callback: flat,
        failsafe_callback: flat,
        ..CpuContext::default()
    };
    let regs = &mut context.regs;
    (regs.cs, regs.eflags) = (Selector::FLAT_RING1_CS.raw().into(), 0x202);
    (regs.eip, regs.esp) = (BASE + CODE as u32 * 4096, context.kernel_esp);
    (regs.ss, regs.ds, regs.es, regs.fs, regs.gs) = (data, data, data, data, data);
    context
}

/// Shows frame `mfn` of `domain` in the page `window`.
fn show(window: Page, domain: DomId, mfn: Mfn) {
    let at = GuestVirt::new(window.0);
    // SAFETY: the window is nobody else's.
    let shown = unsafe {
        hypercall::update_va_mapping_otherdomain(at, Pte::new(mfn, WRITABLE), UvmFlags::INVLPG, domain)
    };
    check_eq!(shown, Ok(()), "frame {mfn:?} of {domain}");
}

/// Writes tables and code, numbers the frames, pins the root.
fn fill(window: Page, domain: DomId, frames: &[Mfn; PAGES as usize]) {
    let mut write = |frame: usize, words: &[u64]| {
        show(window, domain, frames[frame]);
        window.fill(0);
        for (index, &word) in words.iter().enumerate() {
            window.write(index, word);
        }
    };
    write(L3, &[0, 0, 0, Pte::new(frames[TOP], PteFlags::PRESENT).raw()]);
    write(TOP, &[Pte::new(frames[L1], DIRECTORY).raw()]);
    let entry = |n: usize| {
        let flags = if n < CODE { READ_ONLY } else { WRITABLE };
        Pte::new(frames[n], flags).raw()
    };
    write(L1, &core::array::from_fn::<u64, { PAGES as usize }, _>(entry));
    write(CODE, &code());
    window.unprotect();
    let foreign = MmuUpdate::extended(Extended::SetForeignDom { domain });
    let pin = MmuUpdate::extended(Extended::Pin {
        level: 3,
        frame: frames[L3].addr(),
    });
    let number = |n: usize| MmuUpdate::machphys(frames[n], Pfn::new(n as u32));
    let requests: [MmuUpdate; PAGES as usize + 2] = core::array::from_fn(|n| match n {
        0 => foreign,
        n if n <= PAGES as usize => number(n - 1),
        _ => pin,
    });
    check!(mmu(&requests).is_ok(), "its tables are good");
}

/// `mov eax, 6; mov ebx, shutdown; int 0x82; jmp $`
fn code() -> [u64; 2] {
    let [b0, b1, b2, b3] = pack_shutdown(REASON).to_le_bytes();
    let bytes = [
        0xB8, 6, 0, 0, 0, 0xBB, b0, b1, b2, b3, 0xCD, 0x82, 0xEB, 0xFE, 0x90, 0x90,
    ];
    [0, 8].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")))
}
