//! A serial line with queues on both sides, so that neither direction waits or loses.
//!
//! Output goes straight to the transmitter while it keeps up (an emulator's always does); what it does not take
//! is queued and sent by the transmitter-empty interrupt. Only when the queue is full does the writer wait, and
//! not for ever: a line that takes nothing for [`PATIENCE`] polls is stalled, and output to it is dropped and
//! counted until it moves again.
//!
//! Input stays in the hardware when the shared queue is full: the interrupt is masked and the FIFO holds the
//! sender back. [`Serial::resume_input`] goes on when a reader made room.

use super::InputQueue;
use crate::keys;
use heapless::Deque;
use hv_arch::uart::{ComPort, Uart};

/// Bytes that wait for the transmitter.
const OUTPUT_QUEUE: usize = 8192;
/// Polls of a transmitter before the line counts as stalled: about twenty seconds. A real line always moves; an
/// emulator's stands still while nobody reads its output, which then waits rather than gets lost.
const PATIENCE: u32 = 20_000_000;
/// Rounds of one interrupt: bounds the time in the handler, should the hardware never be satisfied.
const ROUNDS: u32 = 64;

/// One line, or the place for one: without a UART it does nothing.
pub struct Serial {
    uart: Option<Uart>,
    output: Deque<u8, OUTPUT_QUEUE>,
    last_sent: u8,
    is_stalled: bool,
    dropped: u64,
    uses_interrupts: bool,
    is_input_held: bool,
}

impl Serial {
    /// No line yet.
    pub const fn new() -> Self {
        Self {
            uart: None,
            output: Deque::new(),
            last_sent: 0,
            is_stalled: false,
            dropped: 0,
            uses_interrupts: false,
            is_input_held: false,
        }
    }

    /// Finds the port and says whether it is there; bytes already received go to `input`.
    pub fn attach(&mut self, port: ComPort, baud: u32, input: &mut InputQueue) -> bool {
        self.uart = Uart::probe(port, baud, |byte| {
            // The queue is far longer than any receiver.
            let _ = input.push_back(byte);
        });
        self.uart.is_some()
    }

    /// Its first port.
    pub fn base(&self) -> Option<u16> {
        self.uart.as_ref().map(|uart| uart.port().base())
    }

    /// Its interrupt line at the 8259.
    pub fn irq(&self) -> Option<u8> {
        self.uart.as_ref().map(|uart| uart.port().irq())
    }

    /// Bytes of output lost to a stalled line.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// From now on the port's interrupt line is handled.
    pub fn start_interrupts(&mut self) {
        self.uses_interrupts = true;
        self.update_interrupts();
    }

    /// From now on nobody handles interrupts (a panic): writes finish before they return.
    pub fn stop_interrupts(&mut self) {
        self.uses_interrupts = false;
    }

    /// Sends text; a line feed becomes carriage return and line feed.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.uart.is_none() {
            return;
        }
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(text) => {
                    self.queue(text);
                    let has_return = text.last().map_or(self.last_sent, |&last| last) == b'\r';
                    self.queue(if has_return { b"\n" } else { b"\r\n" });
                }
                None => self.queue(line),
            }
            self.last_sent = line.last().copied().unwrap_or_default();
        }
        if self.uses_interrupts {
            self.update_interrupts();
        } else {
            self.flush();
        }
    }

    /// Waits, within the patience that a line gets, until all output has left.
    pub fn flush(&mut self) {
        while !self.output.is_empty() && self.wait_for_room() {}
    }

    /// Waits likewise until the shift register is empty too.
    pub fn drain(&mut self) {
        self.flush();
        if let Some(uart) = &mut self.uart {
            let _ = (0..PATIENCE).any(|_| uart.is_drained());
        }
    }

    /// Serves the port's interrupt.
    pub fn interrupt(&mut self, input: &mut InputQueue) {
        for _ in 0..ROUNDS {
            self.take_input(input);
            self.pump();
            self.update_interrupts();
            if !self.uart.as_mut().is_some_and(Uart::is_interrupt_pending) {
                break;
            }
        }
    }

    /// Takes what the hardware held back, after a reader made room.
    pub fn resume_input(&mut self, input: &mut InputQueue) {
        if self.is_input_held || !self.uses_interrupts {
            self.take_input(input);
            self.update_interrupts();
        }
    }

    fn take_input(&mut self, input: &mut InputQueue) {
        while !input.is_full() {
            let Some(byte) = self.uart.as_mut().and_then(Uart::receive) else {
                self.is_input_held = false;
                return;
            };
            // Room was seen above.
            if !keys::take(byte) {
                let _ = input.push_back(byte);
            }
        }
        self.is_input_held = true;
    }

    fn update_interrupts(&mut self) {
        if self.uses_interrupts
            && let Some(uart) = &mut self.uart
        {
            uart.set_interrupts(!self.is_input_held, !self.output.is_empty());
        }
    }

    /// Hands bytes to the transmitter, and to the queue what it does not take.
    fn queue(&mut self, mut bytes: &[u8]) {
        self.pump();
        while !bytes.is_empty() {
            let sent = if self.output.is_empty() {
                self.send(bytes)
            } else {
                0
            };
            if sent > 0 {
                self.is_stalled = false;
                bytes = bytes.get(sent..).unwrap_or_default();
            } else if self.output.push_back(bytes[0]).is_ok() {
                bytes = &bytes[1..];
            } else if !self.wait_for_room() {
                self.dropped = self.dropped.saturating_add(bytes.len() as u64);
                return;
            }
        }
    }

    /// Gives the transmitter what it takes at once.
    fn send(&mut self, bytes: &[u8]) -> usize {
        self.uart.as_mut().map_or(0, |uart| uart.send(bytes))
    }

    /// Polls until the transmitter takes something of the queue; false where the line is stalled.
    fn wait_for_room(&mut self) -> bool {
        let patience = if self.is_stalled { 1 } else { PATIENCE };
        let moved = (0..patience).any(|_| self.pump() > 0);
        self.is_stalled = !moved;
        moved
    }

    /// Moves queued bytes into the transmitter as long as it takes them; says how many.
    fn pump(&mut self) -> usize {
        let mut moved = 0;
        while !self.output.is_empty() {
            let Some(uart) = &mut self.uart else { break };
            let (front, _) = self.output.as_slices();
            let sent = uart.send(front);
            if sent == 0 {
                break;
            }
            for _ in 0..sent {
                self.output.pop_front();
            }
            self.is_stalled = false;
            moved += sent;
        }
        moved
    }
}
