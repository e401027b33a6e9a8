//! Interrupts of devices: one event port per line of the 8259s, shared by all devices on it.
//!
//! A line is held back from its event until everybody who has bound it is done: port unmasked, then
//! `IRQ_UNMASK_NOTIFY`. Our ports are never masked, so one notification after the drivers have served their
//! devices is all. A device that still asks interrupts again at once.

use alloc::rc::Rc;
use alloc::vec::Vec;

use guest_abi::errno::Errno;
use guest_abi::event_channel::{BindPirq, PIRQ_WILL_SHARE};
use guest_abi::physdev::{IrqUnmaskNotify, PhysdevOp};

use crate::{events, hypercall, time};

/// Who is called when a line fires.
pub trait Driver {
    /// Serves the device, where it was the one.
    fn interrupt(&self);
}

/// The lines in use.
#[derive(Default)]
pub struct Lines {
    lines: Vec<Line>,
}

struct Line {
    number: u8,
    port: u32,
    drivers: Vec<Rc<dyn Driver>>,
    /// Events so far.
    count: u64,
}

impl Lines {
    /// Has `driver` called whenever `line` fires.
    ///
    /// # Errors
    /// What the hypervisor answers: −EBUSY for a line of its own.
    pub fn add(&mut self, line: u8, driver: Rc<dyn Driver>) -> Result<(), Errno> {
        if let Some(known) = self.lines.iter_mut().find(|known| known.number == line) {
            known.drivers.push(driver);
            return Ok(());
        }
        let bound = hypercall::event_channel_op(&BindPirq {
            pirq: line.into(),
            flags: PIRQ_WILL_SHARE,
            port: 0,
        })?;
        self.lines.push(Line {
            number: line,
            port: bound.port,
            drivers: [driver].into(),
            count: 0,
        });
        events::unmask_port(bound.port);
        Ok(())
    }

    /// Whether `port` is a line's; if so the devices on it have been served.
    pub fn event(&mut self, port: u32) -> bool {
        let Some(line) = self.lines.iter_mut().find(|line| line.port == port) else {
            return false;
        };
        line.count += 1;
        for driver in &line.drivers {
            driver.interrupt();
        }
        let mut done = PhysdevOp::new(&IrqUnmaskNotify {});
        // SAFETY: the block is ours and of the call's type. It always answers 0.
        let _ = unsafe { hypercall::physdev_op(&mut done) };
        true
    }

    /// Sleeps until an event or until `deadline`, and serves the lines. Other events are lost: nobody may wait for one.
    pub fn wait(&mut self, deadline: u64) {
        // With the timer refused there is still the device.
        let _ = time::set_timer(Some(deadline));
        events::wait();
        let mut ports = Vec::new();
        events::poll(|port| ports.push(port));
        for port in ports {
            self.event(port);
        }
    }

    /// Sleeps for `ns` nanoseconds and serves the lines meanwhile.
    pub fn pause(&mut self, ns: u64) {
        let end = time::now_ns() + ns;
        while time::now_ns() < end {
            self.wait(end);
        }
    }

    /// Numbers of the lines and how often each has fired.
    pub fn counts(&self) -> impl Iterator<Item = (u8, u64)> {
        self.lines.iter().map(|line| (line.number, line.count))
    }
}
