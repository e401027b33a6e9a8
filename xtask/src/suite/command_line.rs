//! The launcher as a person uses it: a program with arguments, standard input and an exit status.

use super::Stop;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the launcher came to.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub output: String,
    /// What it complained about.
    pub complaints: String,
}

impl Finished {
    /// Checks the exit status.
    ///
    /// # Errors
    /// Another status, with all that was printed.
    pub fn expect_status(self, status: i32) -> Result<Self, Stop> {
        if self.status == status {
            return Ok(self);
        }
        let (found, output, complaints) = (self.status, super::fixture::tail(&self.output), self.complaints);
        Err(Stop::Fail(format!(
            "status {found} instead of {status}\n{output}\n{complaints}"
        )))
    }

    /// Checks that the output has each of `texts`, in this order.
    ///
    /// # Errors
    /// Names the first text that is missing.
    pub fn expect_output(self, texts: &[&str]) -> Result<Self, Stop> {
        let mut rest = self.output.as_str();
        for text in texts {
            let Some(at) = rest.find(text) else {
                return Err(Stop::Fail(format!(
                    "the output lacks {text:?}\n{}",
                    super::fixture::tail(&self.output)
                )));
            };
            rest = &rest[at + text.len()..];
        }
        Ok(self)
    }
}

/// Standard input of a run.
#[derive(Debug, Clone, Copy)]
pub enum Stdin<'a> {
    /// A pipe with this text, then its end.
    Text(&'a [u8]),
    /// No file at all: the descriptor is closed.
    Closed,
    /// A pipe that never says anything and never ends.
    Silent,
}

/// Runs the launcher to its end. A time limit belongs into `args`.
///
/// # Errors
/// When it cannot be run.
pub fn launch(launcher: &Path, args: &[&str], stdin: Stdin) -> Result<Finished, Stop> {
    let mut command = match stdin {
        Stdin::Closed => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$0\" \"$@\" <&-"]).arg(launcher);
            shell
        }
        _ => Command::new(launcher),
    };
    // The log goes to pipes, which are read while the text is typed: neither side may wait for the other.
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut pipe = child.stdin.take().expect("piped");
    let (text, is_silent) = match stdin {
        Stdin::Text(text) => (text.to_vec(), false),
        Stdin::Closed => (Vec::new(), false),
        Stdin::Silent => (Vec::new(), true),
    };
    let output = std::thread::scope(|scope| {
        let typist = scope.spawn(move || {
            // The launcher may end before it has read everything.
            let _ = pipe.write_all(&text);
            is_silent.then_some(pipe)
        });
        let output = child.wait_with_output();
        // Only here a silent pipe may end.
        drop(typist.join());
        output
    });
    let output = output?;
    Ok(Finished {
        status: output.status.code().unwrap_or(-1),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs the launcher to its end and types like a person: each text when the output behind the one before has what is waited
/// for. After the last one the input ends.
///
/// # Errors
/// When it cannot be run.
pub fn dialog(launcher: &Path, args: &[&str], steps: &[(&str, &[u8])]) -> Result<Finished, Stop> {
    let mut command = Command::new(launcher);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut keys = child.stdin.take();
    let mut screen = child.stdout.take().expect("piped");
    let mut errors = child.stderr.take().expect("piped");
    let complaints = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What was read before an error is what there is to tell.
        let _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (mut seen, mut from, mut steps) = (String::new(), 0, steps.iter());
    let mut next = steps.next();
    let mut buffer = [0; 4096];
    loop {
        while let Some((awaited, text)) = next {
            let Some(at) = seen[from..].find(awaited) else {
                break;
            };
            from += at + awaited.len();
            if let Some(keys) = &mut keys {
                keys.write_all(text)?;
            }
            next = steps.next();
        }
        if next.is_none() {
            keys = None;
        }
        match screen.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => seen.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    drop(keys);
    let status = child.wait()?.code().unwrap_or(-1);
    let complaints = complaints.join().expect("the reader does not panic");
    if let Some((awaited, _)) = next {
        let (tail, log) = (super::fixture::tail(&seen), format!("dialog-{}", child.id()));
        super::fixture::keep_log(&log, &seen)?;
        return Err(Stop::Fail(format!(
            "waited in vain for {awaited:?}; all of it is in {log}.log\n{tail}\n{complaints}"
        )));
    }
    Ok(Finished {
        status,
        output: seen,
        complaints,
    })
}
