//! Kills of a backend that were asked for: after the first step of each kind, after the second of each kind, and so on.

use alloc::format;
use alloc::string::String;

/// Kills of a backend whose steps are of `KINDS` kinds.
#[derive(Clone, Copy, Debug)]
pub struct Kills<const KINDS: usize> {
    done: u64,
    wanted: u64,
    /// How often after each kind.
    after: [u64; KINDS],
    /// Steps of each kind since it was connected.
    steps: [u64; KINDS],
}

impl<const KINDS: usize> Kills<KINDS> {
    /// So many are wanted.
    pub const fn new(wanted: u64) -> Self {
        Self {
            done: 0,
            wanted,
            after: [0; KINDS],
            steps: [0; KINDS],
        }
    }

    /// It did a step of that kind; whether it is killed behind it.
    pub fn note(&mut self, kind: usize) -> bool {
        self.steps[kind] += 1;
        let count = KINDS as u64;
        let is_due = self.done < self.wanted
            && self.done % count == kind as u64
            && self.steps[kind] > self.done / count;
        if is_due {
            self.done += 1;
            self.after[kind] += 1;
        }
        is_due
    }

    /// Another one begins.
    pub fn begin(&mut self) {
        self.steps = [0; KINDS];
    }

    /// How often it was killed: altogether, and behind each kind of step.
    pub fn text(&self, names: [&str; KINDS]) -> String {
        let mut text = format!("{}", self.done);
        for (n, (name, count)) in names.iter().zip(self.after).enumerate() {
            text += &format!("{} {name} {count}", if n == 0 { ":" } else { "," });
        }
        text
    }
}
