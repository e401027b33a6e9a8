//! The backends of network interfaces, in Domain0: a directory of the store each, `/local/domain/0/backend/vif/ID/N`.
//!
//! Backends take turns, a few steps each. One that is killed goes between two steps; its port of the bridge stays, with what waits there, for
//! the next one. Keys of its directory ask for that: `restart`, after so many steps; `kill`, so often, after one step of each kind, two of each, and so
//! on, which `kills` then tells. `count` asks for `counters`.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use guest_abi::domain::DomId;

use super::kills::Kills;
use super::switch::{Hub, Port};
use crate::events::Channel;
use crate::mm::granted::GrantedPage;
use crate::net::Mac;
use crate::net::bridge::Source;
use crate::net::netif::{Backend, Counters, Point, Rate, Step};
use crate::net::registry::Interfaces;
use crate::store::Error;
use crate::time;
use crate::xenbus::vif::{Back, BackActions, Details};
use crate::xenbus::{Keys, devices, number};

mod peer;

use peer::Peer;

/// Where the directories are.
const ROOT: &str = "/local/domain/0/backend/vif";
/// Steps of one backend in its turn: a batch in each direction.
const STEPS: usize = 4;

/// What is behind one directory.
struct Served {
    back: Back,
    port: Port,
    name: String,
    rate: Option<Rate>,
    live: Option<Backend<Peer>>,
    /// The backend is killed after so many steps.
    steps_left: Option<u32>,
    /// Where else it is to be killed.
    kills: Option<Kills<{ Point::COUNT }>>,
    /// What those have done that are gone.
    before: Counters,
    /// What it says when it cannot go on.
    is_broken: bool,
}

/// All backends.
#[derive(Default)]
pub struct Vifs {
    served: BTreeMap<String, Served>,
    /// One of those has to tell the store something.
    pub must_look: bool,
    /// When one that may not send now may again.
    pub wake_at: Option<u64>,
}

/// What a half of the handshake does beside the store.
struct Actions<'a> {
    live: &'a mut Option<Backend<Peer>>,
    before: &'a mut Counters,
    domain: DomId,
    rate: Option<Rate>,
}

impl BackActions for Actions<'_> {
    fn connect(&mut self, details: Details) -> Result<(), &'static str> {
        self.disconnect();
        let pages = GrantedPage::map(self.domain, &[(details.tx, true), (details.rx, true)]);
        let pages = pages.map_err(GrantedPage::refusal)?;
        let pages: Result<[GrantedPage; 2], _> = pages.try_into();
        let [tx, rx] = pages.map_err(|_| "a ring has one page")?;
        let channel =
            Channel::bind(self.domain, details.port).map_err(|_| "the port does not wait for this domain")?;
        let peer = Peer {
            domain: self.domain,
            channel,
        };
        let now = time::now_ns();
        *self.live = Some(Backend::new(peer, Box::new(tx), Box::new(rx), self.rate, now));
        Ok(())
    }

    fn disconnect(&mut self) {
        end(self.live, self.before);
    }
}

impl Vifs {
    /// Begins to watch.
    ///
    /// # Errors
    /// What the store answers.
    pub fn start(keys: &mut dyn Keys) -> Result<(), Error> {
        keys.write(ROOT, "")?;
        keys.watch(ROOT, "vif")
    }

    /// Whether a port is a backend's.
    pub fn has_port(&self, port: u32) -> bool {
        let mut live = self.served.values().filter_map(|served| served.live.as_ref());
        live.any(|backend| backend.guest.channel.port() == port)
    }

    /// Looks at the directories: new ones begin, ones that are gone end, the others do their next step.
    pub fn look(&mut self, keys: &mut dyn Keys, hub: &Hub, interfaces: &mut Interfaces) {
        self.must_look = false;
        let found = devices(keys, ROOT);
        self.served.retain(|directory, served| {
            let stays = found.contains(directory);
            if !stays {
                let _ = keys.unwatch(&served.back.half.other, directory);
                interfaces.remove(&served.name);
            }
            stays
        });
        for directory in found {
            if !self.served.contains_key(&directory) {
                self.begin(keys, &directory, hub, interfaces);
            }
            if let Some(served) = self.served.get_mut(&directory) {
                // What the store refuses is seen at the next look.
                let _ = served.look(keys);
            }
        }
        hub.note_work();
    }

    fn begin(&mut self, keys: &mut dyn Keys, directory: &str, hub: &Hub, interfaces: &mut Interfaces) {
        let error = format!("{directory}/error");
        let said = keys.read(&error).ok();
        // Said once: each writing and removing is a change, which would have us look again.
        let _ = match self.try_begin(keys, directory, hub, interfaces) {
            Err(why) if said.as_deref() != Some(why) => keys.write(&error, why),
            Ok(()) if said.is_some() => keys.remove(&error),
            _ => Ok(()),
        };
    }

    fn try_begin(
        &mut self,
        keys: &mut dyn Keys,
        directory: &str,
        hub: &Hub,
        interfaces: &mut Interfaces,
    ) -> Result<(), &'static str> {
        // Somebody is still writing it.
        let Ok(mac) = keys.read(&format!("{directory}/mac")) else {
            return Ok(());
        };
        let mac: Mac = mac.trim().parse().map_err(|_| "the address makes no sense")?;
        let rate = read_rate(keys, directory)?;
        let is_permitted = number(keys, &format!("{directory}/permit")) == Ok(1_u8);
        let source = if is_permitted {
            Source::Permitted(mac)
        } else {
            Source::Only(mac)
        };
        let unclear = "the keys do not say whose it is";
        let handle: u32 = number(keys, &format!("{directory}/handle")).map_err(|_| unclear)?;
        let domain: u16 = number(keys, &format!("{directory}/frontend-id")).map_err(|_| unclear)?;
        let name = format!("vif{domain}.{handle}");
        let entry = interfaces
            .add(&name)
            .ok_or("there is such an interface already")?;
        let port = hub.add(source, entry);
        let back = port.as_ref().and_then(|_| Back::start(keys, directory).ok());
        let (Some(port), Some(back)) = (port, back) else {
            interfaces.remove(&name);
            return Err("another interface has the address, or the keys do not say whose it is");
        };
        let _ = keys.watch(&back.half.other, directory);
        let served = Served {
            back,
            port,
            name,
            rate,
            live: None,
            steps_left: None,
            kills: None,
            before: Counters::default(),
            is_broken: false,
        };
        self.served.insert(directory.into(), served);
        Ok(())
    }

    /// A turn of each backend; whether somebody is not at rest yet.
    pub fn work(&mut self) -> bool {
        let now = time::now_ns();
        self.wake_at = None;
        let mut has_more = false;
        for served in self.served.values_mut() {
            match served.turn(now) {
                Step::More => has_more = true,
                Step::Later(at) => self.wake_at = Some(self.wake_at.map_or(at, |first| first.min(at))),
                Step::Idle => {}
                Step::Broken => self.must_look = true,
            }
        }
        has_more
    }
}

/// The rate that a directory has, if it has one.
fn read_rate(keys: &mut dyn Keys, directory: &str) -> Result<Option<Rate>, &'static str> {
    match keys.read(&format!("{directory}/rate")) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| "the rate makes no sense"),
        Err(_) => Ok(None),
    }
}

impl Served {
    fn look(&mut self, keys: &mut dyn Keys) -> Result<(), Error> {
        let directory = self.back.half.directory.clone();
        // A rate that makes no sense changes nothing.
        if let Ok(rate) = read_rate(keys, &directory) {
            self.rate = rate;
            if let Some(backend) = &mut self.live {
                backend.set_rate(rate, time::now_ns());
            }
        }
        let count = format!("{directory}/count");
        // Removing what is not there is no error, and each change has us look again.
        if keys.read(&count).is_ok() {
            keys.remove(&count)?;
            let mut done = self.before;
            if let Some(backend) = &self.live {
                done.add(backend.counters());
            }
            let text = format!("{}; {done}", self.port.counters());
            keys.write(&format!("{directory}/counters"), &text)?;
        }
        let restart = format!("{directory}/restart");
        if let Ok(steps) = number(keys, &restart) {
            keys.remove(&restart)?;
            self.steps_left = Some(steps);
        }
        let kill = format!("{directory}/kill");
        if let Ok(count) = number(keys, &kill) {
            keys.remove(&kill)?;
            self.kills = Some(Kills::new(count));
        }
        if self.steps_left == Some(0) {
            self.steps_left = None;
            end(&mut self.live, &mut self.before);
            if let Some(kills) = &mut self.kills {
                kills.begin();
                let text = kills.text(["fetched", "passed on", "delivered", "answered"]);
                keys.write(&format!("{directory}/kills"), &text)?;
            }
            self.back = Back::start(keys, &directory)?;
        }
        if core::mem::take(&mut self.is_broken) {
            end(&mut self.live, &mut self.before);
            self.back.fail(keys, "the rings make no sense")?;
        }
        let mut actions = Actions {
            live: &mut self.live,
            before: &mut self.before,
            domain: DomId::new(self.back.half.domain),
            rate: self.rate,
        };
        self.back.look(keys, &mut actions)
    }

    /// A few steps; [`Step::Broken`] where the store has to hear of something.
    fn turn(&mut self, now: u64) -> Step {
        let Some(backend) = &mut self.live else {
            return Step::Idle;
        };
        for _ in 0..STEPS {
            if self.steps_left == Some(0) {
                return Step::Broken;
            }
            match backend.step(&mut self.port, now) {
                Step::More => {}
                Step::Broken => {
                    self.is_broken = true;
                    return Step::Broken;
                }
                rest => return rest,
            }
            if let Some(left) = &mut self.steps_left {
                *left = left.saturating_sub(1);
            }
            let kind = backend.point() as usize;
            if self.kills.as_mut().is_some_and(|kills| kills.note(kind)) {
                self.steps_left = Some(0);
            }
        }
        Step::More
    }
}

/// Ends a backend, whose counters stay.
fn end(live: &mut Option<Backend<Peer>>, before: &mut Counters) {
    if let Some(backend) = live.take() {
        before.add(backend.counters());
    }
}
