//! The end of the machine: how Domain0 wished it, told to whoever runs us.

use crate::console;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use guest_abi::{sched::ShutdownReason, verdict::Verdict};
use hv_arch::cpu;
use hv_core::sched::MachineEnd;

/// Values for the emulator's exit device; the launcher turns them into its own status.
pub mod status {
    /// Orderly power-off.
    pub const POWER_OFF: u8 = 0x10;
    /// Domain0 crashed.
    pub const DOM0_CRASHED: u8 = 0x11;
    /// A test guest's verdict: all as it should be.
    pub const SUCCESS: u8 = 0x12;
    /// A test guest's verdict: the hypervisor did what it must not do.
    pub const FAILURE: u8 = 0x13;
    /// A test guest's verdict: the test cannot run here.
    pub const SKIP: u8 = 0x14;
    /// A test guest's verdict: the test itself is wrong.
    pub const ERROR: u8 = 0x15;
    /// Orderly reboot.
    pub const REBOOT: u8 = 0x16;
    /// The hypervisor panicked.
    pub const PANIC: u8 = 0x20;
}

static EXIT_ON_SHUTDOWN: AtomicBool = AtomicBool::new(false);
static NO_REBOOT: AtomicBool = AtomicBool::new(false);

/// Notes what the command line says about ends.
pub fn configure(exit_on_shutdown: bool, no_reboot: bool) {
    EXIT_ON_SHUTDOWN.store(exit_on_shutdown, Relaxed);
    NO_REBOOT.store(no_reboot, Relaxed);
}

/// Ends the machine as `how` says.
pub fn machine(how: MachineEnd) -> ! {
    crate::report::at_the_end();
    let code = match how {
        MachineEnd::Shutdown(reason) => shutdown_status(ShutdownReason::new(reason)),
        MachineEnd::Dom0Crashed => {
            log::error!("Domain0 crashed: the machine stops");
            status::DOM0_CRASHED
        }
    };
    console::drain();
    emulator_exit(code);
    cpu::halt()
}

fn shutdown_status(reason: ShutdownReason) -> u8 {
    if EXIT_ON_SHUTDOWN.load(Relaxed)
        && let Some(verdict) = Verdict::from_reason(reason)
    {
        log::info!("Domain0's verdict: {verdict}");
        return match verdict {
            Verdict::Success => status::SUCCESS,
            Verdict::Failure => status::FAILURE,
            Verdict::Skip => status::SKIP,
            Verdict::Error => status::ERROR,
        };
    }
    match reason {
        ShutdownReason::POWEROFF => status::POWER_OFF,
        ShutdownReason::CRASH => status::DOM0_CRASHED,
        _ => status::REBOOT,
    }
}

/// Tells an emulator's exit device; nothing happens where there is none.
pub fn emulator_exit(code: u8) {
    // SAFETY: the port is the emulator's exit device, or nobody's.
    unsafe { x86::io::outb(0xF4, code) }
}
