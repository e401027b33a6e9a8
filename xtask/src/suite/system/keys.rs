//! The hypervisor's debug keys, and the way to them and back.

use super::session::{PROMPT, prepare};
use crate::check;
use crate::suite::command_line::dialog;
use crate::suite::{Outcome, Test, fixture};
use std::path::Path;
use std::sync::Arc;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    vec![Test::new("system::debug_keys_show_everything", move || {
        keys(&launcher)
    })]
}

/// Three Ctrl-A, each key, three Ctrl-A: what is typed behind them is Domain0's again.
fn keys(launcher: &Path) -> Outcome {
    prepare()?;
    let steps: [(&str, &[u8]); 3] = [
        (PROMPT, b"\x01\x01\x01hacdegimorvz"),
        ("no key 'z'", b"\x01\x01\x01echo back-$?\n"),
        ("back-0\r\n", b"poweroff\n"),
    ];
    let args = ["--timeout", "240", "--append", "loglvl=debug"];
    let finished = dialog(launcher, &args, &steps)?.expect_status(0)?;
    let shown = &finished.output;
    fixture::keep_log("system::debug_keys_show_everything", shown)?;
    for text in [
        "keys: a audit",
        "audit: no difference",
        "call sched_op ok",
        "d0: ",
        "d0: port 0 of what is not bound",
        " Timer",
        " Console",
        " DomainException",
        " to d0 port ",
        "line 4: the hypervisor's",
        "memory: ",
        "console: 0 bytes of output lost",
        "scheduler: bvt, ",
        "d0: cs:eip ",
        "d2: cs:eip ",
        "d0: page tables at frame 0x",
        "no key 'z'",
    ] {
        check!(shown.contains(text), "no {text:?} in\n{}", fixture::tail(shown));
    }
    // The other domains may have come as far as the table for their devices, or not.
    let grants = ["grants: none", "d1: grant table of 4 frames, 0 mappings"];
    check!(
        grants.iter().any(|text| shown.contains(text)),
        "nothing of grants in\n{}",
        fixture::tail(shown)
    );
    Ok(())
}
