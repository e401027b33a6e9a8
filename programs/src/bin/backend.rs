//! `backend`: what `/dev/xen/evtchn` and `/dev/xen/consoles` promise, tried with Domain0 itself in the place of the other
//! domain: this program has the ring's other end, and raises the event channel's.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::domctl::{CPU_ANY, CreateDomain, DestroyDomain, Personality, PhysInfo};
use guest_abi::event_channel::{EvtchnOp, Send, Virq};
use guest_abi::hypercall::CallNumber;
use guest_abi::io::byte_ring::ByteRing;
use guest_abi::io::console::{IN_BYTES, IN_CONS, IN_PROD, OUT_BYTES, OUT_CONS, OUT_PROD};
use guest_abi::memory::{MemoryCmd, pack};
use programs::abi::{F_SETFL, O_NONBLOCK, O_RDWR};
use programs::args::Args;
use programs::check::Checks;
use programs::errno::{Errno, Result};
use programs::file::{self, File, read_some};
use programs::io::write_all;
use programs::process::{self, Ended};
use programs::xen::{Consoles, Evtchn, ForeignMap, Privcmd, consoles, privcmd};
use programs::{clock, eprintln, sys};

programs::program!(main);

/// What a console that nobody reads keeps.
const KEPT: usize = 16 * 1024;

fn main(_args: &Args) -> i32 {
    let mut checks = Checks::new("backend");
    match Evtchn::open() {
        Ok(channels) => events(&mut checks, &channels),
        Err(error) => {
            eprintln!("backend: {error}: only Domain0 has the devices");
            return 2;
        }
    }
    if let Err(error) = domain_consoles(&mut checks) {
        checks.that(format_args!("consoles: {error}"), false);
    }
    checks.finish()
}

fn events(checks: &mut Checks, channels: &Evtchn) {
    let pair = channels
        .alloc_unbound(DomId::SELF)
        .and_then(|theirs| Ok((channels.bind_interdomain(DomId::DOM0, theirs)?, theirs)));
    let Ok((ours, theirs)) = pair else {
        return checks.equal("two ports are connected", pair, Ok((1, 2)));
    };
    let fired = |times: u32| -> Result<Vec<u32>> {
        for _ in 0..times {
            channels.notify(ours)?;
        }
        channels.wait()
    };
    checks.equal("a port fires", fired(1), Ok(vec![theirs]));
    let later = process::run(|| {
        clock::sleep_ms(30);
        0
    });
    // Masked until it is written back; then what came meanwhile is reported once.
    let again = channels
        .notify(ours)
        .and_then(|()| sys::fcntl(channels.descriptor(), F_SETFL, O_NONBLOCK))
        .and_then(|_| channels.wait());
    checks.equal(
        "and again only after it was unmasked",
        (later, again),
        (Ok(Ended::Exited(0)), Err(Errno::EAGAIN)),
    );
    let unmasked = channels.unmask(theirs).and_then(|()| channels.wait());
    checks.equal("with what came meanwhile", unmasked, Ok(vec![theirs]));
    let many = channels.unmask(theirs).and_then(|()| fired(1000));
    checks.equal("many events are one", many, Ok(vec![theirs]));
    checks.equal(
        "a port of others is refused",
        (channels.notify(1000), channels.unbind(1000)),
        (Err(Errno::EINVAL), Err(Errno::EINVAL)),
    );
    checks.equal(
        "so is the kernel's timer",
        channels.bind_virq(Virq::TIMER),
        Err(Errno::EBUSY),
    );
    let both = Evtchn::open()
        .and_then(|other| Ok(other.bind_virq(Virq::DOM_EXC)? == channels.bind_virq(Virq::DOM_EXC)?));
    checks.equal("two files have one virtual interrupt", both, Ok(true));
    let closed = channels.unbind(theirs).and_then(|()| channels.notify(ours));
    checks.equal("a port without its peer says so", closed, Err(Errno::EINVAL));
}

/// The domain's side of a console.
struct Domain {
    privcmd: Privcmd,
    ring: ForeignMap,
    frame: Mfn,
    port: u32,
}

impl Domain {
    fn new() -> Result<Self> {
        let privcmd = Privcmd::open()?;
        let mut frame = [Mfn::new(0)];
        privcmd::lock(&mut frame)?;
        let list = frame.as_mut_ptr() as u32;
        let arguments = [
            pack(MemoryCmd::INCREASE_RESERVATION, 0),
            list,
            1,
            0,
            DomId::SELF.raw().into(),
        ];
        // SAFETY: the list is ours, locked, and one word long.
        unsafe { privcmd.hypercall(CallNumber::DOM_MEM_OP, arguments) }?;
        let mut ring = privcmd.map_foreign(DomId::SELF, &frame, true)?;
        ring.zero(0, ring.len());
        Ok(Self {
            privcmd,
            ring,
            frame: frame[0],
            port: 0,
        })
    }

    /// Gives the frame back; only one that nobody maps goes.
    fn end(self) -> Result<u32> {
        let Self {
            privcmd, ring, frame, ..
        } = self;
        drop(ring);
        let mut frame = [frame];
        privcmd::lock(&mut frame)?;
        let list = frame.as_mut_ptr() as u32;
        let arguments = [
            pack(MemoryCmd::DECREASE_RESERVATION, 0),
            list,
            1,
            0,
            DomId::SELF.raw().into(),
        ];
        // SAFETY: the list is only read; nobody here maps the frame any more.
        unsafe { privcmd.hypercall(CallNumber::DOM_MEM_OP, arguments) }
    }

    fn output(&self) -> ByteRing<'_> {
        ByteRing::new(self.ring.word(OUT_PROD), self.ring.word(OUT_CONS), OUT_BYTES)
    }

    fn input(&self) -> ByteRing<'_> {
        ByteRing::new(self.ring.word(IN_PROD), self.ring.word(IN_CONS), IN_BYTES)
    }

    fn notify(&self) -> Result<()> {
        let mut op = EvtchnOp::new(&Send {
            local_port: self.port,
        });
        privcmd::lock(&mut op)?;
        // SAFETY: the block is ours and locked.
        unsafe {
            self.privcmd
                .hypercall(CallNumber::EVENT_CHANNEL_OP, [&raw mut op as u32, 0, 0, 0, 0])
        }
        .map(drop)
    }

    /// Prints as much as there is room for.
    fn print(&mut self, text: &[u8]) -> Result<usize> {
        let mut done = 0;
        while done < text.len() {
            let place = self.output().writable().map_err(|_| Errno::EIO)?;
            let part = &text[done..text.len().min(done + place.len())];
            if part.is_empty() {
                break;
            }
            self.ring.write(IN_BYTES + place.start, part);
            self.output().produce(part.len());
            done += part.len();
        }
        self.notify().map(|()| done)
    }

    fn typed(&self) -> Result<Vec<u8>> {
        let place = self.input().readable().map_err(|_| Errno::EIO)?;
        let mut text = vec![0; place.len()];
        self.ring.read(place.start, &mut text);
        self.input().consume(text.len());
        self.notify().map(|()| text)
    }
}

fn read(console: &File) -> Result<Vec<u8>> {
    let mut text = vec![0; 2 * KEPT];
    let count = read_some(console.descriptor(), &mut text)?;
    text.truncate(count);
    Ok(text)
}

/// Reads until there are `count` bytes.
fn read_all(console: &File, count: usize) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < count {
        text.extend(read(console)?);
    }
    Ok(text)
}

/// What the list says about a console's bytes: how many wait, how many were lost.
fn counts() -> Result<(u32, u32)> {
    let list = file::read_file(consoles::PATH)?;
    let mut words = list.split(|byte| byte.is_ascii_whitespace()).skip(3);
    let mut number = || {
        let word = words.next().ok_or(Errno::ENOENT)?;
        Ok(word
            .iter()
            .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
    };
    Ok((number()?, number()?))
}

fn domain_consoles(checks: &mut Checks) -> Result<()> {
    let list = Consoles::open()?;
    let mut domain = Domain::new()?;
    domain.port = list.attach(DomId::DOM0, (domain.frame, 0), b"mirror", false)?;
    checks.equal("a console has a port", domain.port > 0, true);

    // Nobody reads: the domain never waits, and the newest is kept.
    let mut printed = 0;
    for round in 0..12_u8 {
        printed += domain.print(&[b'a' + round; 2000])?;
    }
    checks.equal("a domain that nobody listens to need not wait", printed, 24_000);
    checks.equal(
        "the newest bytes are kept",
        counts(),
        Ok((KEPT as u32, 24_000 - KEPT as u32)),
    );
    let console = consoles::open(DomId::DOM0)?;
    let text = read_all(&console, KEPT)?;
    let is_newest = text.len() == KEPT && text.ends_with(&[b'l'; 2000]) && !text.contains(&b'c');
    checks.that("and read when somebody listens", is_newest);
    checks.equal(
        "by one at a time",
        consoles::open(DomId::DOM0).err(),
        Some(Errno::EBUSY),
    );

    // Somebody could read: now the domain waits.
    let mut printed = 0;
    for _ in 0..12 {
        printed += domain.print(&[b'x'; 2000])?;
    }
    checks.equal("then the domain has to wait", printed, KEPT + OUT_BYTES);
    let received = read_all(&console, printed)?.len();
    checks.equal(
        "and nothing is lost",
        (received, domain.output().is_empty()),
        (printed, Ok(true)),
    );

    write_all(console.descriptor(), b"hello")?;
    checks.equal("what is typed arrives", domain.typed(), Ok(b"hello".to_vec()));
    let typing = process::spawn(|| i32::from(write_all(console.descriptor(), &[b'k'; 3000]).is_err()))?;
    // A child has no mapping of the ring: this side is emptied here.
    let mut arrived = 0;
    while arrived < 3000 {
        clock::sleep_ms(5);
        arrived += domain.typed()?.len();
    }
    let (_, ended) = process::wait_for(typing)?;
    checks.equal(
        "more than the ring holds too",
        (arrived, ended),
        (3000, Ended::Exited(0)),
    );

    domain.print(b"last words")?;
    list.detach(DomId::DOM0)?;
    checks.equal(
        "the last words are read",
        read(&console),
        Ok(b"last words".to_vec()),
    );
    checks.equal("then comes the end", read(&console), Ok(Vec::new()));
    drop(console);
    checks.equal(
        "and the console is gone",
        consoles::open(DomId::DOM0).err(),
        Some(Errno::ENOENT),
    );
    checks.equal(
        "detaching twice is refused",
        list.detach(DomId::DOM0),
        Err(Errno::ESRCH),
    );

    shown(checks, &list, &mut domain)?;
    nonsense(checks, &list, &mut domain)?;
    checks.equal("the frame is free", domain.end(), Ok(1));
    destroyed(checks, &list)
}

/// A domain is destroyed, and nobody lets go of its console but the kernel, which is told of the end.
fn destroyed(checks: &mut Checks, list: &Consoles) -> Result<()> {
    let privcmd = Privcmd::open()?;
    let free = || {
        privcmd
            .control(&PhysInfo::default())
            .map(|physical| physical.free_pages)
    };
    let before = free()?;
    let created = privcmd.control(&CreateDomain {
        memory_kb: 64,
        cpu: CPU_ANY,
        domain: DomId::DOM0,
        personality: Personality::V2,
    })?;
    let mut frame = [0];
    privcmd.memory_list(created.domain, 0, &mut frame)?;
    list.attach(created.domain, (Mfn::new(frame[0]), 0), b"mortal", false)?;
    checks.equal("its console is listed", counts(), Ok((0, 0)));
    privcmd.control(&DestroyDomain {
        domain: created.domain,
        pad: 0,
    })?;
    let mut left = file::read_file(consoles::PATH)?;
    for _ in 0..200 {
        if left.is_empty() {
            break;
        }
        clock::sleep_ms(5);
        left = file::read_file(consoles::PATH)?;
    }
    checks.that("a destroyed domain's console is let go of", left.is_empty());
    checks.equal("and so is its memory", free(), Ok(before));
    Ok(())
}

/// Lines on the terminal: the launcher's test looks for them.
fn shown(checks: &mut Checks, list: &Consoles, domain: &mut Domain) -> Result<()> {
    domain.port = list.attach(DomId::DOM0, (domain.frame, 0), b"mirror", true)?;
    domain.print(b"first line\r\nsecond \x1b[31mline\nthe rest")?;
    list.set(DomId::DOM0, b"glass", true)?;
    list.detach(DomId::DOM0)?;
    clock::sleep_ms(20);
    let empty = file::read_file(consoles::PATH)?;
    checks.that("what was shown is not kept", empty.is_empty());
    let missing = list.attach(DomId::new(4711), (domain.frame, 0), b"", true);
    checks.that("a domain that there is not has no console", missing.is_err());
    Ok(())
}

fn nonsense(checks: &mut Checks, list: &Consoles, domain: &mut Domain) -> Result<()> {
    domain.port = list.attach(DomId::DOM0, (domain.frame, 0), b"liar", true)?;
    let console = consoles::open(DomId::DOM0)?;
    domain
        .ring
        .word(OUT_PROD)
        .store(0x7777_7777, core::sync::atomic::Ordering::SeqCst);
    domain.notify()?;
    checks.equal("a ring that lies is cut off", read(&console), Ok(Vec::new()));
    drop(console);
    let closed = sys::open(b"/dev/xen/console/0", O_RDWR, 0);
    checks.equal("for good", closed, Err(Errno::ENOENT));
    Ok(())
}
