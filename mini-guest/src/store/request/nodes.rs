//! Nodes that are looked at and changed, in a transaction or at once.

use alloc::format;
use alloc::vec::Vec;

use guest_abi::io::xenstore::{MAX_PAYLOAD, MessageKind};

use super::{Asker, OK, number, strings};
use crate::store::transaction::Change;
use crate::store::{ConnectionId, Error, Path, Quota, Store, Tree, Wish};

impl Store {
    /// The tree to look at, the look being noted.
    pub(super) fn look(
        &mut self,
        id: ConnectionId,
        (domain, tx): Asker,
        path: &Path,
    ) -> Result<&Tree, Error> {
        if tx == 0 {
            return Ok(&self.tree);
        }
        let connection = self.connections.get_mut(&id).ok_or(Error::Invalid)?;
        let transaction = connection.transactions.get_mut(&tx).ok_or(Error::NoEntry)?;
        transaction.look(path, domain, &self.quota)?;
        Ok(&transaction.tree)
    }

    /// A directory's names, each with a NUL, and its state.
    pub(super) fn names(
        &mut self,
        id: ConnectionId,
        asker: Asker,
        path: &Path,
    ) -> Result<(Vec<u8>, u64), Error> {
        let node = self.look(id, asker, path)?.allowed(path, asker.0, Wish::Read)?;
        let mut names = Vec::new();
        for name in node.children.keys() {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        Ok((names, node.stamp))
    }

    pub(super) fn directory_part(
        &mut self,
        id: ConnectionId,
        asker: Asker,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let [path, offset] = strings(payload)?[..] else {
            return Err(Error::Invalid);
        };
        let path = Path::parse(path, asker.0)?;
        let offset: usize = number(offset)?;
        let (names, state) = self.names(id, asker, &path)?;
        let mut answer = format!("{state}\0").into_bytes();
        let rest = names.get(offset..).ok_or(Error::Invalid)?;
        // Room for the empty name at the end.
        let room = MAX_PAYLOAD - answer.len() - 1;
        if rest.len() <= room {
            answer.extend_from_slice(rest);
            answer.push(0);
        } else {
            let whole = rest[..room]
                .iter()
                .rposition(|byte| *byte == 0)
                .map_or(0, |end| end + 1);
            answer.extend_from_slice(&rest[..whole]);
        }
        Ok(answer)
    }

    /// Changes a node, in a transaction or at once; those who watch hear of it when it is so for everybody.
    pub(super) fn change(
        &mut self,
        (id, kind): (ConnectionId, MessageKind),
        (domain, tx): Asker,
        path: &Path,
        work: impl FnOnce(&mut Tree, &Quota) -> Result<Option<Change>, Error>,
    ) -> Result<Vec<u8>, Error> {
        if tx == 0 {
            // What is removed is still to be looked at by those who watch.
            let before = (kind == MessageKind::RM).then(|| self.tree.clone());
            if let Some(change) = work(&mut self.tree, &self.quota)? {
                self.fire(path, change, before.as_ref());
            }
            return Ok(OK.into());
        }
        // What is above counts too where the node is new.
        let mut looked_at = Some(path.clone());
        while let Some(path) = looked_at {
            let is_there = self.look(id, (domain, tx), &path)?.get(&path).is_some();
            let above = || path.split_last().map(|(above, _)| above);
            looked_at = if is_there { None } else { above() };
        }
        let connection = self.connections.get_mut(&id).ok_or(Error::Invalid)?;
        let transaction = connection.transactions.get_mut(&tx).ok_or(Error::NoEntry)?;
        if let Some(change) = work(&mut transaction.tree, &self.quota)? {
            transaction.note(path, change);
        }
        Ok(OK.into())
    }
}
