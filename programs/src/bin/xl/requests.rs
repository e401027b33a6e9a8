//! What a domain is asked to do itself: `shutdown`, `reboot`, `mem-set`; and its limit, `mem-max`.
//!
//! A request is a word at the end of the page of the domain's console ring, and an event on the console's channel
//! (`guest_abi::io::console`). The domain takes it by putting 0 in its place. This will be the store's work when there is one.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::domctl::{DomainFlags, SetDomainMaxMem};
use guest_abi::event_channel::{PortState, Send, Status};
use guest_abi::io::console::{CONTROL_SHUTDOWN, MEMORY_TARGET, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT};
use programs::{clock, file, io, println};
use xen_tools::options::{Word, Words, unknown};
use xen_tools::privileged::{Access, Privileged, Window};
use xen_tools::settings::Action;
use xen_tools::size::{self, PAGE_KIB};

use crate::Outcome;
use crate::domains::{self, Known};
use crate::host::Host;

/// How long a domain may take to end or to change its size.
const PATIENCE_MS: u32 = 10_000;
/// Between two looks.
const STEP_MS: u32 = 20;
/// This domain's balloon.
const BALLOON: &[u8] = b"/proc/xen/balloon";

/// `shutdown [--wait] NAME…`.
pub fn shutdown(words: &[&str]) -> Outcome {
    ask_to_end(words, SHUTDOWN_POWEROFF)
}

/// `reboot [--wait] NAME…`.
pub fn reboot(words: &[&str]) -> Outcome {
    ask_to_end(words, SHUTDOWN_REBOOT)
}

fn ask_to_end(words: &[&str], how: u32) -> Outcome {
    let (mut wait, mut all, mut wanted) = (false, false, Vec::new());
    let mut words = Words::new(words);
    while let Some(word) = words.take()? {
        match word {
            Word::Option("wait" | "w") => wait = true,
            Word::Option("all" | "a") => all = true,
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(domain) => wanted.push(domain),
        }
    }
    if wanted.is_empty() != all {
        return Err("which domain? A name or a number, or --all".into());
    }
    let host = Host::open()?;
    let mut asked = domains::select(&host, &wanted)?;
    if all {
        asked.retain(|known| known.id() != DomId::DOM0 && known.record.is_some());
    }
    for known in &asked {
        if known.id() == DomId::DOM0 {
            return Err("Domain-0 ends with the machine: `poweroff` or `reboot` without a name".into());
        }
        request(&host, known, CONTROL_SHUTDOWN, how)?;
    }
    if wait {
        for known in &asked {
            wait_for_end(&host, known)?;
        }
    }
    Ok(())
}

/// Waits until the domain has ended; who looks after it may have given its place away by then.
fn wait_for_end(host: &Host, known: &Known) -> Outcome {
    let id = known.id();
    let ended = wait_until(|| {
        host.info(id).map_or(true, |info| {
            info.domain != id
                || info
                    .flags
                    .intersects(DomainFlags::SHUTDOWN | DomainFlags::CRASHED)
        })
    });
    if ended {
        // What it had, its disks for example, is free when the daemon has put it away; without a daemon it stays.
        let is_kept = known.record.as_ref().is_none_or(|record| {
            [record.settings.on_poweroff, record.settings.on_reboot].contains(&Action::Preserve)
        });
        let _ = is_kept || wait_until(|| host.info(id).map_or(true, |info| info.domain != id));
        Ok(())
    } else {
        Err(format!(
            "{} does not end: its kernel may not know the request; `destroy` ends it at once",
            known.view().label()
        ))
    }
}

fn wait_until(mut is_so: impl FnMut() -> bool) -> bool {
    for _ in 0..PATIENCE_MS / STEP_MS {
        if is_so() {
            return true;
        }
        clock::sleep_ms(STEP_MS);
    }
    is_so()
}

/// Writes a request and raises the event.
fn request(host: &Host, known: &Known, at: usize, value: u32) -> Outcome {
    let id = known.id();
    let Some(record) = &known.record else {
        return Err(format!(
            "domain {}: these tools did not create it and do not know its console",
            id.raw()
        ));
    };
    let failed = |what: &str| {
        let what: String = what.into();
        let name = record.settings.name.clone();
        move |error: xen_tools::errno::Errno| format!("{name}: {what}: {error}")
    };
    let ring = [Mfn::new(record.console_mfn)];
    let mut page = host
        .map(id, &ring, Access::ReadWrite)
        .map_err(failed("its console's page"))?;
    page.write(at, &value.to_le_bytes());
    drop(page);
    let status = Status {
        dom: id,
        port: record.console_port,
        ..Status::default()
    };
    let status = host
        .event_channel(&status)
        .map_err(failed("its console's channel"))?;
    if status.state != PortState::INTERDOMAIN || status.detail != u32::from(DomId::DOM0.raw()) {
        return Err(format!(
            "{}: nobody here serves its console",
            record.settings.name
        ));
    }
    let send = Send {
        local_port: status.remote_port,
    };
    host.event_channel(&send)
        .map(drop)
        .map_err(failed("raising its event"))
}

/// `mem-set NAME SIZE`.
pub fn mem_set(words: &[&str]) -> Outcome {
    let (host, known, kib) = domain_and_size(words)?;
    if known.id() == DomId::DOM0 {
        let target = format!("{kib}K");
        file::File::open_with(BALLOON, programs::abi::O_WRONLY)
            .and_then(|balloon| io::write_all(balloon.descriptor(), target.as_bytes()))
            .map_err(|error| format!("{}: {error}", crate::create::shown(BALLOON)))?;
        return await_size(&host, &known, kib);
    }
    let view = known.view();
    if let Some(max) = view.max_memory_kib
        && kib > max
    {
        let name = view.label();
        return Err(format!(
            "{name} may have {max} KiB at most; `mem-max {name} SIZE` changes that"
        ));
    }
    let target = u32::try_from(kib).map_err(|_| size::SizeError::OutOfRange.to_string())?;
    request(&host, &known, MEMORY_TARGET, target)?;
    await_size(&host, &known, kib)
}

/// Waits until a domain has as much as it was asked to have.
fn await_size(host: &Host, known: &Known, kib: u64) -> Outcome {
    let view = known.view();
    let has = || {
        host.info(known.id())
            .map_or(0, |info| u64::from(info.tot_pages) * PAGE_KIB)
    };
    if wait_until(|| has() == kib) {
        println!("{}: {kib} KiB", view.label());
        Ok(())
    } else {
        Err(format!(
            "{} is at {} KiB and stays there: more is in use, or it began with less, or its kernel has no balloon",
            view.label(),
            has()
        ))
    }
}

/// `mem-max NAME SIZE`.
pub fn mem_max(words: &[&str]) -> Outcome {
    let (host, known, kib) = domain_and_size(words)?;
    let limit = SetDomainMaxMem {
        domain: known.id(),
        max_memkb: kib,
        ..SetDomainMaxMem::default()
    };
    host.control(&limit).map(drop).map_err(|error| error.to_string())
}

fn domain_and_size(words: &[&str]) -> Result<(Host, Known, u64), String> {
    let [name, amount] = words else {
        return Err("two words are needed: the domain, and a size such as 16M".into());
    };
    let kib = size::parse_kib(amount).map_err(|error| format!("`{amount}` is {error}"))?;
    let host = Host::open()?;
    let known = domains::find(&host, name)?;
    Ok((host, known, kib))
}
