//! The network: the stack, which interface it has, and when it is polled.
//!
//! Nobody waits here. The stack is polled after events of devices and of other domains, after system calls that changed something, and when
//! the time has come that it asked for; in between the kernel sleeps.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::Kernel;
use crate::command_line::option;
use crate::net::load::Lease;
use crate::net::registry::{Counted, Entry};
use crate::net::stack::{Addressing, Stack};
use crate::net::{Interface, Mac};
use crate::process::WaitFor;
use crate::{println, time};

/// The stack and its interface's name.
#[derive(Debug)]
pub struct Network {
    /// The stack, which the open sockets share.
    pub(crate) stack: Rc<RefCell<Stack>>,
    name: Option<String>,
    /// Something changed while a call was under way: should it sleep, it is begun anew at once.
    must_wake: bool,
    /// What the command line says.
    addressing: Option<Addressing>,
}

impl Network {
    pub(super) fn new(command_line: &[u8], seed: u64) -> Self {
        let addressing = option(command_line, b"ip=").and_then(|text| {
            let text = core::str::from_utf8(text).unwrap_or_default();
            let read = Addressing::parse(text);
            if read.is_err() {
                println!("mini-guest: ip={text}: not ADDRESS/PREFIX[,gw=ADDRESS] or dhcp; ignored");
            }
            read.ok()
        });
        Self {
            stack: Rc::new(RefCell::new(Stack::new(seed, time::now_ns()))),
            name: None,
            must_wake: false,
            addressing,
        }
    }

    /// Names of the interfaces: the loop, then the one that was attached.
    pub(crate) fn names(&self) -> Vec<String> {
        core::iter::once("lo".into()).chain(self.name.clone()).collect()
    }

    /// Whether the command line says which address there is.
    pub(super) fn has_address(&self) -> bool {
        self.addressing.is_some()
    }

    /// The interface's name, where there is one.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn tell_address(&self) {
        let stack = self.stack.borrow();
        let name = self.name.as_deref().unwrap_or("?");
        match stack.address() {
            None => println!("mini-guest: {name}: no address"),
            Some(own) => match own.gateway {
                None => println!("mini-guest: {name}: {}/{}", own.address, own.prefix),
                Some(gateway) => println!(
                    "mini-guest: {name}: {}/{}, gateway {gateway}",
                    own.address, own.prefix
                ),
            },
        }
    }
}

/// Where an interface is that may be lent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The stack's.
    Stack,
    /// A card of the bridge.
    Card(usize),
}

impl Kernel {
    /// The interface of that name, and its address.
    pub(crate) fn interface_place(&mut self, name: &str) -> Option<(Place, Mac)> {
        let place = if self.net.name() == Some(name) {
            Place::Stack
        } else {
            Place::Card(self.store.lan.card_named(name)?)
        };
        let mac = self.with_interface(place, |interface| interface.mac())?;
        Some((place, mac))
    }

    /// Lends an interface; `None` where somebody has it, or there is none.
    pub(crate) fn lend_interface(&mut self, place: Place) -> Option<Lease> {
        match place {
            Place::Stack => self.net.stack.borrow_mut().lend(),
            Place::Card(index) => self.store.lan.lend(index),
        }
    }

    /// Does something with an interface, for whoever has the lease.
    pub(crate) fn with_interface<R>(
        &mut self,
        place: Place,
        with: impl FnOnce(&mut dyn Interface) -> R,
    ) -> Option<R> {
        match place {
            Place::Stack => Some(with(self.net.stack.borrow_mut().outside()?)),
            Place::Card(index) => Some(with(self.store.lan.card(index)?)),
        }
    }

    /// Gives the stack its interface, in place of one that it had. The address is the command line's (`ip=`), else `given` (what the store
    /// says of the interface, `ADDRESS/PREFIX[,gw=ADDRESS]`), else it is asked for by DHCP. Whoever owns the interface's
    /// event has nothing to do but to have it noticed: the kernel polls after every event.
    pub fn attach_network(&mut self, name: &str, interface: Box<dyn Interface>, given: Option<&str>) {
        let given = given.and_then(|text| {
            let read = Addressing::parse(text.trim());
            if read.is_err() {
                println!("mini-guest: {name}: {text:?} is no address; asking for one");
            }
            read.ok()
        });
        let entry = Entry::new(name);
        let interface = Box::new(Counted::new(interface, entry.clone()));
        self.attach_counted(&entry, interface, given);
    }

    /// The same with an interface whose frames are counted already.
    pub(super) fn attach_counted(
        &mut self,
        entry: &Rc<Entry>,
        interface: Box<dyn Interface>,
        given: Option<Addressing>,
    ) {
        let addressing = self.net.addressing.or(given).unwrap_or(Addressing::Dhcp);
        let (name, mac) = (entry.name(), interface.mac());
        let mut stack = self.net.stack.borrow_mut();
        if stack.attach(interface, addressing).is_err() {
            println!("mini-guest: {name}: {mac} is not the address of one machine");
            return;
        }
        self.devices.interfaces.insert(stack.lo().clone());
        self.devices.interfaces.insert(entry.clone());
        drop(stack);
        self.net.name = Some(name.into());
        self.timer_may_change();
    }

    /// Takes the interface away from the stack.
    pub fn detach_network(&mut self) {
        let mut stack = self.net.stack.borrow_mut();
        stack.detach();
        // That there is none any more was said by whoever took it.
        let _ = stack.take_new_address();
        drop(stack);
        if let Some(name) = self.net.name.take() {
            self.devices.interfaces.remove(&name);
        }
    }

    /// Lets the stack go on in a system call that gave it something to do.
    pub(crate) fn network_call(&mut self) {
        self.net.must_wake |= self.network_news();
    }

    /// Wakes a process whose call went to sleep after what it waits for had happened.
    pub(super) fn network_late(&mut self) {
        if core::mem::take(&mut self.net.must_wake) {
            self.wake(WaitFor::NETWORK);
        }
    }

    /// Lets the stack go on, and wakes who waits for it. Whether anything changed.
    pub(crate) fn network_news(&mut self) -> bool {
        self.advance_net_loads();
        let mut stack = self.net.stack.borrow_mut();
        if !stack.is_used() {
            return false;
        }
        let has_changed = stack.poll(time::now_ns());
        let has_address = stack.take_new_address();
        drop(stack);
        self.armed.1 = true;
        if has_address {
            self.net.tell_address();
        }
        if has_changed {
            self.wake(WaitFor::NETWORK);
        }
        has_changed
    }

    /// Lets connections say goodbye whose files were closed.
    pub(super) fn sockets_closed(&mut self) {
        if self.net.stack.borrow().is_behind() {
            self.network_news();
        }
    }
}
