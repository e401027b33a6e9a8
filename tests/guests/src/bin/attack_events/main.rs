//! Attack: event channels of others, ports that are not there, ports in every wrong state; from Domain0 and from domains
//! without privilege.
//!
//! Behind every refusal all three domains' ports are compared with what they were before.
//!
//! timeout: 300
//! mutant: mutant-port-owner
//! mutant: mutant-port-for-another
#![no_std]
#![no_main]

use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{
    AllocUnbound, EvtchnArgs, EvtchnCmd, EvtchnOp, MAX_PORTS, PortState, Send, Status, Virq,
};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::Pte;
use guest_abi::start_info::StartInfo;
use test_guests::pages::READ_ONLY;
use test_guests::puppet::{DATA, Puppet};
use test_guests::small_domain::free_pages;
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, report};

mod commands;
mod ends;

use commands::{alloc, by, by_dom0, close, connect, pirq, status, virq};
use ends::{all_ports, closing_while_sending, death, is_pending};

test_guests::entry!(main);

const NOBODY: DomId = DomId::new(77);
/// Numbers that are no port.
const NO_PORTS: [u32; 5] = [MAX_PORTS, MAX_PORTS + 1, 0x1_0001, 0x8000_0000, u32::MAX];
/// A port that exists from the start and is not used.
const FREE: u32 = 15;

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let free = free_pages();
    let (one, other) = (Puppet::new(|_| ()), Puppet::new(|_| ()));
    let scene = Scene::new(one, other);
    scene.hostile(|args| by(one, args));
    scene.others_by_number(one);
    scene.interrupts(one);
    scene.unreadable(one);
    scene.privileged();
    all_ports(|args| by(one, args), one.id);
    all_ports(by_dom0, DomId::DOM0);
    closing_while_sending(one, other);
    death(one, other);
    one.end();
    // What Domain0's own ports have grown into stays with it.
    check!(
        free - free_pages() <= 1,
        "{free} pages were free, {} are",
        free_pages()
    );
    report::success()
}

/// Two domains without privilege, with ports in every state.
#[derive(Clone, Copy)]
struct Scene {
    one: Puppet,
    other: Puppet,
    /// Of the first: waits for the other; connected to Domain0's [`Self::dom0_connected`]; the timer's.
    waiting: u32,
    connected: u32,
    timer: u32,
    /// Of the other: waits for Domain0; connected to Domain0.
    others_waiting: u32,
    others_connected: u32,
    /// Domain0's: connected to the first; waits for the other.
    dom0_connected: u32,
    dom0_waiting: u32,
}

impl Scene {
    fn new(one: Puppet, other: Puppet) -> Self {
        let of = |result: Result<AllocUnbound, Errno>| result.expect("a port").port;
        let connect_to_dom0 = |puppet: Puppet| {
            let waits = of(hypercall::event_channel_op(&alloc(puppet.id)));
            let bound = puppet.event_op(&connect(DomId::SELF, 0, DomId::DOM0, waits));
            (bound.expect("a connection").port1, waits)
        };
        let waiting = of(one.event_op(&alloc(other.id)));
        let (connected, dom0_connected) = connect_to_dom0(one);
        let (others_connected, _) = connect_to_dom0(other);
        Self {
            one,
            other,
            waiting,
            connected,
            timer: one.event_op(&virq(Virq::TIMER.raw())).expect("the timer").port,
            others_waiting: of(other.event_op(&alloc(DomId::DOM0))),
            others_connected,
            dom0_connected,
            dom0_waiting: of(hypercall::event_channel_op(&alloc(other.id))),
        }
    }

    /// What all ports are, in one number.
    fn books(self) -> u64 {
        let mut sum = 0xCBF2_9CE4_8422_2325;
        for dom in [DomId::DOM0, self.one.id, self.other.id] {
            for port in (0..80).chain([MAX_PORTS - 1]) {
                // A table has as many ports as were ever used, doubled.
                let found = status(dom, port).unwrap_or_default();
                for word in [found.state.raw(), found.detail, found.remote_port] {
                    sum = (sum ^ u64::from(word)).wrapping_mul(0x100_0000_01B3);
                }
            }
        }
        sum
    }

    /// `caller`'s command must be refused with `error`, and nothing change.
    #[track_caller]
    fn refused<A: EvtchnArgs>(
        self,
        caller: impl Fn(EvtchnOp) -> Result<EvtchnOp, Errno>,
        args: &A,
        error: Errno,
    ) {
        let books = self.books();
        let op = EvtchnOp::new(args);
        let answer = caller(op).map(|_| ());
        check_eq!(answer, Err(error), "{op:x?}");
        check_eq!(self.books(), books, "{op:x?} changed something");
        let mut wide = op;
        wide.reserved = 1;
        check_eq!(caller(wide).map(|_| ()), Err(Errno::Inval), "reserved bits");
    }

    /// What the first domain must be refused, and nobody's business.
    fn hostile(self, caller: impl Fn(EvtchnOp) -> Result<EvtchnOp, Errno> + Copy) {
        const ME: DomId = DomId::SELF;
        let (own, other) = (self.one.id, self.other.id);
        for nobody in [
            NOBODY,
            DomId::new(1024),
            DomId::IO,
            DomId::XEN,
            DomId::new(0xFFFF),
        ] {
            self.refused(caller, &alloc(nobody), Errno::Srch);
            self.refused(caller, &connect(ME, 0, nobody, 1), Errno::Srch);
            // Whether there is such a domain is not told either.
            self.refused(caller, &connect(nobody, 0, ME, self.waiting), Errno::Perm);
            self.refused(caller, &close(nobody, 1), Errno::Perm);
        }
        for port in NO_PORTS {
            self.refused(caller, &Send { local_port: port }, Errno::Inval);
            self.refused(caller, &close(ME, port), Errno::Inval);
            self.refused(caller, &connect(ME, port, other, 1), Errno::Inval);
            self.refused(caller, &connect(ME, 0, other, port), Errno::Inval);
            self.refused(caller, &connect(own, port, own, port), Errno::Inval);
            let ask = Status {
                dom: ME,
                port,
                ..Status::default()
            };
            self.refused(caller, &ask, Errno::Inval);
        }
        // Ports in the wrong state: always there, free, waiting, a virtual interrupt's.
        for port in [0, FREE, self.waiting, self.timer] {
            self.refused(caller, &Send { local_port: port }, Errno::Inval);
        }
        for port in [0, FREE] {
            self.refused(caller, &close(own, port), Errno::Inval);
        }
        for port1 in [self.timer, self.connected, self.waiting] {
            self.refused(
                caller,
                &connect(ME, port1, DomId::DOM0, self.dom0_waiting),
                Errno::Inval,
            );
        }
        self.refused(caller, &connect(ME, self.waiting, ME, self.waiting), Errno::Inval);
        for number in [7, 8, 0x100, 0x8000_0001, u32::MAX] {
            self.refused(caller, &virq(number), Errno::Inval);
        }
        for command in [7, 8, 0x8000_0000, u32::MAX] {
            let mut op = EvtchnOp::new(&Send {
                local_port: self.connected,
            });
            op.cmd = EvtchnCmd::new(command);
            check_eq!(caller(op).map(|_| ()), Err(Errno::NoSys));
        }
    }

    /// Ports of others.
    fn others_by_number(self, puppet: Puppet) {
        const ME: DomId = DomId::SELF;
        let caller = |op| by(puppet, op);
        for victim in [self.other.id, DomId::DOM0] {
            for port in [
                0,
                1,
                self.others_waiting,
                self.others_connected,
                FREE,
                MAX_PORTS,
                u32::MAX,
            ] {
                self.refused(caller, &close(victim, port), Errno::Perm);
                self.refused(caller, &connect(victim, port, ME, self.waiting), Errno::Perm);
                self.refused(caller, &connect(victim, port, victim, 0), Errno::Perm);
                let ask = Status {
                    dom: victim,
                    port,
                    ..Status::default()
                };
                self.refused(caller, &ask, Errno::Perm);
            }
            // A new port there, by no number and by one that is free.
            for port in [0, FREE] {
                self.refused(caller, &connect(ME, 0, victim, port), Errno::Perm);
                self.refused(
                    caller,
                    &connect(ME, self.waiting, self.other.id, port),
                    Errno::Perm,
                );
            }
        }
        // Ports that wait for somebody else, or that somebody else is connected to.
        for (victim, port) in [
            (self.other.id, self.others_waiting),
            (self.other.id, self.others_connected),
            (DomId::DOM0, self.dom0_waiting),
        ] {
            self.refused(caller, &connect(ME, 0, victim, port), Errno::Inval);
        }
        // What is connected as asked is a success, and no second connection.
        let books = self.books();
        let again = puppet.event_op(&connect(ME, self.connected, DomId::DOM0, 0));
        check_eq!(again.map(|ends| ends.port2), Ok(self.dom0_connected));
        check_eq!(self.books(), books);
        self.refused(
            caller,
            &connect(ME, self.connected, DomId::DOM0, self.dom0_waiting),
            Errno::Inval,
        );
    }

    /// Virtual and physical interrupts.
    fn interrupts(self, puppet: Puppet) {
        let caller = |op| by(puppet, op);
        let books = self.books();
        let twice = puppet.event_op(&virq(Virq::TIMER.raw()));
        check_eq!(twice.map(|bound| bound.port), Ok(self.timer), "bound once");
        let none = puppet.event_op(&virq(Virq::MISDIRECT.raw()));
        check_eq!(none.map(|bound| bound.port), Ok(0));
        check_eq!(self.books(), books);
        for line in 0..128 {
            for flags in [0, 1] {
                check_eq!(
                    puppet.event_op(&pirq(line, flags)).err(),
                    Some(Errno::Perm),
                    "line {line}"
                );
            }
        }
        for (line, flags) in [(128, 0), (u32::MAX, 0), (5, 2), (5, u32::MAX)] {
            self.refused(caller, &pirq(line, flags), Errno::Inval);
        }
    }

    /// A block that takes no answer: nothing is bound.
    fn unreadable(self, puppet: Puppet) {
        let books = self.books();
        let data = puppet.show(6);
        let ops = [
            EvtchnOp::new(&virq(Virq::DEBUG.raw())),
            EvtchnOp::new(&alloc(self.other.id)),
            EvtchnOp::new(&connect(DomId::SELF, 0, DomId::SELF, self.waiting)),
        ];
        check_eq!(puppet.remap(6, Pte::new(puppet.frames[6], READ_ONLY)), Ok(()));
        for op in ops {
            for (at, byte) in (data.0..).zip(zerocopy::IntoBytes::as_bytes(&op)) {
                // SAFETY: the puppet's page is shown there.
                unsafe { (at as *mut u8).write_volatile(*byte) };
            }
            let call = |at| puppet.call(CallNumber::EVENT_CHANNEL_OP, &[at]);
            check_eq!(call(DATA), Err(Errno::Fault), "{op:x?}");
            for at in [0, 0xFBFF_FFF0, 0xFC00_0000, u32::MAX - 3] {
                check_eq!(call(at), Err(Errno::Fault));
            }
        }
        check_eq!(self.books(), books);
    }

    /// Domain0 may name ports of others, and is refused what makes no sense.
    fn privileged(self) {
        let (one, other) = (self.one.id, self.other.id);
        for port in NO_PORTS {
            for dom in [one, other, DomId::DOM0] {
                self.refused(by_dom0, &close(dom, port), Errno::Inval);
                self.refused(by_dom0, &connect(dom, port, one, 0), Errno::Inval);
                self.refused(by_dom0, &connect(one, 0, dom, port), Errno::Inval);
            }
            self.refused(by_dom0, &Send { local_port: port }, Errno::Inval);
        }
        for nobody in [NOBODY, DomId::IO, DomId::XEN] {
            self.refused(by_dom0, &alloc(nobody), Errno::Srch);
            self.refused(by_dom0, &close(nobody, 1), Errno::Srch);
            self.refused(by_dom0, &connect(nobody, 0, one, 0), Errno::Srch);
            self.refused(by_dom0, &connect(one, 0, nobody, 0), Errno::Srch);
            check_eq!(status(nobody, 1).err(), Some(Errno::Srch));
        }
        // Its own ports on both sides of a connection of two others; busy ones.
        self.refused(
            by_dom0,
            &connect(one, self.connected, other, self.others_connected),
            Errno::Inval,
        );
        self.refused(by_dom0, &connect(one, self.timer, other, 0), Errno::Inval);
        self.refused(
            by_dom0,
            &connect(other, 0, DomId::DOM0, self.dom0_connected),
            Errno::Inval,
        );
        let books = self.books();
        let made = hypercall::event_channel_op(&connect(one, 0, other, 0)).expect("Domain0 connects others");
        let found = status(one, made.port1).expect("a port");
        check_eq!(
            (found.state, found.detail, found.remote_port),
            (PortState::INTERDOMAIN, other.raw().into(), made.port2)
        );
        check_eq!(
            self.one
                .event_op(&Send {
                    local_port: made.port1
                })
                .map(drop),
            Ok(())
        );
        check!(is_pending(self.other, made.port2), "the other end hears it");
        for (dom, port) in [(one, made.port1), (other, made.port2)] {
            check_eq!(hypercall::event_channel_op(&close(dom, port)).map(drop), Ok(()));
            self.refused(by_dom0, &close(dom, port), Errno::Inval);
        }
        check!(
            !is_pending(self.other, made.port2),
            "a closed port's event is gone"
        );
        check_eq!(self.books(), books, "made and closed");
    }
}
