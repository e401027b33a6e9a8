//! The last line on the screen, unfinished: a prompt and what was typed behind it, mostly.
//!
//! Lines of other domains may come at any time. So that they do not stand in the middle of a half-typed command, the unfinished line
//! is wiped off, the others are shown, and it is written again. Only what every terminal does is used: the carriage return,
//! the backspace, and spaces.

use alloc::vec::Vec;

/// The longest line that is written again; of a longer one a new line begins, as on a terminal without any of this.
const LONGEST: usize = 1024;

/// What stands on the cursor's line.
#[derive(Debug, Default)]
pub struct ScreenLine {
    text: Vec<u8>,
    column: usize,
    /// It holds what this does not understand: escape sequences, tabs, more than [`LONGEST`] bytes.
    is_strange: bool,
}

impl ScreenLine {
    /// Something was written to the terminal.
    pub fn note(&mut self, bytes: &[u8]) {
        let rest = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                self.clear();
                &bytes[end + 1..]
            }
            None => bytes,
        };
        for &byte in rest {
            match byte {
                b'\r' => self.column = 0,
                8 => self.column = self.column.saturating_sub(1),
                7 => {}
                0..0x20 | 0x7F => self.is_strange = true,
                _ if self.column == LONGEST => self.is_strange = true,
                _ => {
                    match self.text.get_mut(self.column) {
                        Some(place) => *place = byte,
                        None => self.text.push(byte),
                    }
                    self.column += 1;
                }
            }
        }
    }

    /// Whether the cursor is where a line begins, with nothing on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.is_strange
    }

    fn clear(&mut self) {
        self.text.clear();
        self.column = 0;
        self.is_strange = false;
    }

    /// What brings the cursor to an empty line of a terminal with `columns` columns. A line that is not known to fit into one
    /// stays, and a new one begins.
    #[must_use]
    pub fn wipe(&self, columns: usize) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        // Bytes above ASCII are parts of characters, of whatever width.
        if self.is_strange || !self.text.is_ascii() || self.text.len() >= columns {
            return b"\r\n".to_vec();
        }
        let blank = self.text.len();
        [&b"\r"[..], &b" ".repeat(blank), b"\r"].concat()
    }

    /// What writes the line again, the cursor being where it was; nothing of a line that holds what is not understood. From
    /// then on this is the terminal's line, so it is not to be noted.
    #[must_use]
    pub fn again(&mut self) -> Vec<u8> {
        if self.is_strange {
            self.clear();
        }
        let mut bytes = self.text.clone();
        bytes.resize(bytes.len() + self.text.len() - self.column, 8);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bytes: &[u8]) -> ScreenLine {
        let mut line = ScreenLine::default();
        line.note(bytes);
        line
    }

    #[test]
    fn a_prompt_and_what_was_typed_come_again() {
        let mut line = after(b"out\r\n/ # ");
        line.note(b"list\x08 \x08");
        assert_eq!(line.wipe(80), b"\r        \r");
        assert_eq!(line.again(), b"/ # lis \x08");
        line.note(b"\r\n");
        assert!(line.is_empty() && line.wipe(80).is_empty() && line.again().is_empty());
    }

    #[test]
    fn the_cursor_comes_back_to_its_place() {
        let mut line = after(b"/ # abcd\x08\x08\x08");
        assert_eq!(line.again(), b"/ # abcd\x08\x08\x08");
        line.note(b"X\r");
        assert_eq!(line.again(), b"/ # aXcd\x08\x08\x08\x08\x08\x08\x08\x08");
    }

    #[test]
    fn a_line_that_may_not_fit_stays_and_comes_again() {
        for text in [&[b'x'; 80][..], "\u{e9}".as_bytes()] {
            let mut line = after(text);
            assert_eq!(line.wipe(80), b"\r\n");
            assert_eq!(line.again(), text);
        }
        assert_ne!(after(&[b'x'; 79]).wipe(80), b"\r\n");
    }

    #[test]
    fn a_line_that_is_not_understood_stays_behind() {
        for text in [&b"\x1b[2Jscreen"[..], b"a\tb", &[b'x'; LONGEST + 1]] {
            let mut line = after(text);
            assert!(!line.is_empty());
            assert_eq!(line.wipe(80), b"\r\n");
            assert!(line.again().is_empty() && line.is_empty());
        }
    }
}
