//! The end of the machine: as Domain0 wished it, told to whoever runs us.

use crate::{
    acpi::{Firmware, ResetPlace},
    console, report,
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use guest_abi::{sched::ShutdownReason, verdict::Verdict};
use hv_arch::{
    cpu,
    paging::{self, Access, Root, TableFrames},
    power::{self, Emulator, ExitCode, ResetRegister, SoftOff},
};
use hv_core::sched::MachineEnd;
use spin::Once;

/// The ways to end this machine.
struct Ways {
    emulator: Option<Emulator>,
    soft_off: Option<SoftOff>,
    reset: Option<(ResetRegister, u8)>,
}

static WAYS: Once<Ways> = Once::new();
static EXIT_ON_SHUTDOWN: AtomicBool = AtomicBool::new(false);
static NO_REBOOT: AtomicBool = AtomicBool::new(false);

/// Notes what the command line says about ends.
pub fn configure(exit_on_shutdown: bool, no_reboot: bool) {
    EXIT_ON_SHUTDOWN.store(exit_on_shutdown, Relaxed);
    NO_REBOOT.store(no_reboot, Relaxed);
}

/// Finds out how this machine can be ended. Boot only.
pub fn find_ways(firmware: Option<&Firmware>, root: Root, frames: &mut impl TableFrames) {
    let reset = firmware.and_then(|f| f.reset).and_then(|(place, value)| {
        let register = match place {
            ResetPlace::Port(port) => ResetRegister::Port(port),
            ResetPlace::PciConfig { address, byte } => ResetRegister::PciConfig { address, byte },
            ResetPlace::Memory(phys) => {
                let at = paging::map_physical(root, frames, phys, 1, Access::Device);
                ResetRegister::Memory(NonNull::new(at)?)
            }
        };
        Some((register, value))
    });
    WAYS.call_once(|| Ways {
        emulator: Emulator::detect(firmware.map(|f| f.oem)),
        soft_off: firmware.and_then(|f| f.soft_off),
        reset,
    });
}

/// Ends the machine as `how` says.
pub fn machine(how: MachineEnd) -> ! {
    let is_sound = report::at_the_end();
    let (code, reason) = match how {
        MachineEnd::Shutdown(reason) => (shutdown_code(ShutdownReason::new(reason)), reason),
        MachineEnd::Dom0Crashed => (ExitCode::Dom0Crashed, ShutdownReason::CRASH.raw()),
    };
    match code {
        ExitCode::Dom0Crashed => log::error!("Domain0 crashed: the machine stops"),
        ExitCode::Reboot => log::info!("restarting"),
        ExitCode::PowerOff => log::info!("turning off"),
        _ => log::info!("Domain0 shut down with reason {reason}"),
    }
    console::drain();
    tell_emulator(if is_sound { code } else { ExitCode::Panic });
    if code == ExitCode::PowerOff {
        turn_off()
    }
    if NO_REBOOT.load(Relaxed) {
        stop("halted; `noreboot` was given")
    }
    restart()
}

/// What a shutdown by Domain0 with `reason` means for the machine.
fn shutdown_code(reason: ShutdownReason) -> ExitCode {
    if EXIT_ON_SHUTDOWN.load(Relaxed)
        && let Some(verdict) = Verdict::from_reason(reason)
    {
        log::info!("verdict: {verdict}");
        return match verdict {
            Verdict::Success => ExitCode::TestSuccess,
            Verdict::Failure => ExitCode::TestFailure,
            Verdict::Skip => ExitCode::TestSkip,
            Verdict::Error => ExitCode::TestError,
        };
    }
    match reason {
        ShutdownReason::POWEROFF => ExitCode::PowerOff,
        ShutdownReason::CRASH => ExitCode::Dom0Crashed,
        _ => ExitCode::Reboot,
    }
}

/// Ends the emulator, if we run in one. Takes no lock.
pub fn tell_emulator(code: ExitCode) {
    if let Some(emulator) = WAYS
        .get()
        .map_or_else(|| Emulator::detect(None), |ways| ways.emulator)
    {
        emulator.exit(code);
    }
}

fn turn_off() -> ! {
    if let Some(soft_off) = WAYS.get().and_then(|ways| ways.soft_off) {
        // SAFETY: ports and values are the FADT's.
        unsafe { soft_off.execute() };
    }
    stop("it is now safe to turn the machine off")
}

fn restart() -> ! {
    if let Some((register, value)) = WAYS.get().and_then(|ways| ways.reset.as_ref()) {
        // SAFETY: register and value are the FADT's, which says that they are supported.
        unsafe { register.execute(*value) };
    }
    power::reset_as_last_resort()
}

fn stop(why: &str) -> ! {
    log::info!("{why}");
    console::drain();
    cpu::halt()
}
