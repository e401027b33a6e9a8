//! What Domain0 asks of this domain by words behind the console's ring ([`guest_abi::io::console`]), until there is a store.

use guest_abi::io::console::{CONTROL_SHUTDOWN, MEMORY_TARGET, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT};
use guest_abi::sched::ShutdownReason;

use super::Kernel;
use crate::mm::exchange;
use crate::{console, hypercall, println};

impl Kernel {
    /// Looks for a request, which the console's event announces, and does it: to end, as reboot(2) does, or to change its size.
    pub(super) fn take_requests(&mut self) {
        let Some(ring) = console::ring::get() else {
            return;
        };
        // A size that this domain cannot have changes nothing; whoever asked looks at what it has.
        match ring.take_request(MEMORY_TARGET) {
            0 => {}
            kib => drop(exchange::ask(kib.into())),
        }
        let reason = match ring.take_request(CONTROL_SHUTDOWN) {
            SHUTDOWN_POWEROFF => ShutdownReason::POWEROFF,
            SHUTDOWN_REBOOT => ShutdownReason::REBOOT,
            _ => return,
        };
        println!("mini-guest: {reason}, as Domain0 asks");
        self.flush_devices();
        hypercall::shutdown(reason)
    }
}
