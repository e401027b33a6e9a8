//! `pause`, `unpause`, `destroy`, `rename`.

use alloc::format;
use alloc::string::{String, ToString};

use guest_abi::domain::DomId;
use guest_abi::domctl::{PauseDomain, UnpauseDomain};
use programs::xen::Consoles;
use xen_tools::builder;
use xen_tools::errno::{Errno, Result};
use xen_tools::options::{Word, Words, unknown};
use xen_tools::privileged::Privileged;
use xen_tools::settings;

use crate::domains::{self, Known};
use crate::host::Host;
use crate::keys;
use crate::state::{self, Reservation};
use crate::{Outcome, eprintln_command};

/// Does something with each domain named; those behind one that failed have their turn too.
pub fn each(words: &[&str], work: impl Fn(&Host, &Known) -> core::result::Result<(), String>) -> Outcome {
    let mut words = Words::new(words);
    let mut wanted = alloc::vec::Vec::new();
    while let Some(word) = words.take()? {
        match word {
            Word::Plain(domain) => wanted.push(domain),
            Word::Option(option) => return Err(unknown(option)),
        }
    }
    if wanted.is_empty() {
        return Err("which domain? A name or a number; `list` shows them".into());
    }
    let host = Host::open()?;
    let mut failed = None;
    for name in wanted {
        let done = domains::find(&host, name).and_then(|known| {
            if known.id() == DomId::DOM0 {
                return Err(
                    "Domain-0 cannot do that to itself; `poweroff` and `reboot` end the machine".into(),
                );
            }
            work(&host, &known).map_err(|what| format!("{name}: {what}"))
        });
        if let Err(message) = done
            && let Some(earlier) = failed.replace(message)
        {
            eprintln_command(&earlier);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// `pause NAME…`.
pub fn pause(words: &[&str]) -> Outcome {
    each(words, |host, known| {
        let domain = known.id();
        plain(host.control(&PauseDomain { domain, pad: 0 }))
    })
}

/// `unpause NAME…`.
pub fn unpause(words: &[&str]) -> Outcome {
    each(words, |host, known| {
        let domain = known.id();
        match host.control(&UnpauseDomain { domain, pad: 0 }) {
            Err(Errno::EINVAL) => Err("it was never built; `destroy` ends it".into()),
            answer => plain(answer),
        }
    })
}

/// `destroy NAME…`.
pub fn destroy(words: &[&str]) -> Outcome {
    each(words, |host, known| plain(end(host, known.id())))
}

/// Ends a domain, its console, and what is remembered of it. One that is gone already is well ended.
///
/// # Errors
/// What the hypervisor answers.
pub fn end(host: &Host, id: DomId) -> Result<()> {
    // A domain without a console, or one that others attached, is not our matter.
    let _ = host.detach_console(id);
    keys::remove(host, id);
    match builder::destroy(host, id) {
        Ok(()) | Err(Errno::ESRCH) => {
            state::forget(id.raw());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// `rename NAME NEW-NAME`.
pub fn rename(words: &[&str]) -> Outcome {
    let [old, new] = words else {
        return Err("two words are needed: the domain, and its new name".into());
    };
    let host = Host::open()?;
    let known = domains::find(&host, old)?;
    let mut record = known
        .record
        .ok_or_else(|| format!("{old}: these tools did not create it"))?;
    settings::check_name(new)?;
    let name = Reservation::take(&host, new)?;
    let before = core::mem::replace(&mut record.settings.name, (*new).to_string());
    let id = DomId::new(record.id);
    Consoles::open()
        .and_then(|consoles| consoles.set(id, new.as_bytes(), record.settings.console_show))
        .map_err(|error| format!("its console's label: {error}"))?;
    state::write(&record)?;
    name.give(record.id)?;
    state::release_name(&before);
    keys::rename(record.id, new);
    Ok(())
}

fn plain<T>(answer: Result<T>) -> core::result::Result<(), String> {
    answer.map(drop).map_err(|error| error.to_string())
}
