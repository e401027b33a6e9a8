//! Binding and closing ports. Every function decides first, then commits; a refusal has changed nothing.

use super::{
    EventChannels, Port, Virq, pirq,
    table::{make_room, take_room_back},
};
use crate::{
    domain::{DomId, Domain},
    error::HvError,
    hypervisor::Hypervisor,
    platform::{FrameMemory, Platform},
    shared_info::SharedInfo,
};

/// Slot of `id`, with [`DomId::SELF`] translated.
fn resolve(hv: &Hypervisor, id: DomId) -> Result<usize, HvError> {
    if id == DomId::SELF {
        Ok(hv.current)
    } else {
        hv.slot_of(id).ok_or(HvError::NoSuchDomain)
    }
}

/// The same, where only a privileged caller may name another domain.
#[inline(always)]
fn resolve_permitted(hv: &Hypervisor, id: DomId) -> Result<usize, HvError> {
    let caller = hv.running();
    if id == DomId::SELF || id == caller.id {
        Ok(hv.current)
    } else if caller.is_privileged || cfg!(feature = "mutant-port-owner") {
        resolve(hv, id)
    } else {
        Err(HvError::Denied)
    }
}

fn at(hv: &mut Hypervisor, slot: usize) -> Result<&mut Domain, HvError> {
    hv.domain_at(slot).ok_or(HvError::NoSuchDomain)
}

fn events(hv: &mut Hypervisor, slot: usize) -> Result<&mut EventChannels, HvError> {
    Ok(&mut at(hv, slot)?.events)
}

/// Gives the current domain a port that `remote` may connect to. `tell` learns its number first, and may call it off.
///
/// # Errors
/// [`HvError::NoSuchDomain`]; [`HvError::NoSpace`]; [`HvError::NoMemory`]; those of `tell`.
#[inline(always)]
pub fn alloc_unbound<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    remote: DomId,
    tell: impl FnOnce(u32) -> Result<(), HvError>,
) -> Result<(), HvError> {
    let remote = if remote == DomId::SELF {
        hv.running().id
    } else {
        hv.slot_of(remote).map(|_| remote).ok_or(HvError::NoSuchDomain)?
    };
    let current = hv.current;
    let port = hv.running().events.find_free(platform, 0)?;
    let is_grown = make_room(hv, platform, current, port)?;
    let told = tell(port as u32);
    if told.is_ok() {
        hv.running_mut()
            .events
            .set(platform, port, Port::Unbound { remote });
    } else if is_grown {
        take_room_back(hv, platform, current);
    }
    told
}

/// Binds `virq` in the current domain; one that is bound already answers with its port.
///
/// # Errors
/// [`HvError::NoSpace`]; [`HvError::NoMemory`].
pub fn bind_virq<P: Platform>(hv: &mut Hypervisor, platform: &P, virq: Virq) -> Result<u32, HvError> {
    let current = hv.current;
    let table = events(hv, current)?;
    let bound = table.virq_ports[virq as usize];
    if bound != 0 {
        return Ok(u32::from(bound));
    }
    let port = table.find_free(platform, 0)?;
    make_room(hv, platform, current, port)?;
    let events = events(hv, current)?;
    events.set(platform, port, Port::Virq(virq));
    events.virq_ports[virq as usize] = port as u16;
    Ok(port as u32)
}

/// Two ports to connect, or connected. Port 0 stands for "a new one".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "two of the same kind")]
pub struct Ends {
    pub dom1: DomId,
    pub port1: u32,
    pub dom2: DomId,
    pub port2: u32,
}

/// Connects two ports. One end must be the caller's, unless the caller is privileged. Ports that are connected as
/// asked already are a success.
///
/// # Errors
/// [`HvError::Denied`] for somebody else's port, or a port of another domain that does not wait for `dom1`;
/// [`HvError::NoSuchDomain`]; [`HvError::Invalid`] for a port that does not exist or is something else;
/// [`HvError::NoSpace`]; [`HvError::NoMemory`].
pub fn bind_interdomain<P: Platform>(hv: &mut Hypervisor, platform: &P, ends: Ends) -> Result<Ends, HvError> {
    let caller = hv.current;
    let may_take_any = at(hv, caller)?.is_privileged;
    let slot1 = resolve_permitted(hv, ends.dom1)?;
    let slot2 = resolve(hv, ends.dom2)?;
    let (id1, id2) = (at(hv, slot1)?.id, at(hv, slot2)?.id);
    let answer = |port1: u32, port2: u32| Ok(Ends { port1, port2, ..ends });

    // In a loop a new port must be another than the peer's.
    let is_loop = slot1 == slot2;
    let except = if is_loop { ends.port2 as usize } else { 0 };
    let port1 = match end(
        platform,
        events(hv, slot1)?,
        ends.port1,
        (id2, slot2, ends.port2),
        except,
    )? {
        End::Connected(peer) => return answer(ends.port1, peer),
        End::Take(port) | End::TakeFree(port) => port,
    };
    let except = if is_loop { port1 } else { 0 };
    let port2 = match end(
        platform,
        events(hv, slot2)?,
        ends.port2,
        (id1, slot1, ends.port1),
        except,
    )? {
        End::Connected(peer) => return answer(peer, ends.port2),
        End::Take(port) => port,
        End::TakeFree(_) if slot2 != caller && !may_take_any => return Err(HvError::Denied),
        End::TakeFree(port) => port,
    };
    if is_loop && port1 == port2 {
        return Err(HvError::Invalid);
    }
    let is_grown = make_room(hv, platform, slot1, port1)?;
    if let Err(why) = make_room(hv, platform, slot2, port2) {
        if is_grown {
            take_room_back(hv, platform, slot1);
        }
        return Err(why);
    }
    events(hv, slot1)?.set(
        platform,
        port1,
        Port::Interdomain {
            slot: slot2 as u16,
            port: port2 as u16,
        },
    );
    events(hv, slot2)?.set(
        platform,
        port2,
        Port::Interdomain {
            slot: slot1 as u16,
            port: port1 as u16,
        },
    );
    answer(port1 as u32, port2 as u32)
}

/// What one end of a connection to be is.
enum End {
    /// Connected to the wanted domain already, at this port there.
    Connected(u32),
    /// Waits for the wanted domain.
    Take(usize),
    /// Free, named or new.
    TakeFree(usize),
}

/// Judges `port` (0: a new one, but not `except`) as an end that is to lead to the peer: its id, its slot, and its
/// port (0: any).
fn end<M: FrameMemory>(
    memory: &M,
    events: &EventChannels,
    port: u32,
    peer: (DomId, usize, u32),
    except: usize,
) -> Result<End, HvError> {
    let (peer, peer_slot, peer_port) = peer;
    if port == 0 {
        return events.find_free(memory, except).map(End::TakeFree);
    }
    match events.get(memory, port).ok_or(HvError::Invalid)? {
        Port::Free => Ok(End::TakeFree(port as usize)),
        Port::Unbound { remote } if remote == peer || cfg!(feature = "mutant-port-for-another") => {
            Ok(End::Take(port as usize))
        }
        Port::Interdomain { slot, port } if usize::from(slot) == peer_slot => {
            let connected = u32::from(port);
            if peer_port == 0 || peer_port == connected {
                Ok(End::Connected(connected))
            } else {
                Err(HvError::Invalid)
            }
        }
        _ => Err(HvError::Invalid),
    }
}

/// Closes `port` of domain `owner`: its bits in the shared page are cleared; a peer waits for this domain again.
///
/// # Errors
/// [`HvError::Denied`] and [`HvError::NoSuchDomain`] for another domain; [`HvError::Invalid`] for port 0 and for
/// one that is free or does not exist.
#[inline(always)]
pub fn close<P: Platform>(hv: &mut Hypervisor, platform: &P, owner: DomId, port: u32) -> Result<(), HvError> {
    let slot = resolve_permitted(hv, owner)?;
    close_at(hv, platform, slot, port)
}

/// Closes `port` of the domain in `slot`, which dies; nothing happens where it is not open.
pub fn close_of<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, port: u32) {
    // What is free or always there needs no closing.
    let _ = close_at(hv, platform, slot, port);
}

/// Gives back the frame that the ports of the domain in `slot`, all closed, had grown into.
pub fn free_table<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    take_room_back(hv, platform, slot);
}

#[inline(always)]
fn close_at<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, port: u32) -> Result<(), HvError> {
    let domain = at(hv, slot)?;
    let id = domain.id;
    match domain.events.get(platform, port) {
        None | Some(Port::Free | Port::Misdirect) => return Err(HvError::Invalid),
        Some(Port::Interdomain {
            slot: peer,
            port: peer_port,
        }) => {
            events(hv, usize::from(peer))?.set(
                platform,
                usize::from(peer_port),
                Port::Unbound { remote: id },
            );
        }
        Some(Port::Virq(virq)) => domain.events.virq_ports[virq as usize] = 0,
        Some(Port::Pirq(line)) => pirq::unbind(hv, platform, slot, line),
        Some(Port::Unbound { .. }) => {}
    }
    let domain = at(hv, slot)?;
    domain.events.set(platform, port as usize, Port::Free);
    SharedInfo::of(platform, domain).forget_port(port);
    Ok(())
}

/// What a port is, with the peer by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortStatus {
    /// Nobody's.
    Closed,
    /// Waits for this domain.
    Unbound(DomId),
    /// Connected to this port of this domain.
    Interdomain(DomId, u32),
    /// Receives this physical interrupt.
    Pirq(u8),
    /// Receives this virtual interrupt; `None`: all that are not bound.
    Virq(Option<Virq>),
}

/// What `port` of domain `owner` is.
///
/// # Errors
/// [`HvError::Denied`] and [`HvError::NoSuchDomain`] for another domain; [`HvError::Invalid`] for a port that does
/// not exist.
pub fn status<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    owner: DomId,
    port: u32,
) -> Result<PortStatus, HvError> {
    let slot = resolve_permitted(hv, owner)?;
    Ok(
        match events(hv, slot)?.get(platform, port).ok_or(HvError::Invalid)? {
            Port::Free => PortStatus::Closed,
            Port::Misdirect => PortStatus::Virq(None),
            Port::Unbound { remote } => PortStatus::Unbound(remote),
            Port::Interdomain { slot, port } => {
                PortStatus::Interdomain(at(hv, usize::from(slot))?.id, u32::from(port))
            }
            Port::Virq(virq) => PortStatus::Virq(Some(virq)),
            Port::Pirq(line) => PortStatus::Pirq(line),
        },
    )
}
