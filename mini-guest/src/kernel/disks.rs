//! The disks' events, and what is done with their caches when nothing else is to do, and at the end.

use alloc::vec::Vec;

use super::Kernel;
use crate::block::cache::Missing;
use crate::process::WaitFor;
use crate::{events, println, time};

/// How long a power-off waits for the disks.
const FLUSH_NS: u64 = 30 * time::NS_PER_SEC;

impl Kernel {
    /// Gives the disks what waits for them, lets the caches go on, and wakes who waits for them.
    pub(super) fn disk_news(&mut self) {
        if self.devices.disks.serve() {
            // A disk of memory has done it already, and there will be no event.
            self.backends_may_work();
        }
        let mut any = false;
        for cache in self.devices.disks.caches() {
            any |= cache.take_news();
        }
        for load in self.loads.values_mut() {
            any |= load.advance();
        }
        if any {
            self.wake(WaitFor::DISK);
            self.exports_may_be_ready();
            self.scan_disks();
            self.disks_are_free();
        }
    }

    /// Begins to write what is newer than the disks, since there is nothing else to do.
    pub(super) fn write_disks(&mut self) {
        for cache in self.devices.disks.caches() {
            cache.write_at_leisure();
        }
    }

    /// Writes everything to the disks, sleeping until they have it. No program runs any more.
    pub(super) fn flush_disks(&mut self) {
        let caches = self.devices.disks.caches();
        let begun: Vec<_> = caches.map(|cache| (cache.clone(), cache.begin_sync())).collect();
        let deadline = time::now_ns() + FLUSH_NS;
        for (cache, ticket) in begun {
            loop {
                cache.take_news();
                match cache.poll_sync(ticket) {
                    Ok(()) => break,
                    Err(Missing::Error(error)) => {
                        println!("mini-guest: not everything was written to a disk: {error}");
                        break;
                    }
                    Err(Missing::Wait) if time::now_ns() >= deadline => {
                        println!("mini-guest: a disk does not answer; what it has not written is lost");
                        break;
                    }
                    Err(Missing::Wait) => self.wait_for_disks(deadline),
                }
            }
        }
    }

    /// Sleeps until an event or until `deadline`; serves the disks, also those that other domains serve. Other events are lost.
    fn wait_for_disks(&mut self, deadline: u64) {
        if self.devices.disks.serve() {
            return;
        }
        // With the timer refused there is still the device.
        let _ = time::set_timer(Some(deadline));
        self.show_requests();
        events::wait();
        let mut ports = Vec::new();
        events::poll(|port| ports.push(port));
        for port in ports {
            if !self.devices.lines.event(port) {
                self.front_event(port);
            }
        }
    }
}
