//! Domain0's bridge with its ports: the machine's cards, other domains' interfaces, and the stack of Domain0 itself.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::Kernel;
use super::netfront::News;
use crate::drivers::cards::Card;
use crate::mm::frame_pool::{Frame, Slot};
use crate::net::bridge::{Bridge, Counters, PortId, Source};
use crate::net::load::{Lease, Lending};
use crate::net::netif::Switch;
use crate::net::registry::Entry;
use crate::net::{FRAME, HEADER, Interface, Mac, NotSent};
use crate::{println, time};

/// Most frames of a card in its turn.
const BATCH: usize = 32;

/// The bridge, shared by whoever has a port.
#[derive(Clone, Default)]
pub struct Hub {
    bridge: Rc<RefCell<Bridge<Frame>>>,
    /// There may be something to do.
    may_work: Rc<Cell<bool>>,
}

/// A port of the bridge, which goes when this does.
pub struct Port {
    hub: Hub,
    id: PortId,
    entry: Rc<Entry>,
}

impl Hub {
    /// A new port; `None` where another one has the address.
    pub fn add(&self, source: Source, entry: Rc<Entry>) -> Option<Port> {
        let id = self.bridge.borrow_mut().add(source).ok()?;
        let hub = self.clone();
        Some(Port { hub, id, entry })
    }

    /// Has the ports looked at.
    pub fn note_work(&self) {
        self.may_work.set(true);
    }

    /// Whether they are to be looked at.
    pub fn has_work(&self) -> bool {
        self.may_work.get()
    }

    /// The same; then they are not.
    pub fn take_work(&self) -> bool {
        self.may_work.take()
    }
}

impl Port {
    fn pass_on(&self, frame: Frame, now: u64) -> bool {
        let len = frame.as_ref().len();
        let passed = self.hub.bridge.borrow_mut().pass(self.id, frame, now);
        match passed {
            Ok(()) => {
                self.entry.received.count(len);
                self.hub.note_work();
            }
            Err(_) => self.entry.received.count_error(),
        }
        passed.is_ok()
    }

    /// What went through, and how what came from here waited.
    pub fn counters(&self) -> Counters {
        let bridge = self.hub.bridge.borrow();
        bridge.counters(self.id).unwrap_or_default()
    }

    /// How many frames wait to leave here.
    pub fn waiting(&self) -> usize {
        self.hub.bridge.borrow().waiting(self.id)
    }

    fn next(&self) -> Option<Frame> {
        let frame = self.hub.bridge.borrow_mut().take(self.id)?;
        self.entry.sent.count(frame.as_ref().len());
        Some(frame)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.hub.bridge.borrow_mut().remove(self.id);
    }
}

impl Switch<Frame> for Port {
    fn pass(&mut self, frame: Frame, now: u64) {
        self.pass_on(frame, now);
    }

    fn has_frames(&self) -> bool {
        self.waiting() > 0
    }

    fn take(&mut self) -> Option<Frame> {
        self.next()
    }
}

/// The port of this domain's own stack, as an interface: what it sends comes into the bridge.
pub struct Inner {
    port: Port,
    mac: Mac,
}

impl Interface for Inner {
    fn mac(&self) -> Mac {
        self.mac
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        if !(HEADER..=FRAME).contains(&frame.len()) {
            return Err(NotSent::Length);
        }
        // Without memory it is lost, as on a wire: no event would tell when there is some.
        if let Some(slot) = Slot::with(frame) {
            self.port.pass_on(slot.into(), time::now_ns());
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        let frame = self.port.next()?;
        let bytes = frame.as_ref();
        buffer[..bytes.len()].copy_from_slice(bytes);
        Some(bytes.len())
    }
}

/// A card at its port.
struct Plugged {
    card: Card,
    port: Port,
    /// A frame that the card had no room for.
    unsent: Option<Frame>,
    /// Somebody may have the card for some time: then the bridge does without it.
    lending: Lending,
}

/// The bridge with what does not come and go.
#[derive(Default)]
pub struct Lan {
    /// The bridge.
    pub hub: Hub,
    cards: Vec<Plugged>,
    /// The port of this domain's own stack.
    inner: Option<PortId>,
}

impl Lan {
    /// Gives the cards ports, and this domain's own stack one, whose interface comes back. It has the first card's address, as the
    /// network behind that card knows it.
    pub fn begin(&mut self, cards: Vec<Card>) -> Option<Box<dyn Interface>> {
        let mac = cards
            .first()
            .map_or(Mac::of_domain(0, 0), |card| card.interface.mac());
        let port = self.hub.add(Source::Only(mac), Entry::new("inner"))?;
        self.inner = Some(port.id);
        for card in cards {
            // What goes through is counted in the card's own entry.
            let Some(port) = self.hub.add(Source::Any, Entry::new(card.entry.name())) else {
                println!("mini-guest: {}: no port of the bridge", card.entry.name());
                continue;
            };
            self.cards.push(Plugged {
                card,
                port,
                unsent: None,
                lending: Lending::default(),
            });
        }
        Some(Box::new(Inner { port, mac }))
    }

    /// Has the ports looked at, where there are any.
    pub fn note_work(&self) {
        if self.inner.is_some() {
            self.hub.note_work();
        }
    }

    /// Whether there are frames for this domain's own stack.
    pub fn has_frames(&self) -> bool {
        self.inner
            .is_some_and(|port| self.hub.bridge.borrow().waiting(port) > 0)
    }

    /// Which card has that name.
    pub fn card_named(&self, name: &str) -> Option<usize> {
        self.cards
            .iter()
            .position(|plugged| plugged.card.entry.name() == name)
    }

    /// Lends a card, if nobody has it.
    pub fn lend(&mut self, card: usize) -> Option<Lease> {
        self.cards.get_mut(card)?.lending.lend()
    }

    /// The card, for whoever has the lease.
    pub fn card(&mut self, card: usize) -> Option<&mut dyn Interface> {
        Some(&mut self.cards.get_mut(card)?.card.interface)
    }

    /// A turn of each card; whether there is more.
    pub fn work(&mut self) -> bool {
        let mut has_more = false;
        let now = time::now_ns();
        for card in &mut self.cards {
            has_more |= card.turn(now);
        }
        has_more
    }
}

impl Plugged {
    fn turn(&mut self, now: u64) -> bool {
        let _ = self.card.entry.take_news();
        if self.lending.is_lent() {
            return false;
        }
        let received = (0..BATCH).take_while(|_| self.take_in(now)).count();
        let sent = (0..BATCH).take_while(|_| self.send_out()).count();
        self.card.interface.flush();
        received == BATCH || sent == BATCH
    }

    fn take_in(&mut self, now: u64) -> bool {
        let Some(mut slot) = Slot::take(FRAME) else {
            // Taken all the same: the card has no room for others else.
            return self.card.interface.receive(&mut [0; FRAME]).is_some();
        };
        let Some(len) = self.card.interface.receive(slot.buffer()) else {
            return false;
        };
        slot.set_len(len);
        self.port.pass_on(slot.into(), now);
        true
    }

    fn send_out(&mut self) -> bool {
        let Some(frame) = self.unsent.take().or_else(|| self.port.next()) else {
            return false;
        };
        match self.card.interface.transmit(frame.as_ref()) {
            Err(NotSent::Full) => {
                // The card's event has us try again.
                self.unsent = Some(frame);
                false
            }
            _ => true,
        }
    }
}

impl Kernel {
    /// Puts the cards on the bridge, and this domain's own stack beside them.
    pub fn start_network(&mut self) {
        let cards = core::mem::take(&mut self.devices.cards);
        let is_wanted = !cards.is_empty() || self.net.has_address();
        if let Some(interface) = self.store.lan.begin(cards)
            && is_wanted
        {
            self.attach_network("eth0", interface, None);
        }
    }

    /// In a domain without a bridge: gives the stack a card that this domain was given.
    pub fn start_card(&mut self) {
        let mut cards = core::mem::take(&mut self.devices.cards).into_iter();
        if let Some(card) = cards.next() {
            self.attach_counted(&card.entry, card.interface, None);
        }
        for card in cards {
            println!("mini-guest: {}: there is an interface already", card.entry.name());
        }
    }

    /// A turn of the bridge's ports.
    pub(super) fn network_turn(&mut self) {
        let service = &mut self.store;
        let hub = service.lan.hub.clone();
        if service.vifs.wake_at.is_some_and(|at| at <= time::now_ns()) {
            hub.note_work();
        }
        if !hub.take_work() {
            return;
        }
        let vifs_have_more = service.vifs.work();
        if service.lan.work() || vifs_have_more {
            hub.note_work();
        }
        self.timer_may_change();
        if self.store.lan.has_frames() {
            self.network_news();
        }
    }

    /// Hears of interfaces that another domain carries for this one.
    pub(super) fn fronts_changed(&mut self) {
        let news = self.fronts.as_mut().map(super::fronts::Fronts::network_news);
        self.store_has_slept();
        for news in news.unwrap_or_default() {
            match news {
                News::Appeared(name, interface, ip) => {
                    if self.net.name().is_some_and(|other| other != name) {
                        println!("mini-guest: {name}: there is an interface already");
                        continue;
                    }
                    println!("mini-guest: {name}: {}", interface.mac());
                    self.attach_network(&name, Box::new(interface), ip.as_deref());
                }
                News::Gone(name) => {
                    if self.net.name() == Some(&name) {
                        println!("mini-guest: {name} is gone");
                        self.detach_network();
                    }
                }
            }
        }
    }
}
