//! The nodes, and what each domain owns of them.
//!
//! Nodes are shared and copied when they change, from the changed one up to the root: so a transaction keeps the whole
//! tree as it was by keeping the root. A node's `stamp` changes with its value, its list of permissions and the names of its
//! children, and is never used again: two trees agree about a node where the stamps are the same.
//!
//! No function here recurses, since a domain decides how deep the tree is.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::path::Path;
use super::perms::{Perms, Wish};
use super::{Error, Quota};

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its value.
    pub value: Rc<[u8]>,
    /// Who may do what with it.
    pub perms: Perms,
    /// The nodes below it.
    pub children: BTreeMap<Rc<str>, Rc<Node>>,
    /// Distinguishes its states.
    pub stamp: u64,
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut below: Vec<Rc<Self>> = core::mem::take(&mut self.children).into_values().collect();
        while let Some(node) = below.pop() {
            if let Some(mut node) = Rc::into_inner(node) {
                below.extend(core::mem::take(&mut node.children).into_values());
            }
        }
    }
}

/// What a domain owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Nodes.
    pub nodes: usize,
    /// Bytes of their names and values.
    pub bytes: usize,
}

/// All nodes.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Rc<Node>,
    holdings: BTreeMap<u16, Holdings>,
    last_stamp: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node {
            value: Rc::default(),
            perms: Perms::private(0),
            children: BTreeMap::new(),
            stamp: 0,
        };
        Self {
            root: Rc::new(root),
            holdings: BTreeMap::new(),
            last_stamp: 0,
        }
    }
}

impl Tree {
    /// The node at `path`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Node> {
        let mut at = &self.root;
        for name in path.components() {
            at = at.children.get(name)?;
        }
        Some(at)
    }

    /// The stamp of the node at `path`.
    #[must_use]
    pub fn stamp(&self, path: &Path) -> Option<u64> {
        self.get(path).map(|node| node.stamp)
    }

    /// The node at `path`, or the nearest one above it that there is.
    #[must_use]
    pub fn nearest(&self, path: &Path) -> (&Node, bool) {
        let mut at = &self.root;
        for name in path.components() {
            match at.children.get(name) {
                Some(child) => at = child,
                None => return (at, false),
            }
        }
        (at, true)
    }

    /// The node at `path`, if `domain` may do `wish` with it.
    ///
    /// # Errors
    /// [`Error::NoEntry`]; [`Error::Access`], also of a missing node where what is above cannot be read.
    pub fn allowed(&self, path: &Path, domain: u16, wish: Wish) -> Result<&Node, Error> {
        let (node, is_there) = self.nearest(path);
        match (is_there, node.perms.allow(domain, wish)) {
            (true, true) => Ok(node),
            (false, _) if node.perms.allow(domain, Wish::Read) => Err(Error::NoEntry),
            _ => Err(Error::Access),
        }
    }

    /// The node at `path`, to be changed.
    fn change(&mut self, path: &Path) -> Option<&mut Node> {
        let mut at = Rc::make_mut(&mut self.root);
        for name in path.components() {
            at = Rc::make_mut(at.children.get_mut(name)?);
        }
        self.last_stamp += 1;
        at.stamp = self.last_stamp;
        Some(at)
    }

    /// What `domain` owns.
    #[must_use]
    pub fn holdings(&self, domain: u16) -> Holdings {
        self.holdings.get(&domain).copied().unwrap_or_default()
    }

    fn account(&mut self, owner: u16, nodes: isize, bytes: isize) {
        let holdings = self.holdings.entry(owner).or_default();
        holdings.nodes = holdings.nodes.wrapping_add_signed(nodes);
        holdings.bytes = holdings.bytes.wrapping_add_signed(bytes);
        if holdings.nodes == 0 {
            self.holdings.remove(&owner);
        }
    }

    fn room(&self, owner: u16, nodes: usize, bytes: usize, quota: &Quota) -> Result<(), Error> {
        let holdings = self.holdings(owner);
        if owner != 0 && (holdings.nodes + nodes > quota.nodes || holdings.bytes + bytes > quota.bytes) {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    /// Makes sure that there is a node, with those above it; gives the topmost one that was made.
    ///
    /// # Errors
    /// [`Error::Access`]: `domain` may not write the nearest node above; [`Error::NoSpace`].
    pub fn make(&mut self, path: &Path, domain: u16, quota: &Quota) -> Result<Option<Path>, Error> {
        let mut above = Path::root();
        let (mut missing, mut topmost) = (Vec::new(), None);
        for name in path.components() {
            let next = above.child(name);
            if missing.is_empty() && self.get(&next).is_some() {
                above = next;
            } else {
                topmost.get_or_insert(next);
                missing.push(String::from(name));
            }
        }
        if missing.is_empty() {
            return Ok(None);
        }
        let parent = self.get(&above).ok_or(Error::NoEntry)?;
        if !parent.perms.allow(domain, Wish::Write) {
            return Err(Error::Access);
        }
        // What is made belongs to who made it, Domain0's to whoever what is above belongs to.
        let perms = if domain == 0 {
            parent.perms.clone()
        } else {
            parent.perms.owned_by(domain)
        };
        let bytes: usize = missing.iter().map(String::len).sum();
        let owner = perms.owner();
        if domain != 0 {
            self.room(owner, missing.len(), bytes, quota)?;
        }
        self.account(owner, missing.len() as isize, bytes as isize);
        for name in missing {
            self.last_stamp += 1;
            let node = Node {
                value: Rc::default(),
                perms: perms.clone(),
                children: BTreeMap::new(),
                stamp: self.last_stamp,
            };
            let parent = self.change(&above).ok_or(Error::NoEntry)?;
            parent.children.insert(name.as_str().into(), Rc::new(node));
            above = above.child(&name);
        }
        Ok(topmost)
    }

    /// Gives the node at `path` a value.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Access`], [`Error::NoSpace`].
    pub fn set_value(&mut self, path: &Path, domain: u16, value: &[u8], quota: &Quota) -> Result<(), Error> {
        let node = self.allowed(path, domain, Wish::Write)?;
        let (owner, before) = (node.perms.owner(), node.value.len());
        if domain != 0 {
            if value.len() > quota.value {
                return Err(Error::NoSpace);
            }
            if value.len() > before {
                self.room(owner, 0, value.len() - before, quota)?;
            }
        }
        if !path.is_empty() {
            self.account(owner, 0, value.len() as isize - before as isize);
        }
        if let Some(node) = self.change(path) {
            node.value = value.into();
        }
        Ok(())
    }

    /// Gives the node at `path` another list of permissions.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Access`]: `domain` does not own it; [`Error::Perm`]: it wants to give it away.
    pub fn set_perms(&mut self, path: &Path, domain: u16, perms: Perms) -> Result<(), Error> {
        let node = self.allowed(path, domain, Wish::Write)?;
        let owner = node.perms.owner();
        if domain != 0 && domain != owner {
            return Err(Error::Access);
        }
        if domain != 0 && perms.owner() != owner {
            return Err(Error::Perm);
        }
        let name = path.split_last().map_or(0, |(_, name)| name.len());
        let bytes = (node.value.len() + name) as isize;
        let new_owner = perms.owner();
        if !path.is_empty() && new_owner != owner {
            self.account(owner, -1, -bytes);
            self.account(new_owner, 1, bytes);
        }
        if let Some(node) = self.change(path) {
            node.perms = perms;
        }
        Ok(())
    }

    /// Removes a node with what is below. One that is not there, below one that is, is well removed: `false`.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the root; [`Error::NoEntry`], [`Error::Access`].
    pub fn remove(&mut self, path: &Path, domain: u16) -> Result<bool, Error> {
        let (above, name) = path.split_last().ok_or(Error::Invalid)?;
        match self.allowed(path, domain, Wish::Write) {
            Err(Error::NoEntry) => {
                return self.get(&above).map(|_| false).ok_or(Error::NoEntry);
            }
            other => other?,
        };
        let parent = self.change(&above).ok_or(Error::NoEntry)?;
        let Some(removed) = parent.children.remove(name) else {
            return Ok(false);
        };
        let mut below = Vec::from([(name.len(), removed)]);
        while let Some((name, node)) = below.pop() {
            let bytes = (name + node.value.len()) as isize;
            self.account(node.perms.owner(), -1, -bytes);
            below.extend(
                node.children
                    .iter()
                    .map(|(name, node)| (name.len(), node.clone())),
            );
        }
        Ok(true)
    }

    /// Every node with its path, in no order that matters.
    #[must_use]
    pub fn all(&self) -> Vec<(Path, &Node)> {
        let (mut all, mut below) = (Vec::new(), Vec::from([(Path::root(), &*self.root)]));
        while let Some((path, node)) = below.pop() {
            let children = node.children.iter();
            below.extend(children.map(|(name, child)| (path.child(name), &**child)));
            all.push((path, node));
        }
        all
    }

    /// Counts anew what each domain owns: it must be what is kept. The root counts for nobody.
    #[must_use]
    pub fn recount(&self) -> bool {
        let mut counted = BTreeMap::<u16, Holdings>::new();
        for (path, node) in self.all() {
            if let Some((_, name)) = path.split_last() {
                let holdings = counted.entry(node.perms.owner()).or_default();
                holdings.nodes += 1;
                holdings.bytes += name.len() + node.value.len();
            }
        }
        counted == self.holdings
    }
}
