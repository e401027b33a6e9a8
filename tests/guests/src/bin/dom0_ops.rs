//! Calls 7, 19 and 22 by a privileged domain alone: what each has to say, and its refusals.
#![no_std]
#![no_main]

use guest_abi::addr::GuestVirt;
use guest_abi::domain::DomId;
use guest_abi::domctl::{
    Dom0Args, Dom0Op, DomainFlags, GetDomainInfo, GetSchedId, PerfcControl, PerfcDesc, PerfcOp, Personality,
    SchedId, SetTime,
};
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::physdev::{
    IRQ_NEEDS_UNMASK_NOTIFY, IrqStatusQuery, IrqUnmaskNotify, PciConfigRead, PciProbeRootBuses, PhysdevArgs,
    PhysdevOp,
};
use guest_abi::start_info::StartInfo;
use mini_guest::shared;
use test_guests::pages::{Page, WRITABLE, peek32, poke32};
use test_guests::raw::{call, remap};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

fn dom0<A: Dom0Args>(args: &A) -> Result<A, Errno> {
    let mut op = Dom0Op::new(args);
    // SAFETY: a whole block of our own; what it points to is ours as well.
    unsafe { hypercall::dom0_op(&mut op) }.map(|_| op.args())
}

/// The answer, and the block, which is written in any case.
fn physdev<A: PhysdevArgs>(args: &A) -> (Result<u32, Errno>, A) {
    let mut op = PhysdevOp::new(args);
    // SAFETY: a whole block of our own.
    let answer = unsafe { hypercall::physdev_op(&mut op) };
    (answer, op.args())
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    clock();
    domains(start_info);
    counters();
    devices();
    foreign_mapping();
    report::success()
}

fn clock() {
    check!(
        dom0(&GetSchedId::default())
            .is_ok_and(|found| [SchedId::RROBIN, SchedId::BVT].contains(&found.sched_id)),
        "the policy"
    );
    let record = shared::time_record();
    let (secs, system_time) = (1_900_000_000, record.system_time);
    let good = SetTime {
        secs,
        usecs: 500_000,
        system_time,
    };
    check!(dom0(&good).is_ok(), "SETTIME");
    let now = shared::time_record();
    check!(
        (secs..secs + 5).contains(&now.wc_sec),
        "the wall clock after SETTIME: {now:?}"
    );
    let bad = SetTime {
        usecs: 1_000_000,
        ..good
    };
    check_eq!(dom0(&bad), Err(Errno::Inval));
    check_eq!(
        shared::time_record().wc_sec,
        now.wc_sec,
        "a refusal changes nothing"
    );
}

fn domains(start_info: &StartInfo) {
    let ask = |domain| {
        dom0(&GetDomainInfo {
            domain,
            ..GetDomainInfo::default()
        })
    };
    let found = ask(DomId::DOM0);
    check!(
        found.is_ok_and(|info| info.domain == DomId::DOM0
            && info.personality == Personality::V2
            && info.flags.contains(DomainFlags::RUNNING)
            && !info.flags.contains(DomainFlags::CRASHED)
            && info.tot_pages >= start_info.nr_pages
            && info.shared_info_frame.addr().raw() == start_info.shared_info.raw()),
        "{found:?}"
    );
    check_eq!(
        ask(DomId::new(1)).map(drop),
        Err(Errno::Srch),
        "there is no other"
    );
}

fn counters() {
    let ask = |op, nr_counters, desc: *mut PerfcDesc| {
        dom0(&PerfcControl {
            op,
            nr_counters,
            desc: GuestVirt::new(desc as u32),
        })
    };
    let count = ask(PerfcOp::QUERY, 0, core::ptr::null_mut()).map(|found| found.nr_counters);
    check!(count.is_ok_and(|count| (2..=8).contains(&count)), "{count:?}");
    let count = count.unwrap_or(0);
    let mut tables = [PerfcDesc::default(); 8];
    let made = |tables: &[PerfcDesc; 8]| tables[0].vals[CallNumber::XEN_VERSION.raw() as usize];
    check!(ask(PerfcOp::QUERY, count, tables.as_mut_ptr()).is_ok());
    let before = made(&tables);
    for _ in 0..7 {
        let _ = hypercall::xen_version();
    }
    check!(ask(PerfcOp::QUERY, count, tables.as_mut_ptr()).is_ok());
    check_eq!(made(&tables), before + 7, "seven calls more");
    check!(tables[0].name.starts_with(b"hypercalls made"));
    check_eq!(
        ask(PerfcOp::QUERY, 1, tables.as_mut_ptr()).map(drop),
        Err(Errno::Inval)
    );
    check_eq!(
        ask(PerfcOp::new(9), count, tables.as_mut_ptr()).map(drop),
        Err(Errno::Inval)
    );
    check_eq!(
        ask(PerfcOp::QUERY, count, 0xFC00_0000 as *mut PerfcDesc).map(drop),
        Err(Errno::Fault)
    );
}

fn devices() {
    let read = |bus, reg, len| {
        physdev(&PciConfigRead {
            bus,
            reg,
            len,
            ..PciConfigRead::default()
        })
    };
    for (bus, reg, len) in [(256, 0, 4), (0, 256, 4), (0, 2, 4), (0, 0, 3)] {
        let (answer, args) = read(bus, reg, len);
        check_eq!(
            (answer, args.value),
            (Err(Errno::Inval), u32::MAX),
            "bus {bus} register {reg} length {len}"
        );
    }
    check_eq!(physdev(&PciProbeRootBuses::default()).0, Ok(0));
    check_eq!(physdev(&IrqUnmaskNotify {}).0, Ok(0));
    let (answer, args) = physdev(&IrqStatusQuery { irq: 4, flags: 0 });
    check_eq!((answer, args.flags), (Ok(0), IRQ_NEEDS_UNMASK_NOTIFY));
    check_eq!(
        physdev(&IrqStatusQuery { irq: 208, flags: 0 }).0,
        Err(Errno::Inval)
    );
    for block in [0, 0xFC00_0000, u32::MAX] {
        check_eq!(
            call(CallNumber::PHYSDEV_OP, &[block]),
            Err(Errno::Fault),
            "block at {block:#x}"
        );
    }
}

/// A page of another domain, where the other is oneself.
fn foreign_mapping() {
    let (window, page) = (Page::take(), Page::take());
    poke32(page.0, 0x1234_5678);
    let (low, high) = page.pte(WRITABLE).low_high();
    let map = |flags, domain| {
        call(
            CallNumber::UPDATE_VA_MAPPING_OTHERDOMAIN,
            &[window.0 >> 12, low, high, flags, domain],
        )
    };
    for domain in [1, 0x7FF0, 0x7FF1, 0x7FF2, 0x1_0000, u32::MAX] {
        check_eq!(map(2, domain), Err(Errno::Srch), "domain {domain:#x}");
    }
    check_eq!(map(4, 0), Err(Errno::Inval), "an unknown flag");
    check_eq!(peek32(window.0), 0, "a refusal changes nothing");
    check_eq!(map(2, 0), Ok(0));
    check_eq!(peek32(window.0), 0x1234_5678);
    check_eq!(remap(window.0, window.pte(WRITABLE)), Ok(()));
}
