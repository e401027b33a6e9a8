//! Commands, and who makes the call.

use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindPirq, BindVirq, Close, EvtchnOp, Status, Virq,
};
use guest_abi::hypercall::CallNumber;
use test_guests::puppet::Puppet;
use test_guests::{guest_abi, hypercall};

/// The command with its answer in place, by a puppet.
pub fn by(puppet: Puppet, op: EvtchnOp) -> Result<EvtchnOp, Errno> {
    let at = puppet.put(&op);
    puppet.call(CallNumber::EVENT_CHANNEL_OP, &[at])?;
    Ok(puppet.get())
}

/// The same by Domain0.
pub fn by_dom0(mut op: EvtchnOp) -> Result<EvtchnOp, Errno> {
    test_guests::raw::call(CallNumber::EVENT_CHANNEL_OP, &[&raw mut op as u32])?;
    Ok(op)
}

pub const fn alloc(dom: DomId) -> AllocUnbound {
    AllocUnbound { dom, pad: 0, port: 0 }
}

pub const fn connect(dom1: DomId, port1: u32, dom2: DomId, port2: u32) -> BindInterdomain {
    BindInterdomain {
        dom1,
        dom2,
        port1,
        port2,
    }
}

pub const fn close(dom: DomId, port: u32) -> Close {
    Close { dom, pad: 0, port }
}

pub const fn pirq(pirq: u32, flags: u32) -> BindPirq {
    BindPirq { pirq, flags, port: 0 }
}

pub const fn virq(number: u32) -> BindVirq {
    BindVirq {
        virq: Virq::new(number),
        port: 0,
    }
}

pub fn status(dom: DomId, port: u32) -> Result<Status, Errno> {
    hypercall::event_channel_op(&Status {
        dom,
        port,
        ..Status::default()
    })
}
