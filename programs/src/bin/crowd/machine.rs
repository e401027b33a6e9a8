//! What the machine has and has not, as counted before and after something.

use alloc::format;
use alloc::string::String;

use guest_abi::domain::DomId;
use guest_abi::domctl::PhysInfo;
use programs::file;
use programs::xen::consoles;
use xen_tools::errno::Errno;
use xen_tools::privileged::Privileged;

use crate::host::Host;

/// Ports that lie in a domain's record; one more, and the hypervisor takes a frame for all others.
pub const NEAR_PORTS: u32 = 64;

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Frames that belong to nobody.
    pub free: u32,
    /// Domains.
    pub domains: usize,
    /// Consoles that Domain0's kernel serves.
    pub consoles: usize,
}

impl Machine {
    /// Counts.
    ///
    /// # Errors
    /// One line.
    pub fn look(host: &Host) -> Result<Self, String> {
        let info = host
            .control(&PhysInfo::default())
            .map_err(|error| format!("physinfo: {error}"))?;
        let consoles =
            file::read_file(consoles::PATH).map_err(|error| format!("the list of consoles: {error}"))?;
        Ok(Self {
            free: info.free_pages,
            domains: domains(host)?,
            consoles: consoles.iter().filter(|byte| **byte == b'\n').count(),
        })
    }
}

fn domains(host: &Host) -> Result<usize, String> {
    let (mut count, mut next) = (0, 0);
    loop {
        match host.info(DomId::new(next)) {
            Ok(info) => {
                next = info.domain.raw() + 1;
                count += 1;
            }
            Err(Errno::ESRCH) => return Ok(count),
            Err(error) => return Err(format!("listing domains: {error}")),
        }
    }
}
