//! The block devices that other domains serve this one: a directory of the store each, `device/vbd/N`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use guest_abi::addr::{Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::io::ring::RingIndices;
use guest_abi::io::xenbus::XenbusState;
use guest_abi::start_info::StartInfo;

use super::Kernel;
use super::exports::Users;
use super::netfront;
use super::store_ring::StoreRing;
use crate::blkif::frontend::Properties;
use crate::blkif::{Frontend, Host, Layout, RingPage};
use crate::block::cache::{Missing, Transaction};
use crate::block::table::{Next, Scan};
use crate::block::{Device, SECTOR, Volume};
use crate::drivers::found::cache_blocks;
use crate::grants::Grants;
use crate::mm::window::{copy_in, copy_out};
use crate::mm::{alloc_frame, kernel_map::zero_frame, layout::direct, translate};
use crate::process::WaitFor;
use crate::store::Error;
use crate::xenbus::vbd::{Details, Front, FrontActions};
use crate::xenbus::{self, Client, Keys, Session, state};
use crate::{events, println, time};

/// How long the first program waits for disks.
const PATIENCE_NS: u64 = 10 * time::NS_PER_SEC;
/// The number of `xvda`, and from one disk to the next.
const FIRST: u32 = 202 << 8;
const STEP: u32 = 16;
/// Where the directories are.
const ROOT: &str = "device/vbd";

/// A frame of ours that the backend has mapped too.
pub(super) struct OwnPage(pub(super) u32);

impl RingPage for OwnPage {
    fn indices(&self) -> &RingIndices {
        // SAFETY: a page of the direct map, aligned; these are atomics.
        unsafe { &*(self.0 as *const RingIndices) }
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        copy_out(self.0, offset, into);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        copy_in(self.0, offset, bytes);
    }
}

/// The backend's domain, as a frontend reaches it.
#[derive(Clone)]
pub struct Peer {
    grants: Rc<Grants>,
    domain: DomId,
    /// The port of this connection, 0 without one.
    port: Rc<Cell<u32>>,
}

impl Host for Peer {
    fn grant(&self, frame: u64, is_read_only: bool) -> Result<u32, ()> {
        let frame = u32::try_from(frame).map_err(drop)?;
        self.grants
            .grant(self.domain, Mfn::new(frame), is_read_only)
            .ok_or(())
    }

    fn end(&self, reference: u32) {
        self.grants.end(reference);
    }

    fn notify(&self) {
        // A peer that is gone need not be told.
        let _ = events::notify(self.port.get());
    }
}

/// A disk that came or went.
enum Change {
    Come(String, Rc<Frontend<Peer>>),
    Gone(String),
}

/// A device: its half of the handshake, and the disk once there was one.
struct Fronted {
    front: Front,
    peer: Peer,
    ring: Option<(Pfn, u32)>,
    disk: Option<Rc<Frontend<Peer>>>,
    /// What this domain calls the disk.
    name: String,
    /// The disk is among this domain's.
    is_known: bool,
    /// The backend says that there is none.
    has_failed: bool,
}

/// All devices that others serve.
pub struct Fronts {
    ring: StoreRing,
    client: Client,
    grants: Rc<Grants>,
    devices: BTreeMap<String, Fronted>,
    changes: Vec<Change>,
    /// Partition tables that are being read, by the disk's name.
    scans: Vec<(String, Scan)>,
    /// A disk is to be let go of and still in use.
    is_closing: bool,
    /// The network interfaces.
    vifs: netfront::Vifs,
}

struct Actions<'a> {
    is_in_use: bool,
    peer: &'a Peer,
    ring: &'a mut Option<(Pfn, u32)>,
    disk: &'a mut Option<Rc<Frontend<Peer>>>,
}

impl Actions<'_> {
    /// Gives back the ring and the port of the last connection.
    fn drop_ring(&mut self) {
        if let Some((frame, reference)) = self.ring.take() {
            self.peer.grants.end_with(reference, frame);
        }
        let port = self.peer.port.replace(0);
        if port != 0 {
            let _ = events::close(port);
        }
    }
}

impl FrontActions for Actions<'_> {
    fn prepare(&mut self, backend: u16) -> Result<Details, Error> {
        self.drop_ring();
        let frame = alloc_frame(0).map_err(|_| Error::NoSpace)?;
        // SAFETY: the frame was just taken.
        unsafe { zero_frame(frame) };
        OwnPage(direct(frame)).indices().init();
        let domain = DomId::new(backend);
        let Some(ring) = self.peer.grants.grant(domain, translate::mfn(frame), false) else {
            crate::mm::put_frame(frame);
            return Err(Error::NoSpace);
        };
        *self.ring = Some((frame, ring));
        let port = events::alloc_unbound(domain).map_err(|_| Error::NoSpace)?;
        self.peer.port.set(port);
        Ok(Details {
            ring,
            port,
            layout: Layout::X86_32,
        })
    }

    fn connect(&mut self, properties: Properties) {
        let Some((frame, _)) = *self.ring else {
            return;
        };
        let peer = self.peer;
        let disk = self
            .disk
            .get_or_insert_with(|| Rc::new(Frontend::new(peer.clone(), properties)));
        disk.set_properties(properties);
        disk.connect(Rc::new(OwnPage(direct(frame))));
    }

    fn disconnect(&mut self) {
        if let Some(disk) = self.disk {
            disk.disconnect();
        }
    }

    fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    fn give_up(&mut self) {
        if let Some(disk) = self.disk.take() {
            disk.give_up();
        }
        self.drop_ring();
    }
}

impl Fronts {
    /// Begins to watch, where there is a store.
    #[must_use]
    pub fn start(start_info: &StartInfo) -> Option<Self> {
        let ring = StoreRing::find(start_info)?;
        let grants = Grants::new().ok()?;
        let mut fronts = Self {
            ring,
            client: Client::default(),
            grants: Rc::new(grants),
            devices: BTreeMap::new(),
            changes: Vec::new(),
            scans: Vec::new(),
            is_closing: false,
            vifs: netfront::Vifs::default(),
        };
        fronts.keys().watch(ROOT, "front").ok()?;
        fronts.keys().watch(netfront::ROOT, "net").ok()?;
        events::unmask_port(ring.port);
        fronts.look(&|_| false);
        fronts.look_as_told(&|_| false);
        Some(fronts)
    }

    fn keys(&mut self) -> Session<'_> {
        Session {
            client: &mut self.client,
            transport: &mut self.ring,
        }
    }

    /// Looks at the directories: new ones begin, ones that are gone end, the others do their next step.
    fn look(&mut self, is_in_use: &dyn Fn(&str) -> bool) {
        while self.client.next_event().is_some() {}
        self.is_closing = false;
        let mut devices = core::mem::take(&mut self.devices);
        let found = self.keys().list(ROOT).unwrap_or_default();
        devices.retain(|number, device| {
            let stays = found.contains(number);
            if !stays {
                device.actions(false).1.give_up();
                self.note(device);
            }
            stays
        });
        for number in found {
            if !devices.contains_key(&number)
                && let Some(device) = self.begin(&number)
            {
                devices.insert(number.clone(), device);
            }
            if let Some(device) = devices.get_mut(&number) {
                let is_used = is_in_use(&device.name);
                let (front, mut actions) = device.actions(is_used);
                // What the store refuses is seen at the next look.
                let _ = front.look(&mut self.keys(), &mut actions);
                let backend = front.half.other.clone();
                self.is_closing |= is_used && state(&mut self.keys(), &backend) == XenbusState::CLOSING;
                device.has_failed =
                    device.disk.is_none() && self.keys().read(&format!("{backend}/error")).is_ok();
                self.note(device);
            }
        }
        self.devices = devices;
        let mut keys = Session {
            client: &mut self.client,
            transport: &mut self.ring,
        };
        self.vifs.look(&mut keys, &self.grants);
    }

    /// Begins anew with network interfaces whose rings make no sense; tells which came and went.
    pub(super) fn network_news(&mut self) -> Vec<netfront::News> {
        let mut keys = Session {
            client: &mut self.client,
            transport: &mut self.ring,
        };
        self.vifs.mend(&mut keys);
        self.vifs.take_news()
    }

    fn begin(&mut self, number: &str) -> Option<Fronted> {
        let directory = format!("{ROOT}/{number}");
        let device: u32 = xenbus::number(&mut self.keys(), &format!("{directory}/virtual-device")).ok()?;
        let name = name(device)?;
        let front = Front::start(&mut self.keys(), &directory).ok()?;
        let _ = self.keys().watch(&front.half.other, number);
        let peer = Peer {
            grants: self.grants.clone(),
            domain: DomId::new(front.half.domain),
            port: Rc::default(),
        };
        Some(Fronted {
            front,
            peer,
            ring: None,
            disk: None,
            name,
            is_known: false,
            has_failed: false,
        })
    }

    /// Notes whether a device's disk came or went.
    fn note(&mut self, device: &mut Fronted) {
        match &device.disk {
            Some(disk) if !device.is_known => {
                self.changes.push(Change::Come(device.name.clone(), disk.clone()));
            }
            None if device.is_known => self.changes.push(Change::Gone(device.name.clone())),
            _ => return,
        }
        device.is_known = !device.is_known;
    }

    /// Whether every device is there with its partitions, or will not be.
    fn are_settled(&self) -> bool {
        let is_there = |device: &Fronted| {
            device.has_failed
                || device.front.half.state() == XenbusState::CLOSED
                || device.is_known && self.scans.iter().all(|(name, _)| *name != device.name)
        };
        self.devices.values().all(is_there)
    }

    /// An event came at `port`; `false` where it is not ours.
    fn event(&mut self, port: u32, is_in_use: &dyn Fn(&str) -> bool) -> bool {
        if port == self.ring.port {
            // What cannot be read now is no event either.
            let _ = self.client.pump(&mut self.ring);
            self.look_as_told(is_in_use);
            return true;
        }
        if self.vifs.has_port(port) {
            return true;
        }
        let mut devices = self.devices.values_mut();
        let Some(device) = devices.find(|device| device.peer.port.get() == port && port != 0) else {
            return false;
        };
        let makes_sense = device.disk.as_ref().is_none_or(|disk| disk.poll());
        if !makes_sense {
            let mut keys = Session {
                client: &mut self.client,
                transport: &mut self.ring,
            };
            let (front, mut actions) = device.actions(true);
            let _ = front.restart(&mut keys, &mut actions);
            self.look_as_told(is_in_use);
        }
        true
    }

    /// Looks as long as watches have fired. An event of the ring may be an answer's: a look for each would be answered, and so on for ever.
    fn look_as_told(&mut self, is_in_use: &dyn Fn(&str) -> bool) {
        while self.client.next_event().is_some() {
            self.look(is_in_use);
        }
    }
}

impl Fronted {
    fn actions(&mut self, is_in_use: bool) -> (&mut Front, Actions<'_>) {
        let actions = Actions {
            is_in_use,
            peer: &self.peer,
            ring: &mut self.ring,
            disk: &mut self.disk,
        };
        (&mut self.front, actions)
    }
}

/// The name of the disk with that number in the store: Linux's, `xvda` to `xvdz`.
fn name(number: u32) -> Option<String> {
    let index = number.checked_sub(FIRST)?;
    let letter = u8::try_from(index / STEP).ok().filter(|letter| *letter < 26)?;
    index
        .is_multiple_of(STEP)
        .then(|| format!("xvd{}", char::from(b'a' + letter)))
}

impl Kernel {
    /// Begins to use the devices that others serve. Disks that are named at the beginning are waited for, so that the first program finds them.
    pub fn start_fronts(&mut self, start_info: &StartInfo) {
        self.fronts = Fronts::start(start_info);
        self.disks_changed();
        let deadline = time::now_ns() + PATIENCE_NS;
        while self.fronts.as_ref().is_some_and(|fronts| !fronts.are_settled()) {
            if time::now_ns() >= deadline {
                println!("mini-guest: a disk is not there yet; on without it");
                break;
            }
            let _ = time::set_timer(Some(deadline));
            events::wait();
            self.take_events();
        }
        self.armed = (None, true);
    }

    /// Does something with the devices; gives them what they want to know of this domain.
    fn with_fronts<R>(&mut self, work: impl FnOnce(&mut Fronts, &dyn Fn(&str) -> bool) -> R) -> Option<R> {
        let mut fronts = self.fronts.take()?;
        let users = Users {
            mounts: &self.mounts,
            processes: &self.processes,
        };
        let disks = &self.devices.disks;
        let is_in_use = |name: &str| {
            disks.volume(name).is_some_and(|whole| {
                users.any(|user| Rc::ptr_eq(&user.volume.cache, &whole.cache)) || !whole.cache.is_idle()
            })
        };
        let result = work(&mut fronts, &is_in_use);
        if fronts.is_closing {
            disks.caches().for_each(|cache| cache.write_at_leisure());
        }
        self.fronts = Some(fronts);
        self.disks_changed();
        Some(result)
    }

    /// An event came at `port`; `false` where it is no device's that others serve.
    pub(super) fn front_event(&mut self, port: u32) -> bool {
        self.with_fronts(|fronts, is_in_use| fronts.event(port, is_in_use))
            .unwrap_or(false)
    }

    /// Somebody may have ended the use of a disk that is to be let go of.
    pub(crate) fn disks_are_free(&mut self) {
        if self.fronts.as_ref().is_some_and(|fronts| fronts.is_closing) {
            self.with_fronts(|fronts, is_in_use| {
                fronts.look(is_in_use);
                fronts.look_as_told(is_in_use);
            });
        }
    }

    /// Adds disks that came, removes those that went.
    fn disks_changed(&mut self) {
        let Some(fronts) = &mut self.fronts else {
            return;
        };
        let changes = core::mem::take(&mut fronts.changes);
        for change in changes {
            match change {
                Change::Come(name, disk) => {
                    let sectors = disk.info().sectors;
                    if self.devices.disks.add_own(&name, disk, cache_blocks())
                        && let Some(fronts) = &mut self.fronts
                    {
                        fronts.scans.push((name, Scan::new(sectors)));
                        self.scan_disks();
                    }
                }
                Change::Gone(name) => self.disk_gone(&name),
            }
        }
    }

    fn disk_gone(&mut self, name: &str) {
        if let Some(fronts) = &mut self.fronts {
            fronts.scans.retain(|(other, _)| other != name);
        }
        let whole = self.devices.disks.volume(name);
        for part in self.devices.disks.remove(name) {
            self.fs.remove_disk(&part);
        }
        // What was under way has failed; nobody looks at this cache again but those who have it open.
        if whole.is_some_and(|whole| whole.cache.take_news()) {
            self.wake(WaitFor::DISK);
        }
        println!("mini-guest: {name} is gone");
    }

    /// Goes on reading partition tables.
    pub(super) fn scan_disks(&mut self) {
        let Some(fronts) = &mut self.fronts else {
            return;
        };
        let mut scans = core::mem::take(&mut fronts.scans);
        let disks = &self.devices.disks;
        let done: Vec<(String, Scan)> = scans
            .extract_if(.., |(name, scan)| {
                disks.volume(name).is_none_or(|disk| is_scanned(&disk, scan))
            })
            .collect();
        fronts.scans = scans;
        for (name, scan) in done {
            self.devices.add_parts(&name, &scan);
            let whole = self.devices.disks.volume(&name);
            for (number, part, volume) in self.devices.disks.iter() {
                let is_new = whole
                    .as_ref()
                    .is_some_and(|whole| Rc::ptr_eq(&whole.cache, &volume.cache));
                if is_new && let Err(errno) = self.fs.add_disk(part, number) {
                    println!("mini-guest: cannot make /dev/{part}: {errno}");
                }
            }
        }
    }
}

/// Reads on in a partition table; whether that is complete.
fn is_scanned(disk: &Volume, scan: &mut Scan) -> bool {
    while let Next::Read(first, count) = scan.next() {
        let mut bytes = vec![0; count as usize * SECTOR];
        match Transaction::new(&disk.cache).read(first * SECTOR as u64, &mut bytes) {
            Ok(()) => scan.take(Some(&bytes)),
            Err(Missing::Wait) => return false,
            Err(Missing::Error(_)) => scan.take(None),
        }
    }
    true
}
