//! The disks that others serve, as this domain's: they come, their partition tables are read, and they go.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::Kernel;
use super::blkfront::Change;
use crate::block::cache::{Missing, Transaction};
use crate::block::table::{Next, Scan};
use crate::block::{Device, SECTOR, Volume};
use crate::drivers::found::cache_blocks;
use crate::println;
use crate::process::WaitFor;

impl Kernel {
    /// Adds disks that came, removes those that went.
    pub(super) fn disks_changed(&mut self) {
        let Some(fronts) = &mut self.fronts else {
            return;
        };
        for change in fronts.vbds.take_changes() {
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
