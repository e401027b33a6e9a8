//! Domains that come and go, as Domain0 says.

use alloc::vec::Vec;

use super::{OK, SPECIAL, number, strings};
use crate::store::transaction::Change;
use crate::store::{Error, Introduced, Path, Perms, Platform, Store};

impl Store {
    /// Connects a domain by its ring.
    pub(super) fn introduce(
        &mut self,
        payload: &[u8],
        platform: &mut dyn Platform,
    ) -> Result<Vec<u8>, Error> {
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
    pub(super) fn release(&mut self, domain: u16, platform: &mut dyn Platform) -> Result<Vec<u8>, Error> {
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
