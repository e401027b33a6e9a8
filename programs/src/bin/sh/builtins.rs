//! Commands that are part of the shell, because they change it.

use alloc::vec::Vec;

use programs::io::Text;
use programs::signal::{self, Action};
use programs::{args, dir, eprintln, io, machine, print, println, process, sys};
use shell_lang::expand::Parameters;
use shell_lang::token::name_length;

use crate::find;
use crate::shell::{SHIELDED, Shell};

type Builtin = fn(&mut Shell, &[Vec<u8>]) -> i32;

/// Name, usage, function.
const BUILTINS: &[(&[u8], &str, Builtin)] = &[
    (b":", ":                       does nothing", |_, _| 0),
    (b"cd", "cd [DIRECTORY]          changes the working directory", cd),
    (
        b"exec",
        "exec PROGRAM [ARG...]   runs a program in place of the shell",
        exec,
    ),
    (b"exit", "exit [STATUS]           leaves the shell", exit),
    (
        b"export",
        "export NAME[=VALUE]...  passes variables on to programs",
        export,
    ),
    (b"false", "false                   fails", |_, _| 1),
    (b"help", "help                    prints this", help),
    (
        b"jobs",
        "jobs                    shows what runs in the background",
        jobs,
    ),
    (
        b"poweroff",
        "poweroff                switches the machine off",
        |_, _| stop("poweroff", machine::power_off),
    ),
    (
        b"pwd",
        "pwd                     prints the working directory",
        pwd,
    ),
    (
        b"reboot",
        "reboot                  starts the machine again",
        |_, _| stop("reboot", machine::restart),
    ),
    (b"true", "true                    succeeds", |_, _| 0),
    (b"unset", "unset NAME...           forgets variables", unset),
    (
        b"wait",
        "wait [PROCESS...]       waits for background processes",
        wait,
    ),
];

/// The builtin that a command is. `reboot` with words behind it is the program, which asks domains.
pub fn find(words: &[Vec<u8>]) -> Option<Builtin> {
    let (name, rest) = words.split_first()?;
    if name == b"reboot" && !rest.is_empty() {
        return None;
    }
    BUILTINS
        .iter()
        .find(|builtin| builtin.0 == name)
        .map(|builtin| builtin.2)
}

fn cd(shell: &mut Shell, words: &[Vec<u8>]) -> i32 {
    let target = match words.get(1) {
        None => shell.value(b"HOME").unwrap_or_else(|| b"/".to_vec()),
        Some(word) if word == b"-" => shell.value(b"OLDPWD").unwrap_or_else(|| b"/".to_vec()),
        Some(word) => word.clone(),
    };
    let before = dir::current().unwrap_or_default();
    if let Err(error) = sys::chdir(&target) {
        eprintln!("cd: {}: {error}", Text(&target));
        return 1;
    }
    shell.set(b"OLDPWD", before);
    shell.set(b"PWD", dir::current().unwrap_or_default());
    0
}

fn pwd(_: &mut Shell, _: &[Vec<u8>]) -> i32 {
    match dir::current() {
        Ok(path) => {
            println!("{}", Text(&path));
            0
        }
        Err(error) => {
            eprintln!("pwd: {error}");
            1
        }
    }
}

fn exit(shell: &mut Shell, words: &[Vec<u8>]) -> i32 {
    let status = match words.get(1) {
        None => shell.status,
        Some(word) => match args::number(word) {
            Some(number) => (number & 0xFF).cast_signed(),
            None => {
                eprintln!("exit: {}: not a number", Text(word));
                2
            }
        },
    };
    shell.leave = Some(status);
    status
}

fn exec(shell: &mut Shell, words: &[Vec<u8>]) -> i32 {
    let Some(name) = words.get(1) else {
        eprintln!("exec: which program?");
        return 2;
    };
    let Some(path) = find::program(shell, name) else {
        eprintln!("exec: {}: not found", Text(name));
        return 127;
    };
    if shell.interactive {
        for number in SHIELDED {
            let _ = signal::simple(number, Action::Default);
        }
    }
    let arguments = process::c_strings(words[1..].iter().map(Vec::as_slice));
    let status = process::execute(&path, &arguments, &shell.environment());
    if shell.interactive {
        for number in SHIELDED {
            let _ = signal::simple(number, Action::Ignore);
        }
    }
    status
}

fn export(shell: &mut Shell, words: &[Vec<u8>]) -> i32 {
    let mut status = 0;
    for word in &words[1..] {
        let length = name_length(word);
        if length == 0 || word.get(length).is_some_and(|&byte| byte != b'=') {
            eprintln!("export: {}: not a name", Text(word));
            status = 1;
            continue;
        }
        let (name, value) = word.split_at(length);
        if let Some(value) = value.strip_prefix(b"=") {
            shell.set(name, value.to_vec());
        }
        shell.export(name);
    }
    status
}

fn unset(shell: &mut Shell, words: &[Vec<u8>]) -> i32 {
    for name in &words[1..] {
        shell.unset(name);
    }
    0
}

fn jobs(shell: &mut Shell, _: &[Vec<u8>]) -> i32 {
    shell.jobs.collect();
    shell.jobs.list();
    0
}

fn wait(shell: &mut Shell, words: &[Vec<u8>]) -> i32 {
    if words.len() == 1 {
        return shell.jobs.wait(None);
    }
    let mut status = 0;
    for word in &words[1..] {
        status = match args::number(word)
            .and_then(|pid| i32::try_from(pid).ok())
            .filter(|&pid| pid > 0)
        {
            Some(pid) => shell.jobs.wait(Some(pid)),
            None => {
                eprintln!("wait: {}: not a process number", Text(word));
                2
            }
        };
    }
    status
}

fn stop(name: &str, how: fn() -> programs::Errno) -> i32 {
    let error = how();
    eprintln!("{name}: {error}");
    1
}

fn help(shell: &mut Shell, _: &[Vec<u8>]) -> i32 {
    println!("Built in:");
    for (_, usage, _) in BUILTINS {
        println!("  {usage}");
    }
    let path = shell.value(b"PATH").unwrap_or_default();
    for directory in path.split(|&byte| byte == b':') {
        let Ok(mut names) = dir::names(directory) else {
            continue;
        };
        names.retain(|name| name.first() != Some(&b'.'));
        names.sort();
        if !names.is_empty() {
            print!("\nPrograms in {}:\n ", Text(directory));
            for name in &names {
                print!(" {}", Text(name));
            }
            println!();
        }
    }
    if find::program(shell, b"xl").is_some() {
        println!("\nDomains are managed by create, list, console and others; `xl help` explains them.");
    }
    let syntax = "\nA | B, A && B, A || B, ! A, A; B, A &, < FILE, > FILE, >> FILE, 2> FILE, 2>&1, NAME=VALUE, $NAME, $?, $$, \
                  $!,\n'quotes', \"quotes\", *, ?, [a-z], # comment. Keys: backspace, Ctrl-U, Ctrl-W, Ctrl-C, Ctrl-D, up, down.\n";
    io::out(syntax.as_bytes());
    0
}
