//! The store: a tree of small values by which domains find each other's devices, as Domain0's kernel keeps it.
//!
//! ```text
//! ring page of a domain ─┐                          ┌─ Tree, Transaction
//! /dev/xen/xenbus ───────┼─ bytes → Connection → request ─┼─ watches of every Connection
//! the kernel's drivers ──┘                          └─ Platform: a domain's ring is mapped, or let go of
//! ```
//!
//! The protocol is Xen's ([`guest_abi::io::xenstore`]). Whoever sends nonsense gets an error, or, where what follows could not be told
//! apart any more, loses the connection; nobody else notices. What a domain can make the store keep is bounded ([`Quota`]).
//!
//! Nothing here knows rings, frames or events: `kernel::store` moves the bytes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

mod connection;
mod path;
mod perms;
pub(crate) mod request;
mod transaction;
mod tree;

pub use path::Path;
pub use perms::{Perms, Wish};
pub use transaction::Change;

use connection::{Connection, Subject};
use tree::Tree;

/// Why a request failed; the words on the wire are the names in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names below say it")]
pub enum Error {
    Invalid,
    Access,
    Perm,
    NoEntry,
    Exists,
    NoSpace,
    NoMemory,
    TooBig,
    Again,
    NoSystem,
    Io,
}

impl Error {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Access,
        Self::Perm,
        Self::NoEntry,
        Self::Exists,
        Self::NoSpace,
        Self::NoMemory,
        Self::TooBig,
        Self::Again,
        Self::NoSystem,
        Self::Io,
    ];

    /// The name that is sent.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "EINVAL",
            Self::Access => "EACCES",
            Self::Perm => "EPERM",
            Self::NoEntry => "ENOENT",
            Self::Exists => "EEXIST",
            Self::NoSpace => "ENOSPC",
            Self::NoMemory => "ENOMEM",
            Self::TooBig => "E2BIG",
            Self::Again => "EAGAIN",
            Self::NoSystem => "ENOSYS",
            Self::Io => "EIO",
        }
    }

    /// The error of that name; one that nobody here sends is [`Error::Io`].
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|error| error.name() == name).unwrap_or(Self::Io)
    }
}

/// How much a domain other than the first may make the store keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nodes that it owns.
    pub nodes: usize,
    /// Bytes of their names and values; and of the paths that one transaction has looked at.
    pub bytes: usize,
    /// Bytes of one value.
    pub value: usize,
    /// Watches.
    pub watches: usize,
    /// Transactions at a time.
    pub transactions: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            nodes: 512,
            bytes: 64 * 1024,
            value: 2048,
            watches: 128,
            transactions: 8,
        }
    }
}

/// What the store needs done outside of it.
pub trait Platform {
    /// Begins to serve a domain's ring: its frame, and the port that waits for us at the domain. The connection's bytes
    /// come from there.
    ///
    /// # Errors
    /// [`Error::Invalid`]: there are no such frame and port; [`Error::NoMemory`].
    fn introduce(
        &mut self,
        domain: u16,
        frame: u32,
        port: u32,
        connection: ConnectionId,
    ) -> Result<(), Error>;

    /// Lets go of a domain's ring.
    fn release(&mut self, domain: u16);

    /// Whether there is memory for something new.
    fn has_memory(&self) -> bool {
        true
    }
}

/// Names a connection; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(u32);

/// A domain that the store was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Introduced {
    connection: ConnectionId,
    frame: u32,
    port: u32,
}

/// The store.
#[derive(Debug, Default)]
pub struct Store {
    tree: Tree,
    connections: BTreeMap<ConnectionId, Connection>,
    domains: BTreeMap<u16, Introduced>,
    last_connection: u32,
    ready: BTreeSet<ConnectionId>,
    quota: Quota,
}

impl Store {
    /// A store with these bounds.
    #[must_use]
    pub fn with_quota(quota: Quota) -> Self {
        Self {
            quota,
            ..Self::default()
        }
    }

    /// A new connection of a domain.
    pub fn connect(&mut self, domain: u16) -> ConnectionId {
        self.last_connection += 1;
        let id = ConnectionId(self.last_connection);
        self.connections.insert(id, Connection::new(domain));
        id
    }

    /// Ends a connection: its watches and transactions are gone.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.ready.remove(&id);
    }

    /// Begins a connection anew, as if it had just been made.
    pub fn reset(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            *connection = Connection::new(connection.domain);
            self.ready.remove(&id);
        }
    }

    /// How many bytes a connection takes now: none while its replies are not read.
    #[must_use]
    pub fn room(&self, id: ConnectionId) -> usize {
        self.connections.get(&id).map_or(0, Connection::room)
    }

    /// Whether what came by a connection made no sense: it is of no use until it is reset.
    #[must_use]
    pub fn is_broken(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_none_or(|connection| connection.is_broken)
    }

    /// Takes bytes of a connection, at most as many as there is room for, and does what they ask for.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], platform: &mut dyn Platform) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.push(bytes);
        }
        self.serve(id, platform);
    }

    /// Does what has been asked for, as far as replies are read.
    fn serve(&mut self, id: ConnectionId, platform: &mut dyn Platform) {
        while let Some(connection) = self.connections.get_mut(&id) {
            let domain = connection.domain;
            let Some((header, payload)) = connection.next_request() else {
                break;
            };
            let answer = self.answer(id, (domain, header.tx_id), header.kind, &payload, platform);
            // A domain that lets go of itself has nobody to answer.
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.reply(&header, answer);
                self.ready.insert(id);
            }
        }
    }

    /// Bytes for a connection's other side, at most `max`.
    pub fn take_output(&mut self, id: ConnectionId, max: usize, platform: &mut dyn Platform) -> Vec<u8> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Vec::new();
        };
        let bytes = connection.take(max);
        self.serve(id, platform);
        bytes
    }

    /// Whether there are such bytes.
    #[must_use]
    pub fn has_output(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(Connection::has_output)
    }

    /// The connections that got something to read since this was asked last.
    pub fn take_ready(&mut self) -> BTreeSet<ConnectionId> {
        core::mem::take(&mut self.ready)
    }

    /// The domain that has this connection by its ring.
    #[must_use]
    pub fn ring_of(&self, id: ConnectionId) -> Option<u16> {
        let mut domains = self.domains.iter();
        domains
            .find(|(_, introduced)| introduced.connection == id)
            .map(|(domain, _)| *domain)
    }

    /// Tells everybody who watches, and may look, of changes.
    fn fire(&mut self, path: &Path, change: Change, before: Option<&Tree>) {
        // Of a node that is gone, its permissions say who hears of it.
        let tree = before.unwrap_or(&self.tree);
        for (id, connection) in &mut self.connections {
            let domain = connection.domain;
            for index in 0..connection.watches.len() {
                let Subject::Node(watched) = &connection.watches[index].subject else {
                    continue;
                };
                if path.is_within(watched) {
                    let (node, _) = tree.nearest(path);
                    if node.perms.allow(domain, Wish::Read) {
                        connection.fire(index, Some(path));
                        self.ready.insert(*id);
                    }
                } else if change == Change::Removed && watched.is_within(path) {
                    let (node, _) = tree.nearest(watched);
                    if node.perms.allow(domain, Wish::Read) {
                        connection.fire(index, None);
                        self.ready.insert(*id);
                    }
                }
            }
        }
    }

    /// Tells everybody who watches of a domain that came or went.
    fn fire_special(&mut self, name: &'static str) {
        for (id, connection) in &mut self.connections {
            for index in 0..connection.watches.len() {
                if connection.watches[index].subject == Subject::Special(name) {
                    connection.fire(index, None);
                    self.ready.insert(*id);
                }
            }
        }
    }

    /// Whether what is kept of the domains' holdings is what they own.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.tree.recount()
    }
}

#[cfg(test)]
mod tests;
