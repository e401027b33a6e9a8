//! Call 6, `sched_op`: yield, block, shut down. Xen 2.0: `public/sched.h`.
//!
//! EBX packs the command into bits 7:0 and, for a shutdown, the reason into bits 15:8; bits 31:16 must be 0.
//! The call returns 0, also when another domain ran in between.

open_number! {
    /// Command of `sched_op`.
    SchedCmd: u8 {
        /// Give up the processor, stay runnable (`SCHEDOP_yield`).
        YIELD = 0, "yield";
        /// Clear `evtchn_upcall_mask` and sleep until an event is pending and not masked; returns at once if
        /// one already is (`SCHEDOP_block`).
        BLOCK = 1, "block";
        /// Stop for good, with a [`ShutdownReason`] (`SCHEDOP_shutdown`).
        SHUTDOWN = 2, "shutdown";
    }
}

open_number! {
    /// Why a domain shut down (`SHUTDOWN_*`). Any value may be given: it is kept for the domain's controller.
    /// Of Domain0, 0 powers the machine off and any other reboots it.
    ///
    /// 0x10 to 0x13 are the [verdicts](crate::verdict) of a test guest.
    ShutdownReason: u8 {
        /// Orderly power-off (`SHUTDOWN_poweroff`).
        POWEROFF = 0, "poweroff";
        /// Start again (`SHUTDOWN_reboot`).
        REBOOT = 1, "reboot";
        /// To be saved; ESI holds the frame of the suspend record (`SHUTDOWN_suspend`).
        SUSPEND = 2, "suspend";
        /// The kernel gave up (`SHUTDOWN_crash`).
        CRASH = 3, "crash";
    }
}

/// EBX of `sched_op` for `command` without a reason.
#[must_use]
pub const fn pack(command: SchedCmd) -> u32 {
    command.raw() as u32
}

/// EBX of `sched_op` for a shutdown.
#[must_use]
pub const fn pack_shutdown(reason: ShutdownReason) -> u32 {
    SchedCmd::SHUTDOWN.raw() as u32 | (reason.raw() as u32) << 8
}

/// Command and reason in an EBX of `sched_op`, or `None` where bits 31:16 are not 0.
#[must_use]
pub fn unpack(ebx: u32) -> Option<(SchedCmd, ShutdownReason)> {
    let [command, reason] = u16::try_from(ebx).ok()?.to_le_bytes();
    Some((SchedCmd::new(command), ShutdownReason::new(reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdown_packs_its_reason() {
        assert_eq!(pack_shutdown(ShutdownReason::CRASH), 0x302);
        assert_eq!(unpack(0x302), Some((SchedCmd::SHUTDOWN, ShutdownReason::CRASH)));
        assert_eq!(
            unpack(pack(SchedCmd::BLOCK)),
            Some((SchedCmd::BLOCK, ShutdownReason::POWEROFF))
        );
    }

    #[test]
    fn reserved_bits_are_refused() {
        assert_eq!(unpack(0x1_0000), None);
    }
}
