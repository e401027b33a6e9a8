//! Keys as people write them: `^A` is Ctrl-A.

use alloc::format;
use alloc::string::String;

/// The byte that a key gives: `^A` or `^a`, also `^[`, `^]`, `^^`, `^_` and `^\\`; or one printable character, itself.
pub fn parse(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [b'^', letter] => {
            let upper = letter.to_ascii_uppercase();
            matches!(upper, b'A'..=b'_').then_some(upper ^ 0x40)
        }
        [plain @ 0x21..=0x7E] => Some(plain),
        _ => None,
    }
}

/// A key for people.
pub fn shown(key: u8) -> String {
    match key {
        0..0x20 => format!("Ctrl-{}", char::from(key ^ 0x40)),
        other => char::from(other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_shown() {
        for (text, key, name) in [
            ("^A", 1, "Ctrl-A"),
            ("^a", 1, "Ctrl-A"),
            ("^]", 0x1D, "Ctrl-]"),
            ("^^", 0x1E, "Ctrl-^"),
            ("~", b'~', "~"),
            ("^", b'^', "^"),
        ] {
            assert_eq!(parse(text), Some(key), "{text}");
            assert_eq!(shown(key), name);
        }
        for text in ["", "^@", "^1", "^?", "ab", " ", "\u{e9}", "^AB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
