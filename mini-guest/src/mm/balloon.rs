//! The balloon: memory that this domain has given back, to take it again when it is asked to.
//!
//! A frame that goes is a free one: its page leaves the direct map, then the hypervisor gets it, and its place in the
//! pseudo-physical numbering stays empty ([`FrameTable::set_aside`](super::frames::FrameTable::set_aside)) until another machine frame fills it. A domain never becomes larger than it was at its start: its frame table and
//! direct map end there.
//!
//! This is the bookkeeping; `exchange` moves frames. Source of the file's form: Linux 2.6 for Xen, `/proc/xen/balloon`.

use alloc::format;
use alloc::string::String;

use crate::linux::Errno;

/// KiB of a page.
const PAGE_KIB: u64 = 4;

/// How large the domain is and is to be, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balloon {
    /// At the start, which is the most.
    pub largest: u32,
    /// What it has now.
    pub now: u32,
    /// What it was asked to have.
    pub target: u32,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Give back so many frames.
    Give(u32),
    /// Take so many.
    Take(u32),
    /// Nothing: the target is reached.
    Rest,
}

impl Balloon {
    /// A domain of so many pages that was asked for nothing yet.
    #[must_use]
    pub fn new(pages: u32) -> Self {
        Self {
            largest: pages,
            now: pages,
            target: pages,
        }
    }

    /// Sets the target.
    ///
    /// # Errors
    /// EINVAL: more than the domain can have, or nothing at all.
    pub fn ask(&mut self, kib: u64) -> Result<(), Errno> {
        let pages = u32::try_from(kib / PAGE_KIB).map_err(|_| Errno::EINVAL)?;
        if pages == 0 || pages > self.largest {
            return Err(Errno::EINVAL);
        }
        self.target = pages;
        Ok(())
    }

    /// The next step, at most `most` frames.
    #[must_use]
    pub fn step(&self, most: u32) -> Step {
        if self.now > self.target {
            Step::Give((self.now - self.target).min(most))
        } else if self.now < self.target {
            Step::Take((self.target - self.now).min(most))
        } else {
            Step::Rest
        }
    }

    /// What `/proc/xen/balloon` shows.
    #[must_use]
    pub fn text(&self) -> String {
        let kib = |pages: u32| u64::from(pages) * PAGE_KIB;
        let mut text = String::new();
        for (name, pages) in [
            ("Current allocation", self.now),
            ("Requested target", self.target),
            ("Largest possible", self.largest),
        ] {
            text += &format!("{name}: {:>9} kB\n", kib(pages));
        }
        text
    }
}

/// The KiB that were written to the file: bytes, or a number with `K`, `M` or `G`.
///
/// # Errors
/// EINVAL.
pub fn parse_kib(text: &[u8]) -> Result<u64, Errno> {
    let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?.trim();
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Errno::EINVAL);
    }
    let number: u64 = digits.parse().map_err(|_| Errno::EINVAL)?;
    let bytes = number.checked_mul(1 << shift).ok_or(Errno::EINVAL)?;
    Ok(bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_to_the_target_and_not_beyond() {
        let mut balloon = Balloon::new(1000);
        assert_eq!(balloon.step(64), Step::Rest);
        balloon.ask(3600).unwrap();
        assert_eq!(balloon.step(64), Step::Give(64));
        balloon.now = 910;
        assert_eq!(balloon.step(64), Step::Give(10));
        balloon.now = 900;
        assert_eq!(balloon.step(64), Step::Rest);
        balloon.ask(4000).unwrap();
        assert_eq!(balloon.step(64), Step::Take(64));
        balloon.now = 999;
        assert_eq!(balloon.step(64), Step::Take(1));
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let mut balloon = Balloon::new(1000);
        for kib in [0, 3, 4004, u64::MAX] {
            assert_eq!(balloon.ask(kib), Err(Errno::EINVAL), "{kib}");
        }
        assert_eq!(balloon, Balloon::new(1000));
    }

    #[test]
    fn numbers_are_bytes_or_have_a_unit() {
        for (text, kib) in [
            ("16777216\n", 16384),
            ("16M", 16384),
            (" 8192k\n", 8192),
            ("1g", 1 << 20),
        ] {
            assert_eq!(parse_kib(text.as_bytes()), Ok(kib), "{text}");
        }
        for text in [
            "",
            "M",
            "+1M",
            "-1",
            "1.5M",
            "16 M",
            "99999999999999999999",
            "18446744073709551615G",
            "\u{e9}",
        ] {
            assert_eq!(parse_kib(text.as_bytes()), Err(Errno::EINVAL), "{text}");
        }
    }

    #[test]
    fn the_file_shows_what_is_and_what_is_to_be() {
        let mut balloon = Balloon::new(2048);
        balloon.ask(4096).unwrap();
        let expected = "Current allocation:      8192 kB\nRequested target:      4096 kB\nLargest possible:      8192 kB\n";
        assert_eq!(balloon.text(), expected);
    }
}
