//! `network-attach` and its relatives: network interfaces of domains, by the keys of the store that both halves of the driver look at.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use guest_abi::io::xenbus::XenbusState;
use programs::errno::{Errno, Result};
use programs::xen::Store;
use programs::{clock, println};
use xen_tools::options::{Word, Words, unknown};
use xen_tools::vif::{Rate, Vif};

use crate::Outcome;
use crate::domains;
use crate::host::Host;

/// How long a domain may take to let go of an interface.
const PATIENCE_MS: u32 = 5_000;
/// Between two looks.
const STEP_MS: u32 = 20;
/// How often a transaction is begun again.
const ATTEMPTS: u32 = 100;
/// Most interfaces of a domain.
const MOST: u8 = 16;
/// States of a half that ends, and of one that has ended.
const CLOSING: &str = "5";
const CLOSED: &str = "6";

fn backends(domain: u16) -> String {
    format!("/local/domain/0/backend/vif/{domain}")
}

fn frontends(domain: u16) -> String {
    format!("/local/domain/{domain}/device/vif")
}

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
    for _ in 0..ATTEMPTS {
        match store.transaction(|store| write(store, domain, vif)) {
            Err(Errno::EAGAIN) => {}
            answer => return answer.map_err(failed),
        }
    }
    Err(failed(Errno::EAGAIN))
}

fn numbers(store: &mut Store, domain: u16) -> Result<Vec<u8>> {
    let names = match store.list(&backends(domain)) {
        Err(Errno::ENOENT) => Vec::new(),
        answer => answer?,
    };
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

fn write(store: &mut Store, domain: u16, vif: &Vif) -> Result<()> {
    let taken = numbers(store, domain)?;
    let number = (0..MOST)
        .find(|number| !taken.contains(number))
        .ok_or(Errno::ENOSPC)?;
    let (back, front) = (
        format!("{}/{number}", backends(domain)),
        format!("{}/{number}", frontends(domain)),
    );
    let (domain_text, number_text) = (domain.to_string(), number.to_string());
    let mac = vif.mac_of(domain, number);
    let mut front_keys = Vec::from([
        ("backend", back.clone()),
        ("backend-id", "0".into()),
        ("handle", number_text.clone()),
        ("mac", mac.clone()),
        ("state", "1".into()),
    ]);
    let mut back_keys = Vec::from([
        ("frontend", front.clone()),
        ("frontend-id", domain_text),
        ("handle", number_text),
        ("bridge", "xenbr0".into()),
        ("online", "1".into()),
        ("state", "1".into()),
    ]);
    if let Some(ip) = &vif.ip {
        front_keys.push(("ip", ip.clone()));
        back_keys.push(("ip", ip.clone()));
    }
    if let Some(rate) = vif.rate {
        back_keys.push(("rate", rate.to_key()));
    }
    if vif.permit {
        back_keys.push(("permit", "1".into()));
    }
    back_keys.push(("mac", mac));
    for (directory, perms, keys) in [
        (&front, format!("n{domain}\0"), front_keys),
        (&back, format!("n0\0r{domain}\0"), back_keys),
    ] {
        store.write(directory, b"")?;
        store.set_perms(directory, &perms)?;
        for (key, value) in keys {
            let path = format!("{directory}/{key}");
            store.write(&path, value.as_bytes())?;
            store.set_perms(&path, &perms)?;
        }
    }
    Ok(())
}

fn key(store: &mut Store, path: &str) -> String {
    String::from_utf8(store.read(path).unwrap_or_default()).unwrap_or_default()
}

/// The interface that `word` means: a number or an address.
fn find(store: &mut Store, domain: u16, word: &str) -> core::result::Result<u8, String> {
    let numbers = numbers(store, domain).map_err(failed)?;
    let found = numbers.into_iter().find(|number| {
        let mac = key(store, &format!("{}/{number}/mac", backends(domain)));
        word.parse() == Ok(*number) || word.eq_ignore_ascii_case(&mac)
    });
    found.ok_or_else(|| format!("there is no such interface, `{word}`; `network-list` shows those there are"))
}

/// `network-detach [--force] NAME NUMBER|MAC`.
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
        return Err("two words are needed: the domain, and the interface's number or address".into());
    };
    let domain = other_domain(name)?;
    let mut store = Store::open().map_err(failed)?;
    let number = find(&mut store, domain, device)?;
    let (back, front) = (
        format!("{}/{number}", backends(domain)),
        format!("{}/{number}", frontends(domain)),
    );
    let state = format!("{back}/state");
    if !force {
        let mut is_closed = key(&mut store, &state) == CLOSED;
        if !is_closed {
            store.write(&state, CLOSING.as_bytes()).map_err(failed)?;
        }
        for _ in 0..PATIENCE_MS / STEP_MS {
            is_closed = is_closed || key(&mut store, &state) == CLOSED;
            if is_closed {
                break;
            }
            clock::sleep_ms(STEP_MS);
        }
        if !is_closed {
            return Err(format!("{name} does not let go of it; --force takes it"));
        }
    }
    for path in [&back, &front] {
        store.remove(path).map_err(failed)?;
    }
    Ok(())
}

/// `network-list [NAME…]`.
pub fn list(words: &[&str]) -> Outcome {
    let host = Host::open()?;
    let known = domains::select(&host, words)?;
    let mut store = Store::open().map_err(failed)?;
    println!(
        "{:<20} {:>3} {:<17} {:<13} {:>9} {:<24} Backend",
        "Domain", "Idx", "Mac", "State", "Rate KB/s", "Address"
    );
    for domain in known {
        let id = domain.id().raw();
        for number in numbers(&mut store, id).map_err(failed)? {
            let back = format!("{}/{number}", backends(id));
            let mut key = |name: &str| key(&mut store, &format!("{back}/{name}"));
            let state = key("state").parse().map(XenbusState::new);
            let state = state.ok().and_then(|state| state.name()).unwrap_or("?");
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

/// `network-restart NAME [NUMBER] [STEPS]`.
pub fn restart(words: &[&str]) -> Outcome {
    let (name, device, steps) = match words {
        [name] => (name, "0", "0"),
        [name, device] => (name, *device, "0"),
        [name, device, steps] => (name, *device, *steps),
        _ => return Err("which domain? A name or a number is needed".into()),
    };
    let steps: u32 = steps
        .parse()
        .map_err(|_| format!("`{steps}` is no number of steps"))?;
    tell(name, device, "restart", &steps.to_string())
}

/// Says something to a backend.
fn tell(name: &str, device: &str, what: &str, value: &str) -> Outcome {
    let domain = other_domain(name)?;
    let mut store = Store::open().map_err(failed)?;
    let number = find(&mut store, domain, device)?;
    let path = format!("{}/{number}/{what}", backends(domain));
    store.write(&path, value.as_bytes()).map_err(failed)
}
