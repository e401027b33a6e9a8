//! The keyboard of a machine whose console is its screen: keys become the bytes that a terminal would send.
//!
//! Scan codes and the layout (US, 104 keys) are the `pc-keyboard` crate's.

use super::InputQueue;
use crate::keys;
use hv_arch::i8042::{self, KeyboardController};
use pc_keyboard::{DecodedKey, HandleControl, KeyCode, PS2Keyboard, ScancodeSet1, layouts::Us104Key};

/// Most bytes that one key makes.
const LONGEST: usize = 4;

/// The keyboard.
pub struct Keyboard {
    controller: KeyboardController,
    decoder: PS2Keyboard<Us104Key, ScancodeSet1>,
    /// Whether keys were left in the controller for want of room.
    is_held: bool,
}

impl Keyboard {
    /// Looks for a keyboard controller.
    pub fn attach() -> Option<Self> {
        let decoder = PS2Keyboard::new(ScancodeSet1::new(), Us104Key, HandleControl::MapLettersToUnicode);
        Some(Self {
            controller: KeyboardController::init()?,
            decoder,
            is_held: false,
        })
    }

    /// Its interrupt line at the 8259.
    pub const fn irq() -> u8 {
        i8042::LINE
    }

    /// Takes the keys pressed so far, as far as there is room; the others wait in the controller.
    pub fn take_input(&mut self, input: &mut InputQueue) {
        while input.capacity() - input.len() >= LONGEST {
            let Some(byte) = self.controller.receive() else {
                self.is_held = false;
                return;
            };
            // A code that makes no sense is one key lost.
            let Ok(Some(event)) = self.decoder.add_byte(byte) else {
                continue;
            };
            let Some(key) = self.decoder.process_keyevent(event) else {
                continue;
            };
            let mut buffer = [0; LONGEST];
            for &byte in bytes_of(key, &mut buffer) {
                if !keys::take(byte) {
                    // Room was seen above.
                    let _ = input.push_back(byte);
                }
            }
        }
        self.is_held = true;
    }

    /// Takes the keys that were left, after a reader made room.
    pub fn resume_input(&mut self, input: &mut InputQueue) {
        if self.is_held {
            self.take_input(input);
        }
    }
}

/// What a terminal (VT100 and its heirs) sends for a key.
fn bytes_of(key: DecodedKey, buffer: &mut [u8; LONGEST]) -> &[u8] {
    match key {
        DecodedKey::Unicode('\n') => b"\r",
        DecodedKey::Unicode('\u{8}') => b"\x7F",
        DecodedKey::Unicode(character) => character.encode_utf8(buffer).as_bytes(),
        DecodedKey::RawKey(code) => match code {
            KeyCode::ArrowUp => b"\x1B[A",
            KeyCode::ArrowDown => b"\x1B[B",
            KeyCode::ArrowRight => b"\x1B[C",
            KeyCode::ArrowLeft => b"\x1B[D",
            KeyCode::Home => b"\x1B[H",
            KeyCode::End => b"\x1B[F",
            KeyCode::Delete => b"\x1B[3~",
            _ => b"",
        },
    }
}
