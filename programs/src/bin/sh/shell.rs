//! The shell's state: parameters, the last status, the terminal, and jobs.

use alloc::collections::BTreeMap;
use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;

use programs::abi::Termios;
use programs::args::Args;
use programs::io::STDIN;
use programs::process;
use programs::signal::{self, Action, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
use programs::{dir, sys, terminal};
use shell_lang::expand::Parameters;

use crate::jobs::Jobs;

/// Signals that an interactive shell does not die of; its children do.
pub const SHIELDED: [i32; 6] = [SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU];

struct Variable {
    value: Vec<u8>,
    exported: bool,
}

/// Everything that one shell process knows.
pub struct Shell {
    /// `$?`
    pub status: i32,
    /// Set by `exit`: leave with this status.
    pub leave: Option<i32>,
    /// Lines come from a terminal.
    pub interactive: bool,
    /// Each job has its own process group, and the terminal follows them.
    pub job_control: bool,
    /// What runs in the background.
    pub jobs: Jobs,
    variables: BTreeMap<Vec<u8>, Variable>,
    name: Vec<u8>,
    positional: Vec<Vec<u8>>,
    pid: i32,
    settings: Option<Termios>,
}

impl Shell {
    /// A shell with the environment that it was given.
    pub fn new(args: &Args) -> Shell {
        let mut variables = BTreeMap::new();
        for entry in args.environment() {
            if let Some(equals) = entry.iter().position(|&byte| byte == b'=') {
                let variable = Variable {
                    value: entry[equals + 1..].to_vec(),
                    exported: true,
                };
                variables.insert(entry[..equals].to_vec(), variable);
            }
        }
        let default_path = || Variable {
            value: b"/bin:/sbin:/usr/bin".to_vec(),
            exported: true,
        };
        variables.entry(b"PATH".to_vec()).or_insert_with(default_path);
        Shell {
            status: 0,
            leave: None,
            interactive: false,
            job_control: false,
            jobs: Jobs::default(),
            variables,
            name: b"sh".to_vec(),
            positional: Vec::new(),
            pid: sys::getpid(),
            settings: None,
        }
    }

    /// Sets `$0`, `$1` and so on from the arguments behind the options.
    pub fn set_positional(&mut self, args: &Args, rest: &[&[u8]]) {
        self.name = rest.first().copied().or(args.get(0)).unwrap_or(b"sh").to_vec();
        self.positional = rest.iter().skip(1).map(|argument| argument.to_vec()).collect();
    }

    /// Shields the shell from the keyboard's signals and takes the terminal, if it can be had.
    pub fn begin_interactive(&mut self) {
        self.interactive = true;
        self.settings = terminal::settings(STDIN).ok();
        for number in SHIELDED {
            let _ = signal::simple(number, Action::Ignore);
        }
        // A session leader is the leader of its group already, and setpgid answers EPERM.
        let _ = sys::setpgid(0, 0);
        self.job_control =
            terminal::foreground(STDIN).is_ok() && terminal::set_foreground(STDIN, self.pid).is_ok();
    }

    /// Takes the terminal back from a job; a job that was killed may have left it in any mode.
    pub fn take_terminal_back(&self, killed: bool) {
        if self.job_control {
            let _ = terminal::set_foreground(STDIN, self.pid);
        }
        if killed && let Some(settings) = self.settings {
            let _ = terminal::set(STDIN, settings);
        }
    }

    /// What the terminal shows before a line.
    pub fn prompt(&self) -> Vec<u8> {
        let mut prompt = dir::current().unwrap_or_else(|_| b"?".to_vec());
        prompt.extend_from_slice(b" # ");
        prompt
    }

    /// Says which background jobs have ended since.
    pub fn report_jobs(&mut self) {
        self.jobs.collect();
        self.jobs.report(self.interactive);
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &[u8], value: Vec<u8>) {
        let exported = self.variables.get(name).is_some_and(|variable| variable.exported);
        self.variables.insert(name.to_vec(), Variable { value, exported });
    }

    /// Makes a variable one of the environment.
    pub fn export(&mut self, name: &[u8]) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.exported = true;
        } else {
            self.variables.insert(
                name.to_vec(),
                Variable {
                    value: Vec::new(),
                    exported: true,
                },
            );
        }
    }

    /// Forgets a variable.
    pub fn unset(&mut self, name: &[u8]) {
        self.variables.remove(name);
    }

    /// The environment for a program.
    pub fn environment(&self) -> Vec<CString> {
        let exported = self.variables.iter().filter(|(_, variable)| variable.exported);
        let entries: Vec<Vec<u8>> = exported
            .map(|(name, variable)| [name, &b"="[..], &variable.value].concat())
            .collect();
        process::c_strings(entries.iter().map(Vec::as_slice))
    }
}

impl Parameters for Shell {
    fn value(&self, name: &[u8]) -> Option<Vec<u8>> {
        let number = |number: i32| Some(format!("{number}").into_bytes());
        match name {
            b"?" => number(self.status),
            b"$" => number(self.pid),
            b"!" => self.jobs.last_pid().and_then(number),
            b"#" => Some(format!("{}", self.positional.len()).into_bytes()),
            b"0" => Some(self.name.clone()),
            [digit @ b'1'..=b'9'] => self.positional.get(usize::from(digit - b'1')).cloned(),
            _ => self.variables.get(name).map(|variable| variable.value.clone()),
        }
    }

    fn positional(&self) -> &[Vec<u8>] {
        &self.positional
    }
}
