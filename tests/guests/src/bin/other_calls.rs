//! Calls 7, 18 to 21: the console, assists, and those that are for more than one domain or for devices.
#![no_std]
#![no_main]

use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, poke32};
use test_guests::raw::call;
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let page = Page::take();
    check_eq!(hypercall::console_write(b"written by call 18\n"), Ok(19));
    check!(hypercall::console_read(&mut [0; 8]).is_ok());
    for command in [2, 3, 0x100, u32::MAX] {
        check_eq!(
            call(CallNumber::CONSOLE_IO, &[command, 1, page.0]),
            Err(Errno::NoSys)
        );
    }

    let assist = |command, kind| call(CallNumber::VM_ASSIST, &[command, kind]);
    check_eq!(assist(0, 2), Ok(0));
    check_eq!(assist(0, 2), Ok(0), "twice is once");
    check_eq!(assist(1, 2), Ok(0));
    for kind in [0, 1] {
        check_eq!(assist(0, kind), Err(Errno::NoSys), "4 GB segments");
    }
    check_eq!(assist(0, 3), Err(Errno::Inval));
    check_eq!(assist(0, u32::MAX), Err(Errno::Inval));
    check_eq!(assist(2, 2), Err(Errno::NoSys));

    poke32(page.0 + 4, 0xAAAA_001A);
    check_eq!(
        call(CallNumber::DOM0_OP, &[page.0]),
        Err(Errno::Access),
        "Xen 2.0's own layout"
    );
    poke32(page.0 + 4, guest_abi::domctl::DOM0_INTERFACE_VERSION);
    for command in [0, 1, 14, 16, 25, 31, 35, 42, u32::MAX] {
        poke32(page.0, command);
        check_eq!(
            call(CallNumber::DOM0_OP, &[page.0]),
            Err(Errno::NoSys),
            "dom0_op {command}"
        );
    }
    // Call 19: a question about a line, and one about none.
    poke32(page.0 + 4, 0);
    poke32(page.0, 5);
    poke32(page.0 + 8, 4);
    check_eq!(call(CallNumber::PHYSDEV_OP, &[page.0]), Ok(0));
    poke32(page.0 + 8, 208);
    check_eq!(call(CallNumber::PHYSDEV_OP, &[page.0]), Err(Errno::Inval));
    poke32(page.0, 99);
    check_eq!(call(CallNumber::PHYSDEV_OP, &[page.0]), Err(Errno::Inval));
    for command in [0, 1, 2, 5, 6, 77] {
        check!(
            call(CallNumber::GRANT_TABLE_OP, &[command, 0xFC00_0000, 1]).is_err(),
            "grant_table_op {command}"
        );
    }
    report::success()
}
