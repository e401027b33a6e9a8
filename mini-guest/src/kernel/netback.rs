//! The backends of network interfaces, in Domain0: a directory of the store each, `/local/domain/0/backend/vif/ID/N`.
//!
//! Backends take turns, a few steps each. One that is killed goes between two steps; its port of the bridge stays, with what waits there, for
//! the next one.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use arrayvec::ArrayVec;
use guest_abi::domain::DomId;
use guest_abi::grant_table::{CopyEnd, CopyFlags, GrantCmd, GrantCopy, GrantStatus};

use super::switch::{Hub, Port};
use crate::events::Channel;
use crate::mm::frame_pool::{Frame, Slot};
use crate::mm::granted::GrantedPage;
use crate::net::Mac;
use crate::net::bridge::Source;
use crate::net::netif::backend::{BATCH, BATCH_PIECES};
use crate::net::netif::guest::{Deliver, Fetch, NotFetched};
use crate::net::netif::{Backend, Guest, Rate, Step};
use crate::net::registry::Interfaces;
use crate::store::Error;
use crate::xenbus::vif::{Back, BackActions, Details};
use crate::xenbus::{Keys, devices, number};
use crate::{hypercall, time};

/// Where the directories are.
const ROOT: &str = "/local/domain/0/backend/vif";
/// Steps of one backend in its turn: a batch in each direction.
const STEPS: usize = 4;

/// The frontend's domain, as a backend reaches it.
struct Peer {
    domain: DomId,
    channel: Channel,
}

impl Peer {
    fn granted(&self, gref: u32, offset: u16) -> CopyEnd {
        CopyEnd {
            ref_or_frame: gref,
            domid: self.domain,
            offset,
        }
    }
}

fn own((frame, offset): (guest_abi::addr::Mfn, u16)) -> CopyEnd {
    CopyEnd {
        ref_or_frame: frame.raw(),
        domid: DomId::SELF,
        offset,
    }
}

/// Has the hypervisor copy; what it does not answer has not been copied.
fn copy(records: &mut [GrantCopy]) {
    // SAFETY: our ends lie in half pages that are nobody else's, or are only read; the records are of the command's type.
    let answer = unsafe { hypercall::grant_table_op(GrantCmd::COPY.raw(), records) };
    if answer.is_err() {
        records
            .iter_mut()
            .for_each(|record| record.status = GrantStatus::GENERAL_ERROR);
    }
}

impl Guest for Peer {
    type Frame = Frame;

    fn bytes(frame: &mut Frame) -> Option<&mut [u8]> {
        frame.bytes()
    }

    fn fetch(&mut self, frames: &mut [Fetch<Frame>]) {
        let mut records = ArrayVec::<GrantCopy, BATCH_PIECES>::new();
        let mut slots = ArrayVec::<Slot, BATCH>::new();
        for fetch in frames.iter() {
            let Some(slot) = Slot::take(fetch.len.into()) else {
                break;
            };
            let (frame, mut offset) = slot.place();
            for piece in &fetch.pieces {
                records.push(GrantCopy {
                    source: self.granted(piece.gref, piece.offset),
                    dest: own((frame, offset)),
                    len: piece.size,
                    flags: CopyFlags::SOURCE_GREF,
                    status: GrantStatus::GENERAL_ERROR,
                    pad: 0,
                });
                offset += piece.size;
            }
            slots.push(slot);
        }
        copy(&mut records);
        let (mut copied, mut slots) = (records.iter(), slots.into_iter());
        for fetch in frames {
            fetch.frame = match slots.next() {
                None => Err(NotFetched::Memory),
                Some(slot) => {
                    let pieces = copied.by_ref().take(fetch.pieces.len());
                    let failed = pieces.filter(|record| record.status != GrantStatus::OKAY).count();
                    if failed == 0 {
                        Ok(slot.into())
                    } else {
                        Err(NotFetched::Grant)
                    }
                }
            };
        }
    }

    fn deliver(&mut self, frames: &mut [Deliver<Frame>]) {
        let mut records: ArrayVec<GrantCopy, BATCH> = frames
            .iter()
            .map(|deliver| GrantCopy {
                source: own(deliver.frame.place()),
                dest: self.granted(deliver.gref, 0),
                // A frame is shorter than a page.
                len: deliver.frame.as_ref().len() as u16,
                flags: CopyFlags::DEST_GREF,
                status: GrantStatus::GENERAL_ERROR,
                pad: 0,
            })
            .collect();
        copy(&mut records);
        for (deliver, record) in frames.iter_mut().zip(&records) {
            deliver.is_done = record.status == GrantStatus::OKAY;
        }
    }

    fn notify(&mut self) {
        self.channel.notify();
    }
}

/// What is behind one directory.
struct Served {
    back: Back,
    port: Port,
    name: String,
    rate: Option<Rate>,
    live: Option<Backend<Peer>>,
    /// The backend is killed after so many steps.
    steps_left: Option<u32>,
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
        *self.live = None;
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
            keys.write(
                &format!("{directory}/counters"),
                &format!("{}", self.port.counters()),
            )?;
        }
        let restart = format!("{directory}/restart");
        if let Ok(steps) = number(keys, &restart) {
            keys.remove(&restart)?;
            self.steps_left = Some(steps);
        }
        if self.steps_left == Some(0) {
            self.steps_left = None;
            self.live = None;
            self.back = Back::start(keys, &directory)?;
        }
        if core::mem::take(&mut self.is_broken) {
            self.live = None;
            self.back.fail(keys, "the rings make no sense")?;
        }
        let mut actions = Actions {
            live: &mut self.live,
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
        }
        Step::More
    }
}
