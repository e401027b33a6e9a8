//! The one state of the hypervisor.

use core::ops::Range;

use crate::{
    domain::{DomId, Domain},
    event::Lines,
    hypercall::CallCounters,
    io_rights::{DeniedPorts, given::Given},
    life::Zombies,
    mm::Mm,
    pci,
    sched::{Held, Scheduler},
    segment::SegmentLimits,
    time::TimeState,
    trap::IdtErrorForm,
};

/// Most domains that can exist at once.
pub const MAX_DOMAINS: usize = 1024;

/// The slot in which domain `id` lies unless another was there first: so that a number leads to its domain at once.
#[inline(always)]
#[must_use]
pub const fn home_slot(id: DomId) -> usize {
    id.0 as usize % MAX_DOMAINS
}

/// Everything the hypervisor knows, behind the one lock taken at entry.
#[derive(Debug)]
pub struct Hypervisor {
    /// Domains by slot; each record lives in pages charged to its domain.
    pub domains: [Option<&'static mut Domain>; MAX_DOMAINS],
    /// How many domains do not lie in their [`home_slot`].
    displaced: u16,
    /// The number given last to a domain whose maker did not choose one.
    pub(crate) last_id: DomId,
    /// Domains from which everything was taken but frames that others still map.
    pub(crate) zombies: Zombies,
    /// Slot of the domain whose registers are on this CPU's stack.
    pub current: usize,
    /// Frames and page tables.
    pub mm: Mm,
    /// Ports of this machine that no domain is given, first and last.
    pub denied_ports: DeniedPorts,
    /// Frames of the screen that the console is on.
    pub screen: Option<Range<u64>>,
    /// What of the devices is given away.
    pub given: Given,
    /// How far guest segments reach.
    pub segment_limits: SegmentLimits,
    /// How this machine writes vectors into error codes.
    pub idt_error_form: IdtErrorForm,
    /// Who can run, and what the exit path has to do.
    pub sched: Scheduler,
    /// Timers and wall clock.
    pub time: TimeState,
    /// Physical interrupts.
    pub lines: Lines,
    /// PCI buses with devices.
    pub pci_buses: pci::Buses,
    /// Whether a shutdown of Domain0 with a test verdict ends the emulator with the matching status.
    pub exit_on_shutdown: bool,
    /// How often each call was made and refused.
    pub calls: CallCounters,
}

impl Hypervisor {
    /// A hypervisor without domains and without memory: boot fills [`Hypervisor::mm`] in.
    #[must_use]
    pub const fn new(segment_limits: SegmentLimits) -> Self {
        Self {
            domains: [const { None }; MAX_DOMAINS],
            displaced: 0,
            last_id: DomId(0),
            zombies: Zombies::NONE,
            current: 0,
            mm: Mm::EMPTY,
            denied_ports: DeniedPorts::new_const(),
            screen: None,
            given: Given::NOTHING,
            segment_limits,
            idt_error_form: IdtErrorForm::Architectural,
            sched: Scheduler::new(),
            time: TimeState::new(),
            lines: Lines::new(),
            pci_buses: [0; 8],
            exit_on_shutdown: false,
            calls: CallCounters::new(),
        }
    }

    /// The domain that runs, to look at.
    ///
    /// # Panics
    /// Where none does, which no guest can bring about.
    #[inline(always)]
    #[must_use]
    pub fn running(&self) -> &Domain {
        self.domains[self.current % MAX_DOMAINS]
            .as_deref()
            .expect("a domain runs")
    }

    /// The domain that runs.
    ///
    /// # Panics
    /// Where none does, which no guest can bring about.
    #[inline(always)]
    #[must_use]
    pub fn running_mut(&mut self) -> &mut Domain {
        self.domains[self.current % MAX_DOMAINS]
            .as_deref_mut()
            .expect("a domain runs")
    }

    /// The domain that runs, for a short way that leaves it to the long one to panic where there is none.
    #[inline(always)]
    #[must_use]
    pub fn running_if_any(&mut self) -> Option<&mut Domain> {
        self.domains[self.current % MAX_DOMAINS].as_deref_mut()
    }

    /// The domain in `slot`, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn domain_at(&mut self, slot: usize) -> Option<&mut Domain> {
        self.domains.get_mut(slot)?.as_deref_mut()
    }

    /// The domain in `slot`, to look at.
    #[inline(always)]
    #[must_use]
    pub fn domain_in(&self, slot: usize) -> Option<&Domain> {
        self.domains.get(slot)?.as_deref()
    }

    /// The slot of domain `id`, unless it is being destroyed: nobody gets hold of anything of it any more.
    #[inline(always)]
    #[must_use]
    pub fn slot_of(&self, id: DomId) -> Option<usize> {
        let slot = self.slot_of_any(id)?;
        let domain = self.domains[slot].as_deref()?;
        (!domain.run.held.contains(Held::DYING)).then_some(slot)
    }

    /// The slot of domain `id`, even of one that is being destroyed.
    #[inline(always)]
    #[must_use]
    pub fn slot_of_any(&self, id: DomId) -> Option<usize> {
        let home = home_slot(id);
        match &self.domains[home] {
            Some(domain) if domain.id == id => Some(home),
            _ => self.slot_of_displaced(id),
        }
    }

    #[cold]
    fn slot_of_displaced(&self, id: DomId) -> Option<usize> {
        if self.displaced == 0 {
            return None;
        }
        self.domains
            .iter()
            .position(|domain| domain.as_deref().is_some_and(|d| d.id == id))
    }

    /// A free slot for a domain `id`: its home, if that is free.
    #[must_use]
    pub fn free_slot(&self, id: DomId) -> Option<usize> {
        let home = home_slot(id);
        let others = (0..MAX_DOMAINS).rev();
        core::iter::once(home)
            .chain(others)
            .find(|&slot| self.domains[slot].is_none())
    }

    /// Puts a record into `slot`, which is free.
    ///
    /// # Panics
    /// Where it is not.
    pub fn insert(&mut self, slot: usize, domain: &'static mut Domain) {
        assert!(self.domains[slot].is_none(), "slot {slot} is taken");
        self.displaced += u16::from(home_slot(domain.id) != slot);
        self.domains[slot] = Some(domain);
    }

    /// Takes the record out of `slot`.
    pub fn remove(&mut self, slot: usize) -> Option<&'static mut Domain> {
        let domain = self.domains.get_mut(slot)?.take()?;
        self.displaced -= u16::from(home_slot(domain.id) != slot);
        Some(domain)
    }
}
