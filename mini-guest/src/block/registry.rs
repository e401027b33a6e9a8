//! The disks by name.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::cache::Cache;
use super::exports::Exports;
use super::fair::Shared;
use super::partition::Partition;
use super::{Device, SECTOR};

/// A disk or a partition, as the kernel's own users see it: through the cache of the whole disk.
#[derive(Clone)]
pub struct Volume {
    /// The device itself, for those who bring their own memory; it shares the cache's seat at the disk.
    pub device: Rc<dyn Device>,
    /// The cache of the whole disk.
    pub cache: Rc<Cache>,
    /// First sector on the whole disk.
    pub first: u64,
    /// How many sectors.
    pub sectors: u64,
}

impl core::fmt::Debug for Volume {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Volume({} sectors from {})", self.sectors, self.first)
    }
}

impl Volume {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.sectors * SECTOR as u64
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sectors == 0
    }

    /// The device for one more user of the disk, who has a seat of its own there.
    #[must_use]
    pub fn for_another(&self) -> Rc<dyn Device> {
        let Some(own) = self.device.seat() else {
            return self.device.clone();
        };
        let seat: Rc<dyn Device> = Rc::new(own.beside());
        if self.first == 0 && self.sectors == seat.info().sectors {
            return seat;
        }
        // It is inside, as it was when it was added.
        Partition::new(seat, self.first, self.sectors).map_or(self.device.clone(), |part| Rc::new(part))
    }
}

/// All disks and partitions of this domain: `vda`, `vda1`, `sda`, `ram0`, in the order in which they were found.
#[derive(Default)]
pub struct Disks {
    volumes: BTreeMap<u32, (String, Volume)>,
    next: u32,
    shared: Vec<Rc<Shared>>,
    /// Those that other domains use.
    pub exports: Exports,
}

impl Disks {
    /// Adds a disk that several may use, with a cache of at most `blocks` pages for this domain; `false` where the name is taken.
    pub fn add(&mut self, name: &str, device: Rc<dyn Device>, blocks: usize) -> bool {
        let shared = Shared::new(device);
        let is_new = self.add_own(name, Rc::new(shared.seat()), blocks);
        if is_new {
            self.shared.push(shared);
        }
        is_new
    }

    /// Adds a disk that only this domain uses. Who shares it is another domain's affair.
    pub fn add_own(&mut self, name: &str, device: Rc<dyn Device>, blocks: usize) -> bool {
        let sectors = device.info().sectors;
        let cache = Rc::new(Cache::new(device.clone(), blocks));
        self.insert(
            name,
            Volume {
                device,
                cache,
                first: 0,
                sectors,
            },
        )
    }

    /// Gives the disks what waits for them. Called after their events; whether anything was given.
    pub fn serve(&self) -> bool {
        self.shared.iter().fold(false, |any, shared| shared.serve() | any)
    }

    /// Whether [`Disks::serve`] has something to do without an event.
    #[must_use]
    pub fn have_work(&self) -> bool {
        self.shared.iter().any(|shared| shared.has_work())
    }

    /// Adds a part of the disk `whole`; `false` where the name is taken, or the disk does not have it.
    pub fn add_part(&mut self, name: &str, whole: &str, first: u64, sectors: u64) -> bool {
        let Some(whole) = self.volume(whole) else {
            return false;
        };
        let Some(part) = Partition::new(whole.device, first, sectors) else {
            return false;
        };
        self.insert(
            name,
            Volume {
                device: Rc::new(part),
                cache: whole.cache,
                first: whole.first + first,
                sectors,
            },
        )
    }

    fn insert(&mut self, name: &str, volume: Volume) -> bool {
        let is_new = self.volume(name).is_none();
        if is_new {
            self.volumes.insert(self.next, (name.into(), volume));
            self.next += 1;
        }
        is_new
    }

    /// Takes a disk away with its parts; gives their names.
    pub fn remove(&mut self, name: &str) -> Vec<String> {
        let Some(whole) = self.volume(name) else {
            return Vec::new();
        };
        let seat = whole.device.seat();
        self.shared
            .retain(|shared| !seat.is_some_and(|seat| seat.is_at(shared)));
        let mut gone = Vec::new();
        self.volumes.retain(|_, (name, volume)| {
            let is_of_it = Rc::ptr_eq(&volume.cache, &whole.cache);
            if is_of_it {
                gone.push(core::mem::take(name));
            }
            !is_of_it
        });
        gone
    }

    /// The disk with this name, for those who bring their own memory. What the cache of the kernel holds of it is not seen
    /// there: nobody else may use the disk meanwhile.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Rc<dyn Device>> {
        self.volume(name).map(|volume| volume.device)
    }

    /// The disk with this name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<Volume> {
        let mut volumes = self.volumes.values();
        volumes
            .find(|(other, _)| other == name)
            .map(|(_, volume)| volume.clone())
    }

    /// The disk with this number.
    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<Volume> {
        self.volumes.get(&number).map(|(_, volume)| volume.clone())
    }

    /// Numbers, names and disks, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str, &Volume)> {
        self.volumes
            .iter()
            .map(|(number, (name, volume))| (*number, name.as_str(), volume))
    }

    /// The caches, one for each whole disk.
    pub fn caches(&self) -> impl Iterator<Item = &Rc<Cache>> {
        let wholes = self
            .volumes
            .values()
            .filter(|(_, volume)| volume.first == 0 && volume.sectors == volume.cache.sectors());
        wholes.map(|(_, volume)| &volume.cache)
    }
}
