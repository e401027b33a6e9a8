//! What each message asks for.
//!
//! | message | payload | answer |
//! |---|---|---|
//! | directory, read, get_perms | path | names; the value; permissions |
//! | directory_part | path, offset | the directory's state, then names from there on; an empty one is the last |
//! | write | path, value | `OK` |
//! | mkdir, rm | path | `OK` |
//! | set_perms | path, permissions… | `OK` |
//! | watch, unwatch | path, token | `OK` |
//! | transaction_start, transaction_end | nothing; `T` or `F` | a number; `OK` |
//! | introduce, release, resume, set_target | numbers; for Domain0 | `OK` |
//! | get_domain_path, is_domain_introduced | number | a path; `T` or `F` |
//! | reset_watches | nothing | `OK` |
//!
//! Strings end with a NUL, where the table of [`MessageKind`] says no otherwise.

use alloc::collections::btree_map::Entry;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::io::xenstore::{MAX_PAYLOAD, MessageHeader, MessageKind};

use super::connection::{Connection, Subject};
use super::transaction::{Change, Transaction};
use super::{ConnectionId, Error, Introduced, Path, Perms, Platform, Store, Tree, Wish};

/// Longest token of a watch.
const MAX_TOKEN: usize = 512;
/// What is answered where there is nothing to be told.
const OK: &[u8] = b"OK\0";
/// The names of events that are no node's.
const SPECIAL: [&str; 2] = ["@introduceDomain", "@releaseDomain"];

/// A domain's number in digits.
pub(super) fn number<T: core::str::FromStr>(text: &str) -> Result<T, Error> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Invalid);
    }
    text.parse().map_err(|_| Error::Invalid)
}

/// The strings of a payload, each of which ends with a NUL.
fn strings(payload: &[u8]) -> Result<Vec<&str>, Error> {
    let text = core::str::from_utf8(payload).map_err(|_| Error::Invalid)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let text = text.strip_suffix('\0').ok_or(Error::Invalid)?;
    Ok(text.split('\0').collect())
}

fn one(payload: &[u8]) -> Result<&str, Error> {
    match strings(payload)?[..] {
        [only] => Ok(only),
        _ => Err(Error::Invalid),
    }
}

impl Connection {
    /// Answers a request.
    pub(super) fn reply(&mut self, header: &MessageHeader, answer: Result<Vec<u8>, Error>) {
        let numbers = (header.req_id, header.tx_id);
        match answer {
            Ok(payload) => self.send(header.kind, numbers, &payload),
            Err(error) => {
                let name = format!("{}\0", error.name());
                self.send(MessageKind::ERROR, numbers, name.as_bytes());
            }
        }
    }
}

/// Where a request is done: a tree, and perhaps the transaction that it is part of.
type Asker = (u16, u32);

impl Store {
    pub(super) fn answer(
        &mut self,
        id: ConnectionId,
        (domain, tx): Asker,
        kind: MessageKind,
        payload: &[u8],
        platform: &mut dyn Platform,
    ) -> Result<Vec<u8>, Error> {
        let asker = (domain, tx);
        let grows = [
            MessageKind::WRITE,
            MessageKind::MKDIR,
            MessageKind::SET_PERMS,
            MessageKind::WATCH,
            MessageKind::TRANSACTION_START,
            MessageKind::INTRODUCE,
        ];
        if grows.contains(&kind) && !platform.has_memory() {
            return Err(Error::NoMemory);
        }
        match kind {
            MessageKind::READ => {
                let path = Path::parse(one(payload)?, domain)?;
                let node = self.look(id, asker, &path)?.allowed(&path, domain, Wish::Read)?;
                Ok(node.value.to_vec())
            }
            MessageKind::GET_PERMS => {
                let path = Path::parse(one(payload)?, domain)?;
                let node = self.look(id, asker, &path)?.allowed(&path, domain, Wish::Read)?;
                Ok(node.perms.to_bytes())
            }
            MessageKind::DIRECTORY => {
                let path = Path::parse(one(payload)?, domain)?;
                let names = self.names(id, asker, &path)?.0;
                if names.len() > MAX_PAYLOAD {
                    return Err(Error::TooBig);
                }
                Ok(names)
            }
            MessageKind::DIRECTORY_PART => self.directory_part(id, asker, payload),
            MessageKind::WRITE => {
                let end = payload.iter().position(|byte| *byte == 0).ok_or(Error::Invalid)?;
                let path = Path::parse(one(&payload[..=end])?, domain)?;
                let value = &payload[end + 1..];
                self.change((id, kind), asker, &path, |tree, quota| {
                    let made = tree.make(&path, domain, quota)?;
                    let written = tree.set_value(&path, domain, value, quota);
                    if let (Err(_), Some(made)) = (&written, made) {
                        // A value that was refused leaves no node that was made for it.
                        tree.remove(&made, 0)?;
                    }
                    written.map(|()| Some(Change::Set))
                })
            }
            MessageKind::MKDIR => {
                let path = Path::parse(one(payload)?, domain)?;
                self.change((id, kind), asker, &path, |tree, quota| {
                    let made = tree.make(&path, domain, quota)?;
                    Ok(made.map(|_| Change::Set))
                })
            }
            MessageKind::RM => {
                let path = Path::parse(one(payload)?, domain)?;
                self.change((id, kind), asker, &path, |tree, _| {
                    Ok(tree.remove(&path, domain)?.then_some(Change::Removed))
                })
            }
            MessageKind::SET_PERMS => {
                let words = strings(payload)?;
                let (path, perms) = words.split_first().ok_or(Error::Invalid)?;
                let path = Path::parse(path, domain)?;
                let perms = Perms::parse(perms.iter().copied())?;
                self.change((id, kind), asker, &path, |tree, _| {
                    tree.set_perms(&path, domain, perms)?;
                    Ok(Some(Change::Set))
                })
            }
            MessageKind::TRANSACTION_START => self.start(id, asker, payload),
            MessageKind::TRANSACTION_END => self.end(id, asker, payload),
            _ if tx != 0 => Err(Error::Invalid),
            MessageKind::WATCH | MessageKind::UNWATCH => self.watch(id, domain, kind, payload),
            MessageKind::RESET_WATCHES => {
                let connection = self.connections.get_mut(&id).ok_or(Error::Invalid)?;
                connection.unwatch_all();
                connection.transactions.clear();
                Ok(OK.into())
            }
            MessageKind::GET_DOMAIN_PATH => {
                let path = Path::home(number(one(payload)?)?);
                Ok(format!("{path}\0").into())
            }
            MessageKind::IS_DOMAIN_INTRODUCED => {
                let asked = number(one(payload)?)?;
                let is_known = asked == 0 || self.domains.contains_key(&asked);
                Ok(if is_known { b"T\0" } else { b"F\0" }.into())
            }
            MessageKind::INTRODUCE
            | MessageKind::RELEASE
            | MessageKind::RESUME
            | MessageKind::SET_TARGET
            | MessageKind::CONTROL
                if domain != 0 =>
            {
                Err(Error::Access)
            }
            MessageKind::INTRODUCE => self.introduce(payload, platform),
            MessageKind::RELEASE => self.release(number(one(payload)?)?, platform),
            MessageKind::RESUME => {
                let asked: u16 = number(one(payload)?)?;
                let known = self.domains.contains_key(&asked);
                known.then(|| OK.into()).ok_or(Error::NoEntry)
            }
            _ => Err(Error::NoSystem),
        }
    }

    /// The tree to look at, the look being noted.
    fn look(&mut self, id: ConnectionId, (domain, tx): Asker, path: &Path) -> Result<&Tree, Error> {
        if tx == 0 {
            return Ok(&self.tree);
        }
        let connection = self.connections.get_mut(&id).ok_or(Error::Invalid)?;
        let transaction = connection.transactions.get_mut(&tx).ok_or(Error::NoEntry)?;
        transaction.look(path, domain, &self.quota)?;
        Ok(&transaction.tree)
    }

    /// A directory's names, each with a NUL, and its state.
    fn names(&mut self, id: ConnectionId, asker: Asker, path: &Path) -> Result<(Vec<u8>, u64), Error> {
        let node = self.look(id, asker, path)?.allowed(path, asker.0, Wish::Read)?;
        let mut names = Vec::new();
        for name in node.children.keys() {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        Ok((names, node.stamp))
    }

    fn directory_part(&mut self, id: ConnectionId, asker: Asker, payload: &[u8]) -> Result<Vec<u8>, Error> {
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
    fn change(
        &mut self,
        (id, kind): (ConnectionId, MessageKind),
        (domain, tx): Asker,
        path: &Path,
        work: impl FnOnce(&mut Tree, &super::Quota) -> Result<Option<Change>, Error>,
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

    fn start(&mut self, id: ConnectionId, (domain, tx): Asker, payload: &[u8]) -> Result<Vec<u8>, Error> {
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

    fn end(&mut self, id: ConnectionId, (domain, tx): Asker, payload: &[u8]) -> Result<Vec<u8>, Error> {
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

    fn watch(
        &mut self,
        id: ConnectionId,
        domain: u16,
        kind: MessageKind,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let [path, token] = strings(payload)?[..] else {
            return Err(Error::Invalid);
        };
        if token.len() > MAX_TOKEN {
            return Err(Error::TooBig);
        }
        let (subject, relative_to) = match SPECIAL.into_iter().find(|name| *name == path) {
            Some(_) if domain != 0 => return Err(Error::Access),
            Some(name) => (Subject::Special(name), None),
            None => {
                let home = (!path.starts_with('/')).then(|| Path::home(domain));
                (Subject::Node(Path::parse(path, domain)?), home)
            }
        };
        let quota = self.quota.watches;
        let connection = self.connections.get_mut(&id).ok_or(Error::Invalid)?;
        if kind == MessageKind::UNWATCH {
            let was_there = connection.unwatch(&subject, token);
            return was_there.then(|| OK.into()).ok_or(Error::NoEntry);
        }
        let mut watches = connection.watches.iter();
        if watches.any(|watch| watch.subject == subject && watch.token == token) {
            return Err(Error::Exists);
        }
        if domain != 0 && connection.watches.len() >= quota {
            return Err(Error::NoSpace);
        }
        connection.watch(subject, relative_to, String::from(token));
        Ok(OK.into())
    }

    fn introduce(&mut self, payload: &[u8], platform: &mut dyn Platform) -> Result<Vec<u8>, Error> {
        let [domain, frame, port] = strings(payload)?[..] else {
            return Err(Error::Invalid);
        };
        let (domain, frame, port) = (number(domain)?, number(frame)?, number(port)?);
        if domain == 0 {
            return Err(Error::Invalid);
        }
        match self.domains.get(&domain) {
            Some(known) if (known.frame, known.port) == (frame, port) => {}
            Some(_) => return Err(Error::Invalid),
            None => {
                let connection = self.connect(domain);
                if let Err(error) = platform.introduce(domain, frame, port, connection) {
                    self.disconnect(connection);
                    return Err(error);
                }
                let introduced = Introduced {
                    connection,
                    frame,
                    port,
                };
                self.domains.insert(domain, introduced);
            }
        }
        self.fire_special(SPECIAL[0]);
        Ok(OK.into())
    }

    /// Forgets a domain: its connection, the nodes it owns, and what others allow it; the number may be somebody else's soon.
    fn release(&mut self, domain: u16, platform: &mut dyn Platform) -> Result<Vec<u8>, Error> {
        let known = self.domains.remove(&domain).ok_or(Error::NoEntry)?;
        self.disconnect(known.connection);
        platform.release(domain);
        let mentions = |perms: &Perms| perms.owner() == domain || perms.without(domain).is_some();
        let all = self.tree.all().into_iter();
        let mut found: Vec<(Path, Perms)> = all
            .filter(|(_, node)| mentions(&node.perms))
            .map(|(path, node)| (path, node.perms.clone()))
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        for (path, perms) in found {
            if perms.owner() == domain {
                let before = self.tree.clone();
                // Below one that is gone already there is nothing more to do.
                if self.tree.remove(&path, 0) == Ok(true) {
                    self.fire(&path, Change::Removed, Some(&before));
                }
            } else if let Some(perms) = perms.without(domain) {
                let _ = self.tree.set_perms(&path, 0, perms);
            }
        }
        self.fire_special(SPECIAL[1]);
        Ok(OK.into())
    }
}
