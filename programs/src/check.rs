//! The verdicts of the test programs: one line for each thing tried, one at the end, and the exit status.

use core::fmt;

use crate::println;

/// Counts what was checked.
pub struct Checks {
    name: &'static str,
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Checks {
    /// Begins with nothing checked.
    pub fn new(name: &'static str) -> Checks {
        Checks {
            name,
            passed: 0,
            failed: 0,
            skipped: 0,
        }
    }

    /// One thing: prints and counts whether it held.
    pub fn that(&mut self, what: impl fmt::Display, held: bool) {
        if held {
            self.passed += 1;
            println!("{}: ok    {what}", self.name);
        } else {
            self.failed += 1;
            println!("{}: WRONG {what}", self.name);
        }
    }

    /// One thing that must be equal to what is expected; both are shown when it is not.
    pub fn equal<T: PartialEq + fmt::Debug>(&mut self, what: impl fmt::Display, found: T, expected: T) {
        if found == expected {
            self.that(what, true);
        } else {
            self.that(format_args!("{what}: {found:?} instead of {expected:?}"), false);
        }
    }

    /// One thing that cannot be tried here, and why.
    pub fn skip(&mut self, what: impl fmt::Display, why: impl fmt::Display) {
        self.skipped += 1;
        println!("{}: skip  {what}: {why}", self.name);
    }

    /// Prints the last line; gives the exit status, 0 when something was checked and nothing failed.
    pub fn finish(self) -> i32 {
        let Checks {
            name,
            passed,
            failed,
            skipped,
        } = self;
        println!("{name}: {passed} passed, {failed} failed, {skipped} skipped");
        i32::from(failed != 0 || passed == 0)
    }
}
