//! Attack: a request that changes between check and use.
//!
//! On one processor nobody else can change it; the request itself has to. This one does: it is a page-table update that
//! maps another page over the page in which it lies, at an address where the new page holds a worse request. To be
//! read twice with different results the translation must also be forgotten in between, which the update brings about too: the
//! frame that it maps was a page of descriptors until just now, so the hypervisor flushes before it may be mapped writable. A
//! hypervisor that looks at the request again afterwards stores what it has not judged.
//!
//! mutant: mutant-double-fetch
#![no_std]
#![no_main]

use guest_abi::addr::GuestVirt;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::Extended;
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, WRITABLE};
use test_guests::raw::call;
use test_guests::tables::{Space, extended, touch_ldt};
use test_guests::{check_eq, guest_abi, report};

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let (requests, other) = (Page::take(), Page::take());
    let entry = space.l1_entry(requests.0);
    let table = space.l1(requests.0);
    // Both words are descriptors with P = 0 as well.
    other.write(0, entry.raw());
    other.write(1, table.pte(WRITABLE).raw());
    other.protect();
    let ldt = |entries| {
        extended(Extended::SetLdt {
            base: GuestVirt::new(other.0),
            entries,
        })
    };
    check_eq!(ldt(512), Ok(()));
    touch_ldt();
    requests.write(0, entry.raw());
    requests.write(1, other.pte(WRITABLE).raw());
    check_eq!(ldt(0), Ok(()));
    check_eq!(call(CallNumber::MMU_UPDATE, &[requests.0, 1, 0]), Ok(0));
    let stored = space.mapping(requests.0);
    if stored.mfn() == Some(table.mfn()) {
        report::failure(format_args!(
            "a request read twice: {stored:x?} maps a page table writable"
        ));
    }
    check_eq!(stored.mfn(), Some(other.mfn()));
    check_eq!(
        requests.read(1),
        table.pte(WRITABLE).raw(),
        "the other page is mapped now"
    );
    report::success()
}
