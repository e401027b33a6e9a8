//! Call 16: event channels.
//!
//! The numbers of virtual interrupts are this interface's ([`wire_virq`], [`core_virq`]); the core has names.
//! A command with results first proves that its block can be written, so that a port is never bound without
//! its owner knowing.
//!
//! Source: Xen 2.0 interface: do_event_channel_op.

use super::{Args, CallResult, finish};
use crate::{
    context::Context,
    domain::DomId,
    error::HvError,
    event::{self, Ends, PortStatus, Virq},
    guest_mem::GuestPtr,
    outcome::Outcome,
    platform::Platform,
};
use core::mem::offset_of;
use guest_abi::{
    domain::DomId as WireId,
    event_channel::{
        self as wire, AllocUnbound, BindInterdomain, BindPirq, BindVirq, Close, EvtchnArgs, EvtchnCmd,
        EvtchnOp, MAX_PIRQS, PIRQ_WILL_SHARE, PortState, Send, Status,
    },
    hypercall::CallNumber,
};

/// Call 16, `event_channel_op(block)`.
///
/// Those commands that a guest's drivers live by have their arguments in the block's first half: command and a zero
/// in its first 8 bytes, a port or a domain and a port in the next. Of the rest of the block they need to know
/// nothing.
///
/// # Errors
/// [`HvError::Fault`]; [`HvError::Invalid`] for a field that must be 0; [`HvError::NotImplemented`] for an unknown
/// command; each command's own ([`crate::event`]).
pub fn event_channel_op<P: Platform>(cx: &mut Context<'_, P>, [at, ..]: Args) -> CallResult {
    let block: GuestPtr<EvtchnOp> = GuestPtr::new(at)?;
    let [command, args] = block.field::<[u64; 2]>(0).read(cx.platform)?;
    match command {
        SEND => event::send(cx.hv, cx.platform, args as u32)?,
        ALLOC_UNBOUND => alloc_unbound(cx, block, args)?,
        CLOSE => close(cx, args)?,
        _ => rare(cx, block)?,
    }
    Ok(Outcome::Return(0))
}

/// The short way of [`event_channel_op`] for those commands.
#[inline(always)]
pub fn event_channel_op_quickly<P: Platform>(cx: &mut Context<'_, P>, [at, ..]: Args) -> Option<u32> {
    let block: GuestPtr<EvtchnOp> = GuestPtr::new(at).ok()?;
    let [command, args] = block.field::<[u64; 2]>(0).read(cx.platform).ok()?;
    match command {
        SEND => event::send(cx.hv, cx.platform, args as u32).ok().map(|()| 0),
        ALLOC_UNBOUND => Some(cx.out_of_line(move |cx| {
            let result = alloc_unbound(cx, block, args);
            eax(cx, result)
        })),
        CLOSE => Some(cx.out_of_line(move |cx| {
            let result = close(cx, args);
            eax(cx, result)
        })),
        _ => None,
    }
}

/// A command in the first 8 bytes of a block, and a zero.
const SEND: u64 = EvtchnCmd::SEND.raw() as u64;
const CLOSE: u64 = EvtchnCmd::CLOSE.raw() as u64;
const ALLOC_UNBOUND: u64 = EvtchnCmd::ALLOC_UNBOUND.raw() as u64;

#[inline(always)]
fn eax<P: Platform>(cx: &mut Context<'_, P>, result: Result<(), HvError>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(error) => finish(cx, CallNumber::EVENT_CHANNEL_OP.raw(), Err(error)),
    }
}

/// `alloc_unbound`. `args`: a domain in bits 15:0, zero in 31:16; the port goes behind them.
#[inline(always)]
fn alloc_unbound<P: Platform>(
    cx: &mut Context<'_, P>,
    block: GuestPtr<EvtchnOp>,
    args: u64,
) -> Result<(), HvError> {
    must_be_0((args >> 16) as u16)?;
    let platform = cx.platform;
    let port = block.field::<u32>(offset_of!(EvtchnOp, u) + offset_of!(AllocUnbound, port));
    event::alloc_unbound(cx.hv, platform, DomId(args as u16), move |n| {
        Ok(port.write(platform, &n)?)
    })
}

/// `close`. `args`: a domain in bits 15:0, zero in 31:16, a port in 63:32.
#[inline(always)]
fn close<P: Platform>(cx: &mut Context<'_, P>, args: u64) -> Result<(), HvError> {
    must_be_0((args >> 16) as u16)?;
    event::close(cx.hv, cx.platform, DomId(args as u16), (args >> 32) as u32)
}

fn rare<P: Platform>(cx: &mut Context<'_, P>, block: GuestPtr<EvtchnOp>) -> Result<(), HvError> {
    let op = block.read(cx.platform)?;
    if op.reserved != 0 {
        return Err(HvError::Invalid);
    }
    match op.cmd {
        EvtchnCmd::BIND_INTERDOMAIN => answer(cx, block, op, bind_interdomain),
        EvtchnCmd::BIND_VIRQ => answer(cx, block, op, bind_virq),
        EvtchnCmd::BIND_PIRQ => answer(cx, block, op, bind_pirq),
        EvtchnCmd::STATUS => answer(cx, block, op, status),
        _ => Err(HvError::NotImplemented),
    }
}

const _: () = assert!(
    offset_of!(EvtchnOp, u) == 8
        && offset_of!(Send, local_port) == 0
        && offset_of!(AllocUnbound, port) == 4
        && offset_of!(Close, port) == 4,
    "arguments as the call unpacks them"
);

/// Runs a command whose arguments `A` come back with results.
fn answer<P: Platform, A: EvtchnArgs>(
    cx: &mut Context<'_, P>,
    block: GuestPtr<EvtchnOp>,
    mut op: EvtchnOp,
    command: impl FnOnce(&mut Context<'_, P>, &mut A) -> Result<(), HvError>,
) -> Result<(), HvError> {
    block.write(cx.platform, &op)?;
    let mut args = op.args::<A>();
    command(cx, &mut args)?;
    op.set_args(&args);
    block.write(cx.platform, &op)?;
    Ok(())
}

fn id(wire: WireId) -> DomId {
    DomId(wire.raw())
}

fn bind_interdomain<P: Platform>(cx: &mut Context<'_, P>, args: &mut BindInterdomain) -> Result<(), HvError> {
    let ends = Ends {
        dom1: id(args.dom1),
        port1: args.port1,
        dom2: id(args.dom2),
        port2: args.port2,
    };
    let bound = event::bind_interdomain(cx.hv, cx.platform, ends)?;
    (args.port1, args.port2) = (bound.port1, bound.port2);
    Ok(())
}

fn bind_virq<P: Platform>(cx: &mut Context<'_, P>, args: &mut BindVirq) -> Result<(), HvError> {
    let Some(virq) = core_virq(args.virq)? else {
        args.port = 0;
        return Ok(());
    };
    args.port = event::bind_virq(cx.hv, cx.platform, virq)?;
    // What was typed before anybody listened is announced now: nothing else would.
    if virq == Virq::Console && cx.current_domain().is_privileged && cx.platform.has_console_input() {
        event::send_virq(cx.hv, cx.platform, cx.hv.current, virq);
    }
    Ok(())
}

fn bind_pirq<P: Platform>(cx: &mut Context<'_, P>, args: &mut BindPirq) -> Result<(), HvError> {
    if args.pirq >= MAX_PIRQS || args.flags & !PIRQ_WILL_SHARE != 0 {
        return Err(HvError::Invalid);
    }
    args.port = event::bind_pirq(cx.hv, cx.platform, args.pirq, args.flags == PIRQ_WILL_SHARE)?;
    Ok(())
}

fn status<P: Platform>(cx: &mut Context<'_, P>, args: &mut Status) -> Result<(), HvError> {
    must_be_0(args.pad)?;
    let (state, detail, remote_port) = match event::status(cx.hv, cx.platform, id(args.dom), args.port)? {
        PortStatus::Closed => (PortState::CLOSED, 0, 0),
        PortStatus::Unbound(remote) => (PortState::UNBOUND, u32::from(remote.0), 0),
        PortStatus::Interdomain(remote, port) => (PortState::INTERDOMAIN, u32::from(remote.0), port),
        PortStatus::Pirq(line) => (PortState::PIRQ, u32::from(line), 0),
        PortStatus::Virq(virq) => (PortState::VIRQ, wire_virq(virq).raw(), 0),
    };
    (args.state, args.detail, args.remote_port) = (state, detail, remote_port);
    Ok(())
}

fn must_be_0(pad: u16) -> Result<(), HvError> {
    if pad == 0 { Ok(()) } else { Err(HvError::Invalid) }
}

/// The virtual interrupt that a number of this interface means; `None` for the catch-all of port 0.
///
/// # Errors
/// [`HvError::Invalid`] for a number that means nothing.
pub fn core_virq(number: wire::Virq) -> Result<Option<Virq>, HvError> {
    Ok(Some(match number {
        wire::Virq::MISDIRECT => return Ok(None),
        wire::Virq::TIMER => Virq::Timer,
        wire::Virq::DEBUG => Virq::Debug,
        wire::Virq::CONSOLE => Virq::Console,
        wire::Virq::DOM_EXC => Virq::DomainException,
        wire::Virq::PARITY_ERR => Virq::ParityError,
        wire::Virq::IO_ERR => Virq::IoError,
        _ => return Err(HvError::Invalid),
    }))
}

/// The number of a virtual interrupt in this interface.
#[must_use]
pub const fn wire_virq(virq: Option<Virq>) -> wire::Virq {
    match virq {
        None => wire::Virq::MISDIRECT,
        Some(Virq::Timer) => wire::Virq::TIMER,
        Some(Virq::Debug) => wire::Virq::DEBUG,
        Some(Virq::Console) => wire::Virq::CONSOLE,
        Some(Virq::DomainException) => wire::Virq::DOM_EXC,
        Some(Virq::ParityError) => wire::Virq::PARITY_ERR,
        Some(Virq::IoError) => wire::Virq::IO_ERR,
    }
}
