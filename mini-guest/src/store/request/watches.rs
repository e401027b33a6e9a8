//! What a connection wants to hear of.

use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::io::xenstore::MessageKind;

use super::{OK, SPECIAL, strings};
use crate::store::connection::Subject;
use crate::store::{ConnectionId, Error, Path, Store};

/// Longest token of a watch.
const MAX_TOKEN: usize = 512;
impl Store {
    /// Begins or ends a watch.
    pub(super) fn watch(
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
}
