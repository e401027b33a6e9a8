//! The extended commands of call 1.

use super::batch::Batch;
use crate::{
    domain::DomId,
    grant::{Halt, Refusal, transfer::transfer},
    mm::{Kind, MmError, Mmu, Owner, Stop},
    platform::Platform,
};
use guest_abi::{
    addr::{GuestVirt, MachAddr},
    mmu::{Command, Extended, ExtendedCommand, MmuUpdate},
};

/// What became of a request in [`simple`].
pub(super) enum Simple {
    /// Not done: it is another one.
    Other,
    /// Done.
    Done,
    /// Done, but for a flush at the end of the batch.
    Flush,
    /// Done, and everything is flushed: what was asked for before is done by that.
    Flushed,
}

/// Does the commands that guests use most, where nothing is special about them.
#[inline(always)]
pub(super) fn simple<P: Platform>(mmu: &mut Mmu<'_, P>, request: MmuUpdate) -> Simple {
    let address = request.address().raw();
    if request.command() != Command::EXTENDED {
        return Simple::Other;
    }
    match request.val {
        NEW_BASEPTR if mmu.exchange_roots(address >> 12) => Simple::Flushed,
        INVLPG if address <= u64::from(u32::MAX) => {
            mmu.platform.flush_page(GuestVirt::new(address as u32));
            Simple::Done
        }
        TLB_FLUSH if address == 0 => Simple::Flush,
        _ => Simple::Other,
    }
}

const NEW_BASEPTR: u64 = ExtendedCommand::NEW_BASEPTR.raw() as u64;
const INVLPG: u64 = ExtendedCommand::INVLPG.raw() as u64;
const TLB_FLUSH: u64 = ExtendedCommand::TLB_FLUSH.raw() as u64;

impl<P: Platform> Batch<'_, P> {
    #[inline(never)]
    pub(super) fn extended(&mut self, request: MmuUpdate) -> Result<(), Stop> {
        let frame = |address: MachAddr| address.raw() >> 12;
        match request.as_extended().map_err(|_| MmError::BadRequest)? {
            Extended::NewBasePtr { l3 } => {
                // The new root starts with empty caches: a flush asked for before is done by that.
                self.mmu.load_root(frame(l3), self.caller)?;
                self.flush = false;
                self.map_ldt = true;
                Ok(())
            }
            Extended::Invlpg { address } => {
                self.mmu.platform.flush_page(address);
                Ok(())
            }
            Extended::TlbFlush => {
                self.flush = true;
                Ok(())
            }
            Extended::Pin {
                level,
                frame: address,
            } => {
                let kind = match level {
                    1 => Kind::L1,
                    2 => Kind::L2,
                    3 => Kind::L3,
                    _ => Kind::L4,
                };
                self.mmu.pin(frame(address), kind, self.target_domain()?)
            }
            Extended::Unpin { frame: address } => self.mmu.unpin(frame(address), self.target_domain()?),
            Extended::FlushCache => Ok(self.flush_data_caches()?),
            Extended::SetLdt { base, entries } => {
                self.mmu.set_ldt(base, entries)?;
                self.map_ldt = entries != 0;
                Ok(())
            }
            Extended::SetForeignDom { domain } => {
                self.clear_foreign();
                Ok(self.set_foreign(DomId(domain.raw()))?)
            }
            Extended::ClearForeignDom => {
                self.clear_foreign();
                Ok(())
            }
            Extended::ReassignPage { frame: address } => Ok(self.reassign(frame(address))?),
            Extended::TransferPage {
                frame: address,
                domain,
                reference,
            } => self.transfer(frame(address), DomId(domain.raw()), reference),
        }
    }

    /// The target, where it must be a domain: frames of devices and of the hypervisor are neither pinned nor have a
    /// place in anybody's frame numbers.
    pub(super) fn target_domain(&self) -> Result<Owner, MmError> {
        match self.foreign {
            DomId::IO | DomId::XEN => Err(MmError::NoSuchDomain),
            _ => Ok(self.target),
        }
    }

    pub(super) fn clear_foreign(&mut self) {
        self.foreign = DomId::SELF;
        self.target = self.caller;
    }

    /// Names the owner of the frames that later requests name.
    pub(super) fn set_foreign(&mut self, id: DomId) -> Result<(), MmError> {
        let is_privileged = self.caller_is_privileged();
        let target = match id {
            // Nobody's RAM. Frames of devices are named with the caller's own right to them; their owner must not
            // pass for an ordinary one, which needs no right.
            DomId::IO => Owner {
                id: DomId::SELF,
                may_map_io: self.caller.may_map_io,
            },
            _ if !is_privileged && !cfg!(feature = "mutant-foreign-domain") => return Err(MmError::Denied),
            DomId::XEN => Owner {
                id,
                may_map_io: false,
            },
            _ => self
                .mmu
                .domain(id)
                .map(|domain| Owner::of(domain))
                .ok_or(MmError::NoSuchDomain)?,
        };
        self.foreign = id;
        self.target = target;
        Ok(())
    }

    fn caller_is_privileged(&mut self) -> bool {
        self.mmu.caller_domain().is_privileged
    }

    fn flush_data_caches(&mut self) -> Result<(), MmError> {
        if !self.mmu.caller_domain().drives_devices() {
            return Err(MmError::Denied);
        }
        self.mmu.platform.flush_data_caches();
        Ok(())
    }

    fn transfer(&mut self, n: u64, to: DomId, reference: u32) -> Result<(), Stop> {
        match transfer(&mut self.mmu, n, to, reference, || Ok(())) {
            Ok(()) => {
                // The giver may still have the page cached.
                self.flush = true;
                Ok(())
            }
            Err(Halt::Preempted) => Err(Stop::Preempted),
            Err(Halt::Refused(Refusal::BadFrame(why))) => Err(why.into()),
            Err(Halt::Refused(Refusal::NoSuchDomain)) => Err(MmError::NoSuchDomain.into()),
            Err(_) => Err(MmError::NotInvited.into()),
        }
    }

    fn reassign(&mut self, n: u64) -> Result<(), MmError> {
        if !self.caller_is_privileged() {
            return Err(MmError::Denied);
        }
        if self.foreign == DomId::SELF {
            return Err(MmError::NoSuchDomain);
        }
        self.mmu.reassign(n, self.foreign)?;
        // The giver may still have the page cached.
        self.flush = true;
        Ok(())
    }
}
