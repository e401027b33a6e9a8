//! Event channels.

use core::sync::atomic::Ordering;

use guest_abi::domain::DomId;
use guest_abi::event_channel::{AllocUnbound, BindInterdomain, Close, EvtchnOp, Send};
use guest_abi::segment::Selector;
use guest_abi::shared_info::offset;
use mini_guest::{events, hypercall, shared, traps};

use crate::memory::Shared;
use crate::routine::{ALLOC_CLOSE, ARGS, SEND_DELIVERED, SEND_MASKED, measure as cost};

unsafe extern "C" {
    safe fn bench_on_plain();
}

static BLOCKS: [Shared<EvtchnOp>; 2] = [const {
    Shared::new(EvtchnOp {
        cmd: guest_abi::event_channel::EvtchnCmd::SEND,
        reserved: 0,
        u: [0; 24],
    })
}; 2];

/// Measures them.
pub fn measure() {
    let unbound = AllocUnbound {
        dom: DomId::SELF,
        pad: 0,
        port: 0,
    };
    let close = Close {
        dom: DomId::SELF,
        pad: 0,
        port: 0,
    };
    ARGS.set([
        BLOCKS[0].set(EvtchnOp::new(&unbound)),
        BLOCKS[1].set(EvtchnOp::new(&close)),
    ]);
    // SAFETY: the blocks are good ones, and only the port opened is closed.
    unsafe { cost("event_alloc_close", ALLOC_CLOSE, 1) };

    let far = hypercall::event_channel_op(&unbound).expect("a free port").port;
    let near = hypercall::event_channel_op(&BindInterdomain {
        dom1: DomId::SELF,
        dom2: DomId::SELF,
        port1: 0,
        port2: far,
    })
    .expect("a loop back to ourselves")
    .port1;
    shared::set_port_mask(far, false);
    let callback = (Selector::FLAT_RING1_CS, bench_on_plain as *const () as u32);
    hypercall::set_callbacks(callback, callback).expect("good callbacks");
    let page = shared::address().raw();
    let pending = page + offset::EVTCHN_PENDING as u32 + far / 32 * 4;
    ARGS.set([
        BLOCKS[0].set(EvtchnOp::new(&Send { local_port: near })),
        pending,
        page,
    ]);
    // SAFETY: the port is ours, and its callback does nothing.
    unsafe {
        cost("event_send_masked", SEND_MASKED, 1);
        cost("event_send_delivered", SEND_DELIVERED, 1);
    }
    shared::upcall_mask().store(1, Ordering::SeqCst);
    events::poll(|_| ());
    for port in [near, far] {
        events::close(port).expect("an open port");
    }
    traps::init().expect("the kernel's own callbacks");
}
