//! What a puppet can be told to do, and how it ended.

use guest_abi::errno::{self, Errno};
use guest_abi::hypercall::CallNumber;

use super::code::{BUFFER, CALL, COMMAND, FRAME_WORDS, LIST, PEEK, POKE, RUN};

/// Commands of one list.
pub const MAX_COMMANDS: usize = ((BUFFER - LIST) / COMMAND - 1) as usize;

/// A command: what to do, and EAX to EDI for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command(pub(super) [u32; 7]);

impl Command {
    /// "Make that call."
    ///
    /// # Panics
    /// With more than five arguments.
    pub fn call(number: CallNumber, arguments: &[u32]) -> Self {
        let mut words = [CALL, number.raw(), 0, 0, 0, 0, 0];
        words[2..2 + arguments.len()].copy_from_slice(arguments);
        Self(words)
    }

    /// "Read the word at that address."
    pub const fn peek(at: u32) -> Self {
        Self([PEEK, 0, at, 0, 0, 0, 0])
    }

    /// "Write that word."
    pub const fn poke(at: u32, value: u32) -> Self {
        Self([POKE, 0, at, value, 0, 0, 0])
    }

    /// "Run the script."
    pub(super) const RUN: Self = Self([RUN, 0, 0, 0, 0, 0, 0]);
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself: EAX and EBX.
    Done(u32, u32),
    /// By a trap, with the words at the top of its stack.
    Trap(u32, [u32; FRAME_WORDS]),
}

impl Ended {
    /// Which trap it was.
    pub const fn trap(self) -> Option<u32> {
        match self {
            Self::Done(..) => None,
            Self::Trap(number, _) => Some(number),
        }
    }

    /// EAX.
    pub const fn eax(self) -> Option<u32> {
        match self {
            Self::Done(eax, _) => Some(eax),
            Self::Trap(..) => None,
        }
    }

    /// What a call answered, unless it trapped.
    pub fn answer(self) -> Option<Result<u32, Errno>> {
        self.eax().map(errno::from_eax)
    }
}

/// It died, or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;
