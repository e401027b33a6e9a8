//! The tree, and the way from a path to a file.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use super::disk::DiskNode;
use super::inode::{Body, Directory, Inode};
pub use super::node::Node;
use super::proc::{ProcNode, ProcSource};
use crate::linux::Errno;
use crate::linux::file::mode;
use crate::linux::process::MAX_PATH;
use crate::linux::time::TimeSpec;

/// Most symbolic links on one way.
const MAX_LINKS: u32 = 40;
/// Longest name.
const MAX_NAME: usize = 255;

/// What is done with a symbolic link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It is followed.
    Yes,
    /// It is what the path leads to.
    No,
}

/// The tree.
#[derive(Debug)]
pub struct Fs {
    root: Rc<Inode>,
    next_ino: Cell<u64>,
    /// The wall clock, as of the operation that is being done.
    pub clock: Cell<TimeSpec>,
}

/// A directory and a name in it that may or may not exist.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub directory: Rc<Inode>,
    /// The name.
    pub name: Box<[u8]>,
    /// Whether the path ended in a slash: only a directory will do.
    pub wants_directory: bool,
}

/// Where a name is to be changed: in the tree, or on a mounted volume.
#[derive(Debug)]
pub enum Spot {
    /// In the tree.
    Tree(Place),
    /// In this directory of a volume; the path on the volume with the name.
    Disk(DiskNode, String),
}

impl Default for Fs {
    fn default() -> Self {
        let root = Inode {
            ino: 1,
            mode: Cell::new(mode::DIRECTORY | 0o755),
            owner: Cell::new((0, 0)),
            nlink: Cell::new(2),
            mtime: Cell::default(),
            body: Body::Directory(Directory::default()),
        };
        Self {
            root: Rc::new(root),
            next_ino: Cell::new(2),
            clock: Cell::default(),
        }
    }
}

impl Fs {
    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Node {
        Node::Inode(self.root.clone())
    }

    /// A new file without a name.
    #[must_use]
    pub fn new_inode(&self, mode: u32, body: Body) -> Rc<Inode> {
        let ino = self.next_ino.replace(self.next_ino.get() + 1);
        let mtime = Cell::new(self.clock.get());
        Rc::new(Inode {
            ino,
            mode: Cell::new(mode),
            owner: Cell::default(),
            nlink: Cell::new(0),
            mtime,
            body,
        })
    }

    /// What `path` leads to from directory `from`.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG.
    pub fn resolve(
        &self,
        from: &Node,
        path: &[u8],
        follow: Follow,
        source: &dyn ProcSource,
    ) -> Result<Node, Errno> {
        let mut way = self.begin(from, path)?;
        let wants_directory = path.ends_with(b"/");
        let follow_last = follow == Follow::Yes || wants_directory;
        while let Some(name) = way.names.pop_front() {
            let follow = follow_last || !way.names.is_empty();
            self.step(&mut way, &name, follow, source)?;
        }
        if wants_directory && !way.at.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        Ok(way.at)
    }

    /// The directory that `path`'s last name is in, and that name.
    ///
    /// # Errors
    /// As for [`Fs::resolve`]; EEXIST where the path has no last name (the root, `.` and `..`); EROFS in `/proc`.
    pub fn place(&self, from: &Node, path: &[u8], source: &dyn ProcSource) -> Result<Place, Errno> {
        match self.spot(from, path, source)? {
            Spot::Tree(place) => Ok(place),
            Spot::Disk(..) => Err(Errno::EPERM),
        }
    }

    /// The same, wherever it is.
    ///
    /// # Errors
    /// As for [`Fs::place`].
    pub fn spot(&self, from: &Node, path: &[u8], source: &dyn ProcSource) -> Result<Spot, Errno> {
        let mut way = self.begin(from, path)?;
        let Some(last) = way.names.pop_back() else {
            return Err(Errno::EEXIST);
        };
        while let Some(name) = way.names.pop_front() {
            self.step(&mut way, &name, true, source)?;
        }
        if &*last == b"." || &*last == b".." {
            return Err(Errno::EEXIST);
        }
        match way.at {
            Node::Inode(directory) if matches!(directory.body, Body::Directory(_)) => Ok(Spot::Tree(Place {
                directory,
                name: last,
                wants_directory: path.ends_with(b"/"),
            })),
            Node::Disk(directory) if directory.entry.is_directory => {
                let path = directory.path_of(&last)?;
                Ok(Spot::Disk(directory, path))
            }
            Node::Disk(_) => Err(Errno::ENOTDIR),
            Node::Proc(_) => Err(Errno::EROFS),
            Node::Inode(_) => Err(Errno::ENOTDIR),
        }
    }

    fn begin(&self, from: &Node, path: &[u8]) -> Result<Way, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= MAX_PATH {
            return Err(Errno::ENAMETOOLONG);
        }
        let at = if path.starts_with(b"/") {
            self.root()
        } else {
            from.clone()
        };
        let mut way = Way {
            at,
            names: VecDeque::new(),
            links: 0,
        };
        way.prepend(path)?;
        Ok(way)
    }

    fn step(&self, way: &mut Way, name: &[u8], follow: bool, source: &dyn ProcSource) -> Result<(), Errno> {
        let found = self.lookup(&way.at, name, source)?;
        let Some(target) = found.link(source).filter(|_| follow) else {
            way.at = found;
            return Ok(());
        };
        way.links += 1;
        if way.links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        if target.starts_with(b"/") {
            way.at = self.root();
        }
        way.prepend(&target)
    }

    /// What `name` leads to in `at`.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR.
    pub fn lookup(&self, at: &Node, name: &[u8], source: &dyn ProcSource) -> Result<Node, Errno> {
        if name == b".." {
            return Ok(self.parent(at));
        }
        match at {
            _ if !at.is_directory() => Err(Errno::ENOTDIR),
            _ if name == b"." => Ok(at.clone()),
            Node::Proc(node) => node.lookup(name, source).map(Node::Proc).ok_or(Errno::ENOENT),
            Node::Inode(inode) => inode.directory()?.get(name).map(Node::from).ok_or(Errno::ENOENT),
            Node::Disk(node) => node.lookup(name).map(Node::Disk),
        }
    }

    fn parent(&self, at: &Node) -> Node {
        match at {
            Node::Proc(ProcNode::Process(_) | ProcNode::Xen) => Node::Proc(ProcNode::Root),
            Node::Proc(_) => self.root(),
            Node::Disk(node) => node
                .parent()
                .unwrap_or_else(|| self.parent(&Node::Inode(node.at.clone()))),
            Node::Inode(inode) => match &inode.body {
                Body::Directory(directory) => directory
                    .parent
                    .borrow()
                    .upgrade()
                    .map_or_else(|| self.root(), Node::Inode),
                _ => self.root(),
            },
        }
    }

    /// The absolute path of a directory.
    ///
    /// # Errors
    /// ENOENT: it was removed.
    pub fn path_of(&self, directory: &Node) -> Result<Vec<u8>, Errno> {
        let mut names = Vec::new();
        let mut at = directory.clone();
        loop {
            let (name, parent) = match &at {
                Node::Inode(inode) if Rc::ptr_eq(inode, &self.root) => break,
                Node::Inode(inode) => {
                    let parent = inode
                        .directory()?
                        .parent
                        .borrow()
                        .upgrade()
                        .ok_or(Errno::ENOENT)?;
                    (
                        parent
                            .directory()?
                            .name_of(inode)
                            .ok_or(Errno::ENOENT)?
                            .into_vec(),
                        Node::Inode(parent),
                    )
                }
                Node::Proc(ProcNode::Process(pid)) => {
                    (super::proc::decimal(*pid), Node::Proc(ProcNode::Root))
                }
                Node::Proc(ProcNode::Xen) => (b"xen".to_vec(), Node::Proc(ProcNode::Root)),
                Node::Proc(_) => (b"proc".to_vec(), self.root()),
                Node::Disk(node) => {
                    let name = node.path.rsplit('/').next().unwrap_or_default();
                    match node.parent() {
                        Some(parent) => (name.as_bytes().to_vec(), parent),
                        None => {
                            at = Node::Inode(node.at.clone());
                            continue;
                        }
                    }
                }
            };
            names.push(name);
            at = parent;
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Ok(path)
    }
}

/// How far a walk has come.
struct Way {
    at: Node,
    names: VecDeque<Box<[u8]>>,
    links: u32,
}

impl Way {
    fn prepend(&mut self, path: &[u8]) -> Result<(), Errno> {
        for name in path
            .split(|byte| *byte == b'/')
            .rev()
            .filter(|name| !name.is_empty())
        {
            if name.len() > MAX_NAME {
                return Err(Errno::ENAMETOOLONG);
            }
            self.names.push_front(name.into());
        }
        Ok(())
    }
}
