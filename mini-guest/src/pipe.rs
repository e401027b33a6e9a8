//! Pipes: bytes from writers to readers of the same machine.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::linux::Errno;
use crate::linux::file::poll;

/// Bytes that a pipe holds.
pub const CAPACITY: usize = 16 * 1024;
/// A write of up to so many bytes is not mixed with others.
pub const ATOMIC: usize = 4096;

/// The pipe behind its ends.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    readers: Cell<u32>,
    writers: Cell<u32>,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is read here.
    Read,
    /// It is written here.
    Write,
}

/// One end; the pipe knows how many of each there are.
#[derive(Debug)]
pub struct PipeEnd {
    pipe: Rc<Pipe>,
    end: End,
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Transfer<T> {
    /// Done, so far.
    Done(T),
    /// Nothing can be done now.
    Wait,
}

impl PipeEnd {
    /// A new pipe's two ends, the one to read first.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let pipe = Rc::new(Pipe::default());
        pipe.readers.set(1);
        pipe.writers.set(1);
        (
            Self {
                pipe: pipe.clone(),
                end: End::Read,
            },
            Self {
                pipe,
                end: End::Write,
            },
        )
    }

    /// Which end this is.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pipe.bytes.borrow().len()
    }

    /// Whether none do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes up to `max` bytes; none when there is no writer left.
    ///
    /// # Errors
    /// EBADF: the wrong end.
    pub fn read(&self, max: usize) -> Result<Transfer<Vec<u8>>, Errno> {
        if self.end != End::Read {
            return Err(Errno::EBADF);
        }
        let mut bytes = self.pipe.bytes.borrow_mut();
        let count = max.min(bytes.len());
        if count == 0 && max > 0 && self.pipe.writers.get() > 0 {
            return Ok(Transfer::Wait);
        }
        Ok(Transfer::Done(bytes.drain(..count).collect()))
    }

    /// How many of `wanted` bytes can be written now; all or none of up to [`ATOMIC`].
    ///
    /// # Errors
    /// EPIPE: nobody reads. EBADF: the wrong end. ENOMEM.
    pub fn room(&self, wanted: usize) -> Result<Transfer<usize>, Errno> {
        if self.end != End::Write {
            return Err(Errno::EBADF);
        }
        if self.pipe.readers.get() == 0 {
            return Err(Errno::EPIPE);
        }
        let room = CAPACITY - self.len();
        let enough = if wanted <= ATOMIC {
            room >= wanted
        } else {
            room > 0
        };
        let count = wanted.min(room);
        if !enough {
            return Ok(Transfer::Wait);
        }
        self.pipe
            .bytes
            .borrow_mut()
            .try_reserve(count)
            .map_err(|_| Errno::ENOMEM)?;
        Ok(Transfer::Done(count))
    }

    /// Adds bytes for which there is [`PipeEnd::room`].
    pub fn write(&self, bytes: &[u8]) {
        self.pipe.bytes.borrow_mut().extend(bytes);
    }

    /// What poll finds.
    #[must_use]
    pub fn poll(&self) -> u16 {
        match self.end {
            End::Read => {
                let ready = if self.is_empty() { 0 } else { poll::IN };
                let hung_up = if self.pipe.writers.get() == 0 {
                    poll::HUP
                } else {
                    0
                };
                ready | hung_up
            }
            End::Write if self.pipe.readers.get() == 0 => poll::OUT | poll::ERR,
            End::Write if CAPACITY - self.len() >= ATOMIC => poll::OUT,
            End::Write => 0,
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let count = match self.end {
            End::Read => &self.pipe.readers,
            End::Write => &self.pipe.writers,
        };
        count.set(count.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order() {
        let (read, write) = PipeEnd::pair();
        assert_eq!(read.read(4), Ok(Transfer::Wait));
        assert_eq!(write.room(5), Ok(Transfer::Done(5)));
        write.write(b"hello");
        assert_eq!(read.read(2), Ok(Transfer::Done(b"he".to_vec())));
        assert_eq!(read.read(9), Ok(Transfer::Done(b"llo".to_vec())));
    }

    #[test]
    fn small_writes_are_all_or_nothing() {
        let (_read, write) = PipeEnd::pair();
        write.write(&[0; CAPACITY - 10]);
        assert_eq!(write.room(11), Ok(Transfer::Wait));
        assert_eq!(write.room(10), Ok(Transfer::Done(10)));
        assert_eq!(write.room(ATOMIC + 1), Ok(Transfer::Done(10)));
        assert_eq!(write.poll(), 0);
    }

    #[test]
    fn without_a_writer_the_file_ends() {
        let (read, write) = PipeEnd::pair();
        write.write(b"x");
        drop(write);
        assert_eq!(read.poll(), poll::IN | poll::HUP);
        assert_eq!(read.read(4), Ok(Transfer::Done(b"x".to_vec())));
        assert_eq!(read.read(4), Ok(Transfer::Done(Vec::new())));
    }

    #[test]
    fn without_a_reader_writing_fails() {
        let (read, write) = PipeEnd::pair();
        drop(read);
        assert_eq!(write.room(1), Err(Errno::EPIPE));
        assert_eq!(write.poll(), poll::OUT | poll::ERR);
    }

    #[test]
    fn ends_do_one_thing_only() {
        let (read, write) = PipeEnd::pair();
        assert_eq!(read.room(1), Err(Errno::EBADF));
        assert_eq!(write.read(1), Err(Errno::EBADF));
    }
}
