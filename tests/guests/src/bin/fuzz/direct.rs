//! Direct writes to live page tables, while the assist is on.
//!
//! Half of them go to the L1 in use, at an entry of the game; the others to whatever a page of the game is by now. No step on the
//! way to the new entry may map a frame that this kernel needs: what is tried are the two entries and what halves of them make.

use core::arch::asm;

use guest_abi::mmu::Pte;
use guest_abi::trap::Vector;
use guest_abi::vm_assist::{AssistCmd, AssistType};
use test_guests::pages::{Page, peek32, poke32};
use test_guests::{catch, check_eq, guest_abi, hypercall};

use super::Fuzzer;

/// What became of the direct writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub done: u32,
    pub refused: u32,
}

/// Flags of an entry, a bit each, that instructions set and clear.
const FLAGS: [u32; 10] = [
    1,
    1 << 1,
    1 << 2,
    1 << 5,
    1 << 6,
    1 << 9,
    1 << 4,
    1 << 7,
    1 << 8,
    0x67,
];

fn read(at: u32) -> u64 {
    u64::from(peek32(at)) | u64::from(peek32(at + 4)) << 32
}

fn frame_of(entry: u64) -> u64 {
    Pte::from_raw(entry).address().raw() >> 12
}

impl Fuzzer {
    /// Switches the writable page tables.
    pub fn assist(&mut self, on: bool) {
        if self.is_assisted != on {
            let command = if on { AssistCmd::ENABLE } else { AssistCmd::DISABLE };
            check_eq!(
                hypercall::vm_assist(command, AssistType::WRITABLE_PAGETABLES),
                Ok(())
            );
            self.is_assisted = on;
        }
    }

    /// Whether a write to `page` would change the L1 that this kernel runs on.
    pub fn is_delicate(&self, page: Page) -> bool {
        let entry = self.space.mapping(page.0);
        self.is_assisted && entry.is_present() && entry.mfn() == Some(self.tables[2].mfn())
    }

    /// Tries to store an entry by an instruction.
    pub fn write_directly(&mut self) {
        let (page, [.., l1]) = (self.page(), self.tables);
        let at = if self.random.one_in(2) && page.0 >> 21 == self.first.0 >> 21 {
            l1.0 + 8 * (page.0 >> 12 & 511)
        } else if self.is_delicate(page) {
            return;
        } else {
            page.0 + 8 * self.random.below(512)
        };
        let Ok(old) = catch(|| read(at)) else {
            return;
        };
        let new = self.entry();
        let halves = [
            old & !0xFFFF_FFFF | new & 0xFFFF_FFFF,
            new & !0xFFFF_FFFF | old & 0xFFFF_FFFF,
        ];
        let is_safe = |entry: &u64| {
            [old, new].map(frame_of).contains(&frame_of(*entry)) || !self.is_needed(frame_of(*entry))
        };
        if !halves.iter().all(is_safe) {
            return;
        }
        let (way, flags) = (self.random.below(9), self.random.pick(&FLAGS));
        // A bit of the flags, or one that says that nothing may execute there.
        let bit = self
            .random
            .pick(&[flags.trailing_zeros(), flags.trailing_zeros(), 63]);
        match catch(|| store(at, way, [old, new], flags, bit)) {
            Ok(()) => self.direct.done += u32::from(catch(|| read(at)).is_ok_and(|found| found != old)),
            Err(caught) if (caught.vector, caught.error) == (Vector::PAGE_FAULT, 3) => {
                self.direct.refused += 1
            }
            Err(_) => {}
        }
    }
}

/// Changes the entry at `at` in one of nine ways: to `new`, or by a bit.
#[allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one argument holds for all ways"
)]
fn store(at: u32, way: u32, [old, new]: [u64; 2], flags: u32, bit: u32) {
    let (low, high) = (new as u32, (new >> 32) as u32);
    // SAFETY: each writes the eight bytes at `at` or traps, which is caught.
    unsafe {
        match way {
            0 => {
                poke32(at + 4, high);
                poke32(at, low);
            }
            1 => {
                poke32(at, 0);
                poke32(at + 4, high);
                poke32(at, low);
            }
            2 => asm!("xchg [edi], eax", in("edi") at, inout("eax") low => _),
            3 => asm!("lock cmpxchg [edi], ecx", in("edi") at, in("ecx") low, inout("eax") old as u32 => _),
            4 => {
                asm!("lock cmpxchg8b [edi]", in("edi") at, in("ebx") low, in("ecx") high,
                    inout("eax") old as u32 => _, inout("edx") (old >> 32) as u32 => _);
            }
            5 => asm!("lock or [edi], eax", in("edi") at, in("eax") flags),
            6 => asm!("and [edi], eax", in("edi") at, in("eax") !flags),
            7 => asm!("lock bts [edi], eax", in("edi") at, in("eax") bit),
            _ => asm!("lock btr [edi], eax", in("edi") at, in("eax") bit),
        }
    }
}
