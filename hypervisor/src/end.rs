//! The end of the machine: as Domain0 wished it, told to whoever runs us.

use crate::{
    acpi::{Firmware, ResetPlace},
    console, report, state,
};
use core::{
    fmt,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use guest_abi::{sched::ShutdownReason, verdict::Verdict};
use hv_arch::{
    cpu,
    paging::{self, Access, Root, TableFrames},
    power::{self, Emulator, ExitCode, ResetRegister, SoftOff},
};
use hv_core::{io_rights::DeniedPorts, sched::MachineEnd};
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
    let ways = WAYS.call_once(|| Ways {
        emulator: Emulator::detect(firmware.map(|f| f.oem)),
        soft_off: firmware.and_then(|f| f.soft_off),
        reset,
    });
    let mut hv = state::lock();
    hv.denied_ports = own_ports(ways);
    // Whoever reached configuration space like memory could move any device, those of others included.
    let windows = firmware
        .into_iter()
        .flat_map(|f| f.config_windows.iter().copied());
    hv.mm.rules.denied_io.extend(windows);
}

/// Ports by which the machine ends: no domain is given one, Domain0 neither, which asks the hypervisor. Boot only.
fn own_ports(ways: &Ways) -> DeniedPorts {
    /// Where Bochs is told to end.
    const BOCHS_EXIT: u16 = 0x8900;
    let mut ports = DeniedPorts::new();
    let off = ways.soft_off;
    // A register of 16 bits that says how the machine sleeps, in one or two places.
    let control = off.into_iter().flat_map(|off| off.control);
    ports.extend(
        control
            .filter(|&port| port != 0)
            .map(|port| (port, port.saturating_add(1))),
    );
    let command = off.and_then(|off| off.enable).map(|(port, _)| port);
    let reset = match ways.reset {
        Some((ResetRegister::Port(port), _)) => Some(port),
        _ => None,
    };
    let exit = (ways.emulator == Some(Emulator::Bochs)).then_some(BOCHS_EXIT);
    let bytes = command.into_iter().chain(reset).chain(exit);
    ports.extend(bytes.map(|port| (port, port)));
    ports
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
    let code = if is_sound { code } else { ExitCode::Panic };
    if emulator() == Some(Emulator::Bochs) {
        log::info!("{}", Announcement(code));
    }
    console::drain();
    tell_emulator(code);
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

/// How an emulator without an exit device is told why it ends: a last line of the log, which the launcher reads.
struct Announcement(ExitCode);

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xenlite: exit {:#04x}", self.0 as u8)
    }
}

/// The emulator that we run in. One that does not show itself is taken to be there when the user asks for its exit
/// device.
fn emulator() -> Option<Emulator> {
    let detected = WAYS
        .get()
        .map_or_else(|| Emulator::detect(None), |ways| ways.emulator);
    detected.or(EXIT_ON_SHUTDOWN.load(Relaxed).then_some(Emulator::Qemu))
}

/// Ends the emulator, if we run in one. Takes no lock.
fn tell_emulator(code: ExitCode) {
    if let Some(emulator) = emulator() {
        emulator.exit(code);
    }
}

/// Time to read a panic's message on a screen.
const READING_SECONDS: u32 = 15;

/// After a panic: ends the emulator, or restarts when the message can have been read, or stops. Takes no lock.
pub fn after_panic(out: &mut impl fmt::Write) -> ! {
    if emulator() == Some(Emulator::Bochs) {
        let _ = writeln!(out, "{}", Announcement(ExitCode::Panic));
    }
    tell_emulator(ExitCode::Panic);
    if NO_REBOOT.load(Relaxed) {
        let _ = writeln!(out, "The machine has stopped; it is safe to turn it off.");
        cpu::halt()
    }
    let _ = writeln!(out, "Restarting in about {READING_SECONDS} seconds.");
    power::pause_ms(READING_SECONDS * 1000);
    restart()
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
