//! A domain's ports: the first ones in its record, the others in a frame that is taken when they are first needed.
//!
//! In the frame a port is half of a 64-bit word:
//!
//! ```text
//!  2:0   what it is: 0 free, 1 misdirect, 2 unbound, 3 interdomain, 4 virq, 5 pirq
//!  18:3  unbound: who may connect; interdomain: slot of the peer; virq, pirq: its number
//!  31:19 interdomain: port of the peer
//! ```

use super::{MAX_PORTS, Port, VIRQS, Virq};
use crate::{
    domain::DomId,
    error::HvError,
    hypervisor::Hypervisor,
    mm::Mmu,
    platform::{FrameMemory, FrameWords, Platform},
};
use guest_abi::addr::Mfn;

/// Ports of a new domain.
const FIRST_SIZE: usize = 16;
/// Ports that lie in the record.
const IN_RECORD: usize = 64;

/// A domain's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventChannels {
    first: [Port; IN_RECORD],
    /// Where the others lie.
    rest: Option<Mfn>,
    /// Ports that exist so far.
    size: usize,
    /// No port below this one is free.
    maybe_free: usize,
    /// Port of each virtual interrupt; 0: not bound.
    pub(super) virq_ports: [u16; VIRQS],
}

impl EventChannels {
    /// Port 0 and free ones.
    #[must_use]
    pub const fn new() -> Self {
        let mut first = [Port::Free; IN_RECORD];
        first[0] = Port::Misdirect;
        Self {
            first,
            rest: None,
            size: FIRST_SIZE,
            maybe_free: 1,
            virq_ports: [0; VIRQS],
        }
    }

    /// What port `number` is, or `None` where it does not exist.
    #[inline(always)]
    #[must_use]
    pub fn get<M: FrameMemory>(&self, memory: &M, number: u32) -> Option<Port> {
        if (number as usize) < self.size {
            Some(self.lookup(memory, number as usize))
        } else {
            None
        }
    }

    /// What port `number` is; free, where it does not exist yet.
    #[inline(always)]
    pub(super) fn lookup<M: FrameMemory>(&self, memory: &M, number: usize) -> Port {
        match self.first.get(number) {
            Some(port) => *port,
            None => self.lookup_far(memory, number),
        }
    }

    #[inline(never)]
    fn lookup_far<M: FrameMemory>(&self, memory: &M, number: usize) -> Port {
        match self.rest {
            Some(frame) if number < MAX_PORTS => {
                unpack((memory.words(frame).read(number / 2) >> (number % 2 * 32)) as u32)
            }
            _ => Port::Free,
        }
    }

    /// How many ports exist.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The frame that the table has grown into.
    #[must_use]
    pub const fn frame(&self) -> Option<Mfn> {
        self.rest
    }

    /// The lowest free port but `except`, in the present table or the one it would grow to.
    #[inline(always)]
    pub(super) fn find_free<M: FrameMemory>(&self, memory: &M, except: usize) -> Result<usize, HvError> {
        (self.maybe_free..MAX_PORTS)
            .find(|&n| n != except && self.lookup(memory, n) == Port::Free)
            .ok_or(HvError::NoSpace)
    }

    /// Binds port `number`, for which there is [room](make_room), growing the table as far as needed.
    #[inline(always)]
    pub(super) fn set<M: FrameMemory>(&mut self, memory: &M, number: usize, port: Port) {
        while number >= self.size {
            self.size *= 2;
        }
        match self.first.get_mut(number) {
            Some(place) => *place = port,
            None => self.set_far(memory, number, port),
        }
        if port == Port::Free {
            self.maybe_free = self.maybe_free.min(number);
        } else if number == self.maybe_free {
            self.maybe_free += 1;
        }
    }

    #[inline(never)]
    fn set_far<M: FrameMemory>(&self, memory: &M, number: usize, port: Port) {
        let frame = self.rest.expect("room was made for the port");
        let shift = number % 2 * 32;
        let others = memory.read_entry(frame, number / 2) & !(0xFFFF_FFFF << shift);
        memory.write_entry(frame, number / 2, others | u64::from(pack(port)) << shift);
    }

    /// Takes the frame that the table has grown into; the ports in it are all free.
    pub(super) const fn take_frame(&mut self) -> Option<Mfn> {
        self.rest.take()
    }
}

impl Default for EventChannels {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes room for port `number` of the domain in `slot`; whether that took a frame.
///
/// # Errors
/// [`HvError::NoMemory`].
#[inline(always)]
pub(super) fn make_room<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    number: usize,
) -> Result<bool, HvError> {
    if number < IN_RECORD {
        return Ok(false);
    }
    make_far_room(hv, platform, slot)
}

#[cold]
#[inline(never)]
fn make_far_room<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) -> Result<bool, HvError> {
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    if domain.events.rest.is_some() {
        return Ok(false);
    }
    let frame = Mmu::new(hv, platform).take_own_frame()?;
    if let Some(domain) = hv.domain_at(slot) {
        domain.events.rest = Some(frame);
    }
    Ok(true)
}

/// Undoes a [`make_room`] that took a frame.
#[cold]
pub(super) fn take_room_back<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let frame = hv.domain_at(slot).and_then(|domain| domain.events.take_frame());
    if let Some(frame) = frame {
        Mmu::new(hv, platform).free_own_frame(frame);
    }
}

const VALUE_SHIFT: u32 = 3;
const PEER_PORT_SHIFT: u32 = 19;

const fn pack(port: Port) -> u32 {
    let (kind, value, peer) = match port {
        Port::Free => (0, 0, 0),
        Port::Misdirect => (1, 0, 0),
        Port::Unbound { remote } => (2, remote.0, 0),
        Port::Interdomain { slot, port } => (3, slot, port),
        Port::Virq(virq) => (4, virq as u16, 0),
        Port::Pirq(line) => (5, line as u16, 0),
    };
    kind | (value as u32) << VALUE_SHIFT | (peer as u32) << PEER_PORT_SHIFT
}

fn unpack(word: u32) -> Port {
    let value = (word >> VALUE_SHIFT) as u16;
    match word & 7 {
        1 => Port::Misdirect,
        2 => Port::Unbound { remote: DomId(value) },
        3 => Port::Interdomain {
            slot: value,
            port: (word >> PEER_PORT_SHIFT) as u16,
        },
        4 => Virq::ALL
            .get(usize::from(value))
            .map_or(Port::Free, |&virq| Port::Virq(virq)),
        5 => Port::Pirq(value as u8),
        _ => Port::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_can_be_packed() {
        let mut all = vec![Port::Free, Port::Misdirect];
        for n in [0, 1, 255, 1023, 0x7FEF, 0x7FF0] {
            all.push(Port::Unbound { remote: DomId(n) });
            all.push(Port::Pirq(n as u8));
            all.extend([0, 1, 1023].map(|port| Port::Interdomain { slot: n % 1024, port }));
        }
        all.extend(Virq::ALL.map(Port::Virq));
        for port in all {
            assert_eq!(unpack(pack(port)), port);
        }
        assert_eq!(unpack(7), Port::Free);
        assert_eq!(unpack(4 | 99 << VALUE_SHIFT), Port::Free);
    }
}
