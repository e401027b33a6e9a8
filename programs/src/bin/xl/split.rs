//! Devices that Domain0 serves to a domain: the keys of the store that both halves of a driver look at, whatever the device is.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_abi::io::xenbus::XenbusState;
use programs::errno::{Errno, Result};
use programs::xen::Store;
use programs::{clock, println};
use xen_tools::options::{Word, Words, unknown};

use crate::Outcome;

/// How long a domain may take to let go of a device, and Domain0's kernel for an answer.
pub const PATIENCE_MS: u32 = 5_000;
/// Between two looks.
pub const STEP_MS: u32 = 20;
/// How often a transaction is begun again.
const ATTEMPTS: u32 = 100;

/// A kind of device, by its name in the store.
#[derive(Clone, Copy)]
pub struct Class(pub &'static str);

impl Class {
    fn backends(self, domain: u16) -> String {
        format!("/local/domain/0/backend/{}/{domain}", self.0)
    }

    /// The directory of the backend of a device.
    pub fn backend(self, domain: u16, number: u32) -> String {
        format!("{}/{number}", self.backends(domain))
    }

    /// The directory of its frontend.
    pub fn frontend(self, domain: u16, number: u32) -> String {
        format!("/local/domain/{domain}/device/{}/{number}", self.0)
    }

    /// The numbers of a domain's devices.
    ///
    /// # Errors
    /// What the store answers.
    pub fn numbers(self, store: &mut Store, domain: u16) -> Result<Vec<u32>> {
        let names = match store.list(&self.backends(domain)) {
            Err(Errno::ENOENT) => Vec::new(),
            answer => answer?,
        };
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Writes the keys of a device: those that every device has, those of its frontend, and those of its backend, which reads the last of them last.
    ///
    /// # Errors
    /// What the store answers.
    pub fn write(
        self,
        store: &mut Store,
        (domain, number): (u16, u32),
        of_front: &[(&str, &str)],
        of_back: &[(&str, &str)],
    ) -> Result<()> {
        let (back, front) = (self.backend(domain, number), self.frontend(domain, number));
        let domain_text = domain.to_string();
        for (directory, perms, common, own) in [
            (
                &front,
                format!("n{domain}\0"),
                [("backend", back.as_str()), ("backend-id", "0"), ("state", "1")].as_slice(),
                of_front,
            ),
            (
                &back,
                format!("n0\0r{domain}\0"),
                &[
                    ("frontend", front.as_str()),
                    ("frontend-id", &domain_text),
                    ("online", "1"),
                    ("state", "1"),
                ],
                of_back,
            ),
        ] {
            store.write(directory, b"")?;
            store.set_perms(directory, &perms)?;
            for (key, value) in common.iter().chain(own) {
                let path = format!("{directory}/{key}");
                store.write(&path, value.as_bytes())?;
                store.set_perms(&path, &perms)?;
            }
        }
        Ok(())
    }

    /// Takes a device from its domain, which lets go of it first if it is not forced to.
    ///
    /// # Errors
    /// One line.
    pub fn detach(
        self,
        store: &mut Store,
        (domain, number): (u16, u32),
        name: &str,
        is_forced: bool,
        failed: impl Fn(Errno) -> String,
    ) -> Outcome {
        if !is_forced && !self.let_go(store, domain, number).map_err(&failed)? {
            return Err(format!("{name} does not let go of it; --force takes it"));
        }
        self.remove(store, domain, number).map_err(failed)
    }

    /// Asks both halves to end, and waits for that; whether they have.
    fn let_go(self, store: &mut Store, domain: u16, number: u32) -> Result<bool> {
        let path = format!("{}/state", self.backend(domain, number));
        if state(&store.read(&path)?) != Some(XenbusState::CLOSED) {
            store.write(&path, XenbusState::CLOSING.raw().to_string().as_bytes())?;
        }
        for _ in 0..PATIENCE_MS / STEP_MS {
            if state(&store.read(&path)?) == Some(XenbusState::CLOSED) {
                return Ok(true);
            }
            clock::sleep_ms(STEP_MS);
        }
        Ok(false)
    }

    /// Removes the keys of a device.
    ///
    /// # Errors
    /// What the store answers.
    pub fn remove(self, store: &mut Store, domain: u16, number: u32) -> Result<()> {
        store.remove(&self.backend(domain, number))?;
        store.remove(&self.frontend(domain, number))
    }
}

/// Does all of `work` or nothing, again where somebody else came in between.
///
/// # Errors
/// What the store answers.
pub fn transaction<T>(store: &mut Store, work: impl Fn(&mut Store) -> Result<T>) -> Result<T> {
    for _ in 0..ATTEMPTS {
        match store.transaction(&work) {
            Err(Errno::EAGAIN) => {}
            answer => return answer,
        }
    }
    Err(Errno::EAGAIN)
}

/// The value of a key, empty where there is none.
pub fn key(store: &mut Store, path: &str) -> String {
    String::from_utf8(store.read(path).unwrap_or_default()).unwrap_or_default()
}

/// What a backend has done so far.
///
/// # Errors
/// What the store answers.
pub fn counters(store: &mut Store, back: &str) -> Result<String> {
    let key = format!("{back}/counters");
    let _ = store.remove(&key);
    store.write(&format!("{back}/count"), b"")?;
    for _ in 0..PATIENCE_MS / STEP_MS {
        if let Ok(text) = store.read(&key) {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        clock::sleep_ms(STEP_MS);
    }
    Ok("nobody counts".into())
}

/// The state that a key says.
fn state(value: &[u8]) -> Option<XenbusState> {
    core::str::from_utf8(value)
        .ok()?
        .parse()
        .ok()
        .map(XenbusState::new)
}

/// The name of the state that a key says.
pub fn state_name(value: &str) -> &'static str {
    state(value.as_bytes())
        .and_then(|state| state.name())
        .unwrap_or("?")
}

/// Waits until a backend is connected again, after all the kills, and says how many there were.
///
/// # Errors
/// One line: nothing happens any more.
pub fn restarted(store: &mut Store, back: &str, kills: u32) -> Outcome {
    let mut seen = (Vec::new(), Vec::new());
    let mut patience = PATIENCE_MS / STEP_MS;
    while patience > 0 {
        let mut key = |name| store.read(&format!("{back}/{name}")).unwrap_or_default();
        let now = (key("state"), key("kills"));
        let done = String::from_utf8_lossy(&now.1).into_owned();
        let count = done.split(':').next().and_then(|count| count.parse().ok());
        if state(&now.0) == Some(XenbusState::CONNECTED) && count.unwrap_or(0) >= kills {
            if kills > 0 {
                println!("killed {done}");
            }
            return Ok(());
        }
        // As long as something happens it is not in vain.
        patience = if now == seen {
            patience - 1
        } else {
            PATIENCE_MS / STEP_MS
        };
        seen = now;
        clock::sleep_ms(STEP_MS);
    }
    Err(format!("{back}: not connected again"))
}

/// Whether `--force` is among the words, and the others.
///
/// # Errors
/// Another option.
pub fn forced<'a>(words: &'a [&'a str]) -> core::result::Result<(bool, Vec<&'a str>), String> {
    let (mut force, mut plain) = (false, Vec::new());
    let mut words = Words::new(words);
    while let Some(word) = words.take()? {
        match word {
            Word::Option("force" | "f") => force = true,
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(word) => plain.push(word),
        }
    }
    Ok((force, plain))
}
