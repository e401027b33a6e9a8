//! A line editor for a terminal that hands over every byte and shows nothing by itself.
//!
//! Bytes go in, a line comes out, and meanwhile the bytes that the terminal must show. Keys: backspace, Ctrl-U (erase
//! the line), Ctrl-W (erase a word), Ctrl-C (drop the line), Ctrl-D (end of input on an empty line, else the line is
//! finished as the terminal driver would), arrows up and down (earlier lines). Other control bytes and escape
//! sequences are ignored.

use alloc::vec::Vec;

/// What a byte led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The line is not finished.
    Pending,
    /// Here it is.
    Line(Vec<u8>),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D with nothing typed.
    End,
}

/// How far an escape sequence has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Escape {
    None,
    Begun,
    Bracket,
}

/// The editor's state: the line so far, and the lines before.
pub struct Editor {
    line: Vec<u8>,
    history: Vec<Vec<u8>>,
    /// Which line of the history is shown; its length when none is.
    shown: usize,
    escape: Escape,
}

/// Earlier lines that are kept.
const HISTORY: usize = 100;

/// Longer lines are not accepted: further bytes are refused with a bell.
const LONGEST: usize = 4095;

const BELL: u8 = 7;

impl Default for Editor {
    fn default() -> Editor {
        Editor::new()
    }
}

impl Editor {
    /// An empty line, no history.
    pub const fn new() -> Editor {
        Editor {
            line: Vec::new(),
            history: Vec::new(),
            shown: 0,
            escape: Escape::None,
        }
    }

    /// Takes one typed byte; what must be shown is added to `show`.
    pub fn key(&mut self, byte: u8, show: &mut Vec<u8>) -> Event {
        if self.escape != Escape::None {
            self.escape_byte(byte, show);
            return Event::Pending;
        }
        match byte {
            b'\r' | b'\n' => {
                show.push(b'\n');
                return self.finish();
            }
            3 => {
                show.extend_from_slice(b"^C\n");
                self.line.clear();
                self.shown = self.history.len();
                return Event::Interrupted;
            }
            4 if self.line.is_empty() => return Event::End,
            4 => {
                show.push(b'\n');
                return self.finish();
            }
            8 | 127 => self.erase(1, show),
            21 => self.erase(usize::MAX, show),
            23 => {
                let blanks = self.line.iter().rev().take_while(|&&byte| byte == b' ').count();
                let word = self
                    .line
                    .iter()
                    .rev()
                    .skip(blanks)
                    .take_while(|&&byte| byte != b' ')
                    .filter(starts)
                    .count();
                self.erase(blanks + word, show);
            }
            27 => self.escape = Escape::Begun,
            b' '..=255 if self.line.len() < LONGEST => {
                self.line.push(byte);
                show.push(byte);
            }
            b' '..=255 => show.push(BELL),
            _ => {}
        }
        Event::Pending
    }

    /// `ESC [ parameters letter` or `ESC O letter`; anything else ends the sequence.
    fn escape_byte(&mut self, byte: u8, show: &mut Vec<u8>) {
        match (self.escape, byte) {
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Bracket,
            (Escape::Bracket, b'0'..=b'9' | b';') => {}
            (Escape::Bracket, b'A') => self.recall(self.shown.checked_sub(1), show),
            (Escape::Bracket, b'B') => self.recall(self.shown.checked_add(1), show),
            _ => self.escape = Escape::None,
        }
    }

    fn recall(&mut self, index: Option<usize>, show: &mut Vec<u8>) {
        self.escape = Escape::None;
        match index.filter(|&index| index <= self.history.len()) {
            None => show.push(BELL),
            Some(index) => {
                self.erase(usize::MAX, show);
                self.shown = index;
                self.line = self.history.get(index).cloned().unwrap_or_default();
                show.extend_from_slice(&self.line);
            }
        }
    }

    /// Removes that many characters from the end; one that takes several bytes goes as a whole.
    fn erase(&mut self, characters: usize, show: &mut Vec<u8>) {
        let mut left = characters;
        while left != 0
            && let Some(byte) = self.line.pop()
        {
            if starts(&&byte) {
                show.extend_from_slice(b"\x08 \x08");
                left -= 1;
            }
        }
    }

    fn finish(&mut self) -> Event {
        let line = core::mem::take(&mut self.line);
        if !line.trim_ascii().is_empty() && self.history.last() != Some(&line) {
            if self.history.len() == HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        self.shown = self.history.len();
        Event::Line(line)
    }
}

/// Whether a byte begins a character (UTF-8: is no continuation).
fn starts(byte: &&u8) -> bool {
    **byte & 0xC0 != 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// Types `bytes`; gives the events that were not `Pending`, and what was shown.
    fn typed(editor: &mut Editor, bytes: &[u8]) -> (Vec<Event>, Vec<u8>) {
        let mut show = vec![];
        let events = bytes
            .iter()
            .map(|&byte| editor.key(byte, &mut show))
            .filter(|event| *event != Event::Pending);
        (events.collect(), show)
    }

    fn line(text: &str) -> Event {
        Event::Line(text.into())
    }

    #[test]
    fn a_line_is_shown_and_given() {
        let (events, show) = typed(&mut Editor::new(), b"ls -l\r");
        assert_eq!((events, &show[..]), (vec![line("ls -l")], &b"ls -l\n"[..]));
    }

    #[test]
    fn both_erase_bytes_work_and_stop_at_the_start() {
        let (events, show) = typed(&mut Editor::new(), b"ab\x08\x7f\x7fc\n");
        assert_eq!(events, [line("c")]);
        assert_eq!(show, b"ab\x08 \x08\x08 \x08c\n");
    }

    #[test]
    fn long_characters_are_erased_whole() {
        let (events, show) = typed(&mut Editor::new(), "aä\x7f\n".as_bytes());
        assert_eq!(events, [line("a")]);
        assert_eq!(show, "aä\x08 \x08\n".as_bytes());
    }

    #[test]
    fn kill_erases_the_line_and_ctrl_w_a_word() {
        assert_eq!(typed(&mut Editor::new(), b"a b\x15c\n").0, [line("c")]);
        assert_eq!(typed(&mut Editor::new(), b"a bc  \x17d\n").0, [line("a d")]);
    }

    #[test]
    fn ctrl_c_drops_the_line() {
        let (events, _) = typed(&mut Editor::new(), b"abc\x03d\n");
        assert_eq!(events, [Event::Interrupted, line("d")]);
    }

    #[test]
    fn ctrl_d_ends_input_only_on_an_empty_line() {
        let (events, _) = typed(&mut Editor::new(), b"a\x04\x04");
        assert_eq!(events, [line("a"), Event::End]);
    }

    #[test]
    fn arrows_walk_through_earlier_lines() {
        let mut editor = Editor::new();
        typed(&mut editor, b"one\ntwo\n");
        assert_eq!(typed(&mut editor, b"\x1b[A\x1b[A\n").0, [line("one")]);
        assert_eq!(typed(&mut editor, b"\x1b[A\x1b[A\x1b[B!\n").0, [line("one!")]);
        assert_eq!(typed(&mut editor, b"\x1b[Ax\x1b[B\n").0, [line("")]);
    }

    #[test]
    fn arrows_beyond_the_history_ring_the_bell() {
        let (events, show) = typed(&mut Editor::new(), b"a\x1b[A\x1b[B\n");
        assert_eq!((events, &show[..]), (vec![line("a")], &b"a\x07\x07\n"[..]));
    }

    #[test]
    fn other_sequences_and_control_bytes_leave_no_trace() {
        let (events, show) = typed(&mut Editor::new(), b"a\x1b[1;5Cb\x1bx\x01\tc\x1bOD\n");
        assert_eq!((events, &show[..]), (vec![line("abc")], &b"abc\n"[..]));
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let mut editor = Editor::new();
        typed(&mut editor, &[b'x'; LONGEST + 5]);
        assert_eq!(typed(&mut editor, b"\n").0, [Event::Line(vec![b'x'; LONGEST])]);
    }
}
