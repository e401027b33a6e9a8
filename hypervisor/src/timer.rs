//! The one-shot timer, wired: found at boot, armed by the clock, its interrupt told apart from the devices'.

use crate::{acpi::Firmware, clock, interrupts};
use core::ptr::NonNull;
use hv_arch::{
    apic::{self, Found, LocalApic},
    paging::{self, Access, Root},
    pit::{self, Pit},
    timer::OneShot,
    tsc::{self, Reference, Refinement},
};
use spin::{Mutex, Once};

static TIMER: Mutex<Option<OneShot>> = Mutex::new(None);
static LOCAL_APIC: Once<LocalApic> = Once::new();

/// Frequency assumed where no clock can be found to measure it: time then runs at a wrong speed.
const FALLBACK_HZ: u64 = 1_000_000_000;

/// Finds the timer, measures its and the time-stamp counter's frequency, and starts the clock. Boot only; vectors and
/// the interrupt controller are set up.
pub fn init(firmware: Option<&Firmware>, root: Root, frames: &mut impl paging::TableFrames) {
    let apic = apic::detect().map(|found| {
        let registers = match found {
            Found::Msrs => None,
            Found::Memory(phys) => {
                let len = apic::REGISTER_BYTES as u64;
                NonNull::new(paging::map_physical(root, frames, phys, len, Access::Device).cast::<u32>())
            }
        };
        // SAFETY: mapped just now, uncached and for good; every vector has a gate.
        unsafe { LocalApic::init(registers) }
    });
    // The firmware has left it ticking.
    let mut pit = Pit::init();
    let pm_timer = firmware.and_then(|f| f.pm_timer);
    let mut reference = match pm_timer {
        Some(pm) => Reference::PmTimer(pm),
        None => {
            pit.start_stopwatch();
            Reference::Pit(pit)
        }
    };
    if let Some(apic) = apic {
        apic.use_count();
        apic.mask_timer();
        apic.set_count(u32::MAX);
    }
    let measured = tsc::measure(&mut reference, || apic.map_or(0, |a| u32::MAX - a.count()));
    if let Some(apic) = apic {
        apic.set_count(0);
    }
    let stated = tsc::stated_frequency();
    let tsc_hz = tsc::settle(stated, measured.map(|m| m.tsc_hz)).unwrap_or_else(|| {
        log::warn!("no clock to measure the processor's speed by: time will be wrong");
        FALLBACK_HZ
    });
    clock::set_frequency(tsc_hz, pm_timer.map(|pm| Refinement::from_now(tsc_hz, pm)));
    let timer = match (apic, measured) {
        (Some(apic), Some(m)) if m.other_hz > 0 => OneShot::local(apic, m.other_hz, tsc_hz),
        (Some(apic), _) if apic::has_deadline_timer() => OneShot::local(apic, 0, tsc_hz),
        _ => {
            interrupts::open_own(pit::LINE);
            OneShot::interval(Pit::init(), tsc_hz)
        }
    };
    log::info!("timer: {}; {} MHz", timer.name(), tsc_hz / 1_000_000);
    *TIMER.lock() = Some(timer);
    if let Some(apic) = apic {
        LOCAL_APIC.call_once(|| apic);
    }
}

/// The time-stamp counter turned out to run at `tsc_hz`, not at `old_tsc_hz`.
pub fn refine(old_tsc_hz: u64, tsc_hz: u64) {
    if let Some(timer) = TIMER.lock().as_mut() {
        timer.refine(old_tsc_hz, tsc_hz);
    }
}

/// Tells the local APIC that its interrupt has been taken.
pub fn end_of_interrupt() {
    if let Some(apic) = LOCAL_APIC.get() {
        apic.end_of_interrupt();
    }
}

/// Fires when the time-stamp counter reaches `deadline`, or earlier where that is more than the hardware can count.
#[inline]
pub fn arm(deadline: u64) {
    if let Some(timer) = TIMER.lock().as_mut() {
        timer.arm(deadline);
    }
}

/// Does not fire.
pub fn stop() {
    if let Some(timer) = TIMER.lock().as_mut() {
        timer.stop();
    }
}
