//! Domain0's end of the other domains' consoles: their rings and event channels, the terminal, and programs that have
//! one open.
//!
//! A ring is emptied when its domain says that it moved the index, as far as the console has room
//! ([`crate::consoles`]), and again when somebody made room. Lines for the terminal go out a few at a time, so that
//! Domain0's own programs run meanwhile.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::io::byte_ring::ByteRing;
use guest_abi::io::console::{IN_BYTES, IN_CONS, IN_PROD, OUT_BYTES, OUT_CONS, OUT_PROD};

use super::Kernel;
use crate::consoles::{Consoles, Opening};
use crate::fs::{Body, Device};
use crate::linux::Errno;
use crate::linux::file::mode;
use crate::mm::window::ForeignPage;
use crate::process::WaitFor;
use crate::{console, events, hypercall};

/// Lines that are shown in one go.
const LINES_AT_ONCE: usize = 16;

/// A domain's ring and our port of its event channel.
#[derive(Debug)]
struct Link {
    page: ForeignPage,
    port: u32,
}

/// Everything about other domains' consoles.
#[derive(Debug, Default)]
pub struct Backend {
    /// What they printed.
    pub consoles: Consoles,
    links: BTreeMap<u16, Link>,
    by_port: BTreeMap<u32, u16>,
    /// A line may be ready to be shown.
    pub may_show: bool,
    /// When it is to be looked which domains have ended, where some have.
    pub look_at: Option<u64>,
}

impl Link {
    fn output(&self) -> ByteRing<'_> {
        ByteRing::new(self.page.word(OUT_PROD), self.page.word(OUT_CONS), OUT_BYTES)
    }

    fn input(&self) -> ByteRing<'_> {
        ByteRing::new(self.page.word(IN_PROD), self.page.word(IN_CONS), IN_BYTES)
    }

    /// Takes up to `room` bytes; `Err`: what the ring says makes no sense.
    fn take(&self, room: usize) -> Result<Vec<u8>, Errno> {
        let (ring, mut bytes) = (self.output(), Vec::new());
        // Not more than one ring full: the domain may go on printing as fast as this reads.
        let room = room.min(OUT_BYTES);
        while bytes.len() < room {
            let place = ring.readable().map_err(|_| Errno::EIO)?;
            let count = place.len().min(room - bytes.len());
            if count == 0 {
                break;
            }
            let start = bytes.len();
            bytes.resize(start + count, 0);
            self.page.read(IN_BYTES + place.start, &mut bytes[start..]);
            ring.consume(count);
        }
        if !bytes.is_empty() {
            // A peer that is gone need not be told.
            let _ = events::notify(self.port);
        }
        Ok(bytes)
    }

    /// Puts as much as there is room for into the ring.
    fn put(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let (ring, mut done) = (self.input(), 0);
        while done < bytes.len() {
            let place = ring.writable().map_err(|_| Errno::EIO)?;
            let part = &bytes[done..bytes.len().min(done + place.len())];
            if part.is_empty() {
                break;
            }
            self.page.write(place.start, part);
            ring.produce(part.len());
            done += part.len();
        }
        if done > 0 {
            let _ = events::notify(self.port);
        }
        Ok(done)
    }
}

impl Kernel {
    /// Takes over the console of `domain`: its ring's frame, and its port, or a new one where that is 0. Gives the
    /// domain's port. A console that the domain had before is detached.
    ///
    /// # Errors
    /// What the hypervisor answers; ENOSPC, ENOMEM.
    pub(crate) fn attach_console(
        &mut self,
        domain: u16,
        (frame, port): (Mfn, u32),
        (name, is_shown): (&[u8], bool),
    ) -> Result<u32, Errno> {
        crate::fs::enough_memory()?;
        let page = ForeignPage::map(DomId::new(domain), frame)?;
        self.detach_console(domain);
        self.make_console_node(domain)?;
        let bound = events::bind_interdomain(DomId::new(domain), port);
        let (ours, theirs) = bound.map_err(|errno| {
            self.remove_console_node(domain);
            Errno::from_hypervisor(errno)
        })?;
        let backend = &mut self.backend;
        backend.consoles.attach(domain, name, is_shown);
        backend.links.insert(domain, Link { page, port: ours });
        backend.by_port.insert(ours, domain);
        // The domain may have printed before anybody listened.
        self.drain_console(domain);
        Ok(theirs)
    }

    /// Takes what is left in the ring and lets go of it; `false` where the domain has none.
    pub(crate) fn detach_console(&mut self, domain: u16) -> bool {
        let Some(link) = self.backend.links.remove(&domain) else {
            return false;
        };
        // Of a ring that makes no sense nothing is taken.
        let rest = link.take(usize::MAX).unwrap_or_default();
        self.backend.consoles.detach(domain, &rest);
        self.backend.by_port.remove(&link.port);
        // It is ours, so it is open.
        let _ = events::close(link.port);
        drop(link);
        self.backend.may_show = true;
        self.consoles_changed();
        true
    }

    /// An event came at `port`; `false` where it is no console's.
    pub(super) fn console_event(&mut self, port: u32) -> bool {
        let Some(domain) = self.backend.by_port.get(&port).copied() else {
            return false;
        };
        self.drain_console(domain);
        // There may be room for what is typed, too.
        self.wake(WaitFor::CONSOLE);
        true
    }

    /// Detaches the consoles of domains that were destroyed: their rings' frames are free only then. One that has shut down and is still
    /// there keeps its console, to be read.
    pub(super) fn detach_dead_consoles(&mut self) {
        let served: Vec<u16> = self.backend.links.keys().copied().collect();
        for domain in served {
            if !hypercall::domain_exists(DomId::new(domain)) {
                self.detach_console(domain);
            }
        }
    }

    /// Moves what a domain printed into its console, as far as there is room.
    fn drain_console(&mut self, domain: u16) {
        let backend = &mut self.backend;
        let (Some(link), Some(console)) = (backend.links.get(&domain), backend.consoles.get(domain)) else {
            return;
        };
        match link.take(console.room()) {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                console.store(&bytes);
                backend.may_show = true;
                self.wake(WaitFor::CONSOLE);
            }
            Err(_) => {
                crate::println!(
                    "mini-guest: the console ring of domain {domain} makes no sense; it is cut off"
                );
                self.detach_console(domain);
            }
        }
    }

    /// Shows a few lines on the terminal.
    pub(super) fn show_consoles(&mut self) {
        if !self.backend.may_show {
            return;
        }
        let mut is_wiped = false;
        for _ in 0..LINES_AT_ONCE {
            let Some((domain, line)) = self.backend.consoles.next_line() else {
                self.backend.may_show = false;
                break;
            };
            if !is_wiped {
                // What is half typed makes room, and comes again below.
                console::write(&self.screen_line.wipe(self.tty.window[1].into()));
                is_wiped = true;
            }
            console::write(&self.tty.output(&line));
            self.drain_console(domain);
        }
        if is_wiped {
            console::write(&self.screen_line.again());
        }
        self.consoles_changed();
    }

    /// Somebody may have closed a console, or read its last words.
    pub(crate) fn consoles_changed(&mut self) {
        for domain in self.backend.consoles.take_over() {
            self.remove_console_node(domain);
        }
        self.wake(WaitFor::CONSOLE);
    }

    /// A program closed a file: perhaps a console that is to be shown again.
    pub(super) fn consoles_closed(&mut self) {
        if self.backend.consoles.was_closed() {
            self.backend.may_show = true;
            self.consoles_changed();
        }
    }

    /// Opens the console of `domain`.
    ///
    /// # Errors
    /// ENXIO: there is none; EBUSY: somebody else has it open.
    pub(crate) fn open_domain_console(&mut self, domain: u16) -> Result<Opening, Errno> {
        let opened = self.backend.consoles.open(domain).ok_or(Errno::ENXIO)?;
        opened.ok_or(Errno::EBUSY)
    }

    /// Reads what a domain printed; `None`: nothing yet. No bytes: there will never be any.
    pub(crate) fn read_domain(&mut self, domain: u16, opening: &Opening, max: usize) -> Option<Vec<u8>> {
        let consoles = &mut self.backend.consoles;
        let Some(console) = consoles
            .get(domain)
            .filter(|console| console.is_opened_by(opening))
        else {
            return Some(Vec::new());
        };
        if console.waiting() == 0 && console.is_attached() {
            return None;
        }
        let bytes = console.read(max);
        self.drain_console(domain);
        Some(bytes)
    }

    /// Types bytes at a domain; gives how many there was room for.
    ///
    /// # Errors
    /// EIO: it is gone.
    pub(crate) fn type_at_domain(
        &mut self,
        domain: u16,
        opening: &Opening,
        bytes: &[u8],
    ) -> Result<usize, Errno> {
        let backend = &mut self.backend;
        let is_same = backend
            .consoles
            .get(domain)
            .is_some_and(|console| console.is_opened_by(opening));
        let link = backend.links.get(&domain).filter(|_| is_same).ok_or(Errno::EIO)?;
        link.put(bytes)
    }

    /// Whether a domain's console can be read, and whether there is room for typing.
    pub(crate) fn domain_is_ready(&mut self, domain: u16, opening: &Opening) -> (bool, bool) {
        let backend = &mut self.backend;
        let Some(console) = backend
            .consoles
            .get(domain)
            .filter(|console| console.is_opened_by(opening))
        else {
            return (true, true);
        };
        let can_read = console.waiting() > 0 || !console.is_attached();
        let room = backend.links.get(&domain).map(|link| link.input().len());
        (
            can_read,
            room.is_none_or(|used| used.is_ok_and(|used| (used as usize) < IN_BYTES)),
        )
    }

    fn make_console_node(&mut self, domain: u16) -> Result<(), Errno> {
        let place = self
            .fs
            .place_for(format!("dev/xen/console/{domain}").as_bytes())?;
        let body = Body::Device(Device::DomainConsole(domain));
        match self.fs.create(&place, mode::CHAR_DEVICE | 0o600, body) {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn remove_console_node(&mut self, domain: u16) {
        // Who removed it already has done what this does.
        if let Ok(place) = self.fs.place_for(format!("dev/xen/console/{domain}").as_bytes()) {
            let _ = self.fs.unlink(&place);
        }
    }
}
