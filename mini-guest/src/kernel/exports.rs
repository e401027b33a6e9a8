//! Disks of this domain for others, and files on them: found by name, unless this domain uses them itself.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;

use super::Kernel;
use super::backends::DiskSource;
use crate::block::exports::{Lot, Refusal, Use, excludes};
use crate::block::ram::RamDisk;
use crate::block::{Device, Disks, Volume};
use crate::fat::{Lending, Mount};
use crate::fs::proc::NoProcesses;
use crate::fs::tree::Follow;
use crate::fs::{DiskNode, Fs, Inode, Node, OpenFile, What};
use crate::linux::Errno;
use crate::process::Process;

/// What is before the name of a file.
const FILE: &str = "file:";
/// Megabytes of a disk of memory.
const MAX_RAM_DISK: u64 = 1024;

/// The disks, and who uses them in this domain.
pub(super) struct Source<'k> {
    pub disks: &'k mut Disks,
    pub files: &'k mut Files,
    pub users: Users<'k>,
    pub fs: &'k Fs,
}

/// Files that are to be disks.
#[derive(Default)]
pub(crate) struct Files {
    /// Those that are being looked for on their disks.
    lending: Lending,
    /// Somebody waits for a disk to answer.
    are_waiting: bool,
}

impl Files {
    /// Whether somebody has waited for a disk to answer since this was last asked.
    pub fn were_waiting(&mut self) -> bool {
        core::mem::take(&mut self.are_waiting)
    }
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
        }) || self.any_open(is_it)
    }

    /// Whether some open file is such a use of a disk.
    fn any_open(&self, mut is_it: impl FnMut(Use<'_>) -> bool) -> bool {
        self.files().any(|file| match &file.what {
            What::Volume(_, volume) => is_it(Use {
                volume,
                writes: file.flags.get().can_write(),
            }),
            _ => false,
        })
    }

    /// Whether a file of a volume is open in such a way that another domain cannot use it.
    fn have_open(&self, wanted: &DiskNode, writes: bool) -> bool {
        let path = wanted.path.to_lowercase();
        self.files().any(|file| match &file.what {
            What::DiskFile(node) => {
                (writes || file.flags.get().can_write())
                    && Rc::ptr_eq(&node.mount, &wanted.mount)
                    && node.path.to_lowercase() == path
            }
            _ => false,
        })
    }

    fn files(&self) -> impl Iterator<Item = &OpenFile> {
        self.processes.values().flat_map(|process| process.files.iter())
    }
}

impl DiskSource for Source<'_> {
    fn open(&mut self, owner: &str, name: &str, writes: bool) -> Result<Rc<dyn Device>, Refusal> {
        let answer = if self.disks.exports.has(owner) {
            self.disks.exports.again(owner)
        } else if let Some(path) = name.strip_prefix(FILE) {
            self.open_file(owner, path, writes)
        } else {
            self.open_volume(owner, name, writes)
        };
        self.files.are_waiting |= matches!(answer, Err(Refusal::Wait));
        answer
    }

    fn keep(&mut self, keeps: &dyn Fn(&str) -> bool) {
        self.disks.exports.keep(keeps);
        self.files.lending.keep(keeps);
    }
}

impl Source<'_> {
    fn open_volume(&mut self, owner: &str, name: &str, writes: bool) -> Result<Rc<dyn Device>, Refusal> {
        let known = self.disks.volume(name);
        let volume = known
            .or_else(|| self.make_ram_disk(name))
            .ok_or(Refusal::Because("there is no such disk"))?;
        let lot = Lot::volume(&volume, writes);
        let is_used = self.users.any(|here| excludes(here, &lot));
        self.disks.exports.give(owner, lot, is_used)
    }

    /// A file's sectors are found once; until then, and as long as it is a disk, the file stays as it is.
    fn open_file(&mut self, owner: &str, path: &str, writes: bool) -> Result<Rc<dyn Device>, Refusal> {
        let lending = &mut self.files.lending;
        if !lending.has(owner) {
            let node = find(self.fs, path)?;
            if self.users.have_open(&node, writes) {
                return Err(Refusal::Because("this domain has it open"));
            }
            lending
                .begin(owner, (&node.mount, &node.path, &node.entry), writes)
                .map_err(Refusal::Because)?;
        }
        let lot = lending.go_on(owner)?;
        let is_used = self.users.any_open(|here| excludes(here, &lot));
        self.disks.exports.give(owner, lot, is_used)
    }

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

/// The file of a mounted volume at `path`.
fn find(fs: &Fs, path: &str) -> Result<DiskNode, Refusal> {
    if !path.starts_with('/') {
        return Err(Refusal::Because(
            "a file is named by its whole path, which begins with a slash",
        ));
    }
    match fs.resolve(&fs.root(), path.as_bytes(), Follow::Yes, &NoProcesses) {
        Ok(Node::Disk(node)) => Ok(node),
        Ok(_) => Err(Refusal::Because(
            "files in memory are no disks; disks, partitions and files of mounted FAT file systems are",
        )),
        Err(Errno::EIOCBQUEUED) => Err(Refusal::Wait),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Err(Refusal::Because("there is no such file")),
        Err(_) => Err(Refusal::Because("the file cannot be found")),
    }
}

impl Kernel {
    /// Whether another domain uses a disk in such a way that this one cannot.
    pub(crate) fn is_exported(&self, volume: &Volume, writes: bool) -> bool {
        self.devices.disks.exports.exclude(Use { volume, writes })
    }
}
