//! Fair shares: one domain floods a disk, another one asks for one thing after the other.
//!
//! The disk is the launcher's own and answers when the machine has nothing else to do ([`crate::quiet`]). So it is the slowest part of
//! any machine, and who waits for whom is the order in which it is asked. No verdict depends on a clock. A disk of memory has no such order; there the backend's
//! counters are judged.

use super::fair_disk::{self, Flow, PLACE, PLACES, WINDOW, archive, create};
use crate::check;
use crate::keyboard::Step;
use crate::quiet::disk::Answered;
use crate::suite::{Outcome, Stop, Test, fixture};
use std::sync::{Arc, Mutex, PoisonError};

/// What `mini-guest/src/block/fair.rs` promises of any disk: a window of work, and one request of each other user, which are the flooding domain and Domain0.
const BOUND: u64 = WINDOW + 2 * 264;
/// The test's partitions: the one that is flooded, and the other.
const FLOODED: usize = 0;
const OTHER: usize = 2;
/// Weights of who floods and of who asks for one thing after the other.
const WEIGHTS: [(u64, u64); 3] = [(100, 100), (300, 100), (100, 300)];

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![Test::new("system::a_flooded_disk_is_shared_fairly", flooded_disk)]
}

/// What was seen of the domain that asks for one thing after the other.
#[derive(Clone, Debug)]
struct Seen {
    /// What the disk did meanwhile; nothing of a disk of memory.
    disk: Vec<Answered>,
    counted: Counted,
}

/// Until it has read all it wants to; then it goes.
fn read_all(flow: &Flow, seen: &Arc<Mutex<Vec<Seen>>>, is_memory: bool) -> Vec<Step> {
    let (looked, record, seen) = (flow.record(), flow.record(), Arc::clone(seen));
    let is_read = move |_: &str| is_memory || looked.look(|log| is_over(log));
    let is_counted = move |output: &str| {
        let counted = output.lines().find_map(counted);
        let is_done = counted.is_some_and(|counted| counted.requests >= PLACES);
        // Without its disk it may be gone.
        let is_lost =
            !is_memory && record.look(|log| is_starved(log)) || output.contains("there is no domain");
        if !is_done && !is_lost {
            return false;
        }
        let counted = counted.unwrap_or_default();
        let disk = record.look(std::mem::take);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(Seen { disk, counted });
        true
    };
    vec![
        Step::Until("sleep 1".into(), Box::new(is_read)),
        Step::Until("block-list --counters single".into(), Box::new(is_counted)),
        Step::keys("destroy single\n"),
    ]
}

/// Whether it has read all that it wants to, or there is no hope for it.
fn is_over(log: &[Answered]) -> bool {
    let mut read = log.iter();
    read.any(|answered| Flow::is_place(answered, OTHER, PLACES - 1)) || is_starved(log)
}

/// Whether it has had nothing for so long that it waits in vain.
fn is_starved(log: &[Answered]) -> bool {
    match log.iter().rposition(|answered| fair_disk::is_of(answered, OTHER)) {
        Some(last) => log.len() - last > 2000,
        // It may still be on its way.
        None => log.len() > 10_000,
    }
}

/// Until the backend has had so many requests of the flood in memory.
fn memory_flood() -> Step {
    let is_flood = |output: &str| {
        let mut lines = output.lines().filter_map(counted);
        lines.any(|counted| counted.requests > 200)
    };
    Step::Until("block-list --counters flood".into(), Box::new(is_flood))
}

fn flooded_disk() -> Outcome {
    let name = "system::a_flooded_disk_is_shared_fairly";
    let dir = tempfile::tempdir()?;
    let archive = archive(dir.path())?;
    let flow = Flow::start(dir.path())?;
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let single = |weight: u64| Step::keys(create("single", &format!("vda3,xvda,r,weight={weight}")));
    let mut steps = vec![single(100)];
    steps.extend(read_all(&flow, &seen, false));
    steps.push(Step::keys(create("flood", "vda1,xvda,r")));
    steps.push(flow.until_answered(FLOODED, 64));
    for (flood, other) in WEIGHTS {
        steps.push(Step::keys(format!("block-sched flood xvda {flood}\n")));
        steps.push(single(other));
        if (flood, other) == (100, 300) {
            steps.push(Step::keys(
                "block-sched\nblock-sched flood 0\nblock-sched flood xvdc 7\nblock-sched flood xvda 1001\n",
            ));
        }
        steps.extend(read_all(&flow, &seen, false));
    }
    // The same on a disk of memory, which several may read.
    let memory = || Step::keys(create("single", "ram0:64,xvda,r"));
    steps.extend([Step::keys("destroy flood\n"), memory()]);
    steps.extend(read_all(&flow, &seen, true));
    steps.extend([
        Step::keys(create("flood", "ram0:64,xvda,r")),
        memory_flood(),
        memory(),
    ]);
    steps.extend(read_all(&flow, &seen, true));
    steps.push(Step::keys(
        "block-list --counters flood\ndestroy flood\npoweroff\n",
    ));
    let text = flow.attend(name, &archive, steps)?;
    refuses(&text)?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let [alone, beside @ .., memory_alone, memory] = &seen[..] else {
        return Err(Stop::Fail(format!("{} phases", seen.len())));
    };
    let mut table = String::from(
        "weights, flood : other | waits | longest | mean | promised | other's requests per 1000 sectors\n",
    );
    let quiet = waits("none", &alone.disk, &mut table, 0)?;
    check!(quiet.longest == 0, "there was nobody else\n{table}");
    let mut means = Vec::new();
    for ((flood, other), seen) in WEIGHTS.into_iter().zip(beside) {
        let promised = promised(flood, other);
        let waits = waits(&format!("{flood} : {other}"), &seen.disk, &mut table, promised)?;
        // All that the flood may have of the disk it has had, or there was none.
        check!(
            (promised / 2..=promised).contains(&waits.mean) && waits.longest <= promised,
            "beside {flood} : {other} the other's requests waited for {waits:?} sectors, and {promised} are promised\n{table}"
        );
        means.push(waits.mean);
    }
    check!(
        matches!(means[..], [even, less, more] if more < even && even < less),
        "weights do not show: {means:?}\n{table}"
    );
    for Seen { counted, .. } in beside.iter().chain([memory]) {
        check!(
            counted.longest <= BOUND,
            "a backend saw it wait for more than {BOUND}: {counted:?}"
        );
    }
    for Seen { counted, .. } in [alone, memory_alone] {
        check!(counted.longest == 0, "there was nobody else: {counted:?}");
    }
    let flood = text.lines().filter_map(counted).next_back();
    check!(
        flood.is_some_and(|flood| flood.bytes > 4 * memory.counted.bytes),
        "{flood:?} is no flood of memory beside {memory:?}"
    );
    let memory = memory.counted.longest;
    table += &format!("memory, beside a flood: {memory} sectors of others at most\n");
    println!("{name}:\n{table}");
    fixture::keep_log(name, &format!("{text}\n{table}"))
}

/// For how many sectors of the flood a request waits at most: for what of the window is not kept for it, in whole requests, and for one more.
fn promised(flood: u64, other: u64) -> u64 {
    let kept = (WINDOW * other / (flood + other)).min(WINDOW * 3 / 4);
    let requests = (WINDOW - kept) / (PLACE + 8);
    (requests + 1) * PLACE
}

/// How long requests have waited, in sectors of others.
#[derive(Debug)]
struct Waits {
    longest: u64,
    mean: u64,
}

/// Each request is submitted when the one before has its answer, and before the disk answers anything else.
fn waits(what: &str, disk: &[Answered], table: &mut String, promised: u64) -> Result<Waits, Stop> {
    let Some(begin) = disk
        .iter()
        .position(|answered| Flow::is_place(answered, OTHER, 1))
    else {
        return Err(Stop::Fail(format!("{what}: the second place was not read")));
    };
    let waits = fair_disk::waits(&disk[begin..], OTHER);
    // The first two places have no part in that.
    check!(waits.len() as u64 >= PLACES - 2, "{what}: {} waits", waits.len());
    let (sum, count) = (waits.iter().sum::<u64>(), waits.len() as u64);
    let longest = waits.iter().copied().max().unwrap_or(0);
    let mean = sum / count;
    let rate = 1000.0 * count as f64 / (sum + count * PLACE) as f64;
    *table += &format!("{what} | {count} | {longest} | {mean} | {promised} | {rate:.1}\n");
    Ok(Waits { longest, mean })
}

/// What is no weight is refused, and what is one is shown.
fn refuses(text: &str) -> Outcome {
    let seen = fixture::tail(text);
    for refusal in [
        "block-sched: `0` is no weight: a number from 1 to 1000 is",
        "block-sched: there is no such disk",
        "block-sched: `1001` is no weight",
    ] {
        check!(text.contains(refusal), "no {refusal:?} in\n{seen}");
    }
    let weights: Vec<u64> = text
        .lines()
        .filter(|line| line.contains(" 51712 "))
        .filter_map(|line| line.split_whitespace().nth(3)?.parse().ok())
        .collect();
    check!(weights == [100, 300], "weights {weights:?}\n{seen}");
    Ok(())
}

/// What a backend has counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    requests: u64,
    bytes: u64,
    longest: u64,
}

/// Reads `N requests (…), … M bytes (…), … waited for L sectors of others at most, …`.
fn counted(line: &str) -> Option<Counted> {
    let before =
        |text: &str| -> Option<u64> { line.split_once(text)?.0.rsplit([' ', '(']).next()?.parse().ok() };
    Some(Counted {
        requests: before(" requests (")?,
        bytes: before(" bytes (")?,
        longest: before(" sectors of others at most")?,
    })
}
