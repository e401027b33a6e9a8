//! What both halves of every device have: a directory, the other half's, and a state; and what a backend does next, whatever it serves.

use alloc::format;
use alloc::string::String;

use guest_abi::io::xenbus::XenbusState;

use super::{Keys, number, set_state, state};
use crate::store::Error;

/// One half of a device.
#[derive(Clone, Debug)]
pub struct Half {
    /// Its directory.
    pub directory: String,
    /// The other half's.
    pub other: String,
    /// The other half's domain.
    pub domain: u16,
    state: XenbusState,
    /// A backend is over for a reason of its own: not because somebody detaches it.
    has_failed: bool,
}

/// What a backend does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Serve what the frontend offers.
    Connect,
    /// Stop serving: the frontend is gone, or goes.
    End,
    /// Offer its features: a frontend begins.
    Begin,
    /// Nothing.
    Rest,
}

impl Half {
    /// Learns from a backend's directory whose it is.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub(super) fn of_backend(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let domain = number(keys, &format!("{directory}/frontend-id"))?;
        let other = keys.read(&format!("{directory}/frontend"))?;
        // Nobody but Domain0 writes there; a path elsewhere would be somebody else's device.
        if !other.starts_with(&format!("/local/domain/{domain}/")) {
            return Err(Error::Invalid);
        }
        Ok(Self::new(directory, other, domain))
    }

    /// Learns from a frontend's directory who is behind it, and says that it begins.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub(super) fn of_frontend(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let other = keys.read(&format!("{directory}/backend"))?;
        let domain = number(keys, &format!("{directory}/backend-id"))?;
        set_state(keys, directory, XenbusState::INITIALISING)?;
        Ok(Self::new(directory, other, domain))
    }

    fn new(directory: &str, other: String, domain: u16) -> Self {
        Self {
            directory: directory.into(),
            other,
            domain,
            state: XenbusState::INITIALISING,
            has_failed: false,
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> XenbusState {
        self.state
    }

    /// The path of one of its keys.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// The path of one of the other half's.
    pub(super) fn others_key(&self, name: &str) -> String {
        format!("{}/{name}", self.other)
    }

    /// Has another state from now on, and tells it.
    ///
    /// # Errors
    /// What the store answers.
    pub(super) fn go(&mut self, keys: &mut dyn Keys, state: XenbusState) -> Result<(), Error> {
        set_state(keys, &self.directory, state)?;
        self.state = state;
        self.has_failed = false;
        Ok(())
    }

    /// A backend offers `features`, and waits for a frontend.
    ///
    /// # Errors
    /// What the store answers.
    pub(super) fn offer(&mut self, keys: &mut dyn Keys, features: &[(&str, &str)]) -> Result<(), Error> {
        for (feature, value) in features {
            keys.write(&self.key(feature), value)?;
        }
        self.go(keys, XenbusState::INIT_WAIT)
    }

    /// A backend cannot serve the frontend, for a reason that it tells: the device is over, until a frontend begins anew.
    ///
    /// # Errors
    /// What the store answers.
    pub(super) fn fail(&mut self, keys: &mut dyn Keys, why: &str) -> Result<(), Error> {
        keys.write(&self.key("error"), why)?;
        self.go(keys, XenbusState::CLOSING)?;
        self.has_failed = true;
        Ok(())
    }

    /// A backend serves its frontend: what was wrong with one before is over.
    ///
    /// # Errors
    /// What the store answers.
    pub(super) fn connected(&mut self, keys: &mut dyn Keys) -> Result<(), Error> {
        // Removing says that something has changed, so only what is there.
        if keys.read(&self.key("error")).is_ok() {
            keys.remove(&self.key("error"))?;
        }
        self.go(keys, XenbusState::CONNECTED)
    }

    /// What a backend does next. Its frontend is `ready` in the state that says that its rings are there.
    pub(super) fn next(&mut self, keys: &mut dyn Keys, ready: XenbusState) -> Next {
        let (Ok(own), Ok(other)) = (state(keys, &self.directory), state(keys, &self.other)) else {
            return Next::Rest;
        };
        let is_told = own == XenbusState::CLOSING;
        if is_told && matches!(self.state, XenbusState::CONNECTED | XenbusState::INIT_WAIT) {
            // By whoever detaches the device. The frontend sees it too, and goes when it is ready.
            self.state = XenbusState::CLOSING;
        }
        match (self.state, other) {
            (XenbusState::INIT_WAIT, other) if other == ready => Next::Connect,
            (
                XenbusState::CONNECTED | XenbusState::INIT_WAIT | XenbusState::CLOSING,
                XenbusState::CLOSED | XenbusState::UNKNOWN,
            )
            | (XenbusState::CONNECTED, XenbusState::CLOSING | XenbusState::INITIALISING) => Next::End,
            // It does not wait for a state of ours to begin anew.
            (XenbusState::CLOSING, XenbusState::INITIALISING) if self.has_failed => Next::End,
            // The frontend, or its domain, began anew.
            (XenbusState::CLOSED, XenbusState::INITIALISING) => Next::Begin,
            _ => Next::Rest,
        }
    }
}
