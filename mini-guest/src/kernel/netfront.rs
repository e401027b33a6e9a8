//! The network interfaces that another domain carries for this one: a directory of the store each, `device/vif/N`, here `ethN`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use guest_abi::addr::Pfn;
use guest_abi::domain::DomId;

use super::fronts::OwnPage;
use crate::blkif::RingPage;
use crate::events;
use crate::grants::Grants;
use crate::mm::kernel_map::zero_frame;
use crate::mm::layout::direct;
use crate::mm::window::{copy_in, copy_out};
use crate::mm::{alloc_frame, translate};
use crate::net::netif::frontend::{PAGES, RX_BUFFERS};
use crate::net::netif::{Frontend, Host};
use crate::net::{FRAME, Interface, Mac, NotSent};
use crate::store::Error;
use crate::xenbus::Keys;
use crate::xenbus::vif::{Details, Front, FrontActions};

/// Where the directories are.
pub const ROOT: &str = "device/vif";

/// A page of ours and its grant.
struct Granted {
    frame: Pfn,
    reference: u32,
    grants: Rc<Grants>,
}

impl Granted {
    fn new(grants: &Rc<Grants>, domain: DomId, is_read_only: bool) -> Option<Self> {
        let frame = alloc_frame(0).ok()?;
        // SAFETY: the frame was just taken.
        unsafe { zero_frame(frame) };
        let Some(reference) = grants.grant(domain, translate::mfn(frame), is_read_only) else {
            crate::mm::put_frame(frame);
            return None;
        };
        Some(Self {
            frame,
            reference,
            grants: grants.clone(),
        })
    }

    fn page(&self) -> u32 {
        direct(self.frame)
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.grants.end_with(self.reference, self.frame);
    }
}

/// The pool, and the port of this connection, 0 without one.
pub struct Pool {
    pages: Vec<Granted>,
    port: Rc<Cell<u32>>,
}

impl Host for Pool {
    fn reference(&self, page: usize) -> u32 {
        self.pages[page].reference
    }

    fn read(&self, page: usize, offset: usize, into: &mut [u8]) {
        copy_out(self.pages[page].page(), offset, into);
    }

    fn write(&self, page: usize, offset: usize, bytes: &[u8]) {
        copy_in(self.pages[page].page(), offset, bytes);
    }

    fn notify(&self) {
        // A peer that is gone need not be told.
        let _ = events::notify(self.port.get());
    }
}

/// An interface for whoever uses it, and its half of the handshake.
#[derive(Clone)]
pub struct Shared(Rc<RefCell<Frontend<Pool>>>);

impl Interface for Shared {
    fn mac(&self) -> Mac {
        self.0.borrow().mac()
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        self.0.borrow_mut().transmit(frame)
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        self.0.borrow_mut().receive(buffer)
    }
}

/// What the kernel is to hear of.
pub enum News {
    /// There is an interface: its name, what it is, and the address that it is to have.
    Appeared(String, Shared, Option<String>),
    /// There is none any more.
    Gone(String),
}

/// What the handshake makes and gives back.
struct Half {
    name: String,
    mac: Mac,
    ip: Option<String>,
    grants: Rc<Grants>,
    port: Rc<Cell<u32>>,
    rings: Option<[Granted; 2]>,
    interface: Option<Shared>,
    is_announced: bool,
    news: Vec<News>,
}

impl Half {
    /// Gives back the rings and the port of the last connection.
    fn drop_rings(&mut self) {
        self.rings = None;
        let port = self.port.replace(0);
        if port != 0 {
            let _ = events::close(port);
        }
    }
}

impl FrontActions for Half {
    fn prepare(&mut self, backend: u16) -> Result<Details, Error> {
        self.drop_rings();
        let domain = DomId::new(backend);
        let ring = || Granted::new(&self.grants, domain, false).ok_or(Error::NoSpace);
        let rings = [ring()?, ring()?];
        let interface = match &self.interface {
            Some(interface) => interface.clone(),
            None => {
                let page = |index| Granted::new(&self.grants, domain, index >= RX_BUFFERS);
                let pages: Option<Vec<Granted>> = (0..PAGES).map(page).collect();
                let pool = Pool {
                    pages: pages.ok_or(Error::NoSpace)?,
                    port: self.port.clone(),
                };
                Shared(Rc::new(RefCell::new(Frontend::new(pool, self.mac))))
            }
        };
        let port = events::alloc_unbound(domain).map_err(|_| Error::NoSpace)?;
        self.port.set(port);
        let pages = rings
            .each_ref()
            .map(|ring| -> Rc<dyn RingPage> { Rc::new(OwnPage(ring.page())) });
        let [tx, rx] = pages;
        interface.0.borrow_mut().connect(tx, rx);
        self.interface = Some(interface);
        let details = Details {
            tx: rings[0].reference,
            rx: rings[1].reference,
            port,
        };
        self.rings = Some(rings);
        Ok(details)
    }

    fn connected(&mut self) {
        if let Some(interface) = &self.interface
            && !core::mem::replace(&mut self.is_announced, true)
        {
            let news = News::Appeared(self.name.clone(), interface.clone(), self.ip.clone());
            self.news.push(news);
        }
    }

    fn disconnect(&mut self) {
        if let Some(interface) = &self.interface {
            interface.0.borrow_mut().disconnect();
        }
    }

    fn give_up(&mut self) {
        self.disconnect();
        self.drop_rings();
        if self.interface.take().is_some() && core::mem::take(&mut self.is_announced) {
            self.news.push(News::Gone(self.name.clone()));
        }
    }
}

/// All interfaces that others carry.
#[derive(Default)]
pub struct Vifs {
    vifs: BTreeMap<String, (Front, Half)>,
    news: Vec<News>,
}

impl Vifs {
    /// Looks at the directories: new ones begin, ones that are gone end, the others do their next step.
    pub fn look(&mut self, keys: &mut dyn Keys, grants: &Rc<Grants>) {
        let found = keys.list(ROOT).unwrap_or_default();
        self.vifs.retain(|number, (_, half)| {
            let stays = found.contains(number);
            if !stays {
                half.give_up();
                self.news.append(&mut half.news);
            }
            stays
        });
        for number in found {
            if !self.vifs.contains_key(&number) {
                // Somebody is still writing it, or it makes no sense.
                let Ok(front) = Front::start(keys, &format!("{ROOT}/{number}")) else {
                    continue;
                };
                let _ = keys.watch(&front.half.other, &format!("vif{number}"));
                let half = Half {
                    name: format!("eth{number}"),
                    mac: front.mac,
                    ip: front.ip.clone(),
                    grants: grants.clone(),
                    port: Rc::default(),
                    rings: None,
                    interface: None,
                    is_announced: false,
                    news: Vec::new(),
                };
                self.vifs.insert(number.clone(), (front, half));
            }
            if let Some((front, half)) = self.vifs.get_mut(&number) {
                // What the store refuses is seen at the next look.
                let _ = front.look(keys, half);
                self.news.append(&mut half.news);
            }
        }
    }

    /// Whether a port is an interface's. Who uses the interface is to look at it.
    pub fn has_port(&self, port: u32) -> bool {
        port != 0 && self.vifs.values().any(|(_, half)| half.port.get() == port)
    }

    /// Begins anew where rings make no sense any more.
    pub fn mend(&mut self, keys: &mut dyn Keys) {
        for (front, half) in self.vifs.values_mut() {
            let is_broken = half
                .interface
                .as_ref()
                .is_some_and(|interface| interface.0.borrow_mut().take_restart());
            if is_broken {
                let _ = front.restart(keys, half);
            }
        }
    }

    /// What has come and gone since this was asked last.
    pub fn take_news(&mut self) -> Vec<News> {
        core::mem::take(&mut self.news)
    }
}
