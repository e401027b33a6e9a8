//! The guest's page tables, and requests to change them.

use guest_abi::addr::{GuestVirt, MachAddr, Mfn};
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::mmu::{Extended, MmuUpdate, Pte, PteFlags};
use guest_abi::start_info::StartInfo;
use mini_guest::entry::VIRT_BASE;
use mini_guest::traps::catch;

use crate::pages::{self, Page, machine_to_phys};
use crate::raw;

/// Flags of an entry that names an L1 or an L2.
pub const DIRECTORY: PteFlags = PteFlags::PRESENT
    .union(PteFlags::WRITABLE)
    .union(PteFlags::USER)
    .union(PteFlags::ACCESSED)
    .union(PteFlags::DIRTY);

/// The page at which `frame` was mapped at the start.
pub fn page_of(frame: Mfn) -> Page {
    Page(VIRT_BASE + machine_to_phys(frame) * 4096)
}

/// The address space of the start.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Its root.
    pub l3: Page,
}

impl Space {
    /// Of the start, and tells [`pages`] where the P2M list is.
    pub fn new(start_info: &StartInfo) -> Self {
        pages::init(start_info);
        Self {
            l3: Page(start_info.pt_base.raw()),
        }
    }

    /// The L2 of address `at`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn l2(self, at: u32) -> Page {
        let entry = Pte::from_raw(self.l3.read(GuestVirt::new(at).table_index(3)));
        assert!(entry.is_present(), "no L2 for {at:#x}");
        page_of(entry.mfn().expect("a frame"))
    }

    /// The L1 of address `at`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn l1(self, at: u32) -> Page {
        let entry = Pte::from_raw(self.l2(at).read(GuestVirt::new(at).table_index(2)));
        assert!(entry.is_present(), "no L1 for {at:#x}");
        page_of(entry.mfn().expect("a frame"))
    }

    /// Machine address of the L1 entry of address `at`.
    pub fn l1_entry(self, at: u32) -> MachAddr {
        self.l1(at).entry_addr(GuestVirt::new(at).table_index(1))
    }

    /// The L1 entry of address `at`.
    pub fn mapping(self, at: u32) -> Pte {
        Pte::from_raw(self.l1(at).read(GuestVirt::new(at).table_index(1)))
    }

    /// Machine address of the L2 entry of address `at`.
    pub fn l2_entry(self, at: u32) -> MachAddr {
        self.l2(at).entry_addr(GuestVirt::new(at).table_index(2))
    }
}

/// Stores an entry by its machine address.
///
/// # Errors
/// What the hypervisor answered.
pub fn store(at: MachAddr, entry: Pte) -> Result<(), Errno> {
    raw::request(MmuUpdate::normal(at, entry))
}

/// Pins `page` as a table of `level`.
///
/// # Errors
/// What the hypervisor answered.
pub fn pin(level: u8, page: Page) -> Result<(), Errno> {
    extended(Extended::Pin {
        level,
        frame: page.mfn().addr(),
    })
}

/// Drops the pin of `page`.
///
/// # Errors
/// What the hypervisor answered.
pub fn unpin(page: Page) -> Result<(), Errno> {
    extended(Extended::Unpin {
        frame: page.mfn().addr(),
    })
}

/// An extended request.
///
/// # Errors
/// What the hypervisor answered.
pub fn extended(request: Extended) -> Result<(), Errno> {
    raw::request(MmuUpdate::extended(request))
}

/// Has the first page of the registered LDT mapped: at once where the hypervisor had time for it, else by the first use.
pub fn touch_ldt() {
    const FIRST: u32 = 4 | 1;
    // SAFETY: FS is nobody's; a descriptor that cannot be loaded traps, and that is caught.
    let _ = catch(|| unsafe { core::arch::asm!("mov fs, {0:e}", in(reg) FIRST) });
}

/// A request after another domain was named as the owner of its frame.
///
/// # Errors
/// What the hypervisor answered.
pub fn for_domain(domain: DomId, request: MmuUpdate) -> Result<(), Errno> {
    let foreign = MmuUpdate::extended(Extended::SetForeignDom { domain });
    raw::mmu(&[foreign, request]).map_err(|error| error.errno)
}
