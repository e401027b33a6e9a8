//! `starve`: the machine's memory ends at every frame that the creation of a domain takes. Each time the error must say so,
//! and everything must be as before, to the frame; with one frame more the creation succeeds.
//!
//! A domain that is never built takes all memory but a few frames, and then one frame after the other.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "../xl/host.rs"]
mod host;
#[path = "../crowd/machine.rs"]
mod machine;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use guest_abi::domctl::{CPU_ANY, CreateDomain, Personality, SetDomainInitialMem};
use programs::args::Args;
use programs::check::Checks;
use programs::xen::Evtchn;
use programs::{eprintln, file};
use xen_tools::builder::{self, Built, Failure, Request, Step};
use xen_tools::errno::Errno;
use xen_tools::privileged::Privileged;

use crate::host::Host;
use crate::machine::{Machine, NEAR_PORTS};

programs::program!(main);

/// The kernel of the domain that is made.
const KERNEL: &str = "/boot/mini-guest-small";
/// Its memory in pages.
const PAGES: u32 = 64;
/// What a domain takes beside: its record and its shared page.
const BESIDE: u32 = 2;
/// Frames more than a creation takes, to begin with.
const SPARE: u32 = 3;

fn main(_args: &Args) -> i32 {
    let mut checks = Checks::new("starve");
    match run(&mut checks) {
        Ok(()) => checks.finish(),
        Err(message) => {
            eprintln!("starve: {message}");
            1
        }
    }
}

fn run(checks: &mut Checks) -> Result<(), String> {
    let host = Host::open()?;
    let kernel = file::read_file(KERNEL.as_bytes()).map_err(|error| format!("{KERNEL}: {error}"))?;
    let before = Machine::look(&host)?;
    ports(checks, &host, &kernel)?;
    let grown = Machine::look(&host)?;
    checks.that(
        "Domain0's table of ports took at most one frame",
        before.free - grown.free <= 1,
    );

    let mut filler = Filler::leave(&host, PAGES + BESIDE + SPARE)?;
    let (mut made, mut refused, mut wrong) = (0, 0, Vec::new());
    loop {
        let there = Machine::look(&host)?;
        match create(&host, &kernel) {
            Ok(built) if there.free >= PAGES + BESIDE => {
                made += 1;
                let taken = there.free - Machine::look(&host)?.free;
                if taken != PAGES + BESIDE {
                    wrong.push(format!("{taken} frames were taken"));
                }
                end(&host, built)?;
            }
            Err(Failure::NoMemory {
                wanted_kib,
                free_kib: Some(free),
            }) if there.free < PAGES + BESIDE
                && (wanted_kib, free) == (u64::from(PAGES * 4), u64::from(there.free * 4)) =>
            {
                refused += 1;
            }
            Ok(built) => {
                wrong.push(format!("made with {} frames", there.free));
                end(&host, built)?;
            }
            Err(failure) => wrong.push(format!("with {} frames: {failure}", there.free)),
        }
        let left = Machine::look(&host)?;
        if left != there {
            wrong.push(format!("{there:?} became {left:?}"));
        }
        if there.free == 0 {
            break;
        }
        filler.grow()?;
    }
    checks.equal("nothing is wrong at any frame", wrong, Vec::new());
    checks.equal("refused at each that is missing", refused, PAGES + BESIDE);
    checks.equal("made where all are there", made, SPARE + 1);
    filler.end()?;
    checks.equal("in the end all is as before", Machine::look(&host)?, grown);
    Ok(())
}

/// The frame for more ports of Domain0's own is missing, when all else is made.
fn ports(checks: &mut Checks, host: &Host, kernel: &[u8]) -> Result<(), String> {
    let Some(ports) = take_near_ports().map_err(|error| format!("ports: {error}"))? else {
        checks.skip("no frame for Domain0's port", "its table has grown already");
        return Ok(());
    };
    let mut filler = Filler::leave(host, PAGES + BESIDE)?;
    let there = Machine::look(host)?;
    let failure = create(host, kernel).map(|_| ());
    checks.equal(
        "no frame for Domain0's port",
        failure,
        Err(Failure::Refused(Step::Console, Errno::ENOMEM)),
    );
    checks.equal("and all is as before", Machine::look(host)?, there);
    filler.end()?;
    let mut filler = Filler::leave(host, PAGES + BESIDE + 1)?;
    let built = create(host, kernel);
    checks.equal("one frame more does it", built.as_ref().err(), None);
    checks.equal("and is the last one", Machine::look(host)?.free, 0);
    if let Ok(built) = built {
        end(host, built)?;
    }
    filler.end()?;
    drop(ports);
    Ok(())
}

fn create(host: &Host, kernel: &[u8]) -> Result<Built, Failure> {
    builder::build(
        host,
        &Request {
            name: "starved",
            kernel,
            ramdisk: &[],
            command_line: "",
            memory_kib: u64::from(PAGES) * 4,
            limit_kib: u64::from(PAGES) * 4,
            weight: None,
            console_show: false,
            has_store: true,
        },
    )
}

fn end(host: &Host, built: Built) -> Result<(), String> {
    host.detach_console(built.id)
        .and_then(|()| host.release(built.id))
        .and_then(|()| builder::destroy(host, built.id))
        .map_err(|error| format!("destroying the domain: {error}"))
}

/// A domain that is only there to own memory.
struct Filler<'a> {
    host: &'a Host,
    id: DomId,
    pages: u64,
}

impl<'a> Filler<'a> {
    /// One that leaves so many frames free.
    fn leave(host: &'a Host, frames: u32) -> Result<Self, String> {
        let free = Machine::look(host)?.free;
        let pages = u64::from(free - BESIDE - frames);
        let created = host.control(&CreateDomain {
            memory_kb: pages * 4,
            cpu: CPU_ANY,
            domain: DomId::DOM0,
            personality: Personality::V2,
        });
        let id = created
            .map_err(|error| format!("filling memory: {error}"))?
            .domain;
        Ok(Self { host, id, pages })
    }

    /// Takes one frame more.
    fn grow(&mut self) -> Result<(), String> {
        self.pages += 1;
        let memory = SetDomainInitialMem {
            domain: self.id,
            initial_memkb: self.pages * 4,
            ..SetDomainInitialMem::default()
        };
        let grown = self.host.privcmd.control(&memory);
        grown
            .map(drop)
            .map_err(|error| format!("taking one more frame: {error}"))
    }

    fn end(&mut self) -> Result<(), String> {
        builder::destroy(self.host, self.id).map_err(|error| format!("freeing memory: {error}"))
    }
}

/// Takes ports of this domain until no more than the near ones are left, so that the next one needs a frame; they are given back
/// when the result is dropped. `None` where there are so many ports already.
///
/// # Errors
/// What the kernel answers.
fn take_near_ports() -> programs::errno::Result<Option<Evtchn>> {
    let ports = Evtchn::open()?;
    loop {
        let port = ports.alloc_unbound(DomId::SELF)?;
        if port >= NEAR_PORTS - 1 {
            return Ok(Some(ports).filter(|_| port == NEAR_PORTS - 1));
        }
    }
}
