//! The states of a network interface's two halves.
//!
//! ```text
//! backend   Initialising ─► InitWait ──────────► Connected ─► Closing ─► Closed ─► InitWait …
//!                features      │      ▲ maps rings, binds port  ▲ other half is gone, or detach
//!                              ▼      │
//! frontend  Initialising ───────► Connected
//!                      grants rings, gives port
//! ```
//!
//! The frontend is Connected as soon as its rings are there; the backend is when it serves them. A backend that comes again after it was killed
//! and finds a frontend that is Connected, with rings that were the last one's, says Closed; the frontend goes back to Initialising,
//! and both begin anew.
//!
//! Source: Xen 4.x, `public/io/netif.h`, as Linux's halves do it.

use alloc::format;
use alloc::string::{String, ToString};

use guest_abi::io::xenbus::XenbusState;

use super::half::{Half, Next};
use super::{Keys, number, state};
use crate::net::Mac;
use crate::store::Error;

/// What a backend offers: frames in pieces, copied to where the frontend wants them. That it fills in checksums is not to be said:
/// only a frontend may be without that. Linux's frontend drops, without a word, what crosses a page's end if pieces are not offered.
const FEATURES: [(&str, &str); 6] = [
    ("feature-rx-copy", "1"),
    ("feature-rx-flip", "0"),
    ("feature-sg", "1"),
    ("feature-gso-tcpv4", "0"),
    ("feature-split-event-channels", "0"),
    ("multi-queue-max-queues", "1"),
];
/// What a frontend wants.
const WISHES: [(&str, &str); 4] = [
    ("request-rx-copy", "1"),
    ("feature-rx-notify", "1"),
    ("feature-sg", "0"),
    ("feature-no-csum-offload", "1"),
];

/// What a frontend gives its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Details {
    /// Grant of the page of the ring for sending.
    pub tx: u32,
    /// Grant of the page of the ring for receiving.
    pub rx: u32,
    /// The port that waits for the backend.
    pub port: u32,
}

/// What the backend's half does beside the store.
pub trait BackActions {
    /// Maps the rings, binds the port and begins to serve.
    ///
    /// # Errors
    /// What is to be said in the key `error`.
    fn connect(&mut self, details: Details) -> Result<(), &'static str>;

    /// Ends that. Not connected is well ended.
    fn disconnect(&mut self);
}

/// The backend's half of one interface.
#[derive(Clone, Debug)]
pub struct Back {
    /// Directories and state.
    pub half: Half,
}

impl Back {
    /// Learns from a backend's directory whose it is, and says that it waits, or that the frontend is to begin anew.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let mut half = Half::of_backend(keys, directory)?;
        if state(keys, &half.other)? == XenbusState::CONNECTED {
            half.go(keys, XenbusState::CLOSED)?;
        } else {
            half.offer(keys, &FEATURES)?;
        }
        Ok(Self { half })
    }

    /// Looks at the other half and does the next step.
    ///
    /// # Errors
    /// What the store answers.
    pub fn look(&mut self, keys: &mut dyn Keys, actions: &mut dyn BackActions) -> Result<(), Error> {
        match self.half.next(keys, XenbusState::CONNECTED) {
            Next::Connect => match self.details(keys).and_then(|details| actions.connect(details)) {
                Ok(()) => {
                    keys.write(&self.half.key("hotplug-status"), "connected")?;
                    self.half.connected(keys)
                }
                Err(what) => self.half.fail(keys, what),
            },
            Next::End => {
                actions.disconnect();
                self.half.go(keys, XenbusState::CLOSED)
            }
            Next::Begin => self.half.offer(keys, &FEATURES),
            Next::Rest => Ok(()),
        }
    }

    /// The rings make no sense, or never did: the interface is over.
    ///
    /// # Errors
    /// What the store answers.
    pub fn fail(&mut self, keys: &mut dyn Keys, what: &str) -> Result<(), Error> {
        self.half.fail(keys, what)
    }

    fn details(&self, keys: &mut dyn Keys) -> Result<Details, &'static str> {
        let mut key = |name: &str| {
            number::<u32>(keys, &self.half.others_key(name)).map_err(|_| "the frontend's keys make no sense")
        };
        for (name, _) in &WISHES[..2] {
            if key(name) != Ok(1) {
                return Err("the frontend does not want its frames copied, or does not announce buffers");
            }
        }
        Ok(Details {
            tx: key("tx-ring-ref")?,
            rx: key("rx-ring-ref")?,
            port: key("event-channel")?,
        })
    }
}

/// What the frontend's half does beside the store.
pub trait FrontActions {
    /// Makes fresh ring pages and a port for the backend's domain, and begins to use them; what there was before is given back.
    ///
    /// # Errors
    /// There are no more.
    fn prepare(&mut self, backend: u16) -> Result<Details, Error>;

    /// The backend serves the rings now.
    fn connected(&mut self);

    /// The backend is gone, and may come again.
    fn disconnect(&mut self);

    /// The interface is gone for good.
    fn give_up(&mut self);
}

/// The frontend's half of one interface.
#[derive(Clone, Debug)]
pub struct Front {
    /// Directories and state.
    pub half: Half,
    /// The interface's address.
    pub mac: Mac,
    /// The internet address that its domain is to have there, if that is said.
    pub ip: Option<String>,
    is_served: bool,
}

impl Front {
    /// Learns from a frontend's directory who is behind it, and says that it begins.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Invalid`]: the directory does not say it.
    pub fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        let mac = keys.read(&format!("{directory}/mac"))?;
        let mac = mac.trim().parse().map_err(|_| Error::Invalid)?;
        let ip = keys.read(&format!("{directory}/ip")).ok();
        Ok(Self {
            half: Half::of_frontend(keys, directory)?,
            mac,
            ip,
            is_served: false,
        })
    }

    fn go(&mut self, keys: &mut dyn Keys, state: XenbusState) -> Result<(), Error> {
        self.is_served = false;
        self.half.go(keys, state)
    }

    /// Looks at the other half and does the next step.
    ///
    /// # Errors
    /// What the store answers; [`Error::NoSpace`]: no page or port for rings.
    pub fn look(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        if self.half.state() == XenbusState::CLOSED {
            return Ok(());
        }
        match (state(keys, &self.half.other)?, self.half.state()) {
            (XenbusState::INIT_WAIT, XenbusState::INITIALISING) => self.offer(keys, actions),
            (XenbusState::CONNECTED, XenbusState::CONNECTED) => {
                if !core::mem::replace(&mut self.is_served, true) {
                    actions.connected();
                }
                Ok(())
            }
            (XenbusState::CLOSING, _) => {
                actions.give_up();
                self.go(keys, XenbusState::CLOSED)
            }
            (XenbusState::CLOSED | XenbusState::UNKNOWN, XenbusState::CONNECTED) => {
                // It may come again. Ready for a new one.
                self.restart(keys, actions)
            }
            _ => Ok(()),
        }
    }

    /// The rings make no sense, or nobody serves them: begin anew with the same backend, which sees us go back.
    ///
    /// # Errors
    /// What the store answers.
    pub fn restart(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        actions.disconnect();
        self.go(keys, XenbusState::INITIALISING)
    }

    fn offer(&mut self, keys: &mut dyn Keys, actions: &mut dyn FrontActions) -> Result<(), Error> {
        let details = actions.prepare(self.half.domain)?;
        for (key, value) in [
            ("tx-ring-ref", details.tx),
            ("rx-ring-ref", details.rx),
            ("event-channel", details.port),
        ] {
            keys.write(&self.half.key(key), &value.to_string())?;
        }
        for (key, value) in WISHES {
            keys.write(&self.half.key(key), value)?;
        }
        self.go(keys, XenbusState::CONNECTED)
    }
}
