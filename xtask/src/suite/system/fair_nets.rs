//! Fair shares of a port: one domain sends another one all it can, a third one pings that. Judged by what the bridge counts: bytes of others that left
//! the port while a frame waited. No verdict depends on a clock.

use super::launched;
use super::session::{PROMPT, prepare};
use crate::check;
use crate::suite::{Outcome, Stop, Test, fixture};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of others that a frame waits for at most: the bridge promises one frame of each other that sends there, which is the flooding domain; a second one where a
/// ping follows the one before at once.
const BOUND: u64 = 2 * 1514;
/// Pings, one after the other.
const PINGS: u64 = 200;
/// How many of them have an answer at least, beside a flood.
const MOST_PINGS: u64 = 180;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    vec![Test::new("system::a_flooded_port_is_shared_fairly", move || {
        flooded_port(&launcher)
    })]
}

fn archive(dir: &Path) -> Result<PathBuf, Stop> {
    let scripts = [
        ("other", "exec sleep 100000\n".into()),
        ("flood", "exec netload flood 10.0.9.3\n".into()),
        (
            "single",
            format!("netload single 10.0.9.3 {PINGS}; echo done-$?\nexec sleep 1000\n"),
        ),
    ];
    launched::archive(dir, "fair.cpio", &scripts)
}

fn create(name: &str, address: u8) -> String {
    format!(
        "create {name} --kernel mini-guest --initrd fair.cpio --memory 24M --show --vif ip=10.0.9.{address}/24 \
         --append \"-- /bin/sh /etc/{name}\"\n"
    )
}

fn flooded_port(launcher: &Path) -> Outcome {
    let name = "system::a_flooded_port_is_shared_fairly";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let archive = archive(dir.path())?;
    let show = "network-list --counters single\ndestroy single\n";
    let single = create("single", 1);
    let done = "single: done-";
    let keys: [(&str, String); 6] = [
        (PROMPT, create("other", 3) + &single),
        (done, format!("{show}{}", create("flood", 2))),
        ("flood: netload: 1000 datagrams", single.clone()),
        (done, format!("{show}network-rate flood 100KB/s\n{single}")),
        (
            done,
            format!("{show}network-list --counters flood\ndestroy flood\necho all-$?\n"),
        ),
        ("all-0", "poweroff\n".into()),
    ];
    let steps: Vec<(&str, &[u8])> = keys.iter().map(|(seen, keys)| (*seen, keys.as_bytes())).collect();
    let finished = launched::boot(name, launcher, &[], &[&archive], &steps)?;
    let seen = fixture::tail(&finished.output);
    let counted: Vec<Counted> = finished.output.lines().filter_map(counted).collect();
    let answers: Vec<u64> = finished.output.lines().filter_map(answers).collect();
    // The flooded domain may lose an answer of its own among those to the flood. Who is asked by nobody else does not.
    check!(
        matches!(answers[..], [PINGS, beside, rated] if beside >= MOST_PINGS && rated >= MOST_PINGS),
        "{answers:?} pings were answered\n{seen}"
    );
    let [alone, beside, rated, flood] = counted[..] else {
        return Err(Stop::Fail(format!("{} lines of counters\n{seen}", counted.len())));
    };
    for one in [alone, beside, rated] {
        check!(
            one.frames >= PINGS && one.dropped == 0,
            "a ping did not pass the bridge: {one:?}\n{seen}"
        );
        check!(
            one.longest <= BOUND,
            "waited for more than {BOUND} bytes: {one:?}\n{seen}"
        );
    }
    check!(alone.longest == 0, "there was somebody else: {alone:?}\n{seen}");
    check!(flood.frames > 1000, "that is no flood: {flood:?}\n{seen}");
    Ok(())
}

/// What the bridge has counted of a domain's port.
#[derive(Clone, Copy, Debug)]
struct Counted {
    frames: u64,
    dropped: u64,
    longest: u64,
}

/// Reads `netload: N answers to …`.
fn answers(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("netload: ")?;
    rest.split_once(" answers to ")?.0.parse().ok()
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
