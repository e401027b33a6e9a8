//! The store's connections: ring pages of other domains, and programs' open files.
//!
//! A ring is emptied and filled when its domain says that it moved an index; and filled when somebody else's request has
//! something to tell it. A ring that makes no sense is left alone, with the reason in it, until its domain asks for a
//! fresh connection.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::offset_of;
use core::sync::atomic::Ordering;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::io::byte_ring::ByteRing;
use guest_abi::io::xenstore::{
    CONNECTED, FEATURE_ERROR, FEATURE_RECONNECT, RECONNECT, REQ_CONS, REQ_PROD, RING_BYTES, RSP_CONS,
    RSP_PROD, StoreRing,
};

use super::Kernel;
use super::backends::{Backends, DiskSource};
use super::exports::{Source, Users};
use super::netback;
use super::switch::Lan;
use crate::events;
use crate::linux::Errno;
use crate::mm::window::ForeignPage;
use crate::net::registry::Interfaces;
use crate::process::WaitFor;
use crate::store::{ConnectionId, Error, Platform, Store};
use crate::xenbus::{Client, Keys, Session, Transport};

/// Most open files of `/dev/xen/xenbus`.
const MAX_FILES: usize = 256;
/// How often the backends look before others have their turn.
const MAX_LOOKS: usize = 32;
/// Why a connection is closed, as the ring page says it: its indices make no sense.
const ERROR_INDICES: u32 = 2;
/// Likewise: its messages make none.
const ERROR_PROTOCOL: u32 = 3;

/// A domain's ring and our port of its event channel.
#[derive(Debug)]
struct Link {
    page: ForeignPage,
    port: u32,
    connection: ConnectionId,
}

/// The rings of all domains.
#[derive(Debug, Default)]
struct Links {
    by_domain: BTreeMap<u16, Link>,
    by_port: BTreeMap<u32, u16>,
}

/// The store with its connections.
#[derive(Default)]
pub struct Service {
    store: Store,
    links: Links,
    files: Vec<Rc<ConnectionId>>,
    /// The kernel's own connection.
    own: Option<ConnectionId>,
    backends: Backends,
    /// Network interfaces of other domains, and what they are connected with.
    pub(super) vifs: netback::Vifs,
    pub(super) lan: Lan,
}

/// The kernel's own way to its store: everything is answered at once.
struct Local<'a> {
    store: &'a mut Store,
    links: &'a mut Links,
    connection: ConnectionId,
}

impl Transport for Local<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let mut sent = 0;
        while sent < bytes.len() {
            let count = self.store.room(self.connection).min(bytes.len() - sent);
            if count == 0 {
                return Err(Error::Io);
            }
            self.store
                .receive(self.connection, &bytes[sent..sent + count], self.links);
            sent += count;
        }
        Ok(sent)
    }

    fn receive(&mut self) -> Result<Vec<u8>, Error> {
        Ok(self.store.take_output(self.connection, usize::MAX, self.links))
    }
}

impl Platform for Links {
    fn introduce(
        &mut self,
        domain: u16,
        frame: u32,
        port: u32,
        connection: ConnectionId,
    ) -> Result<(), Error> {
        let page = ForeignPage::map(DomId::new(domain), Mfn::new(frame)).map_err(|_| Error::Invalid)?;
        let (port, _) = events::bind_interdomain(DomId::new(domain), port).map_err(|_| Error::Invalid)?;
        let features = page.word(offset_of!(StoreRing, server_features));
        features.store(FEATURE_RECONNECT | FEATURE_ERROR, Ordering::Release);
        let link = Link {
            page,
            port,
            connection,
        };
        self.by_port.insert(port, domain);
        self.by_domain.insert(domain, link);
        Ok(())
    }

    fn release(&mut self, domain: u16) {
        if let Some(link) = self.by_domain.remove(&domain) {
            self.by_port.remove(&link.port);
            // It is ours, so it is open.
            let _ = events::close(link.port);
        }
    }

    fn has_memory(&self) -> bool {
        crate::fs::enough_memory().is_ok()
    }
}

impl Link {
    fn requests(&self) -> ByteRing<'_> {
        ByteRing::new(self.page.word(REQ_PROD), self.page.word(REQ_CONS), RING_BYTES)
    }

    fn replies(&self) -> ByteRing<'_> {
        ByteRing::new(self.page.word(RSP_PROD), self.page.word(RSP_CONS), RING_BYTES)
    }

    /// Takes up to `room` bytes of requests, at most what one ring holds.
    fn take(&self, room: usize) -> Result<Vec<u8>, u32> {
        let ring = self.requests();
        let room = room.min(RING_BYTES);
        let mut bytes = vec![];
        while bytes.len() < room {
            let place = ring.readable().map_err(|_| ERROR_INDICES)?;
            let count = place.len().min(room - bytes.len());
            if count == 0 {
                break;
            }
            let start = bytes.len();
            bytes.resize(start + count, 0);
            self.page.read(place.start, &mut bytes[start..]);
            ring.consume(count);
        }
        Ok(bytes)
    }

    /// How many bytes of replies there is room for in one piece.
    fn room(&self) -> Result<usize, u32> {
        self.replies()
            .writable()
            .map(|place| place.len())
            .map_err(|_| ERROR_INDICES)
    }

    /// Puts bytes there.
    fn put(&self, bytes: &[u8]) -> Result<(), u32> {
        let ring = self.replies();
        let place = ring.writable().map_err(|_| ERROR_INDICES)?;
        let count = place.len().min(bytes.len());
        self.page.write(RING_BYTES + place.start, &bytes[..count]);
        ring.produce(count);
        Ok(())
    }

    /// Makes the ring a fresh one, if the domain asks for that.
    fn reconnect(&self) -> bool {
        let state = self.page.word(offset_of!(StoreRing, connection));
        if state.load(Ordering::Acquire) != RECONNECT {
            return false;
        }
        for index in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD] {
            self.page.word(index).store(0, Ordering::Relaxed);
        }
        self.error().store(0, Ordering::Relaxed);
        state.store(CONNECTED, Ordering::Release);
        true
    }

    fn error(&self) -> &core::sync::atomic::AtomicU32 {
        self.page.word(offset_of!(StoreRing, error))
    }
}

impl Service {
    /// Moves bytes between a domain's ring and the store.
    fn serve(&mut self, domain: u16) {
        let Some(link) = self.links.by_domain.get(&domain) else {
            return;
        };
        let (connection, port) = (link.connection, link.port);
        if link.reconnect() {
            self.store.reset(connection);
        } else if link.error().load(Ordering::Relaxed) != 0 {
            return;
        }
        let moved = self.exchange(domain, connection);
        if let (Err(reason), Some(link)) = (moved, self.links.by_domain.get(&domain)) {
            link.error().store(reason, Ordering::Release);
        }
        // A domain that is gone need not be told.
        let _ = events::notify(port);
    }

    fn exchange(&mut self, domain: u16, connection: ConnectionId) -> Result<(), u32> {
        self.flush(domain, connection)?;
        let Some(link) = self.links.by_domain.get(&domain) else {
            return Ok(());
        };
        let bytes = link.take(self.store.room(connection))?;
        self.store.receive(connection, &bytes, &mut self.links);
        self.flush(domain, connection)?;
        if self.store.is_broken(connection) {
            return Err(ERROR_PROTOCOL);
        }
        Ok(())
    }

    /// Puts replies and events into a domain's ring, as many as fit.
    fn flush(&mut self, domain: u16, connection: ConnectionId) -> Result<(), u32> {
        while self.store.has_output(connection) {
            let Some(link) = self.links.by_domain.get(&domain) else {
                break;
            };
            let room = link.room()?;
            if room == 0 {
                break;
            }
            let bytes = self.store.take_output(connection, room, &mut self.links);
            if let Some(link) = self.links.by_domain.get(&domain) {
                link.put(&bytes)?;
            }
        }
        Ok(())
    }

    /// Has the backends look at what changed, until nothing does.
    fn look(&mut self, disks: &mut dyn DiskSource, interfaces: &mut Interfaces) {
        let Some(connection) = self.own else {
            return;
        };
        for _ in 0..MAX_LOOKS {
            let mut must = core::mem::take(&mut self.backends.must_look);
            must |= self.vifs.must_look;
            let mut local = Local {
                store: &mut self.store,
                links: &mut self.links,
                connection,
            };
            let mut client = core::mem::take(&mut self.backends.client);
            must |= client.pump(&mut local).is_ok() && client.next_event().is_some();
            while client.next_event().is_some() {}
            if must {
                let mut keys = Session {
                    client: &mut client,
                    transport: &mut local,
                };
                self.backends.look(&mut keys, disks);
                self.vifs.look(&mut keys, &self.lan.hub, interfaces);
            }
            self.backends.client = client;
            if !must {
                return;
            }
        }
        // Others change things all the time; the next event has us look again.
        self.backends.must_look = true;
    }

    /// Tells all those who got something to read.
    fn spread(&mut self) {
        loop {
            let ready = self.store.take_ready();
            if ready.is_empty() {
                break;
            }
            for connection in ready {
                let Some(domain) = self.store.ring_of(connection) else {
                    continue;
                };
                let Some(link) = self.links.by_domain.get(&domain) else {
                    continue;
                };
                if link.error().load(Ordering::Relaxed) != 0 {
                    continue;
                }
                let port = link.port;
                if let (Err(reason), Some(link)) =
                    (self.flush(domain, connection), self.links.by_domain.get(&domain))
                {
                    link.error().store(reason, Ordering::Release);
                }
                let _ = events::notify(port);
            }
        }
    }
}

impl Kernel {
    /// An event came at `port`; `false` where it is no ring's of the store.
    pub(super) fn store_event(&mut self, port: u32) -> bool {
        let Some(domain) = self.store.links.by_port.get(&port).copied() else {
            return self.store.backends.has_port(port) || self.store.vifs.has_port(port);
        };
        self.store.serve(domain);
        self.store_changed();
        true
    }

    /// Tells those who wait for the store, wherever they are.
    fn store_changed(&mut self) {
        let mut disks = Source {
            disks: &mut self.devices.disks,
            files: &mut self.files_as_disks,
            users: Users {
                mounts: &self.mounts,
                processes: &self.processes,
            },
            fs: &self.fs,
        };
        self.store.look(&mut disks, &mut self.devices.interfaces);
        self.store.spread();
        self.wake(WaitFor::STORE);
    }

    /// Begins the store's own work in Domain0: what it says of this domain, and the backends.
    pub fn start_store(&mut self) {
        let service = &mut self.store;
        let connection = service.store.connect(0);
        service.own = Some(connection);
        let mut client = Client::default();
        let mut local = Local {
            store: &mut service.store,
            links: &mut service.links,
            connection,
        };
        let mut keys = Session {
            client: &mut client,
            transport: &mut local,
        };
        let written = [("name", "Domain-0"), ("domid", "0")]
            .into_iter()
            .try_for_each(|(key, value)| keys.write(&format!("/local/domain/0/{key}"), value))
            .and_then(|()| Backends::start(&mut keys))
            .and_then(|()| netback::Vifs::start(&mut keys));
        if let Err(error) = written {
            crate::println!("mini-guest: the store cannot begin: {}", error.name());
        }
        service.backends.client = client;
    }

    /// A turn of the backends.
    pub(super) fn work_for_others(&mut self) {
        self.store.backends.work();
        self.network_turn();
        if self.store.backends.must_look || self.store.vifs.must_look {
            self.store_changed();
        }
        self.fronts_changed();
        self.show_requests();
    }

    /// A disk has done something: one that was to be given away may be ready.
    pub(super) fn exports_may_be_ready(&mut self) {
        let is_waiting = self.files_as_disks.were_waiting() | self.devices.disks.exports.are_waiting();
        self.store.backends.must_look |= is_waiting;
    }

    /// Something happened that they may have waited for.
    pub(super) fn backends_may_work(&mut self) {
        self.store.backends.may_work |= self.store.backends.is_serving();
        self.store.lan.note_work();
    }

    /// Whether the backends have more to do.
    pub(super) fn has_work_for_others(&self) -> bool {
        self.store.backends.may_work || self.store.lan.hub.has_work() || self.devices.disks.have_work()
    }

    /// Opens the store for a program.
    ///
    /// # Errors
    /// ENFILE: it is open too often.
    pub(crate) fn open_store(&mut self) -> Result<Rc<ConnectionId>, Errno> {
        let service = &mut self.store;
        if service.files.len() >= MAX_FILES {
            return Err(Errno::ENFILE);
        }
        let connection = Rc::new(service.store.connect(0));
        service.files.push(connection.clone());
        Ok(connection)
    }

    /// Ends the connections of files that were closed.
    pub(super) fn store_closed(&mut self) {
        let Service { store, files, .. } = &mut self.store;
        for connection in files.extract_if(.., |file| Rc::strong_count(file) == 1) {
            store.disconnect(*connection);
        }
    }

    /// Bytes for a program, none where there are none.
    pub(crate) fn read_from_store(&mut self, connection: ConnectionId, max: usize) -> Vec<u8> {
        let Service { store, links, .. } = &mut self.store;
        let bytes = store.take_output(connection, max, links);
        if !bytes.is_empty() {
            self.store_changed();
        }
        bytes
    }

    /// Takes a program's bytes; gives how many there was room for.
    ///
    /// # Errors
    /// EIO: what came before made no sense.
    pub(crate) fn write_to_store(&mut self, connection: ConnectionId, bytes: &[u8]) -> Result<usize, Errno> {
        let Service { store, links, .. } = &mut self.store;
        if store.is_broken(connection) {
            return Err(Errno::EIO);
        }
        let count = store.room(connection).min(bytes.len());
        if count > 0 {
            store.receive(connection, &bytes[..count], links);
            self.store_changed();
        }
        Ok(count)
    }

    /// Whether a connection can be read from, and written to.
    pub(crate) fn store_is_ready(&self, connection: ConnectionId) -> (bool, bool) {
        let store = &self.store.store;
        let is_broken = store.is_broken(connection);
        (
            is_broken || store.has_output(connection),
            is_broken || store.room(connection) > 0,
        )
    }
}
