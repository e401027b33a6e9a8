//! Printing. Each `print!` is one `write`; a failure of standard output is remembered and turns status 0 into 1.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::errno::{Errno, Result};
use crate::sys;

/// Standard input.
pub const STDIN: i32 = 0;
/// Standard output.
pub const STDOUT: i32 = 1;
/// Standard error.
pub const STDERR: i32 = 2;

static OUTPUT_FAILED: AtomicBool = AtomicBool::new(false);

/// Whether anything could not be written to standard output.
pub fn output_failed() -> bool {
    OUTPUT_FAILED.load(Relaxed)
}

/// Writes all of `bytes`.
///
/// # Errors
/// What `write` answers; interruptions are retried.
pub fn write_all(fd: i32, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match sys::write(fd, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` to standard output; a failure is reported once and remembered.
pub fn out(bytes: &[u8]) {
    if let Err(error) = write_all(STDOUT, bytes)
        && !OUTPUT_FAILED.swap(true, Relaxed)
    {
        crate::eprintln!("write error: {error}");
    }
}

/// Collects a message on the stack, so that it reaches the file in one piece.
struct Message {
    fd: i32,
    used: usize,
    bytes: [u8; 512],
}

impl Message {
    fn flush(&mut self) {
        let bytes = &self.bytes[..self.used];
        if self.fd == STDOUT {
            out(bytes);
        } else {
            let _ = write_all(self.fd, bytes);
        }
        self.used = 0;
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.used] = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// Prints to a descriptor. Used by the macros.
pub fn print_to(fd: i32, message: fmt::Arguments<'_>) {
    let mut collected = Message {
        fd,
        used: 0,
        bytes: [0; 512],
    };
    let _ = collected.write_fmt(message);
    collected.flush();
}

/// Bytes of a file name or argument, shown as text; what is not UTF-8 becomes `?`.
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char('?')?;
            }
        }
        Ok(())
    }
}

/// Prints to standard output.
#[macro_export]
macro_rules! print {
    ($($part:tt)*) => { $crate::io::print_to($crate::io::STDOUT, format_args!($($part)*)) };
}

/// Prints a line to standard output.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($part:tt)*) => { $crate::print!("{}\n", format_args!($($part)*)) };
}

/// Prints to standard error.
#[macro_export]
macro_rules! eprint {
    ($($part:tt)*) => { $crate::io::print_to($crate::io::STDERR, format_args!($($part)*)) };
}

/// Prints a line to standard error.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint!("\n") };
    ($($part:tt)*) => { $crate::eprint!("{}\n", format_args!($($part)*)) };
}
