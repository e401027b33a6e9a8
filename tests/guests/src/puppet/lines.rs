//! Interrupt lines and other events of a puppet's.

use guest_abi::errno::Errno;
use guest_abi::event_channel::BindPirq;
use guest_abi::shared_info::offset;
use guest_abi::version::INTERFACE_VERSION;

use super::Puppet;
use crate::pages::{peek32, poke32};
use crate::{check_eq, hypercall};

/// Calls in which an event comes, or does not.
const PATIENCE: u32 = 10_000;

impl Puppet {
    /// Has it bind an interrupt line, and unmasks the port.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn bind_line(self, pirq: u32) -> Result<u32, Errno> {
        let args = BindPirq {
            pirq,
            flags: 0,
            port: 0,
        };
        let port = self.event_op(&args)?.port;
        let mask = self.shared().0 + offset::EVTCHN_MASK as u32 + port / 32 * 4;
        poke32(mask, peek32(mask) & !(1 << (port % 32)));
        Ok(port)
    }

    /// Whether an event is at its port, or comes within so many calls; takes it.
    #[track_caller]
    pub fn event_comes(self, port: u32) -> bool {
        let at = self.shared().0 + offset::EVTCHN_PENDING as u32 + port / 32 * 4;
        let bit = 1 << (port % 32);
        let found = (0..PATIENCE).any(|_| {
            // Calls, so that the emulator looks at its devices.
            check_eq!(hypercall::xen_version(), Ok(INTERFACE_VERSION));
            peek32(at) & bit != 0
        });
        poke32(at, peek32(at) & !bit);
        found
    }
}
