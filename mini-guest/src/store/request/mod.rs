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

mod domains;
mod nodes;
mod transactions;
mod watches;

use alloc::format;
use alloc::vec::Vec;

use guest_abi::io::xenstore::{MAX_PAYLOAD, MessageHeader, MessageKind};

use super::connection::Connection;
use super::transaction::Change;
use super::{ConnectionId, Error, Path, Perms, Platform, Store, Wish};

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

/// Who asks: a domain, and the transaction that the request is part of, or 0.
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
}
