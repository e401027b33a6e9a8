//! `info`: the machine, or everything about domains.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domctl::{GetCrash, GetSchedId, PhysInfo};
use guest_abi::hypercall::CallNumber;
use guest_abi::version::{EXTRAVERSION, VersionCmd};
use programs::io::{self, Text};
use programs::{machine, sys};
use xen_tools::options::Listing;
use xen_tools::privileged::Privileged;
use xen_tools::size::PAGE_KIB;
use xen_tools::view::{self, DomainInfo, MachineInfo, Registers};
use xen_tools::{builder, walk, weight};

use crate::domains::{self, Known};
use crate::host::{Host, errno};
use crate::{Outcome, dmesg};

/// Words of stack that are shown.
const STACK_WORDS: usize = 32;
/// Most lines of the hypervisor's log that are shown for a domain: the newest.
const LOG_LINES: usize = 12;

/// `info [--json] [NAME…]`.
pub fn info(words: &[&str]) -> Outcome {
    let listing = Listing::parse(words)?;
    let host = Host::open()?;
    if listing.domains.is_empty() {
        let machine = of_machine(&host)?;
        let text = if listing.json {
            view::json(&machine)
        } else {
            machine.text()
        };
        io::out(text.as_bytes());
        return Ok(());
    }
    let found = domains::select(&host, &listing.domains)?;
    let domains: Vec<DomainInfo> = found.iter().map(|known| of_domain(&host, known)).collect();
    let text = if listing.json {
        view::json(&domains)
    } else {
        let texts: Vec<String> = domains.iter().map(DomainInfo::text).collect();
        texts.join("\n")
    };
    io::out(text.as_bytes());
    Ok(())
}

/// `list --long [NAME…]`.
pub fn long(wanted: &[&str]) -> Outcome {
    let host = Host::open()?;
    let found = domains::select(&host, wanted)?;
    let domains: Vec<DomainInfo> = found.iter().map(|known| of_domain(&host, known)).collect();
    io::out(view::json(&domains).as_bytes());
    Ok(())
}

fn of_machine(host: &Host) -> Result<MachineInfo, String> {
    let physical = host
        .control(&PhysInfo::default())
        .map_err(|error| format!("asking about the machine: {error}"))?;
    let scheduler = host
        .control(&GetSchedId::default())
        .map_err(|error| format!("asking about the scheduler: {error}"))?;
    // SAFETY: this command of the call has no address.
    let version = unsafe {
        let arguments = [VersionCmd::VERSION.raw(), 0, 0, 0, 0];
        host.privcmd.hypercall(CallNumber::XEN_VERSION, arguments)
    };
    let version = version
        .map_err(errno)
        .map_err(|error| format!("asking for the version: {error}"))?;
    let names = sys::uname().map_err(|error| format!("uname: {error}"))?;
    let field = |index| format!("{}", Text(machine::field(&names, index)));
    let extra = EXTRAVERSION
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect();
    let (major, minor) = (version >> 16, version & 0xFFFF);
    Ok(MachineInfo {
        host: field(1),
        release: field(2),
        version: field(3),
        machine: field(4),
        nr_cpus: physical.cores * physical.threads_per_core.max(1),
        threads_per_core: physical.threads_per_core,
        cpu_khz: physical.cpu_khz,
        total_memory_kib: u64::from(physical.total_pages) * PAGE_KIB,
        free_memory_kib: u64::from(physical.free_pages) * PAGE_KIB,
        hypervisor_memory_kib: u64::from(physical.hypervisor_pages) * PAGE_KIB,
        nr_domains: domains::all(host)?.len(),
        xen_major: major,
        xen_minor: minor,
        xen_extra: String::from_utf8(extra).unwrap_or_default(),
        xen_caps: format!("xen-{major}.{minor}-x86_32p"),
        xen_scheduler: scheduler.sched_id.to_string(),
        xen_pagesize: 4096,
    })
}

/// Everything that can be found out about a domain. Some of it cannot always: a domain without a context has no registers.
fn of_domain(host: &Host, known: &Known) -> DomainInfo {
    let id = known.id();
    let context = host.context(id).ok().map(|(_, context)| context);
    let root = context
        .as_ref()
        .and_then(|context| Mfn::try_containing(context.pt_base))
        .filter(|root| root.raw() != 0);
    let weight = builder::scheduling(host, id).ok();
    let mut stack = Vec::new();
    if let (Some(context), Some(root)) = (&context, root) {
        let mut bytes = vec![0; STACK_WORDS * 4];
        let top = GuestVirt::new(context.regs.esp);
        let count = walk::read(host, id, root, top, &mut bytes).unwrap_or(0);
        let words = bytes[..count]
            .chunks_exact(4)
            .filter_map(|word| word.try_into().ok());
        stack = words.map(u32::from_le_bytes).collect();
    }
    let crash = host.control(&GetCrash {
        domain: id,
        ..GetCrash::default()
    });
    if let Ok(crash) = &crash
        && stack.is_empty()
    {
        // What the hypervisor could read when it happened.
        let count = (crash.nr_stack as usize).min(crash.stack.len());
        stack = crash.stack[..count].to_vec();
    }
    let ended = known.view().shutdown_reason.is_some();
    DomainInfo {
        domain: known.view(),
        weight: weight.map(|params| weight::from_advance(params.mcu_advance)),
        settings: known.record.as_ref().map(|record| record.settings.clone()),
        crash: crash.ok().map(|crash| view::crash(&crash)),
        log: if ended {
            log_about(host, id.raw())
        } else {
            Vec::new()
        },
        registers: context.as_ref().map(|context| Registers::from(&context.regs)),
        page_table_frame: root.map(Mfn::raw),
        stack,
    }
}

/// The newest lines of the hypervisor's log that name the domain: why it was killed is there.
fn log_about(host: &Host, id: u16) -> Vec<String> {
    let log = dmesg::read(host, false).unwrap_or_default();
    let name = format!("d{id} ");
    let is_about = |line: &&str| {
        line.find(&name)
            .is_some_and(|at| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
    };
    let text = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = text.lines().filter(is_about).collect();
    let newest = &lines[lines.len().saturating_sub(LOG_LINES)..];
    newest.iter().map(|line| line.trim_end().to_string()).collect()
}
