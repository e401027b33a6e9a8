//! What of the machine a domain may touch.

use super::{Answer, Command, must_be_0};
use crate::{
    error::HvError,
    io_rights::{self, RightHalt},
    pci::{self, Function, assign},
    platform::Platform,
};
use guest_abi::{
    domain::DomId as WireId,
    domctl::{IoMemPermission, IoPortPermission, IrqPermission, PciDevAccess, PciDevHolder},
};

/// Ports whose bits are changed in one go.
const MAX_PORTS: u32 = io_rights::PORTS;

impl<P: Platform> Command<'_, '_, P> {
    /// IOPORT_PERMISSION.
    pub(super) fn port_permission(&mut self) -> Result<Answer, HvError> {
        let args: IoPortPermission = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let is_given = flag(args.allow.into())?;
        let slot = self.slot(args.domain)?;
        let end = args
            .first_port
            .checked_add(args.nr_ports)
            .filter(|&end| end <= MAX_PORTS);
        let ports = args.first_port..end.ok_or(HvError::Invalid)?;
        io_rights::allow_ports(self.cx.hv, self.cx.platform, slot, ports, is_given)?;
        Ok(Answer::Done)
    }

    /// IOMEM_PERMISSION.
    pub(super) fn frame_permission(&mut self) -> Result<Answer, HvError> {
        let args: IoMemPermission = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let is_given = flag(args.allow.into())?;
        let slot = self.slot(args.domain)?;
        let start = u64::from(args.first_frame.raw());
        let frames = start..start + u64::from(args.nr_frames);
        let done = io_rights::allow_frames(self.cx.hv, self.cx.platform, slot, frames, is_given);
        answer(done)
    }

    /// IRQ_PERMISSION.
    pub(super) fn line_permission(&mut self) -> Result<Answer, HvError> {
        let args: IrqPermission = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let is_given = flag(args.allow.into())?;
        let slot = self.slot(args.domain)?;
        io_rights::allow_line(self.cx.hv, self.cx.platform, slot, args.irq, is_given)?;
        Ok(Answer::Done)
    }

    /// PCIDEV_ACCESS: a function with its ports, frames and line.
    pub(super) fn pci_access(&mut self) -> Result<Answer, HvError> {
        let args: PciDevAccess = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let has_dma = match args.allow {
            PciDevAccess::TAKE => None,
            PciDevAccess::GIVE => Some(false),
            PciDevAccess::GIVE_WITH_DMA => Some(true),
            _ => return Err(HvError::Invalid),
        };
        let slot = self.slot(args.domain)?;
        let function = Function::new(args.bus, args.dev, args.func).ok_or(HvError::Invalid)?;
        let (hv, platform) = (&mut *self.cx.hv, self.cx.platform);
        answer(match has_dma {
            Some(has_dma) => assign::give(hv, platform, slot, function, has_dma),
            None => assign::take(hv, platform, slot, function),
        })
    }

    /// PCIDEV_HOLDER.
    pub(super) fn pci_holder(&mut self) -> Result<Answer, HvError> {
        let mut args: PciDevHolder = self.op.args();
        let function = Function::new(args.bus, args.dev, args.func).ok_or(HvError::Invalid)?;
        if !pci::exists(self.cx.platform, function) {
            return Err(HvError::NoDevice);
        }
        let slot = self.cx.hv.given.holder(function).ok_or(HvError::NoData)?;
        let domain = self.cx.hv.domain_in(slot).ok_or(HvError::NoData)?;
        let mut held = domain.io.functions.iter();
        args.domain = WireId::new(domain.id.0);
        args.has_dma = held
            .any(|held| held.function() == function && held.has_dma())
            .into();
        self.op.set_args(&args);
        Ok(Answer::Results)
    }
}

/// A command that may pause finds by itself how far it came.
fn answer(done: Result<(), RightHalt>) -> Result<Answer, HvError> {
    match done {
        Ok(()) => Ok(Answer::Done),
        Err(RightHalt::Refused(why)) => Err(why),
        Err(RightHalt::Preempted) => Ok(Answer::Pause([0; 4])),
    }
}

fn flag(value: u32) -> Result<bool, HvError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(HvError::Invalid),
    }
}
