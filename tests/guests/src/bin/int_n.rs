//! `int n`: the registered level, the mask flag of gates, and `int 0x82` from ring 3.
//!
//! mutant: mutant-gate-dpl
//! mutant: mutant-hypercall-dpl
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::segment::Selector;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::{TrapFlags, TrapInfo, Vector, idt_error_code};
use mini_guest::traps::Cause;
use test_guests::probe::{self, NOTES};
use test_guests::raw::call;
use test_guests::tables::Space;
use test_guests::{catch, check, check_eq, guest_abi, hypercall, report, ring3};

test_guests::entry!(main);

macro_rules! int {
    ($n:literal) => {
        // SAFETY: the vector's handler only takes notes.
        || unsafe { asm!(concat!("int ", $n)) }
    };
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    for (vector, dpl, masks) in [
        (0x30, 1, false),
        (0x31, 1, true),
        (0x32, 3, false),
        (0x33, 0, false),
        (3, 0, true),
    ] {
        check_eq!(probe::install(vector, dpl, masks), Ok(()));
    }
    check_eq!(probe::watch(int!("0x30")), (1, 0));
    check_eq!(probe::watch(int!("0x31")), (1, 1));
    check_eq!(
        NOTES.frame[1].load(Relaxed) & 0xFFFF,
        u32::from(Selector::FLAT_RING1_CS.raw())
    );
    // The level registered for #BP does not count; its mask flag does.
    check_eq!(probe::watch(int!("3")), (1, 1));

    for (found, vector) in [(catch(int!("0x33")), 0x33), (catch(int!("0x34")), 0x34)] {
        let caught = found.err();
        check_eq!(
            caught.map(|c| (c.vector, c.error)),
            Some((Vector::GENERAL_PROTECTION, idt_error_code(vector)))
        );
    }
    refusals();

    let page = ring3::pages();
    let allowed = ring3::run(page, &[0xCD, 0x32, 0x0F, 0x0B]);
    check_eq!(allowed.1, Cause::Vector(6), "behind `int 0x32` is `ud2`");
    check_eq!(allowed.0.eip, page.0 + 2);
    check_eq!(
        NOTES.frame[4].load(Relaxed) & 0xFFFF,
        u32::from(Selector::FLAT_RING3_DS.raw())
    );
    for vector in [0x30, 0x33, 0x35, 0x0E, 0x82, 0xE1] {
        let mut frame = ring3::frame(page, &[0xCD, vector, 0x0F, 0x0B]);
        frame.eax = CallNumber::XEN_VERSION.raw();
        let (found, cause) = ring3::enter(&frame);
        check_eq!(cause, Cause::Vector(13), "int {vector:#x} from ring 3");
        check_eq!(found.error, idt_error_code(vector), "int {vector:#x} from ring 3");
        check_eq!(found.eip, page.0, "a fault leaves EIP at its instruction");
        check_eq!(found.eax, CallNumber::XEN_VERSION.raw());
    }
    report::success()
}

/// Call 0's refusals: entries before the bad one stay, those behind it are not read.
fn refusals() {
    let entry = |vector, cs| TrapInfo {
        vector,
        flags: TrapFlags::with_dpl(1),
        cs,
        address: probe::address(),
    };
    for cs in [0xE008, 0xE010, 0xE018, 0xE02B, 0xE01A, 0x0008, 0x0003, 0] {
        let table = [
            entry(0x36, Selector::FLAT_RING1_CS),
            entry(0x37, Selector::new(cs)),
            entry(0x38, Selector::FLAT_RING1_CS),
            TrapInfo::default(),
        ];
        check_eq!(
            hypercall::set_trap_table(&table),
            Err(Errno::Perm),
            "selector {cs:#x}"
        );
    }
    check_eq!(probe::watch(int!("0x36")), (1, 0));
    check!(catch(int!("0x37")).is_err());
    check!(catch(int!("0x38")).is_err());
    for table in [0, 0xFBFF_FFFC, 0xFC00_0000, u32::MAX] {
        check_eq!(call(CallNumber::SET_TRAP_TABLE, &[table]), Err(Errno::Fault));
    }
}
