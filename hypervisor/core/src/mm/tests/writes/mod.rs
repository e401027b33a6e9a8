//! Writable page tables: the emulated instructions.

mod instructions;
mod limits;

use super::{assert_sound, must, n, set, unmap};
use crate::{
    mm::{
        emulate::{Emulation, try_emulate},
        pte::{NX, P, RW, US},
    },
    regs::UserRegs,
    testing::{Guest, World, entry},
};
use guest_abi::segment::Selector;

/// Where the code is.
const CODE: u32 = Guest::va(8) + 0x100;
/// Where entry 5 of the low L1 can be read, and with the assist written.
const SLOT: u32 = Guest::va(4) + 5 * 8;

const CF: u64 = 1;
const PF: u64 = 4;
const ZF: u64 = 0x40;
const SF: u64 = 0x80;
const ALL: u64 = 0x8D5;

struct Bench {
    world: World,
    guest: Guest,
}

impl Bench {
    fn new() -> Self {
        let (mut world, guest) = World::with_dom0();
        world.regs.cs = u64::from(Selector::FLAT_RING1_CS.raw());
        world.regs.ss = u64::from(Selector::FLAT_RING1_DS.raw());
        let flat = Selector::FLAT_RING1_DS.raw();
        world.machine.cpu.segments.set(crate::vcpu::DataSegments {
            ds: flat,
            es: flat,
            fs: flat,
            gs: flat,
        });
        world.regs.rflags = 0x202 | ALL;
        // EDI is the address of the entry.
        world.regs.rdi = u64::from(SLOT);
        Self { world, guest }
    }

    fn page(&self, n: usize) -> u64 {
        entry(self.guest.frames[n], 0)
    }

    fn entry(&self) -> u64 {
        self.world.machine.peek(self.guest.low_l1(), 5)
    }

    fn set_entry(&mut self, value: u64) {
        let owner = self.world.owner(0);
        self.world
            .mmu()
            .update_l1(self.guest.low_l1(), 5, value, owner)
            .unwrap();
    }

    /// Lets `code` fault at `at`.
    fn run_at(&mut self, code: &[u8], at: u32) -> Emulation {
        for offset in 0..15 {
            let byte = code.get(offset as usize).copied().unwrap_or(0x90);
            self.world.write(CODE + offset, &byte);
        }
        self.world.regs.rip = u64::from(CODE);
        let before = self.world.snapshot();
        let regs = self.world.regs;
        let result = try_emulate(&mut self.world.cx(), at);
        match result {
            Emulation::Done => assert_eq!(
                self.world.regs.rip,
                u64::from(CODE) + code.len() as u64,
                "{code:x?}"
            ),
            Emulation::NotOurs => {
                assert_eq!(self.world.regs, regs);
                self.world.assert_unchanged_since(&before);
            }
        }
        assert_sound(&self.world);
        result
    }

    fn done(&mut self, code: &[u8]) {
        assert_eq!(self.run_at(code, SLOT), Emulation::Done, "{code:x?}");
    }

    fn not_ours(&mut self, code: &[u8]) {
        assert_eq!(self.run_at(code, SLOT), Emulation::NotOurs, "{code:x?}");
    }

    fn regs(&mut self) -> &mut UserRegs {
        &mut self.world.regs
    }

    fn flags(&self) -> u64 {
        self.world.regs.rflags & ALL
    }
}
