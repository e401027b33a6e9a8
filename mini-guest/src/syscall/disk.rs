//! Reads and writes of disks, and sync.
//!
//! A disk answers later. What a call has moved so far is kept in its `done`; the rest is begun anew when the disk has answered.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use super::transfer::MAX_TRANSFER;
use crate::block::cache::{Cache, Missing, Transaction};
use crate::block::{SECTOR, Volume};
use crate::fat::errno;
use crate::fs::{Node, OpenFile, What};
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::Errno;
use crate::linux::file::OpenFlags;

/// Bytes that are moved at a time.
const CHUNK: usize = 32 * 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the program.
    Read,
    /// From it.
    Write,
}

impl Kernel {
    /// Moves bytes between a disk's file, from its position on, and pieces of the program's memory.
    pub(super) fn disk_transfer(
        &mut self,
        file: &Rc<OpenFile>,
        pieces: &[(u32, u32)],
        direction: Direction,
    ) -> SysResult {
        crate::fs::enough_memory()?;
        let total = pieces.iter().map(|(_, len)| *len).sum::<u32>().min(MAX_TRANSFER);
        let mut buffer = vec![0; CHUNK.min(total as usize)];
        loop {
            let done = self.process().call.done;
            let Some((at, len)) = rest(pieces, done).filter(|_| done < total) else {
                break;
            };
            let len = len.min(total - done) as usize;
            let bytes = &mut buffer[..len.min(CHUNK)];
            match self.disk_part(file, (at, bytes), done, direction) {
                Ok(0) => break,
                Ok(count) => self.process().call.done += count,
                Err(Errno::EIOCBQUEUED) => return Err(Errno::EIOCBQUEUED.into()),
                Err(_) if done > 0 => break,
                Err(errno) => return Err(Stop::Errno(errno)),
            }
        }
        let done = core::mem::take(&mut self.process().call.done);
        file.position.set(file.position.get() + u64::from(done));
        Ok(done)
    }

    /// One piece of a transfer, `done` bytes behind the file's position.
    fn disk_part(
        &mut self,
        file: &OpenFile,
        (at, bytes): (u32, &mut [u8]),
        done: u32,
        direction: Direction,
    ) -> Result<u32, Errno> {
        let position = file.position.get() + u64::from(done);
        if direction == Direction::Write {
            self.process().memory().borrow_mut().copy_in(at, bytes)?;
        }
        let count = match (&file.what, direction) {
            (What::Volume(_, volume), Direction::Read) => read(volume, position, bytes)?,
            (What::Volume(_, volume), Direction::Write) => write(volume, position, bytes)?,
            (What::DiskFile(node), Direction::Read) => node.mount.read(&node.path, position, bytes)?,
            (What::DiskFile(node), Direction::Write) => {
                node.mount.clock.set(self.wall_time());
                let position = if file.flags.get().contains(OpenFlags::APPEND) {
                    let size = node.stat_now()?.size;
                    // What the call has written already is behind its beginning.
                    file.position.set(size.saturating_sub(done.into()));
                    size
                } else {
                    position
                };
                node.mount.write(&node.path, position, bytes)?
            }
            _ => return Err(Errno::EINVAL),
        };
        if direction == Direction::Read {
            self.copy_out(at, &bytes[..count])?;
        }
        Ok(count as u32)
    }

    pub(super) fn sys_fsync(&mut self, fd: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        match &file.what {
            What::Volume(_, volume) => self.sync([volume.cache.clone()].into()),
            What::DiskFile(node) | What::Directory(Node::Disk(node)) => {
                self.sync([node.mount.volume().cache.clone()].into())
            }
            What::File(_) | What::Directory(_) => Ok(0),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// BLKFLSBUF: as fsync, and what the cache holds of the disk is forgotten: it is read from the disk again.
    pub(super) fn flush_buffers(&mut self, volume: &Volume) -> SysResult {
        self.sync([volume.cache.clone()].into())?;
        let sectors = volume.first..volume.first + volume.sectors;
        volume.cache.forget(core::slice::from_ref(&sectors));
        Ok(0)
    }

    pub(super) fn sys_sync(&mut self) -> SysResult {
        // Nobody is told of what could not be written: that is what sync(2) is like.
        match self.sync(self.devices.disks.caches().cloned().collect()) {
            Err(Stop::Errno(Errno::EIO)) => Ok(0),
            other => other,
        }
    }

    /// Waits until what is committed to these caches by now is on the medium.
    pub(super) fn sync(&mut self, caches: Vec<Rc<Cache>>) -> SysResult {
        let pid = self.current;
        let waiting = self.syncs.entry(pid).or_insert_with(|| {
            let begun = caches.into_iter().map(|cache| (cache.begin_sync(), cache));
            begun.map(|(ticket, cache)| (cache, ticket)).collect()
        });
        let mut worst = Ok(0);
        for (cache, ticket) in waiting.iter() {
            match cache.poll_sync(*ticket) {
                Ok(()) => {}
                Err(Missing::Wait) => return Err(Errno::EIOCBQUEUED.into()),
                Err(Missing::Error(_)) => worst = Err(Stop::Errno(Errno::EIO)),
            }
        }
        self.syncs.remove(&pid);
        worst
    }
}

/// What is left of the pieces after `done` bytes: the rest of the piece that these end in.
fn rest(pieces: &[(u32, u32)], mut done: u32) -> Option<(u32, u32)> {
    for (at, len) in pieces {
        if done < *len {
            return Some((at.checked_add(done)?, len - done));
        }
        done -= len;
    }
    None
}

/// Where byte `position` of a volume is on its disk, and how many of `len` bytes the volume has there.
fn place(volume: &Volume, position: u64, len: usize) -> (u64, usize) {
    let left = volume.len().saturating_sub(position);
    let len = usize::try_from(left).map_or(len, |left| left.min(len));
    ((volume.first * SECTOR as u64).saturating_add(position), len)
}

fn read(volume: &Volume, position: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let (at, len) = place(volume, position, into.len());
    if len > 0 {
        let transaction = Transaction::new(&volume.cache);
        transaction.read(at, &mut into[..len]).map_err(errno)?;
    }
    Ok(len)
}

fn write(volume: &Volume, position: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let (at, len) = place(volume, position, bytes.len());
    if len == 0 {
        return Err(Errno::ENOSPC);
    }
    let transaction = Transaction::new(&volume.cache);
    transaction.write(at, &bytes[..len]).map_err(errno)?;
    transaction.commit().map_err(errno)?;
    Ok(len)
}
