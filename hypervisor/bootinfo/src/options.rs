//! The hypervisor's command line.
//!
//! Words separated by blanks, `name` or `name=value`; a later word overrides an earlier one. Nothing stops the boot:
//! a word that makes no sense changes nothing and becomes a warning. [`TABLE`] is what the manual prints.

use arrayvec::ArrayVec;
use core::fmt;
use guest_abi::addr::PAGE_SIZE;
use log::LevelFilter;

/// Most warnings that are kept; later ones are only counted.
pub const MAX_WARNINGS: usize = 8;

/// One line of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionHelp {
    /// What is typed before the `=`.
    pub name: &'static str,
    /// What follows it; empty for a switch.
    pub values: &'static str,
    /// What it does, with its default.
    pub help: &'static str,
}

/// Every option.
pub const TABLE: [OptionHelp; 8] = [
    OptionHelp {
        name: "console",
        values: "com1|com2|vga, several with commas",
        help: "where the console is (default com1,vga; vga is the screen, text or graphics)",
    },
    OptionHelp {
        name: "loglvl",
        values: "none|error|warning|info|debug|all",
        help: "what the hypervisor logs (default info)",
    },
    OptionHelp {
        name: "guest_loglvl",
        values: "none|error|warning|info|debug|all",
        help: "what it logs about guests' doings (default warning)",
    },
    OptionHelp {
        name: "dom0_mem",
        values: "N, NK, NM or NG",
        help: "Domain0's memory, in KiB without a letter (default: half of what is free, at most 256 MiB)",
    },
    OptionHelp {
        name: "sched",
        values: "bvt or rrobin",
        help: "who runs: by weight, borrowed virtual time (default), or in turn",
    },
    OptionHelp {
        name: "noreboot",
        values: "",
        help: "stop instead of rebooting after a failure",
    },
    OptionHelp {
        name: "exit-on-shutdown",
        values: "",
        help: "end the emulator with a status when Domain0 shuts down",
    },
    OptionHelp {
        name: "audit-on-shutdown",
        values: "",
        help: "recount all references to memory when Domain0 shuts down, and panic if a count is wrong",
    },
];

/// Where the console is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consoles {
    /// The first serial port.
    pub com1: bool,
    /// The second serial port.
    pub com2: bool,
    /// The screen.
    pub screen: bool,
}

/// The command line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// `console=`.
    pub consoles: Consoles,
    /// `loglvl=`.
    pub log_level: LevelFilter,
    /// `guest_loglvl=`.
    pub guest_log_level: LevelFilter,
    /// `dom0_mem=` in bytes, whole pages, not 0.
    pub dom0_mem: Option<u64>,
    /// `sched=`, unchecked: whoever has the schedulers knows their names.
    pub scheduler: Option<&'a str>,
    /// `noreboot`.
    pub is_reboot_forbidden: bool,
    /// `exit-on-shutdown`.
    pub exits_on_shutdown: bool,
    /// `audit-on-shutdown`.
    pub audits_on_shutdown: bool,
    /// Words that changed nothing.
    pub warnings: ArrayVec<OptionWarning<'a>, MAX_WARNINGS>,
    /// How many more of them there were.
    pub warnings_lost: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            consoles: Consoles {
                com1: true,
                com2: false,
                screen: true,
            },
            log_level: LevelFilter::Info,
            guest_log_level: LevelFilter::Warn,
            dom0_mem: None,
            scheduler: None,
            is_reboot_forbidden: false,
            exits_on_shutdown: false,
            audits_on_shutdown: false,
            warnings: ArrayVec::new(),
            warnings_lost: 0,
        }
    }
}

/// A word of the command line that changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionWarning<'a> {
    /// There is no such option.
    Unknown(&'a str),
    /// The option has no such value.
    BadValue(&'a str),
}

impl fmt::Display for OptionWarning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => write!(f, "hypervisor argument '{word}' is unknown"),
            Self::BadValue(word) => write!(f, "hypervisor argument '{word}' has a bad value"),
        }
    }
}

impl<'a> Options<'a> {
    /// Understands a command line without the file's name.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        let mut options = Self::default();
        for word in line.split_ascii_whitespace() {
            let Err(warning) = options.apply(word) else {
                continue;
            };
            options.warnings_lost += usize::from(options.warnings.try_push(warning).is_err());
        }
        options
    }

    fn apply(&mut self, word: &'a str) -> Result<(), OptionWarning<'a>> {
        let (name, value) = word
            .split_once('=')
            .map_or((word, None), |(name, value)| (name, Some(value)));
        let bad = OptionWarning::BadValue(word);
        let text = value.filter(|v| !v.is_empty()).ok_or(bad);
        match name {
            "console" => self.consoles = consoles(text?).ok_or(bad)?,
            "loglvl" => self.log_level = level(text?).ok_or(bad)?,
            "guest_loglvl" => self.guest_log_level = level(text?).ok_or(bad)?,
            "dom0_mem" => self.dom0_mem = Some(memory_size(text?).ok_or(bad)?),
            "sched" => self.scheduler = Some(text?),
            "noreboot" => self.is_reboot_forbidden = switch(value).ok_or(bad)?,
            "audit-on-shutdown" => self.audits_on_shutdown = switch(value).ok_or(bad)?,
            "exit-on-shutdown" => self.exits_on_shutdown = switch(value).ok_or(bad)?,
            _ => return Err(OptionWarning::Unknown(word)),
        }
        Ok(())
    }
}

fn consoles(list: &str) -> Option<Consoles> {
    let mut found = Consoles {
        com1: false,
        com2: false,
        screen: false,
    };
    for name in list.split(',') {
        match name {
            "com1" => found.com1 = true,
            "com2" => found.com2 = true,
            "vga" => found.screen = true,
            _ => return None,
        }
    }
    Some(found)
}

/// A level under Xen's names, and `warn`.
fn level(name: &str) -> Option<LevelFilter> {
    Some(match name {
        "none" => LevelFilter::Off,
        "error" => LevelFilter::Error,
        "warning" | "warn" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        "all" => LevelFilter::Trace,
        _ => return None,
    })
}

/// An amount of memory in bytes, rounded down to pages: at least a page.
fn memory_size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 10),
    };
    // The number parser would take a sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    let pages = bytes / PAGE_SIZE as u64;
    (pages != 0).then_some(pages * PAGE_SIZE as u64)
}

/// A switch: alone it is on.
fn switch(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("yes" | "on" | "true" | "1") => Some(true),
        Some("no" | "off" | "false" | "0") => Some(false),
        Some(_) => None,
    }
}
