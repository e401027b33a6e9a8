//! Grants: a page mapped and unmapped by its reference.

use core::mem::offset_of;

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::grant_table::{
    GrantCmd, GrantFlags, GrantStatus, MapFlags, MapGrantRef, SetupTable, UnmapGrantRef,
};
use guest_abi::mmu::{Pte, PteFlags, UvmFlags};
use mini_guest::hypercall;
use mini_guest::mm::{layout::direct, translate};

use crate::memory::{Shared, frame};
use crate::routine::{ARGS, GRANT, measure as cost};

static LIST: Shared<Mfn> = Shared::new(Mfn::new(0));
static MAP: Shared<MapGrantRef> = Shared::new(map_record(0));
static UNMAP: Shared<UnmapGrantRef> = Shared::new(unmap_record(0));

/// The reference; those below it are reserved.
const REFERENCE: u32 = 8;

const fn map_record(at: u32) -> MapGrantRef {
    MapGrantRef {
        host_addr: at as u64,
        flags: MapFlags::HOST_MAP,
        reference: REFERENCE,
        dom: DomId::DOM0,
        status: GrantStatus::OKAY,
        handle: 0,
        dev_bus_addr: 0,
    }
}

const fn unmap_record(at: u32) -> UnmapGrantRef {
    UnmapGrantRef {
        host_addr: at as u64,
        dev_bus_addr: 0,
        handle: 0,
        status: GrantStatus::OKAY,
        pad: 0,
    }
}

fn remap(at: u32, entry: Pte) {
    // SAFETY: the page was taken for this and holds nothing.
    unsafe { hypercall::update_va_mapping(GuestVirt::new(at), entry, UvmFlags::INVLPG) }
        .expect("a good entry");
}

/// Measures it: a domain's grant to itself, for writing.
pub fn measure() {
    const { assert!(offset_of!(MapGrantRef, handle) == 20 && offset_of!(UnmapGrantRef, handle) == 16) };
    let (table, window, page) = (direct(frame()), direct(frame()), frame());
    let mut setup = [SetupTable {
        dom: DomId::SELF,
        nr_frames: 1,
        frame_list: GuestVirt::new(LIST.get() as u32),
        ..SetupTable::default()
    }];
    // SAFETY: the list has room for the one frame.
    unsafe { hypercall::grant_table_op(GrantCmd::SETUP_TABLE.raw(), &mut setup) }.expect("call 20");
    assert!(setup[0].status == GrantStatus::OKAY, "{:?}", setup[0]);
    // SAFETY: the hypervisor wrote it.
    let shared = unsafe { LIST.get().read_volatile() };
    let flags = PteFlags::PRESENT | PteFlags::WRITABLE | PteFlags::ACCESSED | PteFlags::DIRTY;
    remap(table, Pte::new(shared, flags));
    let entry = u64::from(GrantFlags::PERMIT_ACCESS.bits()) | u64::from(translate::mfn(page).raw()) << 32;
    // SAFETY: the table is mapped there, and nobody else writes it.
    unsafe { (table as *mut u64).add(REFERENCE as usize).write_volatile(entry) };
    remap(window, Pte::EMPTY);
    ARGS.set([MAP.set(map_record(window)), UNMAP.set(unmap_record(window))]);
    // SAFETY: the records are good ones, and nobody uses the page.
    unsafe { cost("grant_map_unmap", GRANT, 1) };
    // SAFETY: the hypervisor wrote them.
    let (mapped, unmapped) = unsafe { (MAP.get().read_volatile(), UNMAP.get().read_volatile()) };
    assert!(
        mapped.status == GrantStatus::OKAY && unmapped.status == GrantStatus::OKAY,
        "{mapped:?} {unmapped:?}"
    );
}
