//! The fuzzer: random and mutated calls, by a seed.
//!
//! All call numbers and some beyond, with arguments that are nearly right, edges and noise; pages with random entries and
//! descriptors in them; pins, mappings and GDTs of those pages; traps in between. Nothing is expected of any single answer. What
//! is expected: the hypervisor lives, this guest lives, and the audit at the end finds no difference.
//!
//! It keeps itself alive by playing with pages of its own only, and by leaving out the calls that a guest ends itself with
//! (shutdown, block, another trap table, callbacks or root).
//!
//! In every second quarter of its calls the writable page tables are on, and part of its writes goes to live tables.
//!
//! args: seed=1 calls=120000
//! append: guest_loglvl=none loglvl=info
//! timeout: 300
#![no_std]
#![no_main]

mod calls;
mod direct;

use guest_abi::addr::{Mfn, PAGE_SIZE};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::Pte;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use mini_guest::entry::VIRT_BASE;
use mini_guest::traps;
use test_guests::pages::{Page, WRITABLE, frame, machine_to_phys, peek32, poke32};
use test_guests::random::Random;
use test_guests::raw::{call_eax, remap};
use test_guests::tables::Space;
use test_guests::{Regs, catch, check, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Pages that the fuzzer plays with.
const PAGES: u32 = 24;
/// Extents that it holds at most.
const EXTENTS: usize = 32;

struct Fuzzer {
    random: Random,
    space: Space,
    /// Root, L2 and L1 that are in use.
    tables: [Page; 3],
    nr_pages: u32,
    /// The pages of the game; what is mapped there changes all the time.
    first: Page,
    /// Room for arguments: always mapped writable.
    scratch: Page,
    /// Frames from the hypervisor.
    extents: [u32; EXTENTS],
    held: usize,
    /// Whether the writable page tables are on.
    is_assisted: bool,
    direct: direct::Tally,
}

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let line = start_info.command_line();
    let seed = argument(line, b"seed=").unwrap_or(1);
    let calls = argument(line, b"calls=").unwrap_or(120_000);
    println!("seed {seed}, {calls} calls");
    let first = Page::take_run(PAGES);
    traps::set_kernel_handler(Vector::DEBUG, Some(breakpoint));
    let mut fuzzer = Fuzzer {
        random: Random::new(seed.into()),
        space,
        tables: [space.l3, space.l2(first.0), space.l1(first.0)],
        nr_pages: start_info.nr_pages,
        first,
        scratch: Page::take_run(2),
        extents: [0; EXTENTS],
        held: 0,
        is_assisted: false,
        direct: direct::Tally::default(),
    };
    let mut done = 0;
    let mut accepted = 0;
    while done < calls {
        fuzzer.assist(done / (calls / 4).max(1) % 2 == 1);
        if fuzzer.is_assisted {
            (0..fuzzer.random.below(3)).for_each(|_| fuzzer.write_directly());
        }
        for _ in 0..fuzzer.random.below(4) {
            fuzzer.scribble();
        }
        let (number, arguments) = fuzzer.call();
        let answer = call_eax(CallNumber::new(number), &arguments);
        accepted += u32::from(answer < 0xFFFF_F000);
        fuzzer.note(number, arguments, answer);
        done += 1;
        if fuzzer.random.one_in(16) {
            fuzzer.trap();
        }
        if done % 20_000 == 0 {
            println!("{done} calls, {accepted} accepted");
        }
    }
    check!(
        accepted > calls / 8,
        "too little is accepted to prove anything: {accepted}"
    );
    check!(accepted < calls, "nothing was refused");
    println!("direct writes: {:?}", fuzzer.direct);
    check!(
        fuzzer.direct.done > calls / 50 && fuzzer.direct.refused > calls / 50,
        "too few direct writes did anything: {:?}",
        fuzzer.direct
    );
    check!(hypercall::xen_version().is_ok());
    report::success()
}

/// A breakpoint that the fuzzer set by chance: goes on behind it.
fn breakpoint(regs: &mut Regs) {
    const RESUME: u32 = 1 << 16;
    regs.eflags |= RESUME;
}

/// The number behind `name` on the command line.
fn argument(line: &[u8], name: &[u8]) -> Option<u32> {
    let start = line.windows(name.len()).position(|window| window == name)? + name.len();
    let mut digits = line[start..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.try_fold(0_u32, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
    })
}

impl Fuzzer {
    fn page(&mut self) -> Page {
        self.first.next(self.random.below(PAGES))
    }

    /// A frame number: mostly of the game, sometimes a table in use, the hypervisor's or nonsense.
    fn mfn(&mut self) -> u64 {
        let table = self.random.pick(&self.tables);
        if self.random.one_in(8) {
            table.mfn().raw().into()
        } else {
            self.game_mfn()
        }
    }

    /// A frame number that is no table in use, and nothing that this kernel needs.
    fn game_mfn(&mut self) -> u64 {
        let page = u64::from(self.page().mfn().raw());
        let mfn = match self.random.below(24) {
            0 => self.random.below(0x2_0000).into(),
            1 => self.random.long() >> self.random.below(64),
            2 => 0xFEE00,
            3..=6 if self.held > 0 => self.extents[self.random.below(self.held as u32) as usize].into(),
            _ => page,
        };
        if self.is_needed(mfn) { page } else { mfn }
    }

    /// Whether frame number `n` is one of this domain's that is not part of the game.
    fn is_needed(&self, n: u64) -> bool {
        let Some(mfn) = u32::try_from(n).ok().filter(|n| *n < 0x2_0000).map(Mfn::new) else {
            return false;
        };
        let pfn = machine_to_phys(mfn);
        let game = (self.first.0 - VIRT_BASE) / PAGE_SIZE as u32;
        pfn < self.nr_pages && frame(pfn) == mfn && !(game..game + PAGES).contains(&pfn)
    }

    /// Where an entry may be stored without this kernel losing what it runs on.
    fn target(&mut self) -> (u64, u64) {
        let page = self.page();
        let [l3, l2, l1] = self.tables;
        match self.random.below(8) {
            0 if page.0 >> 21 == self.first.0 >> 21 => (l1.mfn().raw().into(), u64::from(page.0 >> 12 & 511)),
            1 => (l2.mfn().raw().into(), 16 + u64::from(self.random.below(496))),
            2 => (l3.mfn().raw().into(), self.random.below(512).into()),
            _ => (self.game_mfn(), self.random.below(512).into()),
        }
    }

    /// An entry: a frame with likely flags, then perhaps a bit turned.
    fn entry(&mut self) -> u64 {
        let flags = self.random.pick(&[
            0,
            0x61,
            0x21,
            0x63,
            0x67,
            0x67,
            0x27,
            0x1,
            0x3,
            0x60,
            1 << 63 | 0x61,
        ]);
        let entry = if flags & 1 == 0 { 0 } else { self.mfn() << 12 };
        let turned = if self.random.one_in(6) {
            1 << self.random.below(64)
        } else {
            0
        };
        let mutated = (entry | flags) ^ turned;
        if turned >> 12 != 0 && self.is_needed(Pte::from_raw(mutated).address().raw() >> 12) {
            return entry | flags;
        }
        mutated
    }

    /// A descriptor that is nearly good.
    fn descriptor(&mut self) -> u64 {
        let kind = self.random.pick(&[
            0x00CF_B200_0000_FFFF,
            0x00CF_FA00_0000_FFFF,
            0x00CF_F600_0000_1234,
            0,
            0x0040_B200_0000_0FFF,
        ]);
        kind ^ if self.random.one_in(3) {
            1 << self.random.below(64)
        } else {
            0
        }
    }

    /// Writes to the game's pages, where that is possible.
    fn scribble(&mut self) {
        let page = self.page();
        if self.is_delicate(page) {
            return;
        }
        let (count, start) = (self.random.below(6), self.random.below(512));
        let wipe = self.random.one_in(8);
        let words: [u64; 6] = core::array::from_fn(|n| {
            if n % 2 == 0 {
                self.entry()
            } else {
                self.descriptor()
            }
        });
        // Read-only pages trap, unmapped ones too.
        let _ = catch(|| {
            if wipe {
                page.fill(0);
            }
            for n in 0..count {
                page.write(((start + n) % 512) as usize, words[n as usize]);
            }
        });
    }

    /// Takes note of frames that came and went, and keeps the guest able to go on.
    fn note(&mut self, number: u32, arguments: [u32; 5], answer: u32) {
        match (number, arguments[0] & 15, answer) {
            (12, 0, 1) if arguments[1] == self.scratch.0 + 256 => {
                self.extents[self.held] = peek32(self.scratch.0 + 256);
                self.held += 1;
            }
            (12, 1, 1) => {
                let frame = peek32(self.scratch.0 + 256);
                if let Some(index) = self.extents[..self.held].iter().position(|held| *held == frame) {
                    self.held -= 1;
                    self.extents[index] = self.extents[self.held];
                }
            }
            _ => {}
        }
    }

    /// Something that traps, or would.
    fn trap(&mut self) {
        let page = self.page();
        let selector = self.random.word();
        let _ = match self.random.below(5) {
            0 if self.is_delicate(page) => Ok(()),
            0 => catch(|| poke32(page.0, 1)),
            // SAFETY: each either does nothing or traps, and the catch puts the kernel's selectors back.
            1 => catch(|| unsafe { core::arch::asm!("mov fs, {0:e}", in(reg) selector & 0xFFFF) }),
            // SAFETY: as above.
            2 => catch(|| unsafe { core::arch::asm!("ud2") }),
            // SAFETY: as above.
            3 => catch(|| unsafe { core::arch::asm!("int 0x82", inout("eax") selector | 32 => _) }),
            _ => catch(|| _ = remap(page.0, page.pte(WRITABLE))),
        };
    }
}
