//! What the domains are told to do: the records that their calls read, and the calls.

use guest_abi::domain::DomId;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::UvmFlags;
use test_guests::guest_abi;
use test_guests::puppet::{Command, FREE_AT, TABLE_AT, WORDS};
use test_guests::small_domain::{BASE, PAGES};

use super::{Game, REFERENCES};

/// Words of records in the page that each domain has with us.
const RECORD_WORDS: u32 = 480;

impl Game {
    /// A domain: mostly one that plays.
    pub fn domain(&mut self) -> u16 {
        let puppet = self.puppet();
        match self.random.below(8) {
            0 => DomId::DOM0.raw(),
            1 => DomId::SELF.raw(),
            2 => self.random.pick(&[DomId::IO.raw(), 77, 0x7FFE, 0x7FFF, 0xFFFF]),
            _ => puppet.id.raw(),
        }
    }

    /// A frame: of `n`'s mostly, of another that plays, of ours in the game, or anybody's.
    pub fn frame(&mut self, n: usize) -> u32 {
        let other = self.puppet();
        let index = self.random.below(PAGES) as usize;
        match self.random.below(10) {
            0 => other.frames[index].raw(),
            1 => self.random.pick(&self.pages).mfn().raw(),
            2 => self.random.word() >> self.random.below(32),
            _ => self.puppets[n].frames[index].raw(),
        }
    }

    /// An entry of a page table.
    fn entry(&mut self, n: usize) -> u64 {
        let flags = self
            .random
            .pick(&[0, 0x61, 0x21, 0x63, 0x63, 0x67, 0x27, 1, 3, 1 << 63 | 0x61]);
        let frame = u64::from(self.frame(n)) << 12;
        let turned = if self.random.one_in(8) {
            1 << self.random.below(64)
        } else {
            0
        };
        (if flags & 1 == 0 { flags } else { frame | flags }) ^ turned
    }

    /// Words for the calls of a round, by what is read there: requests, then records of grants, then of events.
    pub fn write_records(&mut self, n: usize) {
        let mut words = [0_u32; RECORD_WORDS as usize];
        for request in words[..240].chunks_exact_mut(4) {
            let table = u64::from(self.frame(n)) << 12;
            let (ptr, val) = match self.random.below(3) {
                0 | 1 => (table | u64::from(self.random.below(512)) << 3, self.entry(n)),
                _ => {
                    let sub = u64::from(self.random.below(16));
                    let rest = match sub {
                        9 => u64::from(self.random.below(1030)) << 8,
                        10 | 14 => u64::from(self.domain()) << 16,
                        _ => 0,
                    };
                    (table | 3, sub | rest)
                }
            };
            request.copy_from_slice(&[ptr as u32, (ptr >> 32) as u32, val as u32, (val >> 32) as u32]);
        }
        // Maps, unmaps, copies, transfers: the fields of the first fit all to some degree.
        for record in words[240..400].chunks_exact_mut(8) {
            let at = FREE_AT + self.random.below(8) * 4096;
            let (reference, domain) = (self.random.below(REFERENCES + 2), u32::from(self.domain()));
            let flags = self.random.pick(&[2, 2, 2, 6, 1, 3, 18, 10]);
            match self.random.below(4) {
                0 | 1 => record.copy_from_slice(&[at, 0, flags, reference, domain, 0, 0, 0]),
                2 => record.copy_from_slice(&[at, 0, 0, 0, self.random.below(6), 0, 0, 0]),
                _ => {
                    let frame = self.frame(n);
                    record.copy_from_slice(&[frame, domain, reference, domain, 64, flags & 3, 0, 0]);
                }
            }
        }
        for record in words[400..].chunks_exact_mut(8) {
            let (domain, other) = (u32::from(self.domain()), u32::from(self.domain()));
            let (port, peer) = (self.random.below(12), self.random.below(12));
            let command = self.random.below(8);
            let first = match command {
                0 => domain | other << 16,
                1 | 2 | 4 => port,
                _ => domain,
            };
            record.copy_from_slice(&[command, 0, first, port, peer, 0, 0, 0]);
        }
        self.puppets[n].put(&words);
    }

    /// Something for domain `n` to do.
    pub fn command(&mut self, n: usize) -> Command {
        let entry = self.entry(n);
        let page = FREE_AT + self.random.below(16) * 4096;
        let requests = WORDS + 16 * self.random.below(50);
        let grant = WORDS + 960 + 32 * self.random.below(18);
        let event = WORDS + 1600 + 32 * self.random.below(9);
        match self.random.below(24) {
            0..=5 => Command::call(CallNumber::MMU_UPDATE, &[requests, self.random.below(10), 0]),
            6..=8 => Command::call(
                CallNumber::UPDATE_VA_MAPPING,
                &[
                    page >> 12,
                    entry as u32,
                    (entry >> 32) as u32,
                    UvmFlags::INVLPG.bits(),
                ],
            ),
            9..=12 => Command::call(
                CallNumber::GRANT_TABLE_OP,
                &[
                    self.random.pick(&[0, 0, 0, 1, 1, 4, 5, 6, 2]),
                    grant,
                    self.random.below(3),
                ],
            ),
            13..=15 => Command::call(CallNumber::EVENT_CHANNEL_OP, &[event]),
            16..=18 => {
                // It grants, withdraws, or writes nonsense into its table.
                let reference = self.random.below(REFERENCES);
                let flags = self.random.pick(&[1, 1, 1, 5, 2, 2, 0, 0xFFFF]);
                let value = if self.random.one_in(2) {
                    self.frame(n)
                } else {
                    return Command::poke(TABLE_AT + 8 * reference, flags | u32::from(self.domain()) << 16);
                };
                Command::poke(TABLE_AT + 8 * reference + 4, value)
            }
            19 => Command::poke(page + self.random.below(1024) * 4, entry as u32),
            20 => Command::call(CallNumber::SET_GDT, &[requests, self.random.below(1025)]),
            21 => Command::call(
                CallNumber::new(12),
                &[self.random.below(2), requests, self.random.below(3), 0, 0x7FF0],
            ),
            22 => Command::call(
                CallNumber::new(22),
                &[
                    page >> 12,
                    entry as u32,
                    (entry >> 32) as u32,
                    2,
                    self.domain().into(),
                ],
            ),
            _ => self.noise(),
        }
    }

    /// Any call, with any arguments; seldom one that may end its domain.
    fn noise(&mut self) -> Command {
        let number = self.random.below(26);
        let mut arguments: [u32; 5] = core::array::from_fn(|_| match self.random.below(5) {
            0 => self.random.below(64),
            1 => WORDS + self.random.below(2000),
            2 => BASE + self.random.below(16 * 4096),
            3 => self.random.pick(&[0xFC00_0000, 0x7FF0, u32::MAX, 0x8000_0000]),
            _ => self.random.word(),
        });
        if matches!(number, 0 | 3 | 4 | 6 | 13) && !self.random.one_in(6) {
            arguments[0] = 0;
        }
        if number == 18 {
            // Nothing on the console.
            arguments[0] = 1;
        }
        Command::call(CallNumber::new(number), &arguments)
    }
}
