//! The daemon: waits for domains to end and does what their settings say. And the domains of the configuration at boot.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::event_channel::Virq;
use programs::abi::{O_APPEND, O_CREAT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY};
use programs::file::{self, File};
use programs::process;
use programs::xen::Evtchn;
use programs::{Errno, clock, dir, eprintln, io, println, sys};
use xen_tools::builder;
use xen_tools::record::{End, Record, Verdict};
use xen_tools::settings::Action;

use crate::Outcome;
use crate::create;
use crate::domains;
use crate::host::Host;
use crate::life;
use crate::state;

const PID_FILE: &str = "/run/xen/daemon.pid";
const LOG_FILE: &str = "/run/xen/daemon.log";
/// The log begins anew beyond this many bytes.
const LOG_MOST: u64 = 64 << 10;
const AUTO: &str = "/etc/xen/auto";
/// `autostart`: what `/etc/rc` does at boot.
pub fn autostart(words: &[&str]) -> Outcome {
    if let Some(word) = words.first() {
        return Err(format!("what is `{word}`? It takes nothing"));
    }
    let line = file::read_file(b"/proc/cmdline").unwrap_or_default();
    if line
        .split(u8::is_ascii_whitespace)
        .any(|word| word == b"autostart=no")
    {
        return Ok(());
    }
    let host = Host::open()?;
    ensure(&host)?;
    let mut files = dir::names(AUTO.as_bytes()).unwrap_or_default();
    files.retain(|name| name.ends_with(b".cfg") && !name.starts_with(b"."));
    files.sort();
    let (mut started, mut failed) = (Vec::new(), 0);
    for name in &files {
        let path = create::shown(&dir::join(AUTO.as_bytes(), name));
        match create::from_file(&path).and_then(|settings| create::start(&host, settings, false, 0)) {
            Ok(record) => started.push(format!("{} ({})", record.settings.name, record.id)),
            Err(message) => {
                eprintln!("xl autostart: {path}: {message}");
                failed += 1;
            }
        }
    }
    if !started.is_empty() {
        println!("Domains started: {}", started.join(", "));
    }
    match failed {
        0 => Ok(()),
        1 => Err("a domain was not started".into()),
        failed => Err(format!("{failed} domains were not started")),
    }
}

/// `daemon [--foreground]`.
pub fn command(words: &[&str]) -> Outcome {
    match words {
        [] => ensure(&Host::open()?),
        ["--foreground"] => {
            let file = claim()?.ok_or("it runs already")?;
            own(&file)?;
            serve()
        }
        [other, ..] => Err(format!("what is `{other}`? There is only --foreground")),
    }
}

/// Sees to it that the daemon runs.
///
/// # Errors
/// One line.
pub fn ensure(host: &Host) -> Outcome {
    builder::scale_domain0(host).map_err(|error| format!("Domain0's share of the processor: {error}"))?;
    let Some(file) = claim()? else {
        return Ok(());
    };
    let child = process::spawn(|| {
        let _ = sys::setsid();
        if let Err(message) = own(&file).and_then(|()| silence()).and_then(|()| serve()) {
            log(&message);
            let _ = sys::unlink(PID_FILE.as_bytes());
            return 1;
        }
        0
    });
    child.map(drop).map_err(|error| {
        let _ = sys::unlink(PID_FILE.as_bytes());
        format!("starting the daemon: {error}")
    })
}

/// Makes the file that says which process is the daemon; nothing if there is one that lives.
fn claim() -> Result<Option<File>, String> {
    state::prepare()?;
    loop {
        match File::open_with(PID_FILE.as_bytes(), O_WRONLY | O_CREAT | O_EXCL) {
            Ok(file) => {
                // Until the daemon has written its own.
                own(&file)?;
                return Ok(Some(file));
            }
            Err(Errno::EEXIST) => {
                let content = file::read_file(PID_FILE.as_bytes()).unwrap_or_default();
                let pid = core::str::from_utf8(&content).unwrap_or_default().lines().last();
                let is_alive = |pid: &str| sys::stat(format!("/proc/{pid}").as_bytes()).is_ok();
                match pid {
                    Some(pid) if pid.parse::<u32>().is_ok() && is_alive(pid) => return Ok(None),
                    _ => drop(sys::unlink(PID_FILE.as_bytes())),
                }
            }
            Err(error) => return Err(format!("{PID_FILE}: {error}")),
        }
    }
}

/// Writes this process's number, on a line of its own behind what is there.
fn own(file: &File) -> Outcome {
    let line = format!("{}\n", sys::getpid());
    io::write_all(file.descriptor(), line.as_bytes()).map_err(|error| format!("{PID_FILE}: {error}"))
}

/// The daemon has no terminal.
fn silence() -> Outcome {
    let null = sys::open(b"/dev/null", O_RDWR, 0).map_err(|error| format!("/dev/null: {error}"))?;
    for fd in 0..3 {
        sys::dup2(null, fd).map_err(|error| format!("/dev/null: {error}"))?;
    }
    let _ = sys::close(null);
    Ok(())
}

/// Waits for ends, for ever.
fn serve() -> Outcome {
    let failed = |error: Errno| format!("/dev/xen/evtchn: {error}");
    let host = Host::open()?;
    let events = Evtchn::open().map_err(failed)?;
    events.bind_virq(Virq::DOM_EXC).map_err(failed)?;
    let mut kept = Vec::new();
    loop {
        look_around(&host, &mut kept);
        for port in events.wait().map_err(failed)? {
            // Open again before looking: an end after the look raises the event anew.
            events.unmask(port).map_err(failed)?;
        }
    }
}

/// Does what is to be done about each domain that has ended. `kept` are those that stay as they are.
fn look_around(host: &Host, kept: &mut Vec<u16>) {
    let found = match domains::infos(host) {
        Ok(found) => found,
        Err(message) => return log(&message),
    };
    // They are in order.
    let is_there = |id: u16| found.binary_search_by_key(&id, |info| info.domain.raw()).is_ok();
    kept.retain(|id| is_there(*id));
    for id in state::remembered().into_iter().filter(|id| !is_there(*id)) {
        state::forget(id);
    }
    // Records are read of those alone that do not live: there may be very many that do.
    let ended = found.iter().filter(|info| End::of(info.flags).is_some());
    for info in ended {
        if kept.contains(&info.domain.raw()) {
            continue;
        }
        let record = state::record(info.domain.raw());
        let verdict = record
            .as_ref()
            .and_then(|record| record.verdict(info.flags, clock::monotonic_ns()));
        if let (Some(record), Some(verdict)) = (record, verdict) {
            act(host, &record, verdict, kept);
        }
    }
}

fn act(host: &Host, record: &Record, verdict: Verdict, kept: &mut Vec<u16>) {
    let (name, id) = (&record.settings.name, record.id);
    let end = verdict.end.word();
    if verdict.action == Action::Preserve {
        kept.push(id);
        let why = if verdict.gives_up {
            "; it ended too soon too often to be started again"
        } else {
            ""
        };
        return log(&format!("{name} ({id}): {end}: preserved{why}"));
    }
    if let Err(error) = life::end(host, guest_abi::domain::DomId::new(id)) {
        kept.push(id);
        return log(&format!("{name} ({id}): {end}: not destroyed: {error}"));
    }
    if verdict.action == Action::Destroy {
        return log(&format!("{name} ({id}): {end}: destroyed"));
    }
    match create::start(host, record.settings.clone(), false, verdict.quick_ends) {
        Ok(new) => log(&format!("{name} ({id}): {end}: started again as {}", new.id)),
        Err(message) => log(&format!("{name} ({id}): {end}: not started again: {message}")),
    }
}

/// A line of the log. Whoever cannot write it has nobody to tell.
fn log(message: &str) {
    let size = sys::stat(LOG_FILE.as_bytes()).map_or(0, |status| status.size);
    let how = if size > LOG_MOST { O_TRUNC } else { O_APPEND };
    let up = clock::monotonic_ns() / 1_000_000;
    let line = format!("[{:>6}.{:03}] {message}\n", up / 1000, up % 1000).to_string();
    let _ = File::open_with(LOG_FILE.as_bytes(), O_WRONLY | O_CREAT | how)
        .and_then(|file| io::write_all(file.descriptor(), line.as_bytes()));
}
