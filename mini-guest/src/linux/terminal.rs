//! Terminals: `struct termios` and the requests of ioctl.

use super::{Packed, word};

/// Requests of ioctl that a terminal knows.
pub mod request {
    /// Read the settings.
    pub const TCGETS: u32 = 0x5401;
    /// Set them.
    pub const TCSETS: u32 = 0x5402;
    /// Set them when all output is out.
    pub const TCSETSW: u32 = 0x5403;
    /// The same, and drop input that was not read.
    pub const TCSETSF: u32 = 0x5404;
    /// Drop queued input or output.
    pub const TCFLSH: u32 = 0x540B;
    /// Become the controlling terminal.
    pub const TIOCSCTTY: u32 = 0x540E;
    /// Read the foreground process group.
    pub const TIOCGPGRP: u32 = 0x540F;
    /// Set it.
    pub const TIOCSPGRP: u32 = 0x5410;
    /// Read the size.
    pub const TIOCGWINSZ: u32 = 0x5413;
    /// Set it.
    pub const TIOCSWINSZ: u32 = 0x5414;
    /// How many bytes can be read.
    pub const FIONREAD: u32 = 0x541B;
    /// Give up the controlling terminal.
    pub const TIOCNOTTY: u32 = 0x5422;
    /// Read the session.
    pub const TIOCGSID: u32 = 0x5429;
}

bitflags::bitflags! {
    /// Input flags that do something; others are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InputFlags: u32 {
        /// Ignore CR.
        const IGNCR = 0x80;
        /// CR becomes NL.
        const ICRNL = 0x100;
        /// NL becomes CR.
        const INLCR = 0x40;
        /// Flow control.
        const IXON = 0x400;
        const _ = !0;
    }

    /// Output flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OutputFlags: u32 {
        /// Any processing.
        const OPOST = 1;
        /// NL becomes CR NL.
        const ONLCR = 4;
        const _ = !0;
    }

    /// Local flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LocalFlags: u32 {
        /// Signals by characters.
        const ISIG = 1;
        /// Lines.
        const ICANON = 2;
        /// Show what is typed.
        const ECHO = 8;
        /// Erase what is erased.
        const ECHOE = 0x10;
        /// NL after kill.
        const ECHOK = 0x20;
        /// Show NL without ECHO.
        const ECHONL = 0x40;
        /// Signals do not drop input.
        const NOFLSH = 0x80;
        /// Extensions.
        const IEXTEN = 0x8000;
        const _ = !0;
    }
}

/// Indices of special characters.
pub mod cc {
    /// Interrupt.
    pub const VINTR: usize = 0;
    /// Quit.
    pub const VQUIT: usize = 1;
    /// Erase a character.
    pub const VERASE: usize = 2;
    /// Erase the line.
    pub const VKILL: usize = 3;
    /// End of file.
    pub const VEOF: usize = 4;
    /// Time without ICANON.
    pub const VTIME: usize = 5;
    /// Least bytes without ICANON.
    pub const VMIN: usize = 6;
    /// Another end of line.
    pub const VEOL: usize = 11;
}

/// `struct termios` of the kernel: 36 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termios {
    /// Input flags.
    pub input: InputFlags,
    /// Output flags.
    pub output: OutputFlags,
    /// Control flags: kept, without meaning.
    pub control: u32,
    /// Local flags.
    pub local: LocalFlags,
    /// Line discipline: kept.
    pub line: u8,
    /// Special characters.
    pub cc: [u8; 19],
}

impl Default for Termios {
    fn default() -> Self {
        let mut cc = [0; 19];
        (cc[cc::VINTR], cc[cc::VQUIT], cc[cc::VERASE], cc[cc::VKILL]) = (3, 28, 127, 21);
        (cc[cc::VEOF], cc[cc::VMIN]) = (4, 1);
        Self {
            input: InputFlags::ICRNL | InputFlags::IXON,
            output: OutputFlags::OPOST | OutputFlags::ONLCR,
            control: 0xBF,
            local: LocalFlags::ISIG
                | LocalFlags::ICANON
                | LocalFlags::ECHO
                | LocalFlags::ECHOE
                | LocalFlags::ECHOK
                | LocalFlags::IEXTEN,
            line: 0,
            cc,
        }
    }
}

impl Termios {
    /// Bytes of the structure.
    pub const SIZE: usize = 36;

    /// As a program reads it.
    #[must_use]
    pub fn packed(&self) -> [u8; Self::SIZE] {
        Packed::new()
            .u32(self.input.bits())
            .u32(self.output.bits())
            .u32(self.control)
            .u32(self.local.bits())
            .bytes(&[self.line])
            .bytes(&self.cc)
            .finish()
    }

    /// As a program writes it.
    #[must_use]
    pub fn from_packed(bytes: &[u8; Self::SIZE]) -> Self {
        let mut cc = [0; 19];
        cc.copy_from_slice(&bytes[17..36]);
        Self {
            input: InputFlags::from_bits_retain(word(bytes, 0)),
            output: OutputFlags::from_bits_retain(word(bytes, 4)),
            control: word(bytes, 8),
            local: LocalFlags::from_bits_retain(word(bytes, 12)),
            line: bytes[16],
            cc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_set() {
        let mut bytes = [0; Termios::SIZE];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = index as u8 * 7 + 1;
        }
        assert_eq!(Termios::from_packed(&bytes).packed(), bytes);
    }

    #[test]
    fn default_is_a_line_terminal() {
        let packed = Termios::default().packed();
        assert_eq!(word(&packed, 0), 0x500);
        assert_eq!(word(&packed, 4), 5);
        assert_eq!(word(&packed, 12), 0x803B);
        assert_eq!(&packed[17..24], &[3, 28, 127, 21, 4, 0, 1]);
    }
}
