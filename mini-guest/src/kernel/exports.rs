//! Disks of this domain for others: found by name, unless this domain uses them itself.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;

use super::Kernel;
use super::backends::DiskSource;
use crate::block::exports::{Refusal, Use, excludes};
use crate::block::ram::RamDisk;
use crate::block::{Device, Disks, Volume};
use crate::fat::Mount;
use crate::fs::{Fs, Inode, What};
use crate::process::Process;

/// Megabytes of a disk of memory.
const MAX_RAM_DISK: u64 = 1024;

/// The disks, and who uses them in this domain.
pub(super) struct Source<'k> {
    pub disks: &'k mut Disks,
    pub users: Users<'k>,
    pub fs: &'k Fs,
}

/// Who may use a disk in this domain.
#[derive(Clone, Copy)]
pub(crate) struct Users<'k> {
    pub mounts: &'k [(Rc<Inode>, Rc<Mount>)],
    pub processes: &'k BTreeMap<u32, Box<Process>>,
}

impl Users<'_> {
    /// Whether some file system or open file is such a use.
    pub fn any(&self, mut is_it: impl FnMut(Use<'_>) -> bool) -> bool {
        let mut mounts = self.mounts.iter();
        mounts.any(|(_, mount)| {
            is_it(Use {
                volume: mount.volume(),
                writes: !mount.is_read_only(),
            })
        }) || self
            .processes
            .values()
            .flat_map(|process| process.files.iter())
            .any(|file| match &file.what {
                What::Volume(_, volume) => is_it(Use {
                    volume,
                    writes: file.flags.get().can_write(),
                }),
                _ => false,
            })
    }
}

impl DiskSource for Source<'_> {
    fn open(&mut self, owner: &str, name: &str, writes: bool) -> Result<Rc<dyn Device>, Refusal> {
        let known = self.disks.volume(name);
        let volume = known
            .or_else(|| self.make_ram_disk(name))
            .ok_or(Refusal::Because("there is no such disk"))?;
        let there = Use {
            volume: &volume,
            writes,
        };
        let is_used = self.users.any(|here| excludes(here, there));
        self.disks.exports.give(owner, &volume, writes, is_used)
    }

    fn keep(&mut self, keeps: &dyn Fn(&str) -> bool) {
        self.disks.exports.keep(keeps);
    }
}

impl Source<'_> {
    /// `ramN:M`: M megabytes of memory, made when they are asked for first.
    fn make_ram_disk(&mut self, name: &str) -> Option<Volume> {
        let (number, megabytes) = name.strip_prefix("ram")?.split_once(':')?;
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_plain(number) || !is_plain(megabytes) {
            return None;
        }
        let megabytes: u64 = megabytes.parse().ok()?;
        if !(1..=MAX_RAM_DISK).contains(&megabytes) {
            return None;
        }
        let disk = Rc::new(RamDisk::new(&[], megabytes << 20));
        self.disks.add(name, disk, 0);
        if let Some((number, ..)) = self.disks.iter().find(|(_, other, _)| *other == name)
            && let Err(errno) = self.fs.add_disk(name, number)
        {
            crate::println!("mini-guest: cannot make /dev/{name}: {errno}");
        }
        self.disks.volume(name)
    }
}

impl Kernel {
    /// Whether another domain uses a disk in such a way that this one cannot.
    pub(crate) fn is_exported(&self, volume: &Volume, writes: bool) -> bool {
        self.devices.disks.exports.exclude(Use { volume, writes })
    }
}
