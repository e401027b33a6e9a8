//! Call 13, and the attack on it: batches in batches, until the hypervisor's stack ends.
//!
//! mutant: mutant-nested-multicall
#![no_std]
#![no_main]

use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::multicall::MulticallEntry;
use guest_abi::sched::{SchedCmd, pack};
use guest_abi::start_info::StartInfo;
use guest_abi::version::INTERFACE_VERSION;
use test_guests::pages::Page;
use test_guests::raw::{call, remap};
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, report};

test_guests::entry!(main);

fn run(entries: &mut [MulticallEntry]) -> Result<u32, Errno> {
    call(
        CallNumber::MULTICALL,
        &[entries.as_mut_ptr() as u32, entries.len() as u32],
    )
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let version = MulticallEntry::new(CallNumber::XEN_VERSION, [0; 5]);
    let mut entries = [
        version,
        MulticallEntry::new(CallNumber::SET_DEBUGREG, [0, 0x1234_5678, 0, 0, 0]),
        MulticallEntry::new(CallNumber::SET_DEBUGREG, [4, 0, 0, 0, 0]),
        MulticallEntry::new(CallNumber::new(23), [0; 5]),
        MulticallEntry::new(CallNumber::new(32 + 17), [0; 5]),
        MulticallEntry::new(CallNumber::SCHED_OP, [pack(SchedCmd::YIELD), 0, 0, 0, 0]),
        MulticallEntry::new(CallNumber::GET_DEBUGREG, [0; 5]),
        version,
    ];
    check_eq!(
        run(&mut entries),
        Ok(0),
        "a refused entry is not the batch's failure"
    );
    let results = [
        INTERFACE_VERSION,
        0,
        Errno::Inval.to_eax(),
        Errno::NoSys.to_eax(),
        Errno::NoSys.to_eax(),
        0,
        0x1234_5678,
        INTERFACE_VERSION,
    ];
    for (entry, wanted) in entries.iter().zip(results) {
        check_eq!(entry.result(), wanted);
    }
    check_eq!(run(&mut []), Ok(0));

    // An entry whose result cannot be written stops the batch there.
    let page = Page::take();
    // SAFETY: a page of our own, written through this reference only.
    let entries = unsafe { &mut *(page.0 as *mut [MulticallEntry; 4]) };
    entries.fill(version);
    page.protect();
    check_eq!(run(entries), Err(Errno::Fault), "a result in a read-only page");
    check_eq!(remap(page.0, page.pte(test_guests::pages::WRITABLE)), Ok(()));

    // A batch that names itself: without the check this never ends well.
    let mut own = [version; 2];
    let at = own.as_mut_ptr() as u32;
    own[1] = MulticallEntry::new(CallNumber::MULTICALL, [at, 2, 0, 0, 0]);
    check_eq!(call(CallNumber::MULTICALL, &[at, 2]), Ok(0));
    // SAFETY: read behind the compiler's back, as it was written.
    let own = unsafe { core::ptr::read_volatile(&raw const own) };
    check_eq!(own[1].result(), Errno::Inval.to_eax(), "a batch in a batch");
    report::success()
}
