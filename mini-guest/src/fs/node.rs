//! A file of the tree or a place in `/proc`: what a path leads to.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::disk::DiskNode;
use super::inode::{Body, Inode};
use super::proc::{ProcNode, ProcSource};
use crate::linux::file::Stat;

/// What a path leads to.
#[derive(Clone, Debug)]
pub enum Node {
    /// A file of the tree.
    Inode(Rc<Inode>),
    /// A place in `/proc`.
    Proc(ProcNode),
    /// A file of a mounted volume.
    Disk(DiskNode),
}

impl From<Rc<Inode>> for Node {
    fn from(inode: Rc<Inode>) -> Self {
        match &inode.body {
            Body::ProcRoot => Self::Proc(ProcNode::Root),
            Body::Directory(directory) => {
                let mounted = directory.mounted.borrow().clone();
                match mounted {
                    Some(mount) => Self::Disk(DiskNode::root(mount, inode)),
                    None => Self::Inode(inode),
                }
            }
            _ => Self::Inode(inode),
        }
    }
}

impl Node {
    /// Whether names can be looked up in it.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        match self {
            Self::Inode(inode) => inode.is_directory(),
            Self::Proc(node) => node.is_directory(),
            Self::Disk(node) => node.entry.is_directory,
        }
    }

    /// The target, of a symbolic link.
    #[must_use]
    pub fn link(&self, source: &dyn ProcSource) -> Option<Vec<u8>> {
        match self {
            Self::Inode(inode) => match &inode.body {
                Body::Symlink(target) => Some(target.to_vec()),
                _ => None,
            },
            Self::Proc(node) => node.link(source),
            Self::Disk(_) => None,
        }
    }

    /// What stat tells.
    #[must_use]
    pub fn stat(&self) -> Stat {
        match self {
            Self::Inode(inode) => inode.stat(),
            Self::Proc(node) => node.stat(),
            Self::Disk(node) => node.stat(),
        }
    }
}
