//! Domains that the hypervisor kills in the middle of requests of a disk and of frames: their backends go without a trace, and nobody else notices.

use super::hostile::{HANDLE_FRAMES_KIB, look};
use super::session::{json_behind, prepare};
use super::split::{is_log_whole, log_disk};
use super::{launched, powered_off, transfers};
use crate::boot_image::{self, BootImage};
use crate::check;
use crate::cli::{Bus, Disk};
use crate::keyboard::{Keyboard, Step};
use crate::machine::Machine;
use crate::suite::{Outcome, Stop, Test, fixture};
use std::path::{Path, PathBuf};

/// After how many answers they die. The first ones have told nobody of what is in their rings.
const DEATHS: [(&str, &str, [u32; 4]); 2] = [
    ("hostile_block", "--disk vda2", [0, 1, 40, 500]),
    ("hostile_net", "--vif permit=0 --vif permit=0", [0, 16, 500, 5000]),
];

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![Test::new("system::domains_die_in_the_middle_of_requests", deaths)]
}

/// The initial file system of the domains that go on.
fn archive(dir: &Path) -> Result<PathBuf, Stop> {
    let scripts = [
        ("logger", "disklog write /dev/xvda &\nnetlog get 10.0.9.2\n"),
        ("peer", "netlog serve\n"),
    ];
    launched::archive(dir, "split.cpio", &scripts)
}

fn honest(name: &str, number: u8, devices: &str) -> Step {
    Step::keys(format!(
        "create {name} --kernel mini-guest --initrd split.cpio --memory 24M --show --vif ip=10.0.9.{number}/24 {devices} \
         --append \"-- /bin/sh /etc/{name}\"\n"
    ))
}

/// Both go on.
fn they_go_on() -> [Step; 2] {
    ["logger: disklog: ", "logger: netlog: transfer "].map(|line| Step::until("sleep 1", line))
}

/// One dies, until nothing is left of it.
fn death(kernel: &str, devices: &str, after: u32) -> [Step; 3] {
    let create = format!(
        "create fallen --kernel {kernel} --no-initrd --memory 8M --show --on-crash destroy {devices} --append die={after}\n"
    );
    let is_gone = |output: &str| output.contains("Domain-0") && !output.contains("fallen");
    let keys =
        "xenstore-list /local/domain/0/backend/vbd /local/domain/0/backend/vif; block-list; network-list";
    // Its directories are there as long as its backends.
    let is_without_trace = |output: &str| output.contains("logger") && !output.contains("fallen");
    [
        Step::keys(create),
        Step::Until("list".into(), Box::new(is_gone)),
        Step::Until(keys.into(), Box::new(is_without_trace)),
    ]
}

fn deaths() -> Outcome {
    let name = "system::domains_die_in_the_middle_of_requests";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let (disk, archive) = (dir.path().join("disk"), archive(dir.path())?);
    let content = log_disk(&disk)?;
    let kernel = fixture::mini_guest()?;
    let mut image = BootImage {
        hypervisor: fixture::hypervisor()?,
        append: "loglvl=debug audit-on-shutdown".into(),
        modules: vec![
            fixture::module("dom0", &kernel, "autostart=no"),
            fixture::module("initrd", &fixture::programs()?, ""),
            boot_image::for_domains(0, kernel.clone(), "")?,
            boot_image::for_domains(1, archive, "")?,
        ],
    };
    for (n, (kernel, ..)) in DEATHS.iter().enumerate() {
        let kernel = fixture::test_guest(kernel)?;
        image.modules.push(boot_image::for_domains(2 + n, kernel, "")?);
    }
    let machine = Machine {
        disks: vec![Disk {
            path: disk.clone(),
            bus: Bus::Virtio,
        }],
        ..Machine::default()
    };
    let mut steps = vec![honest("peer", 2, ""), honest("logger", 1, "--disk vda1")];
    steps.extend(they_go_on());
    steps.push(Step::keys(look("before")));
    for (kernel, devices, counts) in DEATHS {
        for count in counts {
            steps.extend(death(kernel, devices, count));
        }
        steps.extend(they_go_on());
    }
    steps.push(Step::keys(look("after")));
    steps.push(Step::keys(
        "shutdown --wait logger peer\ndisklog check /dev/vda1\necho check-$?\npoweroff\n",
    ));
    let record = fixture::boot(
        name,
        &machine,
        &image,
        Keyboard::of_steps(steps),
        fixture::LIMIT * 5,
    )?;
    powered_off(&record)?;
    let text = &record.text;
    let seen = fixture::tail(text);
    check!(text.contains("\ncheck-0"), "the log is not whole\n{seen}");
    // Each had requests under way, and was killed for what it did.
    let count = DEATHS.iter().map(|(.., counts)| counts.len()).sum::<usize>();
    let under_way = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("fallen: dies with ")?;
        rest.split_once(' ')?.0.parse::<u32>().ok()
    });
    let under_way: Vec<u32> = under_way.collect();
    let killed = text
        .matches("an event is due and it has no event callback")
        .count();
    check!(
        under_way.len() == count && under_way.iter().all(|requests| *requests > 0) && killed == count,
        "{killed} of {count} were killed, with {under_way:?} requests under way\n{seen}"
    );
    transfers::are_whole(text, "logger")?;
    let domains = ["logger: ", "peer: ", "fallen: "];
    let of_domain0 = |line: &&str| !domains.iter().any(|domain| line.contains(domain));
    let screen: String = text.split_inclusive('\n').filter(of_domain0).collect();
    let free = |mark: &str| -> Result<u64, Stop> {
        Ok(json_behind(&screen, mark)?["free_memory_kib"]
            .as_u64()
            .unwrap_or(0))
    };
    let (before, after) = (free("before")?, free("after")?);
    check!(
        before > 0 && after <= before && before - after <= HANDLE_FRAMES_KIB,
        "{before} KiB were free, and then {after}\n{seen}"
    );
    is_log_whole(&disk, &content, text)
}
