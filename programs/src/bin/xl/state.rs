//! Names and settings of running domains, as files: the hypervisor knows numbers alone.
//!
//! `/run/xen/domains/ID` is a [`Record`]; `/run/xen/names/NAME` says whose name it is. That file is made by whoever is the
//! first to ask for the name, so a name is never given twice: `pid N` while process N creates the domain, then `id N`. What
//! is left of a process or a domain that is gone counts for nothing.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use programs::abi::{O_CREAT, O_EXCL, O_WRONLY};
use programs::file::{self, File};
use programs::{Errno, dir, io, sys};
use xen_tools::privileged::Privileged;
use xen_tools::record::Record;

use crate::host::Host;

const RECORDS: &str = "/run/xen/domains";
const NAMES: &str = "/run/xen/names";
/// How often a name is fought for when others give it up at the same time.
const ATTEMPTS: u32 = 8;

/// Makes the directories that are missing.
///
/// # Errors
/// One line.
pub fn prepare() -> Result<(), String> {
    for directory in ["/run", "/run/xen", RECORDS, NAMES] {
        match sys::mkdir(directory.as_bytes(), 0o755) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(format!("{directory}: {error}")),
        }
    }
    Ok(())
}

fn record_path(id: u16) -> String {
    format!("{RECORDS}/{id}")
}

fn name_path(name: &str) -> String {
    format!("{NAMES}/{name}")
}

/// What is remembered of a domain.
pub fn record(id: u16) -> Option<Record> {
    let content = file::read_file(record_path(id).as_bytes()).ok()?;
    Record::parse(&content).ok().filter(|record| record.id == id)
}

/// Remembers a domain.
///
/// # Errors
/// One line.
pub fn write(record: &Record) -> Result<(), String> {
    let path = record_path(record.id);
    file::replace_file(path.as_bytes(), record.to_json().as_bytes())
        .map_err(|error| format!("{path}: {error}"))
}

/// Forgets a domain and its name.
pub fn forget(id: u16) {
    if let Some(record) = record(id)
        && owner(&record.settings.name) == Some(Owner::Domain(id))
    {
        let _ = sys::unlink(name_path(&record.settings.name).as_bytes());
    }
    let _ = sys::unlink(record_path(id).as_bytes());
}

/// Numbers of all domains that something is remembered of.
pub fn remembered() -> Vec<u16> {
    let names = dir::names(RECORDS.as_bytes()).unwrap_or_default();
    names
        .iter()
        .filter_map(|name| core::str::from_utf8(name).ok()?.parse().ok())
        .collect()
}

/// Whose a name is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A process that creates a domain.
    Process(u32),
    /// A domain.
    Domain(u16),
}

fn owner(name: &str) -> Option<Owner> {
    let content = file::read_file(name_path(name).as_bytes()).ok()?;
    let text = core::str::from_utf8(&content).ok()?;
    let (kind, number) = text.trim_end().split_once(' ')?;
    match kind {
        "pid" => number.parse().ok().map(Owner::Process),
        "id" => number.parse().ok().map(Owner::Domain),
        _ => None,
    }
}

/// The number of the domain with that name, if it has one.
pub fn number_of(name: &str) -> Option<u16> {
    match owner(name)? {
        Owner::Domain(id) => Some(id),
        Owner::Process(_) => None,
    }
}

/// A name that is taken for a domain to come; given up when dropped.
pub struct Reservation {
    path: String,
}

impl Reservation {
    /// Takes a name.
    ///
    /// # Errors
    /// It is a living domain's, or somebody creates one of that name; one line.
    pub fn take(host: &Host, name: &str) -> Result<Self, String> {
        prepare()?;
        let path = name_path(name);
        for _ in 0..ATTEMPTS {
            match File::open_with(path.as_bytes(), O_WRONLY | O_CREAT | O_EXCL) {
                Ok(file) => {
                    let reservation = Self { path };
                    let line = format!("pid {}\n", sys::getpid());
                    io::write_all(file.descriptor(), line.as_bytes())
                        .map_err(|error| format!("{}: {error}", reservation.path))?;
                    return Ok(reservation);
                }
                Err(Errno::EEXIST) => match owner(name) {
                    Some(Owner::Domain(id)) if exists(host, id) => {
                        return Err(format!("there is a domain `{name}` already, number {id}"));
                    }
                    Some(Owner::Process(pid)) if sys::stat(format!("/proc/{pid}").as_bytes()).is_ok() => {
                        return Err(format!("process {pid} creates a domain `{name}` just now"));
                    }
                    _ => drop(sys::unlink(path.as_bytes())),
                },
                Err(error) => return Err(format!("{path}: {error}")),
            }
        }
        Err(format!("the name `{name}` is fought for; try again"))
    }

    /// It is that domain's from now on.
    ///
    /// # Errors
    /// One line; the name is given up then.
    pub fn give(self, id: u16) -> Result<(), String> {
        file::replace_file(self.path.as_bytes(), format!("id {id}\n").as_bytes())
            .map_err(|error| format!("{}: {error}", self.path))?;
        core::mem::forget(self);
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let _ = sys::unlink(self.path.as_bytes());
    }
}

fn exists(host: &Host, id: u16) -> bool {
    host.info(DomId::new(id))
        .is_ok_and(|info| info.domain.raw() == id)
}

/// Gives up a name that is a domain's.
pub fn release_name(name: &str) {
    let _ = sys::unlink(name_path(name).as_bytes());
}
