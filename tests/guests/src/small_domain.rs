//! A small second domain, made by calls alone: four pages of tables and code, four of memory, no handlers. It starts with
//! upcalls masked at the first byte of its code.

use core::ptr::addr_of;

use guest_abi::addr::{GuestVirt, Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{
    BuildDomain, CPU_ANY, CreateDomain, DestroyDomain, Dom0Args, Dom0Op, DomainFlags, GetDomainInfo,
    GetMemList, PauseDomain, Personality, PhysInfo, UnpauseDomain,
};
use guest_abi::errno::Errno;
use guest_abi::mmu::{Extended, MmuUpdate, Pte, PteFlags, UvmFlags};
use guest_abi::segment::Selector;
use guest_abi::vcpu::{Callback, CpuContext};

use crate::pages::{Page, READ_ONLY, WRITABLE};
use crate::raw::mmu;
use crate::tables::DIRECTORY;
use crate::{check, check_eq, hypercall};

/// Frames of the small domain: L3, top L2, L1, code and stack.
pub const PAGES: u32 = 8;
const L3: usize = 0;
const TOP: usize = 1;
const L1: usize = 2;
/// Its frame with code and stack.
pub const CODE: usize = 3;
/// Where its frames are mapped in it.
pub const BASE: u32 = 0xC000_0000;

/// A command of `dom0_op`.
///
/// # Errors
/// The command's own.
pub fn op<A: Dom0Args>(args: &A) -> Result<A, Errno> {
    let mut block = Dom0Op::new(args);
    // SAFETY: what the commands write lies in this guest's own buffers.
    unsafe { hypercall::dom0_op(&mut block) }?;
    Ok(block.args())
}

/// A new domain of so many pages.
///
/// # Errors
/// Those of CREATEDOMAIN.
pub fn create(pages: u32) -> Result<DomId, Errno> {
    let args = CreateDomain {
        memory_kb: u64::from(pages) * 4,
        cpu: CPU_ANY,
        domain: DomId::DOM0,
        personality: Personality::V2,
    };
    op(&args).map(|done| done.domain)
}

/// Ends a domain.
///
/// # Errors
/// Those of DESTROYDOMAIN.
pub fn destroy(domain: DomId) -> Result<(), Errno> {
    op(&DestroyDomain { domain, pad: 0 }).map(drop)
}

/// Stops a domain.
///
/// # Errors
/// Those of PAUSEDOMAIN.
pub fn pause(domain: DomId) -> Result<(), Errno> {
    op(&PauseDomain { domain, pad: 0 }).map(drop)
}

/// Lets a domain run.
///
/// # Errors
/// Those of UNPAUSEDOMAIN.
pub fn unpause(domain: DomId) -> Result<(), Errno> {
    op(&UnpauseDomain { domain, pad: 0 }).map(drop)
}

/// What a domain is like.
///
/// # Errors
/// −ESRCH: there is none.
pub fn info(domain: DomId) -> Result<GetDomainInfo, Errno> {
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

/// Waits until a domain has ended itself, and says how.
///
/// # Panics
/// Where there is no such domain.
pub fn ended(domain: DomId) -> DomainFlags {
    loop {
        hypercall::yield_now().expect("yield");
        let flags = info(domain).expect("the domain").flags;
        if flags.intersects(DomainFlags::SHUTDOWN | DomainFlags::CRASHED) {
            return flags;
        }
    }
}

/// Free frames of the machine.
pub fn free_pages() -> u32 {
    op(&PhysInfo::default()).expect("physinfo").free_pages
}

/// The frames of a domain of [`PAGES`] pages.
pub fn frames(domain: DomId) -> [Mfn; PAGES as usize] {
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

/// Gives a domain its first context.
///
/// # Errors
/// Those of BUILDDOMAIN.
pub fn build(domain: DomId, context: &CpuContext) -> Result<(), Errno> {
    op(&BuildDomain {
        domain,
        pad: 0,
        ctxt: GuestVirt::new(addr_of!(*context) as u32),
    })
    .map(drop)
}

/// A context that begins at the first byte of the code page, with the stack at its end.
pub fn context(frames: &[Mfn; PAGES as usize]) -> CpuContext {
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
pub fn show(window: Page, domain: DomId, mfn: Mfn) {
    show_as(window, domain, Pte::new(mfn, WRITABLE));
}

/// Shows what `entry` names of `domain` in the page `window`.
pub fn show_as(window: Page, domain: DomId, entry: Pte) {
    let at = GuestVirt::new(window.0);
    // SAFETY: the window is nobody else's.
    let shown = unsafe { hypercall::update_va_mapping_otherdomain(at, entry, UvmFlags::INVLPG, domain) };
    check_eq!(shown, Ok(()), "{entry:?} of {domain}");
}

/// Writes tables and code, numbers the frames, pins the root.
pub fn fill(window: Page, domain: DomId, frames: &[Mfn; PAGES as usize], code: &[u64]) {
    fill_with(window, domain, frames, &entries(frames), code);
}

/// The first entries of its L1: each frame in its place, the tables read-only.
pub fn entries(frames: &[Mfn; PAGES as usize]) -> [u64; PAGES as usize] {
    core::array::from_fn(|n| {
        let flags = if n < CODE { READ_ONLY } else { WRITABLE };
        Pte::new(frames[n], flags).raw()
    })
}

/// [`fill`] with the first entries of its L1 as given. The first three frames must be mapped read-only.
pub fn fill_with(window: Page, domain: DomId, frames: &[Mfn; PAGES as usize], entries: &[u64], code: &[u64]) {
    let step = || Ok::<(), core::convert::Infallible>(());
    let Ok(()) = fill_by_steps(window, domain, frames, entries, code, step);
}

/// The same, call by call; before each, `step` may call it off. The window then shows what it showed last.
///
/// # Errors
/// What `step` answered.
pub fn fill_by_steps<E>(
    window: Page,
    domain: DomId,
    frames: &[Mfn; PAGES as usize],
    entries: &[u64],
    code: &[u64],
    mut step: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let mut write = |frame: usize, words: &[u64]| {
        step()?;
        show(window, domain, frames[frame]);
        step()?;
        window.fill(0);
        for (index, &word) in words.iter().enumerate() {
            window.write(index, word);
        }
        Ok(())
    };
    write(L3, &[0, 0, 0, Pte::new(frames[TOP], PteFlags::PRESENT).raw()])?;
    write(TOP, &[Pte::new(frames[L1], DIRECTORY).raw()])?;
    write(L1, entries)?;
    write(CODE, code)?;
    step()?;
    window.unprotect();
    let foreign = MmuUpdate::extended(Extended::SetForeignDom { domain });
    for (n, &frame) in (0..).zip(frames) {
        step()?;
        let number = MmuUpdate::machphys(frame, Pfn::new(n));
        check!(mmu(&[foreign, number]).is_ok(), "its frame is numbered");
    }
    step()?;
    let pin = MmuUpdate::extended(Extended::Pin {
        level: 3,
        frame: frames[L3].addr(),
    });
    check!(mmu(&[foreign, pin]).is_ok(), "its tables are good");
    Ok(())
}

/// A domain that runs `code` as soon as it is unpaused.
pub fn with_code(window: Page, code: &[u64]) -> DomId {
    let id = create(PAGES).expect("memory for a small domain");
    let frames = frames(id);
    fill(window, id, &frames, code);
    check_eq!(build(id, &context(&frames)), Ok(()));
    id
}
