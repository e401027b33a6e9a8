//! Frontends that do everything wrong, beside domains that use the same disk and the same bridge: the backends refuse, count and go on, and
//! nobody else notices.

use super::launched;
use super::session::{PROMPT, json_behind, prepare};
use super::split::{is_log_whole, log_disk};
use super::transfers;
use crate::check;
use crate::suite::{Outcome, Stop, Test, fixture};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Addresses that the hostile interface claims to have.
const ADDRESSES: [&str; 2] = ["00:16:3e:77:00:01", "00:16:3e:77:00:02"];

/// Frames for the handles of all that Domain0 can have mapped for disks, 2048 pages, less the first one: 256 handles in each.
pub(super) const HANDLE_FRAMES_KIB: u64 = (2048 / 256 - 1) * 4;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    vec![Test::new("system::hostile_frontends_hurt_nobody", move || {
        hostile(&launcher)
    })]
}

/// A kernel that is another domain's, and nothing else.
fn attacker(name: &str, kernel: &str, devices: &str) -> String {
    format!("create {name} --kernel {kernel} --no-initrd --memory 8M --show {devices}\n")
}

/// How much memory is free; those that say something stand still meanwhile.
pub(super) fn look(mark: &str) -> String {
    format!("pause logger peer\necho {mark}\ninfo --json\nunpause logger peer\n")
}

/// The initial file system of Domain0 and of the honest domains: what each of them does. Typing would take its time while the others flood.
fn archive(dir: &Path) -> Result<PathBuf, Stop> {
    let honest = |name: &str, number: usize, devices: &str| {
        format!(
            "create {name} --kernel mini-guest --initrd split.cpio --memory 24M --show --vif ip=10.0.9.{}/24,mac={} {devices} \
             --append \"-- /bin/sh /etc/{name}\"\n",
            number + 1,
            ADDRESSES[number]
        )
    };
    let scripts = [
        ("logger", "disklog write /dev/xvda &\nnetlog get 10.0.9.2\n".into()),
        ("peer", "netlog serve\n".into()),
        ("begin", honest("peer", 1, "") + &honest("logger", 0, "--disk vda1")),
        (
            "attack",
            look("before")
                + &attacker("vandal", "hostile_block", "--disk vda2")
                + &attacker("liar", "hostile_net", "--vif permit=0 --vif permit=0"),
        ),
        (
            "count",
            "block-list --counters\nnetwork-list --counters\ncat /proc/net/dev\ndestroy vandal liar\necho destroyed-$?\n".into(),
        ),
        (
            "end",
            look("after") + "shutdown --wait logger peer\ndisklog check /dev/vda1\necho check-$?\npoweroff\n",
        ),
    ];
    launched::archive(dir, "split.cpio", &scripts)
}

/// Two kernels that are other domains' attack the backends of a disk and of two network interfaces and go on asking without end; both are
/// destroyed in the middle of that. Meanwhile a domain keeps its log on the next partition and exchanges bytes with another one.
fn hostile(launcher: &Path) -> Outcome {
    let name = "system::hostile_frontends_hurt_nobody";
    prepare()?;
    let kernels = [
        fixture::test_guest("hostile_block")?,
        fixture::test_guest("hostile_net")?,
    ];
    let dir = tempfile::tempdir()?;
    let (disk, archive) = (dir.path().join("disk"), archive(dir.path())?);
    let content = log_disk(&disk)?;
    let steps: [(&str, &[u8]); 10] = [
        (PROMPT, b"sh /etc/begin\n"),
        ("logger: disklog: 1 passes are on the disk", b""),
        ("logger: netlog: transfer 2", b"sh /etc/attack\n"),
        ("vandal: requests go on", b""),
        ("liar: frames go on", b""),
        // It goes on beside that, and behind it.
        ("logger: disklog: ", b""),
        ("logger: netlog: ", b"sh /etc/count\n"),
        ("destroyed-0", b""),
        ("logger: disklog: ", b""),
        ("logger: netlog: ", b"sh /etc/end\n"),
    ];
    let disk_image = disk.display().to_string();
    let initial = archive.display().to_string();
    let more = [
        "--append",
        "audit-on-shutdown",
        "--initrd",
        &initial,
        "--disk",
        &disk_image,
    ];
    let modules: [&Path; 3] = [&archive, &kernels[0], &kernels[1]];
    let finished = launched::boot(name, launcher, &more, &modules, &steps)?
        .expect_output(&["destroyed-0", "check-0"])?;
    let output = &finished.output;
    is_counted(output)?;
    transfers::are_whole(output, "logger")?;
    let domains = ["logger: ", "peer: ", "vandal: ", "liar: "];
    let of_domain0 = |line: &&str| !domains.iter().any(|domain| line.contains(domain));
    let screen: String = output.split_inclusive('\n').filter(of_domain0).collect();
    let free = |mark: &str| -> Result<u64, Stop> {
        let machine = json_behind(&screen, mark)?;
        Ok(machine["free_memory_kib"].as_u64().unwrap_or(0))
    };
    let (before, after) = (free("before")?, free("after")?);
    // Domain0 has more mapped at a time than ever before, and keeps the frames of the handles for that.
    check!(
        before > 0 && after <= before && before - after <= HANDLE_FRAMES_KIB,
        "{before} KiB were free, and then {after}\n{}",
        fixture::tail(output)
    );
    is_log_whole(&disk, &content, output)
}

/// The numbers of the line that ends so.
fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The backends have counted what the attackers say that they did, and nothing of the others.
fn is_counted(output: &str) -> Outcome {
    let seen = fixture::tail(output);
    let said = |domain: &str, what: &str| {
        let start = format!("{domain}: ");
        let mut lines = output.lines().filter_map(|line| Some(line.split_once(&start)?.1));
        let line = lines
            .find(|line| line.trim_end().ends_with(what))
            .unwrap_or_default();
        numbers(line)
    };
    for domain in ["vandal", "liar"] {
        let wrong = said(domain, "were wrong");
        check!(wrong == [0], "{domain}: {wrong:?} were wrong\n{seen}");
    }
    // Requests, refused, bad grants, failed, to the disk, bytes, copied, events; of the honest domain, and of the other one.
    let counters: Vec<Vec<u64>> = output
        .lines()
        .filter(|line| line.contains(" to the disk, "))
        .map(numbers)
        .collect();
    let told = said("vandal", "failed");
    check!(
        matches!(&counters[..], [honest, vandal]
            if honest[1..4] == [0, 0, 0] && honest[5] > 0 && honest[6] == 0
            && vandal[1..4] == told && told.iter().all(|count| *count > 10) && vandal[6] == 0),
        "{counters:?} {told:?}\n{seen}"
    );
    // Requests, refused, bad grants; of both honest domains, and of the hostile interface and the one that looks.
    let interfaces: Vec<Vec<u64>> = output
        .lines()
        .filter(|line| line.contains(" calls that copy, "))
        .filter_map(|line| numbers(line.rsplit_once("; ")?.1).get(1..3).map(<[u64]>::to_vec))
        .collect();
    let none = vec![0, 0];
    let told = said("liar", "with bad grants");
    check!(
        interfaces == [none.clone(), none.clone(), told.clone(), none]
            && told.iter().all(|count| *count > 10),
        "{interfaces:?} {told:?}\n{seen}"
    );
    // Frames that the bridge refused stand in the third column.
    let errors: Vec<u64> = output
        .lines()
        .filter(|line| line.trim_start().starts_with("vif"))
        .filter_map(|line| line.split_once(':')?.1.split_whitespace().nth(2)?.parse().ok())
        .collect();
    let told = said("liar", "from addresses of others");
    check!(
        errors.len() == 4
            && errors[..2] == [0, 0]
            && errors[2..] == [told.first().copied().unwrap_or(0), 0]
            && errors[2] > 10,
        "{errors:?} {told:?}\n{seen}"
    );
    Ok(())
}
