//! Output on the way down.
//!
//! A panic may come while the console's lock is held, by the very code that panics. One CPU runs, and a panic
//! never returns, so the holder is dead: the lock is broken open and the console used as it stands. Should that
//! panic again, only the serial ports themselves are left, through handles that share nothing.

use super::{CONSOLE, DEFAULT_BAUD};
use core::{
    fmt,
    sync::atomic::{AtomicU8, Ordering},
};
use hv_arch::uart::{ComPort, Uart};

/// Serial ports that were found, a bit each.
static PORTS: AtomicU8 = AtomicU8::new(0);
/// Polls of a transmitter per byte.
const PATIENCE: u32 = 100_000;

/// Notes that a port may be used without the console.
pub(super) fn remember(port: ComPort) {
    PORTS.fetch_or(1 << port as u8, Ordering::Relaxed);
}

/// Writes while the hypervisor dies.
#[derive(Debug)]
pub struct Writer {
    is_console_usable: bool,
}

impl Writer {
    /// For a first panic: every output of the console, waiting for no lock and no interrupt.
    ///
    /// # Safety
    /// Interrupts are off and stay off, no other CPU runs the hypervisor, and the caller never returns to what
    /// it interrupted.
    #[must_use]
    pub unsafe fn break_in() -> Self {
        if CONSOLE.is_locked() {
            // SAFETY: whoever held the lock is below the caller on this CPU's stacks and never runs again.
            unsafe { CONSOLE.force_unlock() }
        }
        let mut console = CONSOLE.lock();
        for line in console.serial.iter_mut() {
            line.stop_interrupts();
        }
        let has_output = console.has_output();
        drop(console);
        if !has_output {
            open_any();
        }
        Self {
            is_console_usable: true,
        }
    }

    /// For a panic inside a panic: the serial ports alone.
    #[must_use]
    pub const fn bare() -> Self {
        Self {
            is_console_usable: false,
        }
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_console_usable {
            super::write(text.as_bytes());
            return Ok(());
        }
        for port in [ComPort::Com1, ComPort::Com2] {
            if PORTS.load(Ordering::Relaxed) & (1 << port as u8) != 0 {
                write_bare(port, text.as_bytes());
            }
        }
        Ok(())
    }
}

/// A panic before there is an output, or where none was asked for, is shown on the first serial port and on the
/// screen in text mode.
fn open_any() {
    super::attach_serial(ComPort::Com1, DEFAULT_BAUD);
    crate::boot::attach_text_mode(false);
}

fn write_bare(port: ComPort, bytes: &[u8]) {
    let mut uart = Uart::open(port);
    let mut send = |byte: u8| (0..PATIENCE).any(|_| uart.send(&[byte]) > 0);
    for &byte in bytes {
        if byte == b'\n' && !send(b'\r') || !send(byte) {
            return;
        }
    }
}
