//! Many domains of one kernel, made by the builder that `xl` uses.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use guest_abi::domctl::UnpauseDomain;
use programs::abi::{F_SETFL, O_NONBLOCK};
use programs::errno::Errno;
use programs::file::{self, read_some};
use programs::io::write_all;
use programs::sys;
use programs::xen::consoles;
use xen_tools::builder::{self, Request};
use xen_tools::privileged::Privileged;

use crate::host::Host;

/// The kernel that they run.
const KERNEL: &str = "/boot/mini-guest-small";

/// The domains; those that are left are destroyed when it is dropped.
pub struct Crowd<'a> {
    host: &'a Host,
    kernel: Vec<u8>,
    ids: Vec<DomId>,
    gone: usize,
}

impl<'a> Crowd<'a> {
    /// None yet.
    ///
    /// # Errors
    /// There is no kernel to run.
    pub fn new(host: &'a Host) -> Result<Self, String> {
        let kernel = file::read_file(KERNEL.as_bytes()).map_err(|error| format!("{KERNEL}: {error}"))?;
        Ok(Self {
            host,
            kernel,
            ids: Vec::new(),
            gone: 0,
        })
    }

    /// Their numbers.
    pub fn ids(&self) -> &[DomId] {
        &self.ids[self.gone..]
    }

    /// Makes one more, which does not run yet.
    ///
    /// # Errors
    /// The builder's.
    pub fn create(&mut self, kib: u32) -> Result<(), String> {
        let request = Request {
            name: &format!("crowd-{}", self.ids.len() + 1),
            kernel: &self.kernel,
            ramdisk: &[],
            command_line: "",
            memory_kib: kib.into(),
            limit_kib: kib.into(),
            weight: None,
            console_show: false,
            // Domain0 has not ports enough for two of each.
            has_store: false,
        };
        let built = builder::build(self.host, &request).map_err(|failure| failure.to_string())?;
        self.ids.push(built.id);
        Ok(())
    }

    /// Destroys the first one.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn destroy_first(&mut self) -> Result<(), String> {
        let Some(&id) = self.ids().first() else {
            return Ok(());
        };
        self.gone += 1;
        self.host
            .detach_console(id)
            .and_then(|()| builder::destroy(self.host, id))
            .map_err(|error| format!("destroying domain {}: {error}", id.raw()))
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        while !self.ids().is_empty() {
            // Nobody is left to tell.
            let _ = self.destroy_first();
        }
    }
}

/// Lets a domain run.
///
/// # Errors
/// What the hypervisor answers.
pub fn start(host: &Host, domain: DomId) -> Result<(), String> {
    host.control(&UnpauseDomain { domain, pad: 0 })
        .map(drop)
        .map_err(|error| format!("letting domain {} run: {error}", domain.raw()))
}

fn console(domain: DomId) -> Result<file::File, String> {
    consoles::open(domain).map_err(|error| format!("console of domain {}: {error}", domain.raw()))
}

/// Types at a domain's console.
///
/// # Errors
/// What the kernel answers.
pub fn typed_at(domain: DomId, text: &str) -> Result<(), String> {
    write_all(console(domain)?.descriptor(), text.as_bytes())
        .map_err(|error| format!("typing at domain {}: {error}", domain.raw()))
}

/// What a domain has printed and nobody has read.
///
/// # Errors
/// What the kernel answers.
pub fn read(domain: DomId) -> Result<String, String> {
    let console = console(domain)?;
    let mut bytes = vec![0; 4096];
    let read = sys::fcntl(console.descriptor(), F_SETFL, O_NONBLOCK)
        .and_then(|_| read_some(console.descriptor(), &mut bytes));
    match read {
        Ok(count) => Ok(String::from_utf8_lossy(&bytes[..count]).to_string()),
        Err(Errno::EAGAIN) => Ok(String::new()),
        Err(error) => Err(format!("reading from domain {}: {error}", domain.raw())),
    }
}
