//! What several domains cost: making one, changing from one to another, and waking one; and that none of it grows with the
//! number of domains there are.

use core::fmt::{self, Display, Formatter};

use guest_abi::domain::DomId;
use guest_abi::domctl::{CPU_ANY, CreateDomain, DestroyDomain, Dom0Cmd, Dom0Op, Personality};
use guest_abi::event_channel::{EvtchnCmd, EvtchnOp, Send};
use guest_abi::start_info::StartInfo;
use mini_guest::hypercall;
use test_guests::pages;
use test_guests::small_domain::free_pages;

use crate::memory::Shared;
use crate::partner::{Partner, window};
use crate::routine::{ARGS, CREATE_DESTROY, Routine, SEND, WAKE, YIELD, print, print_of};

/// How many domains there are, Domain0 among them.
const CROWDS: [u32; 4] = [2, 10, 100, 1000];
/// Memory of a domain that is made and ended.
const MEMORY_KB: u64 = 4096;
/// Rounds of that.
const LIVES: u32 = 8;

static CREATE: Shared<Dom0Op> = Shared::new(NOTHING);
static DESTROY: Shared<Dom0Op> = Shared::new(NOTHING);
static EVENT: Shared<EvtchnOp> = Shared::new(EvtchnOp {
    cmd: EvtchnCmd::SEND,
    reserved: 0,
    u: [0; 24],
});
const NOTHING: Dom0Op = Dom0Op {
    cmd: Dom0Cmd::CREATEDOMAIN,
    interface_version: 0,
    u: [0; 72],
};

/// What is measured, and with how many domains.
struct Key(&'static str, u32);

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.0, self.1)
    }
}

/// Measures it all.
pub fn measure(start_info: &StartInfo, is_trace: bool) {
    pages::init(start_info);
    let partner = Partner::start(window());
    let port = partner.connect();
    let others = window();
    let mut domains = 2;
    for crowd in CROWDS {
        while domains < crowd {
            Partner::start(others);
            domains += 1;
        }
        life(crowd);
        switch(&partner, port, crowd);
        wake(&partner, port, crowd);
        if is_trace {
            break;
        }
    }
}

/// A domain of 4 MB made and ended.
fn life(crowd: u32) {
    let create = Dom0Op::new(&CreateDomain {
        memory_kb: MEMORY_KB,
        cpu: CPU_ANY,
        domain: DomId::DOM0,
        personality: Personality::V2,
    });
    let destroy = Dom0Op::new(&DestroyDomain {
        domain: DomId::DOM0,
        pad: 0,
    });
    ARGS.set([CREATE.set(create), DESTROY.set(destroy)]);
    let before = free_pages();
    let (full, empty) = CREATE_DESTROY;
    // SAFETY: the blocks are good ones, and only the domain that was made is ended.
    print_of(Key("create_destroy", crowd), 1, LIVES, |rounds| unsafe {
        (full(rounds), empty(rounds))
    });
    assert_eq!(free_pages(), before, "all that was made is gone");
}

/// To a domain that yields as we do, and back.
fn switch(partner: &Partner, port: u32, crowd: u32) {
    partner.set_advance(10);
    let wake = || {
        hypercall::event_channel_op(&Send { local_port: port }).expect("an open port");
    };
    partner.while_yielding(wake, || {
        in_turn(partner, Key("domain_switch", crowd), YIELD);
    });
}

/// An event to a domain that waits, which runs at once, and waits again.
fn wake(partner: &Partner, port: u32, crowd: u32) {
    // It has always used less than its share.
    partner.set_advance(1);
    let block = EVENT.set(EvtchnOp::new(&Send { local_port: port }));
    ARGS.set([block, partner.noted(), 0]);
    if crowd == CROWDS[0] {
        in_turn(partner, Key("block_wake", crowd), SEND);
    }
    let (full, empty) = WAKE;
    print(Key("event_wake", crowd), 1, |rounds| {
        let sum = |routine: Routine| {
            ARGS.set([block, partner.noted(), 0]);
            // SAFETY: the port is ours, and the place is the partner's.
            unsafe { routine(rounds) };
            u64::from(ARGS.get(2))
        };
        (sum(full), sum(empty))
    });
}

/// Measures something in each round of which the partner runs once: two changes from one domain to another.
fn in_turn(partner: &Partner, key: Key, (full, empty): (Routine, Routine)) {
    let (mut wanted, mut seen) = (0, 0);
    print(key, 2, |rounds| {
        let before = partner.rounds();
        // SAFETY: yielding changes nothing, and the port is ours.
        let full = unsafe { full(rounds) };
        (wanted, seen) = (rounds, partner.rounds().wrapping_sub(before));
        // SAFETY: as above.
        (full, unsafe { empty(rounds) })
    });
    assert_eq!(seen, wanted, "the other domain runs once a round");
}
