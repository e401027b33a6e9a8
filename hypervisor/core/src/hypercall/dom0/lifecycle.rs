//! A domain's life, as its controller runs it.

use super::{Answer, Command, context, must_be_0, pages_of};
use crate::{
    domain::{DomId, Domain, Personality},
    error::HvError,
    guest_mem::GuestPtr,
    hypercall::version::set_assist,
    life::{self, Building},
    mm::{Mmu, Stop},
    outcome::CrashReason,
    platform::Platform,
    sched::{self, Held},
};
use guest_abi::{
    domain::DomId as WireId,
    domctl::{
        BuildDomain, CPU_ANY, CRASH_STACK_WORDS, CrashCode, CreateDomain, DestroyDomain, DomainFlags,
        GetCrash, GetDomainInfo, PauseDomain, Personality as WirePersonality, SetContext, SetDomainVmAssist,
        UnpauseDomain,
    },
    sched::ShutdownReason,
    vcpu::CpuContext,
};

/// In ECX: a domain is being made; its number is in the low half.
const MAKING: u32 = 0xC0DE_0000;
/// In ECX: a domain that could not be made is being taken apart.
const UNMAKING_NO_MEMORY: u32 = 0xC0DF_0000;
/// The same, where the block could not be written.
const UNMAKING_FAULT: u32 = 0xC0E0_0000;
const MARK: u32 = 0xFFFF_0000;

impl<P: Platform> Command<'_, '_, P> {
    /// CREATEDOMAIN.
    pub(super) fn create(&mut self) -> Result<Answer, HvError> {
        let id = DomId(self.state[0] as u16);
        let slot = match (self.state[0] & MARK, self.cx.hv.slot_of_any(id)) {
            (MAKING, Some(slot)) if is_being_made(self.cx.hv.domain_at(slot)) => slot,
            (UNMAKING_NO_MEMORY, Some(slot)) if is_dying(self.cx.hv.domain_at(slot)) => {
                return self.unmake(slot, HvError::NoMemory);
            }
            (UNMAKING_FAULT, Some(slot)) if is_dying(self.cx.hv.domain_at(slot)) => {
                return self.unmake(slot, HvError::Fault);
            }
            _ => self.begin()?,
        };
        match life::populate(self.cx.hv, self.cx.platform, slot) {
            Ok(()) => {}
            Err(Stop::Preempted) => {
                return Ok(Answer::Pause([MAKING | u32::from(self.id_at(slot)?.0), 0, 0, 0]));
            }
            Err(Stop::Refused(_)) => return self.unmake(slot, HvError::NoMemory),
        }
        let mut args: CreateDomain = self.op.args();
        args.domain = WireId::new(self.id_at(slot)?.0);
        self.op.set_args(&args);
        if self.block.write(self.cx.platform, &self.op).is_err() {
            return self.unmake(slot, HvError::Fault);
        }
        Ok(Answer::Done)
    }

    /// Checks what is wanted, and makes the record.
    fn begin(&mut self) -> Result<usize, HvError> {
        let args: CreateDomain = self.op.args();
        let personality = match args.personality {
            WirePersonality::V2 => Personality::V2,
            _ => return Err(HvError::Invalid),
        };
        if args.cpu < CPU_ANY {
            return Err(HvError::Invalid);
        }
        let pages = pages_of(args.memory_kb).ok_or(HvError::NoMemory)?;
        let is_chosen = args.domain.is_ordinary() && args.domain.raw() != 0;
        let id = is_chosen.then_some(DomId(args.domain.raw()));
        // Whether the new number can be told is found out before there is one.
        self.block.write(self.cx.platform, &self.op)?;
        life::create(self.cx.hv, self.cx.platform, id, personality, pages)
    }

    fn unmake(&mut self, slot: usize, why: HvError) -> Result<Answer, HvError> {
        let id = self.id_at(slot)?;
        match life::destroy(self.cx.hv, self.cx.platform, slot) {
            Ok(()) => Err(why),
            Err(_) => {
                let mark = match why {
                    HvError::Fault => UNMAKING_FAULT,
                    _ => UNMAKING_NO_MEMORY,
                };
                Ok(Answer::Pause([mark | u32::from(id.0), 0, 0, 0]))
            }
        }
    }

    fn id_at(&self, slot: usize) -> Result<DomId, HvError> {
        let domain = self.cx.hv.domains.get(slot).and_then(Option::as_deref);
        domain.map(|domain| domain.id).ok_or(HvError::NoSuchDomain)
    }

    /// DESTROYDOMAIN. Goes on with one that is being destroyed already.
    pub(super) fn destroy(&mut self) -> Result<Answer, HvError> {
        let args: DestroyDomain = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let id = DomId(args.domain.raw());
        let slot = self.cx.hv.slot_of_any(id).ok_or(HvError::NoSuchDomain)?;
        if slot == self.cx.hv.current {
            return Err(HvError::Invalid);
        }
        match life::destroy(self.cx.hv, self.cx.platform, slot) {
            Ok(()) => Ok(Answer::Done),
            Err(_) => Ok(Answer::Pause([0, 0, 0, 0])),
        }
    }

    /// PAUSEDOMAIN.
    pub(super) fn pause(&mut self) -> Result<Answer, HvError> {
        let args: PauseDomain = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        if slot == self.cx.hv.current {
            return Err(HvError::Invalid);
        }
        sched::change(self.cx.hv, self.cx.platform, slot, |run| {
            run.held.insert(Held::PAUSED);
        });
        Ok(Answer::Done)
    }

    /// UNPAUSEDOMAIN.
    pub(super) fn unpause(&mut self) -> Result<Answer, HvError> {
        let args: UnpauseDomain = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        if !self.domain(slot)?.is_built() {
            return Err(HvError::Invalid);
        }
        sched::change(self.cx.hv, self.cx.platform, slot, |run| {
            run.held.remove(Held::PAUSED);
        });
        Ok(Answer::Done)
    }

    /// BUILDDOMAIN.
    pub(super) fn build(&mut self) -> Result<Answer, HvError> {
        let args: BuildDomain = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        if self.domain(slot)?.building != Building::Ready {
            return Err(HvError::Invalid);
        }
        self.install(slot, args.ctxt.raw())
    }

    /// SETCONTEXT.
    pub(super) fn set_context(&mut self) -> Result<Answer, HvError> {
        let args: SetContext = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        let is_current = slot == self.cx.hv.current;
        let domain = self.domain(slot)?;
        if !domain.is_built() || !domain.run.held.contains(Held::PAUSED) || is_current {
            return Err(HvError::Invalid);
        }
        self.install(slot, args.ctxt.raw())
    }

    /// Makes the context at `at` that of the domain in `slot`, which does not run.
    fn install(&mut self, slot: usize, at: u32) -> Result<Answer, HvError> {
        let wanted = GuestPtr::<CpuContext>::new(at)?.read(self.cx.platform)?;
        context::check(&wanted, self.cx.hv.segment_limits)?;
        let mut mmu = Mmu::new(self.cx.hv, self.cx.platform);
        match context::install(&mut mmu, slot, &wanted) {
            Ok(()) => {
                self.domain(slot)?.building = Building::Built;
                Ok(Answer::Done)
            }
            Err(Stop::Preempted) => Ok(Answer::Pause([0, 0, 0, 0])),
            Err(Stop::Refused(why)) => Err(why.into()),
        }
    }

    /// GETDOMAININFO, of the first domain with this number or a higher one.
    pub(super) fn domain_info(&mut self) -> Result<Answer, HvError> {
        let args: GetDomainInfo = self.op.args();
        let slot = self.first_from(args.domain.raw())?;
        if args.ctxt.raw() != 0 {
            let to = GuestPtr::<CpuContext>::new(args.ctxt.raw())?;
            if slot == self.cx.hv.current {
                context::save_current(self.cx);
            }
            let context = context::of(&self.domain(slot)?.vcpus[0]);
            to.write(self.cx.platform, &context)?;
        }
        let is_running = slot == self.cx.hv.current;
        sched::account(self.cx.hv, self.cx.platform);
        let domain = self.domain(slot)?;
        let info = GetDomainInfo {
            domain: WireId::new(domain.id.0),
            personality: match domain.personality {
                Personality::V2 => WirePersonality::V2,
            },
            flags: flags(domain, is_running),
            ctxt: args.ctxt,
            tot_pages: domain.total_pages,
            max_pages: domain.max_pages,
            shared_info_frame: domain.shared_info,
            cpu_time: domain.run.cpu_time_ns,
        };
        self.op.set_args(&info);
        Ok(Answer::Results)
    }

    /// GETCRASH.
    pub(super) fn crash_info(&mut self) -> Result<Answer, HvError> {
        let args: GetCrash = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        let record = self.domain(slot)?.crash.as_ref().ok_or(HvError::NoData)?;
        let (code, detail) = match record.reason {
            None => (CrashCode::REQUESTED, 0),
            Some(CrashReason::BadKernelStack { esp, .. }) => (CrashCode::BAD_KERNEL_STACK, esp),
            Some(CrashReason::NoHandler { vector }) => (CrashCode::NO_HANDLER, vector.into()),
            Some(CrashReason::NoEventCallback) => (CrashCode::NO_EVENT_CALLBACK, 0),
            Some(CrashReason::FailsafeFailed) => (CrashCode::FAILSAFE_FAILED, 0),
            Some(CrashReason::Unhandled { vector }) => (CrashCode::UNHANDLED, vector.into()),
        };
        let mut crash = GetCrash {
            code,
            detail,
            vector: record.vector,
            error_code: record.error_code,
            nr_stack: record.stack.len() as u32,
            stack: [0; CRASH_STACK_WORDS],
            ..args
        };
        for (place, word) in crash.stack.iter_mut().zip(&record.stack) {
            *place = *word;
        }
        self.op.set_args(&crash);
        Ok(Answer::Results)
    }

    /// SETDOMAINVMASSIST.
    pub(super) fn set_vm_assist(&mut self) -> Result<Answer, HvError> {
        let args: SetDomainVmAssist = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        set_assist(self.domain(slot)?, args.cmd.raw(), args.kind.raw())?;
        Ok(Answer::Done)
    }

    /// The slot of the domain with the lowest number from `first` on.
    fn first_from(&self, first: u16) -> Result<usize, HvError> {
        let hv = &self.cx.hv;
        if let Some(slot) = hv.slot_of_any(DomId(first)) {
            return Ok(slot);
        }
        let found = hv
            .domains
            .iter()
            .enumerate()
            .filter_map(|(slot, domain)| Some((slot, domain.as_deref()?.id.0)));
        found
            .filter(|&(_, id)| id >= first)
            .min_by_key(|&(_, id)| id)
            .map(|(slot, _)| slot)
            .ok_or(HvError::NoSuchDomain)
    }

    /// The domain in `slot`.
    pub(super) fn domain(&mut self, slot: usize) -> Result<&mut Domain, HvError> {
        self.cx.hv.domain_at(slot).ok_or(HvError::NoSuchDomain)
    }
}

fn is_being_made(domain: Option<&mut Domain>) -> bool {
    domain.is_some_and(|domain| {
        let is_begun = matches!(
            domain.building,
            Building::Populating { before: 0 } | Building::Numbering { .. }
        );
        is_begun && !domain.run.held.contains(Held::DYING)
    })
}

fn is_dying(domain: Option<&mut Domain>) -> bool {
    domain.is_some_and(|domain| domain.run.held.contains(Held::DYING))
}

fn flags(domain: &Domain, is_running: bool) -> DomainFlags {
    let mut flags = DomainFlags::empty();
    for (held, flag) in [
        (Held::DYING, DomainFlags::DYING),
        (Held::CRASHED, DomainFlags::CRASHED),
        (Held::SHUTDOWN, DomainFlags::SHUTDOWN),
        (Held::PAUSED, DomainFlags::PAUSED),
        (Held::BLOCKED, DomainFlags::BLOCKED),
    ] {
        flags.set(flag, domain.run.held.contains(held));
    }
    flags.set(DomainFlags::RUNNING, is_running);
    flags.with(0, ShutdownReason::new(domain.run.shutdown_reason))
}
