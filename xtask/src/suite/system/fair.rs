//! Fair shares: one domain floods a disk, another one asks for one thing after the other. Judged by what the backend counts: sectors that the disk did for others
//! while a request waited. No verdict depends on a clock.

use super::disks::{SECTOR, table};
use super::launched;
use super::session::{PROMPT, prepare};
use crate::check;
use crate::suite::{Outcome, Stop, Test, fixture};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The disk's partitions: first sector and sectors.
const PARTS: [(u64, u64); 2] = [(2048, 131_072), (133_120, 131_072)];
/// What `mini-guest/src/block/fair.rs` promises: a window of work, and one request of each other user, which are the flooding domain and Domain0.
const BOUND: u64 = 1088 + 2 * 264;
/// Requests of the domain that asks for one thing after the other.
const PLACES: u64 = 100;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    vec![Test::new("system::a_flooded_disk_is_shared_fairly", move || {
        flooded_disk(&launcher)
    })]
}

fn archive(dir: &Path) -> Result<PathBuf, Stop> {
    let scripts = [
        ("flood", "exec diskload flood /dev/xvda 32\n".into()),
        (
            "single",
            format!("diskload single /dev/xvda {PLACES}; echo done-$?\nexec sleep 1000\n"),
        ),
    ];
    launched::archive(dir, "fair.cpio", &scripts)
}

fn create(name: &str, disk: &str) -> String {
    format!(
        "create {name} --kernel mini-guest --initrd fair.cpio --memory 24M --show --disk {disk} \
         --append \"-- /bin/sh /etc/{name}\"\n"
    )
}

/// Shows what was counted, and makes room for the next one.
const SHOW: &str = "block-list --counters single\ndestroy single\n";

fn flooded_disk(launcher: &Path) -> Outcome {
    let name = "system::a_flooded_disk_is_shared_fairly";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let (disk, archive) = (dir.path().join("disk"), archive(dir.path())?);
    let mut file = File::create(&disk)?;
    file.set_len((PARTS[1].0 + PARTS[1].1) * SECTOR)?;
    file.write_all(&table(&PARTS))?;
    let flooding = "flood: diskload: 32 processes";
    let done = "single: done-0";
    let single = |disk: &str| create("single", &format!("{disk},xvda,r"));
    let end = "block-list --counters flood\ndestroy flood\n";
    let keys: [(&str, String); 10] = [
        // By itself, then beside a flood with several weights.
        (PROMPT, single("vda2")),
        (done, format!("{SHOW}{}", create("flood", "vda1,xvda,r"))),
        (flooding, single("vda2")),
        (
            done,
            format!("{SHOW}block-sched flood xvda 400\n{}", single("vda2")),
        ),
        (
            done,
            format!(
                "{SHOW}block-sched flood 100\n{}",
                create("single", "vda2,xvda,r,weight=400")
            ),
        ),
        (
            done,
            format!(
                "block-sched\nblock-sched flood 0\nblock-sched flood xvdc 7\nblock-sched flood xvda 1001\n{SHOW}{end}{}",
                single("ram0:64")
            ),
        ),
        // The same on a disk of memory, which several may read.
        (done, format!("{SHOW}{}", create("flood", "ram0:64,xvda,r"))),
        (flooding, single("ram0:64")),
        (done, format!("{SHOW}{end}echo all-$?\n")),
        ("all-0", "poweroff\n".into()),
    ];
    let steps: Vec<(&str, &[u8])> = keys.iter().map(|(seen, keys)| (*seen, keys.as_bytes())).collect();
    let disk = disk.display().to_string();
    let finished =
        launched::boot(name, launcher, &["--disk", &disk], &[&archive], &steps)?.expect_output(&[
            "block-sched: `0` is no weight: a number from 1 to 1000 is",
            "block-sched: there is no such disk",
            "block-sched: `1001` is no weight",
        ])?;
    let seen = fixture::tail(&finished.output);
    let weights: Vec<&str> = finished
        .output
        .lines()
        .filter(|line| line.contains(" 51712 ") && !line.contains("connected"))
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    check!(weights == ["100", "400"], "weights {weights:?}\n{seen}");
    let counted: Vec<Counted> = finished.output.lines().filter_map(counted).collect();
    let [alone, even, less, more, flood, memory_alone, memory, memory_flood] = counted[..] else {
        return Err(Stop::Fail(format!("{} lines of counters\n{seen}", counted.len())));
    };
    for one in [alone, even, less, more, memory_alone, memory] {
        check!(one.requests >= PLACES, "{one:?}\n{seen}");
        check!(
            one.longest <= BOUND,
            "waited for more than {BOUND}: {one:?}\n{seen}"
        );
    }
    check!(
        alone.longest < even.longest,
        "nobody else had anything: {even:?}\n{seen}"
    );
    // There was a flood all the time.
    for (flood, beside) in [
        (flood, even.bytes + less.bytes + more.bytes),
        (memory_flood, memory.bytes),
    ] {
        check!(
            flood.bytes > 4 * beside,
            "{flood:?} is no flood beside {beside} bytes\n{seen}"
        );
    }
    Ok(())
}

/// What a backend has counted.
#[derive(Clone, Copy, Debug)]
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
