//! Random play of several guests, instruction by instruction: no event is lost, none comes while masked.
//!
//! The guests' kernels are played here as the interface asks of them: every access to the shared page is a step of its
//! own, and between any two a device may interrupt. What a guest does next is chosen at random; at the end everybody
//! finishes what he was at, unmasks everything and waits. Then every event that was ever sent must have been taken.

mod kernel;
mod moves;

use super::*;
use crate::{
    exit::{BeforeGuest, before_guest},
    testing::ring1_regs,
};
use guest_abi::physdev::{IrqUnmaskNotify, PhysdevOp};
use kernel::Step;
use moves::Channel;
use proptest::prelude::*;

const GUESTS: usize = 3;
/// Line 5 is domain 1's alone, line 6 everybody's.
const LINES: [u8; 2] = [5, 6];
/// Where the guests' event callback is.
const CALLBACK: u64 = 0x51_0000;

struct Game {
    world: World,
    /// What each guest is in the middle of, the innermost last.
    steps: [Vec<Step>; GUESTS],
    channels: Vec<Channel>,
    /// Port of each line in each guest, 0: none.
    line_ports: [[u32; GUESTS]; LINES.len()],
    /// Ports with an event that was not taken yet.
    owed: [Vec<u32>; GUESTS],
    is_idle: bool,
}

impl Game {
    fn new() -> Self {
        let mut world = World::running();
        for slot in 0..GUESTS {
            if slot > 0 {
                world.add_domain(DomId(10 + slot as u16), false);
            }
            world.domain(slot).io.lines = u16::MAX;
            // Only what the play sends is to be seen: VIRQ_TIMER, which is not bound, stays masked.
            let shared = world.shared(slot);
            world.machine.store_u32(shared, offset::EVTCHN_MASK, 1);
        }
        let mut game = Self {
            world,
            steps: Default::default(),
            channels: Vec::new(),
            line_ports: Default::default(),
            owed: Default::default(),
            is_idle: false,
        };
        for (a, b) in [(0, 1), (1, 2), (2, 0), (1, 1)] {
            game.connect(a, b);
        }
        for slot in 0..GUESTS {
            game.world.hv.current = slot;
            for (line, ports) in LINES.iter().zip(&mut game.line_ports) {
                if *line == LINES[1] || slot == 1 {
                    let request = BindPirq {
                        pirq: (*line).into(),
                        flags: u32::from(*line == LINES[1]),
                        port: 0,
                    };
                    ports[slot] = op(&mut game.world, &request).port;
                }
            }
        }
        game.world.hv.current = 0;
        game
    }

    fn id(&mut self, slot: usize) -> WireId {
        WireId::new(self.world.domain(slot).id.0)
    }

    /// A new channel between two guests, its ports in words of the bitmaps that have no other port yet.
    fn connect(&mut self, a: usize, b: usize) {
        let [id_a, id_b] = [a, b].map(|slot| self.id(slot));
        for slot in [a, b] {
            self.world.hv.current = slot;
            for _ in 0..29 {
                unbound(&mut self.world, SELF);
            }
        }
        self.world.hv.current = a;
        let port_a = unbound(&mut self.world, id_b);
        self.world.hv.current = b;
        let ends = interdomain((SELF, 0), (id_a, port_a));
        let port_b = op(&mut self.world, &ends).port1;
        self.channels.push(Channel {
            ends: [(a, port_a), (b, port_b)],
            closed: None,
        });
    }

    fn load(&self, slot: usize, at: usize) -> u32 {
        self.world.shared_u32(slot, at)
    }

    fn set(&self, slot: usize, at: usize, bits: u32) {
        let frame = self.world.shared(slot);
        self.world.machine.fetch_or_u32(frame, at, bits);
    }

    fn clear(&self, slot: usize, at: usize, bits: u32) -> u32 {
        let frame = self.world.shared(slot);
        self.world.machine.fetch_clear_u32(frame, at, bits)
    }

    fn set_flag(&self, slot: usize, at: usize, value: u8) {
        self.world.machine.store_u8(self.world.shared(slot), at, value);
    }

    fn flag(&self, slot: usize, at: usize) -> bool {
        self.world.shared_u8(slot, at) != 0
    }

    /// The ports that the guest in `slot` has open.
    fn ports_of(&self, slot: usize) -> Vec<u32> {
        let mut ports = Vec::new();
        for channel in &self.channels {
            for (end, (owner, port)) in channel.ends.into_iter().enumerate() {
                if owner == slot && channel.closed != Some(end) {
                    ports.push(port);
                }
            }
        }
        ports.extend(
            self.line_ports
                .map(|ports| ports[slot])
                .iter()
                .filter(|p| **p != 0),
        );
        ports
    }

    /// The ports of a word that are pending and not masked, of the first word that has any.
    fn deliverable(&self, slot: usize) -> Option<u32> {
        (0..MAX_PORTS / 32)
            .map(|word| {
                self.load(slot, offset::EVTCHN_PENDING + word * 4)
                    & !self.load(slot, offset::EVTCHN_MASK + word * 4)
            })
            .find(|ready| *ready != 0)
    }

    fn owe(&mut self, slot: usize, port: u32) {
        if !self.owed[slot].contains(&port) {
            self.owed[slot].push(port);
        }
    }

    /// The way back to a guest after a call or an interrupt.
    fn exit(&mut self) {
        let was_masked: Vec<bool> = (0..GUESTS)
            .map(|slot| self.flag(slot, offset::EVTCHN_UPCALL_MASK))
            .collect();
        match before_guest(&mut self.world.cx()) {
            BeforeGuest::Go => self.is_idle = false,
            BeforeGuest::Idle => {
                self.is_idle = true;
                return;
            }
            BeforeGuest::End(how) => panic!("{how:?}"),
        }
        let slot = self.world.hv.current;
        assert!(self.world.domain(slot).run.is_runnable());
        let is_delivered = self.world.regs.rip == CALLBACK;
        if is_delivered {
            assert!(!was_masked[slot], "an upcall while masked");
            assert!(self.flag(slot, offset::EVTCHN_UPCALL_MASK));
            // The handler merges its frame with that of one that was about to return.
            if self.steps[slot].last() == Some(&Step::LookAgain) {
                self.steps[slot].pop();
            }
            self.steps[slot].push(Step::ClearFlag);
            self.world.regs = ring1_regs();
        }
        let is_due = self.flag(slot, offset::EVTCHN_UPCALL_PENDING) && !was_masked[slot];
        assert!(is_delivered || !is_due, "an upcall that was due did not come");
        for slot in 0..GUESTS {
            if self.world.domain(slot).run.held.contains(Held::BLOCKED) {
                assert_eq!(self.deliverable(slot), None, "domain in slot {slot} sleeps");
            }
        }
    }

    /// The running guest finishes what it is at, or begins something.
    fn play(&mut self, (what, which): (u8, u8)) {
        if what % 16 < 2 || self.is_idle {
            return self.interrupt(usize::from(which) % LINES.len());
        }
        let slot = self.world.hv.current;
        match what % 16 {
            2..5 => self.send(which.into()),
            _ if self.step() => {}
            5..8 => self.send(which.into()),
            8 => self.close_or_open(which.into()),
            9 => {
                let ports = self.ports_of(slot);
                let port = ports[usize::from(which) % ports.len()];
                self.set(
                    slot,
                    offset::EVTCHN_MASK + port as usize / 32 * 4,
                    1 << (port % 32),
                );
            }
            10 | 11 => {
                let ports = self.ports_of(slot);
                let port = ports[usize::from(which) % ports.len()];
                self.steps[slot].push(Step::ClearMaskBit(port));
            }
            12 => self.set_flag(slot, offset::EVTCHN_UPCALL_MASK, 1),
            13 => {
                self.set_flag(slot, offset::EVTCHN_UPCALL_MASK, 0);
                self.steps[slot].push(Step::Force);
            }
            14 => self.block(),
            _ => self.call(6, 0),
        }
    }

    /// Everybody comes to rest.
    fn finish(&mut self) {
        let mut unmasked = [0; GUESTS];
        for _ in 0..10_000 {
            if self.is_idle {
                return;
            }
            let slot = self.world.hv.current;
            if self.step() {
                continue;
            }
            let ports = self.ports_of(slot);
            if let Some(port) = ports.get(unmasked[slot]) {
                unmasked[slot] += 1;
                self.steps[slot].push(Step::ClearMaskBit(*port));
            } else {
                self.block();
            }
        }
        panic!("they do not come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 128 }))]
    #[test]
    fn no_event_is_lost_and_none_comes_while_masked(
        moves in proptest::collection::vec(any::<(u8, u8)>(), 0..400),
    ) {
        let mut game = Game::new();
        for what in moves {
            game.play(what);
        }
        // Who sleeps with masked ports is woken, to unmask them.
        for slot in 0..GUESTS {
            for port in game.ports_of(slot) {
                game.clear(slot, offset::EVTCHN_MASK + port as usize / 32 * 4, 1 << (port % 32));
                game.set(slot, offset::EVTCHN_PENDING_SEL, 1 << (port / 32));
            }
            game.set_flag(slot, offset::EVTCHN_UPCALL_PENDING, 1);
            sched::wake(&mut game.world.hv, &game.world.machine, slot);
        }
        game.exit();
        game.finish();
        for slot in 0..GUESTS {
            prop_assert_eq!(&game.owed[slot], &[] as &[u32], "slot {}", slot);
            prop_assert_eq!(game.deliverable(slot), None);
        }
        for line in LINES {
            prop_assert!(game.world.machine.devices.is_open(line));
        }
    }
}
