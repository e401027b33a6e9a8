//! `create`: from words and files to a running domain.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::domctl::UnpauseDomain;
use programs::file::{self, File};
use programs::io::Text;
use programs::xen::consoles;
use programs::{clock, dir, errno, print, println, sys};
use xen_tools::builder::{self, Built, Request};
use xen_tools::options::Create;
use xen_tools::privileged::Privileged;
use xen_tools::record::Record;
use xen_tools::settings::{Ramdisk, Settings};
use xen_tools::view;

use crate::host::Host;
use crate::state::{self, Reservation};
use crate::{Outcome, block, console, daemon, keys, life, network};

/// Where the kernel shows the boot modules.
const MODULES: &str = "/boot";
/// Where configuration files are looked for.
const CONFIGURATIONS: &str = "/etc/xen";

/// `create NAME|CONFIG [OPTION…]`.
pub fn create(words: &[&str]) -> Outcome {
    let words = Create::parse(words)?;
    let settings = settings(&words)?;
    if words.dry_run {
        print!("{}", view::json(&settings));
        return Ok(());
    }
    let host = Host::open()?;
    // Somebody must be there when the domain ends.
    daemon::ensure(&host)?;
    let record = start(&host, settings, words.paused, 0)?;
    if words.console {
        return console::connect(record.id, consoles::ESCAPE);
    }
    println!("domain {} created, number {}", record.settings.name, record.id);
    Ok(())
}

/// What is to be created: a file's settings, if there is one, changed by the options.
fn settings(words: &Create<'_>) -> Result<Settings, String> {
    let subject = words
        .subject
        .ok_or("create what? A name with --kernel, or a configuration file; `create --help` says more")?;
    let is_path = subject.contains('/') || subject.ends_with(".cfg");
    let path = if is_path {
        Some(subject.to_string())
    } else {
        let path = format!("{CONFIGURATIONS}/{subject}.cfg");
        (!words.names_kernel() && sys::stat(path.as_bytes()).is_ok()).then_some(path)
    };
    let mut settings = match path {
        Some(path) => from_file(&path)?,
        None => Settings::new(subject, ""),
    };
    words.apply(&mut settings)?;
    Ok(settings)
}

/// A configuration file's settings; a domain without a name gets the file's.
///
/// # Errors
/// One line that begins with the file's name.
pub fn from_file(path: &str) -> Result<Settings, String> {
    let content = file::read_file(path.as_bytes()).map_err(|error| format!("{path}: {error}"))?;
    let text = core::str::from_utf8(&content).map_err(|_| format!("{path}: not a text"))?;
    let name = path.rsplit('/').next().unwrap_or(path);
    Settings::from_config(text, name.strip_suffix(".cfg").unwrap_or(name))
        .map_err(|what| format!("{path}: {what}"))
}

/// Builds a domain, remembers it and lets it run.
///
/// # Errors
/// One line; nothing is left then.
pub fn start(host: &Host, mut settings: Settings, paused: bool, quick_ends: u32) -> Result<Record, String> {
    let name = Reservation::take(host, &settings.name)?;
    let sources = Sources::read(&mut settings)?;
    let request = Request {
        name: &settings.name,
        kernel: &sources.kernel,
        ramdisk: &sources.ramdisk,
        command_line: &sources.command_line,
        memory_kib: settings.memory_kib,
        limit_kib: settings.limit_kib(),
        weight: settings.weight,
        console_show: settings.console_show,
        has_store: true,
    };
    let built = builder::build(host, &request).map_err(|failure| failure.to_string())?;
    let record = Record {
        id: built.id.raw(),
        console_mfn: built.console_mfn.raw(),
        console_port: built.console_port,
        started_ns: clock::monotonic_ns(),
        quick_ends,
        settings,
    };
    let Settings {
        disks, vifs, devices, ..
    } = &record.settings;
    let begun = devices
        .give(host, built.id)
        .and_then(|()| keys::write(&record))
        .and_then(|()| disks.iter().try_for_each(|disk| block::add(record.id, disk)))
        .and_then(|()| vifs.iter().try_for_each(|vif| network::add(record.id, vif)))
        .and_then(|()| state::write(&record))
        .and_then(|()| name.give(record.id))
        .and_then(|()| if paused { Ok(()) } else { unpause(host, built) });
    if begun.is_err() {
        // What cannot be remembered or run is not left behind.
        let _ = life::end(host, built.id);
    }
    begun.map(|()| record)
}

fn unpause(host: &Host, built: Built) -> Outcome {
    let unpause = UnpauseDomain {
        domain: built.id,
        pad: 0,
    };
    host.control(&unpause)
        .map(drop)
        .map_err(|error| format!("letting it run: {error}"))
}

/// The files that a domain is made of, in memory.
struct Sources {
    kernel: Vec<u8>,
    ramdisk: Vec<u8>,
    command_line: String,
}

impl Sources {
    /// Reads them. A kernel that is a boot module may bring arguments of its own on its line: `initrd=NAME` is the initial
    /// file system of domains that name none, other words go before the domain's own.
    fn read(settings: &mut Settings) -> Result<Self, String> {
        let path = source(&settings.kernel);
        let kernel = load(&path, "kernel")?;
        let args = file::read_file(format!("{path}.args").as_bytes()).unwrap_or_default();
        let args = String::from_utf8(args).unwrap_or_default();
        let mut words: Vec<&str> = args.split_whitespace().collect();
        let own_ramdisk = words.iter().rev().find_map(|word| word.strip_prefix("initrd="));
        if settings.ramdisk == Ramdisk::Default {
            settings.ramdisk = own_ramdisk.map_or(Ramdisk::None, |name| Ramdisk::File(name.into()));
        }
        let ramdisk = match &settings.ramdisk {
            Ramdisk::File(name) => load(&source(name), "initrd")?,
            Ramdisk::Default | Ramdisk::None => Vec::new(),
        };
        words.retain(|word| !word.starts_with("initrd="));
        words.extend((!settings.extra.is_empty()).then_some(settings.extra.as_str()));
        let command_line = words.join(" ");
        Ok(Self {
            kernel,
            ramdisk,
            command_line,
        })
    }
}

/// A name without a slash is a boot module's.
fn source(name: &str) -> String {
    if name.contains('/') {
        name.into()
    } else {
        format!("{MODULES}/{name}")
    }
}

/// A whole file, which may be large: its memory is asked for once.
fn load(path: &str, what: &str) -> Result<Vec<u8>, String> {
    read_whole(path).map_err(|error| {
        let mut message = format!("{what} {path}: {error}");
        if error == errno::Errno::ENOENT && path.starts_with(MODULES) {
            message += &modules();
        }
        message
    })
}

fn read_whole(path: &str) -> errno::Result<Vec<u8>> {
    let file = File::open(path.as_bytes())?;
    let size = usize::try_from(sys::stat(path.as_bytes())?.size).map_err(|_| errno::Errno::EFBIG)?;
    let mut content = Vec::new();
    content
        .try_reserve_exact(size)
        .map_err(|_| errno::Errno::ENOMEM)?;
    content.resize(size, 0);
    let mut filled = 0;
    while filled < size {
        match file::read_some(file.descriptor(), &mut content[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    content.truncate(filled);
    Ok(content)
}

/// The boot modules there are, behind a message about one that is not.
fn modules() -> String {
    let mut names = dir::names(MODULES.as_bytes()).unwrap_or_default();
    names.retain(|name| !name.starts_with(b".") && !name.ends_with(b".args"));
    names.sort();
    if names.is_empty() {
        return "; there are no boot modules (the launcher's --module adds some)".into();
    }
    let names: Vec<String> = names.iter().map(|name| format!("{}", Text(name))).collect();
    format!("; the boot modules are {}", names.join(", "))
}

/// A path for a message.
pub fn shown(path: &[u8]) -> String {
    format!("{}", Text(path))
}
