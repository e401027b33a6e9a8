//! The terminal's line discipline: what lies between the console's bytes and a program's reads and writes.
//!
//! Typed bytes wait in a backlog until somebody reads. Only then does the mode in force decide what they are: in
//! canonical mode they are edited into a line and echoed, else they are given as they are. So nothing typed ahead is
//! lost or altered when a program changes the mode, and the echo of a command stands where the command was read. Only
//! signal characters act at once.
//!
//! ```text
//! console → input() → backlog → [line being edited → line ready] → read()
//!                                (canonical mode only)
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::linux::signal::Signal;
use crate::linux::terminal::{InputFlags, LocalFlags, OutputFlags, Termios, cc};

pub mod screen_line;

/// Bytes that wait at most; then the console keeps them.
const BACKLOG: usize = 4096;
/// Longest line with its end.
const MAX_LINE: usize = 4096;

/// The state of one terminal.
#[derive(Debug)]
pub struct Tty {
    termios: Termios,
    backlog: VecDeque<u8>,
    line: Vec<u8>,
    /// What is left of a finished line; an empty one is the end of the file.
    ready: Option<VecDeque<u8>>,
    echo: Vec<u8>,
    /// The process group that reads, and that signal characters are for.
    pub foreground: u32,
    /// The session that the terminal belongs to; 0 if none.
    pub session: u32,
    /// Rows, columns and two numbers without meaning, as programs set them.
    pub window: [u16; 4],
}

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub enum TtyRead {
    /// These bytes; none at the end of the file.
    Data(Vec<u8>),
    /// Nothing yet.
    Wait,
}

impl Default for Tty {
    fn default() -> Self {
        Self {
            termios: Termios::default(),
            backlog: VecDeque::with_capacity(BACKLOG),
            line: Vec::with_capacity(MAX_LINE),
            ready: None,
            echo: Vec::new(),
            foreground: 0,
            session: 0,
            window: [24, 80, 0, 0],
        }
    }
}

impl Tty {
    /// The settings.
    #[must_use]
    pub fn termios(&self) -> Termios {
        self.termios
    }

    /// Changes the settings; what waits is read under the new ones.
    pub fn set_termios(&mut self, termios: Termios) {
        self.termios = termios;
    }

    /// Drops all input that was not read.
    pub fn flush_input(&mut self) {
        self.backlog.clear();
        self.line.clear();
        self.ready = None;
    }

    /// How many bytes [`Tty::input`] can take.
    #[must_use]
    pub fn room(&self) -> usize {
        BACKLOG - self.backlog.len()
    }

    /// Takes a typed byte. Gives the signal that it means, for the foreground group.
    ///
    /// A byte without room is lost: callers ask first.
    pub fn input(&mut self, byte: u8) -> Option<Signal> {
        let signal = [(cc::VINTR, Signal::INT), (cc::VQUIT, Signal::QUIT)]
            .into_iter()
            .find(|(index, _)| self.is_special(byte, *index))
            .map(|(_, signal)| signal)
            .filter(|_| self.termios.local.contains(LocalFlags::ISIG));
        if signal.is_some() {
            if !self.termios.local.contains(LocalFlags::NOFLSH) {
                self.flush_input();
            }
            self.show(&[b'^', byte | 0x40, b'\n']);
        } else if self.room() > 0 {
            self.backlog.push_back(byte);
        }
        signal
    }

    /// Up to `max` bytes of what is to be shown since the last time this was asked.
    pub fn take_echo(&mut self, max: usize) -> Vec<u8> {
        if self.echo.len() <= max {
            return core::mem::take(&mut self.echo);
        }
        self.echo.drain(..max).collect()
    }

    /// Reads up to `max` bytes.
    pub fn read(&mut self, max: usize) -> TtyRead {
        if max == 0 {
            return TtyRead::Data(Vec::new());
        }
        if !self.is_canonical() {
            return self.read_raw(max);
        }
        self.edit();
        let Some(ready) = &mut self.ready else {
            return TtyRead::Wait;
        };
        let count = max.min(ready.len());
        let data = ready.drain(..count).collect();
        if ready.is_empty() {
            self.ready = None;
        }
        TtyRead::Data(data)
    }

    fn read_raw(&mut self, max: usize) -> TtyRead {
        self.unedit();
        if self.backlog.is_empty() {
            let may_wait = self.termios.cc[cc::VMIN] > 0;
            return if may_wait {
                TtyRead::Wait
            } else {
                TtyRead::Data(Vec::new())
            };
        }
        let count = max.min(self.backlog.len());
        let raw: Vec<u8> = self.backlog.drain(..count).collect();
        let data: Vec<u8> = raw.into_iter().filter_map(|byte| self.translate(byte)).collect();
        self.show(&data);
        TtyRead::Data(data)
    }

    /// How many bytes a read would give now, or `None` where it would wait; an end of file is 0.
    pub fn available(&mut self) -> Option<usize> {
        if self.is_canonical() {
            self.edit();
            return self.ready.as_ref().map(VecDeque::len);
        }
        self.unedit();
        Some(self.backlog.len()).filter(|count| *count > 0)
    }

    /// What goes to the console for `bytes` that a program writes.
    #[must_use]
    pub fn output(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 8);
        let crlf = self
            .termios
            .output
            .contains(OutputFlags::OPOST | OutputFlags::ONLCR);
        for &byte in bytes {
            if byte == b'\n' && crlf {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    }

    /// What goes to a console with room for `room` bytes, and how many of `bytes` that is.
    #[must_use]
    pub fn output_within(&self, bytes: &[u8], room: usize) -> (usize, Vec<u8>) {
        let all = self.output(bytes);
        if all.len() <= room {
            return (bytes.len(), all);
        }
        // One byte can become two.
        let mut count = bytes.len().min(room);
        let mut text = self.output(&bytes[..count]);
        while text.len() > room {
            count -= 1;
            text = self.output(&bytes[..count]);
        }
        (count, text)
    }

    fn is_canonical(&self) -> bool {
        self.termios.local.contains(LocalFlags::ICANON)
    }

    fn is_special(&self, byte: u8, index: usize) -> bool {
        self.termios.cc[index] != 0 && self.termios.cc[index] == byte
    }

    fn translate(&self, byte: u8) -> Option<u8> {
        let input = self.termios.input;
        match byte {
            b'\r' if input.contains(InputFlags::IGNCR) => None,
            b'\r' if input.contains(InputFlags::ICRNL) => Some(b'\n'),
            b'\n' if input.contains(InputFlags::INLCR) => Some(b'\r'),
            _ => Some(byte),
        }
    }

    /// Works through the backlog until a line is ready.
    fn edit(&mut self) {
        while self.ready.is_none() {
            let Some(byte) = self.backlog.pop_front() else {
                return;
            };
            if let Some(byte) = self.translate(byte) {
                self.edit_byte(byte);
            }
        }
    }

    fn edit_byte(&mut self, byte: u8) {
        if byte == 8 || self.is_special(byte, cc::VERASE) {
            if self.line.pop().is_some() {
                self.show(b"\x08 \x08");
            }
        } else if self.is_special(byte, cc::VKILL) {
            let shown = self.line.len();
            self.line.clear();
            (0..shown).for_each(|_| self.show(b"\x08 \x08"));
        } else if self.is_special(byte, cc::VEOF) {
            self.finish_line();
        } else if byte == b'\n' || self.is_special(byte, cc::VEOL) {
            self.line.push(byte);
            self.show(&[byte]);
            self.finish_line();
        } else if self.line.len() < MAX_LINE - 1 {
            self.line.push(byte);
            self.show(&[byte]);
        } else {
            self.show(b"\x07");
        }
    }

    fn finish_line(&mut self) {
        self.ready = Some(self.line.drain(..).collect());
    }

    /// Gives what was edited or not read back to the backlog: the mode is no longer canonical.
    fn unedit(&mut self) {
        let ready = self.ready.take().unwrap_or_default();
        for byte in ready.into_iter().chain(self.line.drain(..)).rev() {
            self.backlog.push_front(byte);
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        let local = self.termios.local;
        let newline = bytes == b"\n" && local.contains(LocalFlags::ECHONL | LocalFlags::ICANON);
        if local.contains(LocalFlags::ECHO) || newline {
            let out = self.output(bytes);
            self.echo.extend_from_slice(&out);
        }
    }
}

#[cfg(test)]
mod tests;
