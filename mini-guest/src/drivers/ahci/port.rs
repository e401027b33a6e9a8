//! One port of an AHCI controller, and the disk at it.
//!
//! The command list, the place for what the disk sends, and the table of each command slot are in pages of ours. A slot's
//! table lists the request's pieces of memory as they are. Without queueing the disk does one command after the other, whichever
//! slot they are in.
//!
//! # Errors of the disk
//! A task-file error stops the port. The command that it was about fails; the port is stopped, cleaned and started, and the other commands,
//! which the disk has dropped, are issued again.

use alloc::boxed::Box;
use core::cell::RefCell;

use super::super::dma::DmaPage;
use super::super::registers::Registers;
use crate::block::{BlockError, Client, Device, Info, Op, Refused, Request, SECTOR, check};
use crate::linux::Errno;
use crate::println;

/// Command slots that are used: a page has the tables of so many.
const SLOTS: usize = 8;
/// Bytes of a slot's table: a command, and its pieces.
const TABLE: usize = 512;
/// Where the pieces begin in it.
const PIECES: usize = 0x80;
/// Bytes of a piece's entry.
const PIECE: usize = 16;
/// Most pieces of a request.
const MAX_SEGMENTS: usize = (TABLE - PIECES) / PIECE;
/// Where the disk's messages go, in the page of the command list.
const RECEIVED: usize = 0x400;
/// Times that a register is looked at until a port has stopped or started: it takes the device some hundred nanoseconds.
const PATIENCE: u32 = 100_000;

/// Registers of a port.
const CLB: usize = 0x00;
const CLBU: usize = 0x04;
const FB: usize = 0x08;
const FBU: usize = 0x0C;
const IS: usize = 0x10;
const IE: usize = 0x14;
const CMD: usize = 0x18;
const TFD: usize = 0x20;
const SIG: usize = 0x24;
const SSTS: usize = 0x28;
const SERR: usize = 0x30;
const CI: usize = 0x38;
/// CMD: running; receiving; and that they really do.
const CMD_ST: u32 = 1 << 0;
const CMD_SUD: u32 = 1 << 1;
const CMD_FRE: u32 = 1 << 4;
const CMD_FR: u32 = 1 << 14;
const CMD_CR: u32 = 1 << 15;
/// IS: a message of the disk; errors that end a command.
const IS_DONE: u32 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5;
const IS_ERROR: u32 = 1 << 30 | 1 << 29 | 1 << 28 | 1 << 27;
/// SSTS: a disk is there and speaks.
const PRESENT: u32 = 3;
/// TFD: busy, or wants data.
const TFD_BUSY: u32 = 1 << 7 | 1 << 3;
/// What a disk (not an optical drive) signs with.
const DISK: u32 = 0x0000_0101;

/// ATA commands.
const READ_DMA_EXT: u8 = 0x25;
const WRITE_DMA_EXT: u8 = 0x35;
const FLUSH_CACHE_EXT: u8 = 0xEA;
const IDENTIFY: u8 = 0xEC;

/// A port with a disk.
pub struct Port {
    number: u32,
    registers: Registers,
    reaches_all: bool,
    state: RefCell<State>,
}

struct State {
    /// The command list, and the disk's messages.
    list: DmaPage,
    tables: DmaPage,
    /// What the disk is asked to fill in about itself.
    identity: DmaPage,
    slots: [Option<Box<Request>>; SLOTS],
    info: Option<Info>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Identifying,
    Ready,
    Dead,
}

impl Port {
    /// Sets a port up and begins to identify its disk; none where there is no disk. A controller that does not reach all memory (`reaches_all`) gets
    /// pages below 4 GiB or is left alone.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new(registers: Registers, number: usize, reaches_all: bool) -> Result<Option<Self>, Errno> {
        let (is_there, signature) = (registers.get(SSTS) & 0xF == PRESENT, registers.get(SIG));
        if !is_there || signature != DISK {
            return Ok(None);
        }
        let state = State {
            list: DmaPage::new()?,
            tables: DmaPage::new()?,
            identity: DmaPage::new()?,
            slots: [const { None }; SLOTS],
            info: None,
            phase: Phase::Identifying,
        };
        let pages = [&state.list, &state.tables, &state.identity];
        if !reaches_all && pages.iter().any(|page| page.address(0) >> 32 != 0) {
            println!("mini-guest: AHCI port {number}: the controller does not reach our memory beyond 4 GiB");
            return Ok(None);
        }
        let port = Self {
            number: number as u32,
            registers,
            reaches_all,
            state: RefCell::new(state),
        };
        if !port.begin() {
            println!("mini-guest: AHCI port {number} cannot be started");
            return Ok(None);
        }
        Ok(Some(port))
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether its disk has not said yet what it is.
    #[must_use]
    pub fn is_identifying(&self) -> bool {
        self.state.borrow().phase == Phase::Identifying
    }

    /// Whether its disk can be used.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.borrow().phase == Phase::Ready
    }

    /// Stops what firmware left, gives the port our pages, starts it, and asks who is there.
    fn begin(&self) -> bool {
        if !self.stop() {
            return false;
        }
        let state = self.state.borrow();
        let (list, received) = (state.list.address(0), state.list.address(RECEIVED));
        for (register, value) in [
            (CLB, list as u32),
            (CLBU, (list >> 32) as u32),
            (FB, received as u32),
            (FBU, (received >> 32) as u32),
        ] {
            self.registers.set(register, value);
        }
        self.registers.set(SERR, u32::MAX);
        self.registers.set(IS, u32::MAX);
        self.registers.set(IE, IS_DONE | IS_ERROR);
        if !self.start() {
            return false;
        }
        let pieces = [(state.identity.address(0), SECTOR as u32)];
        state.write_command(0, IDENTIFY, (0, 0), &pieces, false);
        self.registers.set(CI, 1);
        true
    }

    fn until(&self, is_so: impl Fn(&Registers) -> bool) -> bool {
        (0..PATIENCE).any(|_| is_so(&self.registers))
    }

    fn stop(&self) -> bool {
        let command = self.registers.get(CMD);
        self.registers.set(CMD, command & !(CMD_ST | CMD_FRE));
        self.until(|registers| registers.get(CMD) & (CMD_CR | CMD_FR) == 0)
    }

    fn start(&self) -> bool {
        let command = self.registers.get(CMD);
        self.registers.set(CMD, command | CMD_FRE | CMD_SUD);
        if !self.until(|registers| registers.get(TFD) & TFD_BUSY == 0) {
            return false;
        }
        self.registers.set(CMD, command | CMD_FRE | CMD_SUD | CMD_ST);
        true
    }

    /// Takes what the disk has done. For the event of the controller's line.
    pub fn serve(&self) {
        let why = self.registers.get(IS);
        self.registers.set(IS, why);
        let mut state = self.state.borrow_mut();
        let running = self.registers.get(CI);
        if why & IS_ERROR != 0 {
            self.recover(&mut state, running);
            return;
        }
        if state.phase == Phase::Identifying {
            if running & 1 == 0 {
                state.identified();
            }
            return;
        }
        for slot in (0..SLOTS).filter(|slot| running & 1 << slot == 0) {
            if let Some(request) = state.slots[slot].take() {
                request.complete(Ok(()));
            }
        }
    }

    /// The disk has reported an error: the command that it was about fails, the others are issued again.
    fn recover(&self, state: &mut State, running: u32) {
        // The slot that the port was at; commands that are not running any more are done.
        let current = (self.registers.get(CMD) >> 8 & 0x1F) as usize;
        for slot in 0..SLOTS {
            let is_done = running & 1 << slot == 0;
            if is_done || slot == current {
                let result = if is_done { Ok(()) } else { Err(BlockError::Io) };
                if let Some(request) = state.slots[slot].take() {
                    request.complete(result);
                }
            }
        }
        let restarted = self.stop() && {
            self.registers.set(SERR, u32::MAX);
            self.registers.set(IS, u32::MAX);
            self.start()
        };
        if !restarted || state.phase == Phase::Identifying {
            state.phase = Phase::Dead;
            println!(
                "mini-guest: the disk at AHCI port {} does not work any more",
                self.number
            );
            for request in state.slots.iter_mut().filter_map(Option::take) {
                request.complete(Err(BlockError::Gone));
            }
            return;
        }
        let left = (0..SLOTS).filter(|slot| state.slots[*slot].is_some());
        let again = left.fold(0, |bits, slot| bits | 1 << slot);
        if again != 0 {
            self.registers.set(CI, again);
        }
    }
}

impl State {
    /// The answer to the identification is there.
    fn identified(&mut self) {
        let mut bytes = [0; SECTOR];
        // SAFETY: the device is done with the page.
        unsafe { self.identity.segment(0, SECTOR) }.read(&mut bytes);
        self.info = identity(&bytes);
        self.phase = if self.info.is_some() {
            Phase::Ready
        } else {
            Phase::Dead
        };
    }

    /// Writes the command of `slot`: a message to the disk and the list of pieces.
    fn write_command(
        &self,
        slot: usize,
        command: u8,
        (sector, count): (u64, u16),
        pieces: &[(u64, u32)],
        is_write: bool,
    ) {
        let table = slot * TABLE;
        let [a, b, c, d, e, f, ..] = sector.to_le_bytes();
        let [low, high] = count.to_le_bytes();
        // A register message from the host, with a command; addresses of blocks (LBA).
        let message = [
            0x27, 0x80, command, 0, a, b, c, 0x40, d, e, f, 0, low, high, 0, 0, 0, 0, 0, 0,
        ];
        for (index, word) in message.chunks_exact(4).enumerate() {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            put(&self.tables, table + 4 * index, word);
        }
        for (index, (address, len)) in pieces.iter().enumerate() {
            let at = table + PIECES + PIECE * index;
            put(&self.tables, at, *address as u32);
            put(&self.tables, at + 4, (address >> 32) as u32);
            put(&self.tables, at + 8, 0);
            put(&self.tables, at + 12, len - 1);
        }
        const MESSAGE_WORDS: u32 = 5;
        let flags = MESSAGE_WORDS | u32::from(is_write) << 6 | (pieces.len() as u32) << 16;
        let at = self.tables.address(table);
        for (index, word) in [flags, 0, at as u32, (at >> 32) as u32].into_iter().enumerate() {
            put(&self.list, slot * 32 + 4 * index, word);
        }
    }
}

fn put(page: &DmaPage, offset: usize, value: u32) {
    // SAFETY: inside the page, aligned; the device does not look at a slot that is not issued.
    unsafe { page.pointer(offset).cast::<u32>().write_volatile(value) }
}

/// What a disk says of itself; none where it lacks what we need.
fn identity(bytes: &[u8; SECTOR]) -> Option<Info> {
    let word = |index: usize| u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]);
    // 48-bit addresses and the flush that goes with them.
    const LBA48: u16 = 1 << 10;
    const FLUSH: u16 = 1 << 13;
    let has_large_sectors = word(106) & 0xD000 == 0x5000;
    if word(83) & LBA48 == 0 || word(83) & FLUSH == 0 || has_large_sectors {
        return None;
    }
    let sectors = (0..4).fold(0, |sum, index| sum | u64::from(word(100 + index)) << (16 * index));
    (sectors > 0).then_some(Info {
        sectors,
        block_sectors: 1,
        is_read_only: false,
        has_cache: true,
        max_segments: MAX_SEGMENTS,
        is_copying: false,
        depth: SLOTS,
    })
}

impl Device for Port {
    fn info(&self) -> Info {
        const NONE: Info = Info {
            sectors: 0,
            block_sectors: 1,
            is_read_only: true,
            has_cache: false,
            max_segments: 1,
            is_copying: false,
            depth: 0,
        };
        self.state.borrow().info.unwrap_or(NONE)
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        if let Err(error) = check::request(&self.info(), &request) {
            return Err(Refused { request, error });
        }
        let mut state = self.state.borrow_mut();
        if state.phase != Phase::Ready {
            let error = BlockError::Gone;
            return Err(Refused { request, error });
        }
        let is_beyond = |address: u64| address >> 32 != 0;
        if !self.reaches_all && request.segments.iter().any(|piece| is_beyond(piece.address())) {
            // An old controller: only memory below 4 GiB will do.
            let error = BlockError::Malformed;
            return Err(Refused { request, error });
        }
        let Some(slot) = state.slots.iter().position(Option::is_none) else {
            let error = BlockError::Busy;
            return Err(Refused { request, error });
        };
        let command = match request.op {
            Op::Read => READ_DMA_EXT,
            Op::Write => WRITE_DMA_EXT,
            Op::Flush => FLUSH_CACHE_EXT,
        };
        let mut pieces = [(0, 0); MAX_SEGMENTS];
        for (piece, segment) in pieces.iter_mut().zip(&request.segments) {
            *piece = (segment.address(), segment.len());
        }
        // At most 24 pages: the count fits.
        let place = (request.sector, request.sectors() as u16);
        let pieces = &pieces[..request.segments.len()];
        state.write_command(slot, command, place, pieces, request.op == Op::Write);
        Client::begin(&request.client);
        state.slots[slot] = Some(request);
        self.registers.set(CI, 1 << slot);
        Ok(())
    }
}
