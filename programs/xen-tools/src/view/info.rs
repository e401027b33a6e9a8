//! `info`: the machine, as `xl info` shows it, or everything about one domain, registers and stack included.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::domctl::{CrashCode, GetCrash};
use guest_abi::vcpu::GuestRegs;
use serde::Serialize;

use super::{Domain, seconds};
use crate::settings::{Ramdisk, Settings};

/// The machine and its hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are those of `xl info`")]
pub struct MachineInfo {
    pub host: String,
    pub release: String,
    pub version: String,
    pub machine: String,
    pub nr_cpus: u32,
    pub threads_per_core: u32,
    pub cpu_khz: u32,
    pub total_memory_kib: u64,
    pub free_memory_kib: u64,
    pub hypervisor_memory_kib: u64,
    pub nr_domains: usize,
    pub xen_major: u32,
    pub xen_minor: u32,
    pub xen_extra: String,
    pub xen_caps: String,
    pub xen_scheduler: String,
    pub xen_pagesize: u32,
}

impl MachineInfo {
    /// `xl info`'s lines.
    pub fn text(&self) -> String {
        let memory = |kib: u64| (kib / 1024).to_string();
        lines(&[
            ("host", self.host.clone()),
            ("release", self.release.clone()),
            ("version", self.version.clone()),
            ("machine", self.machine.clone()),
            ("nr_cpus", self.nr_cpus.to_string()),
            ("threads_per_core", self.threads_per_core.to_string()),
            (
                "cpu_mhz",
                format!("{}.{:03}", self.cpu_khz / 1000, self.cpu_khz % 1000),
            ),
            ("total_memory", memory(self.total_memory_kib)),
            ("free_memory", memory(self.free_memory_kib)),
            ("hypervisor_memory_kib", self.hypervisor_memory_kib.to_string()),
            ("nr_domains", self.nr_domains.to_string()),
            ("xen_major", self.xen_major.to_string()),
            ("xen_minor", self.xen_minor.to_string()),
            ("xen_extra", self.xen_extra.clone()),
            (
                "xen_version",
                format!("{}.{}{}", self.xen_major, self.xen_minor, self.xen_extra),
            ),
            ("xen_caps", self.xen_caps.clone()),
            ("xen_scheduler", self.xen_scheduler.clone()),
            ("xen_pagesize", self.xen_pagesize.to_string()),
        ])
    }
}

/// A domain's registers, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field is the register of that name")]
pub struct Registers {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
    pub ebp: u32,
    pub esp: u32,
    pub eip: u32,
    pub eflags: u32,
    pub cs: u32,
    pub ss: u32,
    pub ds: u32,
    pub es: u32,
    pub fs: u32,
    pub gs: u32,
}

impl From<&GuestRegs> for Registers {
    fn from(r: &GuestRegs) -> Self {
        Self {
            eax: r.eax,
            ebx: r.ebx,
            ecx: r.ecx,
            edx: r.edx,
            esi: r.esi,
            edi: r.edi,
            ebp: r.ebp,
            esp: r.esp,
            eip: r.eip,
            eflags: r.eflags,
            cs: r.cs,
            ss: r.ss,
            ds: r.ds,
            es: r.es,
            fs: r.fs,
            gs: r.gs,
        }
    }
}

/// Everything about one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainInfo {
    /// What the listing says.
    #[serde(flatten)]
    pub domain: Domain,
    /// Its share of the processor, where the scheduler has weights.
    pub weight: Option<u32>,
    /// What it was to be, where the tools made it.
    pub settings: Option<Settings>,
    /// Why the hypervisor or its own kernel ended it.
    pub crash: Option<String>,
    /// Lines of the hypervisor's log about its end.
    pub log: Vec<String>,
    /// Its registers; `None` where the hypervisor gives none.
    pub registers: Option<Registers>,
    /// The root of its page tables, a machine frame.
    pub page_table_frame: Option<u32>,
    /// Words at its stack pointer, as far as they can be read.
    pub stack: Vec<u32>,
}

impl DomainInfo {
    /// The text, a line for each thing known.
    pub fn text(&self) -> String {
        let domain = &self.domain;
        let limit = domain
            .max_memory_kib
            .map_or_else(|| "no limit".into(), |kib| format!("{kib} KiB"));
        let mut known = Vec::from([
            ("name", domain.label().to_string()),
            ("id", domain.id.to_string()),
            ("state", domain.state.clone()),
            ("shutdown_reason", domain.shutdown_reason.unwrap_or("none").into()),
            ("memory", format!("{} KiB", domain.memory_kib)),
            ("maxmem", limit),
            ("vcpus", domain.vcpus.to_string()),
            ("cpu_time", format!("{} s", seconds(domain.cpu_time_ns))),
        ]);
        known.extend(
            domain
                .uptime_ns
                .map(|up| ("uptime", format!("{} s", seconds(up)))),
        );
        known.extend(self.weight.map(|weight| ("cpu_weight", weight.to_string())));
        if let Some(settings) = &self.settings {
            let ramdisk = match &settings.ramdisk {
                Ramdisk::Default | Ramdisk::None => "none",
                Ramdisk::File(file) => file,
            };
            known.extend([
                ("kernel", settings.kernel.clone()),
                ("ramdisk", ramdisk.into()),
                ("extra", settings.extra.clone()),
                ("on_poweroff", settings.on_poweroff.to_string()),
                ("on_reboot", settings.on_reboot.to_string()),
                ("on_crash", settings.on_crash.to_string()),
            ]);
        }
        known.extend(
            self.page_table_frame
                .map(|frame| ("page_tables", format!("frame {frame:#x}"))),
        );
        known.extend(self.crash.clone().map(|crash| ("crash", crash)));
        let mut text = lines(&known);
        for line in &self.log {
            text += &format!("{:<23}: {line}\n", "log");
        }
        if let Some(registers) = &self.registers {
            text += &registers.text();
        }
        for (row, words) in self.stack.chunks(8).enumerate() {
            let head = if row == 0 { "stack" } else { "" };
            let words: String = words.iter().map(|word| format!(" {word:08x}")).collect();
            text += &format!("{head:<23}:{words}\n");
        }
        text
    }
}

/// A crash in words.
pub fn crash(crash: &GetCrash) -> String {
    if crash.code == CrashCode::REQUESTED {
        return "its kernel gave up".into();
    }
    format!(
        "{} ({:#x}), after vector {:#x} with error code {:#x}",
        crash.code, crash.detail, crash.vector, crash.error_code
    )
}

impl Registers {
    fn text(&self) -> String {
        format!(
            "{:<23}: cs:eip {:04x}:{:08x} ss:esp {:04x}:{:08x} eflags {:08x}\n\
             {:<23}: eax {:08x} ebx {:08x} ecx {:08x} edx {:08x}\n\
             {:<23}: esi {:08x} edi {:08x} ebp {:08x}\n\
             {:<23}: ds {:04x} es {:04x} fs {:04x} gs {:04x}\n",
            "registers",
            self.cs,
            self.eip,
            self.ss,
            self.esp,
            self.eflags,
            "",
            self.eax,
            self.ebx,
            self.ecx,
            self.edx,
            "",
            self.esi,
            self.edi,
            self.ebp,
            "",
            self.ds,
            self.es,
            self.fs,
            self.gs,
        )
    }
}

/// `name                   : value`, as `xl info` prints it.
fn lines(known: &[(&str, String)]) -> String {
    known
        .iter()
        .map(|(name, value)| format!("{name:<23}: {value}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crashed() -> DomainInfo {
        DomainInfo {
            domain: Domain {
                name: Some("web".into()),
                id: 3,
                memory_kib: 8192,
                max_memory_kib: Some(8192),
                vcpus: 1,
                state: "----c-".into(),
                shutdown_reason: Some("crash"),
                cpu_time_ns: 700_000_000,
                uptime_ns: Some(1_200_000_000),
            },
            weight: Some(512),
            settings: Some(Settings::new("web", "mini-guest")),
            crash: Some(crash(&GetCrash {
                code: CrashCode::NO_HANDLER,
                detail: 14,
                vector: 14,
                error_code: 2,
                ..GetCrash::default()
            })),
            log: vec!["d3 killed: it has no handler for vector 0xe".into()],
            registers: Some(Registers {
                eip: 0xC010_0000,
                cs: 0xE019,
                gs: 0x33,
                ..Registers::default()
            }),
            page_table_frame: Some(0x1234),
            stack: (0..10).collect(),
        }
    }

    #[test]
    fn a_crashed_domain_shows_reason_registers_and_stack() {
        let text = crashed().text();
        for line in [
            "name                   : web",
            "shutdown_reason        : crash",
            "maxmem                 : 8192 KiB",
            "cpu_weight             : 512",
            "on_crash               : destroy",
            "page_tables            : frame 0x1234",
            "crash                  : no handler (0xe), after vector 0xe with error code 0x2",
            "log                    : d3 killed: it has no handler for vector 0xe",
            "registers              : cs:eip e019:c0100000 ss:esp 0000:00000000 eflags 00000000",
            "                       : ds 0000 es 0000 fs 0000 gs 0033",
            "stack                  : 00000000 00000001 00000002 00000003 00000004 00000005 00000006 00000007",
            "                       : 00000008 00000009",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
        }
        let value: serde_json::Value = serde_json::from_str(&super::super::json(&crashed())).unwrap();
        assert_eq!(value["registers"]["eip"], 0xC010_0000_u32);
        assert_eq!(value["settings"]["on_crash"], "destroy");
        assert_eq!(value["shutdown_reason"], "crash");
        assert_eq!(value["stack"][9], 9);
    }

    #[test]
    fn a_machine_has_xls_names() {
        let machine = MachineInfo {
            host: "xenlite".into(),
            release: "5.10".into(),
            version: "v".into(),
            machine: "i686".into(),
            nr_cpus: 1,
            threads_per_core: 1,
            cpu_khz: 2_400_012,
            total_memory_kib: 524_288,
            free_memory_kib: 1024,
            hypervisor_memory_kib: 3000,
            nr_domains: 3,
            xen_major: 2,
            xen_minor: 0,
            xen_extra: "-xenlite".into(),
            xen_caps: "xen-2.0-x86_32p".into(),
            xen_scheduler: "bvt".into(),
            xen_pagesize: 4096,
        };
        let text = machine.text();
        for line in [
            "cpu_mhz                : 2400.012",
            "total_memory           : 512",
            "xen_version            : 2.0-xenlite",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
        }
    }
}
