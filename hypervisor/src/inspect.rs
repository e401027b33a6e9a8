//! What the debug keys show of domains: event ports, grants, interrupt lines, registers.
//!
//! A domain can have 1024 ports and 16384 grants: of each kind at most [`MOST`] are shown, and how many there are beside.

use crate::{machine::Machine, state};
use hv_core::{
    domain::Domain,
    event::{LINES, Port},
    hypervisor::Hypervisor,
    shared_info::SharedInfo,
};

/// Lines about one domain.
const MOST: usize = 32;

/// Counts what would be shown beyond [`MOST`].
struct Limited(usize);

impl Limited {
    fn show(&mut self, line: core::fmt::Arguments<'_>) {
        if self.0 < MOST {
            log::info!("{line}");
        }
        self.0 += 1;
    }

    fn end(self, domain: &Domain, what: &str) {
        if self.0 > MOST {
            log::info!("{}: {} more {what}", domain.id, self.0 - MOST);
        }
    }
}

/// A line for each port in use.
pub fn event_ports() {
    let hv = state::lock();
    for domain in hv.domains.iter().flatten() {
        let shared = SharedInfo::of(&Machine, domain);
        let mut lines = Limited(0);
        for number in 0.. {
            let Some(port) = domain.events.get(&Machine, number) else {
                break;
            };
            let pending = if shared.is_pending(number) {
                ", pending"
            } else {
                ""
            };
            let masked = if shared.is_masked(number) { ", masked" } else { "" };
            let id = domain.id;
            match port {
                Port::Free => {}
                Port::Misdirect => {
                    lines.show(format_args!("{id}: port 0 of what is not bound{pending}{masked}"))
                }
                Port::Unbound { remote } => {
                    lines.show(format_args!(
                        "{id}: port {number} waits for {remote}{pending}{masked}"
                    ));
                }
                Port::Interdomain { slot, port } => match hv.domain_in(slot.into()) {
                    Some(peer) => lines.show(format_args!(
                        "{id}: port {number} to {} port {port}{pending}{masked}",
                        peer.id
                    )),
                    None => lines.show(format_args!("{id}: port {number} to nobody{pending}{masked}")),
                },
                Port::Virq(virq) => lines.show(format_args!("{id}: port {number} {virq:?}{pending}{masked}")),
                Port::Pirq(line) => {
                    lines.show(format_args!("{id}: port {number} line {line}{pending}{masked}"))
                }
            }
        }
        lines.end(domain, "ports");
    }
}

/// A line for each domain that grants or maps something, each grant in use, and each mapping.
pub fn grants() {
    let hv = state::lock();
    let mut is_any = false;
    for domain in hv.domains.iter().flatten() {
        let grants = &domain.grants;
        if grants.table_frames() == 0 && grants.handles_in_use() == 0 {
            continue;
        }
        is_any = true;
        let id = domain.id;
        log::info!(
            "{id}: grant table of {} frames, {} mappings of others' grants",
            grants.table_frames(),
            grants.handles_in_use()
        );
        let mut lines = Limited(0);
        for reference in 0.. {
            let Some(grant) = grants.get(&Machine, reference) else {
                break;
            };
            let active = grant.active(&Machine);
            if active.is_used() {
                let [written, read, device_written, device_read] = active.counts();
                lines.show(format_args!(
                    "{id}: grant {reference} of frame {:#x}: mapped {written} times writable, {read} read-only; for devices {device_written}, {device_read}",
                    active.frame()
                ));
            }
        }
        lines.end(domain, "grants in use");
        mappings(&hv, domain);
    }
    if !is_any {
        log::info!("grants: none");
    }
}

fn mappings(hv: &Hypervisor, domain: &Domain) {
    let mut lines = Limited(0);
    for number in 0..domain.grants.handles_begun() {
        let Some(handle) = domain.grants.handle(&Machine, number) else {
            continue;
        };
        if let Some(granter) = hv.domain_in(handle.slot) {
            lines.show(format_args!(
                "{}: mapping {number} of {} grant {}, {:?}",
                domain.id, granter.id, handle.reference, handle.uses
            ));
        }
    }
    lines.end(domain, "mappings");
}

/// A line for each interrupt line that somebody has.
pub fn interrupt_lines() {
    let hv = state::lock();
    for line in 0..LINES as u8 {
        if hv.lines.is_own(line) {
            log::info!("line {line}: the hypervisor's");
        }
        for (slot, is_serving) in hv.lines.sharers(line) {
            let Some(domain) = hv.domain_in(slot) else {
                continue;
            };
            let state = if is_serving { ", to be served" } else { "" };
            log::info!("line {line}: {}{state}", domain.id);
        }
    }
}

/// Registers and tables of each domain, as they were when it was left last.
pub fn registers() {
    let hv = state::lock();
    for (slot, domain) in hv.domains.iter().enumerate() {
        let Some(domain) = domain else { continue };
        let (id, vcpu) = (domain.id, &domain.vcpus[0]);
        let r = &vcpu.regs;
        let runs = if slot == hv.current && !hv.sched.is_idle {
            " (runs: as it was when it was left last)"
        } else {
            ""
        };
        log::info!(
            "{id}: cs:eip {:04x}:{:08x} ss:esp {:04x}:{:08x} eflags {:08x}{runs}",
            r.cs,
            r.rip,
            r.ss,
            r.rsp,
            r.rflags
        );
        log::info!(
            "{id}: eax {:08x} ebx {:08x} ecx {:08x} edx {:08x} esi {:08x} edi {:08x} ebp {:08x}",
            r.rax,
            r.rbx,
            r.rcx,
            r.rdx,
            r.rsi,
            r.rdi,
            r.rbp
        );
        log::info!(
            "{id}: page tables at frame {:#x}, GDT {} entries, LDT {}, ring-1 stack {:04x}:{:08x}",
            vcpu.roots[0].map_or(0, |root| root.raw()),
            vcpu.gdt_entries,
            vcpu.ldt_entries,
            vcpu.kernel_ss,
            vcpu.kernel_esp
        );
    }
}
