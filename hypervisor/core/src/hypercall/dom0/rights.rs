//! What of the machine a domain may touch.

use super::{Answer, Command, must_be_0};
use crate::{
    error::HvError,
    event, io_rights,
    pci::{Function, assign},
    platform::Platform,
};
use guest_abi::domctl::{IoMemPermission, IoPortPermission, IrqPermission, PciDevAccess};

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
        io_rights::allow_frames(self.cx.hv, slot, frames, is_given)?;
        Ok(Answer::Done)
    }

    /// IRQ_PERMISSION.
    pub(super) fn line_permission(&mut self) -> Result<Answer, HvError> {
        let args: IrqPermission = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let is_given = flag(args.allow.into())?;
        let slot = self.slot(args.domain)?;
        if args.irq >= io_rights::LINES || self.cx.hv.lines.is_own(args.irq as u8) {
            return Err(HvError::Invalid);
        }
        let lines = &mut self.domain(slot)?.io.lines;
        if is_given {
            *lines |= 1 << args.irq;
        } else {
            *lines &= !(1 << args.irq);
            event::close_line(self.cx.hv, self.cx.platform, slot, args.irq as u8);
        }
        Ok(Answer::Done)
    }

    /// PCIDEV_ACCESS: a function with its ports, frames and line.
    pub(super) fn pci_access(&mut self) -> Result<Answer, HvError> {
        let args: PciDevAccess = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let is_given = flag(args.allow)?;
        let slot = self.slot(args.domain)?;
        let function = Function::new(args.bus, args.dev, args.func).ok_or(HvError::Invalid)?;
        let (hv, platform) = (&mut *self.cx.hv, self.cx.platform);
        if is_given {
            assign::give(hv, platform, slot, function)?;
        } else {
            assign::take(hv, platform, slot, function);
        }
        Ok(Answer::Done)
    }
}

fn flag(value: u32) -> Result<bool, HvError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(HvError::Invalid),
    }
}
