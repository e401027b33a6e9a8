//! The store's client, and both halves of the devices over a real store.

mod client;
mod sides;
mod vbd;
mod vif;
