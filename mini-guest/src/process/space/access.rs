//! Copies between the kernel and the program whose address space is loaded.
//!
//! Every address is a program's word: the range must lie in user space and in areas that allow the access, missing
//! pages are brought in, and whatever still faults is EFAULT.

use core::ops::Range;
use core::ptr;

use super::AddressSpace;
use crate::linux::Errno;
use crate::mm::layout::USER_END;
use crate::usercopy;

impl AddressSpace {
    /// Fills `into` from address `from`.
    ///
    /// # Errors
    /// EFAULT.
    pub fn copy_in(&mut self, from: u32, into: &mut [u8]) -> Result<(), Errno> {
        let range = self.check(from, into.len(), false)?;
        let to = into.as_mut_ptr() as u32;
        // SAFETY: `into` is exclusively ours; the program's memory is read only, and no program runs meanwhile.
        self.copy(range, false, |at, done, left| unsafe {
            usercopy::copy(to + done, at, left)
        })
    }

    /// Writes `bytes` to address `to`.
    ///
    /// # Errors
    /// EFAULT; a part may have been written.
    pub fn copy_out(&mut self, to: u32, bytes: &[u8]) -> Result<(), Errno> {
        let range = self.check(to, bytes.len(), true)?;
        let from = bytes.as_ptr() as u32;
        // SAFETY: the range lies in user space, where no Rust object lives.
        self.copy(range, true, |at, done, left| unsafe {
            usercopy::copy(at, from + done, left)
        })
    }

    /// Makes `len` bytes at address `to` ready to be written, changing nothing in them.
    ///
    /// # Errors
    /// EFAULT.
    pub fn prepare_out(&mut self, to: u32, len: u32) -> Result<(), Errno> {
        let range = self.check(to, len as usize, true)?;
        let first = range.start & !(super::PAGE - 1);
        for page in (first..range.end).step_by(super::PAGE as usize) {
            self.fault(page, true).map_err(|_| Errno::EFAULT)?;
        }
        Ok(())
    }

    /// Copies in a string up to its NUL, which must come within `max` bytes.
    ///
    /// # Errors
    /// EFAULT; `too_long` where there is no NUL.
    pub fn string(&mut self, from: u32, max: usize, too_long: Errno) -> Result<alloc::vec::Vec<u8>, Errno> {
        let mut string = alloc::vec::Vec::new();
        let mut piece = [0; 256];
        while string.len() < max {
            let at = from.checked_add(string.len() as u32).ok_or(Errno::EFAULT)?;
            // Up to the end of a page: beyond the string there may be nothing.
            let len = piece
                .len()
                .min(4096 - (at % 4096) as usize)
                .min(max - string.len());
            self.copy_in(at, &mut piece[..len])?;
            string.try_reserve(len).map_err(|_| Errno::ENOMEM)?;
            match piece[..len].iter().position(|byte| *byte == 0) {
                Some(end) => {
                    string.extend_from_slice(&piece[..end]);
                    return Ok(string);
                }
                None => string.extend_from_slice(&piece[..len]),
            }
        }
        Err(too_long)
    }

    /// Copies in one word.
    ///
    /// # Errors
    /// EFAULT.
    pub fn word(&mut self, from: u32) -> Result<u32, Errno> {
        let mut bytes = [0; 4];
        self.copy_in(from, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Whether the range lies in areas that allow the access.
    fn check(&self, at: u32, len: usize, write: bool) -> Result<Range<u32>, Errno> {
        let len = u32::try_from(len).map_err(|_| Errno::EFAULT)?;
        let end = at
            .checked_add(len)
            .filter(|end| *end <= USER_END)
            .ok_or(Errno::EFAULT)?;
        let mut next = at;
        while next < end {
            let area = self.areas.find(next).ok_or(Errno::EFAULT)?;
            if !area.protection.readable || (write && !area.protection.writable) {
                return Err(Errno::EFAULT);
            }
            next = area.range.end;
        }
        Ok(at..end)
    }

    /// Repeats `attempt` (address, bytes done, bytes left → bytes left), bringing in pages in between.
    fn copy(
        &mut self,
        range: Range<u32>,
        write: bool,
        attempt: impl Fn(u32, u32, u32) -> u32,
    ) -> Result<(), Errno> {
        debug_assert!(self.tables.is_loaded());
        let (mut at, mut stuck) = (range.start, 0);
        while at < range.end {
            let left = attempt(at, at - range.start, range.end - at);
            let reached = range.end - left;
            stuck = if reached == at { stuck + 1 } else { 0 };
            at = reached;
            if left == 0 {
                break;
            }
            if stuck > 2 {
                return Err(Errno::EFAULT);
            }
            // A word that crosses into the next page faults for that one.
            for address in [at, (at + 3).min(range.end - 1)] {
                self.fault(address, write).map_err(|_| Errno::EFAULT)?;
            }
        }
        Ok(())
    }

    /// Writes `bytes` to an address space that need not be loaded: a program's that is not yet running.
    ///
    /// # Errors
    /// EFAULT, ENOMEM.
    pub fn poke(&mut self, to: u32, bytes: &[u8]) -> Result<(), Errno> {
        let mut at = to;
        let mut rest = bytes;
        while !rest.is_empty() {
            self.fault(at, true).map_err(|error| match error {
                super::FaultError::NotAllowed => Errno::EFAULT,
                super::FaultError::OutOfMemory => Errno::ENOMEM,
            })?;
            let offset = at % super::PAGE;
            let (now, later) = rest.split_at(rest.len().min((super::PAGE - offset) as usize));
            let frame = super::mapped_frame(self.tables.entry(at)).ok_or(Errno::EFAULT)?;
            // SAFETY: the page is the program's alone after a fault for writing; the part lies inside it.
            unsafe {
                ptr::copy_nonoverlapping(
                    now.as_ptr(),
                    (crate::mm::layout::direct(frame) + offset) as *mut u8,
                    now.len(),
                )
            };
            at += now.len() as u32;
            rest = later;
        }
        Ok(())
    }
}
