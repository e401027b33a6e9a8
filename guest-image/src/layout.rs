//! Where everything lies when a domain starts, as a plan that touches no memory.
//!
//! From the image's virtual base upwards, page-aligned, in this order (Xen 2.0: domain builder; the page tables
//! in their PAE form, the module list added):
//!
//! ```text
//! kernel image | ramdisk | module list | P2M list | page tables | start_info | boot stack | rings | padding
//! ```
//!
//! The end is a multiple of 2 MiB with at least 512 KiB of padding before it; for an image that says it needs no padding
//! ([`ImageFlags::UNPADDED`]) it is the end of the domain's memory, where that comes first. The whole region is mapped 1:1:
//! virtual base + n pages is pseudo-physical frame n. Page tables must map themselves, and more of them may make
//! the region longer, so their number is found by iteration; it only grows, one table covers 512 pages, so that
//! ends.
//!
//! Boot modules beyond the ramdisk are *not* mapped at the start: they may be larger than the virtual space. Their
//! frames follow the mapped region, each module at the start of a frame, and the module list names them. The rest
//! of the domain's frames follows the modules.

use crate::{image::KernelImage, tables::Tables};
use arrayvec::ArrayVec;
use core::fmt;
use guest_abi::addr::{GuestVirt, HV_START, PAGE_SIZE, Pfn};
use guest_abi::elfnote::ImageFlags;

/// Domain 0's virtual base must not be below this: the first GiB is its applications' (Xen 2.0: domain builder).
pub const DOMAIN0_MIN_VIRT_BASE: u32 = 0x4000_0000;
/// Most boot modules that a domain is given besides its kernel and ramdisk.
pub const MAX_MODULES: usize = 32;

/// The mapped region ends at a multiple of this: what one L1 table maps.
const END_ALIGN: u64 = 2 << 20;
/// Free bytes at least between the last piece and the end.
const MIN_PADDING: u64 = 512 << 10;
const PAGE: u64 = PAGE_SIZE as u64;

/// A run of mapped pages and the frames behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Virtual address of its first byte.
    pub virt: GuestVirt,
    /// Its first frame.
    pub first: Pfn,
    /// Its length in pages; 0 where the domain has no such piece.
    pub pages: u32,
}

impl Piece {
    /// Whether frame `pfn` belongs to the piece.
    #[must_use]
    pub fn contains(&self, pfn: Pfn) -> bool {
        pfn.raw()
            .checked_sub(self.first.raw())
            .is_some_and(|n| n < self.pages)
    }

    /// The first frame number after the piece.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.first.raw() + self.pages
    }
}

/// A boot module for the domain besides kernel and ramdisk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// Its size in bytes.
    pub len: u32,
    /// Its command line, without a terminating NUL.
    pub cmd_line: &'a [u8],
}

/// What a domain is to be given.
#[derive(Clone, Copy, Debug)]
pub struct LayoutRequest<'a> {
    /// Pages that the domain owns.
    pub nr_pages: u32,
    /// Lowest virtual base accepted: [`DOMAIN0_MIN_VIRT_BASE`] for Domain 0, else 0.
    pub min_virt_base: u32,
    /// Bytes in the ramdisk; 0 where there is none.
    pub ramdisk_len: u32,
    /// Further boot modules.
    pub modules: &'a [Module<'a>],
    /// Zeroed pages after the boot stack, for rings shared with back-ends (store, console).
    pub ring_pages: u32,
}

/// The plan: every piece of the mapped region and the frames of the modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pages that the domain owns.
    pub nr_pages: u32,
    /// The kernel image, from frame 0.
    pub kernel: Piece,
    /// The ramdisk.
    pub ramdisk: Piece,
    /// Bytes in the ramdisk.
    pub ramdisk_len: u32,
    /// The module list and its command lines; empty where there are no further modules.
    pub module_list: Piece,
    /// The P2M list: a 32-bit machine frame number per page.
    pub p2m: Piece,
    /// The page tables: L3, the L2s by slot, the L1s by address.
    pub tables: Tables,
    /// The start_info page.
    pub start_info: Piece,
    /// The boot stack, right after start_info.
    pub boot_stack: Piece,
    /// Pages for rings shared with back-ends.
    pub rings: Piece,
    /// Mapped pages without a content.
    pub padding: Piece,
    /// First frame of each further module; `nr_pages` bounds all of them.
    pub modules: ArrayVec<ModuleFrames, MAX_MODULES>,
}

/// The frames of a boot module that is not mapped at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleFrames {
    /// Its first frame.
    pub first: Pfn,
    /// How many frames it has.
    pub pages: u32,
    /// Its size in bytes.
    pub len: u32,
}

/// Why a domain cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The image's virtual base is below what is allowed for this domain.
    BaseTooLow {
        /// The image's virtual base.
        base: u32,
        /// The lowest allowed.
        min: u32,
    },
    /// The mapped region would reach into the hypervisor's addresses.
    NoVirtualSpace {
        /// Where it would end.
        end: u64,
    },
    /// The domain has fewer pages than the plan needs.
    NotEnoughMemory {
        /// Pages the domain owns.
        nr_pages: u32,
        /// Pages needed.
        needed: u64,
    },
    /// More modules than the list holds.
    TooManyModules {
        /// Modules given.
        count: usize,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BaseTooLow { base, min } => {
                write!(
                    f,
                    "kernel image: virtual base {base:#010x} is below {min:#010x}, the least for this domain"
                )
            }
            Self::NoVirtualSpace { end } => write!(
                f,
                "kernel, ramdisk and tables need addresses up to {end:#x}, the guest's end at {HV_START:#x}"
            ),
            Self::NotEnoughMemory { nr_pages, needed } => write!(
                f,
                "domain has {} KiB of memory, its kernel, ramdisk and modules need {} KiB",
                u64::from(nr_pages) * 4,
                needed * 4
            ),
            Self::TooManyModules { count } => {
                write!(
                    f,
                    "{count} boot modules besides kernel and ramdisk, at most {MAX_MODULES} are passed on"
                )
            }
        }
    }
}

impl core::error::Error for LayoutError {}

impl Layout {
    /// Plans a domain that runs `image`.
    ///
    /// # Errors
    /// Where the image's base, the virtual space, the domain's memory or the number of modules does not allow it.
    pub fn plan(image: &KernelImage<'_>, request: &LayoutRequest<'_>) -> Result<Self, LayoutError> {
        let base = image.virt_base();
        if base.raw() < request.min_virt_base {
            return Err(LayoutError::BaseTooLow {
                base: base.raw(),
                min: request.min_virt_base,
            });
        }
        if request.modules.len() > MAX_MODULES {
            return Err(LayoutError::TooManyModules {
                count: request.modules.len(),
            });
        }
        let module_pages: u64 = request.modules.iter().map(|m| pages_of(u64::from(m.len))).sum();
        let sizes = Sizes {
            kernel: pages_of(u64::from(image.end().raw() - base.raw())),
            ramdisk: pages_of(u64::from(request.ramdisk_len)),
            module_list: pages_of(crate::modules::list_bytes(request.modules)),
            p2m: pages_of(u64::from(request.nr_pages) * 4),
            rings: u64::from(request.ring_pages),
            most: if image.flags().contains(ImageFlags::UNPADDED) {
                u64::from(request.nr_pages).saturating_sub(module_pages)
            } else {
                u64::MAX
            },
        };
        let table_pages = sizes.settle(base)?;
        let mapped = sizes.mapped(base, table_pages);

        let needed = mapped + module_pages;
        if needed > u64::from(request.nr_pages) {
            return Err(LayoutError::NotEnoughMemory {
                nr_pages: request.nr_pages,
                needed,
            });
        }
        Ok(sizes.place(base, table_pages, mapped, request))
    }

    /// Virtual address of frame 0.
    #[must_use]
    pub const fn virt_base(&self) -> GuestVirt {
        self.kernel.virt
    }

    /// Pages mapped at the start: frames 0 up to this, at the virtual base.
    #[must_use]
    pub fn mapped_pages(&self) -> u32 {
        self.padding.end()
    }

    /// First address after the mapped region.
    #[must_use]
    pub fn virt_end(&self) -> GuestVirt {
        GuestVirt::new(self.virt_base().raw() + self.mapped_pages() * PAGE_SIZE as u32)
    }

    /// Every piece of the mapped region with its name, in order.
    #[must_use]
    pub fn pieces(&self) -> [(&'static str, Piece); 9] {
        [
            ("kernel image", self.kernel),
            ("ramdisk", self.ramdisk),
            ("module list", self.module_list),
            ("P2M list", self.p2m),
            ("page tables", self.tables.piece()),
            ("start_info", self.start_info),
            ("boot stack", self.boot_stack),
            ("rings", self.rings),
            ("padding", self.padding),
        ]
    }
}

/// Sizes in pages of what does not depend on the number of page tables.
struct Sizes {
    kernel: u64,
    ramdisk: u64,
    module_list: u64,
    p2m: u64,
    rings: u64,
    /// Pages beyond which there is no padding.
    most: u64,
}

impl Sizes {
    /// Pages up to the padding: these, the page tables, start_info and the boot stack.
    const fn used(&self, table_pages: u64) -> u64 {
        self.kernel + self.ramdisk + self.module_list + self.p2m + table_pages + 2 + self.rings
    }

    /// Pages of the region with `table_pages` page tables.
    fn mapped(&self, base: GuestVirt, table_pages: u64) -> u64 {
        let used = self.used(table_pages);
        let padded = (padded_end(base, used) - u64::from(base.raw())) / PAGE;
        padded.min(self.most.max(used))
    }

    /// The number of page-table pages with which the region maps itself.
    fn settle(&self, base: GuestVirt) -> Result<u64, LayoutError> {
        let mut table_pages = 0;
        loop {
            let end = u64::from(base.raw()) + self.mapped(base, table_pages) * PAGE;
            if end > u64::from(HV_START) {
                return Err(LayoutError::NoVirtualSpace { end });
            }
            let needed = Tables::pages_for(base, end);
            if needed == table_pages {
                return Ok(table_pages);
            }
            table_pages = needed;
        }
    }

    /// Lines the pieces up. The region is known to end below the window, so no number here exceeds 20 bits.
    fn place(&self, base: GuestVirt, table_pages: u64, mapped: u64, request: &LayoutRequest<'_>) -> Layout {
        let mut next = 0_u32;
        let mut take = |pages: u64| {
            let first = next;
            next += pages as u32;
            let virt = GuestVirt::new(base.raw() + first * PAGE_SIZE as u32);
            Piece {
                virt,
                first: Pfn::new(first),
                pages: pages as u32,
            }
        };
        let kernel = take(self.kernel);
        let ramdisk = take(self.ramdisk);
        let module_list = take(self.module_list);
        let p2m = take(self.p2m);
        let table_piece = take(table_pages);
        let (start_info, boot_stack) = (take(1), take(1));
        let rings = take(self.rings);
        let padding = take(mapped - self.used(table_pages));

        let mut next = mapped as u32;
        let place_module = |module: &Module<'_>| {
            let pages = pages_of(u64::from(module.len)) as u32;
            let first = Pfn::new(next);
            next += pages;
            ModuleFrames {
                first,
                pages,
                len: module.len,
            }
        };
        Layout {
            nr_pages: request.nr_pages,
            kernel,
            ramdisk,
            ramdisk_len: request.ramdisk_len,
            module_list,
            p2m,
            tables: Tables::new(base, mapped as u32, table_piece),
            start_info,
            boot_stack,
            rings,
            padding,
            modules: request.modules.iter().map(place_module).collect(),
        }
    }
}

/// Where a region of `used` pages from `base` ends, padding included.
const fn padded_end(base: GuestVirt, used: u64) -> u64 {
    let end = base.raw() as u64 + used * PAGE;
    let aligned = end.next_multiple_of(END_ALIGN);
    if aligned - end < MIN_PADDING {
        aligned + END_ALIGN
    } else {
        aligned
    }
}

const fn pages_of(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE)
}
