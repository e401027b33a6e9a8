//! The block devices that another domain serves this one: a directory of the store each, `device/vbd/N`, here `xvda` and so on.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use guest_abi::addr::{Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::io::xenbus::XenbusState;

use super::own_page::OwnPage;
use crate::blkif::frontend::Properties;
use crate::blkif::{Frontend, Host, Layout, RingPage};
use crate::events;
use crate::grants::Grants;
use crate::mm::{disk_frames, translate};
use crate::store::Error;
use crate::xenbus::vbd::{Details, Front, FrontActions};
use crate::xenbus::{Keys, names, number, state, watches};

/// Where the directories are.
pub const ROOT: &str = "device/vbd";
/// The number of `xvda`, and from one disk to the next.
const FIRST: u32 = 202 << 8;
const STEP: u32 = 16;

/// The backend's domain, as a frontend reaches it.
#[derive(Clone)]
pub struct Peer {
    grants: Rc<Grants>,
    domain: DomId,
    /// The port of this connection, 0 without one.
    port: Rc<Cell<u32>>,
}

impl Host for Peer {
    fn grant(&self, frame: u64, is_read_only: bool) -> Result<u32, ()> {
        let frame = u32::try_from(frame).map_err(drop)?;
        self.grants
            .grant(self.domain, Mfn::new(frame), is_read_only)
            .ok_or(())
    }

    fn end(&self, reference: u32) {
        self.grants.end(reference);
    }

    fn try_end(&self, reference: u32) -> bool {
        self.grants.try_end(reference)
    }

    fn keep(&self, frame: u64) -> bool {
        frame_of(frame).is_some_and(disk_frames::keep)
    }

    fn let_go(&self, frame: u64) {
        frame_of(frame).into_iter().for_each(disk_frames::let_go);
    }

    fn end_kept(&self, reference: u32, frame: u64) {
        match frame_of(frame) {
            Some(frame) => self.grants.end_with(reference, frame),
            None => self.grants.end(reference),
        }
    }

    fn page(&self) -> Option<(Box<dyn RingPage>, u32)> {
        let page = OwnPage::new(&self.grants, self.domain, false)?;
        let reference = page.reference();
        Some((Box::new(page), reference))
    }

    fn notify(&self) {
        // A peer that is gone need not be told.
        let _ = events::notify(self.port.get());
    }

    fn shows_later(&self) -> bool {
        true
    }
}

/// The frame of ours that a machine frame is.
fn frame_of(frame: u64) -> Option<Pfn> {
    translate::pfn(Mfn::new(u32::try_from(frame).ok()?))
}

/// A disk that came or went.
pub enum Change {
    /// There is a disk with this name.
    Come(String, Rc<Frontend<Peer>>),
    /// There is none any more.
    Gone(String),
}

/// What the handshake makes and gives back.
struct Half {
    /// What this domain calls the disk.
    name: String,
    peer: Peer,
    ring: Option<Rc<OwnPage>>,
    disk: Option<Rc<Frontend<Peer>>>,
    /// Somebody in this domain uses the disk.
    is_in_use: bool,
    /// The disk is among this domain's.
    is_known: bool,
    /// The backend says that there is none.
    has_failed: bool,
    /// The backend's directory is watched.
    is_watched: bool,
    /// The ring makes no sense, and the backend is to see the frontend go back.
    must_restart: bool,
}

impl Half {
    fn new(name: String, backend: u16, grants: &Rc<Grants>) -> Self {
        Self {
            name,
            peer: Peer {
                grants: grants.clone(),
                domain: DomId::new(backend),
                port: Rc::default(),
            },
            ring: None,
            disk: None,
            is_in_use: false,
            is_known: false,
            has_failed: false,
            is_watched: false,
            must_restart: false,
        }
    }

    /// Gives back the ring and the port of the last connection.
    fn drop_ring(&mut self) {
        self.ring = None;
        let port = self.peer.port.replace(0);
        if port != 0 {
            let _ = events::close(port);
        }
    }

    /// Whether the disk came or went since this was asked last.
    fn change(&mut self) -> Option<Change> {
        let change = match &self.disk {
            Some(disk) if !self.is_known => Change::Come(self.name.clone(), disk.clone()),
            None if self.is_known => Change::Gone(self.name.clone()),
            _ => return None,
        };
        self.is_known = !self.is_known;
        Some(change)
    }
}

impl FrontActions for Half {
    fn prepare(&mut self, backend: u16) -> Result<Details, Error> {
        self.drop_ring();
        let domain = DomId::new(backend);
        let ring = OwnPage::new(&self.peer.grants, domain, false).ok_or(Error::NoSpace)?;
        let port = events::alloc_unbound(domain).map_err(|_| Error::NoSpace)?;
        self.peer.port.set(port);
        let details = Details {
            ring: ring.reference(),
            port,
            layout: Layout::X86_32,
            keeps: true,
        };
        self.ring = Some(Rc::new(ring));
        Ok(details)
    }

    fn connect(&mut self, properties: Properties) {
        let Some(ring) = &self.ring else {
            return;
        };
        let peer = &self.peer;
        let disk = self
            .disk
            .get_or_insert_with(|| Rc::new(Frontend::new(peer.clone(), properties)));
        disk.set_properties(properties);
        disk.connect(ring.clone());
    }

    fn disconnect(&mut self) {
        if let Some(disk) = &self.disk {
            disk.disconnect();
        }
    }

    fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    fn give_up(&mut self) {
        if let Some(disk) = self.disk.take() {
            disk.give_up();
        }
        self.drop_ring();
    }
}

/// All block devices that others serve.
#[derive(Default)]
pub struct Vbds {
    vbds: BTreeMap<String, (Front, Half)>,
    changes: Vec<Change>,
    /// A disk is to be let go of and still in use.
    pub is_closing: bool,
}

impl Vbds {
    /// Looks at the directories: new ones begin, ones that are gone end, the others do their next step.
    pub fn look(&mut self, keys: &mut dyn Keys, grants: &Rc<Grants>, is_in_use: &dyn Fn(&str) -> bool) {
        self.is_closing = false;
        let Ok(found) = names(keys, ROOT) else {
            return;
        };
        self.vbds.retain(|number, (_, half)| {
            let stays = found.contains(number);
            if !stays {
                half.give_up();
                self.changes.extend(half.change());
            }
            stays
        });
        for number in found {
            if !self.vbds.contains_key(&number)
                && let Some(begun) = begin(keys, &number, grants)
            {
                self.vbds.insert(number.clone(), begun);
            }
            let Some((front, half)) = self.vbds.get_mut(&number) else {
                continue;
            };
            if !half.is_watched {
                half.is_watched = watches(keys, &front.half.other, &number);
            }
            restart(keys, front, half);
            half.is_in_use = is_in_use(&half.name);
            // What the store refuses is seen at the next look.
            let _ = front.look(keys, half);
            let backend = &front.half.other;
            self.is_closing |= half.is_in_use && state(keys, backend) == Ok(XenbusState::CLOSING);
            half.has_failed = half.disk.is_none() && keys.read(&format!("{backend}/error")).is_ok();
            self.changes.extend(half.change());
        }
    }

    /// Shows backends what is in their rings. `true`: one is to begin anew, by [`Self::mend`].
    #[must_use]
    pub fn show(&mut self) -> bool {
        let mut is_starved = false;
        for (_, half) in self.vbds.values_mut() {
            if let Some(disk) = &half.disk {
                disk.show();
                if disk.is_starved() {
                    half.must_restart = true;
                    is_starved = true;
                }
            }
        }
        is_starved
    }

    /// Begins anew where that is to be done.
    pub fn mend(&mut self, keys: &mut dyn Keys) {
        for (front, half) in self.vbds.values_mut() {
            restart(keys, front, half);
        }
    }

    /// An event came at `port`: takes the answers there. `false` where it is nobody's here.
    pub fn event(&mut self, port: u32, keys: &mut dyn Keys) -> bool {
        let mut vbds = self.vbds.values_mut();
        let Some((front, half)) = vbds.find(|(_, half)| port != 0 && half.peer.port.get() == port) else {
            return false;
        };
        let makes_sense = half.disk.as_ref().is_none_or(|disk| disk.poll());
        half.must_restart |= !makes_sense;
        restart(keys, front, half);
        true
    }

    /// The connection to the store is another one.
    pub fn forget_watches(&mut self) {
        self.vbds
            .values_mut()
            .for_each(|(_, half)| half.is_watched = false);
    }

    /// Whether every device is there, and `is_ready` by its name, or will not be.
    pub fn are_settled(&self, is_ready: impl Fn(&str) -> bool) -> bool {
        self.vbds.values().all(|(front, half)| {
            half.has_failed
                || front.half.state() == XenbusState::CLOSED
                || half.is_known && is_ready(&half.name)
        })
    }

    /// What has come and gone since this was asked last.
    pub fn take_changes(&mut self) -> Vec<Change> {
        core::mem::take(&mut self.changes)
    }
}

/// Begins anew, if that is to be done; where the store does not take it, at the next look.
fn restart(keys: &mut dyn Keys, front: &mut Front, half: &mut Half) {
    if half.must_restart {
        half.must_restart = front.restart(keys, half).is_err();
    }
}

/// The half of a directory; none where somebody is still writing it, or it makes no sense.
fn begin(keys: &mut dyn Keys, directory: &str, grants: &Rc<Grants>) -> Option<(Front, Half)> {
    let path = format!("{ROOT}/{directory}");
    let name = name(number(keys, &format!("{path}/virtual-device")).ok()?)?;
    let front = Front::start(keys, &path).ok()?;
    let half = Half::new(name, front.half.domain, grants);
    Some((front, half))
}

/// The name of the disk with that number in the store: Linux's, `xvda` to `xvdz`.
fn name(number: u32) -> Option<String> {
    let index = number.checked_sub(FIRST)?;
    let letter = u8::try_from(index / STEP).ok().filter(|letter| *letter < 26)?;
    index
        .is_multiple_of(STEP)
        .then(|| format!("xvd{}", char::from(b'a' + letter)))
}
