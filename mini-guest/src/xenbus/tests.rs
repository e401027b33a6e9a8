//! The store's client, and both halves of the devices over a real store.

mod client;
mod sides;
mod slow;
mod vbd;
mod vif;
