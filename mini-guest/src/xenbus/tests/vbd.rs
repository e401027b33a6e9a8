//! Both halves of a block device: from nothing to connected, through the end of either, and again.

use alloc::format;

use guest_abi::io::xenbus::XenbusState;

use super::sides::{HalfOfDevice, Side, World as AnyWorld};
use crate::blkif::frontend::Properties;
use crate::blkif::ring::Layout;
use crate::block::Info;
use crate::store::Error;
use crate::xenbus::Keys;
use crate::xenbus::vbd::{Back, BackActions, Details, Front, FrontActions};

const BACK: &str = "/local/domain/0/backend/vbd/5/1";
const FRONT: &str = "/local/domain/5/device/vbd/1";
const INFO: Info = Info {
    sectors: 1000,
    block_sectors: 1,
    is_read_only: true,
    has_cache: true,
    max_segments: 32,
    is_copying: false,
    depth: 8,
};

const CONNECTED: (Option<XenbusState>, Option<XenbusState>) =
    (Some(XenbusState::CONNECTED), Some(XenbusState::CONNECTED));

#[derive(Debug, Default)]
struct BackLog {
    connected: Option<Details>,
    connects: usize,
    refuses: bool,
}

impl BackActions for BackLog {
    fn connect(&mut self, details: Details) -> Result<Info, &'static str> {
        if self.refuses {
            return Err("no");
        }
        assert!(self.connected.replace(details).is_none(), "connected twice");
        self.connects += 1;
        Ok(INFO)
    }

    fn disconnect(&mut self) {
        self.connected = None;
    }
}

#[derive(Debug, Default)]
struct FrontLog {
    rings: u32,
    connected: Option<Properties>,
    is_gone: bool,
    is_in_use: bool,
    is_old: bool,
}

impl FrontActions for FrontLog {
    fn prepare(&mut self, backend: u16) -> Result<Details, Error> {
        assert_eq!((backend, self.connected), (0, None));
        self.rings += 1;
        Ok(Details {
            ring: 100 + self.rings,
            port: 200 + self.rings,
            layout: Layout::X86_32,
            keeps: !self.is_old,
        })
    }

    fn connect(&mut self, properties: Properties) {
        self.connected = Some(properties);
    }

    fn disconnect(&mut self) {
        self.connected = None;
    }

    fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    fn give_up(&mut self) {
        self.connected = None;
        self.is_gone = true;
    }
}

type World = AnyWorld<(Back, BackLog), (Front, FrontLog)>;

fn fresh() -> World {
    World::new([BACK, FRONT], &[])
}

/// Both halves, connected.
fn connected() -> World {
    let mut world = fresh();
    world.start_back();
    world.start_front();
    world.settle();
    assert_eq!(world.states(), CONNECTED);
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

#[test]
fn whoever_comes_first_they_connect() {
    for is_back_first in [true, false] {
        let mut world = fresh();
        if is_back_first {
            world.start_back();
            world.settle();
            world.start_front();
        } else {
            world.start_front();
            world.settle();
            world.start_back();
        }
        world.settle();
        assert_eq!(world.states(), CONNECTED);
        let expected = Details {
            ring: 101,
            port: 201,
            layout: Layout::X86_32,
            keeps: true,
        };
        assert_eq!(world.back().1.connected, Some(expected));
        let properties = world.front().1.connected.unwrap();
        let expected = Properties {
            sectors: 1000,
            sector_size: 512,
            is_read_only: true,
            has_flush: true,
            keeps: true,
            max_segments: 32,
        };
        assert_eq!(properties, expected);
    }
}

/// A half that does not know of grants that stay says nothing of them, or something else than 1.
#[test]
fn who_does_not_say_so_keeps_no_grants() {
    for said in [None, Some("0"), Some("yes")] {
        let mut world = fresh();
        world.start_back();
        world.settle();
        world.start_front();
        world.front().1.is_old = true;
        let key = format!("{BACK}/feature-persistent");
        let _ = match said {
            None => world.zero.keys().remove(&key),
            Some(said) => world.zero.keys().write(&key, said),
        };
        world.settle();
        assert_eq!(world.states(), CONNECTED);
        assert!(!world.back().1.connected.unwrap().keeps && !world.front().1.connected.unwrap().keeps);
    }
}

#[test]
fn a_backend_that_was_killed_and_comes_again_gets_a_fresh_ring() {
    let mut world = connected();
    for n in 2..5 {
        world.back = None;
        world.settle();
        world.start_back();
        world.settle();
        assert_eq!(world.states(), CONNECTED);
        assert_eq!(world.back().1.connected.unwrap().ring, 100 + n);
    }
}

#[test]
fn a_frontend_that_begins_anew_gets_a_fresh_connection() {
    let mut world = connected();
    // The kernel of the frontend was started anew, or its ring made no sense.
    world.start_front();
    world.settle();
    assert_eq!(world.states(), CONNECTED);
    assert_eq!(world.back().1.connects, 2);
    let (front, log) = world.front.as_mut().unwrap();
    front.restart(&mut world.five.keys(), log).unwrap();
    world.settle();
    assert_eq!(world.states(), CONNECTED);
    assert_eq!(world.back().1.connects, 3);
}

#[test]
fn a_device_that_is_detached_goes_on_both_sides() {
    let mut world = connected();
    // As the tool does that detaches it.
    world.write(BACK, "state", "5");
    world.settle();
    assert_eq!(
        world.states(),
        (Some(XenbusState::CLOSED), Some(XenbusState::CLOSED))
    );
    assert_eq!(world.back().1.connected, None);
    assert!(world.front().1.is_gone);
}

#[test]
fn a_domain_that_is_gone_leaves_nothing_connected() {
    let mut world = connected();
    world.front = None;
    world.zero.keys().remove("/local/domain/5").unwrap();
    world.settle();
    let (back, log) = world.back.as_mut().unwrap();
    assert_eq!((back.half.state(), log.connected), (XenbusState::CLOSED, None));
}

#[test]
fn keys_that_make_no_sense_are_an_error_and_nothing_is_mapped() {
    for (key, value) in [
        ("ring-ref", "x"),
        ("event-channel", "-1"),
        ("protocol", "vax"),
        ("ring-ref", ""),
    ] {
        let mut world = fresh();
        world.start_back();
        for (other, good) in [
            ("ring-ref", "8"),
            ("event-channel", "9"),
            ("protocol", "x86_32-abi"),
        ] {
            let value = if other == key { value } else { good };
            world
                .five
                .keys()
                .write(&format!("{FRONT}/{other}"), value)
                .unwrap();
        }
        world.five.keys().write(&format!("{FRONT}/state"), "3").unwrap();
        world.settle();
        let (back, log) = world.back.as_mut().unwrap();
        assert_eq!(
            (back.half.state(), log.connects),
            (XenbusState::CLOSING, 0),
            "{key}"
        );
        let error = world.read(BACK, "error");
        assert!(error.is_ok_and(|error| error.contains("no sense")));
    }
    // What nobody but Domain0 can write, and is wrong all the same.
    let mut world = fresh();
    world
        .zero
        .keys()
        .write(&format!("{BACK}/frontend"), "/local/domain/6/device/vbd/1")
        .unwrap();
    assert_eq!(
        Back::start(&mut world.zero.keys(), BACK).err(),
        Some(Error::Invalid)
    );
}

#[test]
fn a_stranger_can_not_speak_for_either_half() {
    let mut world = connected();
    let store = world.store.clone();
    let mut six = Side::new(&store, 6);
    for path in [
        format!("{FRONT}/state"),
        format!("{BACK}/state"),
        format!("{BACK}/new"),
    ] {
        assert_eq!(six.keys().write(&path, "6"), Err(Error::Access), "{path}");
    }
    assert_eq!(
        world.five.keys().write(&format!("{BACK}/state"), "6"),
        Err(Error::Access)
    );
}
