//! A real store, and two domains with a half of a device each.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use guest_abi::io::xenbus::XenbusState;
use guest_abi::io::xenstore::{MessageHeader, MessageKind};
use zerocopy::IntoBytes;

use crate::store::{ConnectionId, Error, Platform, Store};
use crate::xenbus::{Client, Keys, Session, Transport};

/// Nobody's ring is in memory here.
pub struct NoRings;

impl Platform for NoRings {
    fn introduce(&mut self, _: u16, _: u32, _: u32, _: ConnectionId) -> Result<(), Error> {
        Ok(())
    }

    fn release(&mut self, _: u16) {}
}

/// A way to the store that takes and gives a few bytes at a time.
pub struct Wire {
    pub store: Rc<RefCell<Store>>,
    pub connection: ConnectionId,
}

impl Transport for Wire {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let some = &bytes[..bytes.len().min(7)];
        self.store
            .borrow_mut()
            .receive(self.connection, some, &mut NoRings);
        Ok(some.len())
    }

    fn receive(&mut self) -> Result<Vec<u8>, Error> {
        let mut store = self.store.borrow_mut();
        Ok(store.take_output(self.connection, 5, &mut NoRings))
    }

    fn wait(&mut self) -> bool {
        true
    }
}

/// One domain's way to the store.
pub struct Side {
    client: Client,
    wire: Wire,
}

impl Side {
    /// The way of `domain`.
    pub fn new(store: &Rc<RefCell<Store>>, domain: u16) -> Self {
        let connection = store.borrow_mut().connect(domain);
        let store = store.clone();
        Self {
            client: Client::default(),
            wire: Wire { store, connection },
        }
    }

    /// Requests to the store.
    pub fn keys(&mut self) -> Session<'_> {
        Session {
            client: &mut self.client,
            transport: &mut self.wire,
        }
    }

    /// Says who may read and write there.
    pub fn set_perms(&mut self, path: &str, perms: &str) {
        let words = format!("{path}\0{perms}");
        let header = MessageHeader {
            kind: MessageKind::SET_PERMS,
            len: words.len() as u32,
            ..Default::default()
        };
        let bytes = [header.as_bytes(), words.as_bytes()].concat();
        let mut store = self.wire.store.borrow_mut();
        store.receive(self.wire.connection, &bytes, &mut NoRings);
        store.take_output(self.wire.connection, usize::MAX, &mut NoRings);
    }

    /// Takes what watches have said; whether there was anything.
    pub fn has_event(&mut self) -> bool {
        let mut any = false;
        while self.wire.store.borrow().has_output(self.wire.connection) {
            self.client.pump(&mut self.wire).unwrap();
        }
        while self.client.next_event().is_some() {
            any = true;
        }
        any
    }
}

/// A half of a device, with what it does beside the store.
pub trait HalfOfDevice: Sized {
    /// Begins.
    ///
    /// # Errors
    /// What the half answers.
    fn start(keys: &mut dyn Keys, directory: &str) -> Result<Self, Error>;

    /// Does the next step.
    fn look(&mut self, keys: &mut dyn Keys);

    /// Its state.
    fn state(&self) -> XenbusState;
}

/// Domain0, domain 5, and the keys that somebody has written for the device between them.
pub struct World<B, F> {
    pub store: Rc<RefCell<Store>>,
    pub zero: Side,
    pub five: Side,
    /// The directories.
    paths: [&'static str; 2],
    pub back: Option<B>,
    pub front: Option<F>,
}

impl<B: HalfOfDevice, F: HalfOfDevice> World<B, F> {
    /// Directories with the keys that every device has, and `more` in the frontend's.
    pub fn new(paths: [&'static str; 2], more: &[(&str, &str)]) -> Self {
        let store = Rc::new(RefCell::new(Store::default()));
        let (mut zero, mut five) = (Side::new(&store, 0), Side::new(&store, 5));
        let [back, front] = paths;
        let common = [("backend", back), ("backend-id", "0"), ("state", "1")];
        let of_front = common.iter().chain(more);
        let of_back = [("frontend", front), ("frontend-id", "5"), ("state", "1")];
        for (directory, perms, keys) in [
            (back, "n0\0r5\0", of_back.to_vec()),
            (front, "n5\0", of_front.copied().collect()),
        ] {
            for (key, value) in keys {
                let path = format!("{directory}/{key}");
                zero.keys().write(&path, value).unwrap();
                zero.set_perms(&path, perms);
            }
            zero.set_perms(directory, perms);
        }
        zero.keys().watch(front, "front").unwrap();
        five.keys().watch(back, "back").unwrap();
        Self {
            store,
            zero,
            five,
            paths,
            back: None,
            front: None,
        }
    }

    /// A new backend, whatever the last one was doing.
    pub fn start_back(&mut self) {
        self.back = Some(B::start(&mut self.zero.keys(), self.paths[0]).unwrap());
    }

    /// A new frontend.
    pub fn start_front(&mut self) {
        self.front = Some(F::start(&mut self.five.keys(), self.paths[1]).unwrap());
    }

    /// Lets both do what their watches tell them to, until nothing changes.
    pub fn settle(&mut self) {
        for _ in 0..50 {
            let (zero, five) = (self.zero.has_event(), self.five.has_event());
            if let Some(back) = &mut self.back {
                back.look(&mut self.zero.keys());
            }
            if let Some(front) = &mut self.front {
                front.look(&mut self.five.keys());
            }
            if !zero && !five {
                return;
            }
        }
        panic!("they never come to rest");
    }

    /// The states of both.
    pub fn states(&self) -> (Option<XenbusState>, Option<XenbusState>) {
        (
            self.back.as_ref().map(B::state),
            self.front.as_ref().map(F::state),
        )
    }

    /// The backend.
    pub fn back(&mut self) -> &mut B {
        self.back.as_mut().unwrap()
    }

    /// The frontend.
    pub fn front(&mut self) -> &mut F {
        self.front.as_mut().unwrap()
    }

    /// What a key says.
    pub fn read(&mut self, directory: &str, key: &str) -> Result<String, Error> {
        self.zero.keys().read(&format!("{directory}/{key}"))
    }

    /// Domain0 writes a key.
    pub fn write(&mut self, directory: &str, key: &str, value: &str) {
        let path = format!("{directory}/{key}");
        self.zero.keys().write(&path, value).unwrap();
    }
}
