//! Call 20: a good case of each command, by a domain that grants to itself, and the refusals.
#![no_std]
#![no_main]

use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::grant_table::{
    CopyEnd, CopyFlags, GrantCmd, GrantCopy, GrantFlags, GrantStatus, MapFlags, MapGrantRef, QuerySize,
    UnmapGrantRef,
};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate};
use guest_abi::start_info::StartInfo;
use test_guests::grants::{
    Table, copy, map, map_record, one, setup_record, transfer, unmap, unmap_record, vacate,
};
use test_guests::pages::{Page, peek32};
use test_guests::raw::{call, request};
use test_guests::tables::Space;
use test_guests::{catch, check, check_eq, guest_abi, report};

test_guests::entry!(main);

const OKAY: GrantStatus = GrantStatus::OKAY;
const ACCESS: GrantFlags = GrantFlags::PERMIT_ACCESS;
const ME: DomId = DomId::DOM0;

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let Ok(table) = Table::set_up(ME) else {
        report::failure(format_args!("no grant table"))
    };
    size();
    mappings(table, space);
    batches(table);
    copies(table);
    transfers(table);
    report::success()
}

fn size() {
    let query = QuerySize {
        dom: DomId::SELF,
        ..QuerySize::default()
    };
    let done = one(GrantCmd::QUERY_SIZE, query);
    check!(
        matches!(
            done,
            Ok(QuerySize {
                status: OKAY,
                nr_frames: 1,
                max_nr_frames: 32,
                ..
            })
        ),
        "{done:?}"
    );
    let strange = QuerySize {
        dom: DomId::new(77),
        ..query
    };
    check_eq!(
        one(GrantCmd::QUERY_SIZE, strange).map(|done| done.status),
        Ok(GrantStatus::BAD_DOMAIN)
    );
    let list = Page::take();
    let setup = |frames, list| one(GrantCmd::SETUP_TABLE, setup_record(frames, list)).map(|done| done.status);
    check_eq!(setup(33, list.0), Ok(GrantStatus::GENERAL_ERROR));
    check_eq!(setup(1, 0xFC00_0000), Ok(GrantStatus::BAD_VIRT_ADDR));
    let op = |command: u32, at: u32, count: u32| call(CallNumber::GRANT_TABLE_OP, &[command, at, count]);
    check_eq!(op(3, list.0, 1), Err(Errno::NoSys), "dump_table");
    check_eq!(op(2, list.0, 2), Err(Errno::Inval), "two at once");
    check_eq!(op(0, 0xFC00_0000, 1), Err(Errno::Fault));
    check_eq!(op(0, list.0, u32::MAX), Err(Errno::Fault));
    check_eq!(op(0, u32::MAX, 0), Ok(0));
}

fn mappings(table: Table, space: Space) {
    let (page, window) = (Page::take(), vacate(Page::take()));
    page.write(7, 0x1122_3344_5566_7788);
    table.publish(10, ME, page.mfn(), ACCESS);
    let done = map(map_record(ME, 10, window.0, MapFlags::HOST_MAP));
    check_eq!(done.status, OKAY);
    check_eq!(done.dev_bus_addr, page.mfn().addr().raw());
    check_eq!(
        table.flags(10),
        ACCESS | GrantFlags::READING | GrantFlags::WRITING
    );
    check_eq!(window.read(7), 0x1122_3344_5566_7788);
    window.write(7, 42);
    check_eq!(page.read(7), 42);
    // A second one, to read only.
    let second = vacate(Page::take());
    let reader = map(map_record(
        ME,
        10,
        second.0,
        MapFlags::HOST_MAP | MapFlags::READ_ONLY,
    ));
    check_eq!(reader.status, OKAY);
    check_eq!(second.read(7), 42);
    check!(
        catch(|| second.write(7, 1)).is_err(),
        "a read-only mapping is written"
    );
    check_eq!(
        unmap(unmap_record(done.handle, second.0)),
        GrantStatus::BAD_VIRT_ADDR
    );
    check_eq!(unmap(unmap_record(done.handle, window.0)), OKAY);
    check!(catch(|| peek32(window.0)).is_err(), "unmapped, and still there");
    check_eq!(table.flags(10), ACCESS | GrantFlags::READING);
    check_eq!(unmap(unmap_record(reader.handle, second.0)), OKAY);
    check_eq!(table.flags(10), ACCESS);
    check_eq!(
        unmap(unmap_record(reader.handle, second.0)),
        GrantStatus::BAD_HANDLE
    );
    // By the entry's own address.
    let flags = MapFlags::HOST_MAP | MapFlags::CONTAINS_PTE;
    let record = MapGrantRef {
        host_addr: space.l1_entry(window.0).raw(),
        ..map_record(ME, 10, 0, flags)
    };
    let done = map(record);
    check_eq!(done.status, OKAY);
    check_eq!(window.read(7), 42);
    let record = UnmapGrantRef {
        host_addr: record.host_addr,
        ..unmap_record(done.handle, 0)
    };
    check_eq!(unmap(record), OKAY);
    // For devices.
    let done = map(map_record(ME, 10, 0, MapFlags::DEVICE_MAP));
    check_eq!(done.status, OKAY);
    let device = |dev_bus_addr| UnmapGrantRef {
        dev_bus_addr,
        ..unmap_record(done.handle, 0)
    };
    check_eq!(unmap(device(done.dev_bus_addr + 4096)), GrantStatus::BAD_DEV_ADDR);
    check_eq!(unmap(device(done.dev_bus_addr)), OKAY);
    check_eq!(table.flags(10), ACCESS);
}

/// More records than are done without a look at waiting work.
fn batches(table: Table) {
    const COUNT: u32 = 200;
    let first = Page::take_run(COUNT);
    let page = Page::take();
    table.publish(11, ME, page.mfn(), ACCESS);
    let mut maps = [MapGrantRef::default(); COUNT as usize];
    let mut unmaps = [UnmapGrantRef::default(); COUNT as usize];
    for (n, record) in (0..).zip(&mut maps) {
        *record = map_record(ME, 11, first.next(n).0, MapFlags::HOST_MAP);
    }
    let run = |command: GrantCmd, at: u32| call(CallNumber::GRANT_TABLE_OP, &[command.raw(), at, COUNT]);
    check_eq!(run(GrantCmd::MAP_GRANT_REF, maps.as_mut_ptr() as u32), Ok(0));
    for (n, record) in (0..).zip(&maps) {
        check_eq!(record.status, OKAY);
        first.next(n).write(0, n.into());
        check_eq!(page.read(0), u64::from(n));
    }
    for ((n, record), mapped) in (0..).zip(&mut unmaps).zip(&maps) {
        *record = unmap_record(mapped.handle, first.next(n).0);
    }
    check_eq!(run(GrantCmd::UNMAP_GRANT_REF, unmaps.as_mut_ptr() as u32), Ok(0));
    check!(unmaps.iter().all(|record| record.status == OKAY));
    for n in 0..COUNT {
        check!(catch(|| peek32(first.next(n).0)).is_err());
        first.next(n).unprotect();
    }
    check_eq!(table.flags(11), ACCESS);
}

fn copies(table: Table) {
    let (from, to) = (Page::take(), Page::take());
    (0..512).for_each(|n| from.write(n, 0x0101_0101_0101_0101 * (n as u64 & 0xFF)));
    table.publish(12, ME, from.mfn(), ACCESS | GrantFlags::READ_ONLY);
    let end = |ref_or_frame, offset| CopyEnd {
        ref_or_frame,
        domid: DomId::SELF,
        offset,
    };
    let record = GrantCopy {
        source: end(12, 8),
        dest: end(to.mfn().raw(), 16),
        len: 4080,
        flags: CopyFlags::SOURCE_GREF,
        ..GrantCopy::default()
    };
    check_eq!(copy(record), OKAY);
    check_eq!(to.read(1), 0);
    (0..510).for_each(|n| check_eq!(to.read(n + 2), from.read(n + 1)));
    check_eq!(table.flags(12), ACCESS | GrantFlags::READ_ONLY);
    check_eq!(copy(GrantCopy { len: 4081, ..record }), GrantStatus::BAD_COPY_ARG);
    let back = GrantCopy {
        source: record.dest,
        dest: record.source,
        flags: CopyFlags::DEST_GREF,
        ..record
    };
    check_eq!(copy(back), GrantStatus::GENERAL_ERROR, "it is read-only");
}

fn transfers(table: Table) {
    let page = Page::take();
    let frame = page.mfn();
    table.publish(13, ME, guest_abi::addr::Mfn::new(0), GrantFlags::ACCEPT_TRANSFER);
    check_eq!(transfer(frame, ME, 13), GrantStatus::BAD_PAGE, "it is mapped");
    page.write(5, 99);
    vacate(page);
    check_eq!(transfer(frame, ME, 14), GrantStatus::GENERAL_ERROR, "not invited");
    check_eq!(transfer(frame, ME, 13), OKAY);
    check!(table.flags(13).contains(GrantFlags::TRANSFER_COMPLETED));
    check_eq!(table.frame(13), frame);
    table.publish(14, ME, guest_abi::addr::Mfn::new(0), GrantFlags::ACCEPT_TRANSFER);
    let by_request = MmuUpdate::extended(Extended::TransferPage {
        frame: frame.addr(),
        domain: ME,
        reference: 14,
    });
    check_eq!(request(by_request), Ok(()));
    check_eq!(request(by_request), Err(Errno::Inval), "once only");
    check_eq!(table.frame(14), frame);
    check_eq!(page.unprotect().read(5), 99);
}
