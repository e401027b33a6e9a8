//! A second domain that does what Domain0 tells it: one call after the other, or code of a test's.
//!
//! It yields until its *block*, a page that Domain0 has mapped too, holds an order, carries it out, writes the answer there
//! and yields again. A trap ends an order like an answer does; so a puppet that has been refused something, or has
//! stumbled, goes on, and what it does next is the proof of that.
//!
//! | page | what |
//! |---|---|
//! | 0–2 | its tables, read-only |
//! | 3 | the code below, and at its end the stack |
//! | 4 | the block |
//! | 5 | the code of an order |
//! | 6 | data of a test's |
//! | 7 | the same, open to ring 3 |
//! | 8 | its shared page |

mod code;

use guest_abi::addr::{Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;
use guest_abi::domctl::DomainFlags;
use guest_abi::errno::{self, Errno};
use guest_abi::event_channel::{EvtchnArgs, EvtchnOp};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{MmuUpdate, Pte, PteFlags};
use guest_abi::vcpu::CpuContext;
use zerocopy::{FromBytes, IntoBytes};

use crate::pages::{Page, READ_ONLY, WRITABLE, peek32, poke32};
use crate::small_domain::{
    BASE, PAGES, build, create, destroy, fill_with, frames, info, show, show_as, unpause,
};
use crate::{check_eq, hypercall, report};

use code::{ARGS, BLOCK, BUFFER, ESP, FRAME, LAST, SCRIPT_BYTES, TRAP, TRAPS, UPCALLS, code, first_context};
pub use code::{DATA, FAILSAFE, FRAME_WORDS, OWN_TRAPS, SCRIPT, SHARED, STACK, USER, WORDS, gate, handler};

/// How an order ended.
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
}

/// Such a domain.
#[derive(Clone, Copy, Debug)]
pub struct Puppet {
    /// Which domain it is.
    pub id: DomId,
    /// Its frames.
    pub frames: [Mfn; PAGES as usize],
    /// Where its shared page is.
    pub shared_frame: Mfn,
    /// The block, here.
    block: Page,
    /// A page for a look at others of its frames.
    window: Page,
}

impl Puppet {
    /// A new one, which waits for orders. `changed` may change its first context.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn new(changed: impl FnOnce(&mut CpuContext)) -> Self {
        let (block, window) = (Page::take(), Page::take());
        Self::at(block, window, changed)
    }

    /// The same, in pages that a puppet that has ended had.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn at(block: Page, window: Page, changed: impl FnOnce(&mut CpuContext)) -> Self {
        let id = create(PAGES).expect("memory for a small domain");
        let frames = frames(id);
        let shared_frame = info(id).expect("the new domain").shared_info_frame;
        let mut entries = [0; PAGES as usize + 1];
        for (n, entry) in entries.iter_mut().enumerate() {
            let (frame, flags) = match n {
                0..3 => (frames[n], READ_ONLY),
                7 => (frames[n], WRITABLE | PteFlags::USER),
                8 => (shared_frame, WRITABLE),
                _ => (frames[n], WRITABLE),
            };
            *entry = Pte::new(frame, flags).raw();
        }
        fill_with(block, id, &frames, &entries, &code());
        show(block, id, frames[4]);
        let mut first = first_context(&frames);
        changed(&mut first);
        check_eq!(build(id, &first), Ok(()));
        check_eq!(unpause(id), Ok(()));
        Self {
            id,
            frames,
            shared_frame,
            block,
            window,
        }
    }

    /// Ends it. Its two pages can be those of another.
    pub fn end(self) -> (Page, Page) {
        check_eq!(destroy(self.id), Ok(()));
        (self.block.unprotect(), self.window.unprotect())
    }

    /// Gives an order without waiting for its end.
    fn order(self, order: u32, arguments: &[u32]) {
        for (at, &argument) in (self.block.0 + ARGS..).step_by(4).zip(arguments) {
            poke32(at, argument);
        }
        poke32(self.block.0, order);
    }

    /// Whether the last order has ended.
    pub fn is_idle(self) -> bool {
        peek32(self.block.0) == 0
    }

    /// Waits for the end of the last order.
    pub fn wait(self) -> Ended {
        while !self.is_idle() {
            let dead = DomainFlags::CRASHED | DomainFlags::SHUTDOWN | DomainFlags::DYING;
            check_eq!(hypercall::yield_now(), Ok(()));
            let flags = info(self.id).map(|info| info.flags);
            if !flags.is_ok_and(|flags| !flags.intersects(dead)) {
                report::failure(format_args!("{} died: {flags:?}", self.id));
            }
        }
        let at = |offset| peek32(self.block.0 + offset);
        match at(TRAP) {
            0 => Ended::Done(at(ARGS), at(ARGS + 4)),
            n => Ended::Trap(n - 1, core::array::from_fn(|i| at(FRAME + 4 * i as u32))),
        }
    }

    /// Has it make a call; EAX and EBX as they come back.
    pub fn call_raw(self, number: CallNumber, arguments: &[u32]) -> Ended {
        let mut all = [number.raw(), 0, 0, 0, 0, 0];
        all[1..=arguments.len()].copy_from_slice(arguments);
        self.order(1, &all);
        self.wait()
    }

    /// Has it make a call.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn call(self, number: CallNumber, arguments: &[u32]) -> Result<u32, Errno> {
        match self.call_raw(number, arguments) {
            Ended::Done(eax, _) => errno::from_eax(eax),
            trap @ Ended::Trap(..) => report::failure(format_args!("{number:?}: {trap:x?}")),
        }
    }

    /// Has it run `code`, which returns; at most 512 bytes of it are copied.
    pub fn run(self, code: unsafe extern "C" fn()) -> Ended {
        self.start(code);
        self.wait()
    }

    /// The same without waiting for the end.
    pub fn start(self, code: unsafe extern "C" fn()) {
        let from = code as usize as u32;
        self.show(5);
        for offset in (0..SCRIPT_BYTES).step_by(4) {
            poke32(self.window.0 + offset, peek32(from + offset));
        }
        self.order(2, &[]);
    }

    /// Shows its page `n` until the next look at another.
    pub fn show(self, n: usize) -> Page {
        show(self.window, self.id, self.frames[n]);
        self.window
    }

    /// Shows its page `n` to be read, as a table must be.
    pub fn look(self, n: usize) -> Page {
        show_as(self.window, self.id, Pte::new(self.frames[n], READ_ONLY));
        self.window
    }

    /// Shows its shared page.
    pub fn shared(self) -> Page {
        show(self.window, self.id, self.shared_frame);
        self.window
    }

    /// How many traps it had, also between orders.
    pub fn traps(self) -> u32 {
        peek32(self.block.0 + TRAPS)
    }

    /// The last of them, with its frame.
    pub fn last_trap(self) -> Ended {
        let at = |offset| peek32(self.block.0 + offset);
        Ended::Trap(at(LAST), core::array::from_fn(|i| at(FRAME + 4 * i as u32)))
    }

    /// Where the frame of the last trap lay.
    pub fn trap_esp(self) -> u32 {
        peek32(self.block.0 + ESP)
    }

    /// How many upcalls it had.
    pub fn upcalls(self) -> u32 {
        peek32(self.block.0 + UPCALLS)
    }

    /// Puts words that orders' code may look at and change next to its order.
    pub fn set_word(self, n: u32, value: u32) {
        poke32(self.block.0 + BUFFER + 4 * n, value);
    }

    /// Such a word.
    pub fn word(self, n: u32) -> u32 {
        peek32(self.block.0 + BUFFER + 4 * n)
    }

    /// Puts `value` where it can point to, and gives that address.
    ///
    /// # Panics
    /// With a value longer than the room.
    pub fn put<T: IntoBytes + zerocopy::Immutable + ?Sized>(self, value: &T) -> u32 {
        let bytes = value.as_bytes();
        assert!(bytes.len() <= PAGE_SIZE - BUFFER as usize);
        for (at, byte) in (self.block.0 + BUFFER..).zip(bytes) {
            // SAFETY: inside the block, which is a page of ours.
            unsafe { (at as *mut u8).write_volatile(*byte) };
        }
        BLOCK + BUFFER
    }

    /// What is there now.
    ///
    /// # Panics
    /// Never: the block is long enough.
    pub fn get<T: FromBytes>(self) -> T {
        let mut bytes = [0; 128];
        let bytes = &mut bytes[..size_of::<T>()];
        for (at, byte) in (self.block.0 + BUFFER..).zip(bytes.iter_mut()) {
            // SAFETY: as above.
            *byte = unsafe { (at as *const u8).read_volatile() };
        }
        T::read_from_bytes(bytes).expect("as long as the type")
    }

    /// A command of event_channel_op.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn event_op<A: EvtchnArgs>(self, args: &A) -> Result<A, Errno> {
        let at = self.put(&EvtchnOp::new(args));
        self.call(CallNumber::EVENT_CHANNEL_OP, &[at])?;
        Ok(self.get::<EvtchnOp>().args())
    }

    /// Page-table requests.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn mmu(self, requests: &[MmuUpdate]) -> Result<(), Errno> {
        let at = self.put(requests);
        let arguments = [at, requests.len() as u32, 0];
        self.call(CallNumber::MMU_UPDATE, &arguments).map(drop)
    }

    /// Replaces the mapping of its page `n`.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn remap(self, n: u32, entry: Pte) -> Result<(), Errno> {
        let (low, high) = entry.low_high();
        let arguments = [(BASE >> 12) + n, low, high, 2];
        self.call(CallNumber::UPDATE_VA_MAPPING, &arguments).map(drop)
    }
}
