//! Which port an address is behind.

use alloc::collections::BTreeMap;

use super::PortId;
use crate::net::Mac;

/// Most learned addresses behind one port.
pub const MOST_PER_PORT: usize = 256;
/// Most learned addresses altogether.
pub const MOST_LEARNED: usize = 1024;
/// How long an address is remembered that sends nothing (IEEE 802.1D: 300 s).
pub const AGE_NS: u64 = 300_000_000_000;

/// An address's place.
#[derive(Clone, Copy, Debug)]
struct Place {
    port: PortId,
    /// When it last sent something; `None` where it is the port's own, which never moves and never ages.
    seen_ns: Option<u64>,
}

/// The places of addresses.
#[derive(Debug, Default)]
pub struct Table {
    places: BTreeMap<Mac, Place>,
}

impl Table {
    /// The port that owns an address.
    pub fn owner(&self, mac: Mac) -> Option<PortId> {
        let place = self.places.get(&mac)?;
        place.seen_ns.is_none().then_some(place.port)
    }

    /// The port behind which an address is.
    pub fn find(&self, mac: Mac, now: u64) -> Option<PortId> {
        let place = self.places.get(&mac)?;
        let is_fresh = place.seen_ns.is_none_or(|seen| now.saturating_sub(seen) < AGE_NS);
        is_fresh.then_some(place.port)
    }

    /// Gives a port an address of its own, whoever was seen with it before; `false` where another one has it.
    pub fn own(&mut self, mac: Mac, port: PortId) -> bool {
        if self.owner(mac).is_some_and(|owner| owner != port) {
            return false;
        }
        let seen_ns = None;
        self.places.insert(mac, Place { port, seen_ns });
        true
    }

    /// Notes that an address that nobody owns sent something.
    pub fn learn(&mut self, mac: Mac, port: PortId, now: u64) {
        if let Some(place) = self.places.get_mut(&mac)
            && place.port == port
        {
            // The common case: where it was.
            place.seen_ns = place.seen_ns.map(|_| now);
            return;
        }
        if self.owner(mac).is_some() {
            return;
        }
        if !self.has_room(port) {
            self.forget_old(now);
            if !self.has_room(port) {
                return;
            }
        }
        let seen_ns = Some(now);
        self.places.insert(mac, Place { port, seen_ns });
    }

    fn has_room(&self, port: PortId) -> bool {
        let learned = || self.places.values().filter(|place| place.seen_ns.is_some());
        learned().count() < MOST_LEARNED
            && learned().filter(|place| place.port == port).count() < MOST_PER_PORT
    }

    fn forget_old(&mut self, now: u64) {
        let is_fresh = |place: &Place| place.seen_ns.is_none_or(|seen| now.saturating_sub(seen) < AGE_NS);
        self.places.retain(|_, place| is_fresh(place));
    }

    /// Forgets what is behind a port.
    pub fn forget_port(&mut self, port: PortId) {
        self.places.retain(|_, place| place.port != port);
    }

    /// How many addresses are known.
    pub fn known(&self) -> usize {
        self.places.len()
    }
}
