//! The keyboard controller (8042), or what plays its part: bytes of scan code set 1 from the keyboard.
//!
//! Firmware leaves it working, more or less. It is told to translate to set 1, to interrupt for the keyboard and not
//! for the mouse; each step waits a bounded time, and a machine without one (reads give all ones) costs one read.
//!
//! Source: IBM PS/2 hardware interface technical reference, keyboard and auxiliary device controller.

use crate::port::Port;

/// Interrupt line at the 8259.
pub const LINE: u8 = 1;

const DATA: Port<u8> = controller_port(0x60);
const STATUS: Port<u8> = controller_port(0x64);
const COMMAND: Port<u8> = controller_port(0x64);

const fn controller_port(number: u16) -> Port<u8> {
    // SAFETY: used for the controller's two ports. It reaches no memory; the one command that resets the machine
    // is not sent here.
    unsafe { Port::new(number) }
}

/// Status: a byte waits to be read; a byte that was written has not been taken; the byte is the mouse's.
const OUTPUT_FULL: u8 = 1 << 0;
const INPUT_FULL: u8 = 1 << 1;
const FROM_MOUSE: u8 = 1 << 5;

const READ_CONFIGURATION: u8 = 0x20;
const WRITE_CONFIGURATION: u8 = 0x60;
const DISABLE_KEYBOARD: u8 = 0xAD;
const ENABLE_KEYBOARD: u8 = 0xAE;

/// Configuration: interrupt for keyboard and mouse, keyboard's clock held, translation to set 1.
const KEYBOARD_INTERRUPT: u8 = 1 << 0;
const MOUSE_INTERRUPT: u8 = 1 << 1;
const KEYBOARD_OFF: u8 = 1 << 4;
const TRANSLATE: u8 = 1 << 6;

/// Looks at the status before the controller counts as deaf: some ten milliseconds.
const POLLS: u32 = 10_000;
/// Bytes thrown away before it is set up; its own buffer holds fewer.
const STALE_BYTES: u32 = 32;

/// The controller.
#[derive(Debug)]
pub struct KeyboardController(());

impl KeyboardController {
    /// Sets the controller up; `None` where none answers.
    #[must_use]
    pub fn init() -> Option<Self> {
        if STATUS.read() == u8::MAX {
            return None;
        }
        // Held while it is asked, so that no key gets between question and answer.
        command(DISABLE_KEYBOARD)?;
        for _ in 0..STALE_BYTES {
            if STATUS.read() & OUTPUT_FULL == 0 {
                break;
            }
            let _ = DATA.read();
        }
        command(READ_CONFIGURATION)?;
        wait(|status| status & OUTPUT_FULL != 0)?;
        let old = DATA.read();
        command(WRITE_CONFIGURATION)?;
        wait(|status| status & INPUT_FULL == 0)?;
        DATA.write((old | KEYBOARD_INTERRUPT | TRANSLATE) & !(MOUSE_INTERRUPT | KEYBOARD_OFF));
        command(ENABLE_KEYBOARD)?;
        Some(Self(()))
    }

    /// Takes a byte from the keyboard; the mouse's are thrown away.
    pub fn receive(&mut self) -> Option<u8> {
        for _ in 0..STALE_BYTES {
            let status = STATUS.read();
            if status & OUTPUT_FULL == 0 {
                return None;
            }
            let byte = DATA.read();
            if status & FROM_MOUSE == 0 {
                return Some(byte);
            }
        }
        None
    }
}

fn command(byte: u8) -> Option<()> {
    wait(|status| status & INPUT_FULL == 0)?;
    COMMAND.write(byte);
    Some(())
}

fn wait(is_ready: impl Fn(u8) -> bool) -> Option<()> {
    (0..POLLS).any(|_| is_ready(STATUS.read())).then_some(())
}
