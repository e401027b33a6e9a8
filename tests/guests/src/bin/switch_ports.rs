//! I/O ports at a switch: the bitmap is the domain's own, also when rights change while it is away; and nobody has an IOPL.
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::domain::DomId;
use guest_abi::domctl::IoPortPermission;
use guest_abi::start_info::StartInfo;
use test_guests::puppet::{Ended, Puppet};
use test_guests::small_domain::op;
use test_guests::tables::Space;
use test_guests::{catch, check, check_eq, guest_abi, report, scripts};

test_guests::entry!(main);

/// Ports of power-on self-test codes and next to them, to which nobody listens.
const PORTS: [u32; 3] = [0x80, 0xED, 0xEE];

scripts! {
    /// Writes to the port in the first word.
    write: "mov edx, [words]", "xor eax, eax", "out dx, al";
    /// Asks for IOPL 3, and says what there is.
    iopl: "pushfd", "or dword ptr [esp], 0x3000", "popfd", "pushfd", "pop eax", "and eax, 0x3000", "xor ebx, ebx";
    mask: "cli";
}

fn allow(domain: DomId, port: u32, allow: bool) {
    let args = IoPortPermission {
        domain,
        allow: allow.into(),
        pad: 0,
        first_port: port,
        nr_ports: 1,
    };
    check!(op(&args).is_ok());
}

fn own(port: u32) -> bool {
    // SAFETY: nobody listens there.
    catch(|| unsafe { asm!("out dx, al", in("dx") port as u16, in("al") 0_u8) }).is_ok()
}

/// Whether a puppet can write to each port.
fn reach(puppet: Puppet) -> [bool; 3] {
    PORTS.map(|port| {
        puppet.set_word(0, port);
        match puppet.run(write) {
            Ended::Done(..) => true,
            Ended::Trap(13, _) => false,
            other => report::failure(format_args!("port {port:#x}: {other:x?}")),
        }
    })
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let (one, other, none) = (Puppet::new(|_| ()), Puppet::new(|_| ()), Puppet::new(|_| ()));
    let all = |wanted: [[bool; 3]; 4], what: &str| {
        for round in 0..3 {
            check_eq!(reach(one), wanted[0], "{what}, round {round}");
            check_eq!(PORTS.map(own), wanted[3], "{what}, round {round}");
            check_eq!(reach(other), wanted[1], "{what}, round {round}");
            check_eq!(reach(none), wanted[2], "{what}, round {round}");
            for puppet in [one, other, none] {
                check_eq!(puppet.run(iopl), Ended::Done(0, 0), "nobody's IOPL");
                check_eq!(puppet.run(mask).trap(), Some(13), "nobody masks interrupts");
            }
        }
    };
    let (yes, no) = (true, false);
    let nothing = [no; 3];
    all([nothing; 4], "at the start");
    allow(one.id, PORTS[0], true);
    all([[yes, no, no], nothing, nothing, nothing], "one has the first");
    allow(other.id, PORTS[1], true);
    allow(DomId::DOM0, PORTS[2], true);
    all(
        [[yes, no, no], [no, yes, no], nothing, [no, no, yes]],
        "each its own",
    );
    allow(one.id, PORTS[0], false);
    allow(one.id, PORTS[2], true);
    all(
        [[no, no, yes], [no, yes, no], nothing, nothing],
        "changed while away, and Domain0's no more",
    );
    allow(DomId::DOM0, PORTS[2], false);
    allow(other.id, PORTS[1], false);
    all([[no, no, yes], nothing, nothing, nothing], "taken");
    // Who has a bitmap no more gives none to the next in its frames.
    let pages = one.end();
    let next = Puppet::at(pages.0, pages.1, |_| ());
    check_eq!(reach(next), nothing);
    report::success()
}
