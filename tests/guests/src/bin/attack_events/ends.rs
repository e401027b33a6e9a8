//! Every port there is, ends closed while the other end is used, and the death of a domain.

use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{AllocUnbound, EvtchnOp, MAX_PORTS, PortState, Send, Virq};
use guest_abi::shared_info::offset;
use test_guests::pages::peek32;
use test_guests::puppet::{Puppet, WORDS};
use test_guests::{check, check_eq, guest_abi, hypercall};

use crate::commands::{alloc, close, connect, status, virq};

/// How often an end is closed and connected again.
const ROUNDS: u32 = 500;

/// Whether `port` of a puppet is pending.
pub fn is_pending(puppet: Puppet, port: u32) -> bool {
    let word = puppet.shared().0 + (offset::EVTCHN_PENDING as u32) + port / 32 * 4;
    peek32(word) >> (port % 32) & 1 != 0
}

/// Takes every port there is, and gives them all back.
pub fn all_ports(caller: impl Fn(EvtchnOp) -> Result<EvtchnOp, Errno>, id: DomId) {
    let used = |port: &u32| status(id, *port).is_ok_and(|found| found.state != PortState::CLOSED);
    let before = (0..MAX_PORTS).filter(used).count() as u32;
    let make = || caller(EvtchnOp::new(&alloc(DomId::SELF))).map(|op| op.args::<AllocUnbound>().port);
    let mut taken = [false; MAX_PORTS as usize];
    for _ in before..MAX_PORTS {
        let port = make().expect("a free port");
        check!(port < MAX_PORTS && !taken[port as usize], "port {port}");
        taken[port as usize] = true;
    }
    for _ in 0..3 {
        check_eq!(make(), Err(Errno::NoSpc));
        for args in [
            EvtchnOp::new(&virq(Virq::PARITY_ERR.raw())),
            EvtchnOp::new(&connect(DomId::SELF, 0, DomId::SELF, 0)),
        ] {
            check_eq!(caller(args).map(|_| ()), Err(Errno::NoSpc));
        }
    }
    // One is free again, and only that one.
    let give = |port| caller(EvtchnOp::new(&close(DomId::SELF, port))).map(|_| ());
    let middle = (500..MAX_PORTS)
        .find(|&port| taken[port as usize])
        .expect("a port above 500");
    check_eq!(give(middle), Ok(()));
    check_eq!(make(), Ok(middle));
    check_eq!(make(), Err(Errno::NoSpc));
    for port in (0..MAX_PORTS).filter(|&port| taken[port as usize]) {
        check_eq!(give(port), Ok(()));
    }
    check_eq!(
        (0..MAX_PORTS).filter(used).count() as u32,
        before,
        "all are given back"
    );
}

/// One sends without end while the other closes its end and connects it again; every step is a chance for the other.
pub fn closing_while_sending(one: Puppet, other: Puppet) {
    let waits = one.event_op(&alloc(other.id)).expect("a port").port;
    let bound = other
        .event_op(&connect(DomId::SELF, 0, one.id, waits))
        .expect("a connection");
    let (close_block, connect_block, send_block) = (64, 80, 96);
    let put = |puppet: Puppet, at: u32, op: EvtchnOp| {
        for (n, word) in zerocopy::IntoBytes::as_bytes(&op).chunks_exact(4).enumerate() {
            let word = u32::from_le_bytes(word.try_into().expect("4 bytes"));
            puppet.set_word(at + n as u32, word);
        }
    };
    put(one, send_block, EvtchnOp::new(&Send { local_port: waits }));
    put(
        other,
        close_block,
        EvtchnOp::new(&close(DomId::SELF, bound.port1)),
    );
    put(
        other,
        connect_block,
        EvtchnOp::new(&connect(DomId::SELF, bound.port1, one.id, waits)),
    );
    for puppet in [one, other] {
        puppet.set_word(0, ROUNDS);
        puppet.set_word(1, 0);
        puppet.set_word(2, 0);
    }
    other.start(close_and_connect);
    one.start(send);
    check!(one.first_ended().trap().is_none() && other.first_ended().trap().is_none());
    let (accepted, refused) = (one.word(1), one.word(2));
    check_eq!(accepted + refused, ROUNDS);
    check!(
        accepted > 0 && refused > 0,
        "{accepted} accepted, {refused} refused"
    );
    check_eq!(
        (other.word(1), other.word(2)),
        (2 * ROUNDS, 0),
        "each close and each connection"
    );
    // And still connected.
    check_eq!(
        hypercall::event_channel_op(&close(other.id, bound.port1)).map(drop),
        Ok(())
    );
    check!(!is_pending(other, bound.port1));
    check_eq!(
        one.event_op(&Send { local_port: waits }).map(drop),
        Err(Errno::Inval)
    );
    check_eq!(
        other
            .event_op(&connect(DomId::SELF, bound.port1, one.id, waits))
            .map(drop),
        Ok(())
    );
    check!(!is_pending(other, bound.port1), "no event of before");
    check_eq!(one.event_op(&Send { local_port: waits }).map(drop), Ok(()));
    check!(is_pending(other, bound.port1));
}

/// Sends so many times, and counts; yields in between.
#[unsafe(naked)]
extern "C" fn send() {
    core::arch::naked_asm!(
        "2:",
        "mov ebx, {block} + 4 * 96",
        "mov eax, 16",
        "int 0x82",
        "cmp eax, 0",
        "je 3f",
        "inc dword ptr [{block} + 8]",
        "jmp 4f",
        "3:",
        "inc dword ptr [{block} + 4]",
        "4:",
        "mov eax, 6",
        "xor ebx, ebx",
        "int 0x82",
        "dec dword ptr [{block}]",
        "jnz 2b",
        "ret",
        block = const WORDS,
    )
}

/// Closes and connects so many times, and counts; yields in between.
#[unsafe(naked)]
extern "C" fn close_and_connect() {
    core::arch::naked_asm!(
        "2:",
        "mov edi, {block} + 4 * 64",
        "3:",
        "mov ebx, edi",
        "mov eax, 16",
        "int 0x82",
        "cmp eax, 0",
        "je 4f",
        "inc dword ptr [{block} + 8]",
        "jmp 5f",
        "4:",
        "inc dword ptr [{block} + 4]",
        "5:",
        "mov eax, 6",
        "xor ebx, ebx",
        "int 0x82",
        "add edi, 4 * 16",
        "cmp edi, {block} + 4 * 96",
        "jne 3b",
        "dec dword ptr [{block}]",
        "jnz 2b",
        "ret",
        block = const WORDS,
    )
}

/// The end of a domain that others are connected to and wait for.
pub fn death(one: Puppet, other: Puppet) {
    let waits = one.event_op(&alloc(other.id)).expect("a port").port;
    let talks = one.event_op(&alloc(other.id)).expect("a port").port;
    let bound = other.event_op(&connect(DomId::SELF, 0, one.id, talks));
    check!(bound.is_ok());
    let gone = other.id;
    let pages = other.end();
    for port in [waits, talks] {
        check_eq!(
            one.event_op(&Send { local_port: port }).map(drop),
            Err(Errno::Inval)
        );
    }
    check_eq!(one.event_op(&alloc(gone)).map(drop), Err(Errno::Srch));
    check_eq!(
        one.event_op(&connect(DomId::SELF, waits, gone, 0)).map(drop),
        Err(Errno::Srch)
    );
    // Who comes after it is somebody else.
    let next = Puppet::at(pages.0, pages.1, |_| ());
    for port in 1..64 {
        let found = status(next.id, port).unwrap_or_default();
        check_eq!(found.state, PortState::CLOSED);
    }
    if next.id != gone {
        for port in [waits, talks] {
            check_eq!(
                next.event_op(&connect(DomId::SELF, 0, one.id, port)).map(drop),
                Err(Errno::Inval)
            );
        }
    }
    for port in [waits, talks] {
        check_eq!(one.event_op(&close(DomId::SELF, port)).map(drop), Ok(()));
    }
    next.end();
}
