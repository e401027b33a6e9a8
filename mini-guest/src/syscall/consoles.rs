//! `/dev/xen/consoles` and `/dev/xen/console/N`: which domains have a console here, and using one.

use alloc::rc::Rc;

use guest_abi::addr::Mfn;

use crate::consoles::{MAX_NAME, Opening};
use crate::fs::OpenFile;
use crate::kernel::{Kernel, SysResult};
use crate::linux::{Errno, word};
use crate::process::WaitFor;

/// Takes over a domain's console: 44 bytes, the port is written back.
const ATTACH: u32 = 0x002C_4301;
/// Changes its name and whether it is shown: the same 44 bytes.
const SET: u32 = 0x002C_4302;
/// Lets go of it: 4 bytes.
const DETACH: u32 = 0x0004_4303;
/// Of an open console: the others' lines wait until it is closed.
const HOLD: u32 = 0x0000_4304;

/// Offset of the port in the structure.
const PORT: usize = 8;
/// Flag: lines are shown on the terminal.
const SHOW: u16 = 1;

impl Kernel {
    pub(super) fn consoles_request(&mut self, number: u32, arg: u32) -> SysResult {
        match number {
            ATTACH | SET => {
                let block = self.copy_in::<44>(arg)?;
                let (domain, flags) = (word(&block, 0) as u16, (word(&block, 0) >> 16) as u16);
                let name = &block[44 - MAX_NAME..];
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                let is_shown = flags & SHOW != 0;
                if flags & !SHOW != 0 {
                    return Err(Errno::EINVAL.into());
                }
                if number == SET {
                    return if self.backend.consoles.set(domain, name, is_shown) {
                        self.backend.may_show = true;
                        self.consoles_changed();
                        Ok(0)
                    } else {
                        Err(Errno::ESRCH.into())
                    };
                }
                // The answer must not fail when all is done.
                self.process().memory().borrow_mut().prepare_out(arg, 44)?;
                let ring = (Mfn::new(word(&block, 4)), word(&block, PORT));
                let port = self.attach_console(domain, ring, (name, is_shown))?;
                self.copy_out(arg + PORT as u32, &port.to_le_bytes())?;
                Ok(0)
            }
            DETACH => {
                let block = self.copy_in::<4>(arg)?;
                let domain = u16::try_from(word(&block, 0)).map_err(|_| Errno::EINVAL)?;
                if self.detach_console(domain) {
                    Ok(0)
                } else {
                    Err(Errno::ESRCH.into())
                }
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    pub(super) fn console_request(&mut self, opening: &Opening, number: u32) -> SysResult {
        if number != HOLD {
            return Err(Errno::ENOTTY.into());
        }
        opening.set(true);
        Ok(0)
    }

    pub(super) fn read_domain_console(
        &mut self,
        file: &Rc<OpenFile>,
        (domain, opening): (u16, &Opening),
        (to, len): (u32, u32),
        is_first: bool,
    ) -> SysResult {
        self.process().memory().borrow_mut().prepare_out(to, len)?;
        match self.read_domain(domain, opening, len as usize) {
            Some(bytes) => {
                self.copy_out(to, &bytes)?;
                self.consoles_changed();
                Ok(bytes.len() as u32)
            }
            None => self.wait_unless_nonblocking(file, WaitFor::CONSOLE, is_first),
        }
    }

    /// Types all of it, sleeping whenever the ring is full; the call remembers how far it has come.
    pub(super) fn write_domain_console(
        &mut self,
        file: &OpenFile,
        (domain, opening): (u16, &Opening),
        from: u32,
        len: u32,
    ) -> SysResult {
        self.write_all(file, (from, len), WaitFor::CONSOLE, |kernel, bytes| {
            kernel.type_at_domain(domain, opening, bytes)
        })
    }
}
