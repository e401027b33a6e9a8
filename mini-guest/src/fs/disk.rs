//! Files of a mounted volume, as the tree sees them.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::inode::Inode;
use super::node::Node;
use crate::fat::{Entry, Mount, OpenName};
use crate::linux::Errno;
use crate::linux::file::{Stat, mode};

/// A file or directory of a mounted volume. As long as there is one of these, nobody removes the file.
#[derive(Clone, Debug)]
pub struct DiskNode {
    /// The volume.
    pub mount: Rc<Mount>,
    /// The directory that it is mounted at.
    pub at: Rc<Inode>,
    /// The path on the volume; empty for its root.
    pub path: Rc<str>,
    /// What was found there.
    pub entry: Entry,
    _keep: OpenName,
}

impl DiskNode {
    /// The root of what is mounted at `at`.
    #[must_use]
    pub fn root(mount: Rc<Mount>, at: Rc<Inode>) -> Self {
        Self {
            _keep: mount.keep(""),
            mount,
            at,
            path: "".into(),
            entry: Entry::root(),
        }
    }

    /// The path of `name` in this directory.
    ///
    /// # Errors
    /// EINVAL: a name that is not UTF-8.
    pub fn path_of(&self, name: &[u8]) -> Result<String, Errno> {
        let name = core::str::from_utf8(name).map_err(|_| Errno::EINVAL)?;
        let mut path = String::from(&*self.path);
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(name);
        Ok(path)
    }

    /// What `name` leads to from here.
    ///
    /// # Errors
    /// ENOENT, EIOCBQUEUED, EIO.
    pub fn lookup(&self, name: &[u8]) -> Result<Self, Errno> {
        let path = self.path_of(name).map_err(|_| Errno::ENOENT)?;
        let entry = self.mount.entry(&path)?;
        Ok(Self {
            _keep: self.mount.keep(&path),
            path: path.into(),
            entry,
            ..self.clone()
        })
    }

    /// The directory above.
    #[must_use]
    pub fn parent(&self) -> Option<Node> {
        if self.path.is_empty() {
            return None;
        }
        let path = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        Some(Node::Disk(Self {
            _keep: self.mount.keep(path),
            path: path.into(),
            entry: Entry::root(),
            ..self.clone()
        }))
    }

    /// What stat tells, by what was found when the path was walked.
    #[must_use]
    pub fn stat(&self) -> Stat {
        stat(&self.path, &self.entry)
    }

    /// What stat tells now.
    ///
    /// # Errors
    /// EIOCBQUEUED, EIO.
    pub fn stat_now(&self) -> Result<Stat, Errno> {
        Ok(stat(&self.path, &self.mount.entry(&self.path)?))
    }

    /// What is in this directory: names and what stat tells.
    ///
    /// # Errors
    /// EIOCBQUEUED, EIO.
    pub fn list(&self) -> Result<Vec<(Vec<u8>, Stat)>, Errno> {
        let entries = self.mount.list(&self.path)?;
        entries
            .into_iter()
            .map(|entry| {
                let path = self.path_of(entry.name.as_bytes())?;
                let stat = stat(&path, &entry);
                Ok((entry.name.into_bytes(), stat))
            })
            .collect()
    }
}

fn stat(path: &str, entry: &Entry) -> Stat {
    let mode = match (entry.is_directory, entry.is_read_only) {
        (true, _) => mode::DIRECTORY | 0o755,
        (false, false) => mode::REGULAR | 0o644,
        (false, true) => mode::REGULAR | 0o444,
    };
    Stat {
        dev: (259, 0),
        ino: ino(path),
        mode,
        nlink: 1,
        size: entry.size,
        mtime: entry.mtime,
        ..Stat::default()
    }
}

/// A number for a path: FAT has none. (FNV-1a of the path in small letters.)
fn ino(path: &str) -> u64 {
    let hash = path.to_lowercase().bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    u64::from(hash.max(1))
}
