//! An edge-triggered line: what a device asks while the line is held back, or while nobody has bound it, is not lost; what it
//! asks once is told once.
//!
//! device: isa-serial,iobase=0x2e8,irq=5
//!
//! The device is a serial line of its own. Each time its transmitter's interrupt is enabled, with nothing to send, it asks.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::Ordering::SeqCst;
use guest_abi::domain::DomId;
use guest_abi::domctl::IoPortPermission;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{BindPirq, Close};
use guest_abi::hypercall::CallNumber;
use guest_abi::physdev::{IRQ_NEEDS_UNMASK_NOTIFY, IrqStatusQuery, IrqUnmaskNotify, PhysdevArgs, PhysdevOp};
use guest_abi::start_info::StartInfo;
use guest_abi::version::INTERFACE_VERSION;
use mini_guest::shared;
use test_guests::puppet::Puppet;
use test_guests::small_domain::op;
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

const LINE: u32 = 5;
/// Ports of the device, of its interrupt enable register and of the one that names the cause.
const PORTS: u32 = 0x2E8;
const ENABLE: u16 = PORTS as u16 + 1;
const CAUSE: u16 = PORTS as u16 + 2;
const TRANSMITTER: u8 = 1 << 1;
/// Times that the device asks in a row.
const ROUNDS: u32 = 1000;

fn out(port: u16, value: u8) {
    // SAFETY: a register of our device.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) }
}

fn input(port: u16) -> u8 {
    let value: u8;
    // SAFETY: as above.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) }
    value
}

/// One edge, from low to high.
fn ask() {
    stop();
    out(ENABLE, TRANSMITTER);
}

/// Low again.
fn stop() {
    out(ENABLE, 0);
    input(CAUSE);
}

fn physdev<A: PhysdevArgs>(args: &A) -> (Result<u32, Errno>, A) {
    let mut op = PhysdevOp::new(args);
    // SAFETY: the block is our own.
    let answer = unsafe { hypercall::physdev_op(&mut op) };
    (answer, op.args())
}

fn notify() {
    check_eq!(physdev(&IrqUnmaskNotify {}).0, Ok(0));
}

fn bind() -> u32 {
    let args = BindPirq {
        pirq: LINE,
        flags: 0,
        port: 0,
    };
    let bound = hypercall::event_channel_op(&args).map(|bound| bound.port);
    check!(bound.is_ok_and(|port| port != 0), "{bound:?}");
    bound.unwrap_or(0)
}

fn close(port: u32) {
    let args = Close {
        dom: DomId::SELF,
        pad: 0,
        port,
    };
    check_eq!(hypercall::event_channel_op(&args).map(drop), Ok(()));
}

/// Whether an event is at `port`, or comes within some time; takes it.
fn comes(port: u32) -> bool {
    (0..100).any(|_| {
        // Calls, so that the emulator looks at its devices.
        for _ in 0..20 {
            check_eq!(hypercall::xen_version(), Ok(INTERFACE_VERSION));
        }
        let bit = 1 << (port % 32);
        shared::pending_word(port as usize / 32).fetch_and(!bit, SeqCst) & bit != 0
    })
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let ports = IoPortPermission {
        domain: DomId::DOM0,
        allow: 1,
        pad: 0,
        first_port: PORTS,
        nr_ports: 8,
    };
    check!(op(&ports).is_ok());
    ask();
    if input(CAUSE) == 0xFF {
        report::skip(format_args!("there is no serial line at {PORTS:#x}"));
    }
    stop();
    let query = physdev(&IrqStatusQuery { irq: LINE, flags: 0 });
    check_eq!((query.0, query.1.flags), (Ok(0), IRQ_NEEDS_UNMASK_NOTIFY));
    let port = bind();
    shared::set_port_mask(port, false);
    // What was asked and withdrawn before may be told, once.
    let _ = comes(port);
    notify();
    check!(!comes(port), "nobody has asked");
    held_back(port);
    one_for_one(port);
    others(port);
    unbound(port);
    report::success()
}

/// Edges while the line is in service.
fn held_back(port: u32) {
    ask();
    check!(comes(port), "the interrupt does not come");
    check!(!comes(port), "it comes twice");
    // The line is high still, and that is no edge.
    notify();
    check!(!comes(port), "a level is taken for an edge");
    // An edge while the line is held back, and several of them: they come, as one, when it is opened.
    ask();
    check!(comes(port), "the line was not opened");
    for edges in [1, 2, 50] {
        (0..edges).for_each(|_| ask());
        check!(!comes(port), "it is held back");
        notify();
        check!(comes(port), "{edges} edges are lost");
        check!(!comes(port));
    }
    // The port is masked when it comes: the event waits in its bit, and the notification in vain.
    notify();
    check!(!comes(port));
    shared::set_port_mask(port, true);
    ask();
    notify();
    check!(comes(port), "a masked port's event waits");
    ask();
    notify();
    check!(!comes(port), "opened though its port is masked");
    shared::set_port_mask(port, false);
    check!(!comes(port), "opened without a notification");
    notify();
    check!(comes(port), "the edge in between is lost");
    notify();
    check!(!comes(port));
}

/// Every edge is told, and told once.
fn one_for_one(port: u32) {
    for round in 0..ROUNDS {
        ask();
        check!(comes(port), "edge {round} is lost");
        notify();
    }
    check!(!comes(port));
}

/// Notifications of who has nothing to do with the line open nothing.
fn others(port: u32) {
    let puppet = Puppet::new(|_| ());
    ask();
    check!(comes(port));
    let block = puppet.put(&PhysdevOp::new(&IrqUnmaskNotify {}));
    check_eq!(puppet.call(CallNumber::PHYSDEV_OP, &[block]), Ok(0));
    ask();
    check!(!comes(port), "somebody else has opened it");
    notify();
    check!(comes(port));
    notify();
    puppet.end();
}

/// Edges while nobody has bound the line.
fn unbound(port: u32) {
    for is_serving in [false, true] {
        if is_serving {
            ask();
            check!(comes(port));
        }
        close(port);
        ask();
        check!(!comes(port), "to a closed port");
        let again = bind();
        check_eq!(again, port, "the lowest free port");
        check!(comes(port), "an edge before the line was bound is lost");
        notify();
        check!(!comes(port));
    }
    stop();
}
