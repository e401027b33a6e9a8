//! What a person watches and sets while domains run: `top`, `sched`, the clock, settings from files.

use super::has_lines;
use super::session::{PROMPT, attend, busy_initrd, image, json_behind, prepare, session};
use crate::check;
use crate::keyboard::{Keyboard, Step};
use crate::suite::command_line::dialog;
use crate::suite::{Outcome, Test, fixture};
use std::path::Path;
use std::sync::Arc;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let cli = |name: &str, run: fn(&Path) -> Outcome| {
        let launcher = Arc::clone(launcher);
        Test::new(format!("system::{name}"), move || run(&launcher))
    };
    vec![
        cli("top_is_refreshed_in_place", top_in_place),
        Test::new("system::top_follows_sched", top_follows_sched),
        cli("the_clock_is_domain0s_to_set", clock),
        Test::new("system::settings_come_from_files", settings),
    ]
}

/// What `top` writes before each screen: the cursor goes to the upper left corner, and the screen is cleared from there on.
const HOME: &str = "\x1b[H\x1b[J";

/// On a terminal each look is written over the one before, until a key; then the terminal is as before.
fn top_in_place(launcher: &Path) -> Outcome {
    prepare()?;
    let steps: [(&str, &[u8]); 9] = [
        (PROMPT, b"top -d 0.3\n"),
        (HOME, b""),
        ("q leaves", b""),
        (HOME, b""),
        ("q leaves", b""),
        (HOME, b""),
        ("q leaves", b"q"),
        (PROMPT, b"echo after-$?\n"),
        ("echo after-$?\r\nafter-0\r\n", b"poweroff\n"),
    ];
    let finished = dialog(launcher, &["--timeout", "240"], &steps)?.expect_status(0)?;
    fixture::keep_log("system::top_is_refreshed_in_place", &finished.output)?;
    let mut screens = finished.output.split(HOME).skip(1).peekable();
    while let Some(screen) = screens.next() {
        let lines: Vec<&str> = screen.lines().map(|line| line.trim_end_matches('\r')).collect();
        let begins = lines.first().is_some_and(|line| line.starts_with("top - "));
        check!(begins && lines.len() > 5, "{screen:?}");
        for name in ["Domain-0", "one", "two"] {
            let rows = lines.iter().filter(|line| line.trim_start().starts_with(name));
            check!(rows.count() == 1, "{name} once in {screen:?}");
        }
        // All lines of a screen end where the next one begins: nothing scrolls.
        if screens.peek().is_some() {
            check!(lines.len() < 24 && screen.ends_with("q leaves\r\n"), "{screen:?}");
            check!(!screen.contains('\x1b'), "{screen:?}");
        }
    }
    Ok(())
}

/// How much of what `a` and `b` used was `a`'s, as `top --json` says it; none where one of them used nothing.
fn share_of_a(rows: &str) -> f64 {
    let rows = fixture::without_log(rows);
    let begin = rows.find('[').unwrap_or(rows.len());
    let mut values = serde_json::Deserializer::from_str(&rows[begin..]).into_iter::<serde_json::Value>();
    let Some(Ok(rows)) = values.next() else {
        return f64::NAN;
    };
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    let used = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name);
        row.and_then(|row| row["cpu_used_ns"].as_f64()).unwrap_or(0.0)
    };
    used("a") / (used("a") + used("b"))
}

/// Two busy domains have equal shares; then `sched` gives one three times the weight of the other.
fn top_follows_sched() -> Outcome {
    let initrd = busy_initrd()?;
    let steps = vec![
        Step::keys("create a --kernel mini-guest --memory 8M\ncreate b --kernel mini-guest --memory 8M\n"),
        // Both have begun to burn the processor.
        Step::Until(
            "top --json -d 1".into(),
            Box::new(|rows| share_of_a(rows) > 0.4 && share_of_a(rows) < 0.6),
        ),
        Step::keys("echo first\ntop --json -d 6\nsched a --weight 768; echo set $?\n"),
        // What either had to its credit is used up.
        Step::Until("top --json -d 1".into(), Box::new(|rows| share_of_a(rows) > 0.7)),
        Step::keys(
            "echo second\ntop --json -d 6\necho third\nsched --json\nsched a --weight 0; echo none $?\ndestroy a b\npoweroff\n",
        ),
    ];
    let image = image("autostart=no", &initrd.path().join("busy.cpio"))?;
    let record = attend("system::top_follows_sched", &image, Keyboard::of_steps(steps))?;
    has_lines(&record, &["set 0", "none 1"])?;
    for (mark, weight, share) in [("first", 256, 0.5), ("second", 768, 0.75)] {
        let rows = json_behind(&record.text, mark)?;
        let row = |name: &str| {
            let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
            rows.iter()
                .find(|row| row["name"] == name)
                .cloned()
                .unwrap_or_default()
        };
        let used = |name: &str| row(name)["cpu_used_ns"].as_f64().unwrap_or(0.0);
        let found = used("a") / (used("a") + used("b"));
        check!(row("a")["weight"] == weight, "{rows:#}");
        check!(
            (found - share).abs() < 0.02,
            "{found:.3} instead of {share}\n{rows:#}"
        );
    }
    let sched = json_behind(&record.text, "third")?;
    let domains = sched["domains"].as_array().cloned().unwrap_or_default();
    let weight = |name: &str| {
        domains
            .iter()
            .find(|row| row["name"] == name)
            .map(|row| row["weight"].clone())
    };
    check!(
        weight("a") == Some(768.into()) && weight("b") == Some(256.into()),
        "{sched:#}"
    );
    Ok(())
}

/// Domain0 sets the clock, every domain sees it, and no other domain sets it.
fn clock(launcher: &Path) -> Outcome {
    prepare()?;
    let steps: [(&str, &[u8]); 9] = [
        (PROMPT, b"date -s '2030-01-02 03:04:05'\n"),
        (
            "Wed Jan  2 03:04:05 UTC 2030\r\n",
            b"date +%Y-%m-%d; console one\n",
        ),
        ("2030-01-02\r\n", b""),
        ("comes back)", b"date +%d.%m.%Y; date -s 12:00; echo set-$?\n"),
        ("02.01.2030\r\n", b""),
        ("not permitted", b""),
        ("set-1\r\n", b"\x1e"),
        (
            "back in Domain0",
            b"date -s noon; date +%Q; date -s @86400; date +%d-%b-%Y-$?\n",
        ),
        ("02-Jan-1970-0\r\n", b"poweroff\n"),
    ];
    let finished = dialog(launcher, &["--timeout", "240"], &steps)?.expect_status(0)?;
    finished.expect_output(&["date: `noon` is no time", "date: `%Q` is no format"])?;
    Ok(())
}

/// The example of every key is read, options go before it, and each mistake names its line.
fn settings() -> Outcome {
    let mistakes = [
        ("colour = 1", "colour"),
        ("memory = [ 1 ]", "memory"),
        ("on_crash = 'explode'", "explode"),
        ("memory = 64", "kernel"),
        ("name = '12'; kernel = 'mini-guest'", "12"),
    ];
    let mut keys = String::from("echo example\ncreate --dry-run /etc/xen/example.cfg\n");
    keys += "echo 'kernel = \"mini-guest\"; memory = 8 # enough' > /tmp/small.cfg\necho small\n";
    keys += "create --dry-run /tmp/small.cfg --weight 512\n";
    keys += "create /tmp/small.cfg --paused; echo made $?\nlist small\ndestroy small\n";
    for (text, _) in mistakes {
        let quoted = text.replace('\'', "\\\"");
        keys += &format!("echo \"{quoted}\" > /tmp/bad.cfg\ncreate /tmp/bad.cfg; echo bad $?\n");
    }
    keys += "poweroff\n";
    let record = session("system::settings_come_from_files", &keys)?;
    has_lines(&record, &["made 0", "bad 1", "bad 1", "bad 1", "bad 1", "bad 1"])?;
    let (example, small) = (
        json_behind(&record.text, "example")?,
        json_behind(&record.text, "small")?,
    );
    let is_as_written = example["name"] == "example"
        && example["kernel"] == "mini-guest"
        && example["memory_kib"] == 16_384
        && example["max_memory_kib"] == 32_768
        && example["weight"] == 256
        && example["on_poweroff"] == "destroy"
        && example["on_crash"] == "preserve"
        && example["console_show"] == false;
    check!(is_as_written, "{example:#}");
    check!(
        small["name"] == "small" && small["weight"] == 512 && small["memory_kib"] == 8192,
        "{small:#}"
    );
    for (text, word) in mistakes {
        let said = record
            .text
            .lines()
            .any(|line| line.starts_with("create: ") && line.contains(word));
        check!(said, "nothing said of {text:?}\n{}", fixture::tail(&record.text));
    }
    Ok(())
}
