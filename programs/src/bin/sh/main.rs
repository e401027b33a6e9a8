//! `sh [-i] [-l] [-c TEXT [NAME [ARGUMENT…]] | FILE [ARGUMENT…]]`: the shell.
//!
//! The language is `shell-lang`'s. As a login shell (its name begins with `-`, or `-l`) its end is the end of the
//! session: `init` then switches the machine off. If it is process 1 itself, it does that alone.
//!
//! | module | what it is |
//! |---|---|
//! | [`input`] | where lines come from: the terminal, a descriptor, a text |
//! | [`shell`] | the state: parameters, status, jobs |
//! | [`run`] | lists, pipelines, processes |
//! | [`redirect`] | opening files for `<`, `>` and the like, and undoing it |
//! | [`find`] | programs in `PATH`, file names for wildcards |
//! | [`builtins`] | commands that are no programs |
//! | [`jobs`] | what runs in the background |
#![no_std]
#![no_main]

extern crate alloc;

mod builtins;
mod find;
mod input;
mod jobs;
mod redirect;
mod run;
mod shell;

use alloc::vec::Vec;

use programs::args::Args;
use programs::io::{STDIN, STDOUT, Text};
use programs::{eprintln, file, machine, println, sys, terminal};
use shell_lang::token::SyntaxError;

use input::{Input, Line};
use shell::Shell;

programs::program!(main);

const USAGE: &str = "usage: sh [-i] [-l] [-c TEXT [NAME [ARGUMENT...]] | FILE [ARGUMENT...]]";

fn main(args: &Args) -> i32 {
    let mut login = args.get(0).is_some_and(|name| name.first() == Some(&b'-'));
    let mut interactive = false;
    let mut rest: Vec<&[u8]> = args.rest().collect();
    let mut text = None;
    while let Some(option) = rest
        .first()
        .copied()
        .filter(|option| option.len() > 1 && option[0] == b'-')
    {
        rest.remove(0);
        match option {
            b"-i" => interactive = true,
            b"-l" => login = true,
            b"-c" if !rest.is_empty() => {
                text = Some(rest.remove(0));
                break;
            }
            b"--" => break,
            _ => {
                eprintln!(
                    "sh: {}: unknown option, or no text behind it\n{USAGE}",
                    Text(option)
                );
                return 2;
            }
        }
    }
    let mut shell = Shell::new(args);
    let mut input = if let Some(text) = text {
        Input::text(text)
    } else if let Some(&path) = rest.first() {
        match file::read_file(path) {
            Ok(content) => Input::text(&content),
            Err(error) => {
                eprintln!("sh: {}: {error}", Text(path));
                return 127;
            }
        }
    } else if terminal::is_terminal(STDIN) && (interactive || terminal::is_terminal(STDOUT)) {
        shell.begin_interactive();
        Input::terminal()
    } else {
        Input::descriptor(STDIN)
    };
    shell.set_positional(args, &rest);
    if shell.interactive {
        println!("\nType `help` for what this shell can do.");
    }
    let status = read_and_run(&mut shell, &mut input);
    if login && sys::getpid() == 1 {
        eprintln!("sh: power off: {}", machine::power_off());
    }
    status
}

/// Runs what comes until the input ends or `exit` says so; gives the last status.
fn read_and_run(shell: &mut Shell, input: &mut Input) -> i32 {
    let mut text = Vec::new();
    loop {
        shell.report_jobs();
        let prompt = if text.is_empty() {
            shell.prompt()
        } else {
            b"> ".to_vec()
        };
        match input.line(&prompt) {
            Line::Text(line) => {
                text.extend_from_slice(&line);
                text.push(b'\n');
            }
            Line::Interrupted => {
                shell.status = 130;
                text.clear();
                continue;
            }
            Line::End if text.is_empty() => return shell.status,
            Line::End => {
                eprintln!("sh: {}", SyntaxError::Incomplete);
                return 2;
            }
        }
        match shell_lang::parse::parse(&text) {
            Err(SyntaxError::Incomplete) => continue,
            Err(error) => {
                eprintln!("sh: {error}");
                shell.status = 2;
                if !shell.interactive {
                    return 2;
                }
            }
            Ok(list) => {
                shell.run_list(&list);
            }
        }
        text.clear();
        if let Some(status) = shell.leave {
            return status;
        }
    }
}
