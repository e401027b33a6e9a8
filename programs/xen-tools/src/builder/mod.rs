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

mod failure;
mod memory;
mod shares;

use alloc::vec::Vec;
use core::mem::offset_of;

use guest_abi::addr::{Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{
    CPU_ANY, CreateDomain, DestroyDomain, Personality, PhysInfo, SetDomainMaxMem, SetDomainVmAssist,
};
use guest_abi::elfnote::ImageFlags;
use guest_abi::mmu::{Extended, MmuUpdate};
use guest_abi::start_info::StartInfo;
use guest_abi::vm_assist::{AssistCmd, AssistType};
use guest_image::builder::{BuildError, Builder, Ramdisk, StartState};
use guest_image::image::KernelImage;
use guest_image::layout::{Layout, LayoutRequest};

use crate::context;
use crate::errno::{Errno, Result};
use crate::privileged::{Access, Privileged, Window};
use crate::size::PAGE_KIB;
use crate::weight;

pub use failure::{Failure, Step};
use memory::Memory;
pub use shares::{scale_domain0, scheduling, set_weight};

/// Which of the pages for rings is the store's, behind the console's.
const STORE_RING: usize = 1;
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
        let mut memory = Memory::new(self.privileged, self.id, frames);
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

#[cfg(test)]
mod tests;
