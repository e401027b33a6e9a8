//! The driver against a model of the card.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use proptest::prelude::*;

use super::model::Model as Card;
use super::registers as reg;
use super::ring::COUNT;
use super::{E1000, InReset, Model};
use crate::linux::Errno;
use crate::net::registry::Entry;
use crate::net::{FRAME, HEADER, Mac, NotSent};

const MAC: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
const OTHER: Mac = Mac([2; 6]);

type Shared = Rc<RefCell<Card>>;

fn started() -> (Shared, E1000<Shared>, Rc<Entry>) {
    let card = Card::new(MAC, true);
    let entry = Entry::new("net0");
    let driver = InReset::new(card.clone(), Model::I8254x)
        .unwrap()
        .start(entry.clone(), OTHER);
    (card, driver.ok().unwrap(), entry)
}

fn frame(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (n * 7 + at) as u8).collect()
}

fn received(driver: &E1000<Shared>) -> Option<Vec<u8>> {
    let mut buffer = [0; FRAME];
    let len = driver.receive(&mut buffer)?;
    Some(buffer[..len].into())
}

#[test]
fn the_address_is_in_the_registers_or_the_eeprom() {
    let mac = |card: Shared, model| {
        let driver = InReset::new(card, model).unwrap();
        driver.start(Entry::new("net0"), OTHER).ok().unwrap().mac()
    };
    let (loaded, bare) = (Card::new(MAC, true), Card::new(MAC, false));
    loaded.borrow_mut().eeprom = [0; 3];
    assert_eq!(mac(loaded, Model::I8254x), MAC);
    assert_eq!(mac(bare.clone(), Model::I8254x), MAC);
    assert_eq!(bare.borrow().register(reg::RAL), 0x0100_5452);
    assert_eq!(bare.borrow().register(reg::RAH), 0x8000_0302);
    let newer = Card::new(MAC, false);
    newer.borrow_mut().eerd = (2, 1 << 1);
    assert_eq!(mac(newer, Model::I82574), MAC);
    for nonsense in [Mac([0; 6]), Mac::BROADCAST] {
        assert_eq!(mac(Card::new(nonsense, true), Model::I8254x), OTHER);
    }
    let mute = Card::new(MAC, false);
    mute.borrow_mut().eerd = (8, 0);
    assert_eq!(mac(mute, Model::I8254x), OTHER);
}

#[test]
fn what_cannot_be_started_is_refused() {
    let start = |card: Shared| InReset::new(card, Model::I8254x)?.start(Entry::new("net0"), OTHER);
    let gone = Card::new(MAC, true);
    gone.borrow_mut().is_gone = true;
    assert_eq!(start(gone).err(), Some(Errno::ENODEV));
    let stuck = Card::new(MAC, true);
    stuck.borrow_mut().resets_end = false;
    assert_eq!(start(stuck).err(), Some(Errno::EIO));
    for pages in [0, 1, 100] {
        let poor = Card::new(MAC, true);
        poor.borrow_mut().pages_left = pages;
        assert_eq!(start(poor.clone()).err(), Some(Errno::ENOMEM));
        assert_eq!(poor.borrow().register(reg::RCTL), 0, "it does not run");
    }
}

#[test]
fn a_card_whose_driver_goes_stops() {
    let (card, driver, _) = started();
    assert_ne!(card.borrow().register(reg::RCTL), 0);
    drop(driver);
    card.borrow_mut().cause(reg::CAUSE_RXT0);
    assert_eq!(card.borrow().register(reg::RCTL), 0);
    assert!(!card.borrow().interrupts());
}

#[test]
fn frames_go_out_as_they_are() {
    let (card, driver, _) = started();
    assert_eq!(driver.transmit(&[0; HEADER - 1]), Err(NotSent::Length));
    assert_eq!(driver.transmit(&[0; FRAME + 1]), Err(NotSent::Length));
    let frames: Vec<_> = (0..3 * COUNT).map(|n| frame(n, HEADER + n * 3)).collect();
    for frame in &frames {
        driver.transmit(frame).unwrap();
    }
    assert_eq!(card.borrow().sent, frames);
    assert!(!card.borrow().interrupts(), "nobody waits for room");
    assert_ne!(
        card.borrow().register(reg::TCTL) & reg::TCTL_PSP,
        0,
        "short frames are padded"
    );
}

#[test]
fn who_waits_for_room_is_told() {
    let (card, driver, entry) = started();
    card.borrow_mut().is_slow = true;
    let count = (0..)
        .take_while(|n| driver.transmit(&frame(*n, 60)).is_ok())
        .count();
    assert_eq!(count, COUNT - 1);
    assert_eq!(driver.transmit(&frame(0, 60)), Err(NotSent::Full));
    assert!(!card.borrow().interrupts());
    card.borrow_mut().is_slow = false;
    card.borrow_mut().run();
    assert!(card.borrow().interrupts());
    assert!(driver.interrupt() && entry.take_news());
    assert_eq!(driver.transmit(&frame(count, 60)), Ok(()));
    assert_eq!(card.borrow().sent.len(), COUNT);
    assert!(!card.borrow().interrupts());
}

#[test]
fn frames_come_in_with_an_interrupt() {
    let (card, driver, entry) = started();
    assert!(
        !driver.interrupt() && !entry.take_news(),
        "another device on the line"
    );
    let frames: Vec<_> = (0..3 * COUNT).map(|n| frame(n, HEADER + n * 3)).collect();
    for some in frames.chunks(5) {
        some.iter().for_each(|frame| card.borrow_mut().arrive(frame));
        assert!(card.borrow().interrupts());
        assert!(driver.interrupt() && entry.take_news());
        for frame in some {
            assert_eq!(received(&driver).as_ref(), Some(frame));
        }
        assert_eq!(received(&driver), None);
    }
}

#[test]
fn what_found_no_room_is_counted() {
    let (card, driver, entry) = started();
    for n in 0..COUNT + 4 {
        card.borrow_mut().arrive(&frame(n, 60));
    }
    assert!(driver.interrupt());
    assert_eq!(entry.received.dropped(), 5);
    let count = core::iter::from_fn(|| received(&driver)).count();
    assert_eq!(count, COUNT - 1);
    card.borrow_mut().arrive(&frame(9, 60));
    assert_eq!(received(&driver), Some(frame(9, 60)));
}

#[test]
fn bad_frames_are_counted_and_left_out() {
    let (card, driver, entry) = started();
    let good = frame(1, 100);
    let arrive = |text: &[u8], cut, errors, length| {
        let mut card = card.borrow_mut();
        card.arrive_as(text, cut, errors, length);
        card.arrive(&good);
    };
    arrive(&frame(2, HEADER - 1), 2048, 0, None);
    arrive(&frame(2, FRAME + 1), 2048, 0, None);
    arrive(&frame(2, 5000), 2048, 0, None);
    arrive(&frame(2, 60), 20, 0, None);
    arrive(&frame(2, 60), 2048, 1, None);
    arrive(&frame(2, 60), 2048, 0, Some(0));
    arrive(&frame(2, 60), 2048, 0, Some(2049));
    arrive(&frame(2, 60), 2048, 0, Some(u16::MAX));
    for n in 1..=8 {
        assert_eq!(received(&driver).as_ref(), Some(&good));
        assert_eq!(entry.received.errors(), n);
    }
    assert_eq!(received(&driver), None);
}

#[test]
fn the_link_is_watched() {
    let (card, driver, entry) = started();
    assert!(entry.has_link());
    for status in [0, reg::STATUS_LU] {
        card.borrow_mut().put(reg::STATUS, status);
        card.borrow_mut().cause(reg::CAUSE_LSC);
        assert!(card.borrow().interrupts());
        assert!(driver.interrupt());
        assert_eq!(entry.has_link(), status != 0);
    }
}

#[test]
fn a_card_that_is_gone_is_left_alone() {
    let (card, driver, entry) = started();
    card.borrow_mut().arrive(&frame(1, 60));
    card.borrow_mut().is_gone = true;
    assert!(driver.interrupt() && driver.is_gone());
    assert!(entry.take_news() && !entry.has_link());
    assert_eq!(driver.transmit(&frame(1, 60)), Err(NotSent::Gone));
    assert_eq!(received(&driver), None);
    assert!(!driver.interrupt());

    // One that nobody hears of is noticed when it sends nothing any more.
    let (card, driver, entry) = started();
    card.borrow_mut().is_slow = true;
    card.borrow_mut().is_gone = true;
    let sent = (0..)
        .take_while(|n| driver.transmit(&frame(*n, 60)).is_ok())
        .count();
    assert_eq!(sent, COUNT - 1);
    assert_eq!(driver.transmit(&frame(1, 60)), Err(NotSent::Gone));
    assert!(driver.is_gone() && entry.take_news());
}

proptest! {
    #[test]
    fn nothing_is_lost_or_changed(steps in proptest::collection::vec((0..4u8, HEADER..=FRAME), 1..600)) {
        let (card, driver, _) = started();
        let (mut out, mut coming) = (Vec::new(), VecDeque::new());
        for (n, (step, len)) in steps.into_iter().enumerate() {
            match step {
                0 => {
                    let frame = frame(n, len);
                    if driver.transmit(&frame).is_ok() {
                        out.push(frame);
                    } else {
                        prop_assert_eq!(out.len() - card.borrow().sent.len(), COUNT - 1);
                    }
                }
                1 => {
                    card.borrow_mut().arrive(&frame(n, len));
                    if coming.len() < COUNT - 1 {
                        coming.push_back(frame(n, len));
                    }
                }
                2 => prop_assert_eq!(received(&driver), coming.pop_front()),
                _ => {
                    let mut card = card.borrow_mut();
                    card.is_slow = !card.is_slow;
                    card.run();
                }
            }
        }
        card.borrow_mut().is_slow = false;
        card.borrow_mut().run();
        prop_assert_eq!(&card.borrow().sent, &out);
    }
}
