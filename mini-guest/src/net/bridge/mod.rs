//! A learning bridge: whole Ethernet frames from port to port, without hardware and without a clock of its own.
//!
//! * A frame goes to the port behind which its destination is; to a group, or to an address that nobody has shown, it goes to all others. It never goes back where it came
//!   from.
//! * A port with an address of its own ([`Source::Only`]) is a domain's. Frames that come from there with another source are dropped, and so are
//!   frames from elsewhere with that source: nobody takes an address over. To such a port go only frames for its address and for groups, so nobody
//!   listens to others either.
//! * Frames wait in [queues](queue) until somebody takes them. They are bounded, and drops are counted; no port waits for another.
//!
//! Source: IEEE 802.1D, 7.7 to 7.9 (forwarding, learning, ageing), 7.12.6 (addresses that a bridge does not forward).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::{FRAME, HEADER, Mac};

#[cfg(test)]
mod flood_tests;
pub mod queue;
pub mod table;
#[cfg(test)]
mod tests;

use queue::{Amount, Leaving, OutQueue};
use table::Table;

/// A port's number; numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(u32);

/// Which sources a port may send from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Any that no other port owns: a card, behind which there is a network.
    Any,
    /// This one, which the port owns.
    Only(Mac),
    /// The port owns this one and may send from others that nobody owns, as a bridge of its own would.
    Permitted(Mac),
}

/// What a port has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came from it and were passed on.
    pub came: u64,
    /// Their bytes.
    pub came_bytes: u64,
    /// Frames that were taken by it.
    pub left: u64,
    /// Their bytes.
    pub left_bytes: u64,
    /// Came from it with a source that is not its.
    pub spoofed: u64,
    /// Came from it with no sense: length, source, or a destination that bridges keep to themselves.
    pub invalid: u64,
    /// Came from it and were dropped where they should have left.
    pub dropped: u64,
    /// Should have left here and were dropped.
    pub overflows: u64,
    /// What came from it and has left, wherever: how many frames.
    pub delivered: u64,
    /// What left of others' while such a frame waited: of all together, and the most of one.
    pub waited: Amount,
    /// See above.
    pub longest_wait: Amount,
}

impl Counters {
    fn count_wait(&mut self, waited: Amount) {
        self.delivered += 1;
        self.waited.frames += waited.frames;
        self.waited.bytes += waited.bytes;
        self.longest_wait.frames = self.longest_wait.frames.max(waited.frames);
        self.longest_wait.bytes = self.longest_wait.bytes.max(waited.bytes);
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            delivered,
            waited,
            longest_wait: longest,
            ..
        } = self;
        write!(
            f,
            "{} frames from it ({} spoofed, {} invalid, {} dropped), {} to it ({} dropped); \
             each waited for {} frames, {} bytes of others at most, {} bytes in the mean",
            self.came,
            self.spoofed,
            self.invalid,
            self.dropped,
            self.left,
            self.overflows,
            longest.frames,
            longest.bytes,
            waited.bytes / (*delivered).max(1)
        )
    }
}

/// Why a frame was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such port.
    NoPort,
    /// Too short or too long, from a group, or to an address that bridges keep to themselves.
    Invalid,
    /// From an address that the port may not use.
    Spoofed,
}

/// Another port has that address, or it is no address of one station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressTaken;

#[derive(Debug)]
struct Port<F> {
    source: Source,
    queue: OutQueue<F>,
    counters: Counters,
}

/// The bridge. `F` is a frame that several ports may hold.
#[derive(Debug)]
pub struct Bridge<F> {
    ports: BTreeMap<PortId, Port<F>>,
    table: Table,
    last: u32,
}

impl<F> Default for Bridge<F> {
    fn default() -> Self {
        Self {
            ports: BTreeMap::new(),
            table: Table::default(),
            last: 0,
        }
    }
}

impl<F: AsRef<[u8]> + Clone> Bridge<F> {
    /// A new port.
    ///
    /// # Errors
    /// [`AddressTaken`]
    pub fn add(&mut self, source: Source) -> Result<PortId, AddressTaken> {
        let id = PortId(self.last + 1);
        if let Source::Only(mac) | Source::Permitted(mac) = source
            && (mac.is_group() || !self.table.own(mac, id))
        {
            return Err(AddressTaken);
        }
        self.last = id.0;
        let port = Port {
            source,
            queue: OutQueue::default(),
            counters: Counters::default(),
        };
        self.ports.insert(id, port);
        Ok(id)
    }

    /// Removes a port with what waits there.
    pub fn remove(&mut self, id: PortId) {
        self.ports.remove(&id);
        self.table.forget_port(id);
    }

    /// Puts a frame that came from a port where it belongs.
    ///
    /// # Errors
    /// See [`Refused`]; it was counted.
    pub fn pass(&mut self, from: PortId, frame: F, now_ns: u64) -> Result<(), Refused> {
        let port = self.ports.get_mut(&from).ok_or(Refused::NoPort)?;
        let bytes = frame.as_ref();
        let Some((to, source)) = addresses(bytes) else {
            port.counters.invalid += 1;
            return Err(Refused::Invalid);
        };
        let is_its_own = match port.source {
            Source::Only(mac) => source == mac,
            Source::Any | Source::Permitted(_) => self.table.owner(source).is_none_or(|owner| owner == from),
        };
        if !is_its_own {
            port.counters.spoofed += 1;
            return Err(Refused::Spoofed);
        }
        port.counters.came += 1;
        port.counters.came_bytes += bytes.len() as u64;
        // Its own address is where it always was.
        if !matches!(port.source, Source::Only(_)) {
            self.table.learn(source, from, now_ns);
        }
        match self.table.find(to, now_ns).filter(|_| !to.is_group()) {
            Some(out) => self.put(out, from, frame),
            None => self.flood(from, to, &frame),
        }
        Ok(())
    }

    fn flood(&mut self, from: PortId, to: Mac, frame: &F) {
        let hears = |port: &Port<F>| to.is_group() || !matches!(port.source, Source::Only(_));
        let out: Vec<PortId> = self
            .ports
            .iter()
            .filter(|(_, port)| hears(port))
            .map(|(id, _)| *id)
            .collect();
        for out in out {
            self.put(out, from, frame.clone());
        }
    }

    fn put(&mut self, out: PortId, from: PortId, frame: F) {
        if out == from {
            return;
        }
        let Some(port) = self.ports.get_mut(&out) else {
            return;
        };
        if let Some(victim) = port.queue.push(from, frame) {
            port.counters.overflows += 1;
            if let Some(victim) = self.ports.get_mut(&victim) {
                victim.counters.dropped += 1;
            }
        }
    }

    /// Takes the next frame that leaves by a port.
    pub fn take(&mut self, id: PortId) -> Option<F> {
        let port = self.ports.get_mut(&id)?;
        let Leaving { frame, from, waited } = port.queue.pop()?;
        port.counters.left += 1;
        port.counters.left_bytes += frame.as_ref().len() as u64;
        if let Some(sender) = self.ports.get_mut(&from) {
            sender.counters.count_wait(waited);
        }
        Some(frame)
    }

    /// How many frames wait to leave by a port.
    #[must_use]
    pub fn waiting(&self, id: PortId) -> usize {
        self.ports.get(&id).map_or(0, |port| port.queue.waiting())
    }

    /// What a port has done.
    #[must_use]
    pub fn counters(&self, id: PortId) -> Option<Counters> {
        self.ports.get(&id).map(|port| port.counters)
    }

    /// How many addresses are known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.table.known()
    }
}

/// Destination and source of a frame that may be passed on.
fn addresses(frame: &[u8]) -> Option<(Mac, Mac)> {
    if !(HEADER..=FRAME).contains(&frame.len()) {
        return None;
    }
    let (to, rest) = frame.split_first_chunk()?;
    let (to, source) = (Mac(*to), Mac(*rest.first_chunk()?));
    let is_for_bridges = to.0[..5] == [0x01, 0x80, 0xC2, 0, 0] && to.0[5] < 0x10;
    (!source.is_group() && source != Mac([0; 6]) && !is_for_bridges).then_some((to, source))
}
