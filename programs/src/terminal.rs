//! The terminal: settings, size, and whose turn it is.

use crate::abi::{TCGETS, TCSETS, TIOCGPGRP, TIOCGWINSZ, TIOCSCTTY, TIOCSPGRP, Termios, WindowSize};
use crate::errno::Result;
use crate::sys;

/// Local mode: Ctrl-C and Ctrl-\ are signals.
const ISIG: u32 = 1;
/// Local mode: input by lines.
const ICANON: u32 = 2;
/// Local mode: what is typed is shown.
const ECHO: u32 = 8;

/// The settings of a terminal.
///
/// # Errors
/// ENOTTY when it is none.
pub fn settings(fd: i32) -> Result<Termios> {
    let mut settings = Termios::default();
    // SAFETY: TCGETS fills in a `Termios`, which is all integers.
    unsafe { sys::ioctl(fd, TCGETS, &mut settings) }?;
    Ok(settings)
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    settings(fd).is_ok()
}

/// Changes the settings of a terminal; input that waits is kept.
///
/// # Errors
/// ENOTTY when it is none.
pub fn set(fd: i32, settings: Termios) -> Result<()> {
    let mut settings = settings;
    // SAFETY: TCSETS reads a `Termios`.
    unsafe { sys::ioctl(fd, TCSETS, &mut settings) }.map(drop)
}

/// While it lives, the terminal hands over every byte at once and shows nothing by itself.
pub struct Raw {
    fd: i32,
    before: Termios,
}

impl Raw {
    /// Begins it.
    ///
    /// # Errors
    /// ENOTTY when `fd` is no terminal.
    pub fn enter(fd: i32) -> Result<Raw> {
        let before = settings(fd)?;
        let mut raw = before;
        raw.local &= !(ISIG | ICANON | ECHO);
        set(fd, raw)?;
        Ok(Raw { fd, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = set(self.fd, self.before);
    }
}

/// Columns, when the terminal knows them.
pub fn columns(fd: i32) -> Option<usize> {
    let mut size = WindowSize::default();
    // SAFETY: TIOCGWINSZ fills in a `WindowSize`, which is all integers.
    unsafe { sys::ioctl(fd, TIOCGWINSZ, &mut size) }.ok()?;
    (size.columns != 0).then_some(usize::from(size.columns))
}

/// The process group in the foreground.
///
/// # Errors
/// ENOTTY when `fd` is not this process's controlling terminal.
pub fn foreground(fd: i32) -> Result<i32> {
    let mut group = 0_i32;
    // SAFETY: TIOCGPGRP fills in an integer.
    unsafe { sys::ioctl(fd, TIOCGPGRP, &mut group) }?;
    Ok(group)
}

/// Puts a process group in the foreground.
///
/// # Errors
/// ENOTTY and what else the kernel answers.
pub fn set_foreground(fd: i32, group: i32) -> Result<()> {
    let mut group = group;
    // SAFETY: TIOCSPGRP reads an integer.
    unsafe { sys::ioctl(fd, TIOCSPGRP, &mut group) }.map(drop)
}

/// Makes `fd` the controlling terminal of this session.
///
/// # Errors
/// What the kernel answers.
pub fn take_control(fd: i32) -> Result<()> {
    let mut steal = 0_i32;
    // SAFETY: TIOCSCTTY takes a number; that of an integer's address is not looked at beyond being one (root only).
    unsafe { sys::ioctl(fd, TIOCSCTTY, &mut steal) }.map(drop)
}
