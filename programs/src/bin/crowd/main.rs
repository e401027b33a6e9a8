//! `crowd [COUNT [KIB]]`: as many domains at once as a machine of 1 GB should hold, made from Domain0 like any others.
//!
//! All of them run the small kernel. Each greets on its console, answers a line that is typed at all of them, and answers an
//! event at a port of its own; then all are destroyed, and the machine's free memory must be what it was, to the frame.
//!
//! Domain0 has 1024 ports, and each domain's console takes one. So the broadcast goes through the consoles (an event to each
//! domain, an event back from each), and further ports are bound for a few domains at a time and given back.
#![no_std]
#![no_main]

extern crate alloc;

mod domains;
#[path = "../xl/host.rs"]
mod host;
mod machine;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::arch::x86::_rdtsc;

use guest_abi::domain::DomId;
use programs::args::Args;
use programs::check::Checks;
use programs::xen::Evtchn;
use programs::{args, clock, eprintln, println};

use crate::domains::{Crowd, typed_at};
use crate::host::Host;
use crate::machine::{Machine, NEAR_PORTS};

programs::program!(main);

/// Domains, where nobody says how many.
const COUNT: u32 = 1000;
/// Memory of each.
const KIB: u32 = 256;
/// Domains whose own ports are bound at the same time.
const AT_ONCE: usize = 8;
/// Domains whose creation is timed at the beginning and at the end.
const TIMED: usize = 10;
/// How long all domains together may take to say something.
const PATIENCE_MS: u32 = 120_000;
const STEP_MS: u32 = 20;

fn main(args: &Args) -> i32 {
    let number = |index: usize, default: u32| match args.get(index) {
        None => Some(default),
        Some(word) => args::number(word).filter(|number| *number > 0),
    };
    let (Some(count), Some(kib)) = (number(1, COUNT), number(2, KIB)) else {
        eprintln!("crowd: usage: crowd [COUNT [KIB]]");
        return 2;
    };
    let mut checks = Checks::new("crowd");
    match run(&mut checks, count as usize, kib) {
        Ok(()) => checks.finish(),
        Err(message) => {
            eprintln!("crowd: {message}");
            1
        }
    }
}

fn run(checks: &mut Checks, count: usize, kib: u32) -> Result<(), String> {
    let host = Host::open()?;
    grow_port_table().map_err(|error| format!("ports: {error}"))?;
    let before = Machine::look(&host)?;

    let mut crowd = Crowd::new(&host)?;
    let made = timed(count, || crowd.create(kib));
    let made = made.map_err(|error| format!("domain {}: {error}", crowd.ids().len()))?;
    checks.equal("all are made", crowd.ids().len(), count);
    println!("crowd: creation: {made}");
    memory(checks, &before, &Machine::look(&host)?, count as u32, kib);

    let started = timed(count, {
        let mut ids = crowd.ids().iter();
        let host = &host;
        move || ids.next().map_or(Ok(()), |id| domains::start(host, *id))
    });
    println!("crowd: start: {}", started?);
    let greeting = format!("mini-guest-small: {kib} KiB, ready\r\n");
    checks.equal("all greet", heard(&crowd, |_| greeting.clone()), Ok(count));

    let begun = clock::monotonic_ns();
    for (n, id) in crowd.ids().iter().enumerate() {
        typed_at(*id, &format!("ping {n}\n"))?;
    }
    let answer = |n: usize| format!("ping {n}\r\npong {n}\r\n");
    checks.equal(
        "all answer what is typed at all",
        heard(&crowd, answer),
        Ok(count),
    );
    println!(
        "crowd: broadcast: {} ms",
        (clock::monotonic_ns() - begun) / 1_000_000
    );
    checks.equal("all answer an event at a port", events(&crowd), Ok(count));

    let ended = timed(count, || crowd.destroy_first());
    println!("crowd: destruction: {}", ended?);
    let after = Machine::look(&host)?;
    checks.equal("all memory is free again, to the frame", after.free, before.free);
    checks.equal("no domain is left", after.domains, before.domains);
    checks.equal("no console is left", after.consoles, before.consoles);
    Ok(())
}

/// Once a domain has had so many ports the hypervisor keeps a frame for them: no memory of a domain that is made here.
fn grow_port_table() -> programs::errno::Result<()> {
    let ports = Evtchn::open()?;
    (0..=NEAR_PORTS).try_for_each(|_| ports.alloc_unbound(DomId::SELF).map(drop))
}

/// Judges and tells what the domains take of the machine's memory.
fn memory(checks: &mut Checks, before: &Machine, after: &Machine, count: u32, kib: u32) {
    let taken = (before.free - after.free) * 4;
    let (own, shared) = (kib * count, 4 * count);
    let rest = taken.checked_sub(own + shared);
    checks.equal(
        "all of them are listed",
        after.domains - before.domains,
        count as usize,
    );
    let is_little = rest.is_some_and(|rest| rest <= 8 * count);
    checks.that(
        format_args!(
            "the hypervisor keeps at most 8 KiB for each: {} KiB for {count}",
            rest.unwrap_or(0)
        ),
        is_little,
    );
    println!(
        "crowd: memory: {taken} KiB for {count} domains: {kib} KiB each, 4 KiB shared each, {} KiB the hypervisor's own",
        rest.unwrap_or(0)
    );
}

/// What a step took for each of many domains.
struct Took {
    count: usize,
    ns: u64,
    /// Time stamps for a domain at the beginning and at the end.
    ticks: (u64, u64),
}

impl core::fmt::Display for Took {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (first, last) = self.ticks;
        write!(
            f,
            "{} domains in {} ms, ticks for one: {first} at first, {last} at last",
            self.count,
            self.ns / 1_000_000
        )
    }
}

/// Does a step for each of `count` domains.
fn timed(count: usize, mut step: impl FnMut() -> Result<(), String>) -> Result<Took, String> {
    let begun = clock::monotonic_ns();
    let mut ticks = Vec::with_capacity(count);
    for _ in 0..count {
        // SAFETY: every processor that runs this has the instruction.
        let start = unsafe { _rdtsc() };
        step()?;
        // SAFETY: as above.
        ticks.push(unsafe { _rdtsc() }.wrapping_sub(start));
    }
    // The one in the middle: now and then the timer takes its share of one.
    let median = |part: &mut [u64]| {
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or(0)
    };
    let most = TIMED.min(count);
    let (mut first, mut last) = (ticks[..most].to_vec(), ticks[count - most..].to_vec());
    Ok(Took {
        count,
        ns: clock::monotonic_ns() - begun,
        ticks: (median(&mut first), median(&mut last)),
    })
}

/// Waits until each domain has printed what is wanted of it; gives how many did exactly that.
fn heard(crowd: &Crowd<'_>, wanted: impl Fn(usize) -> String) -> Result<usize, String> {
    let mut said: Vec<String> = crowd.ids().iter().map(|_| String::new()).collect();
    for round in 0..=PATIENCE_MS / STEP_MS {
        if round > 0 {
            clock::sleep_ms(STEP_MS);
        }
        let mut is_waiting = false;
        for (n, (id, said)) in crowd.ids().iter().zip(&mut said).enumerate() {
            let wanted = wanted(n);
            if said.len() < wanted.len() {
                *said += &domains::read(*id)?;
                is_waiting |= said.len() < wanted.len();
            }
        }
        if !is_waiting {
            break;
        }
    }
    let mut right = 0;
    for (n, said) in said.iter().enumerate() {
        let wanted = wanted(n);
        if *said == wanted {
            right += 1;
        } else if n < right + 3 {
            println!("crowd: domain {n} said {said:?} instead of {wanted:?}");
        }
    }
    Ok(right)
}

/// Raises an event at a new port of each domain, for some of them at a time, and waits for the one that comes back; gives how many
/// answered.
fn events(crowd: &Crowd<'_>) -> Result<usize, String> {
    let failed = |error: programs::Errno| error.to_string();
    let mut answers = 0;
    for part in crowd.ids().chunks(AT_ONCE) {
        // The ports close with it.
        let channels = Evtchn::open().map_err(failed)?;
        let bound: Result<Vec<u32>, _> = part.iter().map(|id| channels.bind_interdomain(*id, 0)).collect();
        let mut open = bound.map_err(failed)?;
        for port in &open {
            channels.notify(*port).map_err(failed)?;
        }
        while !open.is_empty() {
            for port in channels.wait().map_err(failed)? {
                let found = open.iter().position(|asked| *asked == port);
                open.swap_remove(found.ok_or("an event at a port that nobody was asked by")?);
                answers += 1;
            }
        }
    }
    Ok(answers)
}
