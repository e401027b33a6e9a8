//! The end of a domain: one list of steps, each of which can pause and be asked again.
//!
//! From the first step on nobody finds the domain by its number any more ([`Hypervisor::slot_of`]), so nothing new can lead
//! to it. Its slot and its record stay as long as somebody else still maps a frame of it or uses a grant; [`reap`] frees them after that.

use crate::{
    event::{self, Virq},
    grant::end::{Pending, end_mappings, end_table},
    hypervisor::{Hypervisor, MAX_DOMAINS},
    io_rights,
    mm::{Mmu, Preempted},
    pci::assign,
    platform::Platform,
    sched::{self, Held},
    time,
};
use arrayvec::ArrayVec;

/// What is to be taken from a domain next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teardown {
    /// It lives.
    NotBegun,
    /// What it has of the machine's devices, which are stopped.
    Devices,
    /// Its ports, from this one on; peers wait for it again.
    Ports(u16),
    /// What others granted it, and it has mapped.
    Mappings,
    /// Its memory: what its vCPUs hold, its page tables, its frames, its shared page.
    Memory,
    /// The frames of its tables that the hypervisor kept.
    OwnFrames,
    /// Nothing but its record, and frames that others still map.
    Over,
}

/// Ports closed between two looks at whether work waits.
const PORTS_PER_STRETCH: usize = 128;

/// Takes everything from the domain in `slot`, which does not run now and never will again.
///
/// # Errors
/// A pause: ask again.
pub fn destroy<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) -> Result<(), Preempted> {
    loop {
        let Some(domain) = hv.domain_at(slot) else {
            return Ok(());
        };
        let next = match domain.teardown {
            Teardown::NotBegun => {
                sched::change(hv, platform, slot, |run| run.held.insert(Held::DYING));
                time::forget(hv, slot);
                event::send_to_dom0(hv, platform, Virq::DomainException);
                // Before any of its memory is somebody else's.
                assign::begin_taking_all(hv, platform, slot);
                Teardown::Devices
            }
            Teardown::Devices => {
                assign::finish_taking_all(hv, platform, slot).map_err(|_| Preempted)?;
                io_rights::take_all(hv, platform, slot);
                Teardown::Ports(0)
            }
            Teardown::Ports(at) => {
                close_ports(hv, platform, slot, at)?;
                Teardown::Mappings
            }
            Teardown::Mappings => {
                end_mappings(&mut Mmu::new(hv, platform), slot)?;
                Teardown::Memory
            }
            Teardown::Memory => {
                Mmu::new(hv, platform).relinquish(slot)?;
                Teardown::OwnFrames
            }
            Teardown::OwnFrames => {
                // Where others use what it granted, the table stays until they do not.
                if end_table(&mut Mmu::new(hv, platform), slot) == Err(Pending::Preempted) {
                    return Err(Preempted);
                }
                event::free_table(hv, platform, slot);
                io_rights::free_bitmap(hv, platform, slot);
                if let Some(domain) = hv.domain_at(slot) {
                    domain.teardown = Teardown::Over;
                }
                if !bury(hv, platform, slot) {
                    hv.zombies.slots.push(slot as u16);
                }
                return Ok(());
            }
            Teardown::Over => return Ok(()),
        };
        if let Some(domain) = hv.domain_at(slot) {
            domain.teardown = next;
        }
    }
}

fn close_ports<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    first: u16,
) -> Result<(), Preempted> {
    let Some(domain) = hv.domain_at(slot) else {
        return Ok(());
    };
    let size = domain.events.size();
    let end = size.min(usize::from(first) + PORTS_PER_STRETCH);
    for port in usize::from(first)..end {
        event::close_of(hv, platform, slot, port as u32);
    }
    let Some(domain) = hv.domain_at(slot) else {
        return Ok(());
    };
    domain.teardown = Teardown::Ports(end as u16);
    match () {
        () if end == size => Ok(()),
        () if platform.work_pending() => Err(Preempted),
        () => close_ports(hv, platform, slot, end as u16),
    }
}

/// Frees the record of the domain in `slot`, from which everything was taken, unless others still map a frame of it.
///
/// Says whether it is gone.
fn bury<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) -> bool {
    let is_empty = |hv: &Hypervisor| hv.domain_in(slot).is_some_and(|domain| domain.total_pages == 0);
    // Nobody may use its grants any more either; and a frame of their table may be mapped still.
    let is_over = is_empty(hv) && end_table(&mut Mmu::new(hv, platform), slot).is_ok() && is_empty(hv);
    if is_over && let Some(record) = hv.remove(slot) {
        let frame = platform.unplace_record(record);
        Mmu::new(hv, platform).free_record_frame(frame);
        hv.mm.allocator.note_death();
    }
    is_over
}

/// Domains from which everything was taken but frames that others still map.
#[derive(Debug)]
pub struct Zombies {
    slots: ArrayVec<u16, MAX_DOMAINS>,
    /// The one to be looked at next.
    next: usize,
}

impl Zombies {
    /// None.
    pub const NONE: Self = Self {
        slots: ArrayVec::new_const(),
        next: 0,
    };
}

/// How many of them one call looks at.
const LOOKS: usize = 8;

/// Frees the records of domains that are over and of which nobody maps a frame any more: looks at a few, and at the next
/// ones when it is called again.
pub fn reap<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    for _ in 0..LOOKS.min(hv.zombies.slots.len()) {
        let next = hv.zombies.next % hv.zombies.slots.len().max(1);
        let Some(&slot) = hv.zombies.slots.get(next) else {
            return;
        };
        hv.zombies.next = next + 1;
        if bury(hv, platform, slot.into()) {
            hv.zombies.slots.swap_remove(next);
            hv.zombies.next = next;
        }
    }
}
