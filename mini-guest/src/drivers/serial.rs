//! Serial lines (16550) of a domain that was given their ports and interrupt: bytes in, bytes out, nothing made of them.
//!
//! A domain cannot look for one: ports that it was not given are a fault. So its command line says where they are,
//! `serial=PORT,LINE[,BAUD]`, the port hexadecimal; several with `;` between them. They are `/dev/ttyS0` and on.
//!
//! Registers and data path are those of crate `uart_16550`. What is written waits here until the transmitter asks for it. When the
//! room for what comes in is full the receiver's interrupt is off, its FIFO fills, and the sender is held back where the line
//! can do that.
//!
//! Source: National Semiconductor PC16550D data sheet, section 8.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use uart_16550::backend::Backend;
use uart_16550::spec::registers::{FifoTriggerLevel, IER, LSR};
use uart_16550::{BaudRate, Config, Uart16550};

use crate::linux::Errno;

#[cfg(test)]
mod tests;

/// Bytes that wait in each direction at most.
const ROOM: usize = 4096;
/// Where nothing else is said.
const BAUD: u32 = 115_200;

/// Where a serial line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first of its eight ports.
    pub port: u16,
    /// Its line at the 8259s.
    pub line: u8,
    /// Its speed.
    pub baud: u32,
}

impl Place {
    /// Reads `PORT,LINE[,BAUD]`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(',');
        let port = u16::from_str_radix(words.next()?, 16).ok()?;
        let line: u8 = words.next()?.parse().ok()?;
        let baud = words.next().map_or(Some(BAUD), |word| word.parse().ok())?;
        let is_one = words.next().is_none() && port <= 0xFFF8 && line < 16 && baud > 0;
        is_one.then_some(Self { port, line, baud })
    }
}

/// One serial line.
pub struct Serial<B: Backend> {
    state: RefCell<State<B>>,
    has_news: Cell<bool>,
}

struct State<B: Backend> {
    uart: Uart16550<B>,
    received: VecDeque<u8>,
    unsent: VecDeque<u8>,
}

impl<B: Backend> Serial<B> {
    /// Sets the device up: 8 data bits, no parity, one stop bit.
    ///
    /// # Errors
    /// ENODEV: none there; EINVAL: a speed that it does not have; ENOMEM.
    pub fn new(mut uart: Uart16550<B>, baud: u32) -> Result<Self, Errno> {
        if !uart.check_present() {
            return Err(Errno::ENODEV);
        }
        let config = Config {
            baud_rate: BaudRate::from_integer(baud),
            fifo_trigger_level: Some(FifoTriggerLevel::Eight),
            interrupts: IER::DATA_READY,
            ..Config::DEFAULT
        };
        uart.init(config).map_err(|_| Errno::EINVAL)?;
        let room = || {
            let mut queue = VecDeque::new();
            queue.try_reserve_exact(ROOM).map_err(|_| Errno::ENOMEM)?;
            Ok(queue)
        };
        let state = State {
            uart,
            received: room()?,
            unsent: room()?,
        };
        Ok(Self {
            state: RefCell::new(state),
            has_news: Cell::new(false),
        })
    }

    /// Serves the device until it asks for nothing more. Its interrupt is an edge: what is left asking is not heard of again.
    pub fn serve(&self) {
        let mut state = self.state.borrow_mut();
        while state.uart.isr().has_pending_interrupt() {
            state.receive();
            state.transmit();
            self.has_news.set(true);
        }
    }

    /// Whether bytes came or went since this was asked.
    pub fn take_news(&self) -> bool {
        self.has_news.take()
    }

    /// Up to `most` bytes that came in, none where there are none.
    #[must_use]
    pub fn read(&self, most: usize) -> Vec<u8> {
        let mut state = self.state.borrow_mut();
        let count = most.min(state.received.len());
        let bytes = state.received.drain(..count).collect();
        // There is room again for what waits in the device.
        state.receive();
        bytes
    }

    /// Sends as many of `bytes` as there is room for, and says how many.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let mut state = self.state.borrow_mut();
        let count = bytes.len().min(ROOM - state.unsent.len());
        state.unsent.extend(&bytes[..count]);
        state.transmit();
        count
    }

    /// Whether there is something to read, and room to write.
    #[must_use]
    pub fn is_ready(&self) -> (bool, bool) {
        let state = self.state.borrow();
        (!state.received.is_empty(), state.unsent.len() < ROOM)
    }

    /// Whether everything is on the line.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let mut state = self.state.borrow_mut();
        state.unsent.is_empty() && state.uart.lsr().contains(LSR::TRANSMITTER_EMPTY)
    }

    /// Whether everything is in the device, which sends it by itself.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.state.borrow().unsent.is_empty()
    }
}

impl<B: Backend> State<B> {
    /// Takes what the receiver has; its interrupt is on where there is room for more.
    fn receive(&mut self) {
        while self.received.len() < ROOM
            && let Ok(byte) = self.uart.try_receive_byte()
        {
            self.received.push_back(byte);
        }
        let is_on = self.received.len() < ROOM;
        self.set_interrupt(IER::DATA_READY, is_on);
    }

    /// Gives the transmitter what it takes; its interrupt is on where there is more.
    fn transmit(&mut self) {
        let count = self.uart.send_bytes(self.unsent.make_contiguous());
        self.unsent.drain(..count);
        let is_on = !self.unsent.is_empty();
        self.set_interrupt(IER::THR_EMPTY, is_on);
    }

    fn set_interrupt(&mut self, which: IER, is_on: bool) {
        if is_on {
            self.uart.enable_interrupts(which);
        } else {
            self.uart.disable_interrupts(which);
        }
    }
}
