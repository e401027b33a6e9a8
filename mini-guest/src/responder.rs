//! What the small kernel answers to what is typed at it: lines from bytes, and what a line asks for.
//!
//! | line | answer |
//! |---|---|
//! | `ping WORDS` | `pong WORDS` |
//! | `poweroff`, `reboot`, `crash` | the domain ends so |
//! | anything else | the line, behind `heard ` |

use arrayvec::ArrayVec;

/// Longest line; what is typed beyond it is dropped.
pub const LONGEST: usize = 120;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 0x7F;

/// The line that is being typed.
#[derive(Debug, Default)]
pub struct Line {
    bytes: ArrayVec<u8, LONGEST>,
}

/// What a byte did to the line.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// It is to be shown as it is.
    Shown,
    /// The last character is to be wiped out.
    Wiped,
    /// It had no effect.
    Nothing,
    /// The line is complete.
    Complete(ArrayVec<u8, LONGEST>),
}

impl Line {
    /// Takes a byte. Either of carriage return and newline ends a line.
    pub fn take(&mut self, byte: u8) -> Typed {
        match byte {
            b'\r' | b'\n' => Typed::Complete(core::mem::take(&mut self.bytes)),
            BACKSPACE | DELETE if self.bytes.pop().is_some() => Typed::Wiped,
            b' '..=b'~' if self.bytes.try_push(byte).is_ok() => Typed::Shown,
            _ => Typed::Nothing,
        }
    }
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    /// To be answered with these words.
    Pong(&'a [u8]),
    /// To end in good order.
    PowerOff,
    /// To end and be started again.
    Reboot,
    /// To end badly.
    Crash,
    /// Nothing known.
    Heard(&'a [u8]),
    /// Nothing at all.
    Nothing,
}

/// Reads a line.
#[must_use]
pub fn wish(line: &[u8]) -> Wish<'_> {
    match line.trim_ascii() {
        b"" => Wish::Nothing,
        b"poweroff" => Wish::PowerOff,
        b"reboot" => Wish::Reboot,
        b"crash" => Wish::Crash,
        b"ping" => Wish::Pong(b""),
        words => words
            .strip_prefix(b"ping ")
            .map_or(Wish::Heard(words), |rest| Wish::Pong(rest.trim_ascii())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &[u8]) -> Vec<Vec<u8>> {
        let mut line = Line::default();
        let lines = text.iter().filter_map(|byte| match line.take(*byte) {
            Typed::Complete(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        lines.collect()
    }

    #[test]
    fn lines_end_at_either_end() {
        assert_eq!(typed(b"one\rtwo\nrest"), [b"one".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn what_is_wiped_out_is_gone() {
        assert_eq!(typed(b"\x7Fax\x08b\x07\n"), [b"ab".to_vec()]);
        let mut line = Line::default();
        assert_eq!(line.take(DELETE), Typed::Nothing, "nothing is there");
        assert_eq!(
            (line.take(b'a'), line.take(BACKSPACE)),
            (Typed::Shown, Typed::Wiped)
        );
    }

    #[test]
    fn a_line_too_long_is_cut() {
        let long = [&[b'x'; LONGEST + 9][..], b"\n"].concat();
        assert_eq!(typed(&long), [vec![b'x'; LONGEST]]);
    }

    #[test]
    fn wishes() {
        assert_eq!(wish(b"ping 7 of 9 "), Wish::Pong(b"7 of 9"));
        assert_eq!((wish(b"ping"), wish(b"  ")), (Wish::Pong(b""), Wish::Nothing));
        assert_eq!(wish(b"pingpong"), Wish::Heard(b"pingpong"));
        assert_eq!(
            (wish(b" poweroff"), wish(b"reboot"), wish(b"crash")),
            (Wish::PowerOff, Wish::Reboot, Wish::Crash)
        );
    }
}
