//! Event channels that programs hold: which ports an open `/dev/xen/evtchn` has, and which of them have fired.
//!
//! A port that fired is reported once and stays masked until the program writes its number back: so a program that is
//! slow is not drowned. Virtual interrupts are not masked, since several files may have the same one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Most ports of one open file.
pub const MAX_PORTS: usize = 256;

/// A port's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Port {
    /// It fired and was not reported yet.
    has_fired: bool,
    /// A virtual interrupt.
    is_virq: bool,
}

/// The ports of one open file.
#[derive(Debug, Default)]
pub struct EventPorts {
    ports: RefCell<BTreeMap<u32, Port>>,
}

impl EventPorts {
    /// Adds a port; `false` where there are too many, or it is here.
    pub fn add(&self, port: u32, is_virq: bool) -> bool {
        let mut ports = self.ports.borrow_mut();
        let fits = ports.len() < MAX_PORTS && !ports.contains_key(&port);
        if fits {
            let has_fired = false;
            ports.insert(port, Port { has_fired, is_virq });
        }
        fits
    }

    /// Whether another port fits.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.ports.borrow().len() < MAX_PORTS
    }

    /// Forgets a port; `false` where it is not here.
    pub fn remove(&self, port: u32) -> bool {
        self.ports.borrow_mut().remove(&port).is_some()
    }

    /// Whether a port is here.
    #[must_use]
    pub fn has(&self, port: u32) -> bool {
        self.ports.borrow().contains_key(&port)
    }

    /// All ports.
    #[must_use]
    pub fn all(&self) -> Vec<u32> {
        self.ports.borrow().keys().copied().collect()
    }

    /// Notes that a port has fired. `None`: it is not here; else whether it is to be masked.
    pub fn fire(&self, port: u32) -> Option<bool> {
        let mut ports = self.ports.borrow_mut();
        let state = ports.get_mut(&port)?;
        state.has_fired = true;
        Some(!state.is_virq)
    }

    /// Whether a port is here that was masked when it fired.
    #[must_use]
    pub fn can_unmask(&self, port: u32) -> bool {
        self.ports.borrow().get(&port).is_some_and(|state| !state.is_virq)
    }

    /// Whether a port waits to be reported.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ports.borrow().values().any(|state| state.has_fired)
    }

    /// Forgets what has fired.
    pub fn reset(&self) {
        self.ports
            .borrow_mut()
            .values_mut()
            .for_each(|state| state.has_fired = false);
    }

    /// Takes up to `max` ports that have fired.
    #[must_use]
    pub fn take(&self, max: usize) -> Vec<u32> {
        let mut ports = self.ports.borrow_mut();
        let ready = ports.iter_mut().filter(|(_, state)| state.has_fired);
        ready
            .take(max)
            .map(|(port, state)| {
                state.has_fired = false;
                *port
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_reported_once_for_each_time_it_fires() {
        let ports = EventPorts::default();
        assert!(ports.add(5, false) && ports.add(3, true));
        assert!(!ports.add(5, true), "twice");
        assert_eq!(
            (ports.fire(5), ports.fire(3), ports.fire(4)),
            (Some(true), Some(false), None)
        );
        assert_eq!(ports.fire(5), Some(true));
        assert!(ports.is_ready());
        assert_eq!(ports.take(1), [3]);
        assert_eq!(ports.take(9), [5]);
        assert!(!ports.is_ready() && ports.take(9).is_empty());
        assert!(ports.can_unmask(5) && !ports.can_unmask(3) && !ports.can_unmask(4));
    }

    #[test]
    fn the_number_of_ports_is_bounded() {
        let ports = EventPorts::default();
        assert!((0..MAX_PORTS as u32).all(|port| ports.add(port, false)));
        assert!(!ports.has_room() && !ports.add(9999, false));
        assert!(ports.remove(7) && !ports.remove(7) && !ports.has(7));
        assert!(ports.add(9999, false));
        ports.fire(9999);
        ports.reset();
        assert!(!ports.is_ready());
        assert_eq!(ports.all().len(), MAX_PORTS);
    }
}
