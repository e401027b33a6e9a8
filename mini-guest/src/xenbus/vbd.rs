//! The states of a block device's two halves.
//!
//! ```text
//! backend   Initialising ─► InitWait ───────────────► Connected ─► Closing ─► Closed
//!                features      │        ▲  maps ring, binds port      ▲ other half is gone, or detach
//!                              ▼        │  says size
//! frontend  Initialising ───────► Initialised ──────► Connected ─► Closed
//!                         grants ring, gives port
//! ```
//!
//! A backend that comes again after it was killed goes to InitWait; a frontend that sees that, whatever its own state, makes a fresh ring
//! and goes to Initialised. So it does not matter when the old one went.

use alloc::format;
use alloc::string::{String, ToString};

use guest_abi::io::xenbus::XenbusState;

use super::{Keys, number, set_state, state};
use crate::blkif::frontend::Properties;
use crate::blkif::ring::Layout;
use crate::block::Info;
use crate::store::Error;

/// Bit of `info`: writes are refused.
const READ_ONLY: u32 = guest_abi::io::blkif::info::READ_ONLY;

/// What a frontend gives its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Details {
    /// Grant of the ring's page.
    pub ring: u32,
    /// The port that waits for the backend.
    pub port: u32,
    /// Layout of the slots.
    pub layout: Layout,
}

/// What the backend's half does beside the store.
pub trait BackActions {
    /// Maps the ring, binds the port and begins to serve; gives what the disk is.
    ///
    /// # Errors
    /// What is to be said in the key `error`.
    fn connect(&mut self, details: Details) -> Result<Info, &'static str>;

    /// Ends that, as soon as the disk has nothing of it any more. Not connected is well ended.
    fn disconnect(&mut self);
}

/// The backend's half of one device.
#[derive(Clone, Debug)]
pub struct Back {
    /// Its directory.
    pub directory: String,
    /// The other half's.
    pub frontend: String,
    /// The other half's domain.
    pub domain: u16,
    state: XenbusState,
}

impl Back {
    /// Learns from a backend's directory whose it is, and says that it waits.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let domain = number(keys, &format!("{directory}/frontend-id"))?;
        let frontend = keys.read(&format!("{directory}/frontend"))?;
        // Nobody but Domain0 writes there; a path elsewhere would be somebody else's device.
        if !frontend.starts_with(&format!("/local/domain/{domain}/")) {
            return Err(Error::Invalid);
        }
        let mut back = Self {
            directory: directory.into(),
            frontend,
            domain,
            state: XenbusState::INITIALISING,
        };
        back.wait(keys)?;
        Ok(back)
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> XenbusState {
        self.state
    }

    fn wait(&mut self, keys: &mut dyn Keys) -> Result<(), Error> {
        for (feature, value) in [("feature-flush-cache", "1"), ("feature-barrier", "0")] {
            keys.write(&format!("{}/{feature}", self.directory), value)?;
        }
        self.go(keys, XenbusState::INIT_WAIT)
    }

    fn go(&mut self, keys: &mut dyn Keys, state: XenbusState) -> Result<(), Error> {
        set_state(keys, &self.directory, state)?;
        self.state = state;
        Ok(())
    }

    /// Looks at the other half and does the next step.
    ///
    /// # Errors
    /// What the store answers.
    pub fn look(&mut self, keys: &mut dyn Keys, actions: &mut dyn BackActions) -> Result<(), Error> {
        let is_told = state(keys, &self.directory) == XenbusState::CLOSING;
        if is_told && matches!(self.state, XenbusState::CONNECTED | XenbusState::INIT_WAIT) {
            // By whoever detaches the device. The frontend sees it too, and goes when it is ready.
            self.state = XenbusState::CLOSING;
        }
        let other = state(keys, &self.frontend);
        match (self.state, other) {
            (XenbusState::INIT_WAIT, XenbusState::INITIALISED) => {
                let connected = self
                    .details(keys)
                    .map_err(|_| "the frontend's keys make no sense")
                    .and_then(|details| actions.connect(details));
                match connected {
                    Ok(info) => {
                        self.describe(keys, &info)?;
                        // There may be one of a frontend before.
                        let _ = keys.remove(&format!("{}/error", self.directory));
                        self.go(keys, XenbusState::CONNECTED)
                    }
                    Err(what) => {
                        keys.write(&format!("{}/error", self.directory), what)?;
                        self.go(keys, XenbusState::CLOSING)
                    }
                }
            }
            (
                XenbusState::CONNECTED | XenbusState::INIT_WAIT | XenbusState::CLOSING,
                XenbusState::CLOSED | XenbusState::UNKNOWN,
            )
            | (XenbusState::CONNECTED, XenbusState::CLOSING | XenbusState::INITIALISING) => {
                actions.disconnect();
                self.go(keys, XenbusState::CLOSED)
            }
            // The frontend's domain began anew.
            (XenbusState::CLOSED, XenbusState::INITIALISING) => self.wait(keys),
            _ => Ok(()),
        }
    }

    fn details(&self, keys: &mut dyn Keys) -> Result<Details, Error> {
        let frontend = &self.frontend;
        let layout = match keys.read(&format!("{frontend}/protocol")) {
            Ok(name) => Layout::from_name(&name).ok_or(Error::Invalid)?,
            // Not said: the backend's own.
            Err(Error::NoEntry) => Layout::X86_32,
            Err(error) => return Err(error),
        };
        Ok(Details {
            ring: number(keys, &format!("{frontend}/ring-ref"))?,
            port: number(keys, &format!("{frontend}/event-channel"))?,
            layout,
        })
    }

    fn describe(&self, keys: &mut dyn Keys, info: &Info) -> Result<(), Error> {
        let sector_size = u64::from(info.block_sectors.max(1)) * crate::block::SECTOR as u64;
        let flags = if info.is_read_only { READ_ONLY } else { 0 };
        for (key, value) in [
            ("sectors", info.sectors.to_string()),
            ("sector-size", sector_size.to_string()),
            ("physical-sector-size", sector_size.to_string()),
            ("info", flags.to_string()),
        ] {
            keys.write(&format!("{}/{key}", self.directory), &value)?;
        }
        Ok(())
    }
}

/// What the frontend's half does beside the store.
pub trait FrontActions {
    /// Makes a fresh ring page and a port for the backend's domain; what there was before is given back.
    ///
    /// # Errors
    /// There are no more.
    fn prepare(&mut self, backend: u16) -> Result<Details, Error>;

    /// Begins to use what was prepared.
    fn connect(&mut self, properties: Properties);

    /// The backend is gone, and may come again: requests wait.
    fn disconnect(&mut self);

    /// Whether somebody still uses the disk, so that it cannot be let go of when asked.
    fn is_in_use(&self) -> bool;

    /// The disk is gone for good.
    fn give_up(&mut self);
}

/// The frontend's half of one device.
#[derive(Clone, Debug)]
pub struct Front {
    /// Its directory.
    pub directory: String,
    /// The other half's.
    pub backend: String,
    /// The other half's domain.
    pub domain: u16,
    state: XenbusState,
}

impl Front {
    /// Learns from a frontend's directory who is behind it, and says that it begins.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let front = Self {
            directory: directory.into(),
            backend: keys.read(&format!("{directory}/backend"))?,
            domain: number(keys, &format!("{directory}/backend-id"))?,
            state: XenbusState::INITIALISING,
        };
        set_state(keys, directory, XenbusState::INITIALISING)?;
        Ok(front)
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> XenbusState {
        self.state
    }

    fn go(&mut self, keys: &mut dyn Keys, state: XenbusState) -> Result<(), Error> {
        set_state(keys, &self.directory, state)?;
        self.state = state;
        Ok(())
    }

    /// Looks at the other half and does the next step.
    ///
    /// # Errors
    /// What the store answers; [`Error::NoSpace`]: no page or port for a ring.
    pub fn look(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        if self.state == XenbusState::CLOSED {
            return Ok(());
        }
        match state(keys, &self.backend) {
            XenbusState::INIT_WAIT if self.state != XenbusState::INITIALISED => {
                actions.disconnect();
                self.offer(keys, actions)
            }
            XenbusState::CONNECTED if self.state == XenbusState::INITIALISED => {
                let properties = self.properties(keys)?;
                actions.connect(properties);
                self.go(keys, XenbusState::CONNECTED)
            }
            // Looked at again when nobody uses it any more.
            XenbusState::CLOSING if actions.is_in_use() => Ok(()),
            XenbusState::CLOSING => {
                actions.give_up();
                self.go(keys, XenbusState::CLOSED)
            }
            XenbusState::CLOSED | XenbusState::UNKNOWN if self.state == XenbusState::CONNECTED => {
                // It may come again; until then the requests wait. Ready for a new one.
                actions.disconnect();
                self.go(keys, XenbusState::INITIALISING)
            }
            _ => Ok(()),
        }
    }

    /// The ring makes no sense: begin anew with the same backend, which sees us go back.
    ///
    /// # Errors
    /// What the store answers.
    pub fn restart(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        actions.disconnect();
        self.go(keys, XenbusState::INITIALISING)
    }

    fn offer(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        let details = actions.prepare(self.domain)?;
        let protocol = match details.layout {
            Layout::X86_32 => guest_abi::io::blkif::PROTOCOL_X86_32,
            Layout::X86_64 => guest_abi::io::blkif::PROTOCOL_X86_64,
        };
        for (key, value) in [
            ("ring-ref", details.ring.to_string()),
            ("event-channel", details.port.to_string()),
            ("protocol", protocol.to_string()),
        ] {
            keys.write(&format!("{}/{key}", self.directory), &value)?;
        }
        self.go(keys, XenbusState::INITIALISED)
    }

    fn properties(&self, keys: &mut dyn Keys) -> Result<Properties, Error> {
        let backend = &self.backend;
        let flags: u32 = number(keys, &format!("{backend}/info"))?;
        let flush = number::<u32>(keys, &format!("{backend}/feature-flush-cache"));
        Ok(Properties {
            sectors: number(keys, &format!("{backend}/sectors"))?,
            sector_size: number(keys, &format!("{backend}/sector-size"))?,
            is_read_only: flags & READ_ONLY != 0,
            has_flush: flush == Ok(1),
        })
    }
}
