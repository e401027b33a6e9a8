//! Random calls of two guests, hostile and clumsy: after each one an audit finds nothing, a refused one has changed
//! nothing, and the processor, remembering all it ever may, has no way to where it must not.

use super::{REQUESTS, n, pin, set, unpin};
use crate::{
    context::Context,
    mm::{
        emulate::try_emulate,
        pte::{NX, P, RW, US},
    },
    platform::FrameMemory,
    testing::{Guest, Witness, Work, World, entry},
};
use guest_abi::{
    addr::{GuestVirt, Mfn, Pfn},
    domain::DomId,
    mmu::{Extended, MmuUpdate},
    segment::Selector,
};
use proptest::{collection::vec, prelude::*};

/// A frame, by what a guest knows of it.
#[derive(Clone, Copy, Debug)]
enum Frame {
    Own(usize),
    Other(usize),
    Raw(u32),
}

#[derive(Clone, Copy, Debug)]
enum Request {
    Set(Frame, usize, Frame, u64),
    Clear(Frame, usize),
    Pin(u8, Frame),
    Unpin(Frame),
    NewBase(Frame),
    Foreign(u16),
    Number(Frame),
    Reassign(Frame),
    Ldt(usize, u32),
}

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Request>),
    Map(usize, Frame, u64, u32, Option<u32>),
    Give(Frame, u32),
    Take(u32),
    Store(u32, usize, u32, Frame, u64),
    MapLdt(usize),
    Switch,
    Work(bool),
    Scrub,
}

/// Frames of a guest that tests may do anything with; the last two hold what the test itself needs.
const FRAMES: usize = 38;

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        6 => (0..5usize).prop_map(Frame::Own),
        8 => (5..16usize).prop_map(Frame::Own),
        1 => (16..FRAMES).prop_map(Frame::Own),
        1 => (0..20usize).prop_map(Frame::Other),
        1 => prop_oneof![Just(3), Just(16), Just(24), Just(300), 32..256u32].prop_map(Frame::Raw),
    ]
}

fn flags() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => Just(P | RW | US),
        8 => Just(P | US),
        2 => Just(P | RW | NX),
        1 => Just(RW),
        1 => (0..64u32).prop_map(|bit| P | 1 << bit),
    ]
}

fn index() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..12usize, 1 => 478..482usize, 1 => 0..512usize]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        8 => (frame(), index(), frame(), flags()).prop_map(|(t, i, f, w)| Request::Set(t, i, f, w)),
        5 => (frame(), index()).prop_map(|(t, i)| Request::Clear(t, i)),
        5 => (1..4u8, frame()).prop_map(|(level, f)| Request::Pin(level, f)),
        4 => frame().prop_map(Request::Unpin),
        2 => frame().prop_map(Request::NewBase),
        2 => prop_oneof![Just(0), Just(1), Just(0x7FF1), Just(0x7FF2)].prop_map(Request::Foreign),
        1 => frame().prop_map(Request::Number),
        1 => frame().prop_map(Request::Reassign),
        1 => (5..16usize, prop_oneof![Just(0u32), 1..1024u32]).prop_map(|(p, c)| Request::Ldt(p, c)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => vec(request(), 1..4).prop_map(Step::Batch),
        // The mappings of a frame go, so that it can become something else.
        8 => (5..16usize).prop_map(|i| Step::Batch(vec![Request::Clear(Frame::Own(3), i)])),
        6 => (0..20usize, frame(), flags(), 0..3u32, prop::option::of(0..2u32))
            .prop_map(|(page, f, w, flush, domain)| Step::Map(page, f, w, flush, domain)),
        2 => (frame(), 0..3u32).prop_map(|(f, order)| Step::Give(f, order)),
        2 => (0..3u32).prop_map(Step::Take),
        8 => (0..0x40u32, 0..FRAMES, index().prop_map(|i| i as u32), frame(), flags())
            .prop_map(|(how, page, word, f, w)| Step::Store(how, page, word, f, w)),
        1 => (0..3usize).prop_map(Step::MapLdt),
        2 => Just(Step::Switch),
        1 => any::<bool>().prop_map(Step::Work),
        1 => Just(Step::Scrub),
    ]
}

struct Run {
    world: World,
    bystander: Guest,
    guests: [Guest; 2],
    current: usize,
    witness: Witness,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new(256);
        let bystander = world.add_bystander();
        let guests = [world.add_guest(1, false, 40), world.add_guest(0, true, 40)];
        for guest in &guests {
            // A second root that is nearly fit, in frames 10 to 13.
            let [l3, top, l2, l1] = [10, 11, 12, 13].map(|i| guest.frames[i]);
            for mfn in [l3, top, l2, l1] {
                world.machine.zero(mfn);
            }
            world.machine.poke(l3, 0, entry(l2, P));
            world.machine.poke(l3, 3, entry(top, P));
            world.machine.poke(top, 0, entry(guest.l1(), P | RW));
            world.machine.poke(top, 4, entry(l2, P));
            world.machine.poke(l2, 1, entry(l1, P | RW | US));
            world.machine.poke(l1, 1, entry(guest.frames[14], P | RW));
        }
        let current = 1;
        Self {
            world,
            bystander,
            guests,
            current,
            witness: Witness::default(),
        }
    }

    fn mfn(&self, frame: Frame) -> Mfn {
        match frame {
            Frame::Own(i) => self.guests[self.current].frames[i],
            Frame::Other(i) => self.guests[1 - self.current].frames[i],
            Frame::Raw(raw) => Mfn::new(raw),
        }
    }

    /// Whether the request would take away what the test itself stands on.
    fn is_fatal(&self, request: Request) -> bool {
        let guest = &self.guests[self.current];
        let touches = |table, index| {
            let table = self.mfn(table);
            (table == guest.top_l2() || table == guest.frames[11]) && index == 0
                || table == guest.l1() && index >= FRAMES
        };
        match request {
            Request::Set(table, index, ..) | Request::Clear(table, index) => touches(table, index),
            _ => false,
        }
    }

    fn encode(&self, request: Request) -> MmuUpdate {
        let mfn = |frame| self.mfn(frame);
        match request {
            Request::Set(table, index, frame, flags) => set(mfn(table), index, entry(mfn(frame), flags)),
            Request::Clear(table, index) => set(mfn(table), index, 0),
            Request::Pin(level, frame) => pin(level, mfn(frame)),
            Request::Unpin(frame) => unpin(mfn(frame)),
            Request::NewBase(frame) => MmuUpdate::extended(Extended::NewBasePtr {
                l3: mfn(frame).addr(),
            }),
            Request::Foreign(id) => MmuUpdate::extended(Extended::SetForeignDom {
                domain: DomId::new(id),
            }),
            Request::Number(frame) => MmuUpdate::machphys(mfn(frame), Pfn::new(9)),
            Request::Reassign(frame) => MmuUpdate::extended(Extended::ReassignPage {
                frame: mfn(frame).addr(),
            }),
            Request::Ldt(page, entries) => MmuUpdate::extended(Extended::SetLdt {
                base: GuestVirt::new(Guest::va(page)),
                entries,
            }),
        }
    }

    /// Runs the call and checks that a refusal changed nothing, where the call is atomic.
    fn call(&mut self, number: u32, args: [u32; 5], is_atomic: bool) {
        let before = self.world.snapshot();
        if self.world.call(number, args).is_err() && is_atomic {
            self.world.assert_unchanged_since(&before);
        }
    }

    fn step(&mut self, step: &Step) {
        let list = Guest::va(39);
        let list_frame = self.guests[self.current].frames[39];
        match *step {
            Step::Batch(ref requests) => {
                let requests: Vec<_> = requests.iter().copied().filter(|&r| !self.is_fatal(r)).collect();
                for (i, &request) in requests.iter().enumerate() {
                    let request = self.encode(request);
                    let page = self.guests[self.current].frames[38];
                    self.world.machine.poke(page, 2 * i, request.ptr);
                    self.world.machine.poke(page, 2 * i + 1, request.val);
                }
                self.call(1, [REQUESTS, requests.len() as u32, 0, 0, 0], requests.len() == 1);
            }
            Step::Map(page, frame, flags, flush, domain) => {
                let word = entry(self.mfn(frame), flags);
                let at = if page < 8 {
                    page as u32
                } else {
                    (Guest::va(page)) >> 12
                };
                let args = [at, word as u32, (word >> 32) as u32, flush, domain.unwrap_or(0)];
                self.call(if domain.is_some() { 22 } else { 14 }, args, true);
            }
            Step::Give(frame, order) => {
                self.world.machine.poke(list_frame, 0, n(self.mfn(frame)));
                self.call(12, [1, list, 1, order, 0x7FF0], true);
            }
            Step::Take(order) => self.call(12, [0, list, 1, order, 0x7FF0], true),
            Step::Store(how, page, word, frame, flags) => self.store(how, page, word, frame, flags),
            Step::MapLdt(index) => drop(self.world.mmu().map_ldt_page(index)),
            Step::Switch => {
                self.current = 1 - self.current;
                self.world.switch_to(&self.guests[self.current].clone());
                self.witness = Witness::default();
            }
            Step::Work(on) => self
                .world
                .machine
                .work
                .set(if on { Work::Always } else { Work::Never }),
            Step::Scrub => drop(self.world.mmu().scrub_some(3)),
        }
    }

    /// The guest's kernel writes a word, by any way that the processor remembers; if it faults, the assist may help.
    fn store(&mut self, how: u32, page: usize, word: u32, frame: Frame, flags: u64) {
        let value = entry(self.mfn(frame), flags);
        let at = Guest::va(page) + word * 8;
        if self.world.guest_write(at, value as u32) {
            self.world.guest_write(at + 4, (value >> 32) as u32);
            return;
        }
        // xchg [edi], eax or mov; or with a lower half of 0.
        let code = self.guests[self.current].frames[38];
        let opcode = if how & 1 == 0 { 0x89 } else { 0x87 };
        self.world.machine.store_u8(code, 0x800, opcode);
        self.world.machine.store_u8(code, 0x801, 0x07);
        let regs = &mut self.world.regs;
        (regs.cs, regs.ss) = (
            u64::from(Selector::FLAT_RING1_CS.raw()),
            u64::from(Selector::FLAT_RING1_DS.raw()),
        );
        let half = how >> 1 & 1;
        regs.rip = u64::from(REQUESTS + 0x800);
        regs.rdi = u64::from(at + 4 * half);
        regs.rax = if half == 1 {
            value >> 32
        } else {
            value & 0xFFFF_FFFF
        };
        let flat = Selector::FLAT_RING1_DS.raw();
        self.world.machine.cpu.segments.set(crate::vcpu::DataSegments {
            ds: flat,
            es: flat,
            fs: flat,
            gs: flat,
        });
        let fault_at = at + 4 * half;
        let world = &mut self.world;
        let mut cx = Context {
            hv: &mut world.hv,
            platform: &world.machine,
            regs: &mut world.regs,
        };
        let _ = try_emulate(&mut cx, fault_at);
    }

    fn check(&mut self) {
        assert_eq!(self.world.audit(), Vec::new());
        assert_eq!(self.world.dangerous_ways(&self.witness), Vec::<String>::new());
        self.world.remember(&mut self.witness);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_guests_do_breaks_an_invariant(steps in vec(step(), 1..80)) {
        let mut run = Run::new();
        run.check();
        for step in &steps {
            run.step(step);
            run.check();
        }
        // Nothing leaks: both die, and all their frames are free.
        let [first, second] = run.guests.clone();
        let mut world = run.world;
        let bystander = run.bystander;
        world.switch_to(&bystander);
        world.relinquish(&first);
        world.relinquish(&second);
        prop_assert_eq!(world.audit(), Vec::new());
        let left: u32 = world.hv.domains.iter().flatten().filter(|d| d.id != bystander.id).map(|d| d.total_pages).sum();
        prop_assert_eq!(left, 0);
    }
}
