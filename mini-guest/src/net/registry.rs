//! The interfaces of this domain by name, with what everybody may know of each: how much went through, whether its cable is in, and
//! whether there is something to look at.
//!
//! Whoever drives an interface keeps its [`Entry`] and notes there what the user does not see (frames that were dropped, the cable, news);
//! [`Counted`] counts what the user does see.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::Write;

use super::{FRAME, Interface, Mac, NotSent};

/// What went in one direction.
#[derive(Debug, Default)]
pub struct Tally {
    frames: Cell<u64>,
    bytes: Cell<u64>,
    dropped: Cell<u64>,
    errors: Cell<u64>,
}

fn add(to: &Cell<u64>, count: u64) {
    to.set(to.get().wrapping_add(count));
}

impl Tally {
    /// A frame of `bytes` bytes went through.
    pub fn count(&self, bytes: usize) {
        add(&self.frames, 1);
        add(&self.bytes, bytes as u64);
    }

    /// `frames` good frames were lost for want of room.
    pub fn count_dropped(&self, frames: u64) {
        add(&self.dropped, frames);
    }

    /// A frame was not what it should be, or could not be sent.
    pub fn count_error(&self) {
        add(&self.errors, 1);
    }

    /// Frames that went through.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.get()
    }

    /// Bytes of these.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Frames lost for want of room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Frames that were wrong.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.get()
    }
}

/// An interface as everybody may see it.
#[derive(Debug)]
pub struct Entry {
    name: String,
    /// What came in.
    pub received: Tally,
    /// What went out.
    pub sent: Tally,
    has_news: Cell<bool>,
    has_link: Cell<bool>,
}

impl Entry {
    /// An entry that is in no registry, of an interface with its cable in.
    #[must_use]
    pub fn new(name: &str) -> Rc<Self> {
        Rc::new(Self {
            name: name.into(),
            received: Tally::default(),
            sent: Tally::default(),
            has_news: Cell::new(false),
            has_link: Cell::new(true),
        })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says that frames may have come in, or that there may be room again. Called by whoever drives the interface, in its event.
    pub fn note_news(&self) {
        self.has_news.set(true);
    }

    /// Whether that was said since the last time this was asked. Whoever is told takes frames until there are none: what is left
    /// lying is not announced again.
    pub fn take_news(&self) -> bool {
        self.has_news.take()
    }

    /// Whether the cable leads somewhere. Frames that are sent into one that does not are lost.
    #[must_use]
    pub fn has_link(&self) -> bool {
        self.has_link.get()
    }

    /// Notes whether the cable leads somewhere; `true` where that is new.
    pub fn set_link(&self, has_link: bool) -> bool {
        self.has_link.replace(has_link) != has_link
    }
}

/// The interfaces, in the order in which they came.
#[derive(Debug, Default)]
pub struct Interfaces {
    entries: Vec<Rc<Entry>>,
}

impl Interfaces {
    /// Adds an interface; `None` where the name is taken.
    pub fn add(&mut self, name: &str) -> Option<Rc<Entry>> {
        if self.get(name).is_some() {
            return None;
        }
        let entry = Entry::new(name);
        self.entries.push(entry.clone());
        Some(entry)
    }

    /// Adds an interface by an entry that its owner has; the one that had its name goes.
    pub fn insert(&mut self, entry: Rc<Entry>) {
        self.remove(entry.name());
        self.entries.push(entry);
    }

    /// Takes an interface away. Whoever has its entry keeps it.
    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|entry| entry.name != name);
    }

    /// The interface with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Rc<Entry>> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Entry>> {
        self.entries.iter()
    }

    /// What `/proc/net/dev` shows, in Linux's columns. Those that nothing of ours counts are 0.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(
            "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
        );
        for Entry {
            name, received, sent, ..
        } in self.entries.iter().map(|entry| &**entry)
        {
            let _ = writeln!(
                text,
                "{name:>6}: {:>7} {:>7} {:>4} {:>4}    0     0          0         0 {:>8} {:>7} {:>4} {:>4}    0     0       0          0",
                received.bytes(),
                received.frames(),
                received.errors(),
                received.dropped(),
                sent.bytes(),
                sent.frames(),
                sent.errors(),
                sent.dropped()
            );
        }
        text
    }
}

/// An interface whose frames are counted.
#[derive(Debug)]
pub struct Counted<I> {
    inner: I,
    entry: Rc<Entry>,
}

impl<I: Interface> Counted<I> {
    /// Counts the frames of `inner` in `entry`.
    pub fn new(inner: I, entry: Rc<Entry>) -> Self {
        Self { inner, entry }
    }
}

impl<I: Interface> Interface for Counted<I> {
    fn mac(&self) -> Mac {
        self.inner.mac()
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        let sent = self.inner.transmit(frame);
        match sent {
            Ok(()) => self.entry.sent.count(frame.len()),
            // The sender tries again.
            Err(NotSent::Full) => {}
            Err(NotSent::Length | NotSent::Gone) => self.entry.sent.count_error(),
        }
        sent
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        let len = self.inner.receive(buffer)?;
        self.entry.received.count(len);
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Wire;
    use super::*;

    #[test]
    fn names_are_taken_once() {
        let mut interfaces = Interfaces::default();
        assert!(interfaces.add("net0").is_some());
        assert!(interfaces.add("net0").is_none());
        interfaces.remove("net0");
        assert!(interfaces.get("net0").is_none());
        assert!(interfaces.add("net0").is_some());
    }

    #[test]
    fn what_went_through_is_shown() {
        let mut interfaces = Interfaces::default();
        let entry = interfaces.add("net0").unwrap();
        let (one, mut other) = Wire::between(Mac([2; 6]), Mac([4; 6]), 1);
        let mut one = Counted::new(one, entry.clone());
        assert_eq!(one.transmit(&[0; 60]), Ok(()));
        assert_eq!(one.transmit(&[0; 60]), Err(NotSent::Full));
        assert_eq!(one.transmit(&[0; 3]), Err(NotSent::Length));
        other.transmit(&[0; 100]).unwrap();
        assert_eq!(one.receive(&mut [0; FRAME]), Some(100));
        assert_eq!(one.receive(&mut [0; FRAME]), None);
        entry.received.count_dropped(7);
        let text = interfaces.text();
        let line: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        let wanted = "net0: 100 1 0 7 0 0 0 0 60 1 1 0 0 0 0 0";
        assert_eq!(line, wanted.split(' ').collect::<Vec<_>>());
    }

    #[test]
    fn news_are_told_once() {
        let entry = Entry::new("net0");
        assert!(!entry.take_news());
        entry.note_news();
        entry.note_news();
        assert!(entry.take_news() && !entry.take_news());
        assert!(entry.set_link(false) && !entry.set_link(false) && !entry.has_link());
    }
}
