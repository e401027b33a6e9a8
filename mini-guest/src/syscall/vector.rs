//! Reads and writes in pieces, and at a position.

use alloc::vec;
use alloc::vec::Vec;

use super::Args;
use super::disk::Direction;
use super::transfer::MAX_TRANSFER;
use crate::fs::What;
use crate::kernel::{Kernel, SysResult};
use crate::linux::socket::MessageFlags;
use crate::linux::{Errno, word};

/// Most pieces of readv and writev.
const MAX_PIECES: u32 = 1024;

impl Kernel {
    pub(super) fn sys_readv(&mut self, fd: u32, pieces: u32, count: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        if let What::Volume(..) | What::DiskFile(_) = &file.what {
            let pieces = self.pieces(pieces, count)?;
            return self.disk_transfer(&file, &pieces, Direction::Read);
        }
        if let What::Socket(socket) = &file.what {
            let pieces = self.pieces(pieces, count)?;
            return self.read_socket(&file, socket.id(), &pieces);
        }
        self.vectored(pieces, count, |kernel, at, len| kernel.sys_read(fd, at, len))
    }

    pub(super) fn sys_writev(&mut self, fd: u32, pieces: u32, count: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        match &file.what {
            What::Pipe(_) => return self.write_gathered(fd, pieces, count),
            What::Volume(..) | What::DiskFile(_) => {
                let pieces = self.pieces(pieces, count)?;
                return self.disk_transfer(&file, &pieces, Direction::Write);
            }
            What::Socket(socket) => {
                let pieces = self.pieces(pieces, count)?;
                return self.send_pieces(&file, socket.id(), &pieces, MessageFlags::empty(), None);
            }
            _ => {}
        }
        self.vectored(pieces, count, |kernel, at, len| kernel.sys_write(fd, at, len))
    }

    /// Does each piece in turn, until one is not done in full.
    fn vectored(
        &mut self,
        pieces: u32,
        count: u32,
        mut each: impl FnMut(&mut Self, u32, u32) -> SysResult,
    ) -> SysResult {
        let mut total = 0_u32;
        for (at, len) in self.pieces(pieces, count)? {
            match each(self, at, len) {
                Ok(done) => {
                    total += done;
                    if done < len {
                        break;
                    }
                }
                Err(_) if total > 0 => break,
                Err(stop) => return Err(stop),
            }
        }
        Ok(total)
    }

    pub(super) fn pieces(&mut self, at: u32, count: u32) -> Result<Vec<(u32, u32)>, Errno> {
        if count > MAX_PIECES {
            return Err(Errno::EINVAL);
        }
        let mut bytes = vec![0; count as usize * 8];
        self.process().memory().borrow_mut().copy_in(at, &mut bytes)?;
        let pieces = bytes
            .chunks_exact(8)
            .map(|piece| (word(piece, 0), word(piece, 4)));
        let pieces: Vec<_> = pieces.filter(|(_, len)| *len > 0).collect();
        let total = pieces
            .iter()
            .try_fold(0_u32, |sum, (_, len)| sum.checked_add(*len));
        if total.is_none_or(|sum| sum > MAX_TRANSFER) {
            Err(Errno::EINVAL)
        } else {
            Ok(pieces)
        }
    }

    /// A vectored write to a pipe, which may sleep in the middle of it: goes on with the piece that it had come to.
    fn write_gathered(&mut self, fd: u32, pieces: u32, count: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        let What::Pipe(pipe) = &file.what else {
            return Err(Errno::EBADF.into());
        };
        let (mut before, pieces) = (0, self.pieces(pieces, count)?);
        for (at, len) in pieces {
            let done = self.process().call.done;
            if done < before + len {
                // The call's count goes over all pieces: `at` is moved so that byte `done` of the call is its own.
                self.write_pipe(&file, pipe, at.wrapping_sub(before), before + len)?;
                if self.process().call.done < before + len {
                    break;
                }
            }
            before += len;
        }
        Ok(self.process().call.done)
    }

    pub(super) fn sys_pread(&mut self, [fd, to, len, low, high, _]: Args) -> SysResult {
        self.at_position(fd, low, high, |kernel| kernel.sys_read(fd, to, len))
    }

    pub(super) fn sys_pwrite(&mut self, [fd, from, len, low, high, _]: Args) -> SysResult {
        self.at_position(fd, low, high, |kernel| kernel.sys_write(fd, from, len))
    }

    fn at_position(
        &mut self,
        fd: u32,
        low: u32,
        high: u32,
        work: impl FnOnce(&mut Self) -> SysResult,
    ) -> SysResult {
        let file = self.process().files.get(fd)?;
        if !file.what.has_position() {
            return Err(Errno::ESPIPE.into());
        }
        let position = u64::from(low) | u64::from(high) << 32;
        if position > i64::MAX as u64 {
            return Err(Errno::EINVAL.into());
        }
        let old = file.position.replace(position);
        let result = work(self);
        file.position.set(old);
        result
    }
}
