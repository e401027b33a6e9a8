//! PCI functions as domains' own: registers, interrupt, bus mastering; shared lines; and nobody else, Domain0 included.
//!
//! device: edu,addr=0x10,dma_mask=0xffffffff
//! device: edu,addr=0x14,dma_mask=0xffffffff
//!
//! The device is QEMU's `edu`: a write to register 0x60 of its memory makes it ask, one to 0x64 makes it stop; 0x80 and up copy
//! between its buffer and memory. Both are on the same line.
#![no_std]
#![no_main]

use guest_abi::addr::{MachAddr, Mfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{IoMemPermission, IrqPermission, PciDevAccess, PciDevHolder};
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::physdev::{IrqUnmaskNotify, PciConfigRead, PciConfigWrite, PhysdevArgs, PhysdevOp};
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, WRITABLE, peek32, poke32};
use test_guests::puppet::{Ended, Puppet};
use test_guests::raw::remap;
use test_guests::small_domain::op;
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, report, scripts};

test_guests::entry!(main);

const EDU: u32 = 0x11E8_1234;
const DEVICES: [u32; 2] = [0x10, 0x14];
const COMMAND: u32 = 4;
const MEMORY: u32 = 1 << 1;
const MASTER: u32 = 1 << 2;
const BAR: u32 = 0x10;
/// Registers of the device.
const IDENTITY: u32 = 0;
const ASK: u32 = 0x60;
const STOP: u32 = 0x64;
const FROM: u32 = 0x80;
const TO: u32 = 0x88;
const COUNT: u32 = 0x90;
const ORDER: u32 = 0x98;
/// Where its buffer is in its own eyes.
const BUFFER: u32 = 0x4_0000;

scripts! {
    /// A register of the device, which is mapped in the place of the data page.
    put: "mov edx, [words]", "mov eax, [words + 4]", "mov [data_page + edx], eax";
    get: "mov edx, [words]", "mov eax, [data_page + edx]";
}

fn physdev<A: PhysdevArgs>(args: &A) -> (Result<u32, Errno>, A) {
    let mut op = PhysdevOp::new(args);
    // SAFETY: the block is our own.
    let answer = unsafe { hypercall::physdev_op(&mut op) };
    (answer, op.args())
}

fn config_read(dev: u32, reg: u32, len: u32) -> PciConfigRead {
    PciConfigRead {
        dev,
        reg,
        len,
        ..PciConfigRead::default()
    }
}

fn config_write(dev: u32, reg: u32, len: u32, value: u32) -> PciConfigWrite {
    PciConfigWrite {
        dev,
        reg,
        len,
        value,
        ..PciConfigWrite::default()
    }
}

/// Domain0's look at a register.
fn own_read(dev: u32, reg: u32, len: u32) -> u32 {
    physdev(&config_read(dev, reg, len)).1.value
}

fn ask<A: PhysdevArgs>(puppet: Puppet, args: &A) -> (Result<u32, Errno>, A) {
    let block = puppet.put(&PhysdevOp::new(args));
    let answer = puppet.call(CallNumber::PHYSDEV_OP, &[block]);
    (answer, puppet.get::<PhysdevOp>().args())
}

fn read(puppet: Puppet, dev: u32, reg: u32, len: u32) -> Result<u32, Errno> {
    let (answer, args) = ask(puppet, &config_read(dev, reg, len));
    answer.map(|_| args.value)
}

fn write(puppet: Puppet, dev: u32, reg: u32, len: u32, value: u32) -> Result<(), Errno> {
    ask(puppet, &config_write(dev, reg, len, value)).0.map(drop)
}

fn access(domain: DomId, dev: u32, allow: u32) -> Result<(), Errno> {
    let args = PciDevAccess {
        domain,
        dev,
        allow,
        ..PciDevAccess::default()
    };
    op(&args).map(drop)
}

fn registers(frame: u32) -> Pte {
    Pte::new(Mfn::new(frame), WRITABLE.union(PteFlags::NO_CACHE))
}

fn poke(puppet: Puppet, register: u32, value: u32) {
    puppet.set_word(0, register);
    puppet.set_word(1, value);
    check!(matches!(puppet.run(put), Ended::Done(..)));
}

fn peek(puppet: Puppet, register: u32) -> u32 {
    puppet.set_word(0, register);
    puppet.run(get).eax().unwrap_or(u32::MAX)
}

fn notify(puppet: Puppet) {
    check_eq!(ask(puppet, &IrqUnmaskNotify {}).0, Ok(0));
}

/// What the machine says of a device: line and first frame.
fn place(dev: u32) -> (u32, u32) {
    (own_read(dev, 0x3C, 1), own_read(dev, BAR, 4) >> 12)
}

/// Whom nothing was given reaches nothing.
fn attack(holder: Puppet, other: Puppet, dev: u32, window: u32) {
    let (line, frame) = place(dev);
    let before = [COMMAND, BAR, 0x3C].map(|reg| own_read(dev, reg, 4));
    // Configuration space, of the other and of Domain0.
    check_eq!(read(other, dev, 0, 4), Err(Errno::Perm));
    check_eq!(write(other, dev, COMMAND, 2, MEMORY | MASTER), Err(Errno::Perm));
    check_eq!(
        physdev(&config_write(dev, COMMAND, 2, MASTER)).0,
        Err(Errno::Perm)
    );
    check_eq!(
        physdev(&config_write(dev, BAR, 4, 0xF000_0000)).0,
        Err(Errno::Perm)
    );
    // Frames.
    check!(other.remap(6, registers(frame)).is_err(), "the other maps it");
    check!(remap(window, registers(frame)).is_err(), "Domain0 maps it");
    let frames = |domain| {
        let args = IoMemPermission {
            domain,
            allow: 1,
            pad: 0,
            first_frame: Mfn::new(frame),
            nr_frames: 1,
        };
        op(&args).map(drop)
    };
    check_eq!(
        (frames(other.id), frames(DomId::DOM0)),
        (Err(Errno::Busy), Err(Errno::Busy))
    );
    check!(holder.remap(7, registers(frame - 1)).is_err(), "its neighbour");
    check!(holder.remap(7, registers(0xFEE00)).is_err(), "the local APIC");
    // The whole function, and its line.
    for allow in [PciDevAccess::GIVE, PciDevAccess::GIVE_WITH_DMA] {
        check_eq!(access(other.id, dev, allow), Err(Errno::Busy));
        check_eq!(access(holder.id, dev, allow), Err(Errno::Busy), "twice");
    }
    let args = IrqPermission {
        domain: other.id,
        allow: 1,
        pad: 0,
        irq: line,
    };
    check_eq!(op(&args).map(drop), Err(Errno::Busy));
    // What its holder may not do: lay it over RAM or another device, have it send messages, change its line.
    for (reg, len, value) in [
        (BAR, 4, 0x0010_0000),
        (BAR, 4, (frame << 12) + 0x10_0000),
        (BAR, 2, 0),
        (0x30, 4, 0x0010_0001),
        (0x3C, 1, 5),
        (0x34, 1, 0),
    ] {
        check_eq!(
            write(holder, dev, reg, len, value),
            Err(Errno::Perm),
            "register {reg:#x}"
        );
    }
    let messages = own_read(dev, 0x34, 1);
    check_eq!(own_read(dev, messages, 1), 5, "edu has messages");
    check_eq!(write(holder, dev, messages + 2, 2, 1), Err(Errno::Perm));
    check_eq!(write(holder, dev, messages + 4, 4, 0xFEE0_0000), Err(Errno::Perm));
    check_eq!(own_read(dev, messages + 2, 2) & 1, 0);
    check_eq!([COMMAND, BAR, 0x3C].map(|reg| own_read(dev, reg, 4)), before);
}

/// A domain that takes possession of a device.
fn begin(puppet: Puppet, dev: u32) -> u32 {
    let (line, frame) = place(dev);
    check_eq!(read(puppet, dev, 0, 4), Ok(EDU));
    check_eq!(write(puppet, dev, BAR, 4, u32::MAX), Ok(()));
    check_eq!(read(puppet, dev, BAR, 4), Ok(0xFFF0_0000), "its size");
    check_eq!(write(puppet, dev, BAR, 4, frame << 12), Ok(()));
    check_eq!(write(puppet, dev, COMMAND, 2, MEMORY), Ok(()));
    check_eq!(puppet.remap(6, registers(frame)), Ok(()));
    check_eq!(peek(puppet, IDENTITY), 0x0100_00ED);
    let port = puppet.bind_line(line).unwrap_or(0);
    check!(port != 0);
    port
}

/// Has the device copy the first bytes of its buffer to `frame`, and waits until it says that it has.
fn copy_to(puppet: Puppet, frame: Mfn) {
    let to: MachAddr = frame.addr();
    for (register, value) in [
        (FROM, BUFFER),
        (FROM + 4, 0),
        (TO, to.raw() as u32),
        (TO + 4, 0),
        (COUNT, 16),
        (COUNT + 4, 0),
        (ORDER, 3),
    ] {
        poke(puppet, register, value);
    }
    while peek(puppet, ORDER) & 1 != 0 {}
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let [first, second] = DEVICES;
    if DEVICES.map(|dev| own_read(dev, 0, 4)) != [EDU; 2] {
        report::skip(format_args!("there are no edu devices"));
    }
    let window = Page::take().0;
    let (one, other) = (Puppet::new(|_| ()), Puppet::new(|_| ()));
    let (line, frame) = place(first);
    check_eq!(place(second).0, line, "both are on one line");
    // The host bridge, nobody's device, nobody's domain; and while Domain0 has it mapped.
    check_eq!(access(one.id, 0, PciDevAccess::GIVE), Err(Errno::Perm));
    check_eq!(access(one.id, 0x1E, PciDevAccess::GIVE), Err(Errno::NoDev));
    check_eq!(access(DomId::DOM0, first, PciDevAccess::GIVE), Err(Errno::Inval));
    check_eq!(access(one.id, first, 2), Err(Errno::Inval));
    check_eq!(remap(window, registers(frame)), Ok(()));
    check_eq!(
        access(one.id, first, PciDevAccess::GIVE),
        Err(Errno::Busy),
        "it is mapped here"
    );
    check_eq!(remap(window, Pte::from_raw(0)), Ok(()));
    let of = |dev| {
        op(&PciDevHolder {
            dev,
            ..PciDevHolder::default()
        })
        .map(|of| (of.domain, of.has_dma))
    };
    check_eq!(of(first), Err(Errno::NoData));

    check_eq!(access(one.id, first, PciDevAccess::GIVE), Ok(()));
    check_eq!(of(first), Ok((one.id, 0)));
    attack(one, other, first, window);
    let port = begin(one, first);
    attack(one, other, first, window);
    check_eq!(
        access(one.id, first, PciDevAccess::TAKE),
        Err(Errno::Busy),
        "its holder maps it"
    );

    // Kept from being master of the bus, it writes nowhere.
    check_eq!(write(one, first, COMMAND, 2, MEMORY | MASTER), Err(Errno::Perm));
    let page = Page::take();
    let (words, target) = (page.0, page.mfn());
    poke32(words, 0x600D_600D);
    copy_to(one, target);
    check_eq!(peek32(words), 0x600D_600D, "it reached memory");

    // Its interrupt; the other shares the line by the second device.
    check_eq!(access(other.id, second, PciDevAccess::GIVE_WITH_DMA), Ok(()));
    check_eq!(of(second), Ok((other.id, 1)));
    let port_2 = begin(other, second);
    check!(
        !one.event_comes(port) && !other.event_comes(port_2),
        "nobody has asked"
    );
    poke(one, ASK, 1);
    check!(one.event_comes(port), "the interrupt does not come");
    check!(!other.event_comes(port_2), "it is not the other's");
    // The first never answers; the second's go on.
    for _ in 0..3 {
        poke(other, ASK, 1);
        check!(
            other.event_comes(port_2),
            "held up by a domain that does not answer"
        );
        poke(other, STOP, 1);
        notify(other);
    }
    check!(!one.event_comes(port), "it comes twice");
    notify(one);
    check!(one.event_comes(port), "a level is forgotten");
    // Who may be master reaches memory: that of anybody.
    check_eq!(write(other, second, COMMAND, 2, MEMORY | MASTER), Ok(()));
    copy_to(other, target);
    check!(peek32(words) != 0x600D_600D, "it does not reach memory");

    // The first dies with the interrupt in service, its device asking, mapped and decoding.
    let pages = one.end();
    check_eq!(own_read(first, COMMAND, 2) & 0x407, 0x400, "quiet");
    check_eq!(of(first), Err(Errno::NoData));
    check_eq!(remap(window, registers(frame)), Ok(()), "Domain0's again");
    check_eq!(remap(window, Pte::from_raw(0)), Ok(()));
    let next = Puppet::at(pages.0, pages.1, |_| ());
    check_eq!(access(next.id, first, PciDevAccess::GIVE), Ok(()));
    attack(next, other, first, window);
    let port = begin(next, first);
    check!(next.event_comes(port), "it asks since before");
    poke(next, STOP, 1);
    notify(next);
    check!(!next.event_comes(port));
    // Taken from who lives, when he lets go of it.
    check_eq!(next.remap(6, Pte::from_raw(0)), Ok(()));
    check_eq!(access(next.id, first, PciDevAccess::TAKE), Ok(()));
    check!(next.remap(6, registers(frame)).is_err() && read(next, first, 0, 4).is_err());
    check_eq!(next.bind_line(line), Err(Errno::Perm));
    // The other ends while its device is master of the bus.
    other.end();
    check_eq!(own_read(second, COMMAND, 2) & 0x407, 0x400);
    report::success()
}
