//! Backends that are killed at any step, while two domains exchange frames over the bridge.

use super::*;
use crate::net::bridge::{Bridge, PortId, Source};
use proptest::prelude::*;

struct Side {
    world: World,
    mac: Mac,
    port: PortId,
    sent: u16,
    last_seen: u16,
    seen: usize,
}

struct BridgePort<'a> {
    bridge: &'a mut Bridge<TestFrame>,
    port: PortId,
}

impl Switch<TestFrame> for BridgePort<'_> {
    fn pass(&mut self, frame: TestFrame, _: u64) {
        self.bridge.pass(self.port, frame, 0).unwrap();
    }

    fn has_frames(&self) -> bool {
        self.bridge.waiting(self.port) > 0
    }

    fn take(&mut self) -> Option<TestFrame> {
        self.bridge.take(self.port)
    }
}

impl Side {
    fn new(bridge: &mut Bridge<TestFrame>, number: u8) -> Self {
        let mac = Mac([2, 0, 0, 0, 0, number]);
        Self {
            world: World::new(),
            mac,
            port: bridge.add(Source::Only(mac)).unwrap(),
            sent: 0,
            last_seen: 0,
            seen: 0,
        }
    }

    /// A new backend with fresh rings. The port of the bridge stays, with what waits there.
    fn restart(&mut self) {
        let world = &mut self.world;
        (world.tx, world.rx) = (SharedPage::new(), SharedPage::new());
        world.front.disconnect();
        world.front.connect(world.tx.clone(), world.rx.clone());
        let pages = (Box::new(world.tx.clone()), Box::new(world.rx.clone()));
        world.back = Backend::new(world.between.clone(), pages.0, pages.1, None, 0);
    }

    fn send(&mut self, to: Mac) {
        let mut bytes = vec![self.sent as u8; 200];
        bytes[..6].copy_from_slice(&to.0);
        bytes[6..12].copy_from_slice(&self.mac.0);
        bytes[12..14].copy_from_slice(&(self.sent + 1).to_be_bytes());
        if self.world.front.transmit(&bytes).is_ok() {
            self.sent += 1;
        }
    }

    /// Takes what came: in order, whole, and nothing twice.
    fn take(&mut self) {
        let mut buffer = [0; FRAME];
        while let Some(len) = self.world.front.receive(&mut buffer) {
            let number = u16::from_be_bytes([buffer[12], buffer[13]]);
            assert!(number > self.last_seen, "{number} after {}", self.last_seen);
            assert!(len == 200 && buffer[14..200].iter().all(|byte| *byte == (number - 1) as u8));
            self.last_seen = number;
            self.seen += 1;
        }
    }

    fn step(&mut self, bridge: &mut Bridge<TestFrame>) -> Step {
        let port = self.port;
        self.world.back.step(&mut BridgePort { bridge, port }, 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn frames_are_lost_as_on_a_wire_and_never_doubled(lives in prop::collection::vec((0_usize..12, 0_usize..2), 25)) {
        let mut bridge = Bridge::default();
        let mut sides = [1, 2].map(|n| Side::new(&mut bridge, n));
        for (life, victim) in lives {
            for step in 0..life {
                for side in 0..2 {
                    let to = sides[1 - side].mac;
                    for _ in 0..=step {
                        sides[side].send(to);
                    }
                    prop_assert_ne!(sides[side].step(&mut bridge), Step::Broken);
                    if step % 3 == 1 {
                        sides[side].take();
                    }
                }
            }
            sides[victim].restart();
        }
        // Then everything goes through again.
        for side in 0..2 {
            while sides[0].step(&mut bridge) == Step::More || sides[1].step(&mut bridge) == Step::More {
                sides.iter_mut().for_each(Side::take);
            }
            sides.iter_mut().for_each(Side::take);
            let to = sides[1 - side].mac;
            let before = sides[1 - side].seen;
            for _ in 0..20 {
                sides[side].send(to);
            }
            while sides[0].step(&mut bridge) == Step::More || sides[1].step(&mut bridge) == Step::More {}
            sides[1 - side].take();
            prop_assert_eq!(sides[1 - side].seen - before, 20);
        }
    }
}
