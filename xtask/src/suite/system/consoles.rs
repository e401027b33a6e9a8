//! Consoles of several domains on one terminal: typed ahead, half-typed lines, floods; and the hypervisor's log beside them.

use super::has_lines;
use super::session::{PROMPT, prepare, session};
use crate::suite::command_line::{Stdin, dialog, launch};
use crate::suite::{Outcome, Stop, Test, fixture};
use crate::{check, initrd};
use std::path::Path;
use std::sync::Arc;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let cli = |name: &str, run: fn(&Path) -> Outcome| {
        let launcher = Arc::clone(launcher);
        Test::new(format!("system::{name}"), move || run(&launcher))
    };
    vec![
        cli("a_script_enters_consoles_and_comes_back", typed_ahead),
        cli("a_half_typed_line_comes_again", half_typed),
        cli("a_flood_delays_others_by_a_line", flood),
        Test::new("system::dmesg_is_the_hypervisors_log", log),
        Test::new("system::only_known_kernels_have_names", names),
    ]
}

/// Everything is typed before anything is read: the key that leaves is no signal, so nothing behind it is lost.
fn typed_ahead(launcher: &Path) -> Outcome {
    prepare()?;
    let keys = b"console one\necho in\n\x1eecho between-$?\nconsole -e ^A two\n\x1eecho in\n\x01echo behind-$?\npoweroff\n";
    let finished = launch(launcher, &["--timeout", "240"], Stdin::Text(keys))?.expect_status(0)?;
    finished.expect_output(&[
        "Ctrl-^ comes back",
        "back in Domain0",
        "between-0\r\n",
        "Ctrl-A comes back",
        "back in Domain0",
        "behind-0\r\n",
    ])?;
    Ok(())
}

/// A line of another domain comes while a command is half typed: prompt and command are written again behind it.
fn half_typed(launcher: &Path) -> Outcome {
    prepare()?;
    let steps: [(&str, &[u8]); 8] = [
        (PROMPT, b"console one\n"),
        ("comes back)", b"sleep 3; echo late-$?\n"),
        ("echo late-", b"\x1e"),
        ("back in Domain0", b"console --show one\necho ha"),
        ("one: late-0\r\n", b""),
        ("/ # echo ha", b"lf-$?\n"),
        ("half-0\r\n", b""),
        (PROMPT, b"poweroff\n"),
    ];
    let finished = dialog(launcher, &["--timeout", "240"], &steps)?.expect_status(0)?;
    fixture::keep_log("system::a_half_typed_line_comes_again", &finished.output)
}

/// Blocks of lines that the quiet domain prints, and how many lines a block has: less than a ring full.
const BLOCKS: usize = 6;
const LINES: usize = 30;

/// A line of the quiet domain.
fn line(block: usize, number: usize) -> String {
    format!("block {block} line {number} of a domain in no hurry")
}

/// A tree for domains that print: `/etc/again` does so for ever, `/etc/blocks` now and then.
fn printing_initrd(out: &Path) -> Outcome {
    let tree = tempfile::tempdir()?;
    initrd::populate_domain(tree.path())?;
    let etc = tree.path().join("etc");
    let mut blocks = String::new();
    for block in 0..BLOCKS {
        let lines: String = (0..LINES).map(|number| line(block, number) + "\n").collect();
        std::fs::write(etc.join(format!("block{block}")), lines)?;
        blocks += &format!("cat /etc/block{block}\nsleep 1\n");
    }
    std::fs::write(etc.join("blocks"), blocks + "echo all-$?-done\nsleep 1000\n")?;
    std::fs::write(etc.join("flood"), "a flood of lines\n".repeat(4000))?;
    std::fs::write(etc.join("again"), "cat /etc/flood\nexec sh /etc/again\n")?;
    initrd::from_user(tree.path(), out)?;
    Ok(())
}

/// A domain prints without end, another one blocks of lines, each with one system call: all of them arrive, in their order,
/// and between two of a block there is at most one line of the flood.
fn flood(launcher: &Path) -> Outcome {
    prepare()?;
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("prints.cpio");
    printing_initrd(&archive)?;
    let create = |name: &str, script: &str| {
        format!(
            "create {name} --kernel mini-guest --initrd prints.cpio --memory 8M --show --append \"-- /bin/sh {script}\""
        )
    };
    let begin = format!(
        "{}; {}\n",
        create("flood", "/etc/again"),
        create("calm", "/etc/blocks")
    );
    let steps: [(&str, &[u8]); 2] = [
        (PROMPT, begin.as_bytes()),
        ("calm: all-0-done\r\n", b"destroy flood calm\npoweroff\n"),
    ];
    let module = archive.display().to_string();
    let args = ["--timeout", "240", "--dom0", ",autostart=no", "--module", &module];
    let finished = dialog(launcher, &args, &steps)?.expect_status(0)?;
    fixture::keep_log("system::a_flood_delays_others_by_a_line", &finished.output)?;
    let mut awaited = (0..BLOCKS).flat_map(|block| (0..LINES).map(move |number| (block, number)));
    let (mut between, mut floods) = (0, 0);
    for text in finished.output.lines() {
        // A prompt that was wiped off stands before.
        let text = text
            .trim_end_matches('\r')
            .rsplit('\r')
            .next()
            .unwrap_or_default();
        if text == "flood: a flood of lines" {
            (between, floods) = (between + 1, floods + 1);
        } else if text.starts_with("calm: block") {
            let Some((block, number)) = awaited.next() else {
                return Err(Stop::Fail(format!("one more: {text:?}")));
            };
            check!(
                text == format!("calm: {}", line(block, number)),
                "{text:?} instead of block {block} line {number}"
            );
            check!(
                number == 0 || between <= 1,
                "{between} lines of the flood before line {number} of block {block}"
            );
            between = 0;
        }
    }
    check!(awaited.next().is_none(), "not all lines arrived");
    check!(floods > BLOCKS * LINES, "only {floods} lines: that is no flood");
    Ok(())
}

/// What programs print is not in the log, what the hypervisor says is.
fn log() -> Outcome {
    let name = "system::dmesg_is_the_hypervisors_log";
    let record = session(
        name,
        "echo printed-$?-here\necho begin-$?\ndmesg\necho end-$?\npoweroff\n",
    )?;
    has_lines(&record, &["printed-0-here", "begin-0", "end-0"])?;
    let shown = record.text.split_once("begin-0").map_or("", |(_, rest)| rest);
    let shown = shown.split_once("end-0").map_or(shown, |(log, _)| log);
    check!(
        shown.contains("xenlite ") && shown.contains("Domain0 starts") && !shown.contains("printed-0-here"),
        "{shown}"
    );
    Ok(())
}

/// `info` of a crashed domain: addresses get names where the kernel is a boot module, and stay bare where it is a file.
fn names() -> Outcome {
    let create = |name, kernel| {
        format!("create {name} --kernel {kernel} --memory 8M --no-initrd --on-crash preserve\n")
    };
    let keys = format!(
        "cat /boot/mini-guest > /tmp/kernel\n{}{}sleep 2\ninfo module\ninfo file\ndestroy module file\npoweroff\n",
        create("module", "mini-guest"),
        create("file", "/tmp/kernel"),
    );
    let record = session("system::only_known_kernels_have_names", &keys)?;
    let shown: Vec<&str> = record
        .text
        .lines()
        .filter(|line| line.contains(": cs:eip "))
        .collect();
    let is_named = |line: &&str| line.contains("mini-guest/src") || line.contains("mini_guest::");
    check!(
        matches!(&shown[..], [module, file] if is_named(module) && !is_named(file)),
        "{shown:#?}\n{}",
        fixture::tail(&record.text)
    );
    Ok(())
}
