//! Which driver takes which function, and the disks and interfaces that come of it.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use guest_abi::addr::PAGE_SIZE;
use guest_abi::event_channel::Virq;

use super::ahci::Ahci;
use super::cards::Card;
use super::class;
use super::dma::DmaPage;
use super::hidden::Hidden;
use super::lines::{Driver, Lines};
use super::pci::{self, Function};
use super::virtio_block::VirtioBlock;
use crate::block::ram::RamDisk;
use crate::block::table::{Next, Scan};
use crate::block::{Client, Device, Disks, Op, Request, SECTOR, Segment};
use crate::kernel::SerialLine;
use crate::linux::Errno;
use crate::net::registry::Interfaces;
use crate::{events, mm, println, time};

/// How long a disk may take for a piece of its partition table.
const SCAN_NS: u64 = 10 * time::NS_PER_SEC;
/// The part of the domain's memory that a disk's cache may have: one of so many.
const CACHE_SHARE: u32 = 8;
/// Most blocks of a cache: 32 MiB.
const MAX_CACHE: u32 = 8192;
/// Vendor and device numbers of virtio's disk: the number of today's, and that of one which still knows the old interface.
const VIRTIO_BLOCK: [(u16, u16); 2] = [(0x1AF4, 0x1042), (0x1AF4, 0x1001)];
/// Class, subclass and programming interface of AHCI.
const AHCI: (u8, u8, u8) = (0x01, 0x06, 0x01);
/// The word in a module's command line that makes it a RAM disk.
const RAM_DISK: &[u8] = b"ramdisk";

/// The devices of this domain.
#[derive(Default)]
pub struct Devices {
    /// PCI functions.
    pub functions: Vec<Function>,
    /// Lines of their interrupts.
    pub lines: Lines,
    /// Disks and partitions.
    pub disks: Disks,
    /// Network cards, until somebody takes them to use them.
    pub cards: Vec<Card>,
    /// Serial lines.
    pub(crate) serials: Vec<Rc<SerialLine>>,
    /// Network interfaces: the cards', and others'.
    pub interfaces: Interfaces,
}

impl Devices {
    /// Finds the devices and sets their drivers up, but for what the command line hides; reads the disks' partition tables, sleeping until
    /// they are there. Events that others wait for must not come yet: they would be lost.
    ///
    /// Of a domain that was given no device there are none.
    #[must_use]
    pub fn find(command_line: &[u8]) -> Self {
        let (hidden, unknown) = Hidden::parse(command_line);
        for word in unknown {
            println!(
                "mini-guest: pci-hide={}: not BUS:DEVICE.FUNCTION; ignored",
                word.escape_ascii()
            );
        }
        let mut devices = Self {
            functions: pci::functions(),
            ..Self::default()
        };
        if devices.functions.is_empty() {
            return devices;
        }
        if mm::open_io().is_err() {
            println!("mini-guest: no memory to map devices' registers");
            return devices;
        }
        // The timer's event ends the wait for a disk that does not answer.
        if let Err(errno) = events::bind_virq(Virq::TIMER) {
            println!("mini-guest: no timer for the disks: {errno}");
        }
        let mut virtio: Vec<Rc<dyn Device>> = Vec::new();
        let mut sata: Vec<Rc<dyn Device>> = Vec::new();
        for index in 0..devices.functions.len() {
            let function = devices.functions[index].clone();
            let info = &function.info;
            let at = function.at;
            if hidden.has(at.bus, at.device, at.function) {
                println!("mini-guest: device at {at}: left for other domains");
                continue;
            }
            let taken = if VIRTIO_BLOCK.contains(&(info.vendor_id, info.device_id)) {
                devices.take(&function, VirtioBlock::new).map(|disk| {
                    virtio.push(disk);
                    "virtio-blk"
                })
            } else if (info.class, info.subclass, info.prog_if) == AHCI {
                devices.take(&function, Ahci::new).map(|controller| {
                    let lines = &mut devices.lines;
                    let disks = controller.disks(|deadline| lines.wait(deadline));
                    sata.extend(disks.into_iter().map(|disk| -> Rc<dyn Device> { disk }));
                    "ahci"
                })
            } else if let Some(taken) = devices.take_card(&function) {
                taken
            } else {
                continue;
            };
            match taken {
                Ok(driver) => devices.functions[index].driver = Some(driver),
                Err(Errno::EPERM) => println!(
                    "mini-guest: device at {}: its driver has it reach memory, which needs --unsafe-dma where it is given",
                    function.at
                ),
                Err(errno) => println!("mini-guest: device at {}: {errno}", function.at),
            }
        }
        for (kind, disks) in [("vd", virtio), ("sd", sata)] {
            for (disk, letter) in disks.into_iter().zip('a'..='z') {
                devices.add_disk(&format!("{kind}{letter}"), disk);
            }
        }
        devices
    }

    /// Sets a driver up and binds the function's line.
    pub(super) fn take<D: Driver + 'static>(
        &mut self,
        function: &Function,
        new: impl FnOnce(pci::DeviceFunction) -> Result<D, Errno>,
    ) -> Result<Rc<D>, Errno> {
        // Without an interrupt nothing would ever be complete.
        let line = function.line.ok_or(Errno::ENXIO)?;
        pci::enable(function.at)?;
        let driver = Rc::new(new(function.at)?);
        self.lines
            .add(line, driver.clone())
            .map_err(Errno::from_hypervisor)?;
        Ok(driver)
    }

    /// Adds RAM disks: `ram0` and on, a module for each whose command line has the word `ramdisk` after its name.
    pub fn add_ram_disks(&mut self, modules: impl Iterator<Item = (&'static [u8], &'static [u8])>) {
        let disks =
            modules.filter(|(line, _)| line.split(u8::is_ascii_whitespace).skip(1).any(|w| w == RAM_DISK));
        for (number, (_, bytes)) in disks.enumerate() {
            self.add_disk(&format!("ram{number}"), Rc::new(RamDisk::new(bytes, 0)));
        }
    }

    /// Adds a disk and its partitions.
    pub fn add_disk(&mut self, name: &str, disk: Rc<dyn Device>) {
        let sectors = disk.info().sectors;
        let mut scan = Scan::new(sectors);
        while let Next::Read(first, count) = scan.next() {
            let bytes = read(&mut self.lines, &*disk, first, count as usize);
            if bytes.is_none() {
                println!("mini-guest: {name}: the partition table cannot be read");
            }
            scan.take(bytes.as_deref());
        }
        let is_new = self.disks.add(name, disk, cache_blocks());
        assert!(is_new, "two disks {name}");
        self.add_parts(name, &scan);
    }

    /// Adds what a disk's partition table says, and tells.
    pub fn add_parts(&mut self, name: &str, scan: &Scan) {
        let sectors = self.disks.volume(name).map_or(0, |disk| disk.sectors);
        let mut text = String::new();
        // A digit at the end of the disk's name needs something between.
        let joint = if name.ends_with(|c: char| c.is_ascii_digit()) {
            "p"
        } else {
            ""
        };
        for part in scan.found() {
            let part_name = format!("{name}{joint}{}", part.number);
            if self.disks.add_part(&part_name, name, part.first, part.sectors) {
                let _ = write!(text, " {part_name}");
            }
        }
        println!(
            "mini-guest: {name}: {} KiB{}{text}",
            sectors / 2,
            if text.is_empty() { "" } else { "," }
        );
    }

    /// What `/proc/pci` shows.
    #[must_use]
    pub fn pci_text(&self) -> String {
        let mut text = String::new();
        for function in &self.functions {
            let (at, info) = (function.at, &function.info);
            let _ = write!(
                text,
                "{:02x}:{:02x}.{} {}: {:04x}:{:04x} (rev {:02x})",
                at.bus,
                at.device,
                at.function,
                class::name(info.class, info.subclass),
                info.vendor_id,
                info.device_id,
                info.revision
            );
            if let Some(line) = function.line {
                let _ = write!(text, ", line {line}");
            }
            if let Some(driver) = function.driver {
                let _ = write!(text, ", driver {driver}");
            }
            text.push('\n');
        }
        text
    }

    /// What `/proc/interrupts` shows: events of the devices' lines.
    #[must_use]
    pub fn interrupts_text(&self) -> String {
        let mut text = String::from("           CPU0\n");
        for (line, count) in self.lines.counts() {
            let _ = writeln!(text, "{line:>3}: {count:>10}   8259");
        }
        text
    }
}

/// Blocks that a disk's cache may have in this domain.
#[must_use]
pub fn cache_blocks() -> usize {
    let (_, frames) = mm::frame_counts();
    (frames / CACHE_SHARE).min(MAX_CACHE) as usize
}

/// Reads a few sectors, sleeping until they are there; `None` where that fails or takes too long.
fn read(lines: &mut Lines, disk: &dyn Device, first: u64, count: usize) -> Option<Vec<u8>> {
    let len = count * SECTOR;
    let pages: Vec<DmaPage> = (0..len.div_ceil(PAGE_SIZE))
        .map(|_| DmaPage::new())
        .collect::<Result<_, _>>()
        .ok()?;
    let segments: Vec<Segment> = pages
        .iter()
        .enumerate()
        // SAFETY: the pages live until the request is complete, or for ever.
        .map(|(n, page)| unsafe { page.segment(0, (len - n * PAGE_SIZE).min(PAGE_SIZE)) })
        .collect();
    // A disk may take fewer pieces at a time; the table is read in as many requests as it needs.
    let mut at = first;
    let most = disk.info().max_segments.max(1);
    for run in segments.chunks(most) {
        let client = Client::new();
        let request = Request::new(Op::Read, at, run.to_vec(), 0, client.clone());
        at += request.sectors();
        disk.submit(request).ok()?;
        if !wait(lines, &client) {
            // The disk may still write there.
            for page in pages {
                let _ = page.leak();
            }
            return None;
        }
        client.take()?.result.ok()?;
    }
    let mut bytes = alloc::vec![0; len];
    for (piece, segment) in bytes.chunks_mut(PAGE_SIZE).zip(&segments) {
        segment.read(piece);
    }
    Some(bytes)
}

/// Sleeps until `client` has a completion; `false` where that takes too long.
fn wait(lines: &mut Lines, client: &Client) -> bool {
    let deadline = time::now_ns() + SCAN_NS;
    while !client.has_completions() {
        if time::now_ns() >= deadline {
            return false;
        }
        lines.wait(deadline);
    }
    true
}
