//! Call 16, event channels, and the numbers of virtual interrupts.
//!
//! The call takes a pointer to an [`EvtchnOp`]: a command and 24 bytes that are laid out by the command. Each
//! layout is a type here that implements [`EvtchnArgs`]; [`EvtchnOp::new`] packs one and [`EvtchnOp::args`]
//! reads it back. Results are written back on success only. Delivery is by the bits in
//! [`shared_info`](crate::shared_info).
//!
//! Source: Xen 2.0, `public/event_channel.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::domain::DomId;

/// Most ports a domain can have. Port 0 is bound to [`Virq::MISDIRECT`] and never allocated or closed.
pub const MAX_PORTS: u32 = 1024;
/// Physical interrupt lines that can be bound.
pub const MAX_PIRQS: u32 = 128;
/// Flag of [`BindPirq`]: others may bind the line too, if they say the same.
pub const PIRQ_WILL_SHARE: u32 = 1 << 0;

open_number! {
    /// Command of an [`EvtchnOp`] (`EVTCHNOP_*`).
    EvtchnCmd: u32 {
        /// Connect two ports ([`BindInterdomain`]).
        BIND_INTERDOMAIN = 0, "bind_interdomain";
        /// Receive a virtual interrupt ([`BindVirq`]).
        BIND_VIRQ = 1, "bind_virq";
        /// Receive a physical interrupt ([`BindPirq`]).
        BIND_PIRQ = 2, "bind_pirq";
        /// Free a port; its pending and mask bits are cleared ([`Close`]).
        CLOSE = 3, "close";
        /// Set the peer's pending bit ([`Send`]).
        SEND = 4, "send";
        /// Ask about a port ([`Status`]).
        STATUS = 5, "status";
        /// Allocate a port that a domain may connect to ([`AllocUnbound`]).
        ALLOC_UNBOUND = 6, "alloc_unbound";
    }
}

open_number! {
    /// A virtual interrupt of this interface (`VIRQ_*`).
    Virq: u32 {
        /// Catch-all on port 0 for virtual interrupts that are not bound.
        MISDIRECT = 0, "misdirect";
        /// The one-shot timer expired, or the domain was scheduled in; the time record is fresh.
        TIMER = 1, "timer";
        /// The operator asks for a dump.
        DEBUG = 2, "debug";
        /// Console input is there (Domain0).
        CONSOLE = 3, "console";
        /// Some domain crashed or shut down (Domain0).
        DOM_EXC = 4, "dom_exc";
        /// An NMI for memory parity (Domain0).
        PARITY_ERR = 5, "parity_err";
        /// An NMI for an I/O check (Domain0).
        IO_ERR = 6, "io_err";
    }
}

/// How many virtual interrupts there are.
pub const NR_VIRQS: usize = Virq::ALL.len();

open_number! {
    /// State of a port, as [`Status`] tells it (`EVTCHNSTAT_*`).
    PortState: u32 {
        /// Free.
        CLOSED = 0, "closed";
        /// Waits for a domain to connect.
        UNBOUND = 1, "unbound";
        /// Connected.
        INTERDOMAIN = 2, "interdomain";
        /// Bound to a physical interrupt.
        PIRQ = 3, "pirq";
        /// Bound to a virtual interrupt.
        VIRQ = 4, "virq";
    }
}

/// The argument block of call 16 (`evtchn_op_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EvtchnOp {
    /// The command.
    pub cmd: EvtchnCmd,
    /// Must be 0.
    pub reserved: u32,
    /// The command's arguments.
    pub u: [u8; 24],
}

layout!(EvtchnOp, size 32, cmd @ 0, reserved @ 4, u @ 8);

command_block!(EvtchnOp, EvtchnArgs, EvtchnCmd);

/// `bind_interdomain`: connects `port1` of `dom1` with `port2` of `dom2`. A port of 0 asks for a new one.
/// −EPERM, −EINVAL, −ESRCH, −ENOSPC, −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindInterdomain {
    /// One end; itself, for an unprivileged caller.
    pub dom1: DomId,
    /// The other end.
    pub dom2: DomId,
    /// *In/out*: port at `dom1`.
    pub port1: u32,
    /// *In/out*: port at `dom2`.
    pub port2: u32,
}

layout!(BindInterdomain, size 12, dom1 @ 0, dom2 @ 2, port1 @ 4, port2 @ 8);

/// `bind_virq`: a virtual interrupt already bound answers with its port. −EINVAL, −ENOSPC, −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindVirq {
    /// Which one.
    pub virq: Virq,
    /// *Out*: the port.
    pub port: u32,
}

layout!(BindVirq, size 8, virq @ 0, port @ 4);

/// `bind_pirq`: starts the line and directs it to the caller. −EINVAL, −EPERM, −EBUSY, −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindPirq {
    /// The line.
    pub pirq: u32,
    /// 0 or [`PIRQ_WILL_SHARE`].
    pub flags: u32,
    /// *Out*: the port.
    pub port: u32,
}

layout!(BindPirq, size 12, pirq @ 0, flags @ 4, port @ 8);

/// `close`: −EPERM, −ESRCH (other domain), −EINVAL (port 0, beyond the table, or free).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Close {
    /// Whose port.
    pub dom: DomId,
    /// Must be 0.
    pub pad: u16,
    /// The port.
    pub port: u32,
}

layout!(Close, size 8, dom @ 0, port @ 4);

/// `send`: −EINVAL unless the port is one of the caller's that is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Send {
    /// The caller's end.
    pub local_port: u32,
}

layout!(Send, size 4, local_port @ 0);

/// `status`: −EPERM, −ESRCH (other domain), −EINVAL (beyond the table).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Status {
    /// Whose port.
    pub dom: DomId,
    /// Must be 0.
    pub pad: u16,
    /// The port.
    pub port: u32,
    /// *Out*: its state; what follows depends on it and is 0 where it has no meaning.
    pub state: PortState,
    /// *Out*: a [`DomId`] in bits 15:0 (unbound: who may connect; interdomain: the peer), a line (pirq), or a
    /// number (virq).
    pub detail: u32,
    /// *Out*: the peer's port (interdomain).
    pub remote_port: u32,
}

layout!(Status, size 20, dom @ 0, port @ 4, state @ 8, detail @ 12, remote_port @ 16);

/// `alloc_unbound`: a port on the caller that `dom` may connect to. −ESRCH, −ENOSPC, −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AllocUnbound {
    /// Who may connect; [`DomId::SELF`] is the caller.
    pub dom: DomId,
    /// Must be 0.
    pub pad: u16,
    /// *Out*: the port.
    pub port: u32,
}

layout!(AllocUnbound, size 8, dom @ 0, port @ 4);

command_args! {
    EvtchnArgs, EvtchnCmd, EvtchnOp:
    BindInterdomain = BIND_INTERDOMAIN,
    BindVirq = BIND_VIRQ,
    BindPirq = BIND_PIRQ,
    Close = CLOSE,
    Send = SEND,
    Status = STATUS,
    AllocUnbound = ALLOC_UNBOUND,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_the_block() {
        let args = BindInterdomain {
            dom1: DomId::SELF,
            dom2: DomId::DOM0,
            port1: 5,
            port2: 1023,
        };
        let mut op = EvtchnOp::new(&args);
        assert_eq!(op.cmd, EvtchnCmd::BIND_INTERDOMAIN);
        assert_eq!(op.args::<BindInterdomain>(), args);
        assert_eq!(&op.as_bytes()[8..12], &[0xF0, 0x7F, 0, 0]);

        op.set_args(&BindInterdomain { port1: 9, ..args });
        assert_eq!(op.args::<BindInterdomain>().port1, 9);
        assert_eq!(&op.u[12..], &[0; 12]);
    }

    #[test]
    fn status_has_the_offsets_of_the_old_unions() {
        let op = EvtchnOp::new(&Status {
            state: PortState::INTERDOMAIN,
            detail: 3,
            remote_port: 4,
            ..Status::default()
        });
        let bytes = op.as_bytes();
        assert_eq!((bytes[16], bytes[20], bytes[24]), (2, 3, 4));
    }
}
