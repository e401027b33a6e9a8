//! What a domain is to be: name, kernel, memory and so on, from a configuration file with `xl.cfg`'s keys.
//!
//! | key | value | default |
//! |---|---|---|
//! | `name` | letters, digits, `.`, `_`, `+`, `-`; not digits alone | the file's name without `.cfg` |
//! | `kernel` | a file, or a boot module's name | needed |
//! | `ramdisk` | likewise | the kernel module's own (`initrd=` on its line), or none |
//! | `extra`, `cmdline` | the kernel's command line; `root` goes before it as `root=…` | empty |
//! | `memory`, `maxmem` | megabytes, or a string with a unit (`"512K"`) | 16; as `memory` |
//! | `cpu_weight` | 1 to 65535, 256 is an ordinary share | 256 |
//! | `on_poweroff`, `on_reboot`, `on_crash` | `destroy`, `restart`, `preserve` | destroy, restart, destroy |
//! | `disk` | a list of `"DISK[,DEVICE[,r]][,weight=N]"`, see [`crate::disk`] | none |
//! | `vif` | a list of `"KEY=VALUE,…"`: network interfaces, see [`crate::vif`] | none |
//! | `console_show` | 1: its lines appear on Domain0's terminal, its name before each | 0 |
//! | `ioports`, `irqs`, `pci`, `unsafe_dma` | devices that are its alone: see [`crate::devices`] | none |
//!
//! Keys that say what is so anyway are accepted (`type = "pv"`, `vcpus = 1`, empty `vif`); other keys are
//! errors, so that a misspelt one is not silently without effect.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{self, Value};
use crate::devices::Devices;
use crate::disk::Disk;
use crate::size;
use crate::vif::Vif;
use crate::weight;

/// Memory of a domain that says nothing about it.
pub const DEFAULT_MEMORY_KIB: u64 = 16 << 10;
/// Longest name of a domain: what the console's label holds.
pub const MAX_NAME: usize = 31;

/// What is done with a domain that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Everything it holds is given back.
    Destroy,
    /// As destroy, and then it is created again with the same settings.
    Restart,
    /// It stays as it is, to be looked at, until it is destroyed by hand.
    Preserve,
}

impl Action {
    /// The action of that name.
    ///
    /// # Errors
    /// There is none; the message names those that are.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "destroy" => Ok(Self::Destroy),
            "restart" => Ok(Self::Restart),
            "preserve" => Ok(Self::Preserve),
            _ => Err(format!("`{text}` is none of destroy, restart, preserve")),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Destroy => "destroy",
            Self::Restart => "restart",
            Self::Preserve => "preserve",
        })
    }
}

/// Where the initial file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ramdisk {
    /// The kernel module names one, or there is none.
    Default,
    /// There is none.
    None,
    /// This file or boot module.
    File(String),
}

/// What a domain is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Its kernel: a path, or a boot module's name.
    pub kernel: String,
    /// Its initial file system.
    pub ramdisk: Ramdisk,
    /// The kernel's command line.
    pub extra: String,
    /// Its memory.
    pub memory_kib: u64,
    /// How much memory it may ask for.
    pub max_memory_kib: Option<u64>,
    /// Its share of the processor.
    pub weight: Option<u32>,
    /// After an orderly end.
    pub on_poweroff: Action,
    /// When it asks to be started again.
    pub on_reboot: Action,
    /// When it was killed or gave up.
    pub on_crash: Action,
    /// Its console's lines appear on Domain0's terminal.
    pub console_show: bool,
    /// Its disks.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    #[serde(default)]
    pub vifs: Vec<Vif>,
    /// Devices that are its alone.
    #[serde(default, skip_serializing_if = "Devices::is_empty")]
    pub devices: Devices,
}

impl Settings {
    /// A domain with this name and kernel, everything else by default.
    pub fn new(name: &str, kernel: &str) -> Self {
        Self {
            name: name.into(),
            kernel: kernel.into(),
            ramdisk: Ramdisk::Default,
            extra: String::new(),
            memory_kib: DEFAULT_MEMORY_KIB,
            max_memory_kib: None,
            weight: None,
            on_poweroff: Action::Destroy,
            on_reboot: Action::Restart,
            on_crash: Action::Destroy,
            console_show: false,
            disks: Vec::new(),
            vifs: Vec::new(),
            devices: Devices::default(),
        }
    }

    /// Reads a configuration file; `name` is the domain's if the file has none.
    ///
    /// # Errors
    /// One line that says what is wrong, and where.
    pub fn from_config(text: &str, name: &str) -> Result<Self, String> {
        let mut settings = Self::new(name, "");
        let (mut root, mut command_line) = (String::new(), None);
        for entry in config::parse(text).map_err(|error| error.to_string())? {
            let taken = match (entry.key.as_str(), &entry.value) {
                ("root", Value::Text(text)) => {
                    root = format!("root={text} ");
                    Ok(())
                }
                // Given, it is the whole line, whatever `root` and `extra` say; so does `xl`.
                ("cmdline", Value::Text(text)) => {
                    command_line = Some(text.clone());
                    Ok(())
                }
                (key, value) => settings.set(key, value),
            };
            taken.map_err(|what| format!("line {}: {}: {what}", entry.line, entry.key))?;
        }
        settings.extra = command_line.unwrap_or_else(|| (root + &settings.extra).trim_end().into());
        settings.check()?;
        Ok(settings)
    }

    /// Takes one statement.
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        if let Some(set) = self.devices.set(key, value) {
            return set;
        }
        match (key, value) {
            ("name", Value::Text(text)) => self.name.clone_from(text),
            ("kernel", Value::Text(text)) => self.kernel.clone_from(text),
            ("ramdisk", Value::Text(text)) => self.ramdisk = Ramdisk::File(text.clone()),
            ("extra", Value::Text(text)) => self.extra.clone_from(text),
            ("memory", value) => self.memory_kib = kib(value)?,
            ("maxmem", value) => self.max_memory_kib = Some(kib(value)?),
            ("cpu_weight", Value::Number(number)) => self.weight = Some(weight::check(*number)?),
            ("on_poweroff" | "on_shutdown", Value::Text(text)) => self.on_poweroff = Action::parse(text)?,
            ("on_reboot", Value::Text(text)) => self.on_reboot = Action::parse(text)?,
            ("on_crash", Value::Text(text)) => self.on_crash = Action::parse(text)?,
            ("console_show", Value::Number(number @ (0 | 1))) => self.console_show = *number == 1,
            ("type", Value::Text(text)) if text == "pv" => {}
            ("builder", Value::Text(text)) if matches!(text.as_str(), "generic" | "linux") => {}
            ("vcpus" | "maxvcpus", Value::Number(1)) => {}
            // An option gives one more; a list is all of them.
            ("disk", Value::Text(text)) => self.disks.push(Disk::parse(text)?),
            ("disk", Value::List(list)) => self.disks = each(list, Disk::parse)?,
            ("vif", Value::Text(text)) => self.vifs.push(Vif::parse(text)?),
            ("vif", Value::List(list)) => self.vifs = each(list, Vif::parse)?,
            ("type" | "builder", _) => return Err("domains are paravirtual here: \"pv\"".into()),
            ("vcpus" | "maxvcpus", _) => return Err("a domain has one processor here: 1".into()),
            ("disk" | "vif", _) => return Err(NO_STRINGS.into()),
            (
                "name" | "kernel" | "ramdisk" | "extra" | "root" | "cmdline" | "on_poweroff" | "on_shutdown"
                | "on_reboot" | "on_crash",
                _,
            ) => return Err("the value is a \"string\"".into()),
            ("cpu_weight", _) => return Err("the value is a whole number".into()),
            ("console_show", _) => return Err("the value is 0 or 1".into()),
            _ => {
                return Err(
                    "no such key; there are name, kernel, ramdisk, extra, cmdline, root, memory, maxmem, cpu_weight, \
                     on_poweroff, on_reboot, on_crash, console_show, disk, vif, ioports, irqs, pci, unsafe_dma"
                        .into(),
                );
            }
        }
        Ok(())
    }

    /// What must hold whatever the settings came from.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        if self.kernel.is_empty() {
            return Err(
                "no kernel: name one by `kernel = \"…\"` or --kernel (`ls /boot` shows the boot modules)"
                    .into(),
            );
        }
        match self.max_memory_kib {
            Some(max) if max < self.memory_kib => Err("maxmem is less than memory".into()),
            _ => Ok(()),
        }
    }

    /// How much memory it may have.
    pub fn limit_kib(&self) -> u64 {
        self.max_memory_kib.unwrap_or(self.memory_kib)
    }
}

/// Whether `name` can be a domain's.
///
/// # Errors
/// Why not.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_plain) || name.starts_with(['.', '-'])
    {
        return Err(format!(
            "`{}` is no name for a domain: up to {MAX_NAME} letters, digits, `.`, `_`, `+`, `-`, the first no `.` or `-`",
            name.escape_debug()
        ));
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "`{name}` is no name for a domain: digits alone are a number"
        ));
    }
    if name == DOMAIN0_NAME {
        return Err(format!("`{name}` is this domain's own name"));
    }
    Ok(())
}

/// The name of the domain that the tools run in.
pub const DOMAIN0_NAME: &str = "Domain-0";

/// What a list of strings should have been.
const NO_STRINGS: &str = "the value is a list of \"strings\"";

/// Reads each string of a list.
fn each<T>(list: &[Value], parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let read = |value: &Value| match value {
        Value::Text(text) => parse(text),
        _ => Err(NO_STRINGS.into()),
    };
    list.iter().map(read).collect()
}

fn kib(value: &Value) -> Result<u64, String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(_) => return Err("the value is a number of megabytes".into()),
    };
    size::parse_kib(&text).map_err(|error| format!("`{text}` is {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::{Function, Ports};

    #[test]
    fn a_file_says_everything() {
        let text = "name = 'web'\nkernel = \"mini-guest\"\nramdisk = \"/boot/a.cpio\"\nroot = '/dev/ram'\n\
                    extra = 'quiet'\nmemory = 24\nmaxmem = '32M'\ncpu_weight = 512\non_crash = 'restart'\n\
                    on_reboot = 'preserve'\non_poweroff = 'preserve'\nconsole_show = 1\ntype = 'pv'\nvcpus = 1\nvif = [ 'bridge=x,mac=00:16:3e:00:00:09', '' ]\n\
                    disk = [ 'ram0:4,weight=250', 'phy:vda1,xvdb,r', 'file:/mnt/a b.img,xvdc,w' ]\nioports = ['2f8-2ff']; irqs = [3]\npci = ['00:04.0']";
        let settings = Settings::from_config(text, "file").unwrap();
        let expected = Settings {
            ramdisk: Ramdisk::File("/boot/a.cpio".into()),
            extra: "root=/dev/ram quiet".into(),
            memory_kib: 24 << 10,
            max_memory_kib: Some(32 << 10),
            weight: Some(512),
            on_poweroff: Action::Preserve,
            on_reboot: Action::Preserve,
            on_crash: Action::Restart,
            console_show: true,
            devices: Devices {
                ports: vec![Ports::parse("2f8-2ff").unwrap()],
                lines: vec![3],
                functions: vec![Function::parse("00:04.0").unwrap()],
                unsafe_dma: false,
            },
            disks: [
                ("ram0:4", None, false, Some(250)),
                ("vda1", Some("xvdb"), true, None),
                ("file:/mnt/a b.img", Some("xvdc"), false, None),
            ]
            .map(|(disk, device, is_read_only, weight)| Disk {
                disk: disk.into(),
                device: device.map(String::from),
                is_read_only,
                weight,
            })
            .into(),
            vifs: [Vif::parse("mac=00:16:3e:00:00:09").unwrap(), Vif::default()].into(),
            ..Settings::new("web", "mini-guest")
        };
        assert_eq!(settings, expected);
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }

    #[test]
    fn what_a_file_leaves_out_is_default() {
        let settings = Settings::from_config("kernel = 'k'", "db").unwrap();
        assert_eq!(settings, Settings::new("db", "k"));
        assert_eq!(settings.limit_kib(), DEFAULT_MEMORY_KIB);
        let line = Settings::from_config("kernel='k'; root='r'; extra='e'; cmdline='all'", "db").unwrap();
        assert_eq!(line.extra, "all");
    }

    #[test]
    fn errors_say_line_and_key() {
        for (text, part) in [
            ("kernel = 'k'\nmemroy = 5", "line 2: memroy: no such key"),
            ("kernel = 5", "line 1: kernel: the value is a"),
            ("memory = '5T'", "line 1: memory: `5T` is not an amount"),
            ("memory = [ 1 ]", "line 1: memory: the value is a number"),
            ("cpu_weight = 0", "line 1: cpu_weight: "),
            ("disk = ['vda,weight=0']", "line 1: disk: `0` is no weight: "),
            (
                "disk = ['vda,xvda,w,weight=1001']",
                "line 1: disk: `1001` is no weight: ",
            ),
            (
                "on_crash = 'explode'",
                "`explode` is none of destroy, restart, preserve",
            ),
            ("vcpus = 2", "one processor"),
            ("type = 'hvm'", "paravirtual"),
            ("disk = [ 'ram0:4,sda' ]", "line 1: disk: `sda` is no name"),
            (
                "disk = [ 'file:a.img' ]",
                "line 1: disk: `file:a.img`: behind `file:` is a whole path",
            ),
            ("disk = [ 'file:' ]", "line 1: disk: `file:`: behind"),
            ("disk = [ 5 ]", "line 1: disk: the value is a list"),
            ("irqs = [ 16 ]", "line 1: irqs: an interrupt line is"),
            ("pci = [ '4' ]", "line 1: pci: `4` is no PCI function"),
            ("disk = [ ',xvda' ]", "names no disk"),
            ("vif = [ 'color=x' ]", "line 1: vif: `color` is no key"),
            ("vif = [ 5 ]", "line 1: vif: the value is a list"),
            ("console_show = 2", "0 or 1"),
            ("kernel = 'k", "line 1: a string has no closing quote"),
            ("memory = 8", "no kernel"),
            ("kernel = 'k'\nmemory = 8\nmaxmem = 4", "maxmem is less"),
            ("kernel = 'k'\nname = '12'", "digits alone"),
        ] {
            let error = Settings::from_config(text, "x").unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn names_are_safe_in_paths_and_lists() {
        for name in ["web", "web-1", "1a", "a.b_c+d", &"n".repeat(31)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            ".a",
            "-a",
            "a/b",
            "a b",
            "12",
            "ä",
            "Domain-0",
            "a\n",
            &"n".repeat(32),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
