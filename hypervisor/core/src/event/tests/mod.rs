//! Event channels through call 16, as a guest uses them.

mod connect;
mod games;
mod lines;
mod ports;
mod raise;
mod storm;

use super::*;
use crate::{
    platform::{FrameMemory, InterruptLines},
    testing::{ARGS, World},
};
use guest_abi::{
    domain::DomId as WireId,
    errno::Errno,
    event_channel::{
        AllocUnbound, BindInterdomain, BindPirq, BindVirq, Close, EvtchnArgs, EvtchnCmd, EvtchnOp, PortState,
        Send, Status, Virq as WireVirq,
    },
    shared_info::offset,
};

const SELF: WireId = WireId::SELF;

/// Makes an event-channel call that must succeed and gives its block back.
#[track_caller]
fn op<A: EvtchnArgs>(world: &mut World, args: &A) -> A {
    world.write(ARGS, &EvtchnOp::new(args));
    assert_eq!(world.hypercall(16, [ARGS, 0, 0, 0, 0]), 0);
    world.read::<EvtchnOp>(ARGS).args()
}

#[track_caller]
fn refused<A: EvtchnArgs>(world: &mut World, args: &A, error: Errno) {
    world.write(ARGS, &EvtchnOp::new(args));
    world.refused(16, [ARGS, 0, 0, 0, 0], error);
}

fn unbound(world: &mut World, dom: WireId) -> u32 {
    op(world, &AllocUnbound { dom, pad: 0, port: 0 }).port
}

fn status_of(world: &mut World, port: u32) -> Status {
    op(
        world,
        &Status {
            dom: SELF,
            port,
            ..Status::default()
        },
    )
}

/// "Connect these two ports", each with its domain.
fn interdomain((dom1, port1): (WireId, u32), (dom2, port2): (WireId, u32)) -> BindInterdomain {
    BindInterdomain {
        dom1,
        dom2,
        port1,
        port2,
    }
}

/// Two connected ports of the only domain.
fn looped(world: &mut World) -> (u32, u32) {
    let bound = op(world, &interdomain((SELF, 0), (SELF, 0)));
    (bound.port1, bound.port2)
}

fn pending(world: &World, slot: usize, port: u32) -> bool {
    world.shared_u32(slot, offset::EVTCHN_PENDING + port as usize / 32 * 4) & 1 << (port % 32) != 0
}
