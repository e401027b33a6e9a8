//! `network-attach` and its relatives: network interfaces of domains, by the keys of the store that both halves of the driver look at.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use programs::errno::{Errno, Result};
use programs::println;
use programs::xen::Store;
use xen_tools::options::{Word, Words, unknown};
use xen_tools::vif::{Rate, Vif};

use crate::Outcome;
use crate::domains;
use crate::host::Host;
use crate::split::{self, Class, key};

const INTERFACE: Class = Class("vif");
/// Most interfaces of a domain.
const MOST: u8 = 16;

fn failed(error: Errno) -> String {
    match error {
        Errno::ENOSPC => format!("a domain has at most {MOST} network interfaces"),
        error => format!("keys of the network interface: {error}"),
    }
}

fn other_domain(name: &str) -> core::result::Result<u16, String> {
    let known = domains::find(&Host::open()?, name)?;
    match known.id() {
        DomId::DOM0 => Err("Domain-0 is on the bridge already".into()),
        id => Ok(id.raw()),
    }
}

/// `network-attach NAME [KEY=VALUE…]`.
pub fn attach(words: &[&str]) -> Outcome {
    let Some((name, keys)) = words.split_first() else {
        return Err("which domain? A name or a number is needed".into());
    };
    let vif = Vif::parse(&keys.join(","))?;
    add(other_domain(name)?, &vif)
}

/// Writes the keys of an interface, all together; the halves of the driver see them.
///
/// # Errors
/// One line.
pub fn add(domain: u16, vif: &Vif) -> Outcome {
    let mut store = Store::open().map_err(failed)?;
    split::transaction(&mut store, |store| write(store, domain, vif)).map_err(failed)
}

fn write(store: &mut Store, domain: u16, vif: &Vif) -> Result<()> {
    let taken = INTERFACE.numbers(store, domain)?;
    let number = (0..MOST)
        .find(|number| !taken.contains(&u32::from(*number)))
        .ok_or(Errno::ENOSPC)?;
    let handle = number.to_string();
    let mac = vif.mac_of(domain, number);
    let rate = vif.rate.map(Rate::to_key);
    let ip = vif.ip.as_deref().map(|ip| ("ip", ip));
    let mut front = Vec::from([("handle", handle.as_str()), ("mac", &mac)]);
    front.extend(ip);
    let mut back = Vec::from([("handle", handle.as_str()), ("bridge", "xenbr0")]);
    back.extend(ip);
    back.extend(rate.as_deref().map(|rate| ("rate", rate)));
    back.extend(vif.permit.then_some(("permit", "1")));
    back.push(("mac", &mac));
    INTERFACE.write(store, (domain, number.into()), &front, &back)
}

/// The interface that `word` means: a number or an address.
fn find(store: &mut Store, domain: u16, word: &str) -> core::result::Result<u32, String> {
    let numbers = INTERFACE.numbers(store, domain).map_err(failed)?;
    let found = numbers.into_iter().find(|number| {
        let mac = key(store, &format!("{}/mac", INTERFACE.backend(domain, *number)));
        word.parse() == Ok(*number) || word.eq_ignore_ascii_case(&mac)
    });
    found.ok_or_else(|| format!("there is no such interface, `{word}`; `network-list` shows those there are"))
}

/// `network-detach [--force] NAME NUMBER|MAC`.
pub fn detach(words: &[&str]) -> Outcome {
    let (force, plain) = split::forced(words)?;
    let [name, device] = plain[..] else {
        return Err("two words are needed: the domain, and the interface's number or address".into());
    };
    let domain = other_domain(name)?;
    let mut store = Store::open().map_err(failed)?;
    let number = find(&mut store, domain, device)?;
    INTERFACE.detach(&mut store, (domain, number), name, force, failed)
}

/// `network-list [--counters] [NAME…]`.
pub fn list(words: &[&str]) -> Outcome {
    let host = Host::open()?;
    let (counts, words) = match words {
        ["--counters", words @ ..] => (true, words),
        words => (false, words),
    };
    let known = domains::select(&host, words)?;
    let mut store = Store::open().map_err(failed)?;
    println!(
        "{:<20} {:>3} {:<17} {:<13} {:>9} {:<24} Backend",
        "Domain", "Idx", "Mac", "State", "Rate KB/s", "Address"
    );
    for domain in known {
        let id = domain.id().raw();
        for number in INTERFACE.numbers(&mut store, id).map_err(failed)? {
            let back = INTERFACE.backend(id, number);
            let mut key = |name: &str| key(&mut store, &format!("{back}/{name}"));
            let state = split::state_name(&key("state"));
            let rate =
                Rate::from_key(&key("rate")).map_or("-".into(), |rate| rate.kb_per_second().to_string());
            let (ip, error) = (key("ip"), key("error"));
            println!(
                "{:<20} {number:>3} {:<17} {state:<13} {rate:>9} {:<24} {back}{}{error}",
                domain.view().label(),
                key("mac"),
                if ip.is_empty() { "-" } else { &ip },
                if error.is_empty() { "" } else { ": " },
            );
            if counts {
                println!("    {}", split::counters(&mut store, &back).map_err(failed)?);
            }
        }
    }
    Ok(())
}

/// `network-rate NAME [NUMBER] RATE|none`.
pub fn rate(words: &[&str]) -> Outcome {
    let (name, device, rate) = match words {
        [name, rate] => (name, "0", rate),
        [name, device, rate] => (name, *device, rate),
        _ => {
            return Err(
                "two words are needed: the domain, and the rate; perhaps the interface's number between"
                    .into(),
            );
        }
    };
    let value = match *rate {
        "none" => String::new(),
        rate => Rate::parse(rate)?.to_key(),
    };
    tell(name, device, "rate", &value)
}

/// `network-restart [--kills COUNT] NAME [NUMBER] [STEPS]`.
pub fn restart(words: &[&str]) -> Outcome {
    let (mut kills, mut plain) = (None, Vec::new());
    let mut words = Words::new(words);
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no number"));
    while let Some(word) = words.take()? {
        match word {
            Word::Option(option @ "kills") => kills = Some(number(words.value(option)?)?),
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(word) => plain.push(word),
        }
    }
    let (name, device, steps) = match plain[..] {
        [name] => (name, "0", "0"),
        [name, device] => (name, device, "0"),
        [name, device, steps] if kills.is_none() => (name, device, steps),
        _ => return Err("which domain? A name or a number is needed".into()),
    };
    let Some(kills) = kills else {
        return tell(name, device, "restart", &number(steps)?.to_string());
    };
    let domain = other_domain(name)?;
    let mut store = Store::open().map_err(failed)?;
    let back = INTERFACE.backend(domain, find(&mut store, domain, device)?);
    let _ = store.remove(&format!("{back}/kills"));
    let order = format!("{back}/kill");
    store
        .write(&order, kills.to_string().as_bytes())
        .map_err(failed)?;
    split::restarted(&mut store, &back, kills)
}

/// Says something to a backend.
fn tell(name: &str, device: &str, what: &str, value: &str) -> Outcome {
    let domain = other_domain(name)?;
    let mut store = Store::open().map_err(failed)?;
    let number = find(&mut store, domain, device)?;
    let path = format!("{}/{what}", INTERFACE.backend(domain, number));
    store.write(&path, value.as_bytes()).map_err(failed)
}
