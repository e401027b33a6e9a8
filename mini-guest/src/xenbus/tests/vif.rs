//! Both halves of a network interface over a real store.

use alloc::format;

use guest_abi::io::xenbus::XenbusState;

use super::sides::{HalfOfDevice, World as AnyWorld};
use crate::net::Mac;
use crate::store::Error;
use crate::xenbus::Keys;
use crate::xenbus::vif::{Back, BackActions, Details, Front, FrontActions};

pub const BACK: &str = "/local/domain/0/backend/vif/5/0";
pub const FRONT: &str = "/local/domain/5/device/vif/0";

#[derive(Debug, Default)]
pub struct BackLog {
    pub served: Option<Details>,
    refuses: bool,
}

impl BackActions for BackLog {
    fn connect(&mut self, details: Details) -> Result<(), &'static str> {
        if self.refuses {
            return Err("no");
        }
        assert!(self.served.replace(details).is_none(), "connected twice");
        Ok(())
    }

    fn disconnect(&mut self) {
        self.served = None;
    }
}

#[derive(Debug, Default)]
pub struct FrontLog {
    rings: u32,
    is_live: bool,
    announced: usize,
    is_gone: bool,
}

impl FrontActions for FrontLog {
    fn prepare(&mut self, backend: u16) -> Result<Details, Error> {
        assert!(backend == 0 && !self.is_live);
        self.rings += 1;
        self.is_live = true;
        Ok(Details {
            tx: 100 + self.rings,
            rx: 200 + self.rings,
            port: 300 + self.rings,
        })
    }

    fn connected(&mut self) {
        self.announced += 1;
    }

    fn disconnect(&mut self) {
        self.is_live = false;
    }

    fn give_up(&mut self) {
        self.is_live = false;
        self.is_gone = true;
    }
}

pub type World = AnyWorld<(Back, BackLog), (Front, FrontLog)>;

/// Neither half has begun.
pub fn fresh() -> World {
    World::new(
        [BACK, FRONT],
        &[("mac", "00:16:3e:00:05:00"), ("ip", "10.0.0.5/24")],
    )
}

/// Both halves, connected.
fn connected() -> World {
    let mut world = fresh();
    world.start_back();
    world.start_front();
    world.settle();
    world.assert_connected(1);
    world
}

impl HalfOfDevice for (Back, BackLog) {
    fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        Ok((Back::start(keys, directory)?, BackLog::default()))
    }

    fn look(&mut self, keys: &mut dyn Keys) {
        self.0.look(keys, &mut self.1).unwrap();
    }

    fn state(&self) -> XenbusState {
        self.0.half.state()
    }
}

impl HalfOfDevice for (Front, FrontLog) {
    fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error> {
        Ok((Front::start(keys, directory)?, FrontLog::default()))
    }

    fn look(&mut self, keys: &mut dyn Keys) {
        self.0.look(keys, &mut self.1).unwrap();
    }

    fn state(&self) -> XenbusState {
        self.0.half.state()
    }
}

impl World {
    /// Both are connected, by the rings that were made last.
    fn assert_connected(&self, rings: u32) {
        let connected = Some(XenbusState::CONNECTED);
        assert_eq!(self.states(), (connected, connected));
        let (back, front) = (&self.back.as_ref().unwrap().1, &self.front.as_ref().unwrap().1);
        assert_eq!((front.rings, front.is_live, front.is_gone), (rings, true, false));
        let wanted = Details {
            tx: 100 + rings,
            rx: 200 + rings,
            port: 300 + rings,
        };
        assert_eq!(back.served, Some(wanted));
    }
}

#[test]
fn they_connect_whoever_comes_first() {
    for back_first in [true, false] {
        let mut world = fresh();
        for turn in [back_first, !back_first] {
            if turn {
                world.start_back();
            } else {
                world.start_front();
            }
            world.settle();
        }
        world.assert_connected(1);
        let front = &world.front().0;
        assert_eq!(
            (front.mac, front.ip.as_deref()),
            (Mac::of_domain(5, 0), Some("10.0.0.5/24"))
        );
        assert_eq!(world.front().1.announced, 1);
        let mut key = |key: &str| world.five.keys().read(&format!("{BACK}/{key}")).unwrap();
        assert_eq!(
            [key("feature-rx-copy"), key("feature-sg"), key("hotplug-status")],
            ["1", "1", "connected"]
        );
    }
}

#[test]
fn a_backend_that_comes_again_gets_fresh_rings() {
    let mut world = connected();
    for rings in 2..6 {
        // Killed without a word; the next one begins before anybody has looked.
        world.start_back();
        assert_eq!(world.states().0, Some(XenbusState::CLOSED));
        world.settle();
        world.assert_connected(rings);
    }
    assert_eq!(world.front().1.announced, 5);
}

#[test]
fn a_backend_that_dies_between_two_steps_is_followed_by_another() {
    // The frontend has offered rings that nobody has looked at.
    let mut world = fresh();
    world.start_back();
    world.start_front();
    let (front, log) = world.front.as_mut().unwrap();
    front.look(&mut world.five.keys(), log).unwrap();
    assert_eq!(
        world.states(),
        (Some(XenbusState::INIT_WAIT), Some(XenbusState::CONNECTED))
    );
    world.start_back();
    world.settle();
    world.assert_connected(2);
}

#[test]
fn a_frontend_that_begins_anew_is_served_again() {
    let mut world = connected();
    let (front, log) = world.front.as_mut().unwrap();
    front.restart(&mut world.five.keys(), log).unwrap();
    world.settle();
    world.assert_connected(2);
}

#[test]
fn detaching_ends_both_and_a_domain_that_goes_ends_the_backend() {
    let mut world = connected();
    world.write(BACK, "state", "5");
    // Nobody watches its own state: whoever detaches has the backends look.
    let (back, log) = world.back.as_mut().unwrap();
    back.look(&mut world.zero.keys(), log).unwrap();
    world.settle();
    let closed = Some(XenbusState::CLOSED);
    assert_eq!(world.states(), (closed, closed));
    assert!(world.front().1.is_gone);
    assert_eq!(world.back().1.served, None);

    let mut world = connected();
    world.front = None;
    world.zero.keys().remove("/local/domain/5").unwrap();
    world.settle();
    assert_eq!((world.states().0, world.back.unwrap().1.served), (closed, None));
}

#[test]
fn keys_that_make_no_sense_are_an_error_and_nothing_is_mapped() {
    let good = [
        ("tx-ring-ref", "8"),
        ("rx-ring-ref", "9"),
        ("event-channel", "10"),
        ("request-rx-copy", "1"),
        ("feature-rx-notify", "1"),
    ];
    for (key, value) in [
        ("tx-ring-ref", "x"),
        ("rx-ring-ref", ""),
        ("event-channel", "-1"),
        ("request-rx-copy", "0"),
        ("feature-rx-notify", "no"),
    ] {
        let mut world = fresh();
        world.start_back();
        for (other, good) in good {
            let value = if other == key { value } else { good };
            world
                .five
                .keys()
                .write(&format!("{FRONT}/{other}"), value)
                .unwrap();
        }
        world.five.keys().write(&format!("{FRONT}/state"), "4").unwrap();
        world.settle();
        let (back, log) = world.back.as_mut().unwrap();
        assert_eq!(
            (back.half.state(), log.served),
            (XenbusState::CLOSING, None),
            "{key}"
        );
        assert!(world.read(BACK, "error").is_ok());
    }
    let mut world = fresh();
    world.start_back();
    world.back().1.refuses = true;
    world.start_front();
    world.settle();
    assert_eq!(world.read(BACK, "error").as_deref(), Ok("no"));
    assert!(world.front().1.is_gone);
    // What nobody but Domain0 can write, and is wrong all the same.
    for (key, value) in [("frontend", "/local/domain/6/device/vif/0"), ("frontend-id", "x")] {
        let mut world = fresh();
        world.zero.keys().write(&format!("{BACK}/{key}"), value).unwrap();
        assert_eq!(
            Back::start(&mut world.zero.keys(), BACK).err(),
            Some(Error::Invalid)
        );
    }
    let mut world = fresh();
    world.write(FRONT, "mac", "5");
    assert_eq!(
        Front::start(&mut world.five.keys(), FRONT).err(),
        Some(Error::Invalid)
    );
}

/// A frontend says its state, and the backend looks until it has nothing to do; how often it did something.
fn say(world: &mut World, said: XenbusState) -> usize {
    let path = format!("{FRONT}/state");
    let value = format!("{}", said.raw());
    world.five.keys().write(&path, &value).unwrap();
    for steps in 0..20 {
        let before = world.states().0;
        let (back, log) = world.back.as_mut().unwrap();
        back.look(&mut world.zero.keys(), log).unwrap();
        if world.states().0 == before {
            return steps;
        }
    }
    panic!("the backend never comes to rest");
}

/// Rings for the backend, without a frontend that looks at anything.
fn offer_rings(world: &mut World) {
    for (key, value) in [
        ("tx-ring-ref", "8"),
        ("rx-ring-ref", "9"),
        ("event-channel", "10"),
        ("request-rx-copy", "1"),
        ("feature-rx-notify", "1"),
    ] {
        world.five.keys().write(&format!("{FRONT}/{key}"), value).unwrap();
    }
}

#[test]
fn rings_that_broke_are_over_when_the_frontend_begins_anew() {
    for way in [
        &[XenbusState::CLOSED, XenbusState::INITIALISING][..],
        &[
            XenbusState::CLOSING,
            XenbusState::CLOSED,
            XenbusState::INITIALISING,
        ],
        &[XenbusState::INITIALISING],
    ] {
        let mut world = fresh();
        world.start_back();
        offer_rings(&mut world);
        say(&mut world, XenbusState::CONNECTED);
        assert_eq!(world.states().0, Some(XenbusState::CONNECTED));
        // As the kernel does it that finds an index that makes no sense.
        let (back, log) = world.back.as_mut().unwrap();
        log.disconnect();
        back.fail(&mut world.zero.keys(), "the rings make no sense")
            .unwrap();
        assert_eq!(say(&mut world, XenbusState::CONNECTED), 0);
        for state in way {
            say(&mut world, *state);
        }
        assert_eq!(world.states().0, Some(XenbusState::INIT_WAIT), "{way:?}");
        say(&mut world, XenbusState::CONNECTED);
        assert_eq!(world.states().0, Some(XenbusState::CONNECTED));
        assert!(world.back().1.served.is_some());
        assert!(world.read(BACK, "error").is_err(), "{way:?}");
    }
}

#[test]
fn one_that_is_detached_does_not_begin_anew_because_its_frontend_has_not_begun() {
    let mut world = fresh();
    world.start_back();
    world.write(BACK, "state", "5");
    say(&mut world, XenbusState::INITIALISING);
    assert_eq!(world.states().0, Some(XenbusState::CLOSING));
    say(&mut world, XenbusState::CLOSED);
    assert_eq!(world.states().0, Some(XenbusState::CLOSED));
}

#[test]
fn whatever_states_a_frontend_says_the_backend_comes_to_rest() {
    // All pairs of states one after the other, with rings that are good and with rings that are refused.
    for refuses in [false, true] {
        let mut world = fresh();
        world.start_back();
        offer_rings(&mut world);
        for first in 0..10 {
            for second in 0..10 {
                for state in [first, second] {
                    let log = &mut world.back().1;
                    log.refuses = refuses;
                    assert!(say(&mut world, XenbusState::new(state)) <= 2, "{first} {second}");
                }
            }
        }
    }
}
