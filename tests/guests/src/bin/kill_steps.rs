//! A domain killed at every step of its life: while it is created, built, filled; between any two of its own calls; with pages
//! mapped by others and pages of others mapped, with ports connected and events pending, while it waits, in the middle of
//! a call that paused, and after its end. Each time everything must come back, to the frame; the audit at the end must find
//! nothing wrong.
//!
//! The steps are counted by living: a life is called off at its first step, then at its second, until one is complete.
//!
//! timeout: 400
//! icount: yes
#![no_std]
#![no_main]

use core::sync::atomic::Ordering::Relaxed;
use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{DomainFlags, GetDomainInfo};
use guest_abi::errno::Errno;
use guest_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindVirq, Close, EvtchnArgs, EvtchnOp, Send, Virq,
};
use guest_abi::grant_table::{GrantFlags, GrantStatus, MapFlags};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::sched::{ShutdownReason, pack_shutdown};
use guest_abi::shared_info::offset;
use guest_abi::start_info::StartInfo;
use guest_abi::vcpu::CpuContext;
use mini_guest::{shared, traps};
use test_guests::agent::{Agent, Command, FREE_AT, MAX_COMMANDS, RECORDS, SPARE, code, to_call};
use test_guests::grants::{Table, map, map_record, unmap, unmap_record, vacate};
use test_guests::pages::{Page, READ_ONLY, WRITABLE};
use test_guests::small_domain::{
    BASE, PAGES, build, create, destroy, entries, fill_by_steps, frames, free_pages, info, op,
};
use test_guests::tables::{DIRECTORY, Space};
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

const OKAY: GrantStatus = GrantStatus::OKAY;
const ACCESS: GrantFlags = GrantFlags::PERMIT_ACCESS;
const REFERENCE: u32 = 10;
/// Kills in the middle of calls: at so many instants, and so many of them in a call that had paused.
const INSTANTS: u64 = 48;
const PAUSED: u32 = 6;
/// Nanoseconds from one instant to the next.
const PACE: u64 = 23_000;

/// The life is over: it was called off.
struct CalledOff;

/// What outlives the domain.
struct Stage {
    window: Page,
    mail: Page,
    /// A page of ours that it is granted, where we map one of its, and our table.
    page: Page,
    view: Page,
    table: Table,
    /// A domain that lives on, and holds a page of the other's.
    witness: Agent,
    /// What is to be let go of afterwards.
    held: Option<u32>,
    witnessed: Option<u32>,
    port: Option<u32>,
}

/// One life.
struct Life<'a> {
    stage: &'a mut Stage,
    id: Option<DomId>,
    left: u32,
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let Ok(table) = Table::set_up(DomId::DOM0) else {
        report::failure(format_args!("no grant table"))
    };
    let mut stage = Stage {
        window: Page::take(),
        mail: Page::take(),
        page: Page::take(),
        view: vacate(Page::take()),
        table,
        witness: Agent::start(Page::take(), Page::take()).set_up_table(),
        held: None,
        witnessed: None,
        port: None,
    };
    // What the hypervisor keeps for us grows once.
    check!(stage.live(u32::MAX));
    let free = free_pages();
    let mut steps = 0;
    loop {
        let is_complete = stage.live(steps);
        check_eq!(free_pages(), free, "after step {steps}");
        if is_complete {
            break;
        }
        steps += 1;
    }
    println!("killed at each of {steps} steps");
    check!(steps >= 60, "{steps} steps");
    let timer = BindVirq {
        virq: Virq::TIMER,
        port: 0,
    };
    let port = hypercall::event_channel_op(&timer).map(|done| done.port);
    check!(port.is_ok_and(|port| port < 32), "{port:?}");
    shared::set_port_mask(port.unwrap_or(0), false);
    traps::set_kernel_event_handler(Some(on_event));
    let mut paused = 0;
    for instant in 1..=INSTANTS {
        paused += u32::from(stage.kill_in_a_call(instant * PACE));
        check_eq!(free_pages(), free, "instant {instant}");
    }
    println!("killed at {INSTANTS} instants, {paused} times in a call that had paused");
    check!(paused >= PAUSED, "{paused} paused calls prove little");
    report::success()
}

/// Whatever comes is taken.
fn on_event(_: &mut Regs) {
    shared::upcall_pending().store(0, Relaxed);
    shared::pending_selector().store(0, Relaxed);
    shared::pending_word(0).store(0, Relaxed);
}

impl Stage {
    /// A life that ends before step `left`. Whether it was complete by then.
    fn live(&mut self, left: u32) -> bool {
        let mut life = Life {
            stage: self,
            id: None,
            left,
        };
        let is_complete = life.live().is_ok();
        let id = life.id;
        self.end(id);
        is_complete
    }

    /// Kills the domain, and lets go of what is left of it.
    fn end(&mut self, id: Option<DomId>) {
        if let Some(id) = id {
            check_eq!(destroy(id), Ok(()));
            // Whatever of it is still in use here.
            check_eq!(destroy(id).is_ok(), info(id).is_ok());
        }
        self.window.unprotect();
        self.mail.unprotect();
        if let Some(handle) = self.held.take() {
            check_eq!(unmap(unmap_record(handle, self.view.0)), OKAY);
        }
        if let Some(handle) = self.witnessed.take() {
            check_eq!(self.witness.unmap(handle, FREE_AT), OKAY);
        }
        if let Some(port) = self.port.take() {
            let close = Close {
                dom: DomId::SELF,
                pad: 0,
                port,
            };
            check_eq!(hypercall::event_channel_op(&close).map(drop), Ok(()));
        }
        check_eq!(
            self.table.flags(REFERENCE) & (GrantFlags::READING | GrantFlags::WRITING),
            GrantFlags::empty()
        );
        // The record of one that was still in use goes with the next call.
        let _ = free_pages();
        if let Some(id) = id {
            check_eq!(info(id).map(drop), Err(Errno::Srch));
        }
    }

    /// Kills a domain that pins and unpins tables all the time, at an instant that has nothing to do with what it does. Whether a
    /// call of its had paused then.
    fn kill_in_a_call(&mut self, after_ns: u64) -> bool {
        let agent = Agent::start(self.window, self.mail);
        let [l1, l2] = [SPARE, SPARE + 1];
        // Every entry of the one names the other, which maps a page in all of its.
        for n in [l1, l2] {
            check_eq!(agent.map_page(page_at(n), Pte::EMPTY), 0);
        }
        for (n, entry) in [
            (l1, Pte::new(agent.frames[SPARE + 2], READ_ONLY)),
            (l2, Pte::new(agent.frames[l1], DIRECTORY)),
        ] {
            test_guests::small_domain::show(self.window, agent.id, agent.frames[n]);
            self.window.fill(entry.raw());
        }
        self.window.unprotect();
        let frame = agent.frames[l2].addr();
        let requests =
            [Extended::Pin { level: 2, frame }, Extended::Unpin { frame }].map(MmuUpdate::extended);
        for (n, request) in (0..).zip(requests) {
            let words = [
                request.ptr as u32,
                (request.ptr >> 32) as u32,
                request.val as u32,
                (request.val >> 32) as u32,
            ];
            for (k, word) in (0..).zip(words) {
                check!(agent.poke(RECORDS + 16 * n + 4 * k, word));
            }
        }
        let pair = to_call(CallNumber::MMU_UPDATE, &[RECORDS, 2, 0]);
        let commands: [Command; MAX_COMMANDS] = [pair; MAX_COMMANDS];
        agent.tell(&commands);
        let instant = now() + after_ns;
        check_eq!(hypercall::set_timer(instant), Ok(()));
        // An event may be pending from before.
        while now() < instant {
            hypercall::block().expect("block");
        }
        let mut context = CpuContext::default();
        let asked = op(&GetDomainInfo {
            domain: agent.id,
            ctxt: GuestVirt::new(core::ptr::from_mut(&mut context) as u32),
            ..GetDomainInfo::default()
        });
        check!(asked.is_ok());
        // SAFETY: the hypervisor has written it meanwhile.
        let regs = unsafe { core::ptr::from_ref(&context.regs).read_volatile() };
        const RESUMED: u32 = guest_abi::mmu::COUNT_RESUMED;
        let is_paused = regs.eax == CallNumber::MMU_UPDATE.raw() && regs.ecx & RESUMED != 0;
        self.end(Some(agent.id));
        is_paused
    }
}

/// System time.
fn now() -> u64 {
    // SAFETY: reading the time-stamp counter, which this machine has and lets us.
    shared::time_record().system_time_at(unsafe { core::arch::x86::_rdtsc() })
}

/// Where frame `n` of an agent is mapped in it.
const fn page_at(n: usize) -> u32 {
    BASE + n as u32 * 4096
}

impl Life<'_> {
    /// The next step, unless it is called off.
    fn step(&mut self) -> Result<(), CalledOff> {
        self.left = self.left.checked_sub(1).ok_or(CalledOff)?;
        Ok(())
    }

    /// The whole life. It ends before its `left`-th step.
    fn live(&mut self) -> Result<(), CalledOff> {
        self.step()?;
        let id = create(PAGES).expect("memory for a small domain");
        self.id = Some(id);
        self.step()?;
        let frames = frames(id);
        let (window, mail) = (self.stage.window, self.stage.mail);
        fill_by_steps(window, id, &frames, &entries(&frames), &code(), || self.step())?;
        self.step()?;
        check_eq!(build(id, &Agent::context(&frames)), Ok(()));
        self.step()?;
        let agent = Agent::show(id, frames, mail);
        self.step()?;
        agent.set_up_table();
        self.share(agent)?;
        self.connect(agent)?;
        self.fill_processor(agent)?;
        self.rest(agent)
    }

    /// Pages go both ways.
    fn share(&mut self, agent: Agent) -> Result<(), CalledOff> {
        let (table, page, view, witness) = (
            self.stage.table,
            self.stage.page,
            self.stage.view,
            self.stage.witness,
        );
        self.step()?;
        table.publish(REFERENCE, agent.id, page.mfn(), ACCESS);
        self.step()?;
        check_eq!(
            agent
                .map(DomId::DOM0, REFERENCE, FREE_AT, MapFlags::empty())
                .status,
            OKAY
        );
        self.step()?;
        check!(agent.poke(FREE_AT, 5) && page.read(0) as u32 == 5);
        self.step()?;
        agent.publish(REFERENCE, DomId::DOM0, agent.frames[SPARE], ACCESS);
        self.step()?;
        let done = map(map_record(agent.id, REFERENCE, view.0, MapFlags::HOST_MAP));
        check_eq!(done.status, OKAY);
        self.stage.held = Some(done.handle);
        self.step()?;
        agent.publish(
            REFERENCE + 1,
            witness.id,
            agent.frames[SPARE],
            ACCESS | GrantFlags::READ_ONLY,
        );
        self.step()?;
        let done = witness.map(agent.id, REFERENCE + 1, FREE_AT, MapFlags::READ_ONLY);
        check_eq!(done.status, OKAY);
        self.stage.witnessed = Some(done.handle);
        self.step()?;
        agent.publish(REFERENCE, DomId::DOM0, Mfn::new(0), GrantFlags::empty());
        Ok(())
    }

    /// Ports, and events that nobody takes.
    fn connect(&mut self, agent: Agent) -> Result<(), CalledOff> {
        self.step()?;
        let offered: AllocUnbound = event(
            agent,
            &AllocUnbound {
                dom: DomId::DOM0,
                pad: 0,
                port: 0,
            },
        );
        self.step()?;
        let bound = hypercall::event_channel_op(&BindInterdomain {
            dom1: DomId::SELF,
            dom2: agent.id,
            port1: 0,
            port2: offered.port,
        })
        .expect("it waits for us");
        self.stage.port = Some(bound.port1);
        self.step()?;
        event(
            agent,
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
            agent,
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
            agent.put(&one);
            let commands: [Command; 12] = [to_call(CallNumber::EVENT_CHANNEL_OP, &[RECORDS]); 12];
            agent.tell(&commands);
            check_eq!(agent.wait(), Ok(()));
        }
        Ok(())
    }

    /// A GDT, an LDT, a timer, a table that is pinned.
    fn fill_processor(&mut self, agent: Agent) -> Result<(), CalledOff> {
        let [gdt, ldt, table] = [SPARE, SPARE + 1, SPARE + 2];
        // The first of them is in use by grants that write it.
        self.step()?;
        check_eq!(agent.map_page(page_at(ldt), Pte::EMPTY), 0);
        self.step()?;
        let at = agent.put(&agent.frames[ldt].raw());
        check_eq!(agent.call(CallNumber::SET_GDT, &[at, 512]), 0);
        self.step()?;
        check!(agent.call(CallNumber::SET_GDT, &[agent.put(&agent.frames[gdt].raw()), 512]) != 0);
        self.step()?;
        check_eq!(agent.map_page(page_at(table), Pte::EMPTY), 0);
        self.step()?;
        let frame = agent.frames[table].addr();
        check_eq!(request(agent, Extended::Pin { level: 1, frame }), 0);
        self.step()?;
        let far = now() + 1_000_000_000_000;
        check_eq!(
            agent.call(CallNumber::SET_TIMER_OP, &[(far >> 32) as u32, far as u32]),
            0
        );
        self.step()?;
        check_eq!(
            agent.map_page(page_at(ldt), Pte::new(agent.frames[ldt], READ_ONLY)),
            0
        );
        self.step()?;
        check_eq!(
            request(
                agent,
                Extended::SetLdt {
                    base: GuestVirt::new(page_at(ldt)),
                    entries: 512
                }
            ),
            0
        );
        Ok(())
    }

    /// It waits, and comes to its end.
    fn rest(&mut self, agent: Agent) -> Result<(), CalledOff> {
        const BLOCK: u32 = 1;
        const FIRST_PORT: u32 = 1;
        const SHARED_AT: u32 = FREE_AT + 8 * 4096;
        // An event is pending: the first wait is none.
        self.step()?;
        check_eq!(agent.call(CallNumber::SCHED_OP, &[BLOCK]), 0);
        self.step()?;
        let shared = info(agent.id).expect("it lives").shared_info_frame;
        check_eq!(agent.map_page(SHARED_AT, Pte::new(shared, WRITABLE)), 0);
        // It takes the events, and leaves upcalls masked. Its first port may wake it; time may not, which comes each time that it
        // runs.
        for (at, value) in [
            (offset::EVTCHN_MASK, !(1 << FIRST_PORT)),
            (offset::EVTCHN_UPCALL_PENDING, 1 << 8),
            (offset::EVTCHN_PENDING_SEL, 0),
            (offset::EVTCHN_PENDING, 0),
        ] {
            self.step()?;
            check!(agent.poke(SHARED_AT + at as u32, value));
        }
        self.step()?;
        agent.tell(&[to_call(CallNumber::SCHED_OP, &[BLOCK])]);
        let waits = (0..10_000).any(|_| {
            hypercall::yield_now().expect("yield");
            info(agent.id).is_ok_and(|info| info.flags.contains(DomainFlags::BLOCKED))
        });
        check!(waits, "it waits: {:?}", info(agent.id));
        self.step()?;
        let port = self.stage.port.unwrap_or(0);
        check_eq!(
            hypercall::event_channel_op(&Send { local_port: port }).map(drop),
            Ok(())
        );
        self.step()?;
        check_eq!(test_guests::small_domain::pause(agent.id), Ok(()));
        self.step()?;
        check_eq!(test_guests::small_domain::unpause(agent.id), Ok(()));
        check_eq!(agent.wait(), Ok(()));
        self.step()?;
        let end = pack_shutdown(ShutdownReason::new(0x42));
        agent.tell(&[to_call(CallNumber::SCHED_OP, &[end])]);
        self.step()?;
        check!(agent.wait().is_err() && !agent.lives());
        Ok(())
    }
}

/// Has it make a request of call 1, and gives its EAX.
fn request(agent: Agent, what: Extended) -> u32 {
    let request = MmuUpdate::extended(what);
    let at = agent.put(&request);
    agent.call(CallNumber::MMU_UPDATE, &[at, 1, 0])
}

/// Has it make an event-channel call that succeeds.
fn event<A: EvtchnArgs>(agent: Agent, args: &A) -> A {
    let at = agent.put(&EvtchnOp::new(args));
    check_eq!(agent.call(CallNumber::EVENT_CHANNEL_OP, &[at]), 0);
    agent.get::<EvtchnOp>().args()
}
