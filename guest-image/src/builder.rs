//! Fills a domain's memory as its kernel expects to find it, and says how the first vCPU starts.
//!
//! The order of [`Builder::build`] is the order of the pieces in [`crate::layout`]. The builder writes page tables
//! but validates nothing and pins nothing: whoever calls it then pins [`StartState::l3`] and makes it the first
//! vCPU's page-table base, sets the machine-to-phys entry of every frame, and sets the vCPU's state. The domain's
//! first state beside the registers in [`StartState`] (Xen 2.0: domain builder): EAX, EBX, ECX, EDX, EDI and EBP 0;
//! virtual IDT entries `{vector n, flags 0, flat ring-1 CS, address 0}`; callbacks at flat ring-1 CS, address 0;
//! upcalls masked; a clean FPU; no debug registers, LDT or fast trap; the hypervisor's own GDT.

use crate::image::KernelImage;
use crate::layout::{Layout, LayoutError, LayoutRequest, Piece};
use crate::memory::{BuildMemory, WordWriter, write_at, zero_range};
use crate::modules;
use core::fmt;
use guest_abi::addr::{ENTRIES_PER_TABLE, GuestVirt, Mfn, PAGE_SIZE, Pfn};
use guest_abi::segment::Selector;
use guest_abi::start_info::{START_EFLAGS, StartFlags, StartInfo};
use zerocopy::IntoBytes;

const PAGE: u64 = PAGE_SIZE as u64;

/// Where the ramdisk comes from.
#[derive(Clone, Copy, Debug)]
pub enum Ramdisk<'a> {
    /// There is none.
    None,
    /// These bytes are copied into the domain's frames.
    Copy(&'a [u8]),
    /// The frames behind the ramdisk's place already hold it: they are the boot module itself.
    InPlace,
}

/// Why a domain was not built. Its memory is then partly written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError<E> {
    /// The domain has no machine frame for a frame that the layout needs.
    NoFrame(Pfn),
    /// The ramdisk given is not as long as the one planned for.
    RamdiskLength {
        /// Bytes planned.
        planned: u32,
        /// Bytes given.
        given: usize,
    },
    /// A frame could not be reached.
    Memory(E),
}

impl<E: fmt::Display> fmt::Display for BuildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFrame(pfn) => write!(f, "domain has no machine frame for its frame {:#x}", pfn.raw()),
            Self::RamdiskLength { planned, given } => {
                write!(f, "ramdisk has {given} bytes, {planned} were planned for")
            }
            Self::Memory(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for BuildError<E> {}

/// How the first vCPU starts; the registers not named here are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartState {
    /// The image's entry point.
    pub eip: GuestVirt,
    /// The top of the boot stack.
    pub esp: GuestVirt,
    /// The address of start_info.
    pub esi: GuestVirt,
    /// Interrupts on, and the bit that is always 1 (Xen 2.0 set bit 2 by mistake).
    pub eflags: u32,
    /// Flat ring-1 code.
    pub cs: Selector,
    /// SS, DS, ES, FS and GS: flat ring-1 data.
    pub data: Selector,
    /// SS for entries from ring 3, until the kernel sets its own by `stack_switch`.
    pub kernel_ss: Selector,
    /// ESP for entries from ring 3. The boot stack also in Domain 0, where Xen 2.0 has 0: an early exception in
    /// ring 3 is then an ordinary one.
    pub kernel_esp: GuestVirt,
    /// The root page table, in the domain's numbering.
    pub l3: Pfn,
    /// The root page table's machine frame.
    pub l3_mfn: Mfn,
}

/// A domain planned, ready to be written.
#[derive(Clone, Debug)]
pub struct Builder<'a> {
    image: &'a KernelImage<'a>,
    request: LayoutRequest<'a>,
    layout: Layout,
}

impl<'a> Builder<'a> {
    /// Plans a domain that runs `image`.
    ///
    /// # Errors
    /// Those of [`Layout::plan`].
    pub fn plan(image: &'a KernelImage<'a>, request: LayoutRequest<'a>) -> Result<Self, LayoutError> {
        let layout = Layout::plan(image, &request)?;
        Ok(Self {
            image,
            request,
            layout,
        })
    }

    /// What lies where.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Writes the domain. Of `start_info` the caller gives what the builder cannot know (shared_info, flags, store
    /// and console, command line); the builder sets the rest: pages, tables, P2M list, modules and their flag.
    ///
    /// # Errors
    /// Where a frame is missing or cannot be written, or the ramdisk is not the one planned for.
    pub fn build<M: BuildMemory>(
        &self,
        mem: &mut M,
        ramdisk: Ramdisk<'_>,
        start_info: &StartInfo,
    ) -> Result<StartState, BuildError<M::Error>> {
        self.check_ramdisk(ramdisk)?;
        self.load_kernel(mem)?;
        self.place_ramdisk(mem, ramdisk)?;
        self.write_module_list(mem)?;
        self.write_p2m(mem)?;
        self.write_tables(mem)?;
        self.write_start_info(mem, start_info)?;
        for piece in [self.layout.boot_stack, self.layout.rings] {
            zero_range(
                mem,
                start_of(piece),
                start_of(piece) + u64::from(piece.pages) * PAGE,
            )?;
        }
        self.start_state(mem)
    }

    fn check_ramdisk<E>(&self, ramdisk: Ramdisk<'_>) -> Result<(), BuildError<E>> {
        let planned = self.layout.ramdisk_len;
        let given = match ramdisk {
            Ramdisk::None => 0,
            Ramdisk::Copy(bytes) => bytes.len(),
            Ramdisk::InPlace => return Ok(()),
        };
        if u32::try_from(given) == Ok(planned) {
            Ok(())
        } else {
            Err(BuildError::RamdiskLength { planned, given })
        }
    }

    /// Segments only: bytes between them keep what their frame held.
    fn load_kernel<M: BuildMemory>(&self, mem: &mut M) -> Result<(), BuildError<M::Error>> {
        let base = self.layout.virt_base().raw();
        for segment in self.image.segments() {
            let at = u64::from(segment.start.raw() - base);
            write_at(mem, at, segment.data)?;
            zero_range(
                mem,
                at + segment.data.len() as u64,
                at + u64::from(segment.mem_size),
            )?;
        }
        Ok(())
    }

    /// Also clears what follows the ramdisk and each module in its last frame.
    fn place_ramdisk<M: BuildMemory>(
        &self,
        mem: &mut M,
        ramdisk: Ramdisk<'_>,
    ) -> Result<(), BuildError<M::Error>> {
        let piece = self.layout.ramdisk;
        if let Ramdisk::Copy(bytes) = ramdisk {
            write_at(mem, start_of(piece), bytes)?;
        }
        let runs = self.layout.modules.iter().map(|m| (m.first, m.len));
        for (first, len) in core::iter::once((piece.first, self.layout.ramdisk_len)).chain(runs) {
            let end = u64::from(first.raw()) * PAGE + u64::from(len);
            zero_range(mem, end, end.next_multiple_of(PAGE))?;
        }
        Ok(())
    }

    fn write_module_list<M: BuildMemory>(&self, mem: &mut M) -> Result<(), BuildError<M::Error>> {
        let piece = self.layout.module_list;
        if piece.pages == 0 {
            return Ok(());
        }
        let mut at = start_of(piece);
        let mut append = |bytes: &[u8]| {
            write_at(mem, at, bytes)?;
            at += bytes.len() as u64;
            Ok(())
        };
        append(modules::header(self.request.modules).as_bytes())?;
        for entry in modules::entries(&self.layout, self.request.modules) {
            append(entry.as_bytes())?;
        }
        for module in self.request.modules {
            append(module.cmd_line)?;
        }
        zero_range(mem, at, at.next_multiple_of(PAGE))
    }

    fn write_p2m<M: BuildMemory>(&self, mem: &mut M) -> Result<(), BuildError<M::Error>> {
        let mut list = WordWriter::new(mem, self.layout.p2m.first);
        for pfn in (0..self.layout.nr_pages).map(Pfn::new) {
            let mfn = list.mfn_of(pfn)?;
            list.push(mfn.raw().to_le_bytes())?;
        }
        list.finish()
    }

    fn write_tables<M: BuildMemory>(&self, mem: &mut M) -> Result<(), BuildError<M::Error>> {
        let tables = &self.layout.tables;
        for (pfn, table) in tables.iter() {
            let mut page = WordWriter::new(mem, pfn);
            for index in 0..ENTRIES_PER_TABLE as u32 {
                let entry = tables.entry(table, index, |target| page.mfn_of(target))?;
                page.push(entry.raw().to_le_bytes())?;
            }
            page.finish()?;
        }
        Ok(())
    }

    fn write_start_info<M: BuildMemory>(
        &self,
        mem: &mut M,
        given: &StartInfo,
    ) -> Result<(), BuildError<M::Error>> {
        let layout = &self.layout;
        let mut info = *given;
        info.nr_pages = layout.nr_pages;
        info.pt_base = layout.tables.piece().virt;
        info.nr_pt_frames = layout.tables.piece().pages;
        info.mfn_list = layout.p2m.virt;
        info.flags.remove(StartFlags::MODULE_LIST);
        (info.mod_start, info.mod_len) = if layout.module_list.pages != 0 {
            info.flags.insert(StartFlags::MODULE_LIST);
            (
                layout.module_list.virt,
                modules::list_bytes(self.request.modules) as u32,
            )
        } else if layout.ramdisk_len != 0 {
            (layout.ramdisk.virt, layout.ramdisk_len)
        } else {
            (GuestVirt::new(0), 0)
        };
        let at = start_of(layout.start_info);
        write_at(mem, at, info.as_bytes())?;
        zero_range(mem, at + size_of_val(&info) as u64, at + PAGE)
    }

    fn start_state<M: BuildMemory>(&self, mem: &M) -> Result<StartState, BuildError<M::Error>> {
        let stack = self.layout.boot_stack;
        let esp = GuestVirt::new(stack.virt.raw() + stack.pages * PAGE_SIZE as u32);
        let l3 = self.layout.tables.l3();
        Ok(StartState {
            eip: self.image.entry(),
            esp,
            esi: self.layout.start_info.virt,
            eflags: START_EFLAGS,
            cs: Selector::FLAT_RING1_CS,
            data: Selector::FLAT_RING1_DS,
            kernel_ss: Selector::FLAT_RING1_DS,
            kernel_esp: esp,
            l3,
            l3_mfn: mem.mfn_of(l3).ok_or(BuildError::NoFrame(l3))?,
        })
    }
}

/// Byte offset of a piece in the domain's pseudo-physical memory.
fn start_of(piece: Piece) -> u64 {
    u64::from(piece.first.raw()) * PAGE
}
