//! A wire with two ends, for host tests.

use super::{FRAME, HEADER, Interface, Mac, NotSent};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Frames on the way in one direction.
type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end of a wire. What is transmitted here is received at the other end, in order.
#[derive(Debug)]
pub struct Wire {
    mac: Mac,
    out: Queue,
    coming: Queue,
    room: usize,
}

impl Wire {
    /// Two ends with these addresses; each direction holds up to `room` frames.
    pub fn between(one: Mac, other: Mac, room: usize) -> (Self, Self) {
        let (there, back) = (Queue::default(), Queue::default());
        let first = Self {
            mac: one,
            out: there.clone(),
            coming: back.clone(),
            room,
        };
        let second = Self {
            mac: other,
            out: back,
            coming: there,
            room,
        };
        (first, second)
    }
}

impl Interface for Wire {
    fn mac(&self) -> Mac {
        self.mac
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        if !(HEADER..=FRAME).contains(&frame.len()) {
            return Err(NotSent::Length);
        }
        let mut out = self.out.borrow_mut();
        if out.len() >= self.room {
            return Err(NotSent::Full);
        }
        out.push_back(frame.into());
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        let frame = self.coming.borrow_mut().pop_front()?;
        buffer[..frame.len()].copy_from_slice(&frame);
        Some(frame.len())
    }
}

#[test]
fn frames_arrive_in_order_at_the_other_end() {
    let (mut one, mut other) = Wire::between(Mac([2; 6]), Mac([4; 6]), 2);
    let mut buffer = [0; FRAME];
    assert_eq!(one.transmit(&[0; HEADER - 1]), Err(NotSent::Length));
    assert_eq!(one.transmit(&[0; FRAME + 1]), Err(NotSent::Length));
    assert_eq!(one.transmit(&[1; FRAME]), Ok(()));
    assert_eq!(one.transmit(&[2; HEADER]), Ok(()));
    assert_eq!(one.transmit(&[3; HEADER]), Err(NotSent::Full));
    assert_eq!(one.receive(&mut buffer), None);
    assert_eq!(other.receive(&mut buffer), Some(FRAME));
    assert_eq!(buffer[0], 1);
    assert_eq!(other.receive(&mut buffer), Some(HEADER));
    assert_eq!(buffer[0], 2);
    assert_eq!(other.receive(&mut buffer), None);
}
