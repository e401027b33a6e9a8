//! What is behind one directory: a backend, the disk that it uses, and what the directory's keys order.

use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use guest_abi::domain::DomId;

use crate::blkif::{Backend, Counters, Guest, Point, Step};
use crate::block::Device;
use crate::block::fair::{MAX_WEIGHT, WEIGHT};
use crate::events::Channel;
use crate::kernel::kills::Kills;
use crate::mm::granted::GrantedPage;
use crate::xenbus::Keys;
use crate::xenbus::vbd::Back;

/// The frontend's domain, as a backend reaches it.
pub(super) struct Peer {
    pub domain: DomId,
    pub channel: Channel,
}

impl Guest for Peer {
    type Mapping = GrantedPage;

    fn map(&mut self, references: &[u32], is_writable: bool) -> Result<Vec<GrantedPage>, ()> {
        let wanted: Vec<(u32, bool)> = references
            .iter()
            .map(|reference| (*reference, is_writable))
            .collect();
        GrantedPage::map(self.domain, &wanted).map_err(drop)
    }

    fn unmap(&mut self, mappings: Vec<GrantedPage>) {
        GrantedPage::unmap(mappings);
    }

    fn notify(&mut self) {
        self.channel.notify();
    }
}

/// What is behind one directory.
pub(super) struct Served {
    pub back: Back,
    pub disk: Rc<dyn Device>,
    pub live: Option<Backend<Peer>>,
    /// It was killed: the next one begins from what the store says.
    pub was_killed: bool,
    /// Where it is to be killed: behind requests taken, given to the disk, answered.
    kills: Option<Kills<3>>,
    /// What those have done that are gone.
    pub before: Counters,
}

impl Served {
    pub fn new(back: Back, disk: Rc<dyn Device>) -> Self {
        Self {
            back,
            disk,
            live: None,
            was_killed: false,
            kills: None,
            before: Counters::default(),
        }
    }

    /// Gives the disk's seat the weight that the key `weight` says. One that makes no sense changes nothing.
    pub fn take_weight(&self, keys: &mut dyn Keys) {
        let weight = match keys.read(&format!("{}/weight", self.back.half.directory)) {
            Ok(text) => text.trim().parse().ok(),
            Err(_) => Some(WEIGHT),
        };
        let weight = weight.filter(|weight| (1..=MAX_WEIGHT).contains(weight));
        if let (Some(weight), Some(seat)) = (weight, self.disk.seat()) {
            seat.set_weight(weight);
        }
    }

    /// Does up to `count` steps; whether there is more.
    pub fn turn(&mut self, count: usize) -> bool {
        let has_more = self.steps(count);
        if let Some(backend) = &mut self.live {
            backend.turn_is_over();
        }
        has_more
    }

    fn steps(&mut self, count: usize) -> bool {
        let Some(backend) = self.live.as_mut().filter(|_| !self.was_killed) else {
            return false;
        };
        backend.device_has_room();
        for _ in 0..count {
            if backend.step() != Step::More {
                return false;
            }
            let kind = match backend.point() {
                Point::Begun | Point::Took => 0,
                Point::Submitted => 1,
                Point::Answered => 2,
            };
            if self.kills.as_mut().is_some_and(|kills| kills.note(kind)) {
                self.was_killed = true;
                return true;
            }
        }
        true
    }

    /// Says in the key `counters` what was done so far, where the key `count` asks for it.
    pub fn tell_counters(&self, keys: &mut dyn Keys) {
        let directory = &self.back.half.directory;
        let key = format!("{directory}/count");
        // Removing what is not there is no error, and each change has us look again.
        if keys.read(&key).is_err() {
            return;
        }
        let _ = keys.remove(&key);
        let mut counters = self.before;
        if let Some(backend) = &self.live {
            counters.add(backend.counters());
        }
        let _ = keys.write(&format!("{directory}/counters"), &format!("{counters}"));
    }

    /// Does what the key `restart` asks for.
    pub fn obey(&mut self, keys: &mut dyn Keys) {
        let key = format!("{}/restart", self.back.half.directory);
        let Ok(order) = keys.read(&key) else {
            return;
        };
        let _ = keys.remove(&key);
        match order.parse() {
            Ok(0) => self.was_killed = true,
            Ok(wanted) => self.kills = Some(Kills::new(wanted)),
            Err(_) => {}
        }
    }

    /// Says how often it was killed, and after what; the next one begins.
    pub fn tell_kills(&mut self, keys: &mut dyn Keys) {
        let Some(kills) = &mut self.kills else {
            return;
        };
        kills.begin();
        let text = kills.text(["taken", "submitted", "answered"]);
        let _ = keys.write(&format!("{}/kills", self.back.half.directory), &text);
    }
}
