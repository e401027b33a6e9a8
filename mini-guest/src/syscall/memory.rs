//! Memory: brk, mmap2, munmap, mprotect, mlock, munlock.

use core::ops::Range;

use super::Args;
use crate::fs::What;
use crate::kernel::{Kernel, SysResult};
use crate::linux::Errno;
use crate::linux::process::map;
use crate::mm::layout::{USER_END, USER_START};
use crate::process::areas::{Backing, Protection, Source};

/// Bytes in a page.
const PAGE: u32 = 4096;
/// All protection bits.
const PROTECTION: u32 = map::PROT_READ | map::PROT_WRITE | map::PROT_EXEC;
/// Mapping flags that are accepted: what is honoured, and hints without meaning here (GROWSDOWN 0x100, DENYWRITE
/// 0x800, EXECUTABLE 0x1000, LOCKED 0x2000, NORESERVE 0x4000, POPULATE 0x8000, NONBLOCK 0x10000, STACK 0x20000).
const FLAGS: u32 = map::SHARED | map::PRIVATE | map::FIXED | map::ANONYMOUS | map::FIXED_NOREPLACE | 0x3_F900;

fn protection(bits: u32) -> Result<Protection, Errno> {
    if bits & !PROTECTION != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Protection {
        readable: bits != 0,
        writable: bits & map::PROT_WRITE != 0,
    })
}

/// The pages of `len` bytes at `start`.
fn pages(start: u32, len: u32) -> Result<Range<u32>, Errno> {
    let len = len.checked_next_multiple_of(PAGE).ok_or(Errno::ENOMEM)?;
    let end = start
        .checked_add(len)
        .filter(|end| *end <= USER_END)
        .ok_or(Errno::ENOMEM)?;
    if start.is_multiple_of(PAGE) {
        Ok(start..end)
    } else {
        Err(Errno::EINVAL)
    }
}

/// The pages that `len` bytes at `start` touch.
fn lock_range(start: u32, len: u32) -> Result<Range<u32>, Errno> {
    let first = start & !(PAGE - 1);
    let end = start.checked_add(len).ok_or(Errno::EINVAL)?;
    pages(first, end - first)
}

/// A mapping of `/dev/xen/privcmd`: shared, from its beginning, and empty until frames are put there.
fn foreign([_, _, _, flags, _, page]: &Args, protection: Protection) -> Result<Source, Errno> {
    if flags & map::SHARED == 0 || *page != 0 || !protection.readable {
        return Err(Errno::EINVAL);
    }
    Ok(Source::Foreign)
}

impl Kernel {
    pub(super) fn memory_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, ..] = args;
        match number {
            45 => Ok(self.process().memory().borrow_mut().set_brk(a)),
            91 => self.sys_munmap(a, b),
            125 => self.sys_mprotect(a, b, c),
            150 => self.sys_mlock(a, b),
            // What is there stays in any case.
            151 => Ok(lock_range(a, b).map(|_| 0)?),
            192 => self.sys_mmap2(args),
            // mremap: the C library copies instead.
            _ => Err(Errno::ENOSYS.into()),
        }
    }

    fn sys_munmap(&mut self, start: u32, len: u32) -> SysResult {
        let range = pages(start, len).map_err(|_| Errno::EINVAL)?;
        if range.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        self.process().memory().borrow_mut().unmap(range)?;
        Ok(0)
    }

    fn sys_mprotect(&mut self, start: u32, len: u32, bits: u32) -> SysResult {
        let range = pages(start, len)?;
        let protection = protection(bits)?;
        if !range.is_empty() {
            self.process().memory().borrow_mut().protect(range, protection)?;
        }
        Ok(0)
    }

    /// Brings in the pages of a range. None is ever taken away again before it is unmapped or, after a fork, written.
    fn sys_mlock(&mut self, start: u32, len: u32) -> SysResult {
        let range = lock_range(start, len)?;
        if !range.is_empty() {
            self.process().memory().borrow_mut().populate(range)?;
        }
        Ok(0)
    }

    fn sys_mmap2(&mut self, args: Args) -> SysResult {
        let [at, len, bits, flags, fd, page] = args;
        let protection = protection(bits)?;
        let is_private = flags & (map::PRIVATE | map::SHARED) == map::PRIVATE;
        let is_shared = flags & (map::PRIVATE | map::SHARED) == map::SHARED;
        if len == 0 || flags & !FLAGS != 0 || !(is_private || is_shared) {
            return Err(Errno::EINVAL.into());
        }
        crate::fs::enough_memory()?;
        let source = if flags & map::ANONYMOUS == 0 {
            let file = self.process().files.get(fd)?;
            let inode = match &file.what {
                What::File(inode) => inode,
                What::Privcmd(_) => {
                    return self.map_area(at, len, flags, protection, foreign(&args, protection)?);
                }
                _ => return Err(Errno::ENODEV.into()),
            };
            if is_shared && protection.writable {
                return Err(Errno::ENODEV.into());
            }
            if !file.flags.get().can_read() {
                return Err(Errno::EACCES.into());
            }
            let offset = u64::from(page) * u64::from(PAGE);
            let rest = inode.size().saturating_sub(offset);
            let len = u32::try_from(rest).unwrap_or(u32::MAX).min(len);
            Source::File(Backing {
                inode: inode.clone(),
                offset,
                len,
            })
        } else if is_shared {
            // What is written would have to be seen by children: there is nothing like that.
            return Err(Errno::ENODEV.into());
        } else {
            Source::Zeroes
        };
        self.map_area(at, len, flags, protection, source)
    }

    fn map_area(
        &mut self,
        at: u32,
        len: u32,
        flags: u32,
        protection: Protection,
        source: Source,
    ) -> SysResult {
        let is_fixed = flags & (map::FIXED | map::FIXED_NOREPLACE) != 0;
        let memory = self.process().memory();
        let mut memory = memory.borrow_mut();
        if is_fixed {
            let range = pages(at, len)?;
            if at < USER_START {
                return Err(Errno::EPERM.into());
            }
            if flags & map::FIXED_NOREPLACE != 0 && !memory.is_free(&range) {
                return Err(Errno::EEXIST.into());
            }
        }
        Ok(memory.map(is_fixed.then_some(at), at, len, protection, source)?)
    }
}
