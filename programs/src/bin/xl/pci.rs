//! `pci-list`: who has which PCI function, as the hypervisor says.

use alloc::format;
use alloc::string::String;

use guest_abi::domain::DomId;
use guest_abi::domctl::PciDevHolder;
use programs::{file, println};
use xen_tools::devices::Function;
use xen_tools::errno::Errno;
use xen_tools::privileged::Privileged;
use xen_tools::settings::DOMAIN0_NAME;

use crate::host::Host;
use crate::{Outcome, state};

/// The functions, as the kernel found them.
const FUNCTIONS: &[u8] = b"/proc/pci";

/// `pci-list`.
pub fn list(words: &[&str]) -> Outcome {
    if let Some(word) = words.first() {
        return Err(format!("what is `{word}`? It takes no words"));
    }
    let host = Host::open()?;
    let text = file::read_file(FUNCTIONS).map_err(|error| format!("/proc/pci: {error}"))?;
    let text = String::from_utf8_lossy(&text);
    println!("{:<16} {:<3} Function", "Domain", "DMA");
    for line in text.lines() {
        let place = line.split_whitespace().next().unwrap_or_default();
        let Ok(function) = Function::parse(place) else {
            continue;
        };
        let (name, dma) = holder(&host, function)?;
        println!("{name:<16} {dma:<3} {line}");
    }
    Ok(())
}

/// The name of who has a function, and whether it may be master of the bus.
fn holder(host: &Host, function: Function) -> Result<(String, &'static str), String> {
    let args = PciDevHolder {
        bus: function.bus.into(),
        dev: function.device.into(),
        func: function.function.into(),
        ..PciDevHolder::default()
    };
    match host.control(&args) {
        Ok(held) => Ok((name_of(held.domain), if held.has_dma == 0 { "no" } else { "yes" })),
        Err(Errno::ENODATA) => Ok((DOMAIN0_NAME.into(), "yes")),
        Err(error) => Err(format!("{function}: {error}")),
    }
}

fn name_of(domain: DomId) -> String {
    let record = state::record(domain.raw());
    record.map_or_else(|| format!("{}", domain.raw()), |record| record.settings.name)
}
