//! The hypervisor's debug keys, and the way to them and back.

use super::domains::{image, run};
use super::has_lines;
use crate::check;
use crate::suite::{Outcome, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![Test::new("system::debug_keys_show_everything", keys)]
}

/// Three Ctrl-A, each key, three Ctrl-A: what is typed behind them is Domain0's again. The hypervisor takes its keys when they
/// arrive, so they may be served before Domain0 has read what was typed before them.
fn keys() -> Outcome {
    let name = "system::debug_keys_show_everything";
    let image = image("autostart=no", &fixture::domain_initrd()?)?;
    let keys = "echo ready-$?\n\x01\x01\x01hacdegimorvz\x01\x01\x01\necho back-$?\npoweroff\n";
    let record = run(name, &image, keys)?;
    has_lines(&record, &["ready-0", "back-0"])?;
    for text in [
        "keys: a audit",
        "audit: no difference",
        "call sched_op ok",
        "d0: ",
        "d0: port 0 of what is not bound",
        " Timer",
        " Console",
        " DomainException",
        "grants: none",
        "line 4: the hypervisor's",
        "memory: ",
        "console: 0 bytes of output lost",
        "scheduler: bvt, ",
        "d0: cs:eip ",
        "d0: page tables at frame 0x",
        "no key 'z'",
    ] {
        check!(
            record.text.contains(text),
            "no {text:?} in\n{}",
            fixture::tail(&record.text)
        );
    }
    Ok(())
}
