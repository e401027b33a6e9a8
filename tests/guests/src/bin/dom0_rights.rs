//! Call 7 about the machine: ports that a domain is given and loses again, the log, registers, what there is.
#![no_std]
#![no_main]

use core::arch::asm;

use guest_abi::addr::GuestVirt;
use guest_abi::domain::DomId;
use guest_abi::domctl::{
    Dom0Args, Dom0Op, GetTbufs, IoMemPermission, IoPortPermission, IrqPermission, Msr, PciDevAccess,
    PhysInfo, PinCpuDomain, ReadConsole,
};
use guest_abi::errno::Errno;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use test_guests::tables::Space;
use test_guests::{catch, check, check_eq, guest_abi, hypercall, log, report};

test_guests::entry!(main);

/// The port of power-on self-test codes, which nobody listens to.
const POST: u32 = 0x80;
const NOBODY: DomId = DomId::new(77);

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    ports();
    others();
    console_log();
    let info = op(&PhysInfo::default()).expect("physinfo");
    check!(info.free_pages < info.total_pages && info.total_pages <= info.max_frame);
    check!(info.cpu_khz > 1000 && info.hypervisor_pages > 0);
    report::success()
}

fn op<A: Dom0Args>(args: &A) -> Result<A, Errno> {
    let mut block = Dom0Op::new(args);
    // SAFETY: what the commands write lies in this guest's own buffers.
    unsafe { hypercall::dom0_op(&mut block) }?;
    Ok(block.args())
}

/// Writes to a port; whether that was possible.
fn out(port: u32) -> bool {
    let result = catch(|| {
        // SAFETY: nobody listens to the ports that are tried.
        unsafe { asm!("out dx, al", in("dx") port as u16, in("al") 0_u8, options(nomem, nostack)) }
    });
    if let Err(caught) = &result {
        check_eq!(caught.vector, Vector::GENERAL_PROTECTION, "port {port:#x}");
    }
    result.is_ok()
}

fn allow(first_port: u32, nr_ports: u32, allow: u8) -> Result<(), Errno> {
    let args = IoPortPermission {
        domain: DomId::DOM0,
        allow,
        pad: 0,
        first_port,
        nr_ports,
    };
    op(&args).map(drop)
}

fn ports() {
    check!(
        !out(POST) && !out(POST - 1) && !out(0xFFFF),
        "no port at the start"
    );
    check_eq!(allow(POST, 1, 1), Ok(()));
    check!(out(POST), "it was given");
    check!(!out(0x21) && !out(0x3F8) && !out(0xFFFF), "others were not");
    check_eq!(allow(0xFFFF, 1, 1), Ok(()));
    check!(out(0xFFFF), "the last one");
    // Where QEMU's and Bochs's firmware have the power registers; the control register is the fifth byte.
    let is_power = |base: u32| allow(base + 4, 2, 1) == Err(Errno::Inval);
    check!(is_power(0x600) || is_power(0xB000), "what turns the machine off");
    for (first, count) in [(0x20, 1), (0x3F8, 8), (0xCF8, 4), (0x40, 4), (0, 0x1_0000)] {
        check_eq!(allow(first, count, 1), Err(Errno::Inval), "{first:#x}");
    }
    check_eq!(allow(0xFFFF, 2, 1), Err(Errno::Inval), "beyond the last");
    check_eq!(allow(POST, 1, 2), Err(Errno::Inval));
    check_eq!(allow(0, 0x1_0000, 0), Ok(()));
    check!(!out(POST) && !out(0xFFFF), "they were taken");
}

fn others() {
    let line = |irq, domain| {
        let args = IrqPermission {
            domain,
            allow: 1,
            pad: 0,
            irq,
        };
        op(&args).map(drop)
    };
    check_eq!(line(11, DomId::DOM0), Ok(()));
    check_eq!(line(0, DomId::DOM0), Err(Errno::Inval), "the timer's");
    check_eq!(line(16, DomId::DOM0), Err(Errno::Inval));
    check_eq!(line(11, NOBODY), Err(Errno::Srch));
    let frames = |first_frame, nr_frames| {
        let args = IoMemPermission {
            domain: DomId::DOM0,
            allow: 1,
            pad: 0,
            first_frame: guest_abi::addr::Mfn::new(first_frame),
            nr_frames,
        };
        op(&args).map(drop)
    };
    check_eq!(frames(0xA0, 0x20), Ok(()), "the screen");
    check_eq!(frames(0x200, 1), Err(Errno::Inval), "RAM");
    check_eq!(frames(0xFEE00, 1), Err(Errno::Inval), "the local APIC");
    let pin = |domain| {
        op(&PinCpuDomain {
            domain,
            ..PinCpuDomain::default()
        })
        .map(drop)
    };
    check_eq!(pin(DomId::DOM0), Err(Errno::Inval));
    check_eq!(pin(NOBODY), Err(Errno::Srch));
    let pci = PciDevAccess {
        domain: DomId::DOM0,
        allow: 1,
        ..PciDevAccess::default()
    };
    check_eq!(op(&pci), Err(Errno::Inval), "Domain0 has all");
    check_eq!(op(&GetTbufs::default()), Err(Errno::NoData));
    let msr = |msr, write| {
        op(&Msr {
            write,
            cpu_mask: 1,
            msr,
            ..Msr::default()
        })
        .map(|done| done.value)
    };
    check!(msr(0x1A0, 0).is_ok_and(|value| value != 0), "IA32_MISC_ENABLE");
    check_eq!(msr(0xC000_0080, 0), Err(Errno::Perm), "EFER");
    check_eq!(msr(0xC000_0080, 1), Err(Errno::Perm));
    check_eq!(msr(0x10, 1), Err(Errno::Perm));
}

fn console_log() {
    const SAID: &[u8] = b"said on the console\n";
    check_eq!(hypercall::console_write(SAID), Ok(SAID.len() as u32));
    check!(log::holds(b"Domain0 starts after"), "the hypervisor's own lines");
    check!(
        !log::holds(b"said on the console"),
        "what guests print is not of the log"
    );
    let mut block = Dom0Op::new(&ReadConsole {
        buffer: GuestVirt::new(0xFC00_0000),
        count: 1,
        flags: 0,
    });
    // SAFETY: nothing is written to the hypervisor's memory.
    check_eq!(unsafe { hypercall::dom0_op(&mut block) }, Err(Errno::Fault));
}
