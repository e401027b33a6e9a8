//! Calls 17 and 21: what the hypervisor says it is, and numbers that mean nothing.
//!
#![no_std]
#![no_main]

use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::start_info::StartInfo;
use guest_abi::version::{Features, INTERFACE_VERSION};
use test_guests::raw::{call, call_eax};
use test_guests::{check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

fn main(_: &'static StartInfo) -> ! {
    check_eq!(hypercall::xen_version(), Ok(INTERFACE_VERSION));
    check_eq!(INTERFACE_VERSION, 0x0002_0000);
    let text = hypercall::extraversion();
    check!(text.is_ok_and(|text| text.starts_with(b"-xenlite\0")), "{text:?}");
    let features = hypercall::features();
    let promised = Features::DOM0 | Features::WRITABLE_PAGE_TABLES | Features::PAE_PGDIR_ABOVE_4GB;
    check!(
        features.is_ok_and(|features| features.contains(promised)),
        "{features:?}"
    );

    let version = |command, buffer| call(CallNumber::XEN_VERSION, &[command, buffer]);
    check_eq!(version(1, 0), Err(Errno::Fault));
    check_eq!(version(6, 0), Err(Errno::Fault));
    for command in [2, 5, 7, 0x8000_0000, u32::MAX] {
        check_eq!(version(command, 0), Err(Errno::NoSys));
    }

    // A number is never an alias of another: Xen 2.0 looked at five bits.
    for number in [23, 31, 32, 32 + 17, 64 + 17, 256 + 17, 0x8000_0011, u32::MAX] {
        check_eq!(call(CallNumber::new(number), &[0]), Err(Errno::NoSys));
    }
    check_eq!(call_eax(CallNumber::XEN_VERSION, &[0]), INTERFACE_VERSION);
    report::success()
}
