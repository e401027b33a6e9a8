//! The driver on a real function: its registers mapped, its pages the kernel's.

use alloc::rc::Rc;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{Ordering, fence};

use guest_abi::addr::PAGE_SIZE;

use super::hardware::{Hardware, Page};
use super::{E1000, InReset, Model};
use crate::drivers::dma::DmaPage;
use crate::drivers::io_memory;
use crate::drivers::lines::Driver;
use crate::drivers::pci::{Config, ConfigurationAccess, DeviceFunction, DeviceFunctionInfo};
use crate::drivers::registers::Registers;
use crate::linux::Errno;
use crate::net::registry::Entry;
use crate::net::{FRAME, Interface, Mac, NotSent};
use crate::println;

/// Configuration register of the base address (BAR 0).
const BASE: u8 = 0x10;
/// Bits of it: ports instead of memory, and an address of 64 bits.
const BASE_IS_PORTS: u32 = 1 << 0;
const BASE_IS_64: u32 = 1 << 2;
/// Bytes of registers that are used.
const LEN: u64 = 0x6000;

const INTEL: u16 = 0x8086;
/// Device numbers of the 8254x for copper: 82543 to 82547.
const I8254X: [u16; 25] = [
    0x1004, 0x1008, 0x100C, 0x100D, 0x100E, 0x100F, 0x1010, 0x1011, 0x1013, 0x1015, 0x1016, 0x1017, 0x1018,
    0x1019, 0x101A, 0x101D, 0x101E, 0x1026, 0x1075, 0x1076, 0x1077, 0x1078, 0x1079, 0x107A, 0x107C,
];
/// Those of the 82574.
const I82574: [u16; 2] = [0x10D3, 0x10F6];

/// Which member of the family a function is; `None` where it is none.
#[must_use]
pub fn model(info: &DeviceFunctionInfo) -> Option<Model> {
    if info.vendor_id != INTEL {
        None
    } else if I8254X.contains(&info.device_id) {
        Some(Model::I8254x)
    } else {
        I82574.contains(&info.device_id).then_some(Model::I82574)
    }
}

/// Registers that are mapped.
#[derive(Clone, Copy, Debug)]
pub struct Mapped(Registers);

impl Hardware for Mapped {
    type Page = DmaPage;

    fn page(&self) -> Result<DmaPage, Errno> {
        DmaPage::new()
    }

    fn get(&self, register: usize) -> u32 {
        self.0.get(register)
    }

    fn set(&self, register: usize, value: u32) {
        fence(Ordering::SeqCst);
        self.0.set(register, value);
    }
}

impl Page for DmaPage {
    fn address(&self, offset: usize) -> u64 {
        DmaPage::address(self, offset)
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset + into.len() <= PAGE_SIZE);
        // What the status word said comes first.
        fence(Ordering::SeqCst);
        // SAFETY: inside the page; no reference into it exists. What the card still writes there is numbers, whichever.
        unsafe { ptr::copy_nonoverlapping(self.pointer(offset).as_ptr(), into.as_mut_ptr(), into.len()) };
    }

    fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset + from.len() <= PAGE_SIZE);
        // SAFETY: inside the page; no reference into it exists.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.pointer(offset).as_ptr(), from.len()) };
    }

    fn word(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4));
        // SAFETY: inside the page, aligned.
        unsafe { self.pointer(offset).cast::<u32>().read_volatile() }
    }

    fn set_word(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4));
        // SAFETY: inside the page, aligned.
        unsafe { self.pointer(offset).cast::<u32>().write_volatile(value) }
    }
}

/// Maps the registers of a function and resets the card.
///
/// # Errors
/// ENODEV: no registers; ENOSPC: they cannot be mapped.
pub fn reset(at: DeviceFunction, model: Model) -> Result<InReset<Mapped>, Errno> {
    let low = Config.read_word(at, BASE);
    let high = if low & BASE_IS_64 != 0 {
        Config.read_word(at, BASE + 4)
    } else {
        0
    };
    let base = u64::from(high) << 32 | u64::from(low & !0xF);
    if low & BASE_IS_PORTS != 0 || base == 0 {
        return Err(Errno::ENODEV);
    }
    let registers = Registers::new(io_memory::map(base, LEN)?, LEN as usize);
    InReset::new(Mapped(registers), model)
}

/// A card that says on the console what becomes of it.
pub struct OnPci {
    card: E1000<Mapped>,
    entry: Rc<Entry>,
    /// What was last said: whether the cable is in, and whether the card is gone.
    said: Cell<(bool, bool)>,
}

impl OnPci {
    /// For a card that was just started with this entry.
    #[must_use]
    pub fn new(card: E1000<Mapped>, entry: Rc<Entry>) -> Self {
        let said = Cell::new((entry.has_link(), false));
        Self { card, entry, said }
    }

    fn say_what_is_new(&self) {
        let now = (self.entry.has_link(), self.card.is_gone());
        if now == self.said.replace(now) {
            return;
        }
        let what = match now {
            (_, true) => "the card does not answer any more",
            (true, _) => "the cable is in",
            (false, _) => "the cable is out",
        };
        println!("mini-guest: {}: {what}", self.entry.name());
    }
}

impl Driver for OnPci {
    fn interrupt(&self) {
        self.card.interrupt();
        self.say_what_is_new();
    }
}

impl Interface for Rc<OnPci> {
    fn mac(&self) -> Mac {
        self.card.mac()
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        let sent = self.card.transmit(frame);
        if sent == Err(NotSent::Gone) {
            self.say_what_is_new();
        }
        sent
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        self.card.receive(buffer)
    }
}
