//! `block-attach`, `block-detach`, `block-list`, `block-sched`: disks of domains, by the keys of the store that both halves of the driver look at.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use programs::errno::{Errno, Result};
use programs::xen::Store;
use programs::{clock, println};
use xen_tools::disk::{Disk, WEIGHT, device_name, device_number, weight_of};
use xen_tools::options::{Word, Words, unknown};

use crate::Outcome;
use crate::domains;
use crate::host::Host;
use crate::split::{self, Class, PATIENCE_MS, STEP_MS};

const DISK: Class = Class("vbd");
/// State of a backend that nobody has looked at yet.
const INITIALISING: &[u8] = b"1";

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
    let number =
        split::transaction(&mut store, |store| write(store, domain, disk, wanted)).map_err(failed)?;
    let refused = opened(&mut store, domain, number);
    if refused.is_err() {
        DISK.remove(&mut store, domain, number).map_err(failed)?;
    }
    refused.map_err(|why| format!("{}: {why}", disk.disk))
}

/// Waits until the backend has its disk, or has said why not.
fn opened(store: &mut Store, domain: u16, number: u32) -> Outcome {
    let back = DISK.backend(domain, number);
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

fn write(store: &mut Store, domain: u16, disk: &Disk, wanted: Option<u32>) -> Result<u32> {
    let taken = DISK.numbers(store, domain)?;
    let all = ('a'..='z').filter_map(|letter| device_number(&format!("xvd{letter}")).ok());
    let number = match wanted {
        Some(number) if taken.contains(&number) => return Err(Errno::EEXIST),
        Some(number) => number,
        None => all
            .into_iter()
            .find(|number| !taken.contains(number))
            .ok_or(Errno::ENOSPC)?,
    };
    let name = device_name(number).unwrap_or_default();
    let weight = disk.weight.map(|weight| weight.to_string());
    let mut back = Vec::from([
        ("dev", name.as_str()),
        ("mode", if disk.is_read_only { "r" } else { "w" }),
    ]);
    back.extend(weight.as_deref().map(|weight| ("weight", weight)));
    back.push(("params", &disk.disk));
    DISK.write(
        store,
        (domain, number),
        &[("virtual-device", &number.to_string()), ("device-type", "disk")],
        &back,
    )?;
    Ok(number)
}

/// `block-detach [--force] NAME DEVICE`.
pub fn detach(words: &[&str]) -> Outcome {
    let (force, plain) = split::forced(words)?;
    let [name, device] = plain[..] else {
        return Err("two words are needed: the domain, and the device".into());
    };
    let domain = other_domain(name)?;
    let number = device.parse().or_else(|_| device_number(device))?;
    let failed = |error: Errno| format!("keys of the disk: {error}");
    let mut store = Store::open().map_err(failed)?;
    let numbers = DISK.numbers(&mut store, domain).map_err(failed)?;
    if !numbers.contains(&number) {
        return Err(format!(
            "{name} has no disk `{device}`; `block-list` shows those there are"
        ));
    }
    DISK.detach(&mut store, (domain, number), name, force, failed)
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
        let numbers = DISK.numbers(&mut store, id).map_err(failed)?.into_iter();
        for number in numbers.filter(|number| device.is_none_or(|device| device == *number)) {
            let back = DISK.backend(id, number);
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
        .try_for_each(|back| split::restarted(&mut store, back, kills))
}

/// `block-sched [NAME [[DEVICE] WEIGHT]]`.
pub fn sched(words: &[&str]) -> Outcome {
    let (names, device, weight) = match *words {
        [] | [_] => (words, None, None),
        [_, weight] => (&words[..1], None, Some(weight)),
        [_, device, weight] => (&words[..1], Some(device), Some(weight)),
        _ => return Err("three words at most: the domain, the device and the weight".into()),
    };
    let device = device
        .map(|device| device.parse().or_else(|_| device_number(device)))
        .transpose()?;
    let weight = weight.map(weight_of).transpose()?;
    let failed = |error: Errno| format!("keys of the disks: {error}");
    let known = domains::select(&Host::open()?, names)?;
    let mut store = Store::open().map_err(failed)?;
    let mut found = Vec::new();
    for domain in known {
        let id = domain.id().raw();
        let numbers = DISK.numbers(&mut store, id).map_err(failed)?.into_iter();
        let wanted = numbers.filter(|number| device.is_none_or(|device| device == *number));
        found.extend(wanted.map(|number| {
            (
                String::from(domain.view().label()),
                number,
                DISK.backend(id, number),
            )
        }));
    }
    if found.is_empty() && !names.is_empty() {
        return Err("there is no such disk; `block-list` shows those there are".into());
    }
    if let Some(weight) = weight {
        let value = weight.to_string();
        let mut all = found.iter();
        return all
            .try_for_each(|(_, _, back)| store.write(&format!("{back}/weight"), value.as_bytes()))
            .map_err(failed);
    }
    println!(
        "{:<20} {:<6} {:>6} {:>6}  Disk",
        "Domain", "Device", "Number", "Weight"
    );
    for (domain, number, back) in found {
        let mut key = |name: &str| split::key(&mut store, &format!("{back}/{name}"));
        let weight = weight_of(&key("weight")).unwrap_or(WEIGHT);
        let device = device_name(number).unwrap_or_default();
        println!(
            "{domain:<20} {device:<6} {number:>6} {weight:>6}  {}",
            key("params")
        );
    }
    Ok(())
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
        for number in DISK.numbers(&mut store, id).map_err(failed)? {
            let back = DISK.backend(id, number);
            let mut key = |name: &str| split::key(&mut store, &format!("{back}/{name}"));
            let state = split::state_name(&key("state"));
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
                println!("    {}", split::counters(&mut store, &back).map_err(failed)?);
            }
        }
    }
    Ok(())
}
