//! The 8254 interval timer: channel 0 as one-shot timer on line 0, channel 2 as a clock to measure others by.
//!
//! Source: Intel 8254 data sheet; port 0x61 as in the ICH data sheets ("NMI status and control").

use crate::port::Port;

/// Its frequency.
pub const FREQUENCY_HZ: u64 = 1_193_182;
/// Line of channel 0 at the 8259.
pub const LINE: u8 = 0;
/// Longest one-shot delay, in ticks (54.9 ms).
pub const MAX_TICKS: u16 = u16::MAX;

const CHANNEL_0: Port<u8> = pit_port(0x40);
const CHANNEL_2: Port<u8> = pit_port(0x42);
const COMMAND: Port<u8> = pit_port(0x43);
const CONTROL_B: Port<u8> = pit_port(0x61);

const fn pit_port(number: u16) -> Port<u8> {
    // SAFETY: used for the standard ports of the PC's 8254 and of channel 2's gate, which this module owns;
    // they reach no memory.
    unsafe { Port::new(number) }
}

/// Channel 0, low byte then high byte, mode 0 (interrupt on terminal count), binary.
const CHANNEL_0_ONE_SHOT: u8 = 0b0011_0000;
/// Channel 2, the same.
const CHANNEL_2_ONE_SHOT: u8 = 0b1011_0000;
/// Latch channel 2's count.
const CHANNEL_2_LATCH: u8 = 0b1000_0000;
/// Port 0x61: channel 2's gate, and the speaker on its output.
const GATE_2: u8 = 1 << 0;
const SPEAKER: u8 = 1 << 1;

/// The timer.
#[derive(Debug)]
pub struct Pit(());

impl Pit {
    /// Takes the timer over: channel 0 stops.
    #[must_use]
    pub fn init() -> Self {
        let mut pit = Self(());
        pit.stop();
        pit
    }

    /// Raises line 0 once, `ticks` from now (at least 1).
    pub fn arm(&mut self, ticks: u16) {
        let [low, high] = ticks.max(1).to_le_bytes();
        COMMAND.write(CHANNEL_0_ONE_SHOT);
        CHANNEL_0.write(low);
        CHANNEL_0.write(high);
    }

    /// Stops channel 0: in mode 0 it waits for a count that does not come.
    pub fn stop(&mut self) {
        COMMAND.write(CHANNEL_0_ONE_SHOT);
    }

    /// Starts channel 2 counting down from 65535, silently.
    pub fn start_stopwatch(&mut self) {
        CONTROL_B.write((CONTROL_B.read() & !SPEAKER) | GATE_2);
        COMMAND.write(CHANNEL_2_ONE_SHOT);
        CHANNEL_2.write(0xFF);
        CHANNEL_2.write(0xFF);
    }

    /// Ticks since [`Pit::start_stopwatch`], for at most 54 ms.
    #[must_use]
    pub fn stopwatch(&mut self) -> u16 {
        COMMAND.write(CHANNEL_2_LATCH);
        let count = u16::from_le_bytes([CHANNEL_2.read(), CHANNEL_2.read()]);
        u16::MAX.wrapping_sub(count)
    }
}
