//! Domains as a person manages them: made, listed, entered, paused, ended; their shares; JSON; what is refused.

use super::session::{PROMPT, busy_initrd, image, json_behind, prepare, run, session};
use crate::check;
use crate::suite::command_line::{Stdin, dialog, launch};
use crate::suite::{Outcome, Stop, Test, fixture};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

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
        Test::new("system::a_paused_domain_stands_still", pause),
        Test::new("system::shares_follow_the_weights", shares),
        Test::new("system::listings_are_json", json),
        Test::new("system::what_cannot_be_created_leaves_nothing", refusals),
    ]
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
