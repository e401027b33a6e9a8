//! The `log` macros' way to the console.
//!
//! ```text
//! INFO  [    0.001234] 512 MiB of memory, 130816 frames free
//! WARN  [    3.250001] d0 killed: it has no handler for vector 0xe (trap 0xe, error code 0x2)
//! ```
//!
//! A line is level, seconds since boot and text. Lines about what a guest did have the target [`GUEST_LOG`] and begin
//! their text with the domain. Of those at `debug` and `trace`, which a guest may cause at will, no more than
//! [`GUEST_LINES_PER_SECOND`] are shown; how many were not is said later.
//!
//! `loglvl=` limits the hypervisor's own lines, `guest_loglvl=` those about guests.

use crate::console;
use core::{
    fmt::{self, Write},
    sync::atomic::{AtomicU8, Ordering},
};
use hv_core::GUEST_LOG;
use log::{Level, LevelFilter, Metadata, Record};
use spin::{Mutex, Once};

/// Lines a second that guests may cause at will.
const GUEST_LINES_PER_SECOND: u32 = 20;
const NANOSECONDS: u64 = 1_000_000_000;

static LOGGER: Logger = Logger;
static HYPERVISOR_LEVEL: AtomicU8 = AtomicU8::new(LevelFilter::Info as u8);
static GUEST_LEVEL: AtomicU8 = AtomicU8::new(LevelFilter::Warn as u8);
static CLOCK: Once<fn() -> u64> = Once::new();
static GUEST_BUDGET: Mutex<Budget> = Mutex::new(Budget {
    second: 0,
    used: 0,
    left_out: 0,
});

struct Logger;

/// Routes the `log` macros here.
pub fn init() {
    // It fails only the second time, when the logger is the same.
    let _ = log::set_logger(&LOGGER);
    publish_levels();
}

/// Gives lines their time, in nanoseconds since boot; before that they carry 0.
pub fn set_clock(now_ns: fn() -> u64) {
    CLOCK.call_once(|| now_ns);
}

/// Sets the levels of the hypervisor's own lines (`loglvl=`) and of those about guests (`guest_loglvl=`).
pub fn set_levels(hypervisor: LevelFilter, guest: LevelFilter) {
    HYPERVISOR_LEVEL.store(hypervisor as u8, Ordering::Relaxed);
    GUEST_LEVEL.store(guest as u8, Ordering::Relaxed);
    publish_levels();
}

/// Lets the macros leave out early what neither level shows.
fn publish_levels() {
    let highest = HYPERVISOR_LEVEL
        .load(Ordering::Relaxed)
        .max(GUEST_LEVEL.load(Ordering::Relaxed));
    log::set_max_level(
        LevelFilter::iter()
            .find(|&level| level as u8 == highest)
            .unwrap_or(LevelFilter::Trace),
    );
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let limit = if metadata.target() == GUEST_LOG {
            &GUEST_LEVEL
        } else {
            &HYPERVISOR_LEVEL
        };
        metadata.level() as u8 <= limit.load(Ordering::Relaxed)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = CLOCK.get().map_or(0, |now| now());
        if record.target() == GUEST_LOG && record.level() >= Level::Debug {
            match GUEST_BUDGET.lock().spend(now / NANOSECONDS) {
                Spent::Nothing => return,
                Spent::One { left_out: 0 } => {}
                Spent::One { left_out } => {
                    write_line(
                        record.level(),
                        now,
                        format_args!("{left_out} lines about guests left out"),
                    );
                }
            }
        }
        write_line(record.level(), now, *record.args());
    }

    fn flush(&self) {
        console::drain();
    }
}

fn write_line(level: Level, now_ns: u64, text: fmt::Arguments<'_>) {
    let mut line = Line {
        bytes: [0; LINE_BYTES],
        used: 0,
        is_begun: false,
    };
    let (seconds, micros) = (now_ns / NANOSECONDS, now_ns % NANOSECONDS / 1000);
    // A line never fails to be written.
    let _ = writeln!(line, "{level:<5} [{seconds:5}.{micros:06}] {text}");
    line.flush();
}

const LINE_BYTES: usize = 256;

/// Gathers a line, so that the console is given it in one piece, or in few.
struct Line {
    bytes: [u8; LINE_BYTES],
    used: usize,
    is_begun: bool,
}

impl Line {
    fn flush(&mut self) {
        let text = self.bytes.get(..self.used).unwrap_or_default();
        if self.is_begun {
            console::write(text);
        } else {
            console::write_line(text);
        }
        self.is_begun = true;
        self.used = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            if self.used == LINE_BYTES {
                self.flush();
            }
            let room = &mut self.bytes[self.used..];
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            self.used += count;
            rest = &rest[count..];
        }
        Ok(())
    }
}

/// How many lines guests have caused in the present second.
struct Budget {
    second: u64,
    used: u32,
    left_out: u32,
}

enum Spent {
    /// One line; so many before it were left out and not yet mentioned.
    One {
        left_out: u32,
    },
    Nothing,
}

impl Budget {
    fn spend(&mut self, second: u64) -> Spent {
        if second != self.second {
            (self.second, self.used) = (second, 0);
        }
        if self.used == GUEST_LINES_PER_SECOND {
            self.left_out = self.left_out.saturating_add(1);
            return Spent::Nothing;
        }
        self.used += 1;
        Spent::One {
            left_out: core::mem::take(&mut self.left_out),
        }
    }
}
