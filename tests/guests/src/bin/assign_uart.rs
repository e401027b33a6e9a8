//! The second serial line as one domain's alone: its ports and its interrupt, which nobody else reaches, Domain0 included; taken back
//! with the domain's end, in the middle of an interrupt that was never answered, and given to the next.
//!
//! second serial: one has it.
//! second serial: now the other.
//! second serial: and Domain0 again.
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::domain::DomId;
use guest_abi::domctl::{IoPortPermission, IrqPermission};
use guest_abi::errno::Errno;
use guest_abi::event_channel::BindPirq;
use guest_abi::hypercall::CallNumber;
use guest_abi::physdev::{IrqUnmaskNotify, PhysdevOp};
use guest_abi::start_info::StartInfo;
use test_guests::puppet::{Ended, Puppet};
use test_guests::small_domain::op;
use test_guests::tables::Space;
use test_guests::{catch, check, check_eq, guest_abi, hypercall, report, scripts};

test_guests::entry!(main);

const UART: u32 = 0x2F8;
const ENABLE: u32 = UART + 1;
const CAUSE: u32 = UART + 2;
const STATUS: u32 = UART + 5;
const TRANSMITTER: u32 = 1 << 1;
const EMPTY: u32 = 1 << 5;
const LINE: u32 = 3;

scripts! {
    write: "mov edx, [words]", "mov eax, [words + 4]", "out dx, al";
    read: "mov edx, [words]", "xor eax, eax", "in al, dx";
}

fn ports(domain: DomId, first_port: u32, nr_ports: u32, allow: u8) -> Result<(), Errno> {
    let args = IoPortPermission {
        domain,
        allow,
        pad: 0,
        first_port,
        nr_ports,
    };
    op(&args).map(drop)
}

fn line(domain: DomId, irq: u32, allow: u8) -> Result<(), Errno> {
    let args = IrqPermission {
        domain,
        allow,
        pad: 0,
        irq,
    };
    op(&args).map(drop)
}

/// Whether a puppet may write there.
fn out(puppet: Puppet, port: u32, value: u32) -> bool {
    puppet.set_word(0, port);
    puppet.set_word(1, value);
    match puppet.run(write) {
        Ended::Done(..) => true,
        Ended::Trap(13, _) => false,
        other => report::failure(format_args!("port {port:#x}: {other:x?}")),
    }
}

fn input(puppet: Puppet, port: u32) -> Option<u32> {
    puppet.set_word(0, port);
    puppet.run(read).eax()
}

fn say(puppet: Puppet, text: &str) {
    for byte in text.bytes() {
        while input(puppet, STATUS).is_some_and(|status| status & EMPTY == 0) {}
        check!(out(puppet, UART, byte.into()));
    }
}

/// Whether Domain0 itself may write there.
fn own(port: u32, value: u8) -> bool {
    // SAFETY: a register of the second serial line.
    catch(|| unsafe { asm!("out dx, al", in("dx") port as u16, in("al") value) }).is_ok()
}

fn notify(puppet: Puppet) {
    let block = puppet.put(&PhysdevOp::new(&IrqUnmaskNotify {}));
    check_eq!(puppet.call(CallNumber::PHYSDEV_OP, &[block]), Ok(0));
}

/// What is the hypervisor's is given to nobody.
fn never(puppet: Puppet) {
    for (first, count) in [
        (0x3F8, 8),
        (0x3FF, 1),
        (0x20, 2),
        (0xA0, 2),
        (0x40, 4),
        (0x60, 1),
        (0xF4, 4),
        (0xCF8, 8),
        (0x92, 1),
        (0x200, 0x200),
    ] {
        check_eq!(ports(puppet.id, first, count, 1), Err(Errno::Inval), "{first:#x}");
    }
    for irq in [0, 2, 4, 16, u32::MAX] {
        check_eq!(line(puppet.id, irq, 1), Err(Errno::Inval), "line {irq}");
    }
}

/// Nobody but the holder reaches anything of it.
fn attack(holder: Puppet, other: Puppet) {
    for port in UART..UART + 8 {
        check!(!out(other, port, 0) && !own(port, 0), "port {port:#x}");
        check_eq!(ports(DomId::DOM0, port, 1, 1), Err(Errno::Busy));
        check_eq!(ports(other.id, port, 1, 1), Err(Errno::Busy));
    }
    check!(
        !out(holder, UART - 1, 0) && !out(holder, UART + 8, 0),
        "its neighbours"
    );
    check_eq!(ports(other.id, UART - 8, 9, 1), Err(Errno::Busy), "a part of it");
    check!(!out(other, UART - 8, 0), "nothing was given");
    check_eq!(line(other.id, LINE, 1), Err(Errno::Busy));
    check_eq!(line(DomId::DOM0, LINE, 1), Err(Errno::Busy));
    check_eq!(other.bind_line(LINE), Err(Errno::Perm));
    let args = BindPirq {
        pirq: LINE,
        flags: 1,
        port: 0,
    };
    check_eq!(hypercall::event_channel_op(&args).map(drop), Err(Errno::Perm));
    // Nor does the holder give it away.
    let args = puppet_order(holder, other);
    check_eq!(args, Err(Errno::Perm));
}

fn puppet_order(holder: Puppet, other: Puppet) -> Result<u32, Errno> {
    let args = IoPortPermission {
        domain: other.id,
        allow: 1,
        pad: 0,
        first_port: UART,
        nr_ports: 8,
    };
    let block = holder.put(&guest_abi::domctl::Dom0Op::new(&args));
    holder.call(CallNumber::DOM0_OP, &[block])
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let (one, other) = (Puppet::new(|_| ()), Puppet::new(|_| ()));
    never(one);
    check!(
        !out(one, UART, 0) && !out(other, UART, 0) && !own(UART, 0),
        "nobody's at the start"
    );
    // Domain0 uses it until it is given away.
    check_eq!(ports(DomId::DOM0, UART, 8, 1), Ok(()));
    check!(own(ENABLE, 0));
    let args = BindPirq {
        pirq: LINE,
        flags: 0,
        port: 0,
    };
    check!(hypercall::event_channel_op(&args).is_ok());

    check_eq!(ports(one.id, UART, 8, 1), Ok(()));
    check_eq!(line(one.id, LINE, 1), Ok(()));
    attack(one, other);
    say(one, "one has it.\n");
    let port = one.bind_line(LINE).unwrap_or(0);
    check!(port != 0 && !one.event_comes(port), "nobody has asked");
    check!(out(one, ENABLE, TRANSMITTER));
    check!(one.event_comes(port), "the interrupt does not come");
    check!(!one.event_comes(port), "it comes twice");
    check!(input(one, CAUSE).is_some() && out(one, ENABLE, 0));
    notify(one);
    check!(
        out(one, ENABLE, TRANSMITTER) && one.event_comes(port),
        "the next one"
    );
    attack(one, other);

    // Never answered, and its domain ends.
    let pages = one.end();
    check!(own(ENABLE, 0) && own(UART + 7, 0), "Domain0 has it again");
    check_eq!(ports(other.id, UART, 8, 1), Ok(()));
    check_eq!(line(other.id, LINE, 1), Ok(()));
    let next = Puppet::at(pages.0, pages.1, |_| ());
    attack(other, next);
    let port = other.bind_line(LINE).unwrap_or(0);
    let _ = other.event_comes(port);
    notify(other);
    say(other, "now the other.\n");
    check!(
        out(other, ENABLE, TRANSMITTER) && other.event_comes(port),
        "the line was left open to the next"
    );
    check!(out(other, ENABLE, 0));
    // Taken from who lives.
    check_eq!(line(other.id, LINE, 0), Ok(()));
    check_eq!(ports(other.id, UART, 8, 0), Ok(()));
    check!(!out(other, UART, 0) && own(ENABLE, 0));
    for byte in *b"and Domain0 again.\n" {
        check!(own(UART, byte));
    }
    check!(hypercall::event_channel_op(&args).is_ok(), "the line as well");
    report::success()
}
