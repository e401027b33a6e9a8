//! `console`: a domain's console on this terminal, until Ctrl-^ or the key that `--escape` names.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use programs::abi::{POLLIN, PollFd};
use programs::io::{self, STDIN, STDOUT};
use programs::terminal::{self, Raw};
use programs::xen::{Consoles, consoles};
use programs::{Errno, eprint, eprintln, sys};

use guest_abi::domain::DomId;

use xen_tools::key;
use xen_tools::options::{Word, Words, dashed, unknown};

use crate::Outcome;
use crate::domains;
use crate::host::Host;
use crate::state;

/// Output mode: a line end becomes carriage return and line feed.
const OPOST: u32 = 1;

/// `console [--escape KEY] NAME`, `console --show NAME`, `console --hide NAME`.
pub fn console(words: &[&str]) -> Outcome {
    match words {
        ["--show", name] => return show(name, true),
        ["--hide", name] => return show(name, false),
        _ => {}
    }
    let (mut leave, mut wanted) = (consoles::ESCAPE, Vec::new());
    let mut words = Words::new(words);
    while let Some(word) = words.take()? {
        match word {
            Word::Option(option @ ("e" | "escape")) => {
                let text = words.value(option)?;
                leave = key::parse(text)
                    .ok_or_else(|| format!("{}: `{text}` is no key; `^A` is Ctrl-A", dashed(option)))?;
            }
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(name) => wanted.push(name),
        }
    }
    let [name] = wanted[..] else {
        return Err("one word is needed: the domain's name or number".into());
    };
    let host = Host::open()?;
    let id = domains::find(&host, name)?.id();
    if id == DomId::DOM0 {
        return Err("this is Domain-0's console".into());
    }
    connect(id.raw(), leave)
}

fn show(name: &str, show: bool) -> Outcome {
    let known = domains::find(&Host::open()?, name)?;
    let mut record = known
        .record
        .ok_or_else(|| format!("{name}: these tools did not create it"))?;
    record.settings.console_show = show;
    Consoles::open()
        .and_then(|consoles| consoles.set(DomId::new(record.id), record.settings.name.as_bytes(), show))
        .map_err(|error| format!("{name}: {error}"))?;
    state::write(&record)
}

/// Connects this terminal with the console of domain `id`, until the key `leave`.
///
/// # Errors
/// One line.
pub fn connect(id: u16, leave: u8) -> Outcome {
    let console = consoles::open(DomId::new(id)).map_err(|error| match error {
        Errno::EBUSY => "somebody is connected with it already".into(),
        Errno::ENOENT | Errno::ENXIO => format!("domain {id} has no console"),
        error => format!("its console: {error}"),
    })?;
    consoles::hold_others(&console).map_err(|error| format!("its console: {error}"))?;
    let device = console.descriptor();
    let raw = terminal::is_terminal(STDIN)
        .then(|| Raw::enter(STDIN).ok())
        .flatten();
    if let (Some(_), Ok(mut settings)) = (&raw, terminal::settings(STDIN)) {
        // The domain's terminal has made its line ends already. The settings before come back with the others.
        settings.output &= !OPOST;
        terminal::set(STDIN, settings).map_err(|error| format!("this terminal: {error}"))?;
        eprint!("(connected; {} comes back)\r\n", key::shown(leave));
    }
    let ended = pump(device, leave);
    drop(raw);
    let left = ended?;
    eprintln!(
        "\n({})",
        if left {
            "back in Domain0"
        } else {
            "the domain is gone"
        }
    );
    Ok(())
}

/// Carries bytes both ways; says whether the user left.
fn pump(device: i32, leave: u8) -> Result<bool, String> {
    let mut buffer = [0; 4096];
    loop {
        let mut files = [STDIN, device].map(|fd| PollFd {
            fd,
            events: POLLIN,
            revents: 0,
        });
        match sys::poll(&mut files, -1) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(format!("poll: {error}")),
        }
        // What the domain said before a key was pressed is shown before the key does anything.
        if files[1].revents != 0 {
            match sys::read(device, &mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    io::write_all(STDOUT, &buffer[..count])
                        .map_err(|error| format!("writing here: {error}"))?;
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(error) => return Err(format!("the domain's console: {error}")),
            }
            continue;
        }
        if files[0].revents != 0 {
            // One byte: what is typed behind the leaving key belongs to whoever reads next.
            let mut key = [0];
            match sys::read(STDIN, &mut key) {
                Ok(0) => return Ok(true),
                Ok(_) if key[0] == leave => return Ok(true),
                Ok(_) => {
                    io::write_all(device, &key).map_err(|error| format!("the domain's console: {error}"))?
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(error) => return Err(format!("reading here: {error}")),
            }
        }
    }
}
