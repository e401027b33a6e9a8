//! One queue of a card, and the buffers that go through it: two to a page, each a descriptor of its own.

use alloc::vec::Vec;
use core::ptr::{self, NonNull};

use guest_abi::addr::PAGE_SIZE;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;

use crate::drivers::dma::DmaPage;
use crate::drivers::virtio::PvHal;
use crate::linux::Errno;

/// Descriptors of a queue, and buffers.
const COUNT: usize = 64;
/// Bytes of a buffer.
const SIZE: usize = PAGE_SIZE / 2;

/// The device has given back what it did not have.
#[derive(Clone, Copy, Debug)]
pub struct Nonsense;

/// One queue with its buffers.
pub struct Buffers {
    queue: VirtQueue<PvHal, COUNT>,
    number: u16,
    pages: Vec<DmaPage>,
    /// Buffers that the device does not have.
    free: Vec<u8>,
    /// The buffer that a descriptor is about.
    buffer_of: [Option<u8>; COUNT],
    /// The device reads them; otherwise it writes them.
    is_transmit: bool,
    /// The device has not been told of all that it has.
    is_unshown: bool,
}

impl Buffers {
    /// Sets up queue `number`: even ones are for receiving.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new<T: Transport>(transport: &mut T, number: u16) -> Result<Self, Errno> {
        let pages = (0..COUNT * SIZE / PAGE_SIZE).map(|_| DmaPage::new());
        Ok(Self {
            pages: pages.collect::<Result<_, _>>()?,
            queue: VirtQueue::new(transport, number, false, false).map_err(|_| Errno::ENOMEM)?,
            number,
            free: (0..COUNT as u8).rev().collect(),
            buffer_of: [None; COUNT],
            is_transmit: !number.is_multiple_of(2),
            is_unshown: false,
        })
    }

    /// Whether the device interrupts when it is done with a buffer.
    pub fn set_interrupts(&mut self, are_wanted: bool) {
        self.queue.set_dev_notify(are_wanted);
    }

    /// Whether there is a buffer that the device does not have.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    fn place(&self, buffer: u8) -> NonNull<[u8]> {
        let at = usize::from(buffer) * SIZE;
        NonNull::slice_from_raw_parts(self.pages[at / PAGE_SIZE].pointer(at % PAGE_SIZE), SIZE)
    }

    /// Gives the device a free buffer to write into; `false` where there is none.
    pub fn lend_one(&mut self) -> bool {
        self.give(SIZE)
    }

    /// Has the device read `pieces`, one behind the other; `false` where there is no free buffer. Together they must fit into one.
    pub fn send(&mut self, pieces: &[&[u8]]) -> bool {
        let Some(buffer) = self.free.last() else {
            return false;
        };
        let place = self.place(*buffer);
        let mut at = 0;
        for piece in pieces {
            assert!(at + piece.len() <= SIZE);
            // SAFETY: inside the buffer.
            let to = unsafe { place.cast::<u8>().add(at) };
            // SAFETY: the device does not have the buffer, and no reference into it exists.
            unsafe { ptr::copy_nonoverlapping(piece.as_ptr(), to.as_ptr(), piece.len()) };
            at += piece.len();
        }
        self.give(at)
    }

    /// Tells the device of what it was given, if it wants to know.
    pub fn show<T: Transport>(&mut self, transport: &mut T) {
        if core::mem::take(&mut self.is_unshown) && self.queue.should_notify() {
            transport.notify(self.number);
        }
    }

    fn give(&mut self, len: usize) -> bool {
        let Some(buffer) = self.free.pop() else {
            return false;
        };
        let mut place = NonNull::slice_from_raw_parts(self.place(buffer).cast::<u8>(), len);
        let added = if self.is_transmit {
            // SAFETY: the buffer stays as it is until the device has given it back; the crate looks at address and length alone.
            let bytes = unsafe { place.as_ref() };
            // SAFETY: as above.
            unsafe { self.queue.add(&[bytes], &mut []) }
        } else {
            // SAFETY: as above, and nobody else refers to it.
            let bytes = unsafe { place.as_mut() };
            // SAFETY: as above.
            unsafe { self.queue.add(&[], &mut [bytes]) }
        };
        // There are as many descriptors as buffers, so one is free.
        let token = added.expect("a descriptor for each buffer");
        self.buffer_of[usize::from(token)] = Some(buffer);
        self.is_unshown = true;
        true
    }

    /// Takes back the oldest buffer that the device is done with: its number, and how many bytes the device says that it wrote.
    fn pop(&mut self) -> Result<Option<(u8, usize)>, Nonsense> {
        let Some(token) = self.queue.peek_used() else {
            return Ok(None);
        };
        let place = self.buffer_of.get_mut(usize::from(token));
        let buffer = place.and_then(Option::take).ok_or(Nonsense)?;
        let mut place = self.place(buffer);
        let popped = if self.is_transmit {
            // SAFETY: the device is done with the buffer.
            let bytes = unsafe { place.as_ref() };
            // SAFETY: the same buffer as was added.
            unsafe { self.queue.pop_used(token, &[bytes], &mut []) }
        } else {
            // SAFETY: the device is done with the buffer.
            let bytes = unsafe { place.as_mut() };
            // SAFETY: the same buffer as was added.
            unsafe { self.queue.pop_used(token, &[], &mut [bytes]) }
        };
        self.free.push(buffer);
        Ok(Some((buffer, popped.map_err(|_| Nonsense)? as usize)))
    }

    /// Takes back what the device has read.
    ///
    /// # Errors
    /// It gave back what it did not have.
    pub fn reclaim(&mut self) -> Result<(), Nonsense> {
        while self.pop()?.is_some() {}
        Ok(())
    }

    /// Takes the oldest buffer that the device has written, and copies it into `pieces`, one behind the other, as far as it goes. Gives the
    /// length that the device says, which may be any.
    ///
    /// # Errors
    /// It gave back what it did not have.
    pub fn take(&mut self, pieces: &mut [&mut [u8]]) -> Result<Option<usize>, Nonsense> {
        let Some((buffer, len)) = self.pop()? else {
            return Ok(None);
        };
        let place = self.place(buffer);
        let mut at = 0;
        for piece in pieces {
            let count = piece.len().min(len.min(SIZE) - at);
            // SAFETY: inside the buffer.
            let from = unsafe { place.cast::<u8>().add(at) };
            // SAFETY: the device does not have the buffer any more, and no reference into it exists.
            unsafe { ptr::copy_nonoverlapping(from.as_ptr(), piece.as_mut_ptr(), count) };
            at += count;
        }
        Ok(Some(len))
    }
}
