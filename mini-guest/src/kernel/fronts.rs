//! The block devices that other domains serve this one: a directory of the store each, `device/vbd/N`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;

use guest_abi::addr::{Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::io::ring::RingIndices;
use guest_abi::start_info::StartInfo;

use super::Kernel;
use super::store_ring::StoreRing;
use crate::blkif::frontend::Properties;
use crate::blkif::{Frontend, Host, Layout, RingPage};
use crate::events;
use crate::grants::Grants;
use crate::mm::window::{copy_in, copy_out};
use crate::mm::{alloc_frame, kernel_map::zero_frame, layout::direct, translate};
use crate::store::Error;
use crate::xenbus::vbd::{Details, Front, FrontActions};
use crate::xenbus::{Client, Keys, Session};

/// Where the directories are.
const ROOT: &str = "device/vbd";

/// A frame of ours that the backend has mapped too.
struct OwnPage(u32);

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

/// A device: its half of the handshake, and the disk once there was one.
struct Fronted {
    front: Front,
    peer: Peer,
    ring: Option<(Pfn, u32)>,
    disk: Option<Rc<Frontend<Peer>>>,
}

/// All devices that others serve.
pub struct Fronts {
    ring: StoreRing,
    client: Client,
    grants: Rc<Grants>,
    devices: BTreeMap<String, Fronted>,
}

struct Actions<'a> {
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
        };
        fronts.keys().watch(ROOT, "front").ok()?;
        events::unmask_port(ring.port);
        fronts.look();
        Some(fronts)
    }

    fn keys(&mut self) -> Session<'_> {
        Session {
            client: &mut self.client,
            transport: &mut self.ring,
        }
    }

    /// Looks at the directories: new ones begin, ones that are gone end, the others do their next step.
    fn look(&mut self) {
        while self.client.next_event().is_some() {}
        let mut devices = core::mem::take(&mut self.devices);
        let found = self.keys().list(ROOT).unwrap_or_default();
        devices.retain(|name, device| {
            let stays = found.contains(name);
            if !stays {
                device.actions().1.give_up();
            }
            stays
        });
        for name in found {
            if !devices.contains_key(&name) {
                let directory = format!("{ROOT}/{name}");
                let Ok(front) = Front::start(&mut self.keys(), &directory) else {
                    continue;
                };
                let _ = self.keys().watch(&front.backend, &name);
                let peer = Peer {
                    grants: self.grants.clone(),
                    domain: DomId::new(front.domain),
                    port: Rc::default(),
                };
                let device = Fronted {
                    front,
                    peer,
                    ring: None,
                    disk: None,
                };
                devices.insert(name.clone(), device);
            }
            if let Some(device) = devices.get_mut(&name) {
                let (front, mut actions) = device.actions();
                // What the store refuses is seen at the next look.
                let _ = front.look(&mut self.keys(), &mut actions);
            }
        }
        self.devices = devices;
    }

    /// An event came at `port`; `false` where it is not ours.
    pub fn event(&mut self, port: u32) -> bool {
        if port == self.ring.port {
            if self.client.pump(&mut self.ring).is_ok() {
                self.look();
            }
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
            let (front, mut actions) = device.actions();
            let _ = front.restart(&mut keys, &mut actions);
        }
        true
    }
}

impl Fronted {
    fn actions(&mut self) -> (&mut Front, Actions<'_>) {
        let actions = Actions {
            peer: &self.peer,
            ring: &mut self.ring,
            disk: &mut self.disk,
        };
        (&mut self.front, actions)
    }
}

impl Kernel {
    /// Begins to use the devices that others serve.
    pub fn start_fronts(&mut self, start_info: &StartInfo) {
        self.fronts = Fronts::start(start_info);
    }

    /// An event came at `port`; `false` where it is no device's that others serve.
    pub(super) fn front_event(&mut self, port: u32) -> bool {
        self.fronts.as_mut().is_some_and(|fronts| fronts.event(port))
    }
}
