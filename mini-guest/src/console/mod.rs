//! Text to and from the console: the machine's, as the privileged domain has it (call 18), or a ring shared with Domain0
//! ([`ring`]).

use core::fmt;

use guest_abi::console::MAX_WRITE;

use crate::hypercall;

pub mod ring;

/// Writes all of `bytes`. What the hypervisor refuses is lost: there is nowhere else to say so.
pub fn write(bytes: &[u8]) {
    if let Some(ring) = ring::get() {
        return ring.write(bytes);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(MAX_WRITE as usize)];
        match hypercall::console_write(piece) {
            Ok(taken) if taken > 0 => rest = rest.get(taken as usize..).unwrap_or_default(),
            _ => return,
        }
    }
}

/// How many bytes [`write()`] takes without waiting for room.
#[must_use]
pub fn room() -> usize {
    ring::get().map_or(usize::MAX, |ring| ring.room())
}

/// Takes up to `into.len()` bytes that were typed, and says how many; 0 when there are none or no console.
pub fn read(into: &mut [u8]) -> usize {
    if let Some(ring) = ring::get() {
        return ring.read(into);
    }
    hypercall::console_read(into).map_or(0, |count| into.len().min(count as usize))
}

/// The console as a target of `write!`, gathering a line's pieces so that one line is one call where it fits.
#[derive(Default)]
pub struct Writer {
    line: arrayvec::ArrayVec<u8, 256>,
}

impl Writer {
    /// Hands over what was gathered.
    pub fn flush(&mut self) {
        write(&self.line);
        self.line.clear();
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.line.is_full() {
                self.flush();
            }
            self.line.push(byte);
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        use core::fmt::Write;
        let mut writer = $crate::console::Writer::default();
        // Writing to the console does not fail.
        let _ = write!(writer, $($argument)*);
    }};
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::print!("{}\n", format_args!($($argument)*))
    };
}
