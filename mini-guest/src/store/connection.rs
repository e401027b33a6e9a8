//! One connection: bytes in, bytes out, watches, transactions.
//!
//! What is kept for a connection is bounded whatever the other side does. Requests are not taken while replies wait to be
//! read. Of the events that wait, equal ones are one; and where a watch would have too many of them, they become one for
//! the watched path itself, which says what its first event said: look at everything.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::io::xenstore::{MAX_PAYLOAD, MessageHeader, MessageKind};
use zerocopy::{FromBytes, IntoBytes};

use super::path::Path;
use super::transaction::Transaction;

/// Bytes of replies that may wait before no more requests are taken.
const MAX_WAITING: usize = 8 * 1024;
/// Events of one watch that may wait.
const MAX_EVENTS: usize = 64;

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A node and what is below.
    Node(Path),
    /// `@introduceDomain`, `@releaseDomain`.
    Special(&'static str),
}

/// A watch.
#[derive(Debug)]
pub struct Watch {
    /// What is watched.
    pub subject: Subject,
    /// The path was relative to this.
    pub relative_to: Option<Path>,
    /// The asker's own word for it.
    pub token: String,
    /// Its own number, never used again.
    id: u32,
}

impl Watch {
    fn shown(&self, path: &Path) -> String {
        path.as_seen(self.relative_to.as_ref()).into()
    }

    /// The path under which it was set.
    pub fn own_path(&self) -> String {
        match &self.subject {
            Subject::Node(path) => self.shown(path),
            Subject::Special(name) => (*name).into(),
        }
    }
}

/// An event that waits: the watch's number, and the path.
type Event = (u32, String);

/// Everything about one connection.
#[derive(Debug)]
pub struct Connection {
    /// Whose it is.
    pub domain: u16,
    input: Vec<u8>,
    output: VecDeque<u8>,
    events: VecDeque<Event>,
    last_watch: u32,
    /// Its watches.
    pub watches: Vec<Watch>,
    /// Its transactions.
    pub transactions: BTreeMap<u32, Transaction>,
    /// The number of its last transaction.
    pub last_transaction: u32,
    /// What it sent made no sense; nothing is taken from it any more.
    pub is_broken: bool,
}

impl Connection {
    /// A new one.
    pub fn new(domain: u16) -> Self {
        Self {
            domain,
            input: Vec::new(),
            output: VecDeque::new(),
            events: VecDeque::new(),
            last_watch: 0,
            watches: Vec::new(),
            transactions: BTreeMap::new(),
            last_transaction: 0,
            is_broken: false,
        }
    }

    /// How many bytes are taken now.
    pub fn room(&self) -> usize {
        if self.is_broken || self.output.len() >= MAX_WAITING {
            return 0;
        }
        (size_of::<MessageHeader>() + MAX_PAYLOAD).saturating_sub(self.input.len())
    }

    /// Takes bytes, at most [`Self::room`].
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next whole request, once replies are read. A length that cannot be breaks the connection.
    pub fn next_request(&mut self) -> Option<(MessageHeader, Vec<u8>)> {
        if self.is_broken || self.output.len() >= MAX_WAITING {
            return None;
        }
        let (header, rest) = MessageHeader::read_from_prefix(&self.input).ok()?;
        let len = header.len as usize;
        if len > MAX_PAYLOAD {
            self.is_broken = true;
            return None;
        }
        let payload = rest.get(..len)?.to_vec();
        self.input.drain(..size_of::<MessageHeader>() + len);
        Some((header, payload))
    }

    /// Puts a message into the output.
    pub fn send(&mut self, kind: MessageKind, (req_id, tx_id): (u32, u32), payload: &[u8]) {
        let header = MessageHeader {
            kind,
            req_id,
            tx_id,
            len: payload.len() as u32,
        };
        self.output.extend(header.as_bytes());
        self.output.extend(payload);
    }

    /// Adds a watch, which fires at once.
    pub fn watch(&mut self, subject: Subject, relative_to: Option<Path>, token: String) {
        self.last_watch = self.last_watch.wrapping_add(1);
        self.watches.push(Watch {
            subject,
            relative_to,
            token,
            id: self.last_watch,
        });
        self.fire(self.watches.len() - 1, None);
    }

    /// Removes a watch and its events; `false` where there is none like it.
    pub fn unwatch(&mut self, subject: &Subject, token: &str) -> bool {
        let is_it = |watch: &Watch| watch.subject == *subject && watch.token == token;
        let Some(index) = self.watches.iter().position(is_it) else {
            return false;
        };
        let id = self.watches.remove(index).id;
        self.events.retain(|event| event.0 != id);
        true
    }

    /// Removes all watches and their events.
    pub fn unwatch_all(&mut self) {
        self.watches.clear();
        self.events.clear();
    }

    /// Has a watch fire for `path`, or for its own path where there is none.
    pub fn fire(&mut self, index: usize, path: Option<&Path>) {
        let Some(watch) = self.watches.get(index) else {
            return;
        };
        let mut event = (
            watch.id,
            path.map_or_else(|| watch.own_path(), |path| watch.shown(path)),
        );
        if self.events.contains(&event) {
            return;
        }
        if self.events.iter().filter(|other| other.0 == watch.id).count() >= MAX_EVENTS {
            event.1 = watch.own_path();
            self.events.retain(|other| other.0 != event.0);
        }
        self.events.push_back(event);
    }

    /// Whether there is something to be read.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty() || !self.events.is_empty()
    }

    /// Bytes to be read, at most `max`.
    pub fn take(&mut self, max: usize) -> Vec<u8> {
        while self.output.len() < max {
            let Some((id, path)) = self.events.pop_front() else {
                break;
            };
            let Some(watch) = self.watches.iter().find(|watch| watch.id == id) else {
                continue;
            };
            let payload = [path.as_bytes(), b"\0", watch.token.as_bytes(), b"\0"].concat();
            self.send(MessageKind::WATCH_EVENT, (0, 0), &payload);
        }
        let count = max.min(self.output.len());
        self.output.drain(..count).collect()
    }
}
