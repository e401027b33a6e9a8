//! Disks and partitions that other domains use, and who may use them here meanwhile.
//!
//! A part of a disk has one writer: another domain, or this one (its file systems, its programs); or any number of readers. What this
//! domain's cache holds is on the disk before another domain begins, and forgotten when it begins and when it ends.
//!
//! This domain writes whole blocks of its cache, which lie at multiples of [`BLOCK`] from the disk's first sector wherever
//! partitions begin. So what it writes is taken to be as large as these blocks are: a neighbour that begins inside one would be overwritten with what was
//! there before.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;

use super::cache::{BLOCK, Missing, Ticket};
use super::partition::Partition;
use super::{Device, SECTOR, Volume};

/// Sectors of a block of the cache.
const BLOCK_SECTORS: u64 = (BLOCK / SECTOR) as u64;

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

struct Export {
    volume: Volume,
    writes: bool,
    /// The round of writing that has to be over first.
    sync: Option<Ticket>,
}

/// What is given away, by the directory of the backend in the store.
#[derive(Default)]
pub struct Exports(BTreeMap<String, Export>);

/// The sectors of something that this domain uses: in whole blocks where it writes.
fn used_here(user: Use<'_>) -> (u64, u64) {
    let (first, end) = extent(user.volume);
    if user.writes {
        (
            first / BLOCK_SECTORS * BLOCK_SECTORS,
            end.next_multiple_of(BLOCK_SECTORS),
        )
    } else {
        (first, end)
    }
}

fn extent(volume: &Volume) -> (u64, u64) {
    (volume.first, volume.first + volume.sectors)
}

fn clash(one: Use<'_>, one_extent: (u64, u64), other: Use<'_>, other_extent: (u64, u64)) -> bool {
    (one.writes || other.writes)
        && Rc::ptr_eq(&one.volume.cache, &other.volume.cache)
        && one_extent.0 < other_extent.1
        && other_extent.0 < one_extent.1
}

/// Whether `here`, a use in this domain, and `there`, another domain's, exclude each other.
#[must_use]
pub fn excludes(here: Use<'_>, there: Use<'_>) -> bool {
    clash(here, used_here(here), there, extent(there.volume))
}

impl Exports {
    /// Whether something is given away that `here` excludes.
    #[must_use]
    pub fn exclude(&self, here: Use<'_>) -> bool {
        self.0.values().any(|export| excludes(here, export.as_use()))
    }

    /// Whether one waits until the cache has written what it holds.
    #[must_use]
    pub fn are_waiting(&self) -> bool {
        self.0.values().any(|export| export.sync.is_some())
    }

    /// Gives `volume` to `owner`. Asked again, answers again.
    ///
    /// # Errors
    /// [`Refusal`]; where the reason is not [`Refusal::Wait`], `owner` has nothing.
    pub fn give(
        &mut self,
        owner: &str,
        volume: &Volume,
        writes: bool,
        is_used_here: bool,
    ) -> Result<Rc<dyn Device>, Refusal> {
        if writes && volume.cache.is_read_only() {
            return Err(Refusal::Because("the disk is read-only"));
        }
        if !self.0.contains_key(owner) {
            if is_used_here {
                return Err(Refusal::Because("this domain has it mounted or open"));
            }
            let wanted = Use { volume, writes };
            let mut others = self.0.values();
            if others.any(|other| clash(wanted, extent(volume), other.as_use(), extent(&other.volume))) {
                return Err(Refusal::Because("another device of a domain is on it already"));
            }
            let sync = Some(volume.cache.begin_sync());
            let volume = volume.clone();
            self.0.insert(owner.into(), Export { volume, writes, sync });
        }
        let Some(export) = self.0.get_mut(owner) else {
            return Err(Refusal::Wait);
        };
        if let Some(ticket) = export.sync {
            match export.volume.cache.poll_sync(ticket) {
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
            export.volume.cache.forget();
        }
        let device = export.volume.for_another();
        Ok(if export.writes {
            device
        } else {
            Rc::new(Partition::read_only(device))
        })
    }

    /// Takes back what those have who are not to keep it.
    pub fn keep(&mut self, keeps: impl Fn(&str) -> bool) {
        self.0.retain(|owner, export| {
            let stays = keeps(owner);
            if !stays {
                export.volume.cache.forget();
            }
            stays
        });
    }
}

impl Export {
    fn as_use(&self) -> Use<'_> {
        Use {
            volume: &self.volume,
            writes: self.writes,
        }
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
        let volume = disks.volume(name).unwrap();
        if let Err(Refusal::Because(why)) = disks.exports.give(owner, &volume, writes, false) {
            return Some(why);
        }
        settle(disk, disks);
        assert!(disks.exports.give(owner, &volume, writes, false).is_ok());
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
    fn this_domain_is_an_user_too_and_writes_whole_blocks() {
        let (mut disks, disk) = disks();
        let volume = disks.volume("vda2").unwrap();
        let refused = disks.exports.give("a", &volume, true, true);
        assert_eq!(
            refused.err(),
            Some(Refusal::Because("this domain has it mounted or open"))
        );
        assert_eq!(give(&mut disks, &disk, "a", "vda2", true), None);
        for (name, writes, answer) in [
            ("vda", false, true),
            ("vda2", false, true),
            ("vda1", false, false),
            // Its last block is the first one of vda2.
            ("vda1", true, true),
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
        assert_eq!(
            disks.exports.give("a", &volume, true, false).err(),
            Some(Refusal::Wait)
        );
        assert!(disks.exports.are_waiting());
        assert!(excludes(&disks, "vda3", false), "nobody else may come in between");
        settle(&disk, &disks);
        let device = disks.exports.give("a", &volume, true, false).unwrap();
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
        let volume = disks.volume("ram0").unwrap();
        let device = disks.exports.give("a", &volume, false, false).unwrap();
        assert!(device.info().is_read_only);
        assert_eq!(write(&*device, 0, &[1; 512]), Err(BlockError::ReadOnly));
        assert_eq!(read(&*device, 0, 512).unwrap(), [0; 512]);
    }
}
