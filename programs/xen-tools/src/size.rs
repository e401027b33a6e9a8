//! Amounts of memory as people write them: `16M`, `512K`, `1G`; a plain number is megabytes, as everywhere in `xl`.

use core::fmt;

/// Most memory that a domain can be given, in KiB: its frames are numbered within 64 GB.
pub const MAX_KIB: u64 = 64 << 20;
/// KiB in a page.
pub const PAGE_KIB: u64 = 4;

/// Why a text is no amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// It is no number with one of the units.
    Malformed,
    /// It is not a page, or more than [`MAX_KIB`].
    OutOfRange,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not an amount of memory such as 16M, 512K or 1G"),
            Self::OutOfRange => f.write_str("not between 4K and 64G, which a domain can have"),
        }
    }
}

impl core::error::Error for SizeError {}

/// `text` in KiB, rounded up to whole pages.
///
/// # Errors
/// It is none, or beyond what a domain can have.
pub fn parse_kib(text: &str) -> Result<u64, SizeError> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => 0,
        "" | "m" | "mb" | "mib" => 10,
        "g" | "gb" | "gib" => 20,
        _ => return Err(SizeError::Malformed),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SizeError::Malformed);
    }
    // A number of digits alone that does not fit is too large, not malformed.
    let number: u64 = digits.parse().map_err(|_| SizeError::OutOfRange)?;
    match number.checked_mul(1 << shift) {
        Some(kib) if (1..=MAX_KIB).contains(&kib) => Ok(kib.next_multiple_of(PAGE_KIB)),
        _ => Err(SizeError::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_plain_megabytes() {
        for (text, kib) in [
            ("16M", 16384),
            ("16", 16384),
            ("512k", 512),
            ("1G", 1 << 20),
            ("8MiB", 8192),
            ("1K", 4),
        ] {
            assert_eq!(parse_kib(text), Ok(kib), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "M", "-1", "1.5M", "1T", "1 M", "0x10", "M16"] {
            assert_eq!(parse_kib(text), Err(SizeError::Malformed), "{text}");
        }
        for text in ["0", "65G", "99999999999999999999", "18446744073709551615G"] {
            assert_eq!(parse_kib(text), Err(SizeError::OutOfRange), "{text}");
        }
    }
}
