//! Which driver takes which network card.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;

use super::e1000::on_pci::{self, OnPci};
use super::e1000::{Model, RESET_NS};
use super::found::Devices;
use super::pci::{self, Function};
use super::virtio_net::VirtioNet;
use crate::linux::Errno;
use crate::net::registry::{Counted, Entry};
use crate::net::{Interface, Mac};
use crate::println;

/// Vendor and device numbers of virtio's card: the number of today's, and that of one which still knows the old interface.
const VIRTIO_NET: [(u16, u16); 2] = [(0x1AF4, 0x1041), (0x1AF4, 0x1000)];

/// A network card. Whoever uses it looks at the entry's news after each event.
pub struct Card {
    /// Its name, news and counters, which the registry has too.
    pub entry: Rc<Entry>,
    /// Its frames, counted.
    pub interface: Box<dyn Interface>,
}

impl Devices {
    /// Sets up the driver for `function` and names the card; `None` where it is no card that we drive.
    pub(super) fn take_card(&mut self, function: &Function) -> Option<Result<&'static str, Errno>> {
        let info = &function.info;
        let model = on_pci::model(info);
        if model.is_none() && !VIRTIO_NET.contains(&(info.vendor_id, info.device_id)) {
            return None;
        }
        // A function that turns out not to be driven does not use its name up.
        let number = self.cards.len();
        let entry = self.interfaces.add(&format!("net{number}"))?;
        // For a card that has no address.
        let mac = Mac::of_domain(0, number as u8);
        let taken = match model {
            Some(model) => self.take_e1000(function, model, &entry, mac),
            None => self.take_virtio(function, &entry, mac),
        };
        if taken.is_err() {
            self.interfaces.remove(entry.name());
        }
        Some(taken)
    }

    fn take_virtio(
        &mut self,
        function: &Function,
        entry: &Rc<Entry>,
        mac: Mac,
    ) -> Result<&'static str, Errno> {
        let card = self.take(function, |at| VirtioNet::new(at, entry.clone(), mac))?;
        self.add_card(entry, card);
        Ok("virtio-net")
    }

    fn take_e1000(
        &mut self,
        function: &Function,
        model: Model,
        entry: &Rc<Entry>,
        mac: Mac,
    ) -> Result<&'static str, Errno> {
        pci::enable(function.at)?;
        let card = on_pci::reset(function.at, model)?;
        self.lines.pause(RESET_NS);
        let card = self.take(function, |_| {
            Ok(OnPci::new(card.start(entry.clone(), mac)?, entry.clone()))
        })?;
        self.add_card(entry, card);
        Ok(match model {
            Model::I8254x => "e1000",
            Model::I82574 => "e1000e",
        })
    }

    fn add_card(&mut self, entry: &Rc<Entry>, card: impl Interface + 'static) {
        let link = if entry.has_link() { "" } else { ", no cable" };
        println!("mini-guest: {}: {}{link}", entry.name(), card.mac());
        let interface = Box::new(Counted::new(card, entry.clone()));
        self.cards.push(Card {
            entry: entry.clone(),
            interface,
        });
    }
}
