//! The one-shot timer: the 8254 by way of the 8259.

use crate::interrupts;
use hv_arch::pit::{self, Pit};
use spin::Mutex;

static PIT: Mutex<Option<Pit>> = Mutex::new(None);

/// Finds the timer. Boot only.
pub fn init() {
    *PIT.lock() = Some(Pit::init());
    interrupts::unmask(pit::LINE);
}

/// Whether `line` of the interrupt controller is the timer's.
pub fn is_line(line: u8) -> bool {
    line == pit::LINE
}

/// Fires in `ahead_ns`, or earlier where that is more than the hardware can count.
pub fn arm(ahead_ns: u64) {
    let ticks = (ahead_ns / 1000).saturating_mul(pit::FREQUENCY_HZ) / 1_000_000;
    let ticks = u16::try_from(ticks).unwrap_or(pit::MAX_TICKS).max(1);
    if let Some(pit) = PIT.lock().as_mut() {
        pit.arm(ticks);
    }
}

/// Does not fire.
pub fn stop() {
    if let Some(pit) = PIT.lock().as_mut() {
        pit.stop();
    }
}
