//! How domains end, and what is done then: a crash and what is told of it, starting again, requests to end.

use super::has_lines;
use super::session::{json_behind, rest, talk};
use crate::check;
use crate::keyboard::Step;
use crate::suite::{Outcome, Stop, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![
        Test::new("system::a_crashed_domain_tells_why", crash),
        Test::new("system::a_crashed_domain_is_started_again", restart),
        Test::new("system::domains_end_and_restart_when_asked", requests),
    ]
}

/// A kernel without a program to start gives up.
fn crash() -> Outcome {
    let steps = vec![
        Step::keys("create bad --kernel mini-guest --memory 8M --no-initrd --on-crash preserve\n"),
        Step::until("info bad", "shutdown_reason        : crash"),
        Step::keys(
            "list bad\ninfo bad\necho now\ninfo --json bad\nrename bad worse\ndestroy worse\nlist\npoweroff\n",
        ),
    ];
    let record = talk("system::a_crashed_domain_tells_why", steps)?;
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
    let over = "crash: preserved; it ended too soon too often";
    let steps = vec![
        Step::keys("create bad --kernel mini-guest --memory 8M --no-initrd --on-crash restart\n"),
        Step::until("cat /run/xen/daemon.log", over),
        Step::keys("echo begin\ncat /run/xen/daemon.log\necho now\nlist --json\ndestroy bad\npoweroff\n"),
    ];
    let record = talk("system::a_crashed_domain_is_started_again", steps)?;
    let (_, log) = record.text.split_once("\nbegin\r").unwrap_or_default();
    let restarts = log.matches("crash: started again as").count();
    // One that has lived long enough, as on a slow machine, is not counted by the daemon.
    check!(
        restarts >= 4 && log.contains(over),
        "{restarts} restarts\n{}",
        fixture::tail(&record.text)
    );
    let domains = json_behind(&record.text, "now")?;
    check!(
        domains[1]["name"] == "bad" && domains[1]["id"] == restarts + 1,
        "{domains:#}"
    );
    Ok(())
}

fn requests() -> Outcome {
    let steps = vec![
        Step::keys("create a --kernel mini-guest --memory 8M\ncreate b --kernel mini-guest --memory 8M\n"),
        rest(&["a", "b"]),
        Step::keys("reboot --wait a; echo reboot $?\n"),
        // The third domain that was made.
        Step::until("list --json", "\"id\": 3"),
        Step::keys("echo first\nlist --json\nshutdown --wait b; echo shutdown $?\n"),
        Step::Until(
            "list --json".into(),
            Box::new(|listing| !listing.contains("\"b\"")),
        ),
        Step::keys("echo second\nlist --json\nshutdown --wait nobody; echo nobody $?\npoweroff\n"),
    ];
    let record = talk("system::domains_end_and_restart_when_asked", steps)?;
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
