//! `block-attach`, `block-detach`, `block-list`: disks of domains, by the keys of the store that both halves of the driver look at.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use programs::errno::{Errno, Result};
use programs::xen::Store;
use programs::{clock, println};
use xen_tools::options::{Word, Words, unknown};
use xen_tools::settings::{Disk, device_name, device_number};

use crate::Outcome;
use crate::domains;
use crate::host::Host;

/// How long a domain may take to let go of a disk.
const PATIENCE_MS: u32 = 5_000;
/// Between two looks.
const STEP_MS: u32 = 20;
/// How often a transaction is begun again.
const ATTEMPTS: u32 = 100;
/// State of a half that has ended.
const CLOSED: &str = "6";
/// State of a half that works.
const CONNECTED: &[u8] = b"4";
/// State of a backend that nobody has looked at yet.
const INITIALISING: &[u8] = b"1";

fn backends(domain: u16) -> String {
    format!("/local/domain/0/backend/vbd/{domain}")
}

fn frontends(domain: u16) -> String {
    format!("/local/domain/{domain}/device/vbd")
}

/// `block-attach NAME DISK [DEVICE [r|w]]`.
pub fn attach(words: &[&str]) -> Outcome {
    let [name, disk @ ..] = words else {
        return Err("words are needed: the domain, and the disk".into());
    };
    let id = other_domain(name)?;
    add(id, &Disk::parse(&disk.join(","))?)
}

fn other_domain(name: &str) -> core::result::Result<u16, String> {
    let known = domains::find(&Host::open()?, name)?;
    match known.id() {
        DomId::DOM0 => Err("Domain-0 has its disks already".into()),
        id => Ok(id.raw()),
    }
}

/// Writes the keys of a disk, all together; the halves of the driver see them. Waits until Domain0's kernel has said whether the domain can have it.
///
/// # Errors
/// One line; no keys are left then.
pub fn add(domain: u16, disk: &Disk) -> Outcome {
    let failed = |error: Errno| match error {
        Errno::EEXIST => "the domain has such a device already".to_string(),
        error => format!("keys of the disk: {error}"),
    };
    let wanted = disk.device.as_deref().map(device_number).transpose()?;
    let mut store = Store::open().map_err(failed)?;
    let mut attempts = ATTEMPTS;
    let number = loop {
        match store.transaction(|store| write(store, domain, disk, wanted)) {
            Err(Errno::EAGAIN) if attempts > 0 => attempts -= 1,
            answer => break answer.map_err(failed)?,
        }
    };
    let refused = opened(&mut store, domain, number);
    if refused.is_err() {
        remove(&mut store, domain, number).map_err(failed)?;
    }
    refused.map_err(|why| format!("{}: {why}", disk.disk))
}

/// Waits until the backend has its disk, or has said why not.
fn opened(store: &mut Store, domain: u16, number: u32) -> Outcome {
    let back = format!("{}/{number}", backends(domain));
    for _ in 0..PATIENCE_MS / STEP_MS {
        if let Ok(why) = store.read(&format!("{back}/error")) {
            return Err(String::from_utf8_lossy(&why).into_owned());
        }
        if store.read(&format!("{back}/state")).as_deref() != Ok(INITIALISING) {
            return Ok(());
        }
        clock::sleep_ms(STEP_MS);
    }
    Err("Domain0's kernel does not take it".into())
}

fn remove(store: &mut Store, domain: u16, number: u32) -> Result<()> {
    for directory in [backends(domain), frontends(domain)] {
        store.remove(&format!("{directory}/{number}"))?;
    }
    Ok(())
}

fn numbers(store: &mut Store, domain: u16) -> Result<Vec<u32>> {
    let names = match store.list(&backends(domain)) {
        Err(Errno::ENOENT) => Vec::new(),
        answer => answer?,
    };
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

fn write(store: &mut Store, domain: u16, disk: &Disk, wanted: Option<u32>) -> Result<u32> {
    let taken = numbers(store, domain)?;
    let all = ('a'..='z').filter_map(|letter| device_number(&format!("xvd{letter}")).ok());
    let number = match wanted {
        Some(number) if taken.contains(&number) => return Err(Errno::EEXIST),
        Some(number) => number,
        None => all
            .into_iter()
            .find(|number| !taken.contains(number))
            .ok_or(Errno::ENOSPC)?,
    };
    let (back, front) = (
        format!("{}/{number}", backends(domain)),
        format!("{}/{number}", frontends(domain)),
    );
    let (domain_text, number_text) = (domain.to_string(), number.to_string());
    let name = device_name(number).unwrap_or_default();
    for (directory, perms, keys) in [
        (
            &front,
            format!("n{domain}\0"),
            &[
                ("backend", back.as_str()),
                ("backend-id", "0"),
                ("virtual-device", &number_text),
                ("device-type", "disk"),
                ("state", "1"),
            ][..],
        ),
        (
            &back,
            format!("n0\0r{domain}\0"),
            &[
                ("frontend", front.as_str()),
                ("frontend-id", &domain_text),
                ("dev", &name),
                ("mode", if disk.is_read_only { "r" } else { "w" }),
                ("online", "1"),
                ("state", "1"),
                ("params", &disk.disk),
            ],
        ),
    ] {
        store.write(directory, b"")?;
        store.set_perms(directory, &perms)?;
        for (key, value) in keys {
            let path = format!("{directory}/{key}");
            store.write(&path, value.as_bytes())?;
            store.set_perms(&path, &perms)?;
        }
    }
    Ok(number)
}

/// `block-detach [--force] NAME DEVICE`.
pub fn detach(words: &[&str]) -> Outcome {
    let (mut force, mut plain) = (false, Vec::new());
    let mut words = Words::new(words);
    while let Some(word) = words.take()? {
        match word {
            Word::Option("force" | "f") => force = true,
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(word) => plain.push(word),
        }
    }
    let [name, device] = plain[..] else {
        return Err("two words are needed: the domain, and the device".into());
    };
    let domain = other_domain(name)?;
    let number = device.parse().or_else(|_| device_number(device))?;
    let failed = |error: Errno| format!("keys of the disk: {error}");
    let mut store = Store::open().map_err(failed)?;
    if !numbers(&mut store, domain).map_err(failed)?.contains(&number) {
        return Err(format!(
            "{name} has no disk `{device}`; `block-list` shows those there are"
        ));
    }
    let state = format!("{}/{number}/state", backends(domain));
    let mut is_closed = store.read(&state).map_err(failed)? == CLOSED.as_bytes();
    if !is_closed && !force {
        store.write(&state, b"5").map_err(failed)?;
        for _ in 0..PATIENCE_MS / STEP_MS {
            is_closed = store.read(&state).map_err(failed)? == CLOSED.as_bytes();
            if is_closed {
                break;
            }
            clock::sleep_ms(STEP_MS);
        }
        if !is_closed {
            return Err(format!("{name} does not let go of it; --force takes it"));
        }
    }
    remove(&mut store, domain, number).map_err(failed)
}

/// `block-restart [--kills COUNT] [NAME [DEVICE]]`.
pub fn restart(words: &[&str]) -> Outcome {
    let (mut kills, mut plain) = (0_u32, Vec::new());
    let mut words = Words::new(words);
    while let Some(word) = words.take()? {
        match word {
            Word::Option(option @ "kills") => {
                let text = words.value(option)?;
                kills = text.parse().map_err(|_| format!("`{text}` is no number"))?;
            }
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(word) => plain.push(word),
        }
    }
    let (names, device) = match plain[..] {
        [] => (&[][..], None),
        [_] => (&plain[..], None),
        [_, device] => (
            &plain[..1],
            Some(device.parse().or_else(|_| device_number(device))?),
        ),
        _ => return Err("two words at most: the domain, and the device".into()),
    };
    let failed = |error: Errno| format!("keys of the disks: {error}");
    let known = domains::select(&Host::open()?, names)?;
    let mut store = Store::open().map_err(failed)?;
    let mut asked = Vec::new();
    for domain in known {
        let id = domain.id().raw();
        let numbers = numbers(&mut store, id).map_err(failed)?.into_iter();
        for number in numbers.filter(|number| device.is_none_or(|device| device == *number)) {
            let back = format!("{}/{number}", backends(id));
            let _ = store.remove(&format!("{back}/kills"));
            store
                .write(&format!("{back}/restart"), kills.to_string().as_bytes())
                .map_err(failed)?;
            asked.push(back);
        }
    }
    if asked.is_empty() {
        return Err("there is no such disk; `block-list` shows those there are".into());
    }
    asked
        .iter()
        .try_for_each(|back| restarted(&mut store, back, kills))
}

/// Waits until a backend is connected again, after all the kills.
fn restarted(store: &mut Store, back: &str, kills: u32) -> Outcome {
    let mut seen = (Vec::new(), Vec::new());
    let mut patience = PATIENCE_MS / STEP_MS;
    while patience > 0 {
        let mut key = |name| store.read(&format!("{back}/{name}")).unwrap_or_default();
        let now = (key("state"), key("kills"));
        let done = String::from_utf8_lossy(&now.1).into_owned();
        let count = done.split(':').next().and_then(|count| count.parse().ok());
        if now.0 == CONNECTED && count.unwrap_or(0) >= kills {
            if kills > 0 {
                println!("killed {done}");
            }
            return Ok(());
        }
        // As long as something happens it is not in vain.
        patience = if now == seen {
            patience - 1
        } else {
            PATIENCE_MS / STEP_MS
        };
        seen = now;
        clock::sleep_ms(STEP_MS);
    }
    Err(format!("{back}: not connected again"))
}

/// What a backend has done so far.
fn counters(store: &mut Store, back: &str) -> Result<String> {
    let key = format!("{back}/counters");
    let _ = store.remove(&key);
    store.write(&format!("{back}/count"), b"")?;
    for _ in 0..PATIENCE_MS / STEP_MS {
        if let Ok(text) = store.read(&key) {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        clock::sleep_ms(STEP_MS);
    }
    Ok("nobody counts".into())
}

/// `block-list [--counters] [NAME…]`.
pub fn list(words: &[&str]) -> Outcome {
    let host = Host::open()?;
    let (counts, words) = match words {
        ["--counters", words @ ..] => (true, words),
        words => (false, words),
    };
    let known = domains::select(&host, words)?;
    let failed = |error: Errno| format!("keys of the disks: {error}");
    let mut store = Store::open().map_err(failed)?;
    println!(
        "{:<20} {:<6} {:>6} {:<13} {:>10}  Disk",
        "Domain", "Device", "Number", "State", "Sectors"
    );
    for domain in known {
        let id = domain.id().raw();
        for number in numbers(&mut store, id).map_err(failed)? {
            let back = format!("{}/{number}", backends(id));
            let mut key = |name: &str| {
                let value = store.read(&format!("{back}/{name}")).unwrap_or_default();
                String::from_utf8(value).unwrap_or_default()
            };
            let state = key("state").parse().map(guest_abi::io::xenbus::XenbusState::new);
            let state = state.ok().and_then(|state| state.name()).unwrap_or("?");
            let error = key("error");
            println!(
                "{:<20} {:<6} {number:>6} {state:<13} {:>10}  {}{}{error}",
                domain.view().label(),
                device_name(number).unwrap_or_default(),
                key("sectors"),
                key("params"),
                if error.is_empty() { "" } else { ": " },
            );
            if counts {
                println!("    {}", counters(&mut store, &back).map_err(failed)?);
            }
        }
    }
    Ok(())
}
