//! The machine's own keyboard: what is typed there goes where the serial line's typing goes.

use super::{has_lines, image, powered_off};
use crate::check;
use crate::cli::Chipset;
use crate::console::Console;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::suite::{Outcome, Stop, Test, fixture};
use crate::workspace;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![
        Test::new("system::the_keyboard_types", types),
        Test::new(
            "system::a_machine_without_serial_line_is_used_by_its_keyboard",
            without_serial,
        ),
    ]
}

/// The monitor's command that presses and releases the keys for a character.
fn press(character: char) -> String {
    let key = match character {
        '\n' => "ret".into(),
        ' ' => "spc".into(),
        '-' => "minus".into(),
        '_' => "shift-minus".into(),
        '$' => "shift-4".into(),
        '?' => "shift-slash".into(),
        '/' => "slash".into(),
        'A'..='Z' => format!("shift-{}", character.to_ascii_lowercase()),
        _ => character.into(),
    };
    format!("sendkey {key}")
}

/// Letters of both sizes, signs, and keys that correct what was typed.
fn types() -> Outcome {
    let test = "system::the_keyboard_types";
    let type_in = |text: &str| text.chars().map(press).collect::<Vec<_>>();
    let mut commands = type_in("no");
    commands.push("sendkey ctrl-u".into());
    commands.extend(type_in("echo Keys_of-$?x"));
    commands.push("sendkey backspace".into());
    commands.extend(type_in("\npoweroff\n"));
    // The shell is there when it has said how to be asked for help.
    let reactions = commands
        .into_iter()
        .map(|command| ("for what this shell can do".into(), command));
    let machine = Machine {
        reactions: reactions.collect(),
        ..Machine::default()
    };
    let image = image(&fixture::programs()?, "")?;
    let record = fixture::boot(test, &machine, &image, Keyboard::idle(), fixture::LIMIT)?;
    powered_off(&record)?;
    has_lines(&record, &["Keys_of-0"])
}

/// Nothing can be seen of such a machine from here but its end; so the same is typed until that comes. What firmware and loader
/// take of it leaves a line that is no command.
fn without_serial() -> Outcome {
    const AGAIN: Duration = Duration::from_secs(5);
    let machine = Machine {
        has_serial: false,
        chipset: Chipset::Pc,
        // A monitor is there for those who may ask something.
        monitor: vec!["info status".into()],
        ..Machine::default()
    };
    fixture::need(&fixture::tools_of(&machine))?;
    let image = image(&fixture::programs()?, "")?;
    let work = tempfile::tempdir_in(workspace::scratch()?)?;
    let mut running = machine.start(&image, work.path())?;
    let Some(mut monitor) = running.monitor.take() else {
        return Err(Stop::Fail("no monitor".into()));
    };
    let is_over = AtomicBool::new(false);
    let record = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut typed = None::<Instant>;
            while !is_over.load(Ordering::SeqCst) {
                if typed.is_none_or(|at| at.elapsed() >= AGAIN) {
                    "\npoweroff\n".chars().for_each(|key| monitor.ask(&press(key)));
                    typed = Some(Instant::now());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let console = Console {
            keyboard: &mut Keyboard::idle(),
            is_shown: false,
            log: None,
            deadline: Some(Instant::now() + fixture::LIMIT),
            symbols: image.symbols(),
        };
        let record = console.attend(running);
        is_over.store(true, Ordering::SeqCst);
        record
    })?;
    check!(
        record.text.is_empty(),
        "a line that is not there printed {:?}",
        record.text
    );
    powered_off(&record)
}
