//! Consoles of other domains, as Domain0 keeps them: what they print, until somebody has read it.
//!
//! ```text
//! ring of the domain → store() → buffer → read():      a program that has the console open
//!                                       → next_line(): Domain0's terminal, each line behind the domain's name
//! ```
//!
//! A console that is open or shown loses nothing: when its buffer is full, the ring is left alone, and the domain waits
//! for room. One that nobody looks at keeps its newest [`BUFFER`] bytes, counts those that it dropped, and never makes its domain wait.
//! Lines are shown in turn, one of each console: so a line waits for at most one line of at most [`LINE`] bytes from each of the others,
//! however much they print.
//!
//! No step looks at every console: those that may have a line, and those that are detached, are in sets of their own.
//!
//! Nothing here knows rings or events; `kernel::consoles` moves the bytes.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Bound;

/// Bytes that a console keeps.
pub const BUFFER: usize = 16 * 1024;
/// Longest piece that is shown at once; a longer line is shown in several.
pub const LINE: usize = 512;
/// Longest name of a console.
pub const MAX_NAME: usize = 32;

/// What an open file has of a console: proof that it is open, and whether the others' lines are to wait meanwhile.
pub type Opening = Rc<Cell<bool>>;

/// One domain's console.
#[derive(Debug)]
pub struct DomainConsole {
    name: Vec<u8>,
    is_shown: bool,
    opening: Weak<Cell<bool>>,
    buffer: VecDeque<u8>,
    lost: u64,
    is_attached: bool,
}

impl DomainConsole {
    fn new(name: &[u8], is_shown: bool) -> Self {
        Self {
            name: name.into(),
            is_shown,
            opening: Weak::new(),
            buffer: VecDeque::new(),
            lost: 0,
            is_attached: true,
        }
    }

    /// Whether a program has it open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opening.strong_count() > 0
    }

    /// Whether `opening` is how it is open now; a console that was replaced has others.
    #[must_use]
    pub fn is_opened_by(&self, opening: &Opening) -> bool {
        Weak::as_ptr(&self.opening) == Rc::as_ptr(opening)
    }

    fn open(&mut self) -> Option<Opening> {
        if self.is_open() {
            return None;
        }
        let opening = Opening::default();
        self.opening = Rc::downgrade(&opening);
        Some(opening)
    }

    /// Whether its domain may still print.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.is_attached
    }

    fn detach(&mut self) {
        self.is_attached = false;
    }

    /// Whether nobody will ever read the rest.
    fn is_over(&self) -> bool {
        !self.is_attached && !self.is_open() && (self.buffer.is_empty() || !self.is_shown)
    }

    /// How many bytes [`DomainConsole::store`] is to be given at most.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.is_attached && (self.is_shown || self.is_open()) {
            BUFFER.saturating_sub(self.buffer.len())
        } else {
            usize::MAX
        }
    }

    /// Takes what the domain printed. Where that is more than the buffer holds, the oldest bytes go.
    pub fn store(&mut self, bytes: &[u8]) {
        self.buffer.extend(bytes);
        // What the domain left when it went is little and goes to whoever reads.
        let excess = self.buffer.len().saturating_sub(BUFFER);
        if excess > 0 && self.is_attached {
            self.buffer.drain(..excess);
            self.lost += excess as u64;
        }
    }

    /// Bytes that wait to be read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Takes up to `max` bytes.
    pub fn read(&mut self, max: usize) -> Vec<u8> {
        let count = max.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }

    /// Whether a line is ready to be shown: whole, or too long, or the last of a domain that is gone.
    fn has_line(&self) -> bool {
        self.is_shown
            && !self.is_open()
            && (self.buffer.len() >= LINE
                || self.buffer.contains(&b'\n')
                || !self.is_attached && !self.buffer.is_empty())
    }

    /// The next line for the terminal, without its end.
    fn take_line(&mut self) -> Vec<u8> {
        let end = self.buffer.iter().take(LINE).position(|byte| *byte == b'\n');
        let taken = end.map_or(LINE.min(self.buffer.len()), |end| end + 1);
        let mut line: Vec<u8> = self.buffer.drain(..taken).collect();
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        line
    }
}

/// All consoles, by domain.
#[derive(Debug, Default)]
pub struct Consoles {
    all: BTreeMap<u16, DomainConsole>,
    /// Whose line was shown last.
    last_shown: u16,
    /// The consoles that are open.
    openings: Vec<Weak<Cell<bool>>>,
    /// Those that may have a line to be shown: shown ones that were touched.
    touched: BTreeSet<u16>,
    /// Those that are detached, and still to be read or shown.
    detached: BTreeSet<u16>,
}

impl Consoles {
    /// Adds a console in place of the one that the domain had.
    pub fn attach(&mut self, domain: u16, name: &[u8], is_shown: bool) {
        self.all.insert(domain, DomainConsole::new(name, is_shown));
        self.detached.remove(&domain);
    }

    /// The domain prints no more but `rest`.
    pub fn detach(&mut self, domain: u16, rest: &[u8]) {
        if let Some(console) = self.get(domain).filter(|console| console.is_attached) {
            console.detach();
            console.store(rest);
            self.detached.insert(domain);
        }
    }

    /// Opens the console of a domain: `None` where there is none, `Some(None)` where it is open.
    pub fn open(&mut self, domain: u16) -> Option<Option<Opening>> {
        let opening = self.get(domain)?.open();
        self.openings.extend(opening.as_ref().map(Rc::downgrade));
        Some(opening)
    }

    /// Whether a console was closed since this was asked last.
    pub fn was_closed(&mut self) -> bool {
        let before = self.openings.len();
        self.openings.retain(|opening| opening.strong_count() > 0);
        self.openings.len() < before
    }

    /// The console of a domain.
    pub fn get(&mut self, domain: u16) -> Option<&mut DomainConsole> {
        let console = self.all.get_mut(&domain)?;
        if console.is_shown {
            self.touched.insert(domain);
        }
        Some(console)
    }

    /// Changes a console's name and whether it is shown; `false` where there is none.
    pub fn set(&mut self, domain: u16, name: &[u8], is_shown: bool) -> bool {
        let Some(console) = self.all.get_mut(&domain) else {
            return false;
        };
        console.name = name.into();
        console.is_shown = is_shown;
        self.touched.insert(domain);
        true
    }

    /// Forgets the consoles that nobody will read any more, and says which those are.
    pub fn take_over(&mut self) -> Vec<u16> {
        let is_over = |domain: &u16| self.all.get(domain).is_none_or(DomainConsole::is_over);
        let over: Vec<u16> = self.detached.iter().copied().filter(is_over).collect();
        for domain in &over {
            self.all.remove(domain);
            self.detached.remove(domain);
        }
        over
    }

    /// Whether a line could be shown.
    #[must_use]
    pub fn has_line(&self) -> bool {
        let has_line = |domain| self.all.get(domain).is_some_and(DomainConsole::has_line);
        !self.is_held() && self.touched.iter().any(has_line)
    }

    /// The next line to be shown, with its domain: one of each console in turn.
    pub fn next_line(&mut self) -> Option<(u16, Vec<u8>)> {
        if self.is_held() {
            return None;
        }
        let (until, after) = (
            ..=self.last_shown,
            (Bound::Excluded(self.last_shown), Bound::Unbounded),
        );
        let has_line = |domain: &&u16| self.all.get(domain).is_some_and(DomainConsole::has_line);
        let mut in_turn = self.touched.range(after).chain(self.touched.range(until));
        let Some(&domain) = in_turn.find(has_line) else {
            // Lines of those that are open are shown when they are closed.
            let is_open = |domain: &u16| self.all.get(domain).is_some_and(DomainConsole::is_open);
            self.touched.retain(is_open);
            return None;
        };
        self.last_shown = domain;
        let console = self.all.get_mut(&domain)?;
        let text = visible(&console.take_line());
        let name = visible(&console.name);
        let line = if name.is_empty() {
            format!("{domain}: {text}\n")
        } else {
            format!("{name}: {text}\n")
        };
        Some((domain, line.into_bytes()))
    }

    /// Whether somebody who has a console open wants the others' lines to wait.
    fn is_held(&self) -> bool {
        let mut openings = self.openings.iter().filter_map(Weak::upgrade);
        openings.any(|opening| opening.get())
    }

    /// What a reader of the list sees: a line for each console.
    #[must_use]
    pub fn list(&self) -> Vec<u8> {
        let mut text = String::new();
        for (domain, console) in &self.all {
            let flags = [
                (console.is_shown, 's'),
                (console.is_open(), 'o'),
                (!console.is_attached, 'd'),
            ]
            .map(|(is_set, letter)| if is_set { letter } else { '-' });
            text += &format!(
                "{domain} {} {} {} {}\n",
                visible(&console.name),
                String::from_iter(flags),
                console.buffer.len(),
                console.lost
            );
        }
        text.into_bytes()
    }
}

/// Text from a domain for a terminal that is not its own: control characters could drive that terminal, so they are
/// written out (`^[`), also those above ASCII.
fn visible(bytes: &[u8]) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '\t' => text.push('\t'),
            '\0'..='\x1F' | '\x7F' => {
                text.push('^');
                text.push(char::from(character as u8 ^ 0x40));
            }
            control if control.is_control() => text += &format!("\\x{:02x}", u32::from(control)),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests;
