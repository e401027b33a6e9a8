//! Signals: numbers, default actions, sets, `struct sigaction`.

use super::{Packed, word};

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal(u8);

macro_rules! signals {
    ($($NAME:ident = $number:literal;)+) => {
        impl Signal {
            $( #[doc = stringify!($NAME)] pub const $NAME: Self = Self($number); )+

            /// The C name, `SIG?` of numbers without one.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self.0 {
                    $( $number => concat!("SIG", stringify!($NAME)), )+
                    _ => "SIG?",
                }
            }
        }
    };
}

signals! {
    HUP = 1; INT = 2; QUIT = 3; ILL = 4; TRAP = 5; ABRT = 6; BUS = 7; FPE = 8; KILL = 9; USR1 = 10; SEGV = 11;
    USR2 = 12; PIPE = 13; ALRM = 14; TERM = 15; STKFLT = 16; CHLD = 17; CONT = 18; STOP = 19; TSTP = 20; TTIN = 21;
    TTOU = 22; URG = 23; XCPU = 24; XFSZ = 25; VTALRM = 26; PROF = 27; WINCH = 28; IO = 29; PWR = 30; SYS = 31;
}

impl Signal {
    /// Highest number.
    pub const MAX: u8 = 64;

    /// The signal with this number, or `None`.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|n| (1..=Self::MAX).contains(n))
            .map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether the default is to do nothing. The stop signals do nothing either: there is no stopped state.
    #[must_use]
    pub fn is_ignored_by_default(self) -> bool {
        [
            Self::CHLD,
            Self::CONT,
            Self::URG,
            Self::WINCH,
            Self::STOP,
            Self::TSTP,
            Self::TTIN,
            Self::TTOU,
        ]
        .contains(&self)
    }

    /// Whether a program may neither catch, ignore nor block it.
    #[must_use]
    pub fn is_unblockable(self) -> bool {
        self == Self::KILL || self == Self::STOP
    }
}

/// A set of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// The set with these 64 bits, bit n − 1 being signal n.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `signal` is in it.
    #[must_use]
    pub fn contains(self, signal: Signal) -> bool {
        self.0 & 1 << (signal.0 - 1) != 0
    }

    /// Adds `signal`.
    pub fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << (signal.0 - 1);
    }

    /// Takes `signal` out.
    pub fn remove(&mut self, signal: Signal) {
        self.0 &= !(1 << (signal.0 - 1));
    }

    /// The signals of either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The signals of `self` that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The same without those that cannot be blocked.
    #[must_use]
    pub fn blockable(mut self) -> Self {
        self.remove(Signal::KILL);
        self.remove(Signal::STOP);
        self
    }

    /// The signals in it, in order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=Signal::MAX)
            .map(Signal)
            .filter(move |signal| self.contains(*signal))
    }
}

bitflags::bitflags! {
    /// Flags of a signal action.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ActionFlags: u32 {
        /// Not for stopped children.
        const NOCLDSTOP = 1;
        /// Children leave no zombies.
        const NOCLDWAIT = 2;
        /// The handler takes three arguments.
        const SIGINFO = 4;
        /// A restorer is given.
        const RESTORER = 0x0400_0000;
        /// On the alternate stack.
        const ONSTACK = 0x0800_0000;
        /// Calls are restarted.
        const RESTART = 0x1000_0000;
        /// Not blocked while handled.
        const NODEFER = 0x4000_0000;
        /// Back to the default when handled.
        const RESETHAND = 0x8000_0000;
        const _ = !0;
    }
}

/// `struct sigaction` of rt_sigaction: 20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigAction {
    /// 0 the default, 1 ignore, else the handler's address.
    pub handler: u32,
    /// How to handle.
    pub flags: ActionFlags,
    /// What the handler returns to.
    pub restorer: u32,
    /// Blocked while it is handled.
    pub mask: SigSet,
}

impl SigAction {
    /// Bytes of the structure.
    pub const SIZE: usize = 20;
    /// `handler` for the default action.
    pub const DEFAULT: u32 = 0;
    /// `handler` for no action.
    pub const IGNORE: u32 = 1;

    /// As a program reads it.
    #[must_use]
    pub fn packed(&self) -> [u8; Self::SIZE] {
        Packed::new()
            .u32(self.handler)
            .u32(self.flags.bits())
            .u32(self.restorer)
            .u64(self.mask.bits())
            .finish()
    }

    /// As a program writes it.
    #[must_use]
    pub fn from_packed(bytes: &[u8; Self::SIZE]) -> Self {
        let mask = u64::from(word(bytes, 12)) | u64::from(word(bytes, 16)) << 32;
        Self {
            handler: word(bytes, 0),
            flags: ActionFlags::from_bits_retain(word(bytes, 4)),
            restorer: word(bytes, 8),
            mask: SigSet::from_bits(mask).blockable(),
        }
    }

    /// Whether a handler is to be called.
    #[must_use]
    pub const fn is_caught(&self) -> bool {
        self.handler > Self::IGNORE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_one_to_sixty_four() {
        assert_eq!(Signal::new(0), None);
        assert_eq!(Signal::new(65), None);
        assert_eq!(Signal::new(11), Some(Signal::SEGV));
        assert_eq!(Signal::SEGV.name(), "SIGSEGV");
    }

    #[test]
    fn sets_hold_all_numbers() {
        let mut set = SigSet::EMPTY;
        let last = Signal::new(64).unwrap();
        set.insert(last);
        set.insert(Signal::HUP);
        assert_eq!(set.bits(), 1 << 63 | 1);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Signal::HUP, last]);
        set.remove(last);
        assert!(!set.contains(last));
    }

    #[test]
    fn kill_and_stop_cannot_be_blocked() {
        let set = SigSet::from_bits(u64::MAX).blockable();
        assert!(!set.contains(Signal::KILL) && !set.contains(Signal::STOP) && set.contains(Signal::TERM));
    }

    #[test]
    fn actions_come_back() {
        let action = SigAction {
            handler: 0x1000,
            flags: ActionFlags::RESTORER | ActionFlags::RESTART,
            restorer: 0x2000,
            mask: SigSet::from_bits(0x8000_0000_0000_0002),
        };
        assert_eq!(SigAction::from_packed(&action.packed()), action);
    }
}
