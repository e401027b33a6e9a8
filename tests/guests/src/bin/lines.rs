//! Physical interrupts and PCI configuration space: a level-triggered line of a device that interrupts when it is told to.
//!
//! device: edu
//!
//! The device is QEMU's `edu`: a write to register 0x60 of its memory makes it ask, one to 0x64 makes it stop.
#![no_std]
#![no_main]

use core::sync::atomic::Ordering::SeqCst;
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{BindPirq, Close, PortState, Send, Status};
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::physdev::{
    IRQ_NEEDS_UNMASK_NOTIFY, IrqStatusQuery, IrqUnmaskNotify, PciConfigRead, PciConfigWrite,
    PciInitialiseDevice, PciProbeRootBuses, PhysdevArgs, PhysdevOp,
};
use guest_abi::start_info::StartInfo;
use guest_abi::version::INTERFACE_VERSION;
use mini_guest::shared;
use test_guests::pages::{self, Page, WRITABLE, peek32, poke32};
use test_guests::raw::remap;
use test_guests::{check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

const EDU: u32 = 0x11E8_1234;
const ASK: u32 = 0x60;
const STOP: u32 = 0x64;

fn physdev<A: PhysdevArgs>(args: &A) -> (Result<u32, Errno>, A) {
    let mut op = PhysdevOp::new(args);
    // SAFETY: the block is our own.
    let answer = unsafe { hypercall::physdev_op(&mut op) };
    (answer, op.args())
}

fn read(dev: u32, reg: u32, len: u32) -> u32 {
    let args = PciConfigRead {
        dev,
        reg,
        len,
        ..PciConfigRead::default()
    };
    physdev(&args).1.value
}

fn notify() {
    check_eq!(physdev(&IrqUnmaskNotify {}).0, Ok(0));
}

fn bind(pirq: u32) -> Result<u32, Errno> {
    hypercall::event_channel_op(&BindPirq {
        pirq,
        flags: 0,
        port: 0,
    })
    .map(|bound| bound.port)
}

/// Whether an event comes at `port` within some time; takes it.
fn comes(port: u32) -> bool {
    (0..200).any(|_| {
        // Calls, so that the emulator looks at its devices.
        for _ in 0..100 {
            check_eq!(hypercall::xen_version(), Ok(INTERFACE_VERSION));
        }
        let bit = 1 << (port % 32);
        shared::pending_word(port as usize / 32).fetch_and(!bit, SeqCst) & bit != 0
    })
}

fn main(start_info: &'static StartInfo) -> ! {
    pages::init(start_info);
    let (answer, buses) = physdev(&PciProbeRootBuses::default());
    check_eq!((answer, buses.busmask[0] & 1), (Ok(0), 1));
    let Some(dev) = (0..32).find(|dev| read(*dev, 0, 4) == EDU) else {
        report::skip(format_args!("there is no edu device"));
    };
    check_eq!(read(dev, 2, 2), EDU >> 16);
    let init = PciInitialiseDevice {
        dev,
        ..PciInitialiseDevice::default()
    };
    check_eq!(physdev(&init).0, Ok(0));
    const MEMORY: u32 = 1 << 1;
    let command = PciConfigWrite {
        dev,
        reg: 4,
        len: 2,
        value: read(dev, 4, 2) | MEMORY,
        ..PciConfigWrite::default()
    };
    check_eq!(physdev(&command).0, Ok(0));
    check!(read(dev, 4, 2) & MEMORY != 0);
    let registers = Page::take().0;
    let frame = u64::from(read(dev, 0x10, 4) & !0xFFF);
    let flags = WRITABLE.union(PteFlags::NO_CACHE);
    check_eq!(remap(registers, Pte::from_raw(frame | flags.bits())), Ok(()));

    let line = read(dev, 0x3C, 1);
    check!(line < 16, "line {line}");
    let query = physdev(&IrqStatusQuery { irq: line, flags: 0 });
    check_eq!((query.0, query.1.flags), (Ok(0), IRQ_NEEDS_UNMASK_NOTIFY));
    refusals();
    interrupts(line, registers);
    report::success()
}

fn refusals() {
    for (pirq, error) in [
        (0, Errno::Busy),
        (2, Errno::Busy),
        (4, Errno::Busy),
        (16, Errno::Perm),
        (127, Errno::Perm),
        (128, Errno::Inval),
    ] {
        check_eq!(bind(pirq), Err(error), "line {pirq}");
    }
}

fn interrupts(line: u32, registers: u32) {
    let port = bind(line).unwrap_or(0);
    check!(port != 0);
    check_eq!(bind(line), Ok(port), "bound once");
    let status = hypercall::event_channel_op(&Status {
        dom: DomId::SELF,
        port,
        ..Status::default()
    });
    check_eq!(
        status.map(|status| (status.state, status.detail)),
        Ok((PortState::PIRQ, line))
    );
    check_eq!(
        hypercall::event_channel_op(&Send { local_port: port }).map(drop),
        Err(Errno::Inval)
    );
    shared::set_port_mask(port, false);
    check!(!comes(port), "nobody has asked");

    // One event, then the line is held back though the device goes on asking.
    poke32(registers + ASK, 1);
    check!(comes(port), "the interrupt does not come");
    check!(!comes(port), "it comes twice");
    // Done, but the device still asks: once more.
    notify();
    check!(comes(port), "a level is forgotten");
    // In the wrong order the notification is lost.
    shared::set_port_mask(port, true);
    notify();
    check!(!comes(port));
    shared::set_port_mask(port, false);
    check!(!comes(port), "opened without a notification");
    poke32(registers + STOP, 1);
    notify();
    check!(!comes(port), "an interrupt that nobody asked for");
    poke32(registers + ASK, 2);
    check!(comes(port), "the line was not opened");

    // A closed port: the device asks into the void, and the machine goes on.
    let close = Close {
        dom: DomId::SELF,
        pad: 0,
        port,
    };
    check_eq!(hypercall::event_channel_op(&close).map(drop), Ok(()));
    check!(!comes(port));
    let port = bind(line).unwrap_or(0);
    check!(port != 0 && comes(port), "bound anew, it asks at once");
    check_eq!(peek32(registers + 0x24), 2);
    poke32(registers + STOP, 2);
    // Ended with the line in service.
}
