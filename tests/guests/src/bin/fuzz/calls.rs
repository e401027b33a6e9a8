//! How the fuzzer makes up its calls.

use guest_abi::addr::PAGE_SIZE;
use test_guests::guest_abi;
use test_guests::pages::poke32;

use super::{EXTENTS, Fuzzer, PAGES};

impl Fuzzer {
    /// The next call.
    pub fn call(&mut self) -> (u32, [u32; 5]) {
        let page = self.page();
        let mut noise: [u32; 5] = core::array::from_fn(|_| self.word());
        let number = match self.random.below(20) {
            0..=7 => return self.mmu_update(0),
            8..=11 => {
                let entry = if self.random.one_in(3) {
                    page.mfn().addr().raw() | 0x63
                } else {
                    self.entry()
                };
                let flags = self.random.below(4);
                return (14, [page.0 >> 12, entry as u32, (entry >> 32) as u32, flags, 0]);
            }
            12 => return self.memory(),
            13 => {
                let frames = self.random.below(3) + 1;
                (0..frames).for_each(|n| poke32(self.scratch.0 + 4 * n, page.mfn().raw()));
                return (
                    2,
                    [
                        self.scratch.0,
                        self.random.below(frames * 512) + self.random.below(2),
                        0,
                        0,
                        0,
                    ],
                );
            }
            14 => {
                let (at, descriptor) = (
                    self.mfn() << 12 | u64::from(self.random.below(512) * 8),
                    self.descriptor(),
                );
                let words = [
                    at as u32,
                    (at >> 32) as u32,
                    descriptor as u32,
                    (descriptor >> 32) as u32,
                    0,
                ];
                return (10, words);
            }
            15 => return self.multicall(),
            16 => {
                (0..8).for_each(|n| {
                    poke32(
                        self.scratch.0 + 4 * n,
                        if n == 0 { n } else { noise[n as usize % 5] % 9 },
                    )
                });
                poke32(self.scratch.0, self.random.below(8));
                poke32(self.scratch.0 + 4, 0);
                return (16, [self.scratch.0, 0, 0, 0, 0]);
            }
            _ => self.random.below(25),
        };
        match number {
            // Its own trap table and callbacks: with nothing to read, and with a bad selector.
            0 => noise[0] |= 0xFC00_0000,
            4 => noise[0] &= !3,
            // No shutdown, no sleep.
            6 => noise[0] = self.random.pick(&[0, 3, 0xFFFF, 0x0100_0002]),
            // Text of the guest's own memory on the console would be no use to anybody.
            18 => noise[0] = self.random.pick(&[1, 2, 77]),
            // A new root, a batch of anything: by its own way above.
            1 | 13 => noise[1] &= 0xFFFF_0000,
            12 => noise[2] = 0,
            // The writable page tables are switched by plan: unawares, the scribbling would change tables in use.
            21 => noise[1] = self.random.pick(&[0, 1, 3, 77]),
            _ => {}
        }
        (number, noise)
    }

    /// An argument: an edge, an address of ours, a small number, or noise.
    fn word(&mut self) -> u32 {
        match self.random.below(6) {
            0 => self.random.pick(&[
                0,
                1,
                0x7FF0,
                0x7FFF_FFFF,
                0x8000_0000,
                0xFBFF_FFF8,
                0xFC00_0000,
                u32::MAX,
            ]),
            1 => self.first.0 + self.random.below(PAGES * PAGE_SIZE as u32),
            2 => self.scratch.0 + self.random.below(2 * PAGE_SIZE as u32),
            3 => self.random.below(64),
            // Not this kernel's own image.
            _ => match self.random.word() {
                word if word >> 24 == 0xC0 => 0,
                word => word,
            },
        }
    }

    /// A request at `at`.
    fn request(&mut self, at: u32) {
        let (target, index) = self.target();
        let mfn = self.mfn();
        let (ptr, val) = match self.random.below(12) {
            0..=4 => (target << 12 | index << 3, self.entry()),
            5 => (self.game_mfn() << 12 | 2, self.random.long() & 0x1_FFFF_FFFF),
            6 => (
                self.random.long() & !7 | self.random.long() & 7,
                self.random.long(),
            ),
            _ => {
                let sub = self.random.pick(&[
                    0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                ]);
                let rest: u64 = match sub {
                    9 => u64::from(self.random.below(1030)) << 8,
                    10 => self.random.pick(&[0_u64, 0x7FF0, 0x7FF1, 0x7FF2, 5]) << 16,
                    _ if self.random.one_in(20) => self.random.long() << 8,
                    _ => 0,
                };
                let ptr = if sub == 9 || sub == 7 {
                    u64::from(self.page().0)
                } else {
                    mfn << 12
                };
                (ptr | 3, rest | sub)
            }
        };
        for (n, word) in [ptr as u32, (ptr >> 32) as u32, val as u32, (val >> 32) as u32]
            .into_iter()
            .enumerate()
        {
            poke32(at + 4 * n as u32, word);
        }
    }

    /// A batch of requests; `slot` keeps those of one multicall apart, for mixed they could name another root.
    fn mmu_update(&mut self, slot: u32) -> (u32, [u32; 5]) {
        let count = self.random.below(5) + 1;
        // Sometimes across the end of the page, and seldom aligned.
        let place = match self.random.below(4) {
            0 if slot == 0 => 4096 - 24,
            _ => 512 + 160 * slot + self.random.below(64),
        };
        let at = self.scratch.0 + place;
        (0..count).for_each(|n| self.request(at + 16 * n));
        let done = if self.random.one_in(2) {
            0
        } else {
            self.scratch.0 + 8000
        };
        // A guest may also claim that a call was resumed.
        let claimed = if self.random.one_in(30) {
            1 << 31 | self.random.below(0x8000) << 16
        } else {
            0
        };
        (1, [at, count | claimed, done, 0, 0])
    }

    fn memory(&mut self) -> (u32, [u32; 5]) {
        let order = if self.random.one_in(6) {
            self.random.below(12)
        } else {
            0
        };
        if self.held < EXTENTS / 2 && self.random.one_in(2) {
            return (12, [0, self.scratch.0 + 256, 1, 0, 0x7FF0]);
        }
        let frame = if self.random.one_in(4) {
            self.mfn() as u32
        } else {
            self.held_frame()
        };
        // Frames of the image and of tables in use stay: without them there is no guest.
        let is_ours = self.extents[..self.held].contains(&frame);
        poke32(self.scratch.0 + 256, if is_ours { frame } else { 0x7FFF_0000 });
        (
            12,
            [
                1,
                self.scratch.0 + 256,
                1,
                if is_ours { 0 } else { order },
                0x7FF0,
            ],
        )
    }

    fn held_frame(&mut self) -> u32 {
        let index = self.random.below(EXTENTS as u32) as usize;
        self.extents[index % self.held.max(1)]
    }

    /// A batch of calls: each is made up as a single one would be, so their arguments share the scratch page.
    fn multicall(&mut self) -> (u32, [u32; 5]) {
        let list = self.scratch.0 + 0x1000;
        let count = self.random.below(3) + 1;
        for n in 0..count {
            let (number, arguments) = if self.random.one_in(8) {
                (13, [list, count, 0, 0, 0])
            } else {
                self.mmu_update(n + 1)
            };
            let at = list + 32 * n;
            poke32(at, number);
            arguments
                .iter()
                .enumerate()
                .for_each(|(n, word)| poke32(at + 4 + 4 * n as u32, *word));
        }
        (13, [list, count, 0, 0, 0])
    }
}
