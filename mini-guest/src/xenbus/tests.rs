//! Both halves of a device over a real store: from nothing to connected, through the end of either, and again.

use super::vbd::{Back, BackActions, Details, Front, FrontActions};
use super::*;
use crate::blkif::frontend::Properties;
use crate::blkif::ring::Layout;
use crate::block::Info;
use crate::store::{ConnectionId, Platform, Store};
use alloc::format;
use alloc::rc::Rc;
use core::cell::RefCell;

mod vif;

const INFO: Info = Info {
    sectors: 1000,
    block_sectors: 1,
    is_read_only: true,
    has_cache: true,
    max_segments: 32,
    depth: 8,
};

struct NoRings;

impl Platform for NoRings {
    fn introduce(&mut self, _: u16, _: u32, _: u32, _: ConnectionId) -> Result<(), Error> {
        Ok(())
    }

    fn release(&mut self, _: u16) {}
}

/// A way to the store that takes and gives a few bytes at a time.
struct Wire {
    store: Rc<RefCell<Store>>,
    connection: ConnectionId,
}

impl Transport for Wire {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for chunk in bytes.chunks(7) {
            self.store
                .borrow_mut()
                .receive(self.connection, chunk, &mut NoRings);
        }
        Ok(())
    }

    fn receive(&mut self, waits: bool) -> Result<Vec<u8>, Error> {
        let max = if waits { 5 } else { usize::MAX };
        let bytes = self
            .store
            .borrow_mut()
            .take_output(self.connection, max, &mut NoRings);
        if waits && bytes.is_empty() {
            Err(Error::Io)
        } else {
            Ok(bytes)
        }
    }
}

/// One domain's way to the store.
struct Side {
    client: Client,
    wire: Wire,
}

impl Side {
    fn new(store: &Rc<RefCell<Store>>, domain: u16) -> Self {
        let connection = store.borrow_mut().connect(domain);
        let store = store.clone();
        Self {
            client: Client::default(),
            wire: Wire { store, connection },
        }
    }

    fn keys(&mut self) -> Session<'_> {
        Session {
            client: &mut self.client,
            transport: &mut self.wire,
        }
    }

    fn set_perms(&mut self, path: &str, perms: &str) {
        let words = format!("{path}\0{perms}");
        let header = guest_abi::io::xenstore::MessageHeader {
            kind: guest_abi::io::xenstore::MessageKind::SET_PERMS,
            len: words.len() as u32,
            ..Default::default()
        };
        let bytes = [zerocopy::IntoBytes::as_bytes(&header), words.as_bytes()].concat();
        self.wire.send(&bytes).unwrap();
        self.wire.receive(false).unwrap();
    }

    fn has_event(&mut self) -> bool {
        self.client.pump(&mut self.wire).unwrap();
        let mut any = false;
        while self.client.next_event().is_some() {
            any = true;
        }
        any
    }
}

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
}

impl FrontActions for FrontLog {
    fn prepare(&mut self, backend: u16) -> Result<Details, Error> {
        assert_eq!((backend, self.connected), (0, None));
        self.rings += 1;
        Ok(Details {
            ring: 100 + self.rings,
            port: 200 + self.rings,
            layout: Layout::X86_32,
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

const BACK: &str = "/local/domain/0/backend/vbd/5/1";
const FRONT: &str = "/local/domain/5/device/vbd/1";

/// Two domains and the tool that has written what they begin with.
struct World {
    zero: Side,
    five: Side,
    back: Option<(Back, BackLog)>,
    front: Option<(Front, FrontLog)>,
}

impl World {
    fn new() -> Self {
        let store = Rc::new(RefCell::new(Store::default()));
        let (mut zero, mut five) = (Side::new(&store, 0), Side::new(&store, 5));
        for (path, value) in [
            (format!("{BACK}/frontend"), FRONT),
            (format!("{BACK}/frontend-id"), "5"),
            (format!("{BACK}/state"), "1"),
            (format!("{FRONT}/backend"), BACK),
            (format!("{FRONT}/backend-id"), "0"),
            (format!("{FRONT}/state"), "1"),
        ] {
            zero.keys().write(&path, value).unwrap();
        }
        for key in ["", "/state", "/backend", "/backend-id"] {
            zero.set_perms(&format!("{FRONT}{key}"), "n5\0");
        }
        for key in ["", "/state", "/frontend", "/frontend-id"] {
            zero.set_perms(&format!("{BACK}{key}"), "n0\0r5\0");
        }
        zero.keys().watch(FRONT, "front").unwrap();
        five.keys().watch(BACK, "back").unwrap();
        Self {
            zero,
            five,
            back: None,
            front: None,
        }
    }

    fn start_back(&mut self) {
        let back = Back::start(&mut self.zero.keys(), BACK).unwrap();
        self.back = Some((back, BackLog::default()));
    }

    fn start_front(&mut self) {
        let front = Front::start(&mut self.five.keys(), "device/vbd/1").unwrap();
        self.front = Some((front, FrontLog::default()));
    }

    /// Lets both do what their watches tell them to.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 50, "it never comes to rest");
            let mut any = self.zero.has_event() | self.five.has_event();
            if round == 0 {
                any = true;
            }
            if !any {
                break;
            }
            if let Some((back, log)) = &mut self.back {
                back.look(&mut self.zero.keys(), log).unwrap();
            }
            if let Some((front, log)) = &mut self.front {
                front.look(&mut self.five.keys(), log).unwrap();
            }
        }
    }

    fn states(&self) -> (XenbusState, XenbusState) {
        (
            self.back.as_ref().unwrap().0.half.state(),
            self.front.as_ref().unwrap().0.half.state(),
        )
    }
}

const CONNECTED: (XenbusState, XenbusState) = (XenbusState::CONNECTED, XenbusState::CONNECTED);

#[test]
fn whoever_comes_first_they_connect() {
    for is_back_first in [true, false] {
        let mut world = World::new();
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
        };
        assert_eq!(world.back.as_ref().unwrap().1.connected, Some(expected));
        let properties = world.front.as_ref().unwrap().1.connected.unwrap();
        let expected = Properties {
            sectors: 1000,
            sector_size: 512,
            is_read_only: true,
            has_flush: true,
        };
        assert_eq!(properties, expected);
    }
}

#[test]
fn a_backend_that_was_killed_and_comes_again_gets_a_fresh_ring() {
    let mut world = World::new();
    world.start_back();
    world.start_front();
    world.settle();
    for n in 2..5 {
        world.back = None;
        world.settle();
        world.start_back();
        world.settle();
        assert_eq!(world.states(), CONNECTED);
        assert_eq!(world.back.as_ref().unwrap().1.connected.unwrap().ring, 100 + n);
    }
}

#[test]
fn a_frontend_that_begins_anew_gets_a_fresh_connection() {
    let mut world = World::new();
    world.start_back();
    world.start_front();
    world.settle();
    // The kernel of the frontend was started anew, or its ring made no sense.
    world.start_front();
    world.settle();
    assert_eq!(world.states(), CONNECTED);
    assert_eq!(world.back.as_ref().unwrap().1.connects, 2);
    let (front, log) = world.front.as_mut().unwrap();
    front.restart(&mut world.five.keys(), log).unwrap();
    world.settle();
    assert_eq!(world.states(), CONNECTED);
    assert_eq!(world.back.as_ref().unwrap().1.connects, 3);
}

#[test]
fn a_device_that_is_detached_goes_on_both_sides() {
    let mut world = World::new();
    world.start_back();
    world.start_front();
    world.settle();
    // As the tool does that detaches it.
    world.zero.keys().write(&format!("{BACK}/state"), "5").unwrap();
    world.settle();
    assert_eq!(world.states(), (XenbusState::CLOSED, XenbusState::CLOSED));
    assert_eq!(world.back.as_ref().unwrap().1.connected, None);
    assert!(world.front.as_ref().unwrap().1.is_gone);
}

#[test]
fn a_domain_that_is_gone_leaves_nothing_connected() {
    let mut world = World::new();
    world.start_back();
    world.start_front();
    world.settle();
    world.front = None;
    world.zero.keys().remove("/local/domain/5").unwrap();
    world.settle();
    let (back, log) = world.back.as_ref().unwrap();
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
        let mut world = World::new();
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
        let (back, log) = world.back.as_ref().unwrap();
        assert_eq!(
            (back.half.state(), log.connects),
            (XenbusState::CLOSING, 0),
            "{key}"
        );
        let error = world.zero.keys().read(&format!("{BACK}/error"));
        assert!(error.is_ok_and(|error| error.contains("no sense")));
    }
    // What nobody but Domain0 can write, and is wrong all the same.
    let mut world = World::new();
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
    let mut world = World::new();
    world.start_back();
    world.start_front();
    world.settle();
    let store = world.zero.wire.store.clone();
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

/// A store that answers what it likes.
struct Liar(Vec<u8>);

impl Transport for Liar {
    fn send(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn receive(&mut self, _: bool) -> Result<Vec<u8>, Error> {
        if self.0.is_empty() {
            Err(Error::Io)
        } else {
            Ok(core::mem::take(&mut self.0))
        }
    }
}

#[test]
fn a_store_that_makes_no_sense_is_not_believed() {
    use guest_abi::io::xenstore::{MessageHeader, MessageKind};
    let message = |kind, req_id, len| {
        let header = MessageHeader {
            kind,
            req_id,
            tx_id: 0,
            len,
        };
        zerocopy::IntoBytes::as_bytes(&header).to_vec()
    };
    for bytes in [
        message(MessageKind::READ, 2, 0),
        message(MessageKind::WRITE, 1, 0),
        message(MessageKind::READ, 1, 5000),
        message(MessageKind::READ, 1, 1),
        vec![1, 2, 3],
    ] {
        let (mut client, mut liar) = (Client::default(), Liar(bytes));
        let mut keys = Session {
            client: &mut client,
            transport: &mut liar,
        };
        assert_eq!(keys.read("x"), Err(Error::Io));
        assert_eq!(keys.read("x"), Err(Error::Io));
    }
    let (mut client, mut liar) = (Client::default(), Liar(message(MessageKind::READ, 1, 0)));
    let mut keys = Session {
        client: &mut client,
        transport: &mut liar,
    };
    assert_eq!(keys.read("x").as_deref(), Ok(""));
}
