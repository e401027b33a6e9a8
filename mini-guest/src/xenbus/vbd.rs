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

use alloc::string::ToString;

use guest_abi::io::xenbus::XenbusState;

use super::half::{Half, Next};
use super::{Keys, number, state};
use crate::blkif::frontend::Properties;
use crate::blkif::judge::MOST_INDIRECT;
use crate::blkif::ring::Layout;
use crate::block::Info;
use crate::store::Error;

/// What a backend offers.
const FEATURES: [(&str, &str); 3] = [
    ("feature-flush-cache", "1"),
    ("feature-barrier", "0"),
    (PERSISTENT, "1"),
];
/// Both halves say it: grants are used again, and mappings stay.
const PERSISTENT: &str = "feature-persistent";
/// A backend that takes requests with their segments in a page says how many.
const INDIRECT: &str = "feature-max-indirect-segments";
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
    /// It uses the same grants again and again.
    pub keeps: bool,
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
    /// Directories and state.
    pub half: Half,
}

impl Back {
    /// Learns from a backend's directory whose it is, and says that it waits.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let mut half = Half::of_backend(keys, directory)?;
        half.offer(keys, &FEATURES)?;
        Ok(Self { half })
    }

    /// Looks at the other half and does the next step.
    ///
    /// # Errors
    /// What the store answers.
    pub fn look(&mut self, keys: &mut dyn Keys, actions: &mut dyn BackActions) -> Result<(), Error> {
        match self.half.next(keys, XenbusState::INITIALISED) {
            Next::Connect => {
                let connected = self
                    .details(keys)
                    .map_err(|_| "the frontend's keys make no sense")
                    .and_then(|details| actions.connect(details));
                match connected {
                    Ok(info) => {
                        self.describe(keys, &info)?;
                        self.half.connected(keys)
                    }
                    Err(what) => self.half.fail(keys, what),
                }
            }
            Next::End => {
                actions.disconnect();
                self.half.go(keys, XenbusState::CLOSED)
            }
            Next::Begin => self.half.offer(keys, &FEATURES),
            Next::Rest => Ok(()),
        }
    }

    fn details(&self, keys: &mut dyn Keys) -> Result<Details, Error> {
        let layout = match keys.read(&self.half.others_key("protocol")) {
            Ok(name) => Layout::from_name(&name).ok_or(Error::Invalid)?,
            // Not said: the backend's own.
            Err(Error::NoEntry) => Layout::X86_32,
            Err(error) => return Err(error),
        };
        Ok(Details {
            ring: number(keys, &self.half.others_key("ring-ref"))?,
            port: number(keys, &self.half.others_key("event-channel"))?,
            layout,
            keeps: number::<u32>(keys, &self.half.others_key(PERSISTENT)) == Ok(1),
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
            (INDIRECT, info.max_segments.min(MOST_INDIRECT).to_string()),
        ] {
            keys.write(&self.half.key(key), &value)?;
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
    /// Directories and state.
    pub half: Half,
}

impl Front {
    /// Learns from a frontend's directory who is behind it, and says that it begins.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let half = Half::of_frontend(keys, directory)?;
        Ok(Self { half })
    }

    /// Looks at the other half and does the next step.
    ///
    /// # Errors
    /// What the store answers; [`Error::NoSpace`]: no page or port for a ring.
    pub fn look(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        if self.half.state() == XenbusState::CLOSED {
            return Ok(());
        }
        match state(keys, &self.half.other)? {
            XenbusState::INIT_WAIT if self.half.state() != XenbusState::INITIALISED => {
                actions.disconnect();
                self.offer(keys, actions)
            }
            XenbusState::CONNECTED if self.half.state() == XenbusState::INITIALISED => {
                let properties = self.properties(keys)?;
                actions.connect(properties);
                self.half.go(keys, XenbusState::CONNECTED)
            }
            // Looked at again when nobody uses it any more.
            XenbusState::CLOSING if actions.is_in_use() => Ok(()),
            XenbusState::CLOSING => {
                actions.give_up();
                self.half.go(keys, XenbusState::CLOSED)
            }
            XenbusState::CLOSED | XenbusState::UNKNOWN if self.half.state() == XenbusState::CONNECTED => {
                // It may come again; until then the requests wait. Ready for a new one.
                actions.disconnect();
                self.half.go(keys, XenbusState::INITIALISING)
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
        self.half.go(keys, XenbusState::INITIALISING)
    }

    fn offer(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        let details = actions.prepare(self.half.domain)?;
        let protocol = match details.layout {
            Layout::X86_32 => guest_abi::io::blkif::PROTOCOL_X86_32,
            Layout::X86_64 => guest_abi::io::blkif::PROTOCOL_X86_64,
        };
        for (key, value) in [
            ("ring-ref", details.ring.to_string()),
            ("event-channel", details.port.to_string()),
            ("protocol", protocol.to_string()),
            (PERSISTENT, u32::from(details.keeps).to_string()),
        ] {
            keys.write(&self.half.key(key), &value)?;
        }
        self.half.go(keys, XenbusState::INITIALISED)
    }

    fn properties(&self, keys: &mut dyn Keys) -> Result<Properties, Error> {
        let flags: u32 = number(keys, &self.half.others_key("info"))?;
        let flush = number::<u32>(keys, &self.half.others_key("feature-flush-cache"));
        Ok(Properties {
            sectors: number(keys, &self.half.others_key("sectors"))?,
            sector_size: number(keys, &self.half.others_key("sector-size"))?,
            is_read_only: flags & READ_ONLY != 0,
            has_flush: flush == Ok(1),
            keeps: number::<u32>(keys, &self.half.others_key(PERSISTENT)) == Ok(1),
            max_segments: number(keys, &self.half.others_key(INDIRECT)).unwrap_or(0),
        })
    }
}
