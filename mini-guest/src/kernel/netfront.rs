//! The network interfaces that another domain carries for this one: a directory of the store each, `device/vif/N`, here `ethN`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use guest_abi::domain::DomId;

use super::own_page::OwnPage;
use crate::blkif::RingPage;
use crate::events;
use crate::grants::Grants;
use crate::net::netif::frontend::{PAGES, RX_BUFFERS};
use crate::net::netif::{Frontend, Host};
use crate::net::{FRAME, Interface, Mac, NotSent};
use crate::store::Error;
use crate::xenbus::vif::{Details, Front, FrontActions};
use crate::xenbus::{Keys, names, watches};

/// Where the directories are.
pub const ROOT: &str = "device/vif";

/// The pool, and the port of this connection, 0 without one.
pub struct Pool {
    pages: Vec<OwnPage>,
    port: Rc<Cell<u32>>,
}

impl Host for Pool {
    fn reference(&self, page: usize) -> u32 {
        self.pages[page].reference()
    }

    fn read(&self, page: usize, offset: usize, into: &mut [u8]) {
        self.pages[page].read(offset, into);
    }

    fn write(&self, page: usize, offset: usize, bytes: &[u8]) {
        self.pages[page].write(offset, bytes);
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
    interface: Option<Shared>,
    is_announced: bool,
    /// The backend's directory is watched.
    is_watched: bool,
    /// The rings make no sense, and the backend is to see the frontend go back.
    must_restart: bool,
    news: Vec<News>,
}

impl Half {
    /// Gives back the port of the last connection.
    fn drop_port(&mut self) {
        let port = self.port.replace(0);
        if port != 0 {
            let _ = events::close(port);
        }
    }
}

impl FrontActions for Half {
    fn prepare(&mut self, backend: u16) -> Result<Details, Error> {
        self.drop_port();
        let domain = DomId::new(backend);
        let ring = || OwnPage::new(&self.grants, domain, false).ok_or(Error::NoSpace);
        let [tx, rx] = [ring()?, ring()?];
        let interface = match &self.interface {
            Some(interface) => interface.clone(),
            None => {
                let page = |index| OwnPage::new(&self.grants, domain, index >= RX_BUFFERS);
                let pages: Option<Vec<OwnPage>> = (0..PAGES).map(page).collect();
                let pool = Pool {
                    pages: pages.ok_or(Error::NoSpace)?,
                    port: self.port.clone(),
                };
                Shared(Rc::new(RefCell::new(Frontend::new(pool, self.mac))))
            }
        };
        let port = events::alloc_unbound(domain).map_err(|_| Error::NoSpace)?;
        self.port.set(port);
        let details = Details {
            tx: tx.reference(),
            rx: rx.reference(),
            port,
        };
        // It has the rings from now on, until the next ones come or it is disconnected.
        interface.0.borrow_mut().connect(Rc::new(tx), Rc::new(rx));
        self.interface = Some(interface);
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
        self.drop_port();
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
        let Ok(found) = names(keys, ROOT) else {
            return;
        };
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
                let half = Half {
                    name: format!("eth{number}"),
                    mac: front.mac,
                    ip: front.ip.clone(),
                    grants: grants.clone(),
                    port: Rc::default(),
                    interface: None,
                    is_announced: false,
                    is_watched: false,
                    must_restart: false,
                    news: Vec::new(),
                };
                self.vifs.insert(number.clone(), (front, half));
            }
            if let Some((front, half)) = self.vifs.get_mut(&number) {
                if !half.is_watched {
                    half.is_watched = watches(keys, &front.half.other, &format!("vif{number}"));
                }
                // What the store refuses is seen at the next look.
                let _ = front.look(keys, half);
                self.news.append(&mut half.news);
            }
        }
    }

    /// The connection to the store is another one.
    pub fn forget_watches(&mut self) {
        self.vifs
            .values_mut()
            .for_each(|(_, half)| half.is_watched = false);
    }

    /// Whether a port is an interface's. Who uses the interface is to look at it.
    pub fn has_port(&self, port: u32) -> bool {
        port != 0 && self.vifs.values().any(|(_, half)| half.port.get() == port)
    }

    /// Begins anew where rings make no sense any more.
    pub fn mend(&mut self, keys: &mut dyn Keys) {
        for (front, half) in self.vifs.values_mut() {
            half.must_restart |= half
                .interface
                .as_ref()
                .is_some_and(|interface| interface.0.borrow_mut().take_restart());
            if half.must_restart {
                // Where the store does not take it, when this is called next.
                half.must_restart = front.restart(keys, half).is_err();
            }
        }
    }

    /// What has come and gone since this was asked last.
    pub fn take_news(&mut self) -> Vec<News> {
        core::mem::take(&mut self.news)
    }
}
