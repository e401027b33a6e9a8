//! The one state of the hypervisor.

use crate::{
    domain::{DomId, Domain},
    hypercall::CallCounters,
    mm::Mm,
    sched::Scheduler,
    segment::SegmentLimits,
    time::TimeState,
    trap::IdtErrorForm,
};

/// Most domains that can exist at once.
pub const MAX_DOMAINS: usize = 64;

/// Everything the hypervisor knows, behind the one lock taken at entry.
#[derive(Debug)]
pub struct Hypervisor {
    /// Domains by slot; each record lives in pages charged to its domain.
    pub domains: [Option<&'static mut Domain>; MAX_DOMAINS],
    /// Slot of the domain whose registers are on this CPU's stack.
    pub current: usize,
    /// Frames and page tables.
    pub mm: Mm,
    /// How far guest segments reach.
    pub segment_limits: SegmentLimits,
    /// How this machine writes vectors into error codes.
    pub idt_error_form: IdtErrorForm,
    /// Who can run, and what the exit path has to do.
    pub sched: Scheduler,
    /// Timers and wall clock.
    pub time: TimeState,
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
            current: 0,
            mm: Mm::EMPTY,
            segment_limits,
            idt_error_form: IdtErrorForm::Architectural,
            sched: Scheduler::new(),
            time: TimeState::new(),
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

    /// The slot of domain `id`.
    #[must_use]
    pub fn slot_of(&self, id: DomId) -> Option<usize> {
        self.domains
            .iter()
            .position(|domain| domain.as_deref().is_some_and(|d| d.id == id))
    }
}
