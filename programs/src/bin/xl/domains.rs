//! All domains with what is known of them; finding one by name or number.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use guest_abi::domctl::GetDomainInfo;
use programs::clock;
use xen_tools::errno::Errno;
use xen_tools::privileged::Privileged;
use xen_tools::record::Record;
use xen_tools::settings::DOMAIN0_NAME;
use xen_tools::view;

use crate::host::Host;
use crate::state;

/// A domain: what the hypervisor says, what is remembered.
pub struct Known {
    /// What the hypervisor says.
    pub info: GetDomainInfo,
    /// What the tools remember, if they made it.
    pub record: Option<Record>,
}

impl Known {
    fn new(info: GetDomainInfo) -> Self {
        Self {
            record: state::record(info.domain.raw()),
            info,
        }
    }

    /// Its number.
    pub fn id(&self) -> DomId {
        self.info.domain
    }

    /// As listings show it.
    pub fn view(&self) -> view::Domain {
        view::Domain::new(&self.info, self.record.as_ref(), clock::monotonic_ns())
    }
}

/// All domains, by number.
///
/// # Errors
/// One line.
pub fn all(host: &Host) -> Result<Vec<Known>, String> {
    Ok(infos(host)?.into_iter().map(Known::new).collect())
}

/// What the hypervisor says of all domains, by number.
///
/// # Errors
/// One line.
pub fn infos(host: &Host) -> Result<Vec<GetDomainInfo>, String> {
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        match host.info(DomId::new(next)) {
            Ok(info) => {
                next = info.domain.raw().saturating_add(1);
                found.push(info);
            }
            Err(Errno::ESRCH) => return Ok(found),
            Err(error) => return Err(format!("asking about domain {next}: {error}")),
        }
    }
}

/// The domain with that name or number.
///
/// # Errors
/// One line.
pub fn find(host: &Host, wanted: &str) -> Result<Known, String> {
    let id = match wanted.parse() {
        Ok(number) => Some(number),
        Err(_) if wanted == DOMAIN0_NAME => Some(0),
        Err(_) => state::number_of(wanted),
    };
    let known = id.and_then(|id| {
        host.info(DomId::new(id))
            .ok()
            .filter(|info| info.domain.raw() == id)
    });
    known
        .map(Known::new)
        .ok_or_else(|| format!("there is no domain `{wanted}`; `list` shows those that are"))
}

/// The domains asked for, or all where none is.
///
/// # Errors
/// One line.
pub fn select(host: &Host, wanted: &[&str]) -> Result<Vec<Known>, String> {
    if wanted.is_empty() {
        return all(host);
    }
    wanted.iter().map(|wanted| find(host, wanted)).collect()
}
