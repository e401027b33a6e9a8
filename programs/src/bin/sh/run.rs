//! Running lists: chains, pipelines, and the processes of a pipeline.

use alloc::vec::Vec;

use programs::abi::O_RDONLY;
use programs::errno::{Errno, Result};
use programs::io::{STDIN, STDOUT, Text};
use programs::process::{self, Ended};
use programs::signal::{self, Action, SIGINT, SIGPIPE};
use programs::{eprintln, io, sys, terminal};
use shell_lang::expand;
use shell_lang::parse::{Chain, Command, Condition, List, Pipeline, Redirect};

use crate::redirect::{self, Temporary};
use crate::shell::{SHIELDED, Shell};
use crate::{builtins, find};

/// A command with its parameters replaced.
struct Expanded<'a> {
    assignments: Vec<(Vec<u8>, Vec<u8>)>,
    words: Vec<Vec<u8>>,
    redirects: &'a [Redirect],
}

impl Shell {
    /// Runs a list; stops when the user has interrupted a command, or at `exit`.
    pub fn run_list(&mut self, list: &List) {
        for chain in list {
            let interrupted = if chain.background {
                self.run_background(chain)
            } else {
                self.run_chain(chain)
            };
            if interrupted || self.leave.is_some() {
                return;
            }
        }
    }

    /// Runs pipelines under their conditions; true when the user has interrupted one.
    fn run_chain(&mut self, chain: &Chain) -> bool {
        let mut interrupted = self.run_pipeline(&chain.first);
        for (condition, pipeline) in &chain.rest {
            if interrupted || self.leave.is_some() {
                break;
            }
            if (*condition == Condition::Success) == (self.status == 0) {
                interrupted = self.run_pipeline(pipeline);
            }
        }
        interrupted
    }

    fn run_background(&mut self, chain: &Chain) -> bool {
        // One pipeline runs as it is; a chain needs a shell of its own to judge the conditions.
        let (started, text) = if chain.rest.is_empty() && !chain.first.negated {
            let commands = self.expand(&chain.first);
            (self.start(&commands, false), describe(&commands))
        } else {
            let text = describe(&self.expand(&chain.first));
            let started = process::spawn(|| {
                self.become_child(0, false);
                silence_input();
                self.run_chain(chain);
                self.leave.unwrap_or(self.status)
            });
            (
                started
                    .map(|pid| [pid].to_vec())
                    .map_err(|error| (Vec::new(), error)),
                text,
            )
        };
        let pids = match started {
            Ok(pids) => pids,
            Err((pids, error)) => {
                eprintln!("sh: {error}");
                pids
            }
        };
        if let Some(&last) = pids.last() {
            let number = self.jobs.add(pids, text);
            if self.interactive {
                eprintln!("[{number}] {last}");
            }
            self.status = 0;
        } else {
            self.status = 1;
        }
        false
    }

    fn run_pipeline(&mut self, pipeline: &Pipeline) -> bool {
        let commands = self.expand(pipeline);
        let (status, interrupted) = match &commands[..] {
            [command] if command.words.is_empty() => (self.assign(command), false),
            [command] => match builtins::find(&command.words) {
                Some(builtin) => (self.run_builtin(command, builtin), false),
                None => self.run_in_foreground(&commands),
            },
            _ => self.run_in_foreground(&commands),
        };
        self.status = if pipeline.negated {
            i32::from(status == 0)
        } else {
            status
        };
        interrupted
    }

    fn expand<'a>(&self, pipeline: &'a Pipeline) -> Vec<Expanded<'a>> {
        pipeline
            .commands
            .iter()
            .map(|command| self.expand_command(command))
            .collect()
    }

    fn expand_command<'a>(&self, command: &'a Command) -> Expanded<'a> {
        let fields = command.words.iter().flat_map(|word| expand::fields(word, self));
        Expanded {
            assignments: command
                .assignments
                .iter()
                .map(|(name, word)| (name.clone(), expand::text(word, self)))
                .collect(),
            words: fields.flat_map(|field| find::names(&field)).collect(),
            redirects: &command.redirects,
        }
    }

    /// No program: assignments stay, redirections only make their files.
    fn assign(&mut self, command: &Expanded<'_>) -> i32 {
        for (name, value) in &command.assignments {
            self.set(name, value.clone());
        }
        match Temporary::apply(self, command.redirects) {
            Ok(_) => 0,
            Err(message) => complain(&message),
        }
    }

    fn run_builtin(&mut self, command: &Expanded<'_>, builtin: fn(&mut Shell, &[Vec<u8>]) -> i32) -> i32 {
        let temporary = match Temporary::apply(self, command.redirects) {
            Ok(temporary) => temporary,
            Err(message) => return complain(&message),
        };
        let status = builtin(self, &command.words);
        drop(temporary);
        status
    }

    /// Starts the processes and waits for them; gives the status and whether the user interrupted the last one.
    fn run_in_foreground(&mut self, commands: &[Expanded<'_>]) -> (i32, bool) {
        let (pids, failure) = match self.start(commands, true) {
            Ok(pids) => (pids, None),
            Err((pids, error)) => (pids, Some(error)),
        };
        let mut last = Ended::Exited(0);
        let mut killed = false;
        for &pid in &pids {
            match process::wait_for(pid) {
                Ok((_, ended)) => last = ended,
                Err(error) => eprintln!("sh: wait: {error}"),
            }
            killed |= matches!(last, Ended::Killed(_));
        }
        self.take_terminal_back(killed);
        if let Some(error) = failure {
            return (complain(error.text().unwrap_or("no process")), false);
        }
        match last {
            Ended::Killed(SIGINT) => io::out(b"\n"),
            Ended::Killed(SIGPIPE) | Ended::Exited(_) => {}
            Ended::Killed(number) => eprintln!("{}", signal::words(number)),
        }
        (last.status(), self.interactive && last == Ended::Killed(SIGINT))
    }

    /// Starts one process for each command, connected by pipes.
    ///
    /// # Errors
    /// What failed, with the processes that were started before.
    fn start(
        &mut self,
        commands: &[Expanded<'_>],
        foreground: bool,
    ) -> core::result::Result<Vec<i32>, (Vec<i32>, Errno)> {
        let mut pids: Vec<i32> = Vec::new();
        let mut input = None;
        for (index, command) in commands.iter().enumerate() {
            let group = pids.first().copied().unwrap_or(0);
            let last = index + 1 == commands.len();
            let started = self.start_one(command, &mut input, last, group, foreground);
            match started {
                Ok(pid) => pids.push(pid),
                Err(error) => {
                    if let Some(fd) = input {
                        let _ = sys::close(fd);
                    }
                    return Err((pids, error));
                }
            }
        }
        Ok(pids)
    }

    /// Starts one command. Takes its standard input from `input`, leaves there what the next one reads.
    fn start_one(
        &mut self,
        command: &Expanded<'_>,
        input: &mut Option<i32>,
        last: bool,
        group: i32,
        foreground: bool,
    ) -> Result<i32> {
        let pipe = if last { None } else { Some(sys::pipe()?) };
        let from = *input;
        let started = process::spawn(|| {
            self.become_child(group, foreground);
            if !foreground && from.is_none() {
                silence_input();
            }
            if let Some(from) = from {
                let _ = redirect::move_to(from, STDIN);
            }
            if let Some((read_end, write_end)) = pipe {
                let _ = sys::close(read_end);
                let _ = redirect::move_to(write_end, STDOUT);
            }
            self.run_in_child(command)
        });
        if let Some(from) = input.take() {
            let _ = sys::close(from);
        }
        if let Some((read_end, write_end)) = pipe {
            let _ = sys::close(write_end);
            if started.is_ok() {
                *input = Some(read_end);
            } else {
                let _ = sys::close(read_end);
            }
        }
        if self.job_control
            && let Ok(pid) = started
        {
            // Both sides do it, since nobody knows who runs first.
            let group = if group == 0 { pid } else { group };
            let _ = sys::setpgid(pid, group);
            if foreground {
                let _ = terminal::set_foreground(STDIN, group);
            }
        }
        started
    }

    /// What a new process does before anything else: its group, the terminal, the signals.
    fn become_child(&mut self, group: i32, foreground: bool) {
        if self.job_control {
            let _ = sys::setpgid(0, group);
            if foreground {
                let group = if group == 0 { sys::getpid() } else { group };
                let _ = terminal::set_foreground(STDIN, group);
            }
        }
        if self.interactive {
            for number in SHIELDED {
                let _ = signal::simple(number, Action::Default);
            }
        }
        self.interactive = false;
        self.job_control = false;
        self.jobs.forget();
    }

    /// Redirects and becomes the program; comes back with a status when it cannot, or after a builtin.
    fn run_in_child(&mut self, command: &Expanded<'_>) -> i32 {
        if let Err(message) = redirect::apply(self, command.redirects) {
            return complain(&message);
        }
        for (name, value) in &command.assignments {
            self.set(name, value.clone());
            self.export(name);
        }
        let Some(name) = command.words.first() else {
            return 0;
        };
        if let Some(builtin) = builtins::find(&command.words) {
            let status = builtin(self, &command.words);
            return self.leave.unwrap_or(status);
        }
        let Some(path) = find::program(self, name) else {
            eprintln!("sh: {}: not found", Text(name));
            return 127;
        };
        let arguments = process::c_strings(command.words.iter().map(Vec::as_slice));
        let environment = self.environment();
        let error = sys::execve(&path, &arguments, &environment);
        if error == Errno::ENOEXEC {
            // A script, for this very shell.
            let mut words: Vec<&[u8]> = [&b"sh"[..], &path].into();
            words.extend(command.words[1..].iter().map(Vec::as_slice));
            return process::execute(b"/bin/sh", &process::c_strings(words.into_iter()), &environment);
        }
        eprintln!("sh: {}: {error}", Text(name));
        if error == Errno::ENOENT { 127 } else { 126 }
    }
}

/// A background process reads nothing.
fn silence_input() {
    if let Ok(null) = sys::open(b"/dev/null", O_RDONLY, 0) {
        let _ = redirect::move_to(null, STDIN);
    }
}

fn complain(message: &str) -> i32 {
    eprintln!("sh: {message}");
    1
}

/// A pipeline as text, for the list of jobs.
fn describe(commands: &[Expanded<'_>]) -> Vec<u8> {
    let commands: Vec<Vec<u8>> = commands.iter().map(|command| command.words.join(&b' ')).collect();
    commands.join(&b" | "[..])
}
