//! What tests of volumes share: a disk in memory with a volume on it, and operations that wait for it.

use alloc::rc::Rc;

use axfatfs::{FatType, FormatVolumeOptions, IoBase, Read, Seek, SeekFrom, Write};

use super::*;
use crate::block::Volume;
use crate::block::cache::{Cache, LEAST};
use crate::block::partition::Partition;
use crate::block::testing::TestDisk;

/// Sectors of the volume, and where it begins on the disk.
pub const SECTORS: u64 = 8192;
pub const FIRST: u64 = 63;

/// Bytes in memory, for the crate's own formatting.
struct Bytes<'a>(&'a mut [u8], usize);

impl IoBase for Bytes<'_> {
    type Error = ();
}

impl Read for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ()> {
        let count = into.len().min(self.0.len() - self.1);
        into[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
        self.1 += count;
        Ok(count)
    }
}

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ()> {
        let count = bytes.len().min(self.0.len() - self.1);
        self.0[self.1..self.1 + count].copy_from_slice(&bytes[..count]);
        self.1 += count;
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), ()> {
        Ok(())
    }
}

impl Seek for Bytes<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, ()> {
        let at = match to {
            SeekFrom::Start(at) => at as i64,
            SeekFrom::Current(by) => self.1 as i64 + by,
            SeekFrom::End(by) => self.0.len() as i64 + by,
        };
        self.1 = usize::try_from(at).map_err(drop)?;
        Ok(self.1 as u64)
    }
}

/// The bytes of a disk with an empty volume.
pub fn formatted() -> Vec<u8> {
    let mut disk = vec![0; (FIRST + SECTORS) as usize * 512];
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat16)
        .bytes_per_cluster(512);
    axfatfs::format_volume(&mut Bytes(&mut disk[FIRST as usize * 512..], 0), options).unwrap();
    disk
}

/// A disk with these bytes.
pub fn disk_of(bytes: Vec<u8>) -> Rc<TestDisk> {
    Rc::new(TestDisk::holding(bytes))
}

/// Mounts the volume of a disk, by an empty cache.
pub fn try_mount(disk: &Rc<TestDisk>, read_only: bool) -> Result<Mount, Errno> {
    let volume = Volume {
        device: Rc::new(Partition::new(disk.clone(), FIRST, SECTORS).unwrap()),
        cache: Rc::new(Cache::new(disk.clone(), LEAST)),
        first: FIRST,
        sectors: SECTORS,
    };
    run(disk, &volume.cache.clone(), || {
        Mount::new(volume.clone(), "/dev/test", read_only)
    })
}

/// The volume of a disk, which is a good one.
pub fn mounted(disk: &Rc<TestDisk>) -> Mount {
    try_mount(disk, false).unwrap()
}

/// Tries something until it no longer waits, finishing one request of the disk each time.
fn run<R>(disk: &TestDisk, cache: &Cache, mut work: impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    for _ in 0..10_000 {
        match work() {
            Err(Errno::EIOCBQUEUED) => {
                assert!(disk.finish(0), "it waits for nothing");
                cache.take_news();
            }
            other => return other,
        }
    }
    panic!("no end");
}

impl Mount {
    /// Does something, finishing what the disk is asked for.
    pub fn done<R>(&self, disk: &TestDisk, work: impl Fn(&Self) -> Result<R, Errno>) -> Result<R, Errno> {
        run(disk, &self.volume().cache, || work(self))
    }

    /// Writes a whole file.
    pub fn write_all(&self, disk: &TestDisk, path: &str, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            at += self
                .done(disk, |mount| mount.write(path, at as u64, &bytes[at..]))
                .unwrap();
        }
    }

    /// Reads a whole file.
    pub fn read_all(&self, disk: &TestDisk, path: &str) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; self.done(disk, |mount| mount.entry(path))?.size as usize];
        let count = self.done(disk, |mount| mount.read(path, 0, &mut bytes.clone()))?;
        assert_eq!(count, bytes.len());
        run(disk, &self.volume().cache, || self.read(path, 0, &mut bytes))?;
        Ok(bytes)
    }

    /// Has everything written to the disk.
    pub fn sync(&self, disk: &TestDisk) {
        let ticket = self.volume().cache.begin_sync();
        run(disk, &self.volume().cache, || {
            self.volume().cache.poll_sync(ticket).map_err(errno)
        })
        .unwrap();
    }
}
