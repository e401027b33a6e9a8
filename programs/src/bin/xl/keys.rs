//! The standard keys of a domain in the store, from its creation to its end.
//!
//! | key below `/local/domain/ID` | what |
//! |---|---|
//! | `name`, `domid` | who it is |
//! | `vm` | `/vm/ID`, where `name` is too |
//! | `memory/target`, `memory/static-max` | KiB |
//! | `console/ring-ref`, `console/port`, `console/type` | its console |
//! | `device`, `data`, `control` | the domain's own to write |
//!
//! The domain owns its home and may read what is there; what describes it is Domain0's to change.

use alloc::format;
use alloc::string::{String, ToString};

use guest_abi::domain::DomId;
use programs::Errno;
use programs::xen::Store;
use xen_tools::privileged::Privileged;
use xen_tools::record::Record;

use crate::host::Host;

/// How often a transaction is begun again.
const ATTEMPTS: u32 = 100;

fn home(id: u16) -> String {
    format!("/local/domain/{id}")
}

/// Writes the keys of a new domain, all together.
///
/// # Errors
/// One line.
pub fn write(record: &Record) -> Result<(), String> {
    let failed = |error: Errno| format!("its keys in the store: {error}");
    let mut store = Store::open().map_err(failed)?;
    for _ in 0..ATTEMPTS {
        match store.transaction(|store| write_in(store, record)) {
            Err(Errno::EAGAIN) => {}
            answer => return answer.map_err(failed),
        }
    }
    Err(failed(Errno::EAGAIN))
}

fn write_in(store: &mut Store, record: &Record) -> programs::errno::Result<()> {
    let id = record.id;
    let (home, vm) = (home(id), format!("/vm/{id}"));
    let theirs = format!("n0\0r{id}\0");
    let own = format!("n{id}\0");
    store.remove(&home)?;
    store.remove(&vm)?;
    store.write(&home, b"")?;
    store.set_perms(&home, &theirs)?;
    store.write(&vm, b"")?;
    store.set_perms(&vm, &theirs)?;
    let settings = &record.settings;
    for (key, value) in [
        ("name", settings.name.clone()),
        ("domid", id.to_string()),
        ("vm", vm.clone()),
        ("memory/target", settings.memory_kib.to_string()),
        ("memory/static-max", settings.limit_kib().to_string()),
        ("console/ring-ref", record.console_mfn.to_string()),
        ("console/port", record.console_port.to_string()),
        ("console/type", "xenlite".into()),
    ] {
        store.write(&format!("{home}/{key}"), value.as_bytes())?;
    }
    store.write(&format!("{vm}/name"), settings.name.as_bytes())?;
    for key in ["device", "data", "control"] {
        let path = format!("{home}/{key}");
        store.write(&path, b"")?;
        store.set_perms(&path, &own)?;
    }
    Ok(())
}

/// Another name.
pub fn rename(id: u16, name: &str) {
    // The name that counts is in the files of `state`.
    if let Ok(mut store) = Store::open() {
        for path in [format!("{}/name", home(id)), format!("/vm/{id}/name")] {
            let _ = store.write(&path, name.as_bytes());
        }
    }
}

/// Has the store forget a domain, if it knows it.
pub fn remove(host: &Host, id: DomId) {
    let _ = host.release(id);
    if let Ok(mut store) = Store::open() {
        for path in [home(id.raw()), format!("/vm/{}", id.raw())] {
            let _ = store.remove(&path);
        }
        for class in ["vbd", "vif"] {
            let _ = store.remove(&format!("/local/domain/0/backend/{class}/{}", id.raw()));
        }
    }
}
