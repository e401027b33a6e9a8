//! A disk that does one thing at a time, for tests of who has to wait for whom there; and two domains that flood it, of which each may have its share.

use super::disks::{SECTOR, table};
use super::session::{image, prepare};
use super::{launched, powered_off};
use crate::check;
use crate::keyboard::{Keyboard, Step};
use crate::machine::Machine;
use crate::quiet::disk::{Answered, QuietDisk, Record};
use crate::suite::{Outcome, Stop, Test, fixture};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The disk's partitions: first sector and sectors.
const PARTS: [(u64, u64); 3] = [(2048, 262_144), (264_192, 262_144), (526_336, 262_144)];
/// Sectors that are read together.
pub(super) const PLACE: u64 = 64;
/// Places that are read one after the other.
pub(super) const PLACES: u64 = 60;
/// Sectors of work that the disk has at a time.
pub(super) const WINDOW: u64 = 1088;
/// Requests that the disk is to answer, while shares of it are counted.
const COUNTED: usize = 500;
/// Requests that the disk may have had, or had ready for it, when the weights changed.
const BEFORE: usize = 60;

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![Test::new("system::a_full_disk_is_shared_by_weight", shares)]
}

/// The initial file system of the domains.
pub(super) fn archive(dir: &Path) -> Result<PathBuf, Stop> {
    let flood = "exec diskload flood /dev/xvda 32\n";
    let scripts = [
        ("flood", flood.to_string()),
        ("second", flood.to_string()),
        (
            "single",
            format!("diskload single /dev/xvda {PLACES}\nexec sleep 100000\n"),
        ),
    ];
    launched::archive(dir, "fair.cpio", &scripts)
}

/// A domain that does what its name says.
pub(super) fn create(name: &str, disk: &str) -> String {
    format!(
        "create {name} --kernel mini-guest --initrd fair.cpio --memory 24M --show --disk {disk} \
         --append \"-- /bin/sh /etc/{name}\"\n"
    )
}

/// A machine with such a disk.
pub(super) struct Flow {
    disk: QuietDisk,
    arguments: Vec<String>,
}

impl Flow {
    /// Builds what is needed, and begins to listen for the machine.
    pub(super) fn start(dir: &Path) -> Result<Self, Stop> {
        prepare()?;
        // QEMU would sort what it is asked together.
        Ok(Self {
            disk: QuietDisk::start(dir, table(&PARTS).into())?,
            arguments: QuietDisk::arguments(dir, &["request-merging=off"]),
        })
    }

    /// What the disk has done.
    pub(super) fn record(&self) -> Record {
        self.disk.record()
    }

    /// Whether that was a place of a partition, where `diskload` reads.
    pub(super) fn is_place(answered: &Answered, part: usize, number: u64) -> bool {
        answered.offset == (PARTS[part].0 + number * PLACE) * SECTOR
    }

    /// Until so many requests to a partition were answered.
    pub(super) fn until_answered(&self, part: usize, count: usize) -> Step {
        let record = self.record();
        let is_so = move |_: &str| {
            record.look(|log| {
                let mut here = log.iter().filter(|answered| is_of(answered, part));
                here.nth(count - 1).is_some()
            })
        };
        Step::Until("sleep 1".into(), Box::new(is_so))
    }

    /// Boots, and types what is to be typed; what the screen showed.
    pub(super) fn attend(self, name: &str, archive: &Path, steps: Vec<Step>) -> Result<String, Stop> {
        let machine = Machine {
            arguments: self.arguments,
            ..Machine::default()
        };
        let image = image("autostart=no", archive)?;
        let record = fixture::boot(
            name,
            &machine,
            &image,
            Keyboard::of_steps(steps),
            fixture::LIMIT * 5,
        )?;
        self.disk.end()?;
        powered_off(&record)?;
        Ok(record.text)
    }
}

/// Whether a request is one to that partition.
pub(super) fn is_of(answered: &Answered, part: usize) -> bool {
    let (first, count) = PARTS[part];
    (first..first + count).contains(&(answered.offset / SECTOR))
}

/// For how many sectors of others each request to a partition has waited, where each is asked for when the one before has its answer: those that were answered
/// before it, but not together with the one before.
pub(super) fn waits(disk: &[Answered], part: usize) -> Vec<u64> {
    let mut waits = Vec::new();
    let mut last: Option<&Answered> = None;
    let mut others = 0;
    for answered in disk {
        if is_of(answered, part) {
            waits.extend(last.map(|_| others));
            (last, others) = (Some(answered), 0);
        } else if last.is_some_and(|last| answered.moment > last.moment) {
            others += answered.length / SECTOR;
        }
    }
    waits
}

/// Sectors that were done for each of the first two partitions.
fn parts_of(disk: &[Answered]) -> [u64; 2] {
    [0, 1].map(|part| {
        let here = disk.iter().filter(|answered| is_of(answered, part));
        here.map(|answered| answered.length / SECTOR).sum()
    })
}

/// Two domains flood a disk with several weights, which change while they do: what each has of the disk is in proportion.
fn shares() -> Outcome {
    let name = "system::a_full_disk_is_shared_by_weight";
    const WEIGHTS: [[u64; 2]; 4] = [[100, 100], [100, 400], [400, 100], [900, 100]];
    let dir = tempfile::tempdir()?;
    let archive = archive(dir.path())?;
    let flow = Flow::start(dir.path())?;
    let counted = Arc::<Mutex<Vec<[u64; 2]>>>::default();
    let mut steps = vec![
        Step::keys(create("flood", "vda1,xvda,r")),
        Step::keys(create("second", "vda2,xvda,r")),
        flow.until_answered(0, 64),
        flow.until_answered(1, 64),
    ];
    for [first, second] in WEIGHTS {
        steps.push(Step::keys(format!(
            "block-sched flood {first}\nblock-sched second {second}\n"
        )));
        let (record, counted) = (flow.record(), Arc::clone(&counted));
        let begins = flow.record();
        let begin = move |_: &str| {
            begins.look(Vec::clear);
            true
        };
        let is_counted = move |_: &str| {
            record.look(|log| {
                let Some(log) = log.get(BEFORE..BEFORE + COUNTED) else {
                    return false;
                };
                let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                counted.push(parts_of(log));
                true
            })
        };
        steps.push(Step::Until("true".into(), Box::new(begin)));
        steps.push(Step::Until("sleep 1".into(), Box::new(is_counted)));
    }
    steps.push(Step::keys("destroy flood second\npoweroff\n"));
    let text = flow.attend(name, &archive, steps)?;
    let counted = counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
    check!(counted.len() == WEIGHTS.len(), "{counted:?}");
    let mut lines = String::new();
    for ([first, second], parts) in WEIGHTS.into_iter().zip(counted) {
        let all = parts[0] + parts[1];
        let (has, ought) = (parts[0] * 1000 / all, first * 1000 / (first + second));
        lines += &format!("{first} : {second} | {parts:?} | {has} of 1000 | {ought}\n");
        // A request more or less at either end.
        check!(
            has.abs_diff(ought) <= 10,
            "{first} : {second}: of {all} sectors the first one has {parts:?}"
        );
    }
    println!("{name}:\n{lines}");
    fixture::keep_log(name, &format!("{text}\n{lines}"))
}
