//! A life, step by step: created, built, filled, with pages that go both ways, ports, tables; it waits, and comes to its end.

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::DomainFlags;
use guest_abi::event_channel::{AllocUnbound, BindInterdomain, BindVirq, EvtchnArgs, EvtchnOp, Send, Virq};
use guest_abi::grant_table::{GrantFlags, MapFlags};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::sched::{ShutdownReason, pack_shutdown};
use guest_abi::shared_info::offset;
use test_guests::grants::{map, map_record};
use test_guests::pages::READ_ONLY;
use test_guests::puppet::{Command, FREE_AT, Puppet, SHARED, SPARE, code, entries, first_context};
use test_guests::small_domain::{PAGES, build, create, fill_by_steps, frames, info, pause, unpause};
use test_guests::{check, check_eq, guest_abi, hypercall};

use super::{OKAY, REFERENCE, Stage, now, page_at};

const ACCESS: GrantFlags = GrantFlags::PERMIT_ACCESS;

/// The life is over: it was called off.
pub struct CalledOff;

/// One life.
pub struct Life<'a> {
    pub stage: &'a mut Stage,
    /// Which domain it is, once it is one.
    pub id: Option<DomId>,
    /// Steps until it is called off.
    pub left: u32,
}

impl Life<'_> {
    /// The next step, unless it is called off.
    fn step(&mut self) -> Result<(), CalledOff> {
        self.left = self.left.checked_sub(1).ok_or(CalledOff)?;
        Ok(())
    }

    /// The whole life. It ends before its `left`-th step.
    pub fn live(&mut self) -> Result<(), CalledOff> {
        self.step()?;
        let id = create(PAGES).expect("memory for a small domain");
        self.id = Some(id);
        self.step()?;
        let frames = frames(id);
        let shared_frame = info(id).expect("it is there").shared_info_frame;
        let (window, mail) = (self.stage.window, self.stage.mail);
        fill_by_steps(
            window,
            id,
            &frames,
            &entries(&frames, shared_frame),
            &code(),
            || self.step(),
        )?;
        self.step()?;
        check_eq!(build(id, &first_context(&frames)), Ok(()));
        self.step()?;
        let puppet = Puppet::begin(id, mail, window);
        self.step()?;
        puppet.set_up_table();
        self.share(puppet)?;
        self.connect(puppet)?;
        self.fill_processor(puppet)?;
        self.rest(puppet)
    }

    /// Pages go both ways.
    fn share(&mut self, puppet: Puppet) -> Result<(), CalledOff> {
        let (table, page, view, witness) = (
            self.stage.table,
            self.stage.page,
            self.stage.view,
            self.stage.witness,
        );
        self.step()?;
        table.publish(REFERENCE, puppet.id, page.mfn(), ACCESS);
        self.step()?;
        check_eq!(
            puppet
                .map(DomId::DOM0, REFERENCE, FREE_AT, MapFlags::empty())
                .status,
            OKAY
        );
        self.step()?;
        check!(puppet.poke(FREE_AT, 5) && page.read(0) as u32 == 5);
        self.step()?;
        puppet.publish(REFERENCE, DomId::DOM0, puppet.frames[SPARE], ACCESS);
        self.step()?;
        let done = map(map_record(puppet.id, REFERENCE, view.0, MapFlags::HOST_MAP));
        check_eq!(done.status, OKAY);
        self.stage.held = Some(done.handle);
        self.step()?;
        puppet.publish(
            REFERENCE + 1,
            witness.id,
            puppet.frames[SPARE],
            ACCESS | GrantFlags::READ_ONLY,
        );
        self.step()?;
        let done = witness.map(puppet.id, REFERENCE + 1, FREE_AT, MapFlags::READ_ONLY);
        check_eq!(done.status, OKAY);
        self.stage.witnessed = Some(done.handle);
        self.step()?;
        puppet.publish(REFERENCE, DomId::DOM0, Mfn::new(0), GrantFlags::empty());
        Ok(())
    }

    /// Ports, and events that nobody takes.
    fn connect(&mut self, puppet: Puppet) -> Result<(), CalledOff> {
        self.step()?;
        let offered: AllocUnbound = event(
            puppet,
            &AllocUnbound {
                dom: DomId::DOM0,
                pad: 0,
                port: 0,
            },
        );
        self.step()?;
        let bound = hypercall::event_channel_op(&BindInterdomain {
            dom1: DomId::SELF,
            dom2: puppet.id,
            port1: 0,
            port2: offered.port,
        })
        .expect("it waits for us");
        self.stage.port = Some(bound.port1);
        self.step()?;
        event(
            puppet,
            &BindVirq {
                virq: Virq::TIMER,
                port: 0,
            },
        );
        self.step()?;
        let send = Send {
            local_port: bound.port1,
        };
        check_eq!(hypercall::event_channel_op(&send).map(drop), Ok(()));
        self.step()?;
        event(
            puppet,
            &Send {
                local_port: offered.port,
            },
        );
        // More ports than its record has room for.
        for _ in 0..6 {
            self.step()?;
            let one = EvtchnOp::new(&AllocUnbound {
                dom: DomId::DOM0,
                pad: 0,
                port: 0,
            });
            let at = puppet.put(&one);
            puppet.tell(&[Command::call(CallNumber::EVENT_CHANNEL_OP, &[at]); 12]);
            check_eq!(puppet.wait(), Ok(()));
        }
        Ok(())
    }

    /// A GDT, an LDT, a timer, a table that is pinned.
    fn fill_processor(&mut self, puppet: Puppet) -> Result<(), CalledOff> {
        let [gdt, ldt, table] = [SPARE, SPARE + 1, SPARE + 2];
        // The first of them is in use by grants that write it.
        self.step()?;
        check_eq!(puppet.map_page(page_at(ldt), Pte::EMPTY), Ok(()));
        self.step()?;
        let at = puppet.put(&puppet.frames[ldt].raw());
        check_eq!(puppet.call(CallNumber::SET_GDT, &[at, 512]), Ok(0));
        self.step()?;
        let at = puppet.put(&puppet.frames[gdt].raw());
        check!(puppet.call(CallNumber::SET_GDT, &[at, 512]).is_err());
        self.step()?;
        check_eq!(puppet.map_page(page_at(table), Pte::EMPTY), Ok(()));
        self.step()?;
        let frame = puppet.frames[table].addr();
        let pin = MmuUpdate::extended(Extended::Pin { level: 1, frame });
        check_eq!(puppet.mmu(&[pin]), Ok(()));
        self.step()?;
        let far = now() + 1_000_000_000_000;
        check_eq!(
            puppet.call(CallNumber::SET_TIMER_OP, &[(far >> 32) as u32, far as u32]),
            Ok(0)
        );
        self.step()?;
        check_eq!(
            puppet.map_page(page_at(ldt), Pte::new(puppet.frames[ldt], READ_ONLY)),
            Ok(())
        );
        self.step()?;
        let set = MmuUpdate::extended(Extended::SetLdt {
            base: GuestVirt::new(page_at(ldt)),
            entries: 512,
        });
        check_eq!(puppet.mmu(&[set]), Ok(()));
        Ok(())
    }

    /// It waits, and comes to its end.
    fn rest(&mut self, puppet: Puppet) -> Result<(), CalledOff> {
        const BLOCK: u32 = 1;
        const FIRST_PORT: u32 = 1;
        // An event is pending: the first wait is none.
        self.step()?;
        check_eq!(puppet.call(CallNumber::SCHED_OP, &[BLOCK]), Ok(0));
        // It takes the events, and leaves upcalls masked. Its first port may wake it; time may not, which comes each time that it
        // runs.
        for (at, value) in [
            (offset::EVTCHN_MASK, !(1 << FIRST_PORT)),
            (offset::EVTCHN_UPCALL_PENDING, 1 << 8),
            (offset::EVTCHN_PENDING_SEL, 0),
            (offset::EVTCHN_PENDING, 0),
        ] {
            self.step()?;
            check!(puppet.poke(SHARED + at as u32, value));
        }
        self.step()?;
        puppet.tell(&[Command::call(CallNumber::SCHED_OP, &[BLOCK])]);
        let waits = (0..10_000).any(|_| {
            hypercall::yield_now().expect("yield");
            info(puppet.id).is_ok_and(|info| info.flags.contains(DomainFlags::BLOCKED))
        });
        check!(waits, "it waits: {:?}", info(puppet.id));
        self.step()?;
        let port = self.stage.port.unwrap_or(0);
        check_eq!(
            hypercall::event_channel_op(&Send { local_port: port }).map(drop),
            Ok(())
        );
        self.step()?;
        check_eq!(pause(puppet.id), Ok(()));
        self.step()?;
        check_eq!(unpause(puppet.id), Ok(()));
        check_eq!(puppet.wait(), Ok(()));
        self.step()?;
        let end = pack_shutdown(ShutdownReason::new(0x42));
        puppet.tell(&[Command::call(CallNumber::SCHED_OP, &[end])]);
        self.step()?;
        check!(puppet.wait().is_err() && !puppet.lives());
        Ok(())
    }
}

/// Has it make an event-channel call that succeeds.
fn event<A: EvtchnArgs>(puppet: Puppet, args: &A) -> A {
    puppet.event_op(args).expect("nothing is wrong with it")
}
