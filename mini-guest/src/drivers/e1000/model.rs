//! A card for host tests: it does with registers and memory what the manual says, and refuses what it forbids.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use guest_abi::addr::PAGE_SIZE;

use super::hardware::{Hardware, Page};
use super::registers as reg;
use crate::linux::Errno;
use crate::net::Mac;

/// Registers of a ring, as the card sees them.
const RINGS: [usize; 2] = [reg::RECEIVE_RING, reg::TRANSMIT_RING];

/// Machine and card.
#[derive(Default)]
pub struct Model {
    registers: BTreeMap<usize, u32>,
    memory: BTreeMap<u64, Vec<u8>>,
    /// What the card has sent.
    pub sent: Vec<Vec<u8>>,
    /// The EEPROM's first words.
    pub eeprom: [u16; 3],
    /// The bits of EERD: where the word's number is, and what says that it is there.
    pub eerd: (u32, u32),
    /// Reading it gives ones.
    pub is_gone: bool,
    /// It sends nothing yet.
    pub is_slow: bool,
    /// Pages that can still be taken.
    pub pages_left: usize,
    causes: u32,
    /// Whether a reset ends.
    pub resets_end: bool,
}

impl Model {
    /// A machine with a card that has this address in its EEPROM, and in its registers if it is `loaded`.
    pub fn new(mac: Mac, loaded: bool) -> Rc<RefCell<Self>> {
        let [a, b, c, d, e, f] = mac.0;
        let word = |low, high| u16::from_le_bytes([low, high]);
        let mut model = Self {
            eeprom: [word(a, b), word(c, d), word(e, f)],
            eerd: (8, 1 << 4),
            pages_left: 200,
            resets_end: true,
            ..Self::default()
        };
        model.registers.insert(reg::STATUS, reg::STATUS_LU);
        if loaded {
            model.registers.insert(reg::RAL, u32::from_le_bytes([a, b, c, d]));
            model
                .registers
                .insert(reg::RAH, u32::from_le_bytes([e, f, 0, 0]) | reg::RAH_AV);
        }
        Rc::new(RefCell::new(model))
    }

    pub fn register(&self, at: usize) -> u32 {
        self.registers.get(&at).copied().unwrap_or(0)
    }

    /// Changes a register behind the driver's back.
    pub fn put(&mut self, at: usize, value: u32) {
        self.registers.insert(at, value);
    }

    /// Something happened.
    pub fn cause(&mut self, why: u32) {
        self.causes |= why;
    }

    /// Whether the line is raised.
    pub fn interrupts(&self) -> bool {
        self.causes & self.register(reg::IMS) != 0
    }

    fn bytes(&mut self, address: u64, len: usize) -> &mut [u8] {
        let offset = address as usize % PAGE_SIZE;
        let page = self.memory.get_mut(&(address - offset as u64));
        let page = page.expect("the card reaches pages that it was told of");
        &mut page[offset..offset + len]
    }

    /// The address of the descriptor at the ring's head, unless the ring is empty.
    fn head(&self, ring: usize) -> Option<u64> {
        let (head, tail) = (self.register(ring + reg::HEAD), self.register(ring + reg::TAIL));
        let base = u64::from(self.register(ring + reg::BASE_HIGH)) << 32
            | u64::from(self.register(ring + reg::BASE_LOW));
        (head != tail).then_some(base + u64::from(head) * 16)
    }

    fn advance(&mut self, ring: usize) {
        let count = self.register(ring + reg::LENGTH) / 16;
        let head = (self.register(ring + reg::HEAD) + 1) % count;
        self.registers.insert(ring + reg::HEAD, head);
    }

    fn descriptor(&mut self, at: u64) -> (u64, u32, u32) {
        let bytes = self.bytes(at, 16);
        let word = |n: usize| u32::from_le_bytes(bytes[n..n + 4].try_into().unwrap());
        (u64::from(word(4)) << 32 | u64::from(word(0)), word(8), word(12))
    }

    /// Sends what the ring has.
    pub fn run(&mut self) {
        if self.is_slow || self.register(reg::TCTL) & reg::TCTL_EN == 0 {
            return;
        }
        while let Some(at) = self.head(reg::TRANSMIT_RING) {
            let (address, command, _) = self.descriptor(at);
            // A whole frame, check sequence, report.
            assert_eq!(command >> 24, 0x0B);
            let len = (command & 0xFFFF) as usize;
            let frame = self.bytes(address, len).to_vec();
            self.sent.push(frame);
            self.bytes(at + 12, 1)[0] |= 1;
            self.advance(reg::TRANSMIT_RING);
            self.cause(reg::CAUSE_TXDW);
        }
    }

    /// A frame comes in, in pieces as long as `cut`, with these errors; `length` is what the descriptors say instead of the truth.
    pub fn arrive_as(&mut self, frame: &[u8], cut: usize, errors: u8, length: Option<u16>) {
        assert_eq!(
            self.register(reg::RCTL) & (3 << 16 | 1 << 25),
            0,
            "2048-byte buffers"
        );
        let mut pieces: VecDeque<_> = frame.chunks(cut.min(2048)).collect();
        while let Some(piece) = pieces.pop_front() {
            let Some(at) = self.head(reg::RECEIVE_RING) else {
                let lost = self.register(reg::MPC) + 1;
                self.registers.insert(reg::MPC, lost);
                return self.cause(reg::CAUSE_RXO);
            };
            let (address, ..) = self.descriptor(at);
            self.bytes(address, piece.len()).copy_from_slice(piece);
            let said = length.unwrap_or(piece.len() as u16).to_le_bytes();
            self.bytes(at + 8, 2).copy_from_slice(&said);
            let status = 1 | u8::from(pieces.is_empty()) << 1;
            self.bytes(at + 12, 2).copy_from_slice(&[status, errors]);
            self.advance(reg::RECEIVE_RING);
            self.cause(reg::CAUSE_RXT0);
        }
    }

    /// A good frame comes in.
    pub fn arrive(&mut self, frame: &[u8]) {
        self.arrive_as(frame, 2048, 0, None);
    }

    fn get(&mut self, at: usize) -> u32 {
        if self.is_gone {
            return reg::GONE;
        }
        match at {
            reg::ICR => core::mem::take(&mut self.causes),
            reg::MPC => self.registers.remove(&at).unwrap_or(0),
            reg::EERD => {
                let (shift, done) = self.eerd;
                let word = (self.register(at) >> shift & 0x3F) as usize;
                u32::from(self.eeprom[word]) << 16 | done
            }
            _ => self.register(at),
        }
    }

    fn set(&mut self, at: usize, value: u32) {
        match at {
            reg::IMS => drop(self.registers.insert(at, self.register(at) | value)),
            reg::IMC => drop(self.registers.insert(reg::IMS, self.register(reg::IMS) & !value)),
            reg::CTRL if value & reg::CTRL_RST != 0 => {
                self.registers.remove(&reg::IMS);
                self.registers.remove(&reg::TCTL);
                self.registers.remove(&reg::RCTL);
                let value = if self.resets_end {
                    value & !reg::CTRL_RST
                } else {
                    value
                };
                self.registers.insert(at, value);
            }
            _ => drop(self.registers.insert(at, value)),
        }
        for ring in RINGS {
            if at == ring + reg::BASE_LOW {
                assert_eq!(value % 16, 0);
            } else if at == ring + reg::LENGTH {
                assert_eq!(value % 128, 0);
            } else if at == ring + reg::TAIL && value != 0 {
                assert!(value < self.register(ring + reg::LENGTH) / 16);
            }
        }
        if at == reg::TRANSMIT_RING + reg::TAIL {
            self.run();
        }
    }
}

impl Hardware for Rc<RefCell<Model>> {
    type Page = ModelPage;

    fn page(&self) -> Result<ModelPage, Errno> {
        let mut model = self.borrow_mut();
        model.pages_left = model.pages_left.checked_sub(1).ok_or(Errno::ENOMEM)?;
        // Neither consecutive nor low.
        let address = (model.memory.len() as u64 * 3 + 0xF_FFFE) * PAGE_SIZE as u64;
        model.memory.insert(address, alloc::vec![0; PAGE_SIZE]);
        let model = self.clone();
        Ok(ModelPage { model, address })
    }

    fn get(&self, register: usize) -> u32 {
        self.borrow_mut().get(register)
    }

    fn set(&self, register: usize, value: u32) {
        self.borrow_mut().set(register, value);
    }
}

/// A page of the machine.
pub struct ModelPage {
    model: Rc<RefCell<Model>>,
    address: u64,
}

impl Page for ModelPage {
    fn address(&self, offset: usize) -> u64 {
        self.address + offset as u64
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        let mut model = self.model.borrow_mut();
        into.copy_from_slice(model.bytes(self.address(offset), into.len()));
    }

    fn write(&self, offset: usize, from: &[u8]) {
        let mut model = self.model.borrow_mut();
        model
            .bytes(self.address(offset), from.len())
            .copy_from_slice(from);
    }

    fn word(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn set_word(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }
}
