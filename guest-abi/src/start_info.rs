//! What a guest kernel finds at its start: the page that ESI points to.
//!
//! At the entry CS is the flat ring-1 code selector, DS, ES, FS, GS and SS the flat ring-1 data selector, ESP
//! the top of a one-page boot stack, ESI the linear address of a page with [`StartInfo`] at its start, EFLAGS
//! 0x202, all other registers 0. Paging is on with the tables that `pt_base` points to.
//!
//! Source: Xen 2.0, `start_info_t`; store, console and the module list are xenlite's.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GuestVirt, MachAddr, Mfn};

/// Bytes of the command line's field; the string ends with a NUL, so it has at most one less.
pub const CMD_LINE_BYTES: usize = 256;

/// EFLAGS at the entry: interrupts on, and the bit that is always 1.
pub const START_EFLAGS: u32 = 0x202;

/// The start of the start-info page; the rest of it is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StartInfo {
    /// How many frames the domain has.
    pub nr_pages: u32,
    /// Zero.
    pub pad0: u32,
    /// Machine address of [`SharedInfo`](crate::shared_info::SharedInfo).
    pub shared_info: MachAddr,
    /// What this domain is, and how to read `mod_start`.
    pub flags: StartFlags,
    /// Zero (Xen 2.0's port to the domain controller, whose protocol is not part of this interface).
    pub pad1: u32,
    /// Linear address of the L3 in force.
    pub pt_base: GuestVirt,
    /// Zero.
    pub pad2: u32,
    /// How many page-table frames there are, from `pt_base` on: the L3, its L2s, the L1s.
    pub nr_pt_frames: u32,
    /// Zero.
    pub pad3: u32,
    /// Linear address of the phys-to-machine list: a `u32` frame number per page of the domain.
    pub mfn_list: GuestVirt,
    /// Zero.
    pub pad4: u32,
    /// Linear address of the initial RAM disk, or with [`StartFlags::MODULE_LIST`] of a
    /// [module list](crate::module_list); 0 if there is none.
    pub mod_start: GuestVirt,
    /// Zero.
    pub pad5: u32,
    /// Its length in bytes.
    pub mod_len: u32,
    /// Zero.
    pub pad6: u32,
    /// The command line, ended by a NUL.
    pub cmd_line: [u8; CMD_LINE_BYTES],
    /// Machine frame of the [store ring](crate::io::xenstore); 0 if there is none.
    pub store_mfn: Mfn,
    /// Port of the store's event channel; 0 if there is none.
    pub store_evtchn: u32,
    /// Machine frame of the [console ring](crate::io::console); 0 if there is none.
    pub console_mfn: Mfn,
    /// Port of the console's event channel; 0 if there is none.
    pub console_evtchn: u32,
}

layout!(
    StartInfo, size 336,
    nr_pages @ 0, shared_info @ 8, flags @ 16, pad1 @ 20, pt_base @ 24, nr_pt_frames @ 32, mfn_list @ 40,
    mod_start @ 48, mod_len @ 56, cmd_line @ 64, store_mfn @ 320, store_evtchn @ 324, console_mfn @ 328,
    console_evtchn @ 332,
);
default_is_zero!(StartInfo);

/// Flags of a [`StartInfo`] (`SIF_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct StartFlags(u32);

bitflags! {
    impl StartFlags: u32 {
        /// The domain is privileged (`SIF_PRIVILEGED`).
        const PRIVILEGED = 1 << 0;
        /// The domain is the first (`SIF_INITDOMAIN`).
        const INITIAL_DOMAIN = 1 << 1;
        /// `mod_start` is a [module list](crate::module_list), not a RAM disk.
        const MODULE_LIST = 1 << 2;
        /// The domain serves block devices (`SIF_BLK_BE_DOMAIN`).
        const BLOCK_BACKEND = 1 << 4;
        /// The domain serves network devices (`SIF_NET_BE_DOMAIN`).
        const NET_BACKEND = 1 << 5;
    }
}

impl StartInfo {
    /// The command line without its NUL; the whole field where there is none.
    #[must_use]
    pub fn command_line(&self) -> &[u8] {
        let end = self
            .cmd_line
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(CMD_LINE_BYTES);
        &self.cmd_line[..end]
    }

    /// Sets the command line, which may not contain a NUL.
    ///
    /// # Errors
    /// The line has 256 bytes or more, or a NUL; nothing is changed.
    pub fn set_command_line(&mut self, line: &[u8]) -> Result<(), CommandLineError> {
        if line.len() >= CMD_LINE_BYTES {
            return Err(CommandLineError::TooLong(line.len()));
        }
        if line.contains(&0) {
            return Err(CommandLineError::ContainsNul);
        }
        let (head, tail) = self.cmd_line.split_at_mut(line.len());
        head.copy_from_slice(line);
        tail.fill(0);
        Ok(())
    }
}

/// Why a string cannot be a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandLineError {
    /// It has this many bytes, more than fit beside the NUL.
    TooLong(usize),
    /// It contains a NUL.
    ContainsNul,
}

impl core::fmt::Display for CommandLineError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong(bytes) => {
                write!(
                    f,
                    "command line of {bytes} bytes, at most {} fit",
                    CMD_LINE_BYTES - 1
                )
            }
            Self::ContainsNul => f.write_str("command line contains a NUL"),
        }
    }
}

impl core::error::Error for CommandLineError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_kept_up_to_its_nul() {
        let mut info = StartInfo::default();
        assert_eq!(info.command_line(), b"");
        info.set_command_line(b"init=/bin/sh").unwrap();
        info.set_command_line(b"quiet").unwrap();
        assert_eq!(info.command_line(), b"quiet");
        assert_eq!(&info.cmd_line[5..16], &[0; 11]);
    }

    #[test]
    fn command_line_that_does_not_fit_changes_nothing() {
        let mut info = StartInfo::default();
        info.set_command_line(&[b'a'; 255]).unwrap();
        assert_eq!(
            info.set_command_line(&[b'b'; 256]),
            Err(CommandLineError::TooLong(256))
        );
        assert_eq!(info.set_command_line(b"a\0b"), Err(CommandLineError::ContainsNul));
        assert_eq!(info.command_line(), &[b'a'; 255]);
    }

    #[test]
    fn field_without_nul_is_all_text() {
        let info = StartInfo {
            cmd_line: [b'x'; 256],
            ..StartInfo::default()
        };
        assert_eq!(info.command_line().len(), 256);
    }
}
