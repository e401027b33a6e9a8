//! Open files, and the table by which a process names them.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

use super::disk::DiskNode;
use super::inode::Inode;
use super::proc::{ProcNode, ProcSource};
use super::tree::{Fs, Node};
use crate::block::Volume;
use crate::consoles::Opening;
use crate::evtchn::EventPorts;
use crate::linux::Errno;
use crate::linux::file::{OpenFlags, Stat, dirent_len, mode, push_dirent};
use crate::linux::process::MAX_FILES;
use crate::net::stack::file::SocketFile;
use crate::pipe::PipeEnd;
use crate::store::ConnectionId;

/// An open file: shared by all descriptors that were duplicated or inherited from one.
#[derive(Debug)]
pub struct OpenFile {
    /// What is open.
    pub what: What,
    /// How.
    pub flags: Cell<OpenFlags>,
    /// The position, or the place in a directory.
    pub position: Cell<u64>,
}

/// What can be open.
#[derive(Debug)]
pub enum What {
    /// A regular file.
    File(Rc<Inode>),
    /// A directory.
    Directory(Node),
    /// The terminal, by the file that led to it.
    Console(Rc<Inode>),
    /// `/dev/null`.
    Null(Rc<Inode>),
    /// `/dev/zero`.
    Zero(Rc<Inode>),
    /// `/dev/random`.
    Random(Rc<Inode>),
    /// `/dev/xen/privcmd`.
    Privcmd(Rc<Inode>),
    /// `/dev/xen/evtchn`.
    Evtchn(Rc<Inode>, Rc<EventPorts>),
    /// `/dev/xen/consoles`.
    Consoles(Rc<Inode>),
    /// A domain's console.
    DomainConsole(Rc<Inode>, u16, Opening),
    /// A connection to the store.
    Xenbus(Rc<Inode>, Rc<ConnectionId>),
    /// A serial line, by its number.
    Serial(Rc<Inode>, u32),
    /// A file of a mounted volume.
    DiskFile(DiskNode),
    /// A disk or a partition.
    Volume(Rc<Inode>, Volume),
    /// An end of a pipe.
    Pipe(PipeEnd),
    /// A socket.
    Socket(SocketFile),
    /// What a file of `/proc` held when it was opened.
    Text(ProcNode, Vec<u8>),
    /// Only a name (`O_PATH`).
    Path(Node),
}

impl What {
    /// Whether reading and writing go on at a position. Of the others there is what comes, and a read takes what is there.
    #[must_use]
    pub fn has_position(&self) -> bool {
        !matches!(
            self,
            Self::Console(_)
                | Self::Pipe(_)
                | Self::Socket(_)
                | Self::Evtchn(..)
                | Self::DomainConsole(..)
                | Self::Serial(..)
                | Self::Xenbus(..)
        )
    }
}

impl OpenFile {
    /// A file just opened.
    #[must_use]
    pub fn new(what: What, flags: OpenFlags) -> Rc<Self> {
        Rc::new(Self {
            what,
            flags: Cell::new(flags),
            position: Cell::new(0),
        })
    }

    /// What stat tells.
    #[must_use]
    pub fn stat(&self) -> Stat {
        match &self.what {
            What::File(inode)
            | What::Console(inode)
            | What::Null(inode)
            | What::Zero(inode)
            | What::Random(inode)
            | What::Privcmd(inode)
            | What::Evtchn(inode, _)
            | What::Consoles(inode)
            | What::Xenbus(inode, _)
            | What::Serial(inode, _)
            | What::Volume(inode, _)
            | What::DomainConsole(inode, ..) => inode.stat(),
            What::Directory(node) | What::Path(node) => node.stat(),
            What::Text(node, _) => node.stat(),
            What::DiskFile(node) => node.stat(),
            What::Socket(socket) => Stat {
                ino: core::ptr::from_ref(socket) as usize as u64,
                mode: mode::SOCKET | 0o777,
                nlink: 1,
                ..Stat::default()
            },
            What::Pipe(pipe) => {
                let ino = core::ptr::from_ref(pipe) as usize as u64;
                Stat {
                    ino,
                    mode: mode::FIFO | 0o600,
                    nlink: 1,
                    ..Stat::default()
                }
            }
        }
    }

    /// What stat tells now: of a file on a disk, whose size others change.
    ///
    /// # Errors
    /// EIOCBQUEUED, EIO.
    pub fn stat_now(&self) -> Result<Stat, Errno> {
        match &self.what {
            What::DiskFile(node) => node.stat_now(),
            _ => Ok(self.stat()),
        }
    }

    /// The directory that is open.
    ///
    /// # Errors
    /// ENOTDIR.
    pub fn directory(&self) -> Result<&Node, Errno> {
        match &self.what {
            What::Directory(node) => Ok(node),
            What::Path(node) if node.is_directory() => Ok(node),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Records of `getdents64` from the present position on, at most `max` bytes; none at the end.
    ///
    /// # Errors
    /// ENOTDIR; EINVAL: not even one fits.
    pub fn read_directory(&self, fs: &Fs, max: usize, source: &dyn ProcSource) -> Result<Vec<u8>, Errno> {
        let What::Directory(node) = &self.what else {
            return Err(Errno::ENOTDIR);
        };
        let mut records = Vec::new();
        let mut position = self.position.get();
        let listed = match node {
            Node::Disk(node) => node.list()?,
            _ => Vec::new(),
        };
        while let Some((next, name, stat)) = entry_at(fs, node, position, source, &listed) {
            if records.len() + dirent_len(name.len()) > max {
                if records.is_empty() {
                    return Err(Errno::EINVAL);
                }
                break;
            }
            push_dirent(
                &mut records,
                stat.ino,
                next,
                Stat::directory_type(stat.mode),
                &name,
            );
            position = next;
        }
        self.position.set(position);
        Ok(records)
    }
}

/// The entry at `position` of a directory or after it, with the position after it.
fn entry_at(
    fs: &Fs,
    node: &Node,
    position: u64,
    source: &dyn ProcSource,
    listed: &[(Vec<u8>, Stat)],
) -> Option<(u64, Vec<u8>, Stat)> {
    match position {
        0 => return Some((1, b".".to_vec(), node.stat())),
        1 => {
            let parent = fs.lookup(node, b"..", source).ok()?;
            return Some((2, b"..".to_vec(), parent.stat()));
        }
        _ => {}
    }
    match node {
        Node::Inode(inode) => {
            let (next, name, child) = inode.directory().ok()?.next_from(position)?;
            Some((next, name.into_vec(), Node::from(child).stat()))
        }
        // Processes come and go; their numbers ascend, so that counting entries loses at most one that is new.
        Node::Proc(proc) => {
            let (name, child) = proc
                .entries(source)
                .into_iter()
                .nth(usize::try_from(position - 2).ok()?)?;
            Some((position + 1, name, child.stat()))
        }
        Node::Disk(_) => {
            let (name, stat) = listed.get(usize::try_from(position - 2).ok()?)?;
            Some((position + 1, name.clone(), *stat))
        }
    }
}

/// A descriptor.
#[derive(Clone, Debug)]
struct Descriptor {
    file: Rc<OpenFile>,
    close_on_exec: bool,
}

/// The descriptors of a process.
#[derive(Clone, Debug, Default)]
pub struct FileTable {
    slots: Vec<Option<Descriptor>>,
}

impl FileTable {
    /// The file with this number.
    ///
    /// # Errors
    /// EBADF.
    pub fn get(&self, fd: u32) -> Result<Rc<OpenFile>, Errno> {
        self.slot(fd).map(|descriptor| descriptor.file.clone())
    }

    fn slot(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.slots
            .get(fd as usize)
            .and_then(Option::as_ref)
            .ok_or(Errno::EBADF)
    }

    /// The open files.
    pub fn iter(&self) -> impl Iterator<Item = &OpenFile> {
        self.slots.iter().flatten().map(|descriptor| &*descriptor.file)
    }

    /// Gives `file` the lowest free number from `least` on.
    ///
    /// # Errors
    /// EMFILE; EINVAL: `least` is beyond the table; ENOMEM.
    pub fn add(&mut self, file: Rc<OpenFile>, least: u32, close_on_exec: bool) -> Result<u32, Errno> {
        if least as usize >= MAX_FILES {
            return Err(Errno::EINVAL);
        }
        let free = (least as usize..MAX_FILES).find(|fd| self.slots.get(*fd).is_none_or(Option::is_none));
        let fd = free.ok_or(Errno::EMFILE)?;
        self.set(fd as u32, file, close_on_exec)?;
        Ok(fd as u32)
    }

    /// Gives `file` the number `fd`, closing what had it.
    ///
    /// # Errors
    /// EBADF: beyond the table; ENOMEM.
    pub fn set(&mut self, fd: u32, file: Rc<OpenFile>, close_on_exec: bool) -> Result<(), Errno> {
        let fd = fd as usize;
        if fd >= MAX_FILES {
            return Err(Errno::EBADF);
        }
        if fd >= self.slots.len() {
            self.slots
                .try_reserve(fd + 1 - self.slots.len())
                .map_err(|_| Errno::ENOMEM)?;
            self.slots.resize(fd + 1, None);
        }
        self.slots[fd] = Some(Descriptor { file, close_on_exec });
        Ok(())
    }

    /// Ends the use of a number.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&mut self, fd: u32) -> Result<(), Errno> {
        self.slots
            .get_mut(fd as usize)
            .and_then(Option::take)
            .map(drop)
            .ok_or(Errno::EBADF)
    }

    /// Whether execve closes this number.
    ///
    /// # Errors
    /// EBADF.
    pub fn close_on_exec(&self, fd: u32) -> Result<bool, Errno> {
        self.slot(fd).map(|descriptor| descriptor.close_on_exec)
    }

    /// Says whether execve closes this number.
    ///
    /// # Errors
    /// EBADF.
    pub fn set_close_on_exec(&mut self, fd: u32, close: bool) -> Result<(), Errno> {
        let slot = self
            .slots
            .get_mut(fd as usize)
            .and_then(Option::as_mut)
            .ok_or(Errno::EBADF)?;
        slot.close_on_exec = close;
        Ok(())
    }

    /// Closes what execve closes.
    pub fn exec(&mut self) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|descriptor| descriptor.close_on_exec) {
                *slot = None;
            }
        }
    }
}
