//! A second domain that does what Domain0 tells it: calls, reads, writes, and code of a test's.
//!
//! It yields until its *block*, a page that Domain0 has mapped too, holds a list of commands. It carries them out one after
//! the other, writes beside each how it ended, and yields again. A trap ends a command like an answer does; so a
//! puppet that has been refused something, or has stumbled, goes on, and what it does next is the proof of that.
//!
//! | page | what |
//! |---|---|
//! | 0–2 | its tables, read-only |
//! | 3 | its code, and at its end the stack |
//! | 4 | the block |
//! | 5 | a script: the code of a test's that it is told to run |
//! | 6 | data of a test's |
//! | 7 | the same, open to ring 3 |
//! | 8 | its shared page |
//!
//! Where no script is run, pages 5 to 7 are a test's to do with as it likes.

mod calls;
mod code;
mod commands;
mod grants;
mod lines;

use guest_abi::addr::{Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;
use guest_abi::domctl::DomainFlags;
use guest_abi::mmu::Pte;
use guest_abi::vcpu::CpuContext;
use zerocopy::{FromBytes, IntoBytes};

use crate::pages::{Page, READ_ONLY, peek32, poke32};
use crate::small_domain::{PAGES, build, create, destroy, fill_with, frames, info, show, show_as, unpause};
use crate::{check_eq, hypercall, report};

use code::{BUFFER, COMMAND, EAX, EBX, ESP, FRAME, LAST, LIST, SCRIPT_BYTES, TRAP, TRAPS, UPCALLS};
pub use code::{
    DATA, FAILSAFE, FRAME_WORDS, OWN_TRAPS, SCRIPT, SHARED, STACK, USER, WORDS, code, entries, first_context,
    gate, handler,
};
pub use commands::{Command, Ended, Gone, MAX_COMMANDS};
pub use grants::{TABLE_AT, end};

/// The page that Domain0 has mapped too.
const BLOCK: usize = 4;
/// The first of its pages that are a test's.
pub const SPARE: usize = 5;
/// The first page of its address space where nothing is mapped.
pub const FREE_AT: u32 = SHARED + PAGE_SIZE as u32;
/// Looks at its block, a yield each, before it counts as stuck.
const PATIENCE: u32 = 1_000_000;

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
    /// A new one, which waits for commands. `changed` may change its first context.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn new(changed: impl FnOnce(&mut CpuContext)) -> Self {
        let (block, window) = (Page::take(), Page::take());
        Self::at(block, window, changed)
    }

    /// The same, in pages that a puppet that has ended had. Several may have one `window`.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn at(block: Page, window: Page, changed: impl FnOnce(&mut CpuContext)) -> Self {
        let id = create(PAGES).expect("memory for a small domain");
        let frames = frames(id);
        let shared_frame = info(id).expect("the new domain").shared_info_frame;
        fill_with(block, id, &frames, &entries(&frames, shared_frame), &code());
        let mut first = first_context(&frames);
        changed(&mut first);
        check_eq!(build(id, &first), Ok(()));
        Self::begin(id, block, window)
    }

    /// The last step alone, for a domain that has been built from [`code()`], [`entries()`] and [`first_context()`]: its block is
    /// shown, and it runs.
    pub fn begin(id: DomId, block: Page, window: Page) -> Self {
        let frames = frames(id);
        let shared_frame = info(id).expect("the new domain").shared_info_frame;
        show(block, id, frames[BLOCK]);
        block.fill(0);
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

    /// Tells it to do `commands`, and does not wait.
    ///
    /// # Panics
    /// With more than [`MAX_COMMANDS`].
    pub fn tell(self, commands: &[Command]) {
        assert!(commands.len() <= MAX_COMMANDS, "a page is a page");
        for (n, Command(words)) in (0..).zip(commands) {
            for (offset, &word) in (0..).step_by(4).zip(words) {
                poke32(self.command(n) + offset, word);
            }
            poke32(self.command(n) + TRAP, 0);
        }
        poke32(self.command(commands.len() as u32), 0);
        poke32(self.block.0, 1);
    }

    /// Where command `n` of its list is, here.
    const fn command(self, n: u32) -> u32 {
        self.block.0 + LIST + n * COMMAND
    }

    /// Whether it has done all that it was told.
    pub fn is_idle(self) -> bool {
        peek32(self.block.0) == 0
    }

    /// Whether it is there and can run.
    pub fn lives(self) -> bool {
        let dead = DomainFlags::DYING | DomainFlags::CRASHED | DomainFlags::SHUTDOWN;
        info(self.id).is_ok_and(|info| !info.flags.intersects(dead))
    }

    /// Waits until it has done all that it was told.
    ///
    /// # Errors
    /// It never will.
    pub fn wait(self) -> Result<(), Gone> {
        for n in 1..=PATIENCE {
            if self.is_idle() {
                return Ok(());
            }
            check_eq!(hypercall::yield_now(), Ok(()));
            if n % 64 == 0 && !self.lives() {
                break;
            }
        }
        Err(Gone)
    }

    /// How command `n` of the last list ended. The words of its stack are those of the last trap that there was.
    pub fn ended(self, n: u32) -> Ended {
        let at = |offset| peek32(self.command(n) + offset);
        match at(TRAP) {
            0 => Ended::Done(at(EAX), at(EBX)),
            trap => Ended::Trap(trap - 1, self.last_frame()),
        }
    }

    /// Has it do one thing.
    fn one(self, command: Command) -> Ended {
        self.tell(&[command]);
        self.first_ended()
    }

    /// Waits, and says how the first command ended.
    pub fn first_ended(self) -> Ended {
        if self.wait().is_err() {
            let found = info(self.id).map(|info| info.flags);
            report::failure(format_args!("{} does not answer: {found:?}", self.id));
        }
        self.ended(0)
    }

    /// Has it read a word.
    pub fn peek(self, at: u32) -> Option<u32> {
        self.one(Command::peek(at)).eax()
    }

    /// Has it write a word; whether that was possible.
    pub fn poke(self, at: u32, value: u32) -> bool {
        self.one(Command::poke(at, value)).trap().is_none()
    }

    /// Has it run the script `code`, which returns; at most 512 bytes of it are copied.
    pub fn run(self, code: unsafe extern "C" fn()) -> Ended {
        self.start(code);
        self.first_ended()
    }

    /// The same without waiting for the end.
    pub fn start(self, code: unsafe extern "C" fn()) {
        let from = code as usize as u32;
        self.show(5);
        for offset in (0..SCRIPT_BYTES).step_by(4) {
            poke32(self.window.0 + offset, peek32(from + offset));
        }
        self.tell(&[Command::RUN]);
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

    /// How many traps it had, also between commands.
    pub fn traps(self) -> u32 {
        peek32(self.block.0 + TRAPS)
    }

    /// The last of them, with its frame.
    pub fn last_trap(self) -> Ended {
        Ended::Trap(peek32(self.block.0 + LAST), self.last_frame())
    }

    fn last_frame(self) -> [u32; FRAME_WORDS] {
        core::array::from_fn(|n| peek32(self.block.0 + FRAME + 4 * n as u32))
    }

    /// Where the frame of the last trap lay.
    pub fn trap_esp(self) -> u32 {
        peek32(self.block.0 + ESP)
    }

    /// How many upcalls it had.
    pub fn upcalls(self) -> u32 {
        peek32(self.block.0 + UPCALLS)
    }

    /// Puts words that scripts may look at and change.
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
        WORDS
    }

    /// What is there now.
    pub fn get<T: FromBytes + IntoBytes>(self) -> T {
        let mut value = T::new_zeroed();
        for (at, byte) in (self.block.0 + BUFFER..).zip(value.as_mut_bytes()) {
            // SAFETY: as above.
            *byte = unsafe { (at as *const u8).read_volatile() };
        }
        value
    }
}
