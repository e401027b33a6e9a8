//! Intel's gigabit cards of the e1000 family: 8254x on PCI, and the 82574 on PCI Express, by what they have in common.
//!
//! Two rings of legacy descriptors, a frame each; nothing is offloaded. The card takes frames to all addresses: a bridge is its
//! user. It interrupts for frames that came in and for the link, and for frames that it has sent only where somebody waits for room.
//! What the machine must give is behind [`hardware::Hardware`], so that all of this is tested on the host, with a model of the card.
//!
//! A card that reads as ones is gone; nothing is asked of it any more.
//!
//! Source: Intel, PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, chapters 3, 13 and 14; 82574 GbE
//! Controller Family Datasheet.

use alloc::rc::Rc;
use core::cell::RefCell;

use crate::linux::Errno;
use crate::net::registry::Entry;
use crate::net::{FRAME, HEADER, Mac, NotSent};

mod address;
pub mod hardware;
#[cfg(test)]
mod model;
#[cfg(target_os = "none")]
pub mod on_pci;
mod registers;
mod ring;
#[cfg(test)]
mod tests;

use hardware::Hardware;
use registers as reg;
use ring::{Frame, Ring, TABLE};

/// How long the card is left alone after a reset, while it reads its EEPROM.
pub const RESET_NS: u64 = 20_000_000;
/// What always interrupts.
const CAUSES: u32 = reg::CAUSE_RXT0 | reg::CAUSE_RXO | reg::CAUSE_LSC;

/// Where members of the family differ for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// 8254x.
    I8254x,
    /// 82574.
    I82574,
}

/// A card in reset: [`RESET_NS`] later it can be started.
pub struct InReset<H> {
    hardware: H,
    model: Model,
    mac: Option<Mac>,
}

impl<H: Hardware> InReset<H> {
    /// Stops a card, whatever firmware left it doing, and resets it.
    ///
    /// # Errors
    /// ENODEV: there is none.
    pub fn new(hardware: H, model: Model) -> Result<Self, Errno> {
        if hardware.get(reg::STATUS) == reg::GONE {
            return Err(Errno::ENODEV);
        }
        hardware.set(reg::IMC, u32::MAX);
        hardware.set(reg::RCTL, 0);
        hardware.set(reg::TCTL, reg::TCTL_PSP);
        // What firmware may have changed does not survive the reset.
        let mac = address::find(&hardware, model);
        let control = hardware.get(reg::CTRL);
        hardware.set(reg::CTRL, control | reg::CTRL_RST);
        Ok(Self { hardware, model, mac })
    }

    /// Sets the card up. One without an address gets `mac`.
    ///
    /// # Errors
    /// EIO: it does not come out of the reset; ENOMEM.
    pub fn start(self, entry: Rc<Entry>, mac: Mac) -> Result<E1000<H>, Errno> {
        let Self { hardware, model, .. } = self;
        let control = hardware.get(reg::CTRL);
        if control & reg::CTRL_RST != 0 {
            return Err(Errno::EIO);
        }
        hardware.set(reg::IMC, u32::MAX);
        // Causes from before.
        let _ = hardware.get(reg::ICR);
        let control = control & !reg::CTRL_UNWANTED;
        hardware.set(reg::CTRL, control | reg::CTRL_SLU | reg::CTRL_ASDE);
        for register in reg::FLOW_CONTROL {
            hardware.set(register, 0);
        }
        for word in 0..reg::MTA_WORDS {
            hardware.set(reg::MTA + word * 4, 0);
        }
        let mac = self
            .mac
            .or_else(|| address::find(&hardware, model))
            .unwrap_or(mac);
        address::set(&hardware, mac);
        hardware.set(reg::ITR, 0);
        hardware.set(reg::RDTR, 0);
        hardware.set(reg::TIPG, reg::TIPG_COPPER);
        if model == Model::I82574 {
            hardware.set(reg::TXDCTL, hardware.get(reg::TXDCTL) | reg::TXDCTL_COUNT);
        }
        let tables = hardware.page()?;
        let mut receive = Ring::new(&hardware, &tables, 0, reg::RECEIVE_RING)?;
        let transmit = Ring::new(&hardware, &tables, TABLE, reg::TRANSMIT_RING)?;
        let old = hardware.get(reg::TCTL) & !reg::TCTL_COLLISIONS_MASK;
        hardware.set(
            reg::TCTL,
            old | reg::TCTL_EN | reg::TCTL_PSP | reg::TCTL_COLLISIONS,
        );
        let all = reg::RCTL_UPE | reg::RCTL_MPE | reg::RCTL_BAM;
        hardware.set(reg::RCTL, reg::RCTL_EN | all | reg::RCTL_SECRC);
        receive.lend(&hardware, &tables);
        entry.set_link(hardware.get(reg::STATUS) & reg::STATUS_LU != 0);
        hardware.set(reg::IMS, CAUSES);
        Ok(E1000 {
            mac,
            entry,
            state: RefCell::new(State {
                hardware,
                tables,
                receive,
                transmit,
                waits_for_room: false,
                is_gone: false,
            }),
        })
    }
}

/// One card.
pub struct E1000<H: Hardware> {
    mac: Mac,
    entry: Rc<Entry>,
    state: RefCell<State<H>>,
}

struct State<H: Hardware> {
    hardware: H,
    tables: H::Page,
    receive: Ring<H::Page>,
    transmit: Ring<H::Page>,
    /// Sent frames interrupt.
    waits_for_room: bool,
    is_gone: bool,
}

impl<H: Hardware> E1000<H> {
    /// Whether it does not answer any more.
    pub fn is_gone(&self) -> bool {
        self.state.borrow().is_gone
    }

    /// The card's address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Asks the card why its line fired; `false` where it was not the one.
    pub fn interrupt(&self) -> bool {
        let mut state = self.state.borrow_mut();
        if state.is_gone {
            return false;
        }
        let why = state.hardware.get(reg::ICR);
        if why == reg::GONE {
            state.give_up(&self.entry);
            return true;
        }
        if why & reg::CAUSE_RXO != 0 {
            let lost = state.hardware.get(reg::MPC);
            self.entry.received.count_dropped(lost.into());
        }
        if why & reg::CAUSE_LSC != 0 {
            let is_up = state.hardware.get(reg::STATUS) & reg::STATUS_LU != 0;
            self.entry.set_link(is_up);
        }
        let is_ours = why & (CAUSES | reg::CAUSE_TXDW) != 0;
        if is_ours {
            self.entry.note_news();
        }
        is_ours
    }

    /// As [`Interface::transmit`](crate::net::Interface::transmit).
    ///
    /// # Errors
    /// As there.
    pub fn transmit(&self, frame: &[u8]) -> Result<(), NotSent> {
        if !(HEADER..=FRAME).contains(&frame.len()) {
            return Err(NotSent::Length);
        }
        let mut state = self.state.borrow_mut();
        if state.is_gone {
            return Err(NotSent::Gone);
        }
        let State {
            hardware,
            tables,
            transmit,
            waits_for_room,
            ..
        } = &mut *state;
        transmit.reclaim(tables);
        if !transmit.has_room() {
            if hardware.get(reg::STATUS) == reg::GONE {
                state.give_up(&self.entry);
                return Err(NotSent::Gone);
            }
            // Only who waits for room is told of it. What was sent in between is found at once.
            hardware.set(reg::IMS, reg::CAUSE_TXDW);
            *waits_for_room = true;
            transmit.reclaim(tables);
            if !transmit.has_room() {
                return Err(NotSent::Full);
            }
        }
        if core::mem::take(waits_for_room) {
            hardware.set(reg::IMC, reg::CAUSE_TXDW);
        }
        transmit.send(hardware, tables, frame);
        Ok(())
    }

    /// As [`Interface::receive`](crate::net::Interface::receive).
    pub fn receive(&self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        let mut state = self.state.borrow_mut();
        let State {
            hardware,
            tables,
            receive,
            is_gone,
            ..
        } = &mut *state;
        if *is_gone {
            return None;
        }
        loop {
            match receive.take(hardware, tables, buffer)? {
                Frame::Good(len) if (HEADER..=FRAME).contains(&len) => return Some(len),
                _ => self.entry.received.count_error(),
            }
        }
    }
}

impl<H: Hardware> Drop for State<H> {
    /// The card must not go on writing into pages that will be somebody else's.
    fn drop(&mut self) {
        self.hardware.set(reg::IMC, u32::MAX);
        self.hardware.set(reg::RCTL, 0);
        let control = self.hardware.get(reg::CTRL);
        self.hardware.set(reg::CTRL, control | reg::CTRL_RST);
    }
}

impl<H: Hardware> State<H> {
    /// The card is not there any more.
    fn give_up(&mut self, entry: &Entry) {
        self.is_gone = true;
        entry.set_link(false);
        entry.note_news();
    }
}
