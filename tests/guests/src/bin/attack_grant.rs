//! Attack: grants as a way to frames that are not one's own, or to one's own page tables.
//!
//! A domain's table is its own to write, so it may grant itself anything by number: frames of the hypervisor, of nobody,
//! page tables in use. And it may drop, copy, change and forge mappings behind the hypervisor's back.
//!
//! mutant: mutant-grant-owner
#![no_std]
#![no_main]

use guest_abi::addr::{HV_START, Mfn};
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::grant_table::{CopyEnd, CopyFlags, GrantCopy, GrantFlags, GrantStatus, MapFlags};
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::start_info::StartInfo;
use test_guests::grants::{Table, copy, map, map_record, transfer, unmap, unmap_record, vacate};
use test_guests::pages::{Page, READ_ONLY, WRITABLE};
use test_guests::raw::remap;
use test_guests::tables::{DIRECTORY, Space, pin, store, unpin};
use test_guests::{check, check_eq, guest_abi, report};

test_guests::entry!(main);

const OKAY: GrantStatus = GrantStatus::OKAY;
const ACCESS: GrantFlags = GrantFlags::PERMIT_ACCESS;
const ME: DomId = DomId::DOM0;
/// Frames of the first megabytes, where the hypervisor is; and some more.
const FRAMES: u32 = 0x3000;

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let Ok(table) = Table::set_up(ME) else {
        report::failure(format_args!("no grant table"))
    };
    foreign_frames(table, start_info);
    tables(table, space);
    behind_its_back(table, space);
    report::success()
}

/// Every frame by number that the domain does not have.
fn foreign_frames(table: Table, start_info: &StartInfo) {
    let window = vacate(Page::take());
    let is_shared = |mfn: u32| {
        let mfn = Mfn::new(mfn);
        Some(mfn) == Mfn::try_containing(start_info.shared_info) || mfn == table.mfn()
    };
    let own = |mfn: u32| {
        is_shared(mfn) || (0..start_info.nr_pages).any(|pfn| test_guests::pages::frame(pfn).raw() == mfn)
    };
    let mut tried = 0;
    for n in (0..FRAMES)
        .step_by(61)
        .chain([0x8_0000, 0xF_EE00, 0x10_0000, 0x7FFF_FFFF, u32::MAX])
    {
        if own(n) {
            continue;
        }
        tried += 1;
        table.publish(10, ME, Mfn::new(n), ACCESS);
        for flags in [
            MapFlags::HOST_MAP,
            MapFlags::HOST_MAP | MapFlags::READ_ONLY,
            MapFlags::DEVICE_MAP,
        ] {
            let done = map(map_record(ME, 10, window.0, flags));
            if done.status == OKAY {
                report::failure(format_args!(
                    "frame {n:#x} of somebody else's is mapped by a grant"
                ));
            }
            check_eq!(done.status, GrantStatus::BAD_PAGE);
        }
        let end = |ref_or_frame| CopyEnd {
            ref_or_frame,
            domid: DomId::SELF,
            offset: 0,
        };
        let page = Page(window.0 - 4096);
        for (source, dest, flags) in [
            (end(10), end(page.mfn().raw()), CopyFlags::SOURCE_GREF),
            (end(page.mfn().raw()), end(10), CopyFlags::DEST_GREF),
            (end(n), end(page.mfn().raw()), CopyFlags::empty()),
            (end(page.mfn().raw()), end(n), CopyFlags::empty()),
        ] {
            let record = GrantCopy {
                source,
                dest,
                len: 8,
                flags,
                ..GrantCopy::default()
            };
            check_eq!(copy(record), GrantStatus::BAD_PAGE, "frame {n:#x}");
        }
        check_eq!(transfer(Mfn::new(n), ME, 10), GrantStatus::BAD_PAGE);
    }
    check!(tried > 5, "{tried} frames are not the domain's");
    check_eq!(table.flags(10), ACCESS);
}

/// Page tables are not to be written by way of a grant, nor to become ones while a grant writes them.
fn tables(table: Table, space: Space) {
    let window = vacate(Page::take());
    for frame in [space.l1(window.0), space.l2(window.0), space.l3] {
        table.publish(11, ME, frame.mfn(), ACCESS);
        for flags in [MapFlags::HOST_MAP, MapFlags::DEVICE_MAP] {
            check_eq!(
                map(map_record(ME, 11, window.0, flags)).status,
                GrantStatus::BAD_PAGE
            );
        }
        let read_only = MapFlags::HOST_MAP | MapFlags::READ_ONLY;
        let done = map(map_record(ME, 11, window.0, read_only));
        check_eq!(done.status, OKAY);
        check_eq!(window.read(0), frame.read(0));
        check_eq!(unmap(unmap_record(done.handle, window.0)), OKAY);
    }
    let page = Page::take();
    table.publish(11, ME, page.mfn(), ACCESS);
    let done = map(map_record(ME, 11, 0, MapFlags::DEVICE_MAP));
    check_eq!(done.status, OKAY);
    page.protect();
    check_eq!(pin(1, page), Err(Errno::Inval), "a device may write it");
    let mut record = unmap_record(done.handle, 0);
    record.dev_bus_addr = done.dev_bus_addr;
    check_eq!(unmap(record), OKAY);
    check_eq!(pin(1, page), Ok(()));
    check_eq!(unpin(page), Ok(()));
}

/// Mappings that the guest drops, copies, changes and forges.
fn behind_its_back(table: Table, space: Space) {
    let (page, window, other) = (Page::take(), vacate(Page::take()), vacate(Page::take()));
    table.publish(12, ME, page.mfn(), ACCESS);
    let done = map(map_record(ME, 12, window.0, MapFlags::HOST_MAP));
    check_eq!(done.status, OKAY);
    let entry = space.mapping(window.0);
    let mark = Pte::from_raw(entry.raw() & PteFlags::HYPERVISOR.bits());
    check!(mark.raw() != 0, "a grant's entry has a mark");
    // The mark cannot be copied, nor put on anything.
    check_eq!(remap(other.0, entry), Err(Errno::Inval));
    check_eq!(
        remap(other.0, Pte::from_raw(page.pte(WRITABLE).raw() | mark.raw())),
        Err(Errno::Inval)
    );
    check_eq!(remap(other.0, mark), Err(Errno::Inval));
    check_eq!(remap(HV_START, entry), Err(Errno::Inval));
    // Dropped by the guest; the grant is in use until it is unmapped.
    vacate(window);
    check!(table.flags(12).contains(GrantFlags::READING));
    check_eq!(unmap(unmap_record(done.handle, window.0)), OKAY);
    check_eq!(table.flags(12), ACCESS);

    // In a table that goes away with its directory entry, and whose frame becomes a page that says what it likes.
    let at = 0xC000_0000 + 403 * 0x20_0000;
    let l1 = Page::take().protect();
    check_eq!(store(space.l2_entry(at), l1.pte(DIRECTORY)), Ok(()));
    let done = map(map_record(ME, 12, at, MapFlags::HOST_MAP));
    check_eq!(done.status, OKAY);
    check_eq!(store(space.l2_entry(at), Pte::EMPTY), Ok(()));
    let left = l1.unprotect().read(0);
    check!(left & mark.raw() != 0);
    l1.write(1, left);
    check_eq!(unmap(unmap_record(done.handle, at)), OKAY);
    check_eq!(l1.read(0), left, "a page is not written");
    l1.protect();
    check_eq!(
        store(space.l2_entry(at), l1.pte(DIRECTORY)),
        Err(Errno::Inval),
        "it names what is not granted"
    );
    check_eq!(table.flags(12), ACCESS);
    // Withdrawn, changed, and mapped again while mapped.
    let done = map(map_record(ME, 12, window.0, MapFlags::HOST_MAP));
    for (to, frame, flags) in [
        (ME, page.mfn(), GrantFlags::empty()),
        (ME, l1.mfn(), ACCESS),
        (DomId::new(5), page.mfn(), ACCESS),
    ] {
        table.publish(12, to, frame, flags);
        let again = map(map_record(ME, 12, other.0, MapFlags::HOST_MAP));
        check_eq!(again.status, GrantStatus::GENERAL_ERROR);
    }
    check_eq!(unmap(unmap_record(done.handle, window.0)), OKAY);
    check_eq!(remap(window.0, window.pte(READ_ONLY)), Ok(()));
}
