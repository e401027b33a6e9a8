//! The 16550 serial port: found, not assumed.
//!
//! Register types, divisor and data path are those of the `uart_16550` crate. Finding and setting up are done
//! here, because the crate's own `init` waits without bound for the transmitter and throws received bytes away:
//!
//! * A port counts as present when its scratch register holds two patterns, its modem lines follow the modem
//!   control register in loopback mode, and its transmitter reports empty within a bounded time. Where nothing
//!   decodes the range, reads give all ones and the first test fails: no UART costs a dozen port accesses.
//! * What already lies in the receiver is handed to the caller, not dropped. Turning the FIFOs on clears them, so
//!   the receiver is emptied just before, cut off from the line. On a real line a byte that comes in just then is
//!   lost; whoever types by machine waits for the first line of output.
//!
//! Nothing here waits for the line: [`Uart::send`] takes what fits into the transmitter, and the caller keeps the
//! rest. Received bytes stay in the hardware until [`Uart::receive`]; a caller that is full stops calling and
//! masks the interrupt, and the FIFO (and an emulator's flow control) hold the sender back.
//!
//! Source: National Semiconductor PC16550D data sheet, section 8.

use uart_16550::Uart16550;
use uart_16550::backend::{Backend, PioBackend};
use uart_16550::spec::registers::{
    FCR, FifoTriggerLevel, IER, LCR, LSR, MCR, MSR, Parity, WordLength, offsets,
};
use uart_16550::spec::{CLK_FREQUENCY_HZ, FIFO_SIZE, calc_divisor};

/// Polls of the line status that a stuck transmitter is given before it is called absent; about 50 ms on real
/// hardware, where one read of an ISA port takes a microsecond: longer than a full FIFO at 9600 baud.
const DRAIN_POLLS: u32 = 50_000;

/// One of the PC's standard serial ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComPort {
    /// Ports 0x3F8 up, IRQ 4.
    Com1,
    /// Ports 0x2F8 up, IRQ 3.
    Com2,
}

impl ComPort {
    /// First I/O port.
    #[must_use]
    pub const fn base(self) -> u16 {
        match self {
            Self::Com1 => 0x3F8,
            Self::Com2 => 0x2F8,
        }
    }

    /// Interrupt line at the 8259.
    #[must_use]
    pub const fn irq(self) -> u8 {
        match self {
            Self::Com1 => 4,
            Self::Com2 => 3,
        }
    }

    /// The name that `console=` uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Com1 => "com1",
            Self::Com2 => "com2",
        }
    }
}

/// A serial port that was found and set up: 8 data bits, no parity, one stop bit, FIFOs on.
#[derive(Debug)]
pub struct Uart {
    device: Uart16550<PioBackend>,
    port: ComPort,
    /// Whether the transmitter takes 16 bytes at once; an 8250 or 16450 takes one.
    has_fifo: bool,
}

impl Uart {
    /// Looks for a UART at `port` and sets it up at `baud`, with interrupts off. Bytes found in its receiver go
    /// to `received`.
    ///
    /// `None` where no working UART answers, or the speed cannot be made from the standard clock.
    pub fn probe(port: ComPort, baud: u32, mut received: impl FnMut(u8)) -> Option<Self> {
        if baud == 0 {
            return None;
        }
        let divisor = calc_divisor(CLK_FREQUENCY_HZ, baud, None).ok()?;
        let mut uart = Self::open(port);
        if !uart.device.check_present() {
            return None;
        }
        uart.write(offsets::IER, 0);
        uart.write(offsets::LCR, 0);
        if !uart.modem_lines_loop_back() || !uart.wait_drained(DRAIN_POLLS) {
            return None;
        }
        uart.set_line(divisor);
        uart.enable_fifos(&mut received);
        uart.write(offsets::MCR, (MCR::DTR | MCR::RTS | MCR::OUT_2_INT_ENABLE).bits());
        Some(uart)
    }

    /// A handle on a UART as it stands: a second one, for the panic path, which cannot wait for the first.
    /// It sends one byte at a time.
    #[must_use]
    pub const fn open(port: ComPort) -> Self {
        // SAFETY: the eight ports at a standard COM base belong to a UART or to nothing, on every PC; a UART
        // reaches no memory, so no use of it, by two handles at once either, can break memory safety.
        let device = match unsafe { Uart16550::new_port(port.base()) } {
            Ok(device) => device,
            Err(_) => panic!("a COM base leaves room for eight ports"),
        };
        Self {
            device,
            port,
            has_fifo: false,
        }
    }

    /// Which port it is.
    #[must_use]
    pub const fn port(&self) -> ComPort {
        self.port
    }

    /// Gives the transmitter as much of `bytes` as it takes at once; says how much that was: 0 while it is
    /// busy, else up to 16.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let chunk = if self.has_fifo {
            bytes
        } else {
            bytes.get(..1).unwrap_or_default()
        };
        self.device.send_bytes(chunk)
    }

    /// Takes a received byte.
    pub fn receive(&mut self) -> Option<u8> {
        self.device.try_receive_byte().ok()
    }

    /// Whether everything sent has left the shift register too.
    pub fn is_drained(&mut self) -> bool {
        self.device.lsr().contains(LSR::TRANSMITTER_EMPTY)
    }

    /// Chooses what raises the interrupt line: received bytes, an empty transmitter.
    pub fn set_interrupts(&mut self, on_receive: bool, on_transmit: bool) {
        let mut enabled = IER::empty();
        enabled.set(IER::DATA_READY, on_receive);
        enabled.set(IER::THR_EMPTY, on_transmit);
        self.write(offsets::IER, enabled.bits());
    }

    /// Reads the interrupt identification, which clears a transmitter-empty condition. The line is
    /// edge-triggered at the 8259, so a handler calls this until nothing is pending.
    pub fn is_interrupt_pending(&mut self) -> bool {
        self.device.isr().has_pending_interrupt()
    }

    /// In loopback mode, RTS and OUT2 come back as CTS and CD, DTR and OUT1 stay off. The receiver is not
    /// touched.
    fn modem_lines_loop_back(&mut self) -> bool {
        let saved = self.read(offsets::MCR);
        self.write(
            offsets::MCR,
            (MCR::LOOP_BACK | MCR::RTS | MCR::OUT_2_INT_ENABLE).bits(),
        );
        let lines = MSR::from_bits_retain(self.read(offsets::MSR));
        self.write(offsets::MCR, saved);
        lines & (MSR::CTS | MSR::DSR | MSR::RI | MSR::CD) == MSR::CTS | MSR::CD
    }

    fn wait_drained(&mut self, polls: u32) -> bool {
        (0..polls).any(|_| self.is_drained())
    }

    fn set_line(&mut self, divisor: u16) {
        let [low, high] = divisor.to_le_bytes();
        self.write(offsets::LCR, LCR::DLAB.bits());
        self.write(offsets::DLL, low);
        self.write(offsets::DLM, high);
        let line = LCR::empty()
            .set_word_length(WordLength::EightBits)
            .set_parity(Parity::Disabled);
        self.write(offsets::LCR, line.bits());
    }

    /// Turns the FIFOs on after saving what the receiver holds. Loopback cuts the line off meanwhile: an emulator
    /// would otherwise hand the next byte over as soon as one has been read.
    fn enable_fifos(&mut self, received: &mut impl FnMut(u8)) {
        let control = FCR::FIFO_ENABLE
            .set_fifo_trigger_level(FifoTriggerLevel::Eight)
            .bits();
        let mut saved = [0; FIFO_SIZE];
        let mut count = 0;
        self.write(offsets::MCR, MCR::LOOP_BACK.bits());
        for slot in &mut saved {
            if !LSR::from_bits_retain(self.read(offsets::LSR)).contains(LSR::DATA_READY) {
                break;
            }
            *slot = self.read(offsets::DATA);
            count += 1;
        }
        self.write(offsets::FCR, control);
        self.has_fifo = self.device.isr().fifo_enabled();
        saved.iter().take(count).copied().for_each(received);
    }

    fn read(&mut self, register: usize) -> u8 {
        // SAFETY: `register` is one of the crate's eight register offsets; see `open` for the ports.
        unsafe { self.device.backend_mut().read(register as u8) }
    }

    fn write(&mut self, register: usize, value: u8) {
        // SAFETY: as for `read`.
        unsafe { self.device.backend_mut().write(register as u8, value) }
    }
}
