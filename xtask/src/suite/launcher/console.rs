//! The launcher's console: typed input, its end, the key that leaves, and what is left behind (nothing).

use super::{run, stand_in};
use crate::check;
use crate::machine::Machine;
use crate::suite::command_line::{Finished, Stdin};
use crate::suite::{Outcome, fixture};
use crate::tools::Tool;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes that come faster than the kernel reads them: the UART's flow control must hold them back.
pub fn typed_input(launcher: &Path) -> Outcome {
    // Every byte but Ctrl-D, in a mixed order, with a line end last.
    let mut text: Vec<u8> = (0..50_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    text.retain(|byte| *byte != 4);
    text.push(b'\n');
    let checksum = text.iter().fold(1u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    let expected = format!("bytes {:#010x} checksum {checksum:#010x}", text.len());
    run(launcher, "count", &[], Stdin::Text(&text))?
        .expect_status(0)?
        .expect_output(&[&expected])?;
    // A line without its end gets one, so that the end of file is seen.
    run(launcher, "count", &[], Stdin::Text(b"ab"))?
        .expect_status(0)?
        .expect_output(&["bytes 0x00000003"])?;
    Ok(())
}

pub fn closed_input(launcher: &Path) -> Outcome {
    run(launcher, "count", &[], Stdin::Closed)?
        .expect_status(0)?
        .expect_output(&["bytes 0x00000000"])?;
    run(launcher, "count", &[], Stdin::Text(b""))?
        .expect_status(0)?
        .expect_output(&["bytes 0x00000000"])?;
    Ok(())
}

/// A pipe that stays open is no end of file.
pub fn silent_input(launcher: &Path) -> Outcome {
    run(launcher, "count", &["--timeout", "3"], Stdin::Silent)?.expect_status(124)?;
    Ok(())
}

/// On a terminal (made by script(1)) Ctrl-] ends the run, whatever the machine does, and the terminal is as before.
pub fn leaving_key(launcher: &Path) -> Outcome {
    fixture::need(&[Tool::Script])?;
    fixture::need(&fixture::tools_of(&Machine::default()))?;
    let (program, kernel) = (launcher.display(), stand_in()?);
    let run = format!(
        "{program} --hypervisor {} --dom0 - --append hang --timeout 60",
        kernel.display()
    );
    let mut child = Command::new("script")
        .args([
            "-qec",
            &format!("stty -a; {run}; echo \"status $?\"; stty -a"),
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut keys, mut screen) = (
        child.stdin.take().expect("piped"),
        child.stdout.take().expect("piped"),
    );
    let mut seen = Vec::new();
    let mut buffer = [0; 256];
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
        if String::from_utf8_lossy(&seen).contains("arguments <hang>") {
            keys.write_all(b"\x1d")?;
            break;
        }
    }
    screen.read_to_end(&mut seen)?;
    drop(keys);
    child.wait()?;
    let output = String::from_utf8_lossy(&seen).into_owned();
    let finished = Finished {
        status: 0,
        output,
        complaints: String::new(),
    };
    finished.expect_output(&[" icanon", "xenlite 0.0", "status 3", " icanon"])?;
    Ok(())
}

/// When the launcher is told to end, no emulator stays behind.
pub fn termination(launcher: &Path) -> Outcome {
    let kernel = stand_in()?;
    fixture::need(&fixture::tools_of(&Machine::default()))?;
    let mut child = Command::new(launcher)
        .args([
            "--hypervisor",
            &kernel.to_string_lossy(),
            "--dom0",
            "-",
            "--append",
            "hang",
            "--timeout",
            "60",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // The first byte of the console says that the machine runs.
    let mut first = [0; 1];
    child.stdout.as_mut().expect("piped").read_exact(&mut first)?;
    let emulators = children(child.id())?;
    check!(!emulators.is_empty(), "the launcher has no emulator");
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let sent = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
    check!(matches!(sent, Some(Ok(()))), "the launcher is gone already");
    let status = child.wait()?.code();
    check!(status == Some(3), "status {status:?}");
    for emulator in emulators {
        check!(
            !Path::new(&format!("/proc/{emulator}/exe")).exists(),
            "emulator {emulator} is left behind"
        );
    }
    Ok(())
}

/// The processes that `parent` started.
fn children(parent: u32) -> std::io::Result<Vec<String>> {
    let mut pids = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{parent}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("children"))?;
        pids.extend(text.split_whitespace().map(str::to_string));
    }
    Ok(pids)
}
