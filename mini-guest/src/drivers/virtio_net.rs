//! Virtio's network card, by PCI and without legacy interfaces, on the queues of crate `virtio-drivers`.
//!
//! Each frame is one descriptor: a header of virtio's and the frame, in a half of a page of ours. Nothing is offloaded: no
//! checksum is left to others, in either direction. All receive buffers but the one that is being looked at lie with the device.
//! It is told of frames when there are no more at the moment, and interrupts for frames that came in, and for those that it has sent only where somebody waits for room.
//!
//! The device may write anything: lengths, numbers of descriptors and headers are checked, and one that answers what nobody asked is
//! stopped.
//!
//! Source: OASIS Virtual I/O Device (VIRTIO) 1.1, 2.6 and 5.1.

use alloc::rc::Rc;
use core::cell::RefCell;

use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::{DeviceStatus, InterruptStatus, Transport};

use super::lines::Driver;
use super::pci::DeviceFunction;
use super::virtio;
use crate::linux::Errno;
use crate::net::registry::Entry;
use crate::net::{FRAME, HEADER, Interface, Mac, NotSent};
use crate::println;

mod buffers;

use buffers::{Buffers, Nonsense};

/// The queues' numbers.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Bytes of virtio's header. Nothing of what it can say was agreed on, so all of it is 0.
const PREFIX: usize = 12;
/// Where the configuration has the link's state.
const STATUS: usize = 6;
/// The link's state: up.
const LINK_UP: u16 = 1;

bitflags::bitflags! {
    /// What device and driver agree on.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const MAC = 1 << 5;
        const STATUS = 1 << 16;
        const VERSION_1 = 1 << 32;
    }
}

/// One card.
pub struct VirtioNet {
    mac: Mac,
    entry: Rc<Entry>,
    state: RefCell<State>,
}

struct State {
    transport: PciTransport,
    receive: Buffers,
    transmit: Buffers,
    has_status: bool,
    is_broken: bool,
}

impl VirtioNet {
    /// Sets the device up. A card that does not tell its address gets `mac`.
    ///
    /// # Errors
    /// ENODEV: no device of today's virtio, or not one that we understand; ENOSPC; ENOMEM.
    pub fn new(at: DeviceFunction, entry: Rc<Entry>, mac: Mac) -> Result<Self, Errno> {
        let mut transport = virtio::transport(at)?;
        let features = transport.begin_init(Features::MAC | Features::STATUS | Features::VERSION_1);
        if !transport.get_status().contains(DeviceStatus::FEATURES_OK)
            || !features.contains(Features::VERSION_1)
        {
            return Err(Errno::ENODEV);
        }
        let mac = if features.contains(Features::MAC) {
            // It does not change, so it is not read until it has not: a device that always says so would keep us here.
            let bytes = transport.read_config_space::<[u8; 6]>(0);
            Mac(bytes.map_err(|_| Errno::ENODEV)?)
        } else {
            mac
        };
        let receive = Buffers::new(&mut transport, RECEIVE)?;
        let transmit = Buffers::new(&mut transport, TRANSMIT)?;
        transport.finish_init();
        let mut state = State {
            transport,
            receive,
            transmit,
            has_status: features.contains(Features::STATUS),
            is_broken: false,
        };
        state.look_at_link(&entry);
        state.transmit.set_interrupts(false);
        while state.receive.lend_one() {}
        state.receive.show(&mut state.transport);
        Ok(Self {
            mac,
            entry,
            state: RefCell::new(state),
        })
    }
}

impl Driver for VirtioNet {
    fn interrupt(&self) {
        let mut state = self.state.borrow_mut();
        // This reads the reason and so makes the device stop asking; what it does from here on makes it ask again.
        let reason = state.transport.ack_interrupt();
        if state.is_broken || reason.is_empty() {
            return;
        }
        if reason.contains(InterruptStatus::DEVICE_CONFIGURATION_INTERRUPT) && state.look_at_link(&self.entry)
        {
            let word = if self.entry.has_link() { "in" } else { "out" };
            println!("mini-guest: {}: the cable is {word}", self.entry.name());
        }
        self.entry.note_news();
    }
}

impl Interface for Rc<VirtioNet> {
    fn mac(&self) -> Mac {
        self.mac
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        if !(HEADER..=FRAME).contains(&frame.len()) {
            return Err(NotSent::Length);
        }
        let mut state = self.state.borrow_mut();
        if state.is_broken {
            return Err(NotSent::Gone);
        }
        let State {
            transport, transmit, ..
        } = &mut *state;
        let sent = transmit.reclaim().and_then(|()| {
            if !transmit.has_room() {
                // Only who waits for room is told of it. What was sent in between is found at once.
                transmit.set_interrupts(true);
                transmit.reclaim()?;
                if !transmit.has_room() {
                    // It is to make room.
                    transmit.show(transport);
                    return Ok(false);
                }
            }
            transmit.set_interrupts(false);
            Ok(transmit.send(&[&[0; PREFIX], frame]))
        });
        match sent {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotSent::Full),
            Err(Nonsense) => {
                state.give_up(&self.entry);
                Err(NotSent::Gone)
            }
        }
    }

    fn flush(&mut self) {
        let mut state = self.state.borrow_mut();
        if !state.is_broken {
            let State {
                transport, transmit, ..
            } = &mut *state;
            transmit.show(transport);
        }
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        let mut state = self.state.borrow_mut();
        while !state.is_broken {
            let State {
                transport, receive, ..
            } = &mut *state;
            let mut prefix = [0; PREFIX];
            let taken = receive.take(&mut [&mut prefix, &mut buffer[..]]);
            match taken {
                Ok(None) => return None,
                Ok(Some(len)) => {
                    receive.lend_one();
                    receive.show(transport);
                    // A frame whose checksum is left to others, or that is several, was not agreed on.
                    let is_plain = prefix[0] == 0 && prefix[1] == 0;
                    if let Some(len) = len.checked_sub(PREFIX)
                        && (HEADER..=FRAME).contains(&len)
                        && is_plain
                    {
                        return Some(len);
                    }
                    self.entry.received.count_error();
                }
                Err(Nonsense) => state.give_up(&self.entry),
            }
        }
        None
    }
}

impl State {
    /// Notes the link's state; `true` where it is new. A device that does not tell has its link.
    fn look_at_link(&mut self, entry: &Entry) -> bool {
        if !self.has_status {
            return false;
        }
        let status = self.transport.read_config_space::<u16>(STATUS);
        entry.set_link(status.is_ok_and(|status| status & LINK_UP != 0))
    }

    /// The device has answered what nobody asked: it is stopped.
    fn give_up(&mut self, entry: &Entry) {
        self.is_broken = true;
        self.transport.set_status(DeviceStatus::empty());
        entry.set_link(false);
        entry.note_news();
        println!(
            "mini-guest: {}: the card answers nonsense and was stopped",
            entry.name()
        );
    }
}
