//! `ls [-a] [-l] [-1] [PATH…]`: names in directories; in columns when it prints to a terminal.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use programs::abi::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, Statx};
use programs::args::Args;
use programs::errno::Result;
use programs::io::{self, Text};
use programs::{dir, eprintln, sys, terminal};

programs::program!(main);

#[derive(Clone, Copy, Default)]
struct Options {
    all: bool,
    long: bool,
    one_per_line: bool,
}

fn main(args: &Args) -> i32 {
    let mut options = Options {
        one_per_line: !terminal::is_terminal(io::STDOUT),
        ..Options::default()
    };
    let mut paths: Vec<&[u8]> = Vec::new();
    for argument in args.rest() {
        match argument {
            [b'-', letters @ ..] if !letters.is_empty() => {
                for letter in letters {
                    match letter {
                        b'a' => options.all = true,
                        b'l' => options.long = true,
                        b'1' => options.one_per_line = true,
                        _ => {
                            eprintln!(
                                "ls: unknown option -{}\nusage: ls [-a] [-l] [-1] [PATH...]",
                                *letter as char
                            );
                            return 2;
                        }
                    }
                }
            }
            path => paths.push(path),
        }
    }
    if paths.is_empty() {
        paths.push(b".");
    }
    let mut status = 0;
    let headed = paths.len() > 1;
    for (index, path) in paths.iter().enumerate() {
        if let Err(error) = list(path, options, headed, index != 0) {
            eprintln!("ls: {}: {error}", Text(path));
            status = 1;
        }
    }
    status
}

fn list(path: &[u8], options: Options, headed: bool, blank: bool) -> Result<()> {
    if sys::stat(path)?.mode & S_IFMT != S_IFDIR {
        io::out(show(&[path.to_vec()], b"", options).as_bytes());
        return Ok(());
    }
    let mut names = dir::names(path)?;
    names.retain(|name| options.all || name.first() != Some(&b'.'));
    names.sort();
    let mut text = String::new();
    if headed {
        text = format!("{}{}:\n", if blank { "\n" } else { "" }, Text(path));
    }
    text += &show(&names, path, options);
    io::out(text.as_bytes());
    Ok(())
}

fn show(names: &[Vec<u8>], directory: &[u8], options: Options) -> String {
    if options.long {
        names.iter().map(|name| long_line(directory, name)).collect()
    } else if options.one_per_line {
        names.iter().map(|name| format!("{}\n", Text(name))).collect()
    } else {
        columns(names, terminal::columns(io::STDOUT).unwrap_or(80))
    }
}

/// Names in columns, read downwards, as many as fit.
fn columns(names: &[Vec<u8>], width: usize) -> String {
    let cell = names.iter().map(Vec::len).max().unwrap_or(0) + 2;
    let across = (width / cell).max(1);
    let rows = names.len().div_ceil(across);
    let mut text = String::new();
    for row in 0..rows {
        let mut line = String::new();
        for name in names.iter().skip(row).step_by(rows) {
            line += &format!("{:<cell$}", format!("{}", Text(name)));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn long_line(directory: &[u8], name: &[u8]) -> String {
    let path = dir::join(directory, name);
    match sys::statx(AT_FDCWD, &path, AT_SYMLINK_NOFOLLOW) {
        Ok(status) => {
            let size = if status.mode & S_IFMT == S_IFCHR {
                format!("{}, {}", status.rdev_major, status.rdev_minor)
            } else {
                format!("{}", status.size)
            };
            format!(
                "{} {:3} {:4} {:4} {size:>9} {}\n",
                mode(&status),
                status.links,
                status.uid,
                status.gid,
                Text(name)
            )
        }
        Err(error) => format!("?????????? {} ({error})\n", Text(name)),
    }
}

fn mode(status: &Statx) -> String {
    let kind = match status.mode & S_IFMT {
        S_IFDIR => 'd',
        S_IFCHR => 'c',
        S_IFLNK => 'l',
        S_IFIFO => 'p',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (index, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if status.mode & (0o400 >> index) != 0 {
            letter
        } else {
            '-'
        });
    }
    text
}
