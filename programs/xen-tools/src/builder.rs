//! Makes a domain from a kernel image: what Xen's domain builder does, from a program in Domain0.
//!
//! The hypervisor gives an empty, paused domain with memory; everything in it is written from here through foreign
//! mappings and then judged by the hypervisor as if the domain had asked for it itself:
//!
//! 1. The image and the layout are judged before anything exists.
//! 2. `createdomain`; its frames by `getmemlist`, its shared_info frame by `getdomaininfo`.
//! 3. Kernel, initial file system, phys-to-machine list, page tables, start_info (`guest-image` says what goes where).
//! 4. The console is attached to its ring page, and the store told of its own; frames and ports go into start_info.
//! 5. No frame is mapped here any longer. The machine-to-phys entries are set, the root page table is pinned.
//! 6. Limit, share, what the image's flags ask for; `builddomain` with the first context.
//!
//! The domain is then paused as `createdomain` left it, and the caller unpauses it. Whatever fails, what was done before
//! is undone: the console detached, the domain forgotten by the store and destroyed.

use alloc::vec::Vec;
use core::fmt;
use core::mem::offset_of;

use guest_abi::addr::{Mfn, PAGE_SIZE, Pfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{
    AdjustDom, CPU_ANY, CreateDomain, DestroyDomain, Direction, Personality, PhysInfo, SchedId,
    SetDomainMaxMem, SetDomainVmAssist,
};
use guest_abi::elfnote::ImageFlags;
use guest_abi::mmu::{Extended, MmuUpdate};
use guest_abi::start_info::{CommandLineError, StartInfo};
use guest_abi::vm_assist::{AssistCmd, AssistType};
use guest_image::builder::{BuildError, Builder, Ramdisk, StartState};
use guest_image::error::ImageError;
use guest_image::image::KernelImage;
use guest_image::layout::{Layout, LayoutError, LayoutRequest};
use guest_image::memory::BuildMemory;

use crate::context;
use crate::errno::{Errno, Result};
use crate::privileged::{Access, Privileged, Window};
use crate::size::PAGE_KIB;
use crate::weight;

/// Which of the pages for rings is the store's, behind the console's.
const STORE_RING: usize = 1;
/// Frames that are mapped at a time while memory is filled.
const WINDOW_FRAMES: usize = 64;
/// Requests in one update call: a page of them.
const BATCH: usize = 256;

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The console's label.
    pub name: &'a str,
    /// The kernel's ELF file.
    pub kernel: &'a [u8],
    /// The initial file system, empty for none.
    pub ramdisk: &'a [u8],
    /// The kernel's command line.
    pub command_line: &'a str,
    /// Its memory, in whole pages.
    pub memory_kib: u64,
    /// How much it may ever have.
    pub limit_kib: u64,
    /// Its share of the processor, if it is not to be the ordinary one.
    pub weight: Option<u32>,
    /// The console's lines appear on Domain0's terminal.
    pub console_show: bool,
    /// It is to have the store, which takes a page of its memory and a port of Domain0's.
    pub has_store: bool,
}

/// A domain that was built and is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its number.
    pub id: DomId,
    /// The frame of its console ring.
    pub console_mfn: Mfn,
    /// The console's port at the domain.
    pub console_port: u32,
}

/// What was being done when the hypervisor or the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words below say it")]
pub enum Step {
    Create,
    Inspect,
    List,
    Load,
    Console,
    Store,
    Addresses,
    Pin,
    Limit,
    Weight,
    Assist,
    Start,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "creating the domain",
            Self::Inspect => "asking about the new domain",
            Self::List => "listing its memory",
            Self::Load => "writing its memory",
            Self::Console => "attaching its console",
            Self::Store => "telling the store of it",
            Self::Addresses => "setting its machine-to-phys entries",
            Self::Pin => "validating its page tables",
            Self::Limit => "setting its memory limit",
            Self::Weight => "setting its weight (sched=rrobin has none)",
            Self::Assist => "switching on writable page tables",
            Self::Start => "setting its first context",
        })
    }
}

/// Why there is no domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel is no kernel for this hypervisor.
    Image(ImageError),
    /// Kernel, file system and tables do not fit.
    Layout(LayoutError),
    /// The command line cannot be passed on.
    CommandLine(CommandLineError),
    /// The initial file system has 4 GB or more.
    RamdiskTooLarge,
    /// The machine has not enough free memory.
    NoMemory {
        /// What the domain was to have.
        wanted_kib: u64,
        /// What there is, where the hypervisor says.
        free_kib: Option<u64>,
    },
    /// The hypervisor gave fewer frames than were asked for.
    ShortMemory,
    /// A step was refused.
    Refused(Step, Errno),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(error) => error.fmt(f),
            Self::Layout(error @ LayoutError::NotEnoughMemory { .. }) => {
                write!(f, "{error}: give it more by --memory")
            }
            Self::Layout(error) => error.fmt(f),
            Self::CommandLine(error) => error.fmt(f),
            Self::RamdiskTooLarge => f.write_str("the initial file system has 4 GB or more"),
            Self::NoMemory {
                wanted_kib,
                free_kib: Some(free),
            } => write!(
                f,
                "not enough free memory: {wanted_kib} KiB wanted, {free} KiB free; destroy a domain, or shrink one by mem-set"
            ),
            Self::NoMemory { wanted_kib, .. } => write!(f, "not enough free memory: {wanted_kib} KiB wanted"),
            Self::ShortMemory => {
                f.write_str("the hypervisor lists less memory than the domain was created with")
            }
            Self::Refused(step, errno) => write!(f, "{step}: {errno}"),
        }
    }
}

impl core::error::Error for Failure {}

/// Builds a domain.
///
/// # Errors
/// See [`Failure`]; nothing is left then.
pub fn build<P: Privileged>(privileged: &P, request: &Request<'_>) -> core::result::Result<Built, Failure> {
    let image = KernelImage::parse(request.kernel).map_err(Failure::Image)?;
    let pages = u32::try_from(request.memory_kib / PAGE_KIB).unwrap_or(u32::MAX);
    let layout = LayoutRequest {
        nr_pages: pages,
        min_virt_base: 0,
        ramdisk_len: u32::try_from(request.ramdisk.len()).map_err(|_| Failure::RamdiskTooLarge)?,
        modules: &[],
        ring_pages: 1 + u32::from(request.has_store),
    };
    let plan = Builder::plan(&image, layout).map_err(Failure::Layout)?;
    let mut start_info = StartInfo::default();
    start_info
        .set_command_line(request.command_line.as_bytes())
        .map_err(Failure::CommandLine)?;

    let created = privileged.control(&CreateDomain {
        memory_kb: u64::from(pages) * PAGE_KIB,
        cpu: CPU_ANY,
        domain: DomId::DOM0,
        personality: Personality::V2,
    });
    let created = created.map_err(|errno| match errno {
        Errno::ENOMEM => Failure::NoMemory {
            wanted_kib: request.memory_kib,
            free_kib: free_kib(privileged),
        },
        errno => Failure::Refused(Step::Create, errno),
    })?;
    let mut unfinished = Unfinished {
        privileged,
        id: created.domain,
        has_console: false,
        is_introduced: false,
    };
    let built = unfinished.fill(request, &plan, start_info, image.flags())?;
    // Finished: nothing is undone.
    core::mem::forget(unfinished);
    Ok(built)
}

/// Memory that belongs to nobody.
fn free_kib<P: Privileged>(privileged: &P) -> Option<u64> {
    let info = privileged.control(&PhysInfo::default()).ok()?;
    Some(u64::from(info.free_pages) * PAGE_KIB)
}

/// A domain that exists and is not ready; undone when dropped.
struct Unfinished<'a, P: Privileged> {
    privileged: &'a P,
    id: DomId,
    has_console: bool,
    is_introduced: bool,
}

impl<P: Privileged> Drop for Unfinished<'_, P> {
    fn drop(&mut self) {
        if self.has_console {
            // Nothing helps if this fails; the domain's end closes its side anyway.
            let _ = self.privileged.detach_console(self.id);
        }
        if self.is_introduced {
            let _ = self.privileged.release(self.id);
        }
        let _ = destroy(self.privileged, self.id);
    }
}

/// `destroydomain`, begun again while the hypervisor asks for it.
///
/// # Errors
/// What the hypervisor answers.
pub fn destroy<P: Privileged>(privileged: &P, id: DomId) -> Result<()> {
    loop {
        match privileged.control(&DestroyDomain { domain: id, pad: 0 }) {
            Err(Errno::EAGAIN) => {}
            answer => return answer.map(drop),
        }
    }
}

impl<P: Privileged> Unfinished<'_, P> {
    fn fill(
        &mut self,
        request: &Request<'_>,
        plan: &Builder<'_>,
        mut start_info: StartInfo,
        flags: ImageFlags,
    ) -> core::result::Result<Built, Failure> {
        let at = |step: Step| move |errno: Errno| Failure::Refused(step, errno);
        let layout = plan.layout();
        let info = self.privileged.info(self.id).map_err(at(Step::Inspect))?;
        let frames = self
            .privileged
            .memory_list(self.id, layout.nr_pages)
            .map_err(at(Step::List))?;
        if frames.len() != layout.nr_pages as usize {
            return Err(Failure::ShortMemory);
        }
        start_info.shared_info = info.shared_info_frame.addr();
        let start = self.load(request.ramdisk, plan, &frames, &start_info)?;

        let console_mfn = frames[layout.rings.first.index()];
        let console_port = self
            .privileged
            .attach_console(self.id, console_mfn, request.name, request.console_show)
            .map_err(at(Step::Console))?;
        self.has_console = true;
        let store = if request.has_store {
            let port = self.privileged.new_port(self.id).map_err(at(Step::Store))?;
            Some((frames[layout.rings.first.index() + STORE_RING], port))
        } else {
            None
        };
        let rings = [Some((console_mfn, console_port)), store];
        self.set_rings(layout, &frames, rings).map_err(at(Step::Load))?;
        if let Some((ring, port)) = store {
            self.privileged
                .introduce(self.id, ring, port)
                .map_err(at(Step::Store))?;
            self.is_introduced = true;
        }

        self.set_machine_to_phys(&frames).map_err(at(Step::Addresses))?;
        self.pin(start.l3_mfn).map_err(at(Step::Pin))?;
        if request.limit_kib != request.memory_kib {
            let limit = SetDomainMaxMem {
                domain: self.id,
                max_memkb: request.limit_kib,
                ..SetDomainMaxMem::default()
            };
            self.privileged.control(&limit).map_err(at(Step::Limit))?;
        }
        match set_weight(
            self.privileged,
            self.id,
            request.weight.unwrap_or(weight::ORDINARY),
        ) {
            // A scheduler without weights gives everybody the ordinary share.
            Err(Errno::EINVAL) if request.weight.is_none() => {}
            done => done.map_err(at(Step::Weight))?,
        }
        if flags.contains(ImageFlags::WRITABLE_PAGE_TABLES) {
            let assist = SetDomainVmAssist {
                domain: self.id,
                pad: 0,
                cmd: AssistCmd::ENABLE,
                kind: AssistType::WRITABLE_PAGETABLES,
            };
            self.privileged.control(&assist).map_err(at(Step::Assist))?;
        }
        self.privileged
            .set_first_context(self.id, &context::first(&start))
            .map_err(at(Step::Start))?;
        Ok(Built {
            id: self.id,
            console_mfn,
            console_port,
        })
    }

    /// Writes kernel, initial file system, lists, tables and start_info.
    fn load(
        &self,
        ramdisk: &[u8],
        plan: &Builder<'_>,
        frames: &[Mfn],
        start_info: &StartInfo,
    ) -> core::result::Result<StartState, Failure> {
        let mut memory = Memory {
            privileged: self.privileged,
            id: self.id,
            frames,
            window: None,
        };
        let ramdisk = if ramdisk.is_empty() {
            Ramdisk::None
        } else {
            Ramdisk::Copy(ramdisk)
        };
        plan.build(&mut memory, ramdisk, start_info)
            .map_err(|error| match error {
                BuildError::Memory(errno) => Failure::Refused(Step::Load, errno),
                // Both lengths were checked before anything was written.
                BuildError::NoFrame(_) | BuildError::RamdiskLength { .. } => Failure::ShortMemory,
            })
    }

    /// The words of start_info that are known only now: of the console's ring and the store's, frame and port.
    fn set_rings(&self, layout: &Layout, frames: &[Mfn], rings: [Option<(Mfn, u32)>; 2]) -> Result<()> {
        let frame = frames[layout.start_info.first.index()];
        let mut page = self.privileged.map(self.id, &[frame], Access::ReadWrite)?;
        let at = [
            (
                offset_of!(StartInfo, console_mfn),
                offset_of!(StartInfo, console_evtchn),
            ),
            (
                offset_of!(StartInfo, store_mfn),
                offset_of!(StartInfo, store_evtchn),
            ),
        ];
        for (ring, (mfn_at, port_at)) in rings.into_iter().zip(at) {
            // Of what there is not, start_info says 0.
            let Some((mfn, port)) = ring else { continue };
            page.write(mfn_at, &mfn.raw().to_le_bytes());
            page.write(port_at, &port.to_le_bytes());
        }
        Ok(())
    }

    fn set_machine_to_phys(&self, frames: &[Mfn]) -> Result<()> {
        let numbered: Vec<(Mfn, Pfn)> = frames.iter().copied().zip((0..).map(Pfn::new)).collect();
        for batch in numbered.chunks(BATCH - 1) {
            let requests: Vec<MmuUpdate> = core::iter::once(self.owner())
                .chain(batch.iter().map(|&(mfn, pfn)| MmuUpdate::machphys(mfn, pfn)))
                .collect();
            self.privileged.mmu_update(&requests)?;
        }
        Ok(())
    }

    fn pin(&self, l3: Mfn) -> Result<()> {
        let pin = Extended::Pin {
            level: 3,
            frame: l3.addr(),
        };
        self.privileged
            .mmu_update(&[self.owner(), MmuUpdate::extended(pin)])
    }

    /// Whose frames the requests after it are about.
    fn owner(&self) -> MmuUpdate {
        MmuUpdate::extended(Extended::SetForeignDom { domain: self.id })
    }
}

/// Sets a domain's share of the processor; its other parameters stay.
///
/// # Errors
/// EINVAL where the scheduler has no weights; ESRCH.
pub fn set_weight<P: Privileged>(privileged: &P, domain: DomId, weight: u32) -> Result<()> {
    let mut params = scheduling(privileged, domain)?;
    params.direction = Direction::PUT;
    params.mcu_advance = weight::to_advance(weight);
    privileged.control(&params).map(drop)
}

/// Gives Domain0 its share in the tools' scale, unless somebody said what it is to have; see [`weight`].
///
/// # Errors
/// What the hypervisor answers; a scheduler without weights is none.
pub fn scale_domain0<P: Privileged>(privileged: &P) -> Result<()> {
    match scheduling(privileged, DomId::DOM0) {
        Ok(params) if params.mcu_advance == weight::UNSAID_ADVANCE => {
            set_weight(privileged, DomId::DOM0, weight::ORDINARY)
        }
        Ok(_) | Err(Errno::EINVAL) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A domain's scheduling parameters.
///
/// # Errors
/// EINVAL where the scheduler has none; ESRCH.
pub fn scheduling<P: Privileged>(privileged: &P, domain: DomId) -> Result<AdjustDom> {
    privileged.control(&AdjustDom {
        sched_id: SchedId::BVT,
        direction: Direction::GET,
        domain,
        ..AdjustDom::default()
    })
}

/// The new domain's memory by its own frame numbers, some of it mapped: what is written comes mostly in order.
struct Memory<'a, P: Privileged> {
    privileged: &'a P,
    id: DomId,
    frames: &'a [Mfn],
    window: Option<(usize, P::Window)>,
}

impl<P: Privileged> Memory<'_, P> {
    /// The window that shows `pfn`, and where the frame begins in it.
    fn reach(&mut self, pfn: Pfn) -> Result<(&mut P::Window, usize)> {
        let first = pfn.index() / WINDOW_FRAMES * WINDOW_FRAMES;
        if self.window.as_ref().is_none_or(|(shown, _)| *shown != first) {
            // The old one goes before the new one comes.
            self.window = None;
            let end = (first + WINDOW_FRAMES).min(self.frames.len());
            let frames = self.frames.get(first..end).ok_or(Errno::EFAULT)?;
            self.window = Some((first, self.privileged.map(self.id, frames, Access::ReadWrite)?));
        }
        let (_, window) = self.window.as_mut().ok_or(Errno::EFAULT)?;
        Ok((window, (pfn.index() - first) * PAGE_SIZE))
    }
}

impl<P: Privileged> BuildMemory for Memory<'_, P> {
    type Error = Errno;

    fn mfn_of(&self, pfn: Pfn) -> Option<Mfn> {
        self.frames.get(pfn.index()).copied()
    }

    fn write(&mut self, pfn: Pfn, offset: usize, bytes: &[u8]) -> Result<()> {
        let (window, base) = self.reach(pfn)?;
        window.write(base + offset, bytes);
        Ok(())
    }

    fn zero(&mut self, pfn: Pfn, offset: usize, len: usize) -> Result<()> {
        let (window, base) = self.reach(pfn)?;
        window.zero(base + offset, len);
        Ok(())
    }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
