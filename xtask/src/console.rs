//! The console of a running machine: what it prints goes to the terminal, the log and the record, what is typed goes in.
//!
//! * Nothing is typed before the hypervisor's banner: firmware and boot loaders read the serial port too, and the guest's
//!   UART forgets what came before its set-up.
//! * When the typed input ends, Ctrl-D follows, and again whenever the console falls silent: the end of a file is met by
//!   every reader, not only by the first.
//! * Addresses of stack traces get their function, file and line (see [`crate::symbols`]).

use crate::keyboard::{Ear, Keyboard, Typed};
use crate::machine::{Monitor, Running};
use crate::status::{Ending, Verdict};
use crate::symbols::{Annotator, Images, Symbols};
use crate::terminal;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the loops look whether the machine is over.
const TICK: Duration = Duration::from_millis(20);
/// When to type all the same if no banner shows up (it may be on a screen).
const NO_BANNER: Duration = Duration::from_secs(60);
/// How long the console is silent before Ctrl-D is typed again; doubled each time, up to the maximum.
const SILENCE: Duration = Duration::from_secs(1);
const MAX_SILENCE: Duration = Duration::from_secs(16);
/// End of file, typed.
const CTRL_D: u8 = 4;

/// Who attends the console, and for how long.
pub struct Console<'a> {
    /// What is typed.
    pub keyboard: &'a mut Keyboard,
    /// Whether standard output shows the console.
    pub is_shown: bool,
    /// Where a copy goes.
    pub log: Option<&'a File>,
    /// When the machine is stopped.
    pub deadline: Option<Instant>,
    /// ELF files with the symbols of what runs.
    pub symbols: Images,
}

/// What came of it.
#[derive(Debug)]
pub struct Record {
    /// How the machine ended.
    pub ending: Ending,
    /// All that it printed.
    pub text: String,
}

/// What the console's threads tell each other.
struct Shared {
    is_over: AtomicBool,
    has_banner: AtomicBool,
    reader_gone: AtomicBool,
    last_output: Mutex<Instant>,
}

impl Console<'_> {
    /// Attends `running` to its end.
    ///
    /// # Errors
    /// When the emulator cannot be waited for.
    pub fn attend(self, mut running: Running) -> Result<Record> {
        let _attending = terminal::Attending::begin();
        let shared = Shared {
            is_over: AtomicBool::new(false),
            has_banner: AtomicBool::new(false),
            reader_gone: AtomicBool::new(false),
            last_output: Mutex::new(Instant::now()),
        };
        let left = self.keyboard.has_left();
        let (input, output, complaints) = (running.input.take(), running.output, running.complaints.take());
        let (sinks, keyboard) = (
            Sinks {
                is_shown: self.is_shown,
                log: self.log,
                symbols: self.symbols,
                monitor: running.monitor.take(),
                ear: self.keyboard.take_ear(),
            },
            self.keyboard,
        );
        std::thread::scope(|scope| {
            let shared = &shared;
            let reader = scope.spawn(move || sinks.read(output, shared));
            let complaints = scope.spawn(move || {
                let mut text = Vec::new();
                // Whatever was read before an error is what there is to tell.
                let _ = complaints.map(|mut pipe| pipe.read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            });
            if let Some(input) = input {
                // A scoped thread borrows the keyboard mutably: no other machine reads it meanwhile.
                let keyboard: &mut Keyboard = keyboard;
                scope.spawn(move || type_into(input, keyboard, shared));
            }
            let stopped = loop {
                if let Some(status) = running.child.try_wait().context("cannot wait for the emulator")? {
                    break Ok(status);
                }
                let has_left = left.load(Ordering::SeqCst) || shared.reader_gone.load(Ordering::SeqCst);
                if has_left || terminal::is_interrupted() {
                    break Err(Ending::Left);
                }
                if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    break Err(Ending::TimedOut);
                }
                std::thread::sleep(TICK);
            };
            if stopped.is_err() {
                // An error means that it ended in this moment.
                let _ = running.child.kill();
                running.child.wait().context("cannot wait for the emulator")?;
            }
            shared.is_over.store(true, Ordering::SeqCst);
            let (text, announced) = reader.join().expect("the reader does not panic");
            let complaints = complaints.join().expect("the reader does not panic");
            let ending = match stopped {
                Ok(status) => (running.interpret)(status, announced, &complaints),
                Err(ending) => ending,
            };
            Ok(Record { ending, text })
        })
    }
}

/// Where the console's output goes.
struct Sinks<'a> {
    is_shown: bool,
    log: Option<&'a File>,
    symbols: Images,
    monitor: Option<Monitor>,
    ear: Option<Ear>,
}

impl Sinks<'_> {
    /// Reads to the end; gives all the text and the verdict that its last lines announce.
    fn read(mut self, mut output: Box<dyn Read + Send>, shared: &Shared) -> (String, Option<Verdict>) {
        let mut annotator = Annotator::new(Symbols::of(std::mem::take(&mut self.symbols)));
        let (mut text, mut line_start) = (Vec::new(), 0);
        let mut announced = None;
        let mut buffer = [0; 4096];
        loop {
            let count = match output.read(&mut buffer) {
                Ok(0) if !shared.is_over.load(Ordering::SeqCst) => {
                    // A log file that grows; a pipe ends only with its emulator.
                    std::thread::sleep(TICK);
                    continue;
                }
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            *shared.last_output.lock().expect("nobody panics with it") = Instant::now();
            let from = text.len();
            if let Some(ear) = &mut self.ear {
                ear.hear(&buffer[..count]);
            }
            annotator.feed(&buffer[..count], &mut text);
            self.show(&text[from..], shared);
            while let Some(length) = text[line_start..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&text[line_start..line_start + length]);
                announced = Verdict::from_line(&line).or(announced);
                if let Some(monitor) = &mut self.monitor {
                    monitor.hear(&line);
                }
                if is_banner(&line) {
                    shared.has_banner.store(true, Ordering::SeqCst);
                }
                line_start += length + 1;
            }
        }
        (String::from_utf8_lossy(&text).into_owned(), announced)
    }

    fn show(&mut self, bytes: &[u8], shared: &Shared) {
        if self.is_shown {
            let mut stdout = std::io::stdout().lock();
            if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
                shared.reader_gone.store(true, Ordering::SeqCst);
                self.is_shown = false;
            }
        }
        if let Some(mut log) = self.log
            && let Err(error) = log.write_all(bytes)
        {
            eprintln!("warning: cannot write the log: {error}");
            self.log = None;
        }
    }
}

/// Whether this line of the log says that the hypervisor has set up its console: its name and version.
fn is_banner(line: &str) -> bool {
    line.match_indices("xenlite ").any(|(at, name)| {
        line.as_bytes()
            .get(at + name.len())
            .is_some_and(u8::is_ascii_digit)
    })
}

/// Types what comes from the keyboard, then the end of file, until the machine is over.
fn type_into(mut input: Box<dyn Write + Send>, keyboard: &mut Keyboard, shared: &Shared) {
    let started = Instant::now();
    let is_over = || shared.is_over.load(Ordering::SeqCst);
    while !shared.has_banner.load(Ordering::SeqCst) && started.elapsed() < NO_BANNER {
        if is_over() {
            return;
        }
        std::thread::sleep(TICK);
    }
    let mut last = b'\n';
    let (mut silence, mut last_end) = (SILENCE, None::<Instant>);
    while !is_over() {
        let typed = match keyboard.read(TICK) {
            Typed::Nothing => continue,
            Typed::Bytes(bytes) => bytes,
            Typed::End => {
                let quiet_since = *shared.last_output.lock().expect("nobody panics with it");
                if last_end.is_some_and(|end| end.max(quiet_since).elapsed() < silence) {
                    std::thread::sleep(TICK);
                    continue;
                }
                if last_end.replace(Instant::now()).is_some() {
                    silence = (silence * 2).min(MAX_SILENCE);
                }
                // An unfinished line would swallow the first Ctrl-D.
                if last == b'\n' || last == CTRL_D {
                    vec![CTRL_D]
                } else {
                    vec![b'\n', CTRL_D]
                }
            }
        };
        last = typed.last().copied().unwrap_or(last);
        // The pipe is full while the guest does not read; it breaks when the machine is over.
        if input.write_all(&typed).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_is_the_name_with_a_version() {
        assert!(is_banner("xenlite 0.1.0 (64-bit)"));
        assert!(is_banner("[    0.000000] xenlite 2.0"));
        assert!(!is_banner("Booting `xenlite'"));
        assert!(!is_banner("xenlite "));
        assert!(!is_banner("error: xenlite not found"));
    }
}
