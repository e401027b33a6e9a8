//! How domains end, and what is done then: a crash and what is told of it, starting again, requests to end.

use super::has_lines;
use super::session::{json_behind, session};
use crate::check;
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
