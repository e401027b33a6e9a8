//! Using the store, and how the halves of a split driver find each other by it.
//!
//! | module | one line |
//! |---|---|
//! | [`client`] | requests and their answers, events that come in between |
//! | [`half`] | what every half has, and what a backend does next |
//! | [`vbd`] | the states of a block device's two halves |
//! | [`vif`] | those of a network interface's |
//!
//! Both halves are driven by events of their watches: whatever changed, they look at the other half's state and do the next step. A step that
//! was done already is not done again, so it does not matter how often they are called.
//!
//! Source: Xen 4.x, `public/io/xenbus.h`; [`guest_abi::io::xenbus`].

use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::io::xenbus::XenbusState;

use crate::store::Error;

pub mod client;
pub mod half;
pub mod vbd;
pub mod vif;

pub use client::{Client, Session, Transport};

/// The store as drivers use it.
pub trait Keys {
    /// A node's value.
    ///
    /// # Errors
    /// [`Error::NoEntry`] and others.
    fn read(&mut self, path: &str) -> Result<String, Error>;

    /// Gives a node a value.
    ///
    /// # Errors
    /// [`Error::Access`], [`Error::NoSpace`].
    fn write(&mut self, path: &str, value: &str) -> Result<(), Error>;

    /// Removes a node with what is below.
    ///
    /// # Errors
    /// [`Error::Access`].
    fn remove(&mut self, path: &str) -> Result<(), Error>;

    /// The names below a node.
    ///
    /// # Errors
    /// [`Error::NoEntry`].
    fn list(&mut self, path: &str) -> Result<Vec<String>, Error>;

    /// Watches a node and what is below.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    fn watch(&mut self, path: &str, token: &str) -> Result<(), Error>;

    /// Ends that.
    ///
    /// # Errors
    /// [`Error::NoEntry`].
    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Error>;
}

/// A number in digits at `path`.
///
/// # Errors
/// [`Error::NoEntry`]; [`Error::Invalid`]: no number.
pub fn number<T: core::str::FromStr>(keys: &mut dyn Keys, path: &str) -> Result<T, Error> {
    keys.read(path)?.trim().parse().map_err(|_| Error::Invalid)
}

/// The directories of all devices below a backend domain's `root`, which has one for each domain that has devices.
pub fn devices(keys: &mut dyn Keys, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for domain in keys.list(root).unwrap_or_default() {
        let below = alloc::format!("{root}/{domain}");
        let devices = keys.list(&below).unwrap_or_default();
        found.extend(devices.iter().map(|device| alloc::format!("{below}/{device}")));
    }
    found
}

/// The state of a half: [`XenbusState::UNKNOWN`] where there is none.
///
/// # Errors
/// [`Error::Again`], [`Error::Io`]: nobody knows it now.
pub fn state(keys: &mut dyn Keys, directory: &str) -> Result<XenbusState, Error> {
    let path = alloc::format!("{directory}/state");
    match number(keys, &path) {
        Ok(state) => Ok(XenbusState::new(state)),
        Err(error @ (Error::Again | Error::Io)) => Err(error),
        Err(_) => Ok(XenbusState::UNKNOWN),
    }
}

/// The names below a node: none where there is no such node.
///
/// # Errors
/// As for [`state`].
pub fn names(keys: &mut dyn Keys, path: &str) -> Result<Vec<String>, Error> {
    match keys.list(path) {
        Err(error @ (Error::Again | Error::Io)) => Err(error),
        names => Ok(names.unwrap_or_default()),
    }
}

/// Watches a node, if that is not done yet; whether it is now.
pub fn watches(keys: &mut dyn Keys, path: &str, token: &str) -> bool {
    matches!(keys.watch(path, token), Ok(()) | Err(Error::Exists))
}

/// Tells the other half one's own state.
///
/// # Errors
/// What the store answers.
pub fn set_state(keys: &mut dyn Keys, directory: &str, state: XenbusState) -> Result<(), Error> {
    let path = alloc::format!("{directory}/state");
    keys.write(&path, &alloc::format!("{}", state.raw()))
}

#[cfg(test)]
mod tests;
