//! Domain0: the first boot module becomes the first domain.
//!
//! Its memory is filled as for any domain (`guest-image`), and its page tables are then pinned exactly as if it had
//! asked for it: the hypervisor trusts its own builder no more than a guest.

use crate::{
    machine::{self, Machine},
    memory::MAPPED_AT_BOOT,
    state,
};
use arrayvec::ArrayVec;
use core::ops::Range;
use guest_abi::{
    addr::{Mfn, PAGE_SIZE, Pfn},
    shared_info::offset,
    start_info::{StartFlags, StartInfo},
};
use guest_image::{
    builder::{Builder, Ramdisk, StartState},
    image::KernelImage,
    layout::{DOMAIN0_MIN_VIRT_BASE, LayoutRequest, Module as LayoutModule},
    memory::BuildMemory,
};
use hv_arch::paging::direct;
use hv_bootinfo::{BootInfo, info::Module, options::Options};
use hv_core::{
    context::Context,
    domain::{DomId, Domain},
    hypervisor::Hypervisor,
    life::Building,
    mm::{Kind, MAX_ORDER, Mmu, Owner, Stop},
    platform::{FrameMemory, Records},
    regs::UserRegs,
    sched, switch, time,
};

const ID: DomId = DomId(0);
/// Slot of the domain table.
const SLOT: usize = 0;
/// Separate pieces of machine memory that Domain0 may consist of.
const MAX_PIECES: usize = 128;
/// What Domain0 gets unless `dom0_mem=` says otherwise: at most this, at most half of what is free.
const DEFAULT_BYTES: u64 = 256 << 20;

/// Machine frames in the order of the domain's own numbering.
#[derive(Debug, Default)]
struct Pieces(ArrayVec<Range<u32>, MAX_PIECES>);

impl Pieces {
    /// Appends frames; says whether there was room to note them.
    fn push(&mut self, frames: Range<u32>) -> bool {
        match self.0.last_mut() {
            Some(last) if last.end == frames.start => last.end = frames.end,
            _ => return self.0.try_push(frames).is_ok(),
        }
        true
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|r| r.end - r.start).sum()
    }

    /// Puts `frames` in at position `pfn`.
    fn insert(&mut self, pfn: u32, frames: Range<u32>) {
        let mut before = 0;
        for i in 0..self.0.len() {
            let piece = self.0[i].clone();
            let len = piece.end - piece.start;
            if pfn < before + len {
                let cut = piece.start + (pfn - before);
                self.0[i].end = cut;
                self.0.insert(i + 1, frames);
                self.0.insert(i + 2, cut..piece.end);
                return;
            }
            before += len;
        }
        self.0.push(frames);
    }

    fn mfn_of(&self, pfn: u32) -> Option<Mfn> {
        let mut left = pfn;
        for piece in &self.0 {
            let len = piece.end - piece.start;
            if left < len {
                return Some(Mfn::new(piece.start + left));
            }
            left -= len;
        }
        None
    }
}

impl BuildMemory for Pieces {
    type Error = core::convert::Infallible;

    fn mfn_of(&self, pfn: Pfn) -> Option<Mfn> {
        self.mfn_of(pfn.raw())
    }

    fn write(&mut self, pfn: Pfn, offset: usize, bytes: &[u8]) -> Result<(), Self::Error> {
        assert!(offset + bytes.len() <= PAGE_SIZE);
        if let Some(mfn) = self.mfn_of(pfn.raw()) {
            // SAFETY: the frame is RAM that Domain0 owns and nobody maps yet; the range lies inside it.
            unsafe {
                direct(mfn.addr().raw())
                    .wrapping_add(offset)
                    .copy_from(bytes.as_ptr(), bytes.len())
            };
        }
        Ok(())
    }

    fn zero(&mut self, pfn: Pfn, offset: usize, len: usize) -> Result<(), Self::Error> {
        assert!(offset + len <= PAGE_SIZE);
        if let Some(mfn) = self.mfn_of(pfn.raw()) {
            // SAFETY: as in `write`.
            unsafe { direct(mfn.addr().raw()).wrapping_add(offset).write_bytes(0, len) };
        }
        Ok(())
    }
}

/// The bytes of a boot module.
fn bytes_of(module: &Module) -> &'static [u8] {
    let range = module.range;
    assert!(range.end <= MAPPED_AT_BOOT || range.start >= MAPPED_AT_BOOT);
    // SAFETY: modules lie in RAM (checked by the boot information), which the direct map shows; nobody writes to
    // them while Domain0 is built.
    unsafe { core::slice::from_raw_parts(direct(range.start), (range.end - range.start) as usize) }
}

fn frames_of(module: &Module) -> Range<u32> {
    (module.range.start / 4096) as u32..module.range.end.div_ceil(4096) as u32
}

/// Builds Domain0 and makes it current: `regs` are then what it starts with.
///
/// # Panics
/// Where there is no kernel module, it is unfit, or memory is too small; the message says what to do.
pub fn build(info: &BootInfo, modules: &[Module], options: &Options<'_>, regs: &mut UserRegs) {
    let [kernel, rest @ ..] = modules else {
        panic!("there is no Domain0 kernel: the first boot module must be one");
    };
    let image = KernelImage::parse(bytes_of(kernel)).unwrap_or_else(|e| panic!("Domain0's kernel: {e}"));
    let (ramdisk, others) = match rest {
        [] => (None, rest),
        [ramdisk, others @ ..] => (Some(ramdisk), others),
    };

    let mut guard = state::lock();
    let hv = &mut *guard;
    let frame = Mmu::new(hv, &Machine)
        .take_record_frame()
        .unwrap_or_else(|e| panic!("Domain0: {e:?}"));
    let domain = Machine.place_record(frame, Domain::new(ID, Mfn::new(0)));
    domain.is_privileged = true;
    domain.has_devices = true;
    domain.io.lines = u16::MAX;
    domain.max_pages = u32::MAX;
    hv.insert(SLOT, domain);

    let mut pieces = allocate(hv, options.dom0_mem);
    let modules: ArrayVec<LayoutModule<'_>, 32> = others
        .iter()
        .take(32)
        .map(|m| LayoutModule {
            len: (m.range.end - m.range.start) as u32,
            cmd_line: info.module_cmd_line(m),
        })
        .collect();
    let ramdisk_frames = ramdisk.map_or(0, |m| frames_of(m).len() as u32);
    let module_frames: u32 = others.iter().map(|m| frames_of(m).len() as u32).sum();
    let request = LayoutRequest {
        nr_pages: pieces.count() + ramdisk_frames + module_frames,
        min_virt_base: DOMAIN0_MIN_VIRT_BASE,
        ramdisk_len: ramdisk.map_or(0, |m| (m.range.end - m.range.start) as u32),
        modules: &modules,
        ring_pages: 0,
    };
    let builder = Builder::plan(&image, request).unwrap_or_else(|e| panic!("Domain0: {e}"));
    // The modules' own frames take their places in Domain0's numbering: nothing is copied.
    let layout = builder.layout();
    let mut adopt = |first: Pfn, module: &Module| {
        let frames = frames_of(module);
        Mmu::new(hv, &Machine).adopt(Mfn::new(frames.start)..Mfn::new(frames.end), ID);
        pieces.insert(first.raw(), frames);
    };
    if let Some(module) = ramdisk {
        adopt(layout.ramdisk.first, module);
    }
    for (place, module) in layout.modules.iter().zip(others) {
        adopt(place.first, module);
    }

    let shared_info = Mmu::new(hv, &Machine)
        .take_shared_page(ID)
        .unwrap_or_else(|e| panic!("Domain0: {e:?}"));
    Machine.store_u8(shared_info, hv_core::shared_info::V2.upcall_mask, 1);
    let (m2p_start, m2p_frames) = machine::m2p_frames();
    Machine.store_u32(shared_info, offset::M2P_START, m2p_start.raw());
    Machine.store_u32(shared_info, offset::M2P_FRAMES, m2p_frames);

    let mut start_info = StartInfo {
        shared_info: shared_info.addr(),
        flags: StartFlags::PRIVILEGED | StartFlags::INITIAL_DOMAIN,
        ..StartInfo::default()
    };
    if let Err(e) = start_info.set_command_line(info.module_cmd_line(kernel)) {
        log::warn!("Domain0's command line is left out: {e}");
    }
    let ramdisk = if ramdisk.is_some() {
        Ramdisk::InPlace
    } else {
        Ramdisk::None
    };
    let start = builder
        .build(&mut pieces, ramdisk, &start_info)
        .unwrap_or_else(|e| panic!("Domain0: {e}"));
    let mut pfn = 0;
    for piece in &pieces.0 {
        for mfn in piece.clone() {
            Machine.set_m2p(Mfn::new(mfn), pfn);
            pfn += 1;
        }
    }
    let name = match image.name() {
        "" => "kernel",
        name => name,
    };
    log::info!("Domain0: {} MiB, {name} at {:#x}", pfn / 256, image.entry().raw());
    release(hv, frames_of(kernel));
    begin(hv, shared_info, &start, regs);
}

/// Allocates Domain0's memory in the largest blocks there are.
fn allocate(hv: &mut Hypervisor, wanted: Option<u64>) -> Pieces {
    let free = hv.mm.allocator.free_frames();
    let wanted = wanted.map_or_else(
        || (free / 2).min((DEFAULT_BYTES / 4096) as u32),
        |bytes| u32::try_from(bytes / 4096).unwrap_or(u32::MAX),
    );
    let mut left = wanted.min(free);
    let mut pieces = Pieces::default();
    let mut order = MAX_ORDER;
    while left > 0 {
        if left < 1 << order {
            order -= 1;
            continue;
        }
        match Mmu::new(hv, &Machine).allocate(ID, order) {
            Ok(mfn) => {
                if !pieces.push(mfn.raw()..mfn.raw() + (1 << order)) {
                    log::warn!("memory is in many pieces: Domain0 gets {} pages", pieces.count());
                    break;
                }
                left -= 1 << order;
            }
            Err(Stop::Preempted) => {}
            Err(Stop::Refused(_)) if order > 0 => order -= 1,
            Err(Stop::Refused(_)) => break,
        }
    }
    pieces
}

/// Gives the frames of a module that has served to the allocator.
fn release(hv: &mut Hypervisor, frames: Range<u32>) {
    let table = hv.mm.frames;
    hv.mm
        .allocator
        .add(table, Mfn::new(frames.start)..Mfn::new(frames.end));
}

/// Repeats an operation that may pause until it is done. At boot nothing else waits.
fn unpaused<T>(mut operation: impl FnMut() -> Result<T, Stop>) -> T {
    loop {
        match operation() {
            Ok(value) => return value,
            Err(Stop::Preempted) => {}
            Err(Stop::Refused(e)) => panic!("Domain0: {e:?}"),
        }
    }
}

/// Pins the page tables, sets the first vCPU up and makes it the running one.
fn begin(hv: &mut Hypervisor, shared_info: Mfn, start: &StartState, regs: &mut UserRegs) {
    let l3 = u64::from(start.l3_mfn.raw());
    let owner = Owner {
        id: ID,
        may_map_io: true,
    };
    unpaused(|| Mmu::new(hv, &Machine).pin(l3, Kind::L3, owner));
    let root = unpaused(|| Mmu::new(hv, &Machine).take_root(l3, owner));

    let domain = hv.domain_at(SLOT).expect("Domain0 has just been made");
    domain.shared_info = shared_info;
    domain.building = Building::Built;
    let vcpu = &mut domain.vcpus[0];
    vcpu.roots[0] = Some(root);
    vcpu.kernel_ss = start.kernel_ss.raw();
    vcpu.kernel_esp = start.kernel_esp.raw();
    vcpu.regs = UserRegs {
        rsi: u64::from(start.esi.raw()),
        rip: u64::from(start.eip.raw()),
        cs: u64::from(start.cs.raw()),
        rflags: u64::from(start.eflags),
        rsp: u64::from(start.esp.raw()),
        ss: u64::from(start.data.raw()),
        ..UserRegs::ZERO
    };
    sched::change(hv, &Machine, SLOT, |run| run.held.remove(sched::Held::PAUSED));
    switch::enter(
        &mut Context {
            hv,
            platform: &Machine,
            regs,
        },
        SLOT,
    );
    hv.sched.begin(SLOT);
    time::refresh(hv, &Machine, SLOT);
}
