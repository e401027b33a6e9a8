//! Disks, partitions and files that other domains use, and who may use them here meanwhile.
//!
//! A sector has one writer: another domain, or this one (its file systems, its programs); or any number of readers. What this
//! domain's cache holds of it is on the disk before another domain begins, and forgotten when it begins and when it ends.
//!
//! The file system that a file is on goes on to be used here. It does not touch the file's sectors as long as it keeps the file as it is: what sees
//! to that is what the export holds ([`Part::keeps`]).

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;

use super::cache::{Missing, Ticket};
use super::extents::{Extents, Runs};
use super::partition::Partition;
use super::{Device, Volume};

/// Why a disk is not given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not yet: what the cache holds is being written. Ask again after the next completion.
    Wait,
    /// For this reason.
    Because(&'static str),
}

/// What somebody uses, and whether it writes there.
#[derive(Clone, Copy, Debug)]
pub struct Use<'v> {
    /// The part of a disk.
    pub volume: &'v Volume,
    /// Whether it may write.
    pub writes: bool,
}

/// A file, as its file system has found it.
#[derive(Clone)]
pub struct Part {
    /// Its sectors on the volume, in its own order.
    pub runs: Rc<Runs>,
    /// What keeps the file where it is.
    pub keeps: Rc<dyn Any>,
}

/// What another domain uses, or is to use: a disk, a partition, or a file on it.
#[derive(Clone)]
pub struct Lot {
    volume: Volume,
    part: Option<Part>,
    /// Its sectors on the whole disk, in order.
    sectors: Rc<Vec<Range<u64>>>,
    writes: bool,
}

impl Lot {
    /// All of a disk or a partition.
    #[must_use]
    pub fn volume(volume: &Volume, writes: bool) -> Self {
        Self {
            volume: volume.clone(),
            part: None,
            sectors: Rc::new(Vec::from([extent(volume)])),
            writes,
        }
    }

    /// A file on `volume`.
    ///
    /// # Errors
    /// A sentence: the volume does not have these sectors, or has some of them twice.
    pub fn file(volume: &Volume, part: Part, writes: bool) -> Result<Self, &'static str> {
        Extents::new(volume.device.clone(), part.runs.clone())?;
        let there = |run: Range<u64>| volume.first + run.start..volume.first + run.end;
        let mut sectors = Vec::new();
        sectors
            .try_reserve_exact(part.runs.iter().count())
            .map_err(|_| "there is no memory to remember where it is")?;
        sectors.extend(part.runs.iter().map(there));
        sectors.sort_unstable_by_key(|run| run.start);
        if sectors.windows(2).any(|pair| pair[1].start < pair[0].end) {
            return Err("it has the same sectors twice");
        }
        Ok(Self {
            volume: volume.clone(),
            part: Some(part),
            sectors: Rc::new(sectors),
            writes,
        })
    }

    fn clashes(&self, writes: bool, volume: &Volume, sectors: &[Range<u64>]) -> bool {
        (self.writes || writes)
            && Rc::ptr_eq(&self.volume.cache, &volume.cache)
            && overlap(&self.sectors, sectors)
    }

    /// The disk that the other domain sees.
    fn device(&self) -> Result<Rc<dyn Device>, &'static str> {
        let volume = self.volume.for_another();
        let device = match &self.part {
            Some(part) => Rc::new(Extents::new(volume, part.runs.clone())?),
            None => volume,
        };
        Ok(if self.writes {
            device
        } else {
            Rc::new(Partition::read_only(device))
        })
    }
}

struct Export {
    lot: Lot,
    /// The round of writing that has to be over first.
    sync: Option<Ticket>,
}

/// What is given away, by the directory of the backend in the store.
#[derive(Default)]
pub struct Exports(BTreeMap<String, Export>);

fn extent(volume: &Volume) -> Range<u64> {
    volume.first..volume.first + volume.sectors
}

/// Whether two lists have a sector in common; both are in order.
fn overlap(one: &[Range<u64>], other: &[Range<u64>]) -> bool {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        if a.end <= b.start {
            one.next();
        } else if b.end <= a.start {
            other.next();
        } else {
            return true;
        }
    }
    false
}

/// Whether `here`, a use in this domain, and `there`, another domain's, exclude each other.
#[must_use]
pub fn excludes(here: Use<'_>, there: &Lot) -> bool {
    there.clashes(here.writes, here.volume, &[extent(here.volume)])
}

impl Exports {
    /// Whether something is given away that `here` excludes.
    #[must_use]
    pub fn exclude(&self, here: Use<'_>) -> bool {
        self.0.values().any(|export| excludes(here, &export.lot))
    }

    /// Whether one waits until the cache has written what it holds.
    #[must_use]
    pub fn are_waiting(&self) -> bool {
        self.0.values().any(|export| export.sync.is_some())
    }

    /// Whether `owner` has something, perhaps not yet to be used.
    #[must_use]
    pub fn has(&self, owner: &str) -> bool {
        self.0.contains_key(owner)
    }

    /// Gives `lot` to `owner`, who has nothing yet.
    ///
    /// # Errors
    /// [`Refusal`]; where the reason is not [`Refusal::Wait`], `owner` has nothing.
    pub fn give(&mut self, owner: &str, lot: Lot, is_used_here: bool) -> Result<Rc<dyn Device>, Refusal> {
        let cache = &lot.volume.cache;
        if lot.writes && cache.is_read_only() {
            return Err(Refusal::Because("the disk is read-only"));
        }
        if is_used_here {
            return Err(Refusal::Because("this domain has it mounted or open"));
        }
        let mut others = self.0.values();
        if others.any(|other| other.lot.clashes(lot.writes, &lot.volume, &lot.sectors)) {
            return Err(Refusal::Because("another device of a domain is on it already"));
        }
        let sync = Some(cache.begin_sync());
        self.0.insert(owner.into(), Export { lot, sync });
        self.again(owner)
    }

    /// What `owner` was given.
    ///
    /// # Errors
    /// As for [`Exports::give`].
    pub fn again(&mut self, owner: &str) -> Result<Rc<dyn Device>, Refusal> {
        let Some(export) = self.0.get_mut(owner) else {
            return Err(Refusal::Wait);
        };
        let lot = &export.lot;
        if let Some(ticket) = export.sync {
            match lot.volume.cache.poll_sync(ticket) {
                Ok(()) => {}
                Err(Missing::Wait) => return Err(Refusal::Wait),
                Err(Missing::Error(_)) => {
                    self.0.remove(owner);
                    return Err(Refusal::Because(
                        "what this domain has written is not on the disk yet, and cannot be written",
                    ));
                }
            }
            export.sync = None;
            lot.volume.cache.forget(&lot.sectors);
        }
        lot.device().map_err(Refusal::Because)
    }

    /// Takes back what those have who are not to keep it.
    pub fn keep(&mut self, keeps: impl Fn(&str) -> bool) {
        self.0.retain(|owner, Export { lot, .. }| {
            let stays = keeps(owner);
            if !stays {
                lot.volume.cache.forget(&lot.sectors);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::cache::Transaction;
    use crate::block::testing::{TestDisk, read, write};
    use crate::block::{BlockError, Disks, ram::RamDisk};

    fn disks() -> (Disks, Rc<TestDisk>) {
        let disk = Rc::new(TestDisk::new(200));
        let mut disks = Disks::default();
        assert!(disks.add("vda", disk.clone(), 0));
        for (name, first, sectors) in [("vda1", 8, 55), ("vda2", 63, 33), ("vda3", 96, 8)] {
            assert!(disks.add_part(name, "vda", first, sectors));
        }
        assert!(disks.add("ram0", Rc::new(RamDisk::new(&[], 8192)), 0));
        (disks, disk)
    }

    fn settle(disk: &TestDisk, disks: &Disks) {
        for cache in disks.caches() {
            while cache.take_news() || disk.finish(0) {}
        }
    }

    fn give(
        disks: &mut Disks,
        disk: &TestDisk,
        owner: &str,
        name: &str,
        writes: bool,
    ) -> Option<&'static str> {
        let lot = Lot::volume(&disks.volume(name).unwrap(), writes);
        if let Err(Refusal::Because(why)) = disks.exports.give(owner, lot, false) {
            return Some(why);
        }
        settle(disk, disks);
        assert!(disks.exports.again(owner).is_ok());
        None
    }

    fn excludes(disks: &Disks, name: &str, writes: bool) -> bool {
        let volume = disks.volume(name).unwrap();
        let volume = &volume;
        disks.exports.exclude(Use { volume, writes })
    }

    #[test]
    fn one_writes_or_many_read() {
        let (mut disks, disk) = disks();
        assert_eq!(give(&mut disks, &disk, "a", "vda1", true), None);
        let taken = Some("another device of a domain is on it already");
        for (name, writes, answer) in [
            ("vda1", true, taken),
            ("vda1", false, taken),
            ("vda", false, taken),
            ("vda2", true, None),
            ("vda3", false, None),
            ("ram0", true, None),
        ] {
            assert_eq!(give(&mut disks, &disk, name, name, writes), answer, "{name}");
        }
        assert_eq!(give(&mut disks, &disk, "b", "vda3", false), None);
        assert_eq!(give(&mut disks, &disk, "c", "vda3", true), taken);
        disks.exports.keep(|owner| owner != "a");
        assert_eq!(give(&mut disks, &disk, "d", "vda1", false), None);
        assert_eq!(
            give(&mut disks, &disk, "e", "vda", false),
            taken,
            "vda2 is written"
        );
    }

    #[test]
    fn this_domain_is_a_user_too() {
        let (mut disks, disk) = disks();
        let volume = disks.volume("vda2").unwrap();
        let refused = disks.exports.give("a", Lot::volume(&volume, true), true);
        assert_eq!(
            refused.err(),
            Some(Refusal::Because("this domain has it mounted or open"))
        );
        assert_eq!(give(&mut disks, &disk, "a", "vda2", true), None);
        for (name, writes, answer) in [
            ("vda", false, true),
            ("vda2", false, true),
            ("vda1", false, false),
            // Its last block is the first one of vda2: it is written in part.
            ("vda1", true, false),
            ("vda3", true, false),
            ("ram0", true, false),
        ] {
            assert_eq!(excludes(&disks, name, writes), answer, "{name} {writes}");
        }
        disks.exports.keep(|_| false);
        assert_eq!(give(&mut disks, &disk, "a", "vda2", false), None);
        assert!(!excludes(&disks, "vda", false));
        assert!(excludes(&disks, "vda", true));
    }

    #[test]
    fn what_was_written_here_is_there_first_and_forgotten() {
        let (mut disks, disk) = disks();
        let volume = disks.volume("vda3").unwrap();
        let put = |byte: u8| {
            let transaction = Transaction::new(&volume.cache);
            transaction
                .write(96 * 512, &[byte; 4096])
                .map(|()| transaction.commit())
        };
        while !matches!(put(7), Ok(Ok(()))) {
            settle(&disk, &disks);
        }
        let lot = Lot::volume(&volume, true);
        assert_eq!(disks.exports.give("a", lot, false).err(), Some(Refusal::Wait));
        assert!(disks.exports.are_waiting());
        assert!(excludes(&disks, "vda3", false), "nobody else may come in between");
        settle(&disk, &disks);
        let device = disks.exports.again("a").unwrap();
        assert_eq!(disk.medium.borrow()[96 * 512], 7);
        assert_eq!(volume.cache.usage().blocks, 0);
        drop(device);
        disk.cached.borrow_mut()[96 * 512] = 9;
        disks.exports.keep(|_| false);
        let mut bytes = [0];
        while Transaction::new(&volume.cache)
            .read(96 * 512, &mut bytes)
            .is_err()
        {
            settle(&disk, &disks);
        }
        assert_eq!(bytes, [9], "it is read anew");
    }

    #[test]
    fn what_is_given_to_be_read_is_not_written() {
        let (mut disks, disk) = disks();
        assert_eq!(give(&mut disks, &disk, "a", "ram0", false), None);
        let device = disks.exports.again("a").unwrap();
        assert!(device.info().is_read_only);
        assert_eq!(write(&*device, 0, &[1; 512]), Err(BlockError::ReadOnly));
        assert_eq!(read(&*device, 0, 512).unwrap(), [0; 512]);
    }
}
