//! A store that is slow, or stands still for a while.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use guest_abi::io::xenbus::XenbusState;

use super::sides::{HalfOfDevice, NoRings, Wire};
use super::vif::{BACK, FRONT, fresh};
use crate::store::{Error, Store};
use crate::xenbus::vif::{Details, Front, FrontActions};
use crate::xenbus::{Client, Keys, Session, Transport};

/// A way to the store, whose answers are kept back from the `count`th request on until they are let through.
struct Slow {
    side: Wire,
    requests: Rc<Cell<usize>>,
    count: usize,
    is_stopped: Rc<Cell<bool>>,
    patience: Rc<Cell<u64>>,
    room: Rc<Cell<usize>>,
}

impl Transport for Slow {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let count = bytes.len().min(self.room.get());
        self.room.update(|room| room - count);
        let mut store = self.side.store.borrow_mut();
        store.receive(self.side.connection, &bytes[..count], &mut NoRings);
        Ok(count)
    }

    fn receive(&mut self) -> Result<Vec<u8>, Error> {
        if self.is_stopped.get() {
            return Ok(vec![]);
        }
        self.side.receive()
    }

    fn begin(&mut self, patience_ns: u64) {
        self.patience.set(patience_ns);
        self.requests.update(|count| count + 1);
        if self.requests.get() == self.count {
            self.is_stopped.set(true);
        }
    }

    fn wait(&mut self) -> bool {
        !self.is_stopped.get()
    }
}

fn slow(store: &Rc<RefCell<Store>>, domain: u16, count: usize) -> (Client, Slow) {
    let connection = store.borrow_mut().connect(domain);
    let side = Wire {
        store: store.clone(),
        connection,
    };
    let slow = Slow {
        side,
        requests: Rc::default(),
        count,
        is_stopped: Rc::default(),
        patience: Rc::default(),
        room: Rc::new(Cell::new(usize::MAX)),
    };
    (Client::default(), slow)
}

fn keys<'a>((client, transport): &'a mut (Client, Slow)) -> Session<'a> {
    Session { client, transport }
}

fn has_event((client, transport): &mut (Client, Slow)) -> bool {
    for _ in 0..100 {
        client.pump(transport).unwrap();
    }
    let mut any = false;
    while client.next_event().is_some() {
        any = true;
    }
    any
}

#[test]
fn an_answer_that_is_late_keeps_nobody_waiting_and_is_told() {
    let store = Rc::new(RefCell::new(Store::default()));
    let mut side = slow(&store, 0, 2);
    keys(&mut side).write("/a", "1").unwrap();
    assert_eq!(keys(&mut side).read("/a"), Err(Error::Again));
    let (asked, patience) = (side.1.requests.get(), side.1.patience.get());
    // Not sent, and nobody waits.
    assert_eq!(keys(&mut side).write("/a", "2"), Err(Error::Again));
    assert_eq!(keys(&mut side).read("/a"), Err(Error::Again));
    assert_eq!(side.1.requests.get(), asked);
    assert!(!has_event(&mut side) && side.0.is_late());
    side.1.is_stopped.set(false);
    assert!(has_event(&mut side) && !has_event(&mut side));
    assert_eq!(keys(&mut side).read("/a").as_deref(), Ok("1"));
    assert!(side.1.patience.get() >= patience && !side.0.is_broken());
}

#[test]
fn what_was_to_be_changed_is_changed_though_the_answer_is_late() {
    let store = Rc::new(RefCell::new(Store::default()));
    let mut side = slow(&store, 0, 1);
    side.0.has_begun();
    keys(&mut side).write("/a", "1").unwrap();
    let patience = side.1.patience.get();
    assert!(side.0.is_late());
    side.1.is_stopped.set(false);
    assert!(has_event(&mut side));
    assert_eq!(keys(&mut side).read("/a").as_deref(), Ok("1"));
    // A store that is always slow gets the time that it needs.
    assert_eq!(side.1.patience.get(), 2 * patience);
}

#[test]
fn half_a_request_is_completed_before_anything_else_is_asked() {
    let store = Rc::new(RefCell::new(Store::default()));
    let mut side = slow(&store, 0, 1);
    side.1.room.set(9);
    keys(&mut side).write("/a", "1").unwrap();
    side.1.is_stopped.set(false);
    assert_eq!(keys(&mut side).read("/a"), Err(Error::Again));
    side.1.room.set(usize::MAX);
    assert!(has_event(&mut side));
    assert_eq!(keys(&mut side).read("/a").as_deref(), Ok("1"));
}

#[derive(Default)]
struct Log {
    rings: u32,
    is_live: bool,
    gone: usize,
}

impl FrontActions for Log {
    fn prepare(&mut self, _: u16) -> Result<Details, Error> {
        self.rings += 1;
        self.is_live = true;
        let (tx, rx, port) = (100 + self.rings, 200 + self.rings, 300 + self.rings);
        Ok(Details { tx, rx, port })
    }

    fn connected(&mut self) {}

    fn disconnect(&mut self) {
        self.is_live = false;
    }

    fn give_up(&mut self) {
        self.gone += 1;
    }
}

/// Whichever of the frontend's requests is late: it connects, and never believes that its backend is gone.
#[test]
fn a_handshake_with_any_answer_late_comes_to_its_end() {
    let mut requests = 0;
    for count in 1.. {
        let mut world = fresh();
        world.start_back();
        let mut five = slow(&world.store, 5, count);
        keys(&mut five).watch(BACK, "back").unwrap();
        let (mut front, mut log) = (None::<Front>, Log::default());
        for _ in 0..60 {
            if front.is_none() {
                front = Front::start(&mut keys(&mut five), FRONT).ok();
            }
            if let Some(front) = &mut front {
                let _ = front.look(&mut keys(&mut five), &mut log);
            }
            world.back.as_mut().unwrap().look(&mut world.zero.keys());
            // It has stood still for a look's time.
            five.1.is_stopped.set(false);
            has_event(&mut five);
        }
        let served = world.back.as_ref().unwrap().1.served;
        let wanted = Details {
            tx: 100 + log.rings,
            rx: 200 + log.rings,
            port: 300 + log.rings,
        };
        assert_eq!(
            (served, log.is_live, log.gone),
            (Some(wanted), true, 0),
            "{count}"
        );
        let state = front.map(|front| front.half.state());
        assert_eq!(state, Some(XenbusState::CONNECTED), "{count}");
        if five.1.requests.get() < count {
            break;
        }
        requests = count;
    }
    assert!(requests > 15, "{requests}");
}
