//! Transactions: a copy of the whole tree on which one connection works, until it ends.
//!
//! At the end every node that the transaction looked at or changed must be as it was when the transaction began; then the
//! nodes it changed are taken over, else the answer is EAGAIN and nothing has happened. What others did elsewhere in
//! the tree does not matter, so nobody can keep somebody else's transactions from ending well by being busy.

use alloc::collections::{BTreeMap, BTreeSet};

use super::path::Path;
use super::tree::Tree;
use super::{Error, Quota};

/// Bytes that are kept for each path beside its own.
const PATH_COST: usize = 64;

/// What a change means to those that watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The node is there, and is new or different.
    Set,
    /// It is gone, with what was below.
    Removed,
}

/// One transaction.
#[derive(Debug)]
pub struct Transaction {
    base: Tree,
    /// The tree as the transaction sees it.
    pub tree: Tree,
    seen: BTreeSet<Path>,
    changes: BTreeMap<Path, Change>,
    removed: BTreeSet<Path>,
    cost: usize,
}

impl Transaction {
    /// Begins with the tree as it is.
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        Self {
            base: tree.clone(),
            tree: tree.clone(),
            seen: BTreeSet::new(),
            changes: BTreeMap::new(),
            removed: BTreeSet::new(),
            cost: 0,
        }
    }

    /// Notes that a node was looked at.
    ///
    /// # Errors
    /// [`Error::NoSpace`]: it has looked at too many.
    pub fn look(&mut self, path: &Path, domain: u16, quota: &Quota) -> Result<(), Error> {
        if self.seen.contains(path) {
            return Ok(());
        }
        let cost = self.cost + path.len() + PATH_COST;
        if domain != 0 && cost > quota.bytes {
            return Err(Error::NoSpace);
        }
        self.cost = cost;
        self.seen.insert(path.clone());
        Ok(())
    }

    /// Notes what was done to a node that was looked at.
    pub fn note(&mut self, path: &Path, change: Change) {
        if change == Change::Removed {
            self.removed.insert(path.clone());
            self.changes.retain(|other, _| !other.is_within(path));
        }
        self.changes.insert(path.clone(), change);
    }

    /// Takes the changes over into `tree` and gives them, or changes nothing.
    ///
    /// # Errors
    /// [`Error::Again`]: somebody else was first; [`Error::NoSpace`], [`Error::Access`] as for the changes themselves.
    pub fn commit(
        self,
        tree: &mut Tree,
        domain: u16,
        quota: &Quota,
    ) -> Result<BTreeMap<Path, Change>, Error> {
        let is_same = |path: &Path| tree.stamp(path) == self.base.stamp(path);
        if !self.seen.iter().all(is_same) {
            return Err(Error::Again);
        }
        let mut new = tree.clone();
        for path in &self.removed {
            match new.remove(path, domain) {
                Ok(_) | Err(Error::NoEntry) => {}
                Err(error) => return Err(error),
            }
        }
        // Parents come before their children. All that was changed was looked at, and so was what was made above it: that
        // stays where what is below was removed again.
        for path in &self.seen {
            let is_changed = self.changes.contains_key(path) || new.get(path).is_none();
            if let Some(node) = self.tree.get(path).filter(|_| is_changed) {
                new.make(path, domain, quota)?;
                new.set_value(path, domain, &node.value, quota)?;
                if new.get(path).is_some_and(|there| there.perms != node.perms) {
                    new.set_perms(path, domain, node.perms.clone())?;
                }
            }
        }
        *tree = new;
        Ok(self.changes)
    }
}
