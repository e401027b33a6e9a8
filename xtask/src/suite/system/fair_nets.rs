//! Fair shares of a port: domains send all they can to the machine's network card, another one pings through it.
//!
//! The card's cable lets frames through only when the bridge's queue for the card is full, and never as many as wait there ([`crate::wire`]). So that port is never
//! idle while it is judged, on any machine. Judged are the order of frames on the cable, and what the bridge counts: bytes of others that left the port while a
//! frame waited. No verdict depends on a clock, but for a rate, which is bytes in a time: there Domain0's own clock counts.

use super::launched;
use super::session::{image, prepare};
use crate::check;
use crate::keyboard::{Keyboard, Step};
use crate::machine::Machine;
use crate::suite::{Outcome, Stop, Test, fixture};
use crate::wire::{Passed, STATION, Valve, Wire};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of others that a frame waits for at most: the bridge promises one frame of each other that sends there, which is the flooding domain; a second one where a
/// ping follows the one before at once.
const BOUND: u64 = 2 * 1514;
/// What frames have before them behind the bridge: the card's buffers, what the driver and QEMU have in the hand, and the socket's.
const BEHIND: usize = 64 + 2 + 4;
/// Frames that wait at a port.
const MOST_WAITING: u64 = 128;
/// Pings, one after the other.
const PINGS: u64 = 12;
/// Bytes in datagrams of the two that flood; frames are 42 longer.
const SIZES: [u64; 2] = [1472, 336];
/// Frames by which shares are judged.
const COUNTED: usize = 640;
/// A rate, and the bucket's depth: one interval of it is less than one frame.
const RATE: u64 = 20_000;

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![Test::new("system::a_flooded_port_is_shared_fairly", flooded_port)]
}

/// A domain, by its address.
const SINGLE: u8 = 1;
const LONG: u8 = 2;
const SHORT: u8 = 3;

fn archive(dir: &Path) -> Result<PathBuf, Stop> {
    let flood = |bytes: u64| format!("exec netload flood {STATION} {bytes}\n");
    let scripts = [
        ("long", flood(SIZES[0])),
        ("short", flood(SIZES[1])),
        (
            "single",
            format!("netload single {STATION} {PINGS}; echo done-$?\nexec sleep 100000\n"),
        ),
    ];
    launched::archive(dir, "fair.cpio", &scripts)
}

fn create(name: &str, address: u8) -> Step {
    Step::keys(format!(
        "create {name} --kernel mini-guest --initrd fair.cpio --memory 24M --show \
         --vif ip=10.0.9.{address}/24,mac=00:16:3e:77:00:0{address} --append \"-- /bin/sh /etc/{name}\"\n"
    ))
}

fn is_from(passed: &Passed, domain: u8) -> bool {
    passed.from == [0x00, 0x16, 0x3E, 0x77, 0, domain]
}

/// What was seen of the domain that pings.
#[derive(Clone, Debug)]
struct Seen {
    passed: Vec<Passed>,
    counted: Counted,
}

type Phases = Arc<Mutex<Vec<Seen>>>;

/// Until all pings have passed; lets frames through whenever the queue is full. Then the domain goes.
fn ping(valve: &Valve, seen: &Phases, is_flooded: bool) -> Vec<Step> {
    let (pinged, counts, seen) = (valve.clone(), valve.clone(), Arc::clone(seen));
    let refill = Refill {
        valve: valve.clone(),
        flooders: 1,
        frames: MOST_WAITING - 28,
        is_pinged: true,
        dropped: Mutex::default(),
    };
    let is_pinged = move |output: &str| {
        let count = pinged.look(|flow| flow.passed.iter().filter(|frame| frame.is_ping).count());
        if is_flooded {
            refill.look(output);
        }
        count as u64 >= PINGS || is_starved(&pinged)
    };
    let is_counted = move |output: &str| {
        let counted = output.lines().find_map(counted);
        let Some(counted) = counted.filter(|counted| counted.frames >= PINGS || is_starved(&counts)) else {
            return false;
        };
        let passed = counts.look(|flow| std::mem::take(&mut flow.passed));
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(Seen { passed, counted });
        true
    };
    let command = if is_flooded {
        "network-list --counters"
    } else {
        "sleep 1"
    };
    vec![
        Step::Until(command.into(), Box::new(is_pinged)),
        Step::Until("network-list --counters single".into(), Box::new(is_counted)),
        Step::keys("destroy single\n"),
    ]
}

/// Whether so many frames have passed that no ping is to be hoped for.
fn is_starved(valve: &Valve) -> bool {
    const MANY: usize = 2 * PINGS as usize * (BEHIND + MOST_WAITING as usize);
    valve.look(|flow| flow.passed.len() > MANY)
}

/// Lets some frames through when the queue is full: when each of those that flood has lost some since it did so last. If somebody pings, it does so only where
/// there is a ping on its way to the cable.
struct Refill {
    valve: Valve,
    flooders: usize,
    frames: u64,
    is_pinged: bool,
    dropped: Mutex<Vec<u64>>,
}

impl Refill {
    fn look(&self, listing: &str) {
        let (flooders, others): (Vec<Counted>, Vec<Counted>) = listing
            .lines()
            .filter_map(counted)
            .partition(|counted| counted.dropped > 0);
        let now: Vec<u64> = flooders.iter().map(|counted| counted.dropped).collect();
        let mut before = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let has_more = |(n, now): (usize, &u64)| before.get(n).is_none_or(|before| now > before);
        let is_full = now.len() == self.flooders && now.iter().enumerate().all(has_more);
        let sent: u64 = others.iter().map(|counted| counted.frames).sum();
        self.valve.look(|flow| {
            let arrived = flow.passed.iter().filter(|frame| is_from(frame, SINGLE)).count();
            if flow.may_pass == 0 && is_full && (!self.is_pinged || sent > arrived as u64) {
                *before = now;
                flow.may_pass = self.frames;
            }
        });
    }
}

fn flooded_port() -> Outcome {
    let name = "system::a_flooded_port_is_shared_fairly";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let archive = archive(dir.path())?;
    let mut machine = Machine::default();
    let wire = Wire::plug_in(&mut machine)?;
    let valve = wire.valve();
    let seen = Phases::default();
    let mut steps = vec![create("single", SINGLE)];
    steps.extend(ping(&valve, &seen, false));
    steps.push(create("long", LONG));
    let flooded = valve.clone();
    let is_flood = move |_: &str| {
        flooded.look(|flow| {
            let is_so = flow.passed.iter().filter(|frame| is_from(frame, LONG)).count() > 200;
            if is_so {
                flow.may_pass = 0;
                flow.stops_at_ping = true;
                flow.passed.clear();
            }
            is_so
        })
    };
    steps.push(Step::Until("sleep 1".into(), Box::new(is_flood)));
    steps.push(create("single", SINGLE));
    steps.extend(ping(&valve, &seen, true));
    // Its own address has to be found out first.
    steps.push(create("short", SHORT));
    let shared = valve.clone();
    let refill = Refill {
        valve: valve.clone(),
        flooders: 2,
        frames: 32,
        is_pinged: false,
        dropped: Mutex::default(),
    };
    let both = Arc::<Mutex<Vec<Passed>>>::default();
    let kept = Arc::clone(&both);
    let is_shared = move |output: &str| {
        refill.look(output);
        shared.look(|flow| {
            let begin = flow.passed.iter().position(|frame| is_flood_of(frame, SHORT));
            let counted = begin.and_then(|begin| flow.passed.get(begin + BEHIND..begin + BEHIND + COUNTED));
            let Some(counted) = counted else {
                // Before the second one knows whom to send to only the first one loses frames.
                if begin.is_none() && flow.may_pass == 0 {
                    flow.may_pass = 32;
                }
                return false;
            };
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = counted.to_vec();
            flow.may_pass = u64::MAX;
            true
        })
    };
    steps.push(Step::Until("network-list --counters".into(), Box::new(is_shared)));
    steps.push(Step::keys(format!(
        "destroy short\nnetwork-rate long {}KB/s\n",
        RATE / 1000
    )));
    const MEASURE: &str = "cat /proc/uptime; cat /proc/net/dev; sleep 3; cat /proc/net/dev; cat /proc/uptime";
    let tries = Arc::<Mutex<Vec<bool>>>::default();
    let tried = Arc::clone(&tries);
    let is_rated = move |output: &str| {
        let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.push(is_within_rate(output));
        tried.last() == Some(&true) || tried.len() == 5
    };
    // The first time it may not be known yet.
    steps.push(Step::Until(MEASURE.into(), Box::new(is_rated)));
    steps.push(Step::keys("destroy long\npoweroff\n"));
    let image = image("autostart=no", &archive)?;
    let keyboard = Keyboard::of_steps(steps);
    let record = fixture::boot(name, &machine, &image, keyboard, fixture::LIMIT * 5)?;
    wire.end()?;
    super::powered_off(&record)?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let both = both.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let table = judge(&seen, &both)?;
    let tries = tries.lock().unwrap_or_else(PoisonError::into_inner);
    check!(
        tries.last() == Some(&true),
        "more was sent than the rate allows\n{}",
        fixture::tail(&record.text)
    );
    println!("{name}:\n{table}");
    fixture::keep_log(name, &format!("{}\n{table}", record.text))
}

/// Whether that is a frame of a flood, and nothing else of that domain.
fn is_flood_of(passed: &Passed, domain: u8) -> bool {
    is_from(passed, domain) && SIZES.iter().any(|size| passed.bytes == size + 42)
}

/// What a domain has sent in a time by Domain0's clock, which was looked at before and behind that, is at most what its rate says and the bucket's depth.
fn is_within_rate(output: &str) -> bool {
    let times: Vec<f64> = output
        .lines()
        .filter(|line| !line.contains(':'))
        .filter_map(|line| {
            let (up, idle) = line.trim().split_once(' ')?;
            idle.trim().parse::<f64>().ok()?;
            up.parse().ok()
        })
        .collect();
    let sent: Vec<f64> = output
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("vif")?.split_once(':'))
        .filter_map(|(_, numbers)| numbers.split_whitespace().next()?.parse().ok())
        .collect();
    match (&times[..], &sent[..]) {
        ([begin, end], [before, after]) => {
            after > before && after - before <= (end - begin + 0.02) * RATE as f64 + 2.0 * 1514.0
        }
        _ => false,
    }
}

fn judge(seen: &[Seen], both: &[Passed]) -> Result<String, Stop> {
    let [alone, beside] = seen else {
        return Err(Stop::Fail(format!("{} phases", seen.len())));
    };
    let mut table = String::from(
        "beside | waits in the bridge, bytes of others at most | frames of others on the cable, at most\n",
    );
    for (what, seen, least, most) in [
        ("nobody", alone, 0, 0),
        ("a flood", beside, BEHIND / 2, BEHIND + 2),
    ] {
        let counted = seen.counted;
        let waits = waits(&seen.passed);
        let longest = waits.iter().copied().max().unwrap_or(0);
        table += &format!("{what} | {} | {longest} of {most}\n", counted.longest);
        check!(
            waits.len() as u64 + 1 == PINGS && (least..=most).contains(&longest),
            "beside {what} there were so many frames of others between two pings: {waits:?}"
        );
        check!(
            counted.dropped == 0 && counted.longest <= BOUND,
            "beside {what}: {counted:?}"
        );
    }
    check!(alone.counted.longest == 0, "there was somebody else: {alone:?}");
    let bytes_of = |domain: u8| {
        let its = both.iter().filter(|frame| is_from(frame, domain));
        its.map(|frame| frame.bytes).sum::<u64>()
    };
    let (long, short) = (bytes_of(LONG), bytes_of(SHORT));
    let share = long * 1000 / (long + short);
    table +=
        &format!("two floods, frames of 1514 and 378 bytes: {long} and {short} bytes, {share} of 1000\n");
    check!(share.abs_diff(500) <= 20, "{table}");
    Ok(table)
}

/// How many frames of others came through the cable between two pings.
fn waits(passed: &[Passed]) -> Vec<usize> {
    let mut waits = Vec::new();
    let mut others = None;
    for frame in passed {
        if frame.is_ping {
            waits.extend(others.replace(0));
        } else if let Some(others) = &mut others {
            *others += usize::from(!is_from(frame, SINGLE));
        }
    }
    waits
}

/// What the bridge has counted of a domain's port.
#[derive(Clone, Copy, Debug)]
struct Counted {
    frames: u64,
    dropped: u64,
    longest: u64,
}

/// Reads `N frames from it (… D dropped), …; … frames, L bytes of others at most, …`.
fn counted(line: &str) -> Option<Counted> {
    let before =
        |text: &str| -> Option<u64> { line.split_once(text)?.0.rsplit([' ', '(']).next()?.parse().ok() };
    Some(Counted {
        frames: before(" frames from it (")?,
        dropped: before(" dropped), ")?,
        longest: before(" bytes of others at most")?,
    })
}
