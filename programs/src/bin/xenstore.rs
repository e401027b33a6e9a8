//! `xenstore COMMAND …`: the store, for a person. Links to it in `/bin` are named `xenstore-COMMAND`.
//!
//! | command | what it does |
//! |---|---|
//! | `ls [-p] [PATH]` | the tree below PATH, with permissions |
//! | `read PATH…`, `exists PATH…`, `list PATH…` | values; whether there is such a node; names below |
//! | `write PATH VALUE…`, `rm PATH…` | changes, all of them or none |
//! | `chmod PATH PERMISSION…` | permissions such as `n0 r5` |
//! | `watch [-n COUNT] PATH…` | a line for each event, until it is killed or there were COUNT |
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use programs::args::Args;
use programs::errno::Errno;
use programs::io::Text;
use programs::xen::Store;
use programs::{eprintln, print, println};

programs::program!(main);

/// How often a transaction is begun again.
const ATTEMPTS: u32 = 100;

fn main(args: &Args) -> i32 {
    let words: Result<Vec<&str>, _> = args.rest().map(core::str::from_utf8).collect();
    let Ok(mut words) = words else {
        eprintln!("xenstore: an argument is not text");
        return 2;
    };
    let command = match args.program().strip_prefix("xenstore-") {
        Some(command) => command,
        None if words.is_empty() => "",
        None => words.remove(0),
    };
    let done = match (command, &words[..]) {
        ("ls", ["-p"]) => ls("/", true),
        ("ls", []) => ls("/", false),
        ("ls", ["-p", path] | [path, "-p"]) => ls(path, true),
        ("ls", [path]) => ls(path, false),
        ("read" | "list" | "exists" | "rm", [_, ..]) => several(command, &words),
        ("write", [_, _, ..]) if words.len().is_multiple_of(2) => write(&words),
        ("chmod", [path, perms @ ..]) if !perms.is_empty() => chmod(path, perms),
        ("watch", ["-n", count, paths @ ..]) if !paths.is_empty() => match count.parse() {
            Ok(count) => watch(paths, Some(count)),
            Err(_) => return usage(),
        },
        ("watch", [_, ..]) => watch(&words, None),
        _ => return usage(),
    };
    match done {
        Ok(()) => 0,
        Err(message) => {
            if !message.is_empty() {
                eprintln!("xenstore-{command}: {message}");
            }
            1
        }
    }
}

fn usage() -> i32 {
    eprintln!(
        "usage: xenstore ls [-p] [PATH] | read PATH… | list PATH… | exists PATH… | write PATH VALUE… | rm PATH… | \
         chmod PATH PERMISSION… | watch [-n COUNT] PATH…"
    );
    2
}

fn open() -> Result<Store, String> {
    Store::open().map_err(|error| format!("/dev/xen/xenbus: {error}"))
}

fn several(command: &str, paths: &[&str]) -> Result<(), String> {
    let mut store = open()?;
    for path in paths {
        let failed = |error: Errno| format!("{path}: {error}");
        match command {
            "read" => println!("{}", Text(&store.read(path).map_err(failed)?)),
            "list" => {
                for name in store.list(path).map_err(failed)? {
                    println!("{name}");
                }
            }
            "rm" => {
                store.read(path).map_err(failed)?;
                store.remove(path).map_err(failed)?;
            }
            _ => match store.read(path) {
                Err(Errno::ENOENT) => return Err(String::new()),
                answer => drop(answer.map_err(failed)?),
            },
        }
    }
    Ok(())
}

fn write(words: &[&str]) -> Result<(), String> {
    let mut store = open()?;
    for _ in 0..ATTEMPTS {
        let mut failed = "";
        let done = store.transaction(|store| {
            for pair in words.chunks_exact(2) {
                failed = pair[0];
                store.write(pair[0], pair[1].as_bytes())?;
            }
            Ok(())
        });
        match done {
            Err(Errno::EAGAIN) => {}
            answer => return answer.map_err(|error| format!("{failed}: {error}")),
        }
    }
    Err(format!("{}", Errno::EAGAIN))
}

fn chmod(path: &str, perms: &[&str]) -> Result<(), String> {
    let list: String = perms.iter().map(|entry| format!("{entry}\0")).collect();
    open()?
        .set_perms(path, &list)
        .map_err(|error| format!("{path}: {error}"))
}

fn watch(paths: &[&str], count: Option<u32>) -> Result<(), String> {
    let mut store = open()?;
    for path in paths {
        store
            .watch(path, "xenstore-watch")
            .map_err(|error| format!("{path}: {error}"))?;
    }
    let mut left = count;
    while left != Some(0) {
        let (path, _) = store.next_event().map_err(|error| format!("{error}"))?;
        println!("{path}");
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// Shows what is below a node, each node under the one that it belongs to.
fn ls(path: &str, with_perms: bool) -> Result<(), String> {
    let mut store = open()?;
    let failed = |error: Errno| format!("{path}: {error}");
    let root = path.trim_end_matches('/');
    let names = store
        .list(if root.is_empty() { "/" } else { root })
        .map_err(failed)?;
    // A path and how deep it is; the last is the next.
    let mut next: Vec<(String, usize)> = below(root, names, 0);
    while let Some((path, depth)) = next.pop() {
        // It may have gone meanwhile, or not be ours to see.
        let Ok(value) = store.read(&path) else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        print!("{:depth$}{name} = \"{}\"", "", Text(&value));
        if with_perms && let Ok(perms) = store.perms(&path) {
            print!("  ({perms})");
        }
        println!();
        let names = store.list(&path).unwrap_or_default();
        next.extend(below(&path, names, depth + 1));
    }
    Ok(())
}

fn below(path: &str, names: Vec<String>, depth: usize) -> Vec<(String, usize)> {
    let names = names.into_iter().rev();
    names.map(|name| (format!("{path}/{name}"), depth)).collect()
}
