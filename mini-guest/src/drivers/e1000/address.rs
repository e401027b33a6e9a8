//! The card's address: where firmware or the card itself has put it, or in the EEPROM.
//!
//! Source: the same manual, chapters 5 (EEPROM) and 13 (RAL, RAH, EERD); 82574 datasheet, chapter 10 (EERD).

use super::Model;
use super::hardware::Hardware;
use super::registers::{EERD, EERD_START, RAH, RAH_AV, RAL};
use crate::net::Mac;

/// Times that the register is looked at until a word of the EEPROM is there: it takes the card some dozen microseconds.
const PATIENCE: u32 = 100_000;

/// The card's address, from its registers or else from the EEPROM; `None` where neither has one.
pub fn find<H: Hardware>(hardware: &H, model: Model) -> Option<Mac> {
    let (low, high) = (hardware.get(RAL), hardware.get(RAH));
    let [a, b, c, d] = low.to_le_bytes();
    let [e, f, ..] = high.to_le_bytes();
    let registers = (high & RAH_AV != 0).then_some(Mac([a, b, c, d, e, f]));
    registers.filter(is_address).or_else(|| {
        let mut bytes = [0; 6];
        for (word, place) in (0..).zip(bytes.chunks_exact_mut(2)) {
            place.copy_from_slice(&eeprom_word(hardware, model, word)?.to_le_bytes());
        }
        Some(Mac(bytes)).filter(is_address)
    })
}

/// Puts an address into the registers.
pub fn set<H: Hardware>(hardware: &H, mac: Mac) {
    let [a, b, c, d, e, f] = mac.0;
    hardware.set(RAL, u32::from_le_bytes([a, b, c, d]));
    hardware.set(RAH, u32::from_le_bytes([e, f, 0, 0]) | RAH_AV);
}

fn is_address(mac: &Mac) -> bool {
    !mac.is_group() && mac.0 != [0; 6]
}

fn eeprom_word<H: Hardware>(hardware: &H, model: Model, word: u32) -> Option<u16> {
    let (shift, done) = match model {
        Model::I8254x => (8, 1 << 4),
        Model::I82574 => (2, 1 << 1),
    };
    hardware.set(EERD, word << shift | EERD_START);
    let answers = (0..PATIENCE).map(|_| hardware.get(EERD));
    let answer = answers.into_iter().find(|answer| answer & done != 0)?;
    Some((answer >> 16) as u16)
}
