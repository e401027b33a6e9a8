//! The beginning and the end of a transaction.

use alloc::collections::btree_map::Entry;
use alloc::format;
use alloc::vec::Vec;

use super::{Asker, OK, one};
use crate::store::transaction::{Change, Transaction};
use crate::store::{ConnectionId, Error, Store};

impl Store {
    /// Begins one, and answers with its number.
    pub(super) fn start(
        &mut self,
        id: ConnectionId,
        (domain, tx): Asker,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if tx != 0 || !matches!(payload, [] | [0]) {
            return Err(Error::Invalid);
        }
        let connection = self.connections.get_mut(&id).ok_or(Error::Invalid)?;
        if domain != 0 && connection.transactions.len() >= self.quota.transactions {
            return Err(Error::NoSpace);
        }
        let transactions = &mut connection.transactions;
        loop {
            let next = connection.last_transaction.wrapping_add(1).max(1);
            connection.last_transaction = next;
            if let Entry::Vacant(place) = transactions.entry(next) {
                place.insert(Transaction::new(&self.tree));
                return Ok(format!("{next}\0").into());
            }
        }
    }

    /// Ends one: what it changed is so for everybody, or for nobody.
    pub(super) fn end(
        &mut self,
        id: ConnectionId,
        (domain, tx): Asker,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let commits = match one(payload)? {
            "T" => true,
            "F" => false,
            _ => return Err(Error::Invalid),
        };
        let connection = self.connections.get_mut(&id).ok_or(Error::Invalid)?;
        let transaction = connection.transactions.remove(&tx).ok_or(Error::NoEntry)?;
        if commits {
            let before = self.tree.clone();
            let changes = transaction.commit(&mut self.tree, domain, &self.quota)?;
            for (path, change) in &changes {
                let before = (*change == Change::Removed).then_some(&before);
                self.fire(path, *change, before);
            }
        }
        Ok(OK.into())
    }
}
