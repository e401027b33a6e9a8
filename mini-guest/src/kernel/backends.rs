//! The backends of block devices, in Domain0: a directory of the store each, `/local/domain/0/backend/vbd/ID/N`.
//!
//! Backends take turns, a few steps each, so one domain's many requests do not keep another's single one waiting for longer than
//! the others' turns. One that is to go is kept until the disk has nothing of it any more.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::domain::DomId;

use crate::blkif::backend::REQUEST_FRAMES;
use crate::blkif::{Backend, Counters, Step};
use crate::block::exports::Refusal;
use crate::block::{Device, Info};
use crate::events::Channel;
use crate::mm::granted::GrantedPage;
use crate::mm::layout::WINDOW_PAGES;
use crate::store::Error;
use crate::xenbus::vbd::{Back, BackActions, Details};
use crate::xenbus::{Client, Keys, devices};

mod served;

use served::{Peer, Served};

/// Where the directories are.
const ROOT: &str = "/local/domain/0/backend/vbd";
/// Frames of the window that all backends together have mapped for requests; each has an equal part of them. The others are for rings and consoles.
const SHARED_FRAMES: usize = WINDOW_PAGES as usize / 7 * 6;
/// Most backends: each has room for one request.
const MOST: usize = SHARED_FRAMES / REQUEST_FRAMES;
/// Steps of one backend in its turn.
const STEPS: usize = 32;

/// Where the disks come from.
pub trait DiskSource {
    /// The disk of that name, from now on for the backend of directory `owner`.
    ///
    /// # Errors
    /// [`Refusal`].
    fn open(&mut self, owner: &str, name: &str, writes: bool) -> Result<Rc<dyn Device>, Refusal>;

    /// Takes back what those have who are not to keep it.
    fn keep(&mut self, keeps: &dyn Fn(&str) -> bool);
}

/// All backends.
#[derive(Default)]
pub struct Backends {
    /// Requests to the store, and its events.
    pub client: Client,
    served: BTreeMap<String, Served>,
    /// Those that go when the disk has nothing of them any more.
    ending: Vec<(String, Backend<Peer>)>,
    /// One of those has gone: the next of its directory may begin.
    pub must_look: bool,
    /// There may be something to do.
    pub may_work: bool,
}

/// What a half of the handshake does beside the store.
struct Actions<'a> {
    live: &'a mut Option<Backend<Peer>>,
    before: &'a mut Counters,
    ending: &'a mut Vec<(String, Backend<Peer>)>,
    disk: &'a Rc<dyn Device>,
    domain: DomId,
    directory: &'a str,
}

impl BackActions for Actions<'_> {
    fn connect(&mut self, details: Details) -> Result<Info, &'static str> {
        self.disconnect();
        let pages = GrantedPage::map(self.domain, &[(details.ring, true)]);
        let mut pages = pages.map_err(GrantedPage::refusal)?;
        let page = pages.pop().ok_or("a ring has one page")?;
        let channel =
            Channel::bind(self.domain, details.port).map_err(|_| "the port does not wait for this domain")?;
        let peer = Peer {
            domain: self.domain,
            channel,
        };
        *self.live = Some(Backend::new(
            peer,
            Box::new(page),
            details.layout,
            self.disk.clone(),
            details.keeps,
        ));
        Ok(self.disk.info())
    }

    fn disconnect(&mut self) {
        if let Some(backend) = &*self.live {
            self.before.add(backend.counters());
        }
        end(self.ending, self.directory, self.live.take());
    }
}

impl Backends {
    /// Begins to watch.
    ///
    /// # Errors
    /// What the store answers.
    pub fn start(keys: &mut dyn Keys) -> Result<(), Error> {
        keys.write(ROOT, "")?;
        keys.watch(ROOT, "backend")
    }

    /// Whether there is any backend.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        !self.served.is_empty() || !self.ending.is_empty()
    }

    /// Whether a port is a backend's; then there is something to do.
    pub fn has_port(&mut self, port: u32) -> bool {
        let live = self.served.values_mut().filter_map(|served| served.live.as_mut());
        let mut all = live.chain(self.ending.iter_mut().map(|(_, backend)| backend));
        let heard = all.find(|backend| backend.guest.channel.port() == port);
        if let Some(backend) = heard {
            backend.heard();
            self.may_work = true;
            return true;
        }
        false
    }

    /// Looks at the directories: new ones begin, ones that are gone end, the others do their next step.
    pub fn look(&mut self, keys: &mut dyn Keys, disks: &mut dyn DiskSource) {
        let found = devices(keys, ROOT);
        let gone: Vec<String> = self
            .served
            .keys()
            .filter(|known| !found.contains(known))
            .cloned()
            .collect();
        for directory in gone {
            if let Some(served) = self.served.remove(&directory) {
                let _ = keys.unwatch(&served.back.half.other, &directory);
                end(&mut self.ending, &directory, served.live);
            }
        }
        // What was given back may be what another one waits for.
        disks.keep(&|owner| {
            found.iter().any(|directory| directory == owner)
                || self.ending.iter().any(|(directory, _)| directory == owner)
        });
        for directory in &found {
            // What the disk still has of the last one could be done after what the next one does.
            if self.ending.iter().any(|(ending, _)| ending == directory) {
                continue;
            }
            if !self.served.contains_key(directory) {
                self.begin(keys, directory, disks);
            }
            let Some(served) = self.served.get_mut(directory) else {
                continue;
            };
            served.obey(keys);
            served.take_weight(keys);
            served.tell_counters(keys);
            if served.was_killed {
                if let Some(backend) = &served.live {
                    served.before.add(backend.counters());
                }
                kill(&mut self.ending, directory, served.live.take());
                if self.ending.iter().any(|(ending, _)| ending == directory) {
                    continue;
                }
                served.tell_kills(keys);
                let Ok(back) = Back::start(keys, directory) else {
                    continue;
                };
                served.back = back;
                served.was_killed = false;
            }
            let mut actions = Actions {
                live: &mut served.live,
                before: &mut served.before,
                ending: &mut self.ending,
                disk: &served.disk,
                domain: DomId::new(served.back.half.domain),
                directory,
            };
            // What the store refuses is seen at the next look.
            let _ = served.back.look(keys, &mut actions);
        }
        self.may_work = true;
    }

    fn begin(&mut self, keys: &mut dyn Keys, directory: &str, disks: &mut dyn DiskSource) {
        // It says which disk last of all; without that it is not complete.
        let Ok(name) = keys.read(&format!("{directory}/params")) else {
            return;
        };
        let writes = keys
            .read(&format!("{directory}/mode"))
            .is_ok_and(|mode| mode == "w");
        let error = format!("{directory}/error");
        // Said once: writing it is a change, which would have us look again.
        let refuse = |keys: &mut dyn Keys, why: &str| {
            if keys.read(&error).is_ok_and(|said| said == why) {
                return;
            }
            let _ = keys.write(&error, why);
        };
        if self.served.len() >= MOST {
            return refuse(keys, "there are as many disks of domains as there can be");
        }
        let disk = match disks.open(directory, &name, writes) {
            Ok(disk) => disk,
            Err(Refusal::Wait) => return,
            // It may be because of one that is about to go; then it is looked at again.
            Err(Refusal::Because(_)) if !self.ending.is_empty() => return,
            Err(Refusal::Because(why)) => return refuse(keys, why),
        };
        match Back::start(keys, directory) {
            Ok(back) => {
                let _ = keys.remove(&error);
                let _ = keys.watch(&back.half.other, directory);
                self.served.insert(directory.into(), Served::new(back, disk));
            }
            Err(_) => refuse(keys, "the keys do not say whose it is"),
        }
    }

    /// A turn of each backend; whether somebody is not at rest yet.
    pub fn work(&mut self) {
        if !core::mem::take(&mut self.may_work) {
            return;
        }
        let live = self.served.values().filter(|served| served.live.is_some());
        let limit = SHARED_FRAMES / live.count().max(1);
        for served in self.served.values_mut() {
            if let Some(backend) = &mut served.live {
                backend.set_limit(limit);
            }
            self.may_work |= served.turn(STEPS);
            self.must_look |= served.was_killed;
        }
        let before = self.ending.len();
        for (_, backend) in &mut self.ending {
            turn(backend);
        }
        self.ending.retain(|(_, backend)| backend.in_flight() > 0);
        self.must_look |= self.ending.len() < before;
    }
}

/// Ends a backend now, or when the disk has nothing of it any more.
fn end(ending: &mut Vec<(String, Backend<Peer>)>, directory: &str, backend: Option<Backend<Peer>>) {
    if let Some(mut backend) = backend {
        backend.stop();
        turn(&mut backend);
        if backend.in_flight() > 0 {
            ending.push((directory.into(), backend));
        }
    }
}

/// Ends a backend without another answer, now or when the disk has nothing of it any more.
fn kill(ending: &mut Vec<(String, Backend<Peer>)>, directory: &str, backend: Option<Backend<Peer>>) {
    if let Some(mut backend) = backend {
        backend.kill();
        end(ending, directory, Some(backend));
    }
}

/// Lets a backend do some steps; whether there is more.
fn turn(backend: &mut Backend<Peer>) -> bool {
    (0..STEPS).all(|_| backend.step() == Step::More)
}
