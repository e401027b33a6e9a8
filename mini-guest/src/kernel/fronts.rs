//! The devices that other domains serve this one: their directories in the store, `device/vbd` and `device/vif`, and their events.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::start_info::StartInfo;

use super::exports::Users;
use super::store_ring::StoreRing;
use super::{Kernel, blkfront, netfront};
use crate::block::table::Scan;
use crate::grants::Grants;
use crate::xenbus::{Client, Session, watches};
use crate::{events, println, time};

/// How long the first program waits for disks.
const PATIENCE_NS: u64 = 10 * time::NS_PER_SEC;
/// Fresh connections to the store that are made: one that never makes sense is left alone then.
const MOST_RECONNECTS: u32 = 16;

/// All devices that others serve.
pub struct Fronts {
    ring: StoreRing,
    client: Client,
    grants: Rc<Grants>,
    /// The disks.
    pub(super) vbds: blkfront::Vbds,
    /// Partition tables that are being read, by the disk's name.
    pub(super) scans: Vec<(String, Scan)>,
    /// The network interfaces.
    vifs: netfront::Vifs,
    /// The directories are watched.
    is_watching: bool,
    /// Everything was looked at, to the end.
    has_looked: bool,
    /// Fresh connections that were made to the store.
    reconnects: u32,
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
            vbds: blkfront::Vbds::default(),
            scans: Vec::new(),
            vifs: netfront::Vifs::default(),
            is_watching: false,
            has_looked: false,
            reconnects: 0,
        };
        events::unmask_port(fronts.ring.port);
        fronts.look(&|_| false);
        fronts.look_as_told(&|_| false);
        fronts.client.has_begun();
        Some(fronts)
    }

    /// Has everybody look at their directories. What the store does not say now changes nothing: it has us look again when it does.
    fn look(&mut self, is_in_use: &dyn Fn(&str) -> bool) {
        while self.client.next_event().is_some() {}
        let mut keys = Session {
            client: &mut self.client,
            transport: &mut self.ring,
        };
        if !self.is_watching {
            self.is_watching =
                watches(&mut keys, blkfront::ROOT, "front") && watches(&mut keys, netfront::ROOT, "net");
        }
        self.vbds.look(&mut keys, &self.grants, is_in_use);
        self.vifs.look(&mut keys, &self.grants);
        self.has_looked = self.is_watching && !self.client.is_late() && !self.client.is_broken();
    }

    /// Makes a fresh connection to the store where what came by the old one made no sense.
    fn reconnect(&mut self) {
        if self.reconnects == 0 {
            println!("mini-guest: the store makes no sense; a fresh connection is made");
        }
        self.reconnects += 1;
        if self.ring.reconnect().is_err() {
            return;
        }
        self.client = Client::default();
        self.client.has_begun();
        // The old one's watches went with it.
        self.is_watching = false;
        self.vbds.forget_watches();
        self.vifs.forget_watches();
    }

    /// Looks as long as watches have fired. An event of the ring may be an answer's: a look for each would be answered, and so on for ever.
    fn look_as_told(&mut self, is_in_use: &dyn Fn(&str) -> bool) {
        loop {
            let mut must_look = self.client.next_event().is_some();
            if self.client.is_broken() && self.reconnects < MOST_RECONNECTS {
                self.reconnect();
                must_look = true;
            }
            if !must_look {
                break;
            }
            self.look(is_in_use);
        }
    }

    /// Begins anew with disks that are to.
    fn mend(&mut self) {
        let mut keys = Session {
            client: &mut self.client,
            transport: &mut self.ring,
        };
        self.vbds.mend(&mut keys);
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

    /// Whether every disk is there with its partitions, or will not be.
    fn are_settled(&self) -> bool {
        let is_scanned = |disk: &str| self.scans.iter().all(|(name, _)| name != disk);
        self.has_looked && self.vbds.are_settled(is_scanned)
    }

    /// An event came at `port`; `false` where it is not ours.
    fn event(&mut self, port: u32, is_in_use: &dyn Fn(&str) -> bool) -> bool {
        let is_of_the_store = port == self.ring.port;
        let mut keys = Session {
            client: &mut self.client,
            transport: &mut self.ring,
        };
        if is_of_the_store {
            // What cannot be read now is no event either.
            let _ = self.client.pump(&mut self.ring);
        } else if self.vifs.has_port(port) {
            return true;
        } else if !self.vbds.event(port, &mut keys) {
            return false;
        }
        self.look_as_told(is_in_use);
        true
    }
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
            self.show_requests();
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
        if fronts.vbds.is_closing {
            disks.caches().for_each(|cache| cache.write_at_leisure());
        }
        self.fronts = Some(fronts);
        self.store_has_slept();
        self.disks_changed();
        Some(result)
    }

    /// Somebody has used the devices' way to the store, and may have slept: then the timer is another one.
    pub(super) fn store_has_slept(&mut self) {
        let fronts = self.fronts.as_ref();
        if fronts.is_some_and(|fronts| fronts.ring.has_slept.take()) {
            self.armed = (None, true);
        }
    }

    /// Shows backends what is in their rings. Called before this domain sleeps, and before a program runs.
    pub(super) fn show_requests(&mut self) {
        if let Some(fronts) = &mut self.fronts
            && fronts.vbds.show()
        {
            fronts.mend();
            self.store_has_slept();
        }
    }

    /// An event came at `port`; `false` where it is no device's that others serve.
    pub(super) fn front_event(&mut self, port: u32) -> bool {
        self.with_fronts(|fronts, is_in_use| fronts.event(port, is_in_use))
            .unwrap_or(false)
    }

    /// Somebody may have ended the use of a disk that is to be let go of.
    pub(crate) fn disks_are_free(&mut self) {
        if self.fronts.as_ref().is_some_and(|fronts| fronts.vbds.is_closing) {
            self.with_fronts(|fronts, is_in_use| {
                fronts.look(is_in_use);
                fronts.look_as_told(is_in_use);
            });
        }
    }
}
