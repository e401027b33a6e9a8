//! The fuzzer with several domains: three small ones make random calls at once, with each other's frames, ports and grants, while
//! this one grants to them, maps what they grant, rings them, pauses, destroys and makes them again, all by a seed.
//!
//! Nothing is expected of any single answer. What is expected: the hypervisor lives, this guest lives, of each domain nothing is
//! left when it is over, and the audit at the end finds no difference. A domain may well end itself; then another comes.
//!
//! args: seed=1 rounds=1000
//! append: guest_loglvl=none loglvl=info
//! timeout: 300
//! icount: yes
#![no_std]
#![no_main]

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{BindInterdomain, Close, Send};
use guest_abi::grant_table::{GrantFlags, GrantStatus, MapFlags};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Pte, UvmFlags};
use guest_abi::start_info::StartInfo;
use test_guests::agent::{Agent, Command, FREE_AT, MAX_COMMANDS, RECORDS, SPARE, TABLE_AT, poke, to_call};
use test_guests::grants::{Table, map, map_record, unmap, unmap_record, vacate};
use test_guests::pages::{Page, WRITABLE};
use test_guests::random::Random;
use test_guests::small_domain::{BASE, PAGES, destroy, free_pages, info, pause, unpause};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Domains that play.
const AGENTS: usize = 3;
/// Pages of ours in the game, and windows into theirs.
const OURS: usize = 4;
/// References that are in the game.
const REFERENCES: u32 = 8;
/// Words of records in the page that each domain has with us.
const RECORD_WORDS: u32 = 480;
/// Yields that a domain gets in a round before it counts as stuck.
const PATIENCE: u32 = 400;

/// What came of it all.
#[derive(Debug, Default)]
struct Tally {
    accepted: u32,
    refused: u32,
    faults: u32,
    /// Domains that ended themselves, or did not answer; those ended by us.
    lost: u32,
    killed: u32,
    /// Grants of theirs that we had mapped.
    mapped: u32,
}

struct Game {
    random: Random,
    agents: [Agent; AGENTS],
    mails: [Page; AGENTS],
    window: Page,
    /// Where nothing of ours is mapped.
    views: [Page; OURS],
    pages: [Page; OURS],
    table: Table,
    /// Our mappings of their grants, by view.
    held: [Option<u32>; OURS],
    tally: Tally,
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let line = start_info.command_line();
    let seed = argument(line, b"seed=").unwrap_or(1);
    let rounds = argument(line, b"rounds=").unwrap_or(1000);
    println!("seed {seed}, {rounds} rounds");
    let Ok(table) = Table::set_up(DomId::DOM0) else {
        report::failure(format_args!("no grant table"))
    };
    let (window, mails) = (Page::take(), [(); AGENTS].map(|()| Page::take()));
    let mut game = Game {
        random: Random::new(seed.into()),
        agents: mails.map(|mail| Agent::start(window, mail).set_up_table()),
        mails,
        window,
        views: [(); OURS].map(|()| vacate(Page::take())),
        pages: [(); OURS].map(|()| Page::take()),
        table,
        held: [None; OURS],
        tally: Tally::default(),
    };
    (0..AGENTS).for_each(|n| game.grant_at_first(n));
    for round in 0..rounds {
        game.round();
        if round % 100 == 99 {
            println!("{} rounds: {:?}", round + 1, game.tally);
        }
    }
    game.end();
    let Tally {
        accepted,
        refused,
        lost,
        killed,
        mapped,
        ..
    } = game.tally;
    let calls = accepted + refused;
    check!(
        accepted > calls / 10 && refused > calls / 10 && calls > rounds * 20,
        "too little happened: {:?}",
        game.tally
    );
    check!(
        lost + killed > rounds / 20 && mapped > rounds / 100,
        "too little happened: {:?}",
        game.tally
    );
    report::success()
}

/// The number behind `name` on the command line.
fn argument(line: &[u8], name: &[u8]) -> Option<u32> {
    let start = line.windows(name.len()).position(|window| window == name)? + name.len();
    let mut digits = line[start..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.try_fold(0_u32, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
    })
}

impl Game {
    /// All get something to do, and we do something meanwhile.
    fn round(&mut self) {
        for n in 0..AGENTS {
            self.write_records(n);
            let commands: [Command; MAX_COMMANDS] = core::array::from_fn(|_| self.command(n));
            self.agents[n].tell(&commands);
        }
        for _ in 0..PATIENCE {
            if self.agents.iter().all(|agent| agent.is_idle()) {
                break;
            }
            if self.random.one_in(8) {
                self.act();
            }
            hypercall::yield_now().expect("yield");
        }
        for n in 0..AGENTS {
            let agent = self.agents[n];
            for command in 0..MAX_COMMANDS as u32 {
                match agent.answer(command) {
                    None => self.tally.faults += 1,
                    Some(answer) if answer < 0xFFFF_F000 => self.tally.accepted += 1,
                    Some(_) => self.tally.refused += 1,
                }
            }
            if !agent.is_idle() || !agent.lives() {
                self.tally.lost += 1;
                self.replace(n);
            } else if self.random.one_in(12) {
                self.tally.killed += 1;
                self.replace(n);
            }
        }
    }

    /// The domain goes, another comes.
    fn replace(&mut self, n: usize) {
        check_eq!(destroy(self.agents[n].id), Ok(()));
        self.mails[n].unprotect();
        self.agents[n] = Agent::start(self.window, self.mails[n]).set_up_table();
        self.grant_at_first(n);
    }

    /// A new domain grants its pages around, so that there is something in play.
    fn grant_at_first(&mut self, n: usize) {
        let agent = self.agents[n];
        for reference in 0..REFERENCES {
            let to = if self.random.one_in(2) {
                DomId::DOM0
            } else {
                self.agent().id
            };
            let frame = agent.frames[SPARE + reference as usize % 3];
            agent.publish(reference, to, frame, GrantFlags::PERMIT_ACCESS);
        }
    }

    fn agent(&mut self) -> Agent {
        self.random.pick(&self.agents)
    }

    /// A domain: mostly one that plays.
    fn domain(&mut self) -> u16 {
        let agent = self.agent();
        match self.random.below(8) {
            0 => DomId::DOM0.raw(),
            1 => DomId::SELF.raw(),
            2 => self.random.pick(&[DomId::IO.raw(), 77, 0x7FFE, 0x7FFF, 0xFFFF]),
            _ => agent.id.raw(),
        }
    }

    /// A frame: of `n`'s mostly, of another that plays, of ours in the game, or anybody's.
    fn frame(&mut self, n: usize) -> u32 {
        let other = self.agent();
        let index = self.random.below(PAGES) as usize;
        match self.random.below(10) {
            0 => other.frames[index].raw(),
            1 => self.random.pick(&self.pages).mfn().raw(),
            2 => self.random.word() >> self.random.below(32),
            _ => self.agents[n].frames[index].raw(),
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
    fn write_records(&mut self, n: usize) {
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
        self.agents[n].put(&words);
    }

    /// Something for domain `n` to do.
    fn command(&mut self, n: usize) -> Command {
        let entry = self.entry(n);
        let page = FREE_AT + self.random.below(16) * 4096;
        let requests = RECORDS + 16 * self.random.below(50);
        let grant = RECORDS + 960 + 32 * self.random.below(18);
        let event = RECORDS + 1600 + 32 * self.random.below(9);
        match self.random.below(24) {
            0..=5 => to_call(CallNumber::MMU_UPDATE, &[requests, self.random.below(10), 0]),
            6..=8 => to_call(
                CallNumber::UPDATE_VA_MAPPING,
                &[
                    page >> 12,
                    entry as u32,
                    (entry >> 32) as u32,
                    UvmFlags::INVLPG.bits(),
                ],
            ),
            9..=12 => to_call(
                CallNumber::GRANT_TABLE_OP,
                &[
                    self.random.pick(&[0, 0, 0, 1, 1, 4, 5, 6, 2]),
                    grant,
                    self.random.below(3),
                ],
            ),
            13..=15 => to_call(CallNumber::EVENT_CHANNEL_OP, &[event]),
            16..=18 => {
                // It grants, withdraws, or writes nonsense into its table.
                let reference = self.random.below(REFERENCES);
                let flags = self.random.pick(&[1, 1, 1, 5, 2, 2, 0, 0xFFFF]);
                let value = if self.random.one_in(2) {
                    self.frame(n)
                } else {
                    return poke(TABLE_AT + 8 * reference, flags | u32::from(self.domain()) << 16);
                };
                poke(TABLE_AT + 8 * reference + 4, value)
            }
            19 => poke(page + self.random.below(1024) * 4, entry as u32),
            20 => to_call(CallNumber::SET_GDT, &[requests, self.random.below(1025)]),
            21 => to_call(
                CallNumber::new(12),
                &[self.random.below(2), requests, self.random.below(3), 0, 0x7FF0],
            ),
            22 => to_call(
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
            1 => RECORDS + self.random.below(2000),
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
        to_call(CallNumber::new(number), &arguments)
    }

    /// Something of our own.
    fn act(&mut self) {
        let n = self.random.below(AGENTS as u32) as usize;
        let (agent, domain) = (self.agents[n], DomId::new(self.domain()));
        let (port, peer) = (self.random.below(12), self.random.below(12));
        let reference = self.random.below(REFERENCES);
        match self.random.below(10) {
            0 => {
                let _ = pause(agent.id);
            }
            1 | 2 => {
                for agent in self.agents {
                    let _ = unpause(agent.id);
                }
            }
            3 => {
                let page = self.random.pick(&self.pages);
                let flags = self.random.pick(&[
                    GrantFlags::PERMIT_ACCESS,
                    GrantFlags::PERMIT_ACCESS | GrantFlags::READ_ONLY,
                    GrantFlags::empty(),
                ]);
                self.table.publish(reference, agent.id, page.mfn(), flags);
            }
            4 | 5 => self.map_one(domain, reference),
            6 => {
                let bind = BindInterdomain {
                    dom1: domain,
                    dom2: agent.id,
                    port1: port,
                    port2: peer,
                };
                let _ = hypercall::event_channel_op(&bind);
            }
            7 => {
                let _ = hypercall::event_channel_op(&Send { local_port: port });
            }
            8 => {
                let close = Close {
                    dom: domain,
                    pad: 0,
                    port,
                };
                let _ = hypercall::event_channel_op(&close);
            }
            _ => {
                // A frame of somebody's, as the domain that may map any.
                let frame = Mfn::new(self.frame(n));
                let at = guest_abi::addr::GuestVirt::new(self.window.0);
                // SAFETY: the window is nobody else's.
                let _ = unsafe {
                    hypercall::update_va_mapping_otherdomain(
                        at,
                        Pte::new(frame, WRITABLE),
                        UvmFlags::INVLPG,
                        agent.id,
                    )
                };
            }
        }
    }

    /// Maps a grant of `domain`'s in a view, or unmaps what is there.
    fn map_one(&mut self, domain: DomId, reference: u32) {
        let view = self.random.below(OURS as u32) as usize;
        let at = self.views[view].0;
        if let Some(handle) = self.held[view].take() {
            check_eq!(unmap(unmap_record(handle, at)), GrantStatus::OKAY);
            return;
        }
        let flags = self
            .random
            .pick(&[MapFlags::HOST_MAP, MapFlags::HOST_MAP | MapFlags::READ_ONLY]);
        let done = map(map_record(domain, reference, at, flags));
        if done.status == GrantStatus::OKAY {
            self.tally.mapped += 1;
            self.held[view] = Some(done.handle);
        }
    }

    /// All of them go; nothing of them is left.
    fn end(&mut self) {
        for agent in self.agents {
            check_eq!(destroy(agent.id), Ok(()));
        }
        for (page, handle) in self.views.into_iter().zip(self.held) {
            if let Some(handle) = handle {
                check_eq!(unmap(unmap_record(handle, page.0)), GrantStatus::OKAY);
            }
        }
        self.mails.iter().chain([&self.window]).for_each(|page| {
            page.unprotect();
        });
        // Those that were still in use go with the next calls.
        for _ in 0..64 {
            let _ = free_pages();
        }
        for id in 1..2000 {
            check_eq!(info(DomId::new(id)).map(drop), Err(Errno::Srch), "domain {id}");
        }
        for reference in 0..REFERENCES {
            let used = self.table.flags(reference) & (GrantFlags::READING | GrantFlags::WRITING);
            check!(used.is_empty(), "reference {reference}: {used:?}");
        }
    }
}
