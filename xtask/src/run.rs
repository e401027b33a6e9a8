//! The subcommand `run`: build all, boot it, attend the console, say how it ended.

use crate::boot_image;
use crate::cli::RunArgs;
use crate::console::Console;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::status::{Ending, Verdict};
use crate::{terminal, workspace};
use anyhow::{Context, Result};
use std::fs::File;
use std::time::Instant;

/// Boots what `args` describe; gives the exit status.
///
/// # Errors
/// Whatever keeps the machine from starting.
pub fn run(args: &RunArgs) -> Result<i32> {
    terminal::catch_signals();
    let machine = Machine::from_args(args)?;
    let log = match &args.log {
        Some(path) => {
            Some(File::create(path).with_context(|| format!("cannot write the log {}", path.display()))?)
        }
        None => None,
    };
    let work = tempfile::tempdir_in(workspace::scratch()?).context("cannot create a temporary directory")?;
    let image = boot_image::prepare(&args.content, work.path())?;
    let stays_off = args
        .content
        .append
        .split_whitespace()
        .any(|word| word == "noreboot");
    let deadline = args.timeout.map(|limit| Instant::now() + limit);
    let mut keyboard = None;
    loop {
        let files = tempfile::tempdir_in(work.path()).context("cannot create a temporary directory")?;
        let running = machine.start(&image, files.path())?;
        let console = Console {
            // Only now: a terminal in raw mode would garble the steps before.
            keyboard: keyboard.get_or_insert_with(Keyboard::of_stdin),
            is_shown: true,
            log: log.as_ref(),
            deadline,
            symbols: image.symbols(),
        };
        let record = console.attend(running)?;
        if record.ending == Ending::Verdict(Verdict::Reboot) && !stays_off {
            eprintln!("{}; starting the machine again", record.ending);
            continue;
        }
        terminal::restore();
        if record.ending.status() != crate::status::OK {
            if !record.text.is_empty() && !record.text.ends_with('\n') {
                eprintln!();
            }
            eprintln!("xenlite: {}", record.ending);
        }
        return Ok(record.ending.status());
    }
}
