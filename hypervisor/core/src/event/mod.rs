//! Event channels: ports, what they are bound to, and how an event reaches a domain.
//!
//! Each domain has a table of ports. It begins with 16 and doubles on demand up to 1024; a port beyond the present
//! size does not exist yet. Port 0 collects virtual interrupts that are not bound and is never given out.
//!
//! ```text
//!            alloc_unbound            bind_interdomain (peer)
//!   free ───────────────────► unbound ───────────────────────► interdomain
//!    ▲  ───── bind_virq, bind_pirq ──────────► virq, pirq           │
//!    └───────────────── close (own end) ◄───────────────────────────┤
//!                     unbound again ◄──── close (the peer's end) ───┘
//! ```
//!
//! Raising a port is setting bits in the shared page ([`SharedInfo::set_pending`]); the exit path sees them. Core
//! events are [`Virq`]; their numbers belong to the guest interface.
//!
//! Source: Xen 2.0 interface, event_channel_op and events.

mod bind;
mod pirq;
mod table;

pub use bind::{
    Ends, PortStatus, alloc_unbound, bind_interdomain, bind_virq, close, close_of, free_table, status,
};
pub use pirq::{LINES, Lines, MAX_SHARERS, bind_pirq, close_line, finish_lines, raise_line};
pub use table::EventChannels;

use crate::{
    domain::{DomId, Domain},
    error::HvError,
    hypervisor::{Hypervisor, MAX_DOMAINS},
    platform::Platform,
    sched::{self, Held},
    shared_info::SharedInfo,
};

/// Most ports of a domain.
pub const MAX_PORTS: usize = 1024;

/// Something that the hypervisor announces by an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Virq {
    /// Time: the one-shot timer expired, or the domain was scheduled in.
    Timer = 0,
    /// The operator wants to see the guest's state.
    Debug = 1,
    /// Console input is waiting (Domain0).
    Console = 2,
    /// A domain crashed or shut down (Domain0).
    DomainException = 3,
    /// NMI: memory parity (Domain0).
    ParityError = 4,
    /// NMI: I/O check (Domain0).
    IoError = 5,
}

/// How many there are.
pub const VIRQS: usize = 6;

impl Virq {
    /// All of them, in their order.
    pub const ALL: [Self; VIRQS] = [
        Self::Timer,
        Self::Debug,
        Self::Console,
        Self::DomainException,
        Self::ParityError,
        Self::IoError,
    ];
}

/// What a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Nobody's.
    Free,
    /// Port 0: virtual interrupts that are not bound.
    Misdirect,
    /// Waits for a domain to connect.
    Unbound {
        /// Who may.
        remote: DomId,
    },
    /// Connected.
    Interdomain {
        /// Slot of the peer.
        slot: u16,
        /// Port of the peer.
        port: u16,
    },
    /// Receives a virtual interrupt.
    Virq(Virq),
    /// Receives a physical interrupt.
    Pirq(u8),
}

/// Raises `port` of the domain in `slot`.
#[inline(always)]
pub fn set_pending<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, port: u32) {
    let Some(domain) = hv.domain_at(slot) else { return };
    if SharedInfo::of(platform, domain).set_pending(port) && domain.run.held.contains(Held::BLOCKED) {
        sched::wake(hv, platform, slot);
    }
}

/// Raises a virtual interrupt in the domain in `slot`, at port 0 where it has not bound it.
pub fn send_virq<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, virq: Virq) {
    let Some(domain) = hv.domain_at(slot) else { return };
    if domain.run.held.contains(Held::DYING) {
        return;
    }
    let port = domain.events.virq_ports[virq as usize];
    set_pending(hv, platform, slot, u32::from(port));
}

/// Raises a virtual interrupt in the domain that runs, which therefore neither waits nor dies.
#[inline(always)]
pub fn raise_in_running<P: Platform>(platform: &P, domain: &Domain, virq: Virq) {
    let port = domain.events.virq_ports[virq as usize];
    SharedInfo::of(platform, domain).set_pending(u32::from(port));
}

/// Raises a virtual interrupt in Domain0.
pub fn send_to_dom0<P: Platform>(hv: &mut Hypervisor, platform: &P, virq: Virq) {
    if let Some(slot) = hv.slot_of(DomId(0)) {
        send_virq(hv, platform, slot, virq);
    }
}

/// Sends on `port` of the current domain: the peer's port becomes pending.
///
/// # Errors
/// [`HvError::Invalid`] unless the port is connected.
#[inline(always)]
pub fn send<P: Platform>(hv: &mut Hypervisor, platform: &P, port: u32) -> Result<(), HvError> {
    // A port that does not exist yet is free, so that its number need not be compared with the table's present size.
    match hv.running().events.lookup(platform, port as usize) {
        Port::Interdomain { slot, port } => {
            set_pending(hv, platform, usize::from(slot) % MAX_DOMAINS, u32::from(port));
            Ok(())
        }
        _ => Err(HvError::Invalid),
    }
}

#[cfg(test)]
mod tests;
