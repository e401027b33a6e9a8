//! What Domain0 asks of this domain by words behind the console's ring ([`guest_abi::io::console`]), until there is a store.

use guest_abi::io::console::{CONTROL_SHUTDOWN, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT};
use guest_abi::sched::ShutdownReason;

use super::Kernel;
use crate::{console, hypercall, println};

impl Kernel {
    /// Looks for a request, which the console's event announces, and does it. To end is what reboot(2) does.
    pub(super) fn take_requests(&mut self) {
        let Some(ring) = console::ring::get() else {
            return;
        };
        let reason = match ring.take_request(CONTROL_SHUTDOWN) {
            SHUTDOWN_POWEROFF => ShutdownReason::POWEROFF,
            SHUTDOWN_REBOOT => ShutdownReason::REBOOT,
            _ => return,
        };
        println!("mini-guest: {reason}, as Domain0 asks");
        hypercall::shutdown(reason)
    }
}
