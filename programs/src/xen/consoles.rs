//! Consoles of other domains by `/dev/xen/consoles`, and their use by `/dev/xen/console/N`.

use alloc::format;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;

use crate::abi::O_RDWR;
use crate::errno::{Errno, Result};
use crate::file::File;
use crate::sys;

/// The device.
pub const PATH: &[u8] = b"/dev/xen/consoles";
/// The key that programs which pass typed bytes on take as their end, unless they are told another: Ctrl-^. It means nothing to a
/// terminal, so it can be typed ahead.
pub const ESCAPE: u8 = 0x1E;

const ATTACH: u32 = 0x002C_4301;
const SET: u32 = 0x002C_4302;
const DETACH: u32 = 0x0004_4303;
const HOLD: u32 = 0x0000_4304;

/// Flag: lines are shown on the terminal.
const SHOW: u16 = 1;

/// The requests' structure.
#[repr(C)]
struct Block {
    domain: u16,
    flags: u16,
    frame: u32,
    port: u32,
    name: [u8; 32],
}

/// The list of consoles that Domain0's kernel serves.
pub struct Consoles {
    file: File,
}

fn block(domain: DomId, name: &[u8], is_shown: bool) -> Result<Block> {
    let mut block = Block {
        domain: domain.raw(),
        flags: if is_shown { SHOW } else { 0 },
        frame: 0,
        port: 0,
        name: [0; 32],
    };
    block
        .name
        .get_mut(..name.len())
        .ok_or(Errno::EINVAL)?
        .copy_from_slice(name);
    Ok(block)
}

impl Consoles {
    /// Opens the device.
    ///
    /// # Errors
    /// ENOENT: this is no privileged domain.
    pub fn open() -> Result<Self> {
        File::open_with(PATH, O_RDWR).map(|file| Self { file })
    }

    /// Lets the kernel serve a domain's console: the frame of its ring, and its port of the event channel, or 0 for a new one.
    /// Gives the port. A name has at most 32 bytes.
    ///
    /// # Errors
    /// What the hypervisor answers; ENOSPC: there are too many consoles.
    pub fn attach(
        &self,
        domain: DomId,
        (frame, port): (Mfn, u32),
        name: &[u8],
        is_shown: bool,
    ) -> Result<u32> {
        let mut block = block(domain, name, is_shown)?;
        (block.frame, block.port) = (frame.raw(), port);
        // SAFETY: this is the structure of the request.
        unsafe { sys::ioctl(self.file.descriptor(), ATTACH, &mut block) }?;
        Ok(block.port)
    }

    /// Changes a console's name, and whether its lines are shown on the terminal.
    ///
    /// # Errors
    /// ESRCH: the domain has none.
    pub fn set(&self, domain: DomId, name: &[u8], is_shown: bool) -> Result<()> {
        let mut block = block(domain, name, is_shown)?;
        // SAFETY: this is the structure of the request.
        unsafe { sys::ioctl(self.file.descriptor(), SET, &mut block) }.map(drop)
    }

    /// Lets go of a console: what is left in it is still shown or read.
    ///
    /// # Errors
    /// ESRCH: the domain has none.
    pub fn detach(&self, domain: DomId) -> Result<()> {
        let mut number = u32::from(domain.raw());
        // SAFETY: the request reads 4 bytes.
        unsafe { sys::ioctl(self.file.descriptor(), DETACH, &mut number) }.map(drop)
    }
}

/// Opens a domain's console: reading gives what it prints, writing types at it.
///
/// # Errors
/// ENOENT, ENXIO: it has none; EBUSY: somebody else has it open.
pub fn open(domain: DomId) -> Result<File> {
    File::open_with(format!("/dev/xen/console/{}", domain.raw()).as_bytes(), O_RDWR)
}

/// While `console` is open, other domains' lines wait.
///
/// # Errors
/// ENOTTY: it is no domain's console.
pub fn hold_others(console: &File) -> Result<()> {
    // SAFETY: the request has no structure.
    unsafe { sys::ioctl(console.descriptor(), HOLD, &mut 0_u32) }.map(drop)
}
