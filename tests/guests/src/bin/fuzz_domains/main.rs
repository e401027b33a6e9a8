//! The fuzzer with several domains: three small ones make random calls at once, with each other's frames, ports and grants, while
//! this one grants to them, maps what they grant, rings them, pauses, destroys and makes them again, all by a seed.
//!
//! Nothing is expected of any single answer. What is expected: the hypervisor lives, this guest lives, of each domain nothing is
//! left when it is over, and the audit at the end finds no difference. A domain may well end itself; then another comes.
//!
//! args: seed=1 rounds=500
//! append: guest_loglvl=none loglvl=info
//! timeout: 300
//! icount: yes
#![no_std]
#![no_main]

mod calls;
mod own;

use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::grant_table::{GrantFlags, GrantStatus};
use guest_abi::start_info::StartInfo;
use test_guests::grants::{Table, unmap, unmap_record, vacate};
use test_guests::pages::Page;
use test_guests::puppet::{Command, MAX_COMMANDS, Puppet, SPARE};
use test_guests::random::Random;
use test_guests::small_domain::{destroy, free_pages, info};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Domains that play.
const PUPPETS: usize = 3;
/// Pages of ours in the game, and windows into theirs.
const OURS: usize = 4;
/// References that are in the game.
const REFERENCES: u32 = 8;
/// Yields that a domain gets in a round before it counts as stuck.
const PATIENCE: u32 = 60;

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
    puppets: [Puppet; PUPPETS],
    mails: [Page; PUPPETS],
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
    let (window, mails) = (Page::take(), [(); PUPPETS].map(|()| Page::take()));
    let mut game = Game {
        random: Random::new(seed.into()),
        puppets: mails.map(|mail| Puppet::at(mail, window, |_| ()).set_up_table()),
        mails,
        window,
        views: [(); OURS].map(|()| vacate(Page::take())),
        pages: [(); OURS].map(|()| Page::take()),
        table,
        held: [None; OURS],
        tally: Tally::default(),
    };
    (0..PUPPETS).for_each(|n| game.grant_at_first(n));
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
        for n in 0..PUPPETS {
            self.write_records(n);
            let commands: [Command; MAX_COMMANDS] = core::array::from_fn(|_| self.command(n));
            self.puppets[n].tell(&commands);
        }
        for _ in 0..PATIENCE {
            if self.puppets.iter().all(|puppet| puppet.is_idle()) {
                break;
            }
            if self.random.one_in(3) {
                self.act();
            }
            hypercall::yield_now().expect("yield");
        }
        for n in 0..PUPPETS {
            let puppet = self.puppets[n];
            for command in 0..MAX_COMMANDS as u32 {
                match puppet.ended(command).eax() {
                    None => self.tally.faults += 1,
                    Some(answer) if answer < 0xFFFF_F000 => self.tally.accepted += 1,
                    Some(_) => self.tally.refused += 1,
                }
            }
            if !puppet.is_idle() || !puppet.lives() {
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
        check_eq!(destroy(self.puppets[n].id), Ok(()));
        self.mails[n].unprotect();
        self.puppets[n] = Puppet::at(self.mails[n], self.window, |_| ()).set_up_table();
        self.grant_at_first(n);
    }

    /// A new domain grants its pages around, so that there is something in play.
    fn grant_at_first(&mut self, n: usize) {
        let puppet = self.puppets[n];
        for reference in 0..REFERENCES {
            let to = if self.random.one_in(2) {
                DomId::DOM0
            } else {
                self.puppet().id
            };
            let frame = puppet.frames[SPARE + reference as usize % 3];
            puppet.publish(reference, to, frame, GrantFlags::PERMIT_ACCESS);
        }
    }

    fn puppet(&mut self) -> Puppet {
        self.random.pick(&self.puppets)
    }

    /// All of them go; nothing of them is left.
    fn end(&mut self) {
        for puppet in self.puppets {
            check_eq!(destroy(puppet.id), Ok(()));
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
