//! The firmware's ACPI tables: where the power registers, the timer, the reset register and PCI's
//! configuration space are.
//!
//! The layouts are those of the `acpi` crate. The tables are read here, because the crate's own walk believes
//! every length and address: a table counts only when its header and all it says to contain lie inside memory
//! that can be read, within a sane length. A wrong checksum is overlooked, as everybody
//! does. Byte code is not run; `\_S5` is found by its encoding ([`hv_core::firmware`]).
//!
//! What is used is copied out while booting, so the tables may be overwritten later.
//!
//! Not supported: hardware-reduced machines, and power registers that are not in I/O space.

use acpi::address::{AddressSpace, GenericAddress};
use acpi::sdt::{SdtHeader, fadt::Fadt};
use arrayvec::ArrayVec;
use core::mem::{MaybeUninit, size_of};
use hv_arch::{pm_timer::PmTimer, power::SoftOff};
use hv_bootinfo::{multiboot1::Reader, rsdp::Rsdp};

/// Longest table believed; real ones with byte code reach some hundred KiB.
const LONGEST_TABLE: usize = 1 << 20;
/// Tables looked at in one root table.
const MOST_TABLES: usize = 64;

/// Where the reset register is, by physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetPlace {
    /// An I/O port.
    Port(u16),
    /// Configuration space of PCI bus 0: for [`hv_arch::power::ResetRegister::PciConfig`].
    PciConfig {
        /// For port 0xCF8.
        address: u32,
        /// 0 to 3.
        byte: u8,
    },
    /// A byte of memory.
    Memory(u64),
}

/// What the tables say that the hypervisor uses.
#[derive(Debug)]
pub struct Firmware {
    /// Who made the tables.
    pub oem: [u8; 6],
    /// The power-management timer.
    pub pm_timer: Option<PmTimer>,
    /// How to turn the machine off.
    pub soft_off: Option<SoftOff>,
    /// How to restart it: register and value.
    pub reset: Option<(ResetPlace, u8)>,
    /// The clock's register for the century.
    pub century: Option<u8>,
    /// Frames by which PCI configuration space is reached like memory.
    pub config_windows: ArrayVec<(u64, u64), 4>,
}

/// Reads the tables. `None` where there is no usable FADT.
pub fn read(root: &Rsdp, memory: &Reader<'_>) -> Option<Firmware> {
    let fadt = tables(root, memory).find(|table| table.starts_with(b"FACP"))?;
    // SAFETY: the structure is bytes and integers.
    let fadt: Fadt = unsafe { copy_out(fadt) };
    let firmware = Firmware {
        oem: fadt.header.oem_id,
        pm_timer: pm_timer(&fadt),
        soft_off: soft_off(&fadt, root, memory),
        reset: reset(&fadt),
        century: Some(fadt.century).filter(|&register| register != 0),
        config_windows: config_windows(root, memory),
    };
    Some(firmware)
}

fn config_windows(root: &Rsdp, memory: &Reader<'_>) -> ArrayVec<(u64, u64), 4> {
    let table = tables(root, memory).find(|table| table.starts_with(b"MCFG"));
    let body = table.and_then(|table| table.get(size_of::<SdtHeader>()..));
    let windows = body.into_iter().flat_map(hv_core::firmware::config_windows);
    windows.take(4).collect()
}

fn pm_timer(fadt: &Fadt) -> Option<PmTimer> {
    let port = io_port(fadt.pm_timer_block().ok()??)?;
    // SAFETY: the FADT names this port.
    Some(unsafe { PmTimer::new(port, { fadt.flags }.pm_timer_is_32_bit()) })
}

fn soft_off(fadt: &Fadt, root: &Rsdp, memory: &Reader<'_>) -> Option<SoftOff> {
    if { fadt.flags }.system_is_hw_reduced_acpi() {
        return None;
    }
    let dsdt = fadt
        .dsdt_address()
        .ok()
        .and_then(|address| table(address as u64, memory));
    let others = tables(root, memory).filter(|table| table.starts_with(b"SSDT"));
    let sleep_type = dsdt
        .into_iter()
        .chain(others)
        .find_map(|table| hv_core::firmware::soft_off_sleep_types(table.get(size_of::<SdtHeader>()..)?))?;
    let control_a = io_port(fadt.pm1a_control_block().ok()?)?;
    let control_b = fadt
        .pm1b_control_block()
        .ok()
        .flatten()
        .and_then(io_port)
        .unwrap_or_default();
    let command = u16::try_from(fadt.smi_cmd_port).ok().filter(|&port| port != 0);
    let enable = command.zip(Some(fadt.acpi_enable).filter(|&value| value != 0));
    Some(SoftOff {
        control: [control_a, control_b],
        sleep_type,
        enable,
    })
}

fn reset(fadt: &Fadt) -> Option<(ResetPlace, u8)> {
    let is_there = fadt.header.revision >= 2 && { fadt.flags }.supports_system_reset_via_fadt();
    let register = fadt
        .reset_register()
        .ok()
        .filter(|register| is_there && register.address != 0)?;
    let place = match register.address_space {
        AddressSpace::SystemIo => ResetPlace::Port(io_port(register)?),
        AddressSpace::SystemMemory => ResetPlace::Memory(register.address),
        AddressSpace::PciConfigSpace => {
            let part = |shift: u32, limit: u32| {
                Some(((register.address >> shift) & 0xFFFF) as u32).filter(|&n| n < limit)
            };
            let (device, function, offset) = (part(32, 32)?, part(16, 8)?, part(0, 256)?);
            let address = 1 << 31 | device << 11 | function << 8 | offset & !3;
            ResetPlace::PciConfig {
                address,
                byte: (offset & 3) as u8,
            }
        }
        _ => return None,
    };
    Some((place, fadt.reset_value))
}

fn io_port(register: GenericAddress) -> Option<u16> {
    let is_io = register.address_space == AddressSpace::SystemIo;
    u16::try_from(register.address)
        .ok()
        .filter(|&port| is_io && port != 0)
}

/// All tables that a root table names and that can be read.
fn tables<'a>(root: &Rsdp, memory: &Reader<'a>) -> impl Iterator<Item = &'a [u8]> {
    let (address, width) = match root.xsdt {
        Some(address) => (address, 8),
        None => (u64::from(root.rsdt), 4),
    };
    let entries = table(address, memory)
        .and_then(|table| table.get(size_of::<SdtHeader>()..))
        .unwrap_or_default();
    entries
        .chunks_exact(width)
        .take(MOST_TABLES)
        .filter_map(move |entry| {
            let address = entry
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
            table(address, memory)
        })
}

/// One table, header included.
fn table<'a>(address: u64, memory: &Reader<'a>) -> Option<&'a [u8]> {
    let header = memory(address, size_of::<SdtHeader>())?;
    // SAFETY: the structure is bytes and integers.
    let header: SdtHeader = unsafe { copy_out(header) };
    let length = header.length as usize;
    if !(size_of::<SdtHeader>()..=LONGEST_TABLE).contains(&length) {
        return None;
    }
    memory(address, length)
}

/// Copies a structure out of the start of `bytes`; what they are too short for is zero, which in these tables
/// means "none".
///
/// # Safety
/// Any bytes make a valid `T`.
unsafe fn copy_out<T>(bytes: &[u8]) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    let count = bytes.len().min(size_of::<T>());
    // SAFETY: `count` is within both, which do not overlap.
    unsafe {
        value
            .as_mut_ptr()
            .cast::<u8>()
            .copy_from_nonoverlapping(bytes.as_ptr(), count)
    };
    // SAFETY: every byte is set, and the caller says that any bytes will do.
    unsafe { value.assume_init() }
}
