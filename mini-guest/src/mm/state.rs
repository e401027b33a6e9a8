//! The memory of this domain, set up once.

use core::cell::RefCell;
use core::{ptr, slice};

use guest_abi::addr::{INVALID_FRAME, Mfn, PAGE_SIZE, Pfn};
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::module_list::ModuleList;
use guest_abi::start_info::{StartFlags, StartInfo};

use super::batch::Batch;
use super::boot::{self, Ramdisk};
use super::bump::Bump;
use super::frames::{FrameTable, OutOfFrames};
use super::kernel_map::{KernelMap, READ_ONLY, zero_frame};
use super::layout::{DIRECT_START, direct};
use super::{KEPT_SHARE, USER_KEEP, exchange, heap, translate};
use crate::cell::OneCpu;
use crate::traps::KERNEL_STACK;

static FRAMES: OneCpu<RefCell<Option<FrameTable<'static>>>> = OneCpu::new(RefCell::new(None));
static KERNEL_MAP: OneCpu<RefCell<Option<KernelMap>>> = OneCpu::new(RefCell::new(None));

/// Heap bytes below which calls that allocate are refused, in a domain that is not small.
const HEAP_RESERVE: usize = 768 * 1024;

/// Takes possession of the domain's memory and gives the RAM disk, which stays where it is.
///
/// # Panics
/// Where the memory does not suffice for the kernel.
pub fn init(start_info: &'static StartInfo) -> &'static [u8] {
    translate::init(start_info);
    let list = module_list(start_info);
    let ring = |mfn: Mfn| {
        Some(mfn)
            .filter(|mfn| ![0, INVALID_FRAME].contains(&mfn.raw()))
            .and_then(translate::pfn)
    };
    let rings = [ring(start_info.store_mfn), ring(start_info.console_mfn)];
    let first = boot::used_end(start_info, ptr::from_ref(start_info) as u32, &rings);
    let further = list.iter().flat_map(|list| list.iter().skip(1));
    let mut bump = Bump::new(first, further.map(|entry| boot::module_frames(&entry)));

    let map = KernelMap::build(start_info, &mut bump);
    let pages = map.pages();
    *KERNEL_MAP.borrow_mut() = Some(map);
    *FRAMES.borrow_mut() = Some(frame_table(first, pages, &mut bump));
    heap::begin(pages);
    exchange::init(start_info.nr_pages);
    protect_image();
    ramdisk(boot::ramdisk(start_info, list.as_ref()))
}

/// The boot modules after the RAM disk: command line and bytes. Those that do not lie in the direct map are left out.
/// Their frames are never given out.
pub fn boot_modules(start_info: &'static StartInfo) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    let list = module_list(start_info);
    let entries = list
        .into_iter()
        .flat_map(|list| list.iter().skip(1).map(move |entry| (list, entry)));
    entries.filter_map(|(list, entry)| {
        let len = u32::try_from(entry.len).ok()?;
        let pages = with_kernel_map(KernelMap::pages)?;
        let is_mapped = boot::module_frames(&entry).end <= pages;
        let line = list.command_line(&entry).filter(|_| is_mapped)?;
        if len == 0 {
            return Some((line, &[][..]));
        }
        // SAFETY: the frames follow each other in the direct map, hold the module, and nobody writes to them.
        let bytes = unsafe { slice::from_raw_parts(direct(entry.pfn) as *const u8, len as usize) };
        Some((line, bytes))
    })
}

fn module_list(start_info: &'static StartInfo) -> Option<ModuleList<'static>> {
    if !start_info.flags.contains(StartFlags::MODULE_LIST) {
        return None;
    }
    // SAFETY: the builder mapped these bytes, and nobody writes them.
    let bytes = unsafe {
        slice::from_raw_parts(
            start_info.mod_start.raw() as *const u8,
            start_info.mod_len as usize,
        )
    };
    ModuleList::parse(bytes).ok()
}

/// Makes the frame table, with all frames free that nothing uses.
fn frame_table(first: u32, pages: u32, bump: &mut Bump) -> FrameTable<'static> {
    let bytes = pages * 4;
    let at = bump
        .take(bytes.div_ceil(PAGE_SIZE as u32), pages)
        .expect("room for the frame table");
    // SAFETY: the frames were just taken, are consecutive in the direct map, and any word is a valid one.
    let words = unsafe { slice::from_raw_parts_mut(direct(at) as *mut u32, pages as usize) };
    let mut table = FrameTable::new(words);
    (first..pages)
        .filter(|pfn| !bump.is_used(*pfn))
        .for_each(|pfn| table.release(Pfn::new(pfn)));
    table
}

/// Makes the image's text and constants read-only and takes the page below the stack away.
fn protect_image() {
    unsafe extern "C" {
        safe fn mini_guest_image_start();
        safe fn mini_guest_text_end();
    }
    let text = mini_guest_image_start as *const () as u32..mini_guest_text_end as *const () as u32;
    let mut batch = Batch::new();
    with_kernel_map(|map| {
        for address in text.step_by(PAGE_SIZE) {
            let mfn = translate::mfn(Pfn::new((address - DIRECT_START) / PAGE_SIZE as u32));
            // SAFETY: nobody writes to text and constants.
            unsafe { map.set(&mut batch, address, Pte::new(mfn, READ_ONLY)) };
        }
        // SAFETY: nobody uses the guard page.
        unsafe { map.set(&mut batch, KERNEL_STACK.guard_page(), Pte::EMPTY) };
    });
    batch.flush_tlb();
}

fn ramdisk(at: Ramdisk) -> &'static [u8] {
    if at.start < DIRECT_START || at.len == 0 {
        return &[];
    }
    // SAFETY: the builder mapped these bytes in the direct map, and their frames are never given out.
    unsafe { slice::from_raw_parts(at.start as *const u8, at.len as usize) }
}

/// Runs `work` with the kernel's map, or gives `None` where there is none yet.
pub fn with_kernel_map<R>(work: impl FnOnce(&KernelMap) -> R) -> Option<R> {
    KERNEL_MAP.borrow().as_ref().map(work)
}

/// Makes room for registers of devices among the kernel's addresses. Called before any program is there.
///
/// # Errors
/// There are too few frames.
pub fn open_io() -> Result<(), OutOfFrames> {
    for slot in with_kernel_map(KernelMap::missing_io).unwrap_or_default() {
        let table = alloc_frame(0)?;
        // SAFETY: the frame was just taken.
        unsafe { zero_frame(table) };
        if let Some(map) = KERNEL_MAP.borrow_mut().as_mut() {
            map.hook(slot, table);
        }
    }
    Ok(())
}

pub(super) fn with_frames<R>(work: impl FnOnce(&mut FrameTable<'static>) -> R) -> Option<R> {
    FRAMES.borrow_mut().as_mut().map(work)
}

/// Takes a free frame of any content, leaving at least `keep`.
///
/// # Errors
/// There are too few.
pub fn alloc_frame(keep: u32) -> Result<Pfn, OutOfFrames> {
    with_frames(|frames| frames.alloc(keep)).unwrap_or(Err(OutOfFrames))
}

/// Takes a frame for a program: zeroed, and only while enough are left for the kernel.
///
/// # Errors
/// There are too few.
pub fn alloc_user_frame() -> Result<Pfn, OutOfFrames> {
    let frame = alloc_frame(user_keep())?;
    // SAFETY: the frame was just taken; free frames are mapped writable.
    unsafe { zero_frame(frame) };
    Ok(frame)
}

/// How many frames programs have to leave.
#[must_use]
pub fn user_keep() -> u32 {
    (frame_counts().1 / KEPT_SHARE).min(USER_KEEP)
}

/// Counts another use of `frame`.
pub fn share_frame(frame: Pfn) {
    with_frames(|frames| frames.share(frame));
}

/// Ends a use of `frame`.
pub fn put_frame(frame: Pfn) {
    with_frames(|frames| frames.put(frame));
}

/// Whether `frame` has exactly one use.
#[must_use]
pub fn is_exclusive(frame: Pfn) -> bool {
    with_frames(|frames| frames.is_exclusive(frame)).unwrap_or(false)
}

/// Free frames, and all that are not the kernel's own.
#[must_use]
pub fn frame_counts() -> (u32, u32) {
    with_frames(|frames| (frames.free_count(), frames.total_count())).unwrap_or((0, 0))
}

/// Whether calls that allocate kernel objects should be refused.
#[must_use]
pub fn is_low() -> bool {
    let (growth, inside) = heap::room();
    let frames = frame_counts().0 as usize * PAGE_SIZE;
    let reserve = (frame_counts().1 / KEPT_SHARE) as usize * PAGE_SIZE;
    growth.min(frames) + inside < reserve.min(HEAP_RESERVE)
}

/// Flags of a program's page.
#[must_use]
pub fn user_flags(writable: bool) -> PteFlags {
    let flags = PteFlags::PRESENT | PteFlags::USER | PteFlags::ACCESSED;
    if writable {
        flags | PteFlags::WRITABLE | PteFlags::DIRTY
    } else {
        flags
    }
}
