//! Domains as a person manages them: made, listed, entered, asked to end, started again, ended; crashes, shares, JSON.

use super::{has_lines, powered_off};
use crate::boot_image::{self, BootImage};
use crate::check;
use crate::console::Record;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::suite::command_line::{Stdin, dialog, launch};
use crate::suite::{Outcome, Stop, Test, coverage, fixture};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// What the shell prints when it waits.
pub(super) const PROMPT: &str = "/ # ";

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let cli = |name: &str, run: fn(&Path) -> Outcome| {
        let launcher = Arc::clone(launcher);
        Test::new(format!("system::{name}"), move || run(&launcher))
    };
    vec![
        cli("a_domain_is_created_listed_and_destroyed", create_and_destroy),
        cli("two_domains_run_from_the_start", two_at_boot),
        cli("a_console_is_entered_and_left", console),
        Test::new("system::autostart_can_be_switched_off", no_autostart),
        Test::new("system::a_crashed_domain_tells_why", crash),
        Test::new("system::a_crashed_domain_is_started_again", restart),
        Test::new("system::domains_end_and_restart_when_asked", requests),
        Test::new("system::a_paused_domain_stands_still", pause),
        Test::new("system::shares_follow_the_weights", shares),
        Test::new("system::listings_are_json", json),
        Test::new("system::what_cannot_be_created_leaves_nothing", refusals),
    ]
}

/// Domain0 with the modules for other domains, `initrd` being theirs.
pub(super) fn image(dom0_args: &str, initrd: &Path) -> Result<BootImage, Stop> {
    let named = |n, file: &Path, args: &str| boot_image::for_domains(n, file.into(), args);
    let kernel = fixture::mini_guest()?;
    let default = initrd
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    Ok(BootImage {
        hypervisor: fixture::hypervisor()?,
        append: "loglvl=debug".into(),
        modules: vec![
            fixture::module("dom0", &kernel, dom0_args),
            fixture::module("initrd", &fixture::programs()?, ""),
            named(0, &kernel, &format!("initrd={default}"))?,
            named(1, initrd, "")?,
            named(2, &fixture::small_guest()?, "")?,
        ],
    })
}

/// Types into Domain0, which starts no domains by itself, and expects an orderly poweroff.
pub(super) fn session(test: &str, keys: &str) -> Result<Record, Stop> {
    let image = image("autostart=no", &fixture::domain_initrd()?)?;
    run(test, &image, keys)
}

pub(super) fn run(test: &str, image: &BootImage, keys: &str) -> Result<Record, Stop> {
    let keyboard = Keyboard::of_text(keys);
    let record = fixture::boot(test, &Machine::default(), image, keyboard, fixture::LIMIT * 2)?;
    coverage::collect(&record.text);
    powered_off(&record)?;
    Ok(record)
}

/// The JSON that was printed behind the line `marker`.
pub(super) fn json_behind(text: &str, marker: &str) -> Result<Value, Stop> {
    let is_marker = |line: &str| line.trim_end() == marker;
    let screen = fixture::without_log(text);
    let lines = screen.lines().skip_while(|line| !is_marker(line)).skip(1);
    let rest: Vec<&str> = lines.skip_while(|line| !line.starts_with(['[', '{'])).collect();
    let rest = rest.join("\n");
    let mut values = serde_json::Deserializer::from_str(&rest).into_iter();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        other => Err(Stop::Fail(format!(
            "no JSON behind {marker:?}: {other:?}\n{}",
            fixture::tail(text)
        ))),
    }
}

/// Builds everything before a time limit begins.
pub(super) fn prepare() -> Outcome {
    fixture::need(&fixture::tools_of(&Machine::default()))?;
    fixture::hypervisor()?;
    fixture::mini_guest()?;
    fixture::programs()?;
    fixture::domain_initrd()?;
    Ok(())
}

fn create_and_destroy(launcher: &Path) -> Outcome {
    prepare()?;
    let keys = b"create web --kernel mini-guest --memory 8M\nlist\ndestroy web\nlist\npoweroff\n";
    let args = ["--timeout", "240", "--append", "audit-on-shutdown"];
    let finished = launch(launcher, &args, Stdin::Text(keys))?.expect_status(0)?;
    let listed: Vec<&str> = finished
        .output
        .lines()
        .filter(|line| line.starts_with("web "))
        .collect();
    check!(
        matches!(&listed[..], [line] if line.split_whitespace().take(4).eq(["web", "3", "8", "1"])),
        "{listed:?}\n{}",
        fixture::tail(&finished.output)
    );
    finished.expect_output(&[
        "domain web created, number 3",
        "Domain-0",
        "one ",
        "two ",
        "web ",
        "Domain-0",
        "two ",
    ])?;
    Ok(())
}

fn two_at_boot(launcher: &Path) -> Outcome {
    prepare()?;
    let keys = b"echo now\nlist --json\npoweroff\n";
    let finished = launch(launcher, &["--timeout", "240"], Stdin::Text(keys))?.expect_status(0)?;
    let domains = json_behind(&finished.output, "now")?;
    for (index, name) in ["Domain-0", "one", "two"].into_iter().enumerate() {
        check!(domains[index]["name"] == name, "{domains:#}");
        check!(domains[index]["shutdown_reason"].is_null(), "{domains:#}");
    }
    Ok(())
}

/// In, a command there, back by the key, a command here; and the other domain knows nothing of it.
fn console(launcher: &Path) -> Outcome {
    prepare()?;
    let steps: [(&str, &[u8]); 7] = [
        (PROMPT, b"console one\n"),
        ("comes back)", b"\n"),
        (
            PROMPT,
            b"echo inside-$?; cat /proc/meminfo | wc -l; export WHERE=one\n",
        ),
        ("inside-0", b"\x1e"),
        ("back in Domain0", b"echo outside-$WHERE\n"),
        ("outside-\r\n", b"console two\n"),
        ("comes back)", b"\necho second-$WHERE-$?\n"),
    ];
    let more: [(&str, &[u8]); 3] = [
        ("second--0", b"\x1e"),
        ("back in Domain0", b"echo again\n"),
        ("again\r\n", b"poweroff\n"),
    ];
    let steps = [&steps[..], &more].concat();
    let finished = dialog(launcher, &["--timeout", "240"], &steps)?.expect_status(0)?;
    fixture::keep_log("system::a_console_is_entered_and_left", &finished.output)?;
    Ok(())
}

fn no_autostart() -> Outcome {
    let record = session(
        "system::autostart_can_be_switched_off",
        "echo now\nlist --json\npoweroff\n",
    )?;
    let domains = json_behind(&record.text, "now")?;
    check!(domains.as_array().map(Vec::len) == Some(1), "{domains:#}");
    Ok(())
}

/// A kernel without a program to start gives up.
fn crash() -> Outcome {
    let keys = "create bad --kernel mini-guest --memory 8M --no-initrd --on-crash preserve\nsleep 2\nlist bad\ninfo bad\n\
                echo now\ninfo --json bad\nrename bad worse\ndestroy worse\nlist\npoweroff\n";
    let record = session("system::a_crashed_domain_tells_why", keys)?;
    has_lines(
        &record,
        &[
            "shutdown_reason        : crash",
            "on_crash               : preserve",
        ],
    )?;
    let info = json_behind(&record.text, "now")?;
    let info = &info[0];
    check!(info["shutdown_reason"] == "crash", "{info:#}");
    let state = info["state"].as_str().unwrap_or_default();
    check!(state.contains('c') || state.contains('s'), "{info:#}");
    // Ring 1's flat code, an address and a stack inside the kernel, words on it.
    check!(info["registers"]["cs"] == 0xE019, "{info:#}");
    let address = |name: &str| info["registers"][name].as_u64().unwrap_or(0);
    check!(
        address("eip") >= 0xC000_0000 && address("esp") >= 0xC000_0000,
        "{info:#}"
    );
    check!(
        info["stack"].as_array().is_some_and(|words| words.len() > 4),
        "{info:#}"
    );
    Ok(())
}

fn restart() -> Outcome {
    let keys = "create bad --kernel mini-guest --memory 8M --no-initrd --on-crash restart\nsleep 8\ncat /run/xen/daemon.log\n\
                echo now\nlist --json\ndestroy bad\npoweroff\n";
    let record = session("system::a_crashed_domain_is_started_again", keys)?;
    let restarts = record.text.matches("crash: started again as").count();
    check!(
        restarts == 4,
        "{restarts} restarts\n{}",
        fixture::tail(&record.text)
    );
    check!(
        record
            .text
            .contains("crash: preserved; it ended too soon too often"),
        "{}",
        fixture::tail(&record.text)
    );
    let domains = json_behind(&record.text, "now")?;
    check!(
        domains[1]["name"] == "bad" && domains[1]["id"] == 5,
        "{domains:#}"
    );
    Ok(())
}

fn requests() -> Outcome {
    let keys = "create a --kernel mini-guest --memory 8M\ncreate b --kernel mini-guest --memory 8M\nsleep 2\n\
                reboot --wait a; echo reboot $?\nsleep 2\necho first\nlist --json\n\
                shutdown --wait b; echo shutdown $?\nsleep 2\necho second\nlist --json\n\
                shutdown --wait nobody; echo nobody $?\npoweroff\n";
    let record = session("system::domains_end_and_restart_when_asked", keys)?;
    has_lines(&record, &["reboot 0", "shutdown 0", "nobody 1"])?;
    let names = |marker| -> Result<Vec<(String, u64)>, Stop> {
        let listing = json_behind(&record.text, marker)?;
        let listing = listing.as_array().cloned().unwrap_or_default();
        let found = listing
            .iter()
            .filter_map(|domain| Some((domain["name"].as_str()?.to_string(), domain["id"].as_u64()?)));
        Ok(found.collect())
    };
    let named = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
        list.iter().map(|(name, id)| ((*name).to_string(), *id)).collect()
    };
    let first = names("first")?;
    check!(
        first == named(&[("Domain-0", 0), ("b", 2), ("a", 3)]),
        "{first:?}"
    );
    let second = names("second")?;
    check!(second == named(&[("Domain-0", 0), ("a", 3)]), "{second:?}");
    Ok(())
}

/// A tree for domains whose shell never comes: they burn the processor.
pub(super) fn busy_initrd() -> Result<tempfile::TempDir, Stop> {
    let tree = tempfile::tempdir()?;
    crate::initrd::populate_domain(tree.path())?;
    std::fs::write(tree.path().join("etc/rc"), "spin 1000\n")?;
    let out = tempfile::tempdir()?;
    crate::initrd::from_user(tree.path(), &out.path().join("busy.cpio"))?;
    Ok(out)
}

fn pause() -> Outcome {
    let initrd = busy_initrd()?;
    let keys = "create a --kernel mini-guest --memory 8M --paused\nlist a\nunpause a\nsleep 1\npause a\necho first\nlist --json a\n\
                sleep 2\necho second\nlist --json a\nunpause a\nsleep 1\necho third\nlist --json a\ndestroy a\npoweroff\n";
    let image = image("autostart=no", &initrd.path().join("busy.cpio"))?;
    let record = run("system::a_paused_domain_stands_still", &image, keys)?;
    let time = |marker| -> Result<(u64, String), Stop> {
        let listing = json_behind(&record.text, marker)?;
        let time = listing[0]["cpu_time_ns"].as_u64().unwrap_or(0);
        Ok((time, listing[0]["state"].as_str().unwrap_or_default().to_string()))
    };
    let (first, second, third) = (time("first")?, time("second")?, time("third")?);
    check!(first.0 > 0 && first.1.contains('p'), "{first:?}");
    check!(first == second, "{first:?} {second:?}");
    check!(
        third.0 > second.0 && !third.1.contains('p'),
        "{second:?} {third:?}"
    );
    Ok(())
}

/// Three busy domains with weights 1:2:4 get such shares while Domain0 sleeps.
fn shares() -> Outcome {
    let initrd = busy_initrd()?;
    let keys = "create a --kernel mini-guest --memory 8M --weight 256\n\
                create b --kernel mini-guest --memory 8M --weight 512\ncreate c --kernel mini-guest --memory 8M --weight 1024\n\
                sched\nsleep 2\necho now\ntop --json -d 8\ndestroy a b c\npoweroff\n";
    let image = image("autostart=no", &initrd.path().join("busy.cpio"))?;
    let record = run("system::shares_follow_the_weights", &image, keys)?;
    let rows = json_behind(&record.text, "now")?;
    let used = |name: &str| -> f64 {
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        let row = rows.iter().find(|row| row["name"] == name);
        row.and_then(|row| row["cpu_used_ns"].as_f64()).unwrap_or(0.0)
    };
    let whole = used("a") + used("b") + used("c");
    check!(whole > 4e9, "{rows:#}");
    for (name, share) in [("a", 1.0 / 7.0), ("b", 2.0 / 7.0), ("c", 4.0 / 7.0)] {
        let found = used(name) / whole;
        check!(
            (found - share).abs() < 0.02,
            "{name}: {found:.3} instead of {share:.3}\n{rows:#}"
        );
    }
    Ok(())
}

fn json() -> Outcome {
    let listings = [
        "list",
        "list --long",
        "info",
        "info Domain-0",
        "sched",
        "top -n 1 -d 0.2",
        "xl uptime",
    ];
    let mut keys = String::from("create a --kernel mini-guest --memory 8M\n");
    for (index, listing) in listings.iter().enumerate() {
        let option = if listing.contains("--long") { "" } else { " --json" };
        keys += &format!("echo mark-{index}\n{listing}{option}\n");
    }
    keys += "destroy a\npoweroff\n";
    let record = session("system::listings_are_json", &keys)?;
    for (index, listing) in listings.iter().enumerate() {
        let value = json_behind(&record.text, &format!("mark-{index}"))?;
        let domains = match *listing {
            "info" => None,
            "sched" => value.get("domains"),
            _ => Some(&value),
        };
        let is_listed = |domains: &Value| {
            let rows = domains.as_array().map(Vec::as_slice).unwrap_or_default();
            rows.iter().any(|row| row["name"] == "Domain-0")
        };
        check!(domains.is_none_or(is_listed), "{listing}: {value:#}");
    }
    let machine = json_behind(&record.text, "mark-2")?;
    check!(
        machine["xen_major"] == 2 && machine["nr_domains"] == 2,
        "{machine:#}"
    );
    check!(
        machine["total_memory_kib"].as_u64() > machine["free_memory_kib"].as_u64(),
        "{machine:#}"
    );
    Ok(())
}

/// Each refusal is one line; afterwards there is what was there before.
fn refusals() -> Outcome {
    let refused = [
        ("create", "create what?"),
        ("create a", "no kernel"),
        (
            "create a --kernel nothing",
            "the boot modules are domu.cpio, mini-guest, mini-guest-small",
        ),
        ("create a --kernel domu.cpio", "not an ELF file"),
        (
            "create a --kernel mini-guest --memory 64K",
            "give it more by --memory",
        ),
        (
            "create a --kernel mini-guest --memory 60G",
            "not enough free memory",
        ),
        (
            "create a --kernel mini-guest --on-crash explode",
            "none of destroy, restart, preserve",
        ),
        ("create 12 --kernel mini-guest", "digits alone"),
        ("create /etc/xen/nothing.cfg", "No such file"),
        ("destroy a", "no domain `a`"),
        ("destroy 0", "cannot do that to itself"),
        ("console 0", "Domain-0's console"),
    ];
    let mut keys = String::from("echo before\ninfo --json\n");
    for (index, (command, _)) in refused.iter().enumerate() {
        keys += &format!("echo mark-{index}\n{command}; echo status $?\n");
    }
    keys += "echo after\ninfo --json\nls /run/xen/names\npoweroff\n";
    let record = session("system::what_cannot_be_created_leaves_nothing", &keys)?;
    let mut rest = record.text.as_str();
    for (index, (command, words)) in refused.iter().enumerate() {
        let mark = format!("mark-{index}\r\n");
        let Some(at) = rest.find(&mark) else {
            return Err(Stop::Fail(format!(
                "no {mark:?}\n{}",
                fixture::tail(&record.text)
            )));
        };
        rest = &rest[at..];
        let end = rest.find("status 1").map_or(rest.len(), |end| end + 8);
        let answer = &rest[..end];
        check!(
            answer.contains(words) && answer.ends_with("status 1"),
            "{command}: {answer}"
        );
    }
    let (before, after) = (
        json_behind(&record.text, "before")?,
        json_behind(&record.text, "after")?,
    );
    check!(after["nr_domains"] == before["nr_domains"], "{after:#}");
    check!(
        after["free_memory_kib"] == before["free_memory_kib"],
        "{before:#} {after:#}"
    );
    Ok(())
}
