//! Device interrupts: who they are for. They come only while a guest runs or the CPU sleeps, so no lock is held.
//!
//! The hypervisor's own devices are served here. All other lines are the domains': their interrupt is held back at the
//! controller and becomes an event ([`event::raise_line`]).

use crate::{clock, console, keys, machine::Machine, state, timer};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use hv_arch::{
    apic, nmi,
    percpu::{self, due},
    pic::{Acknowledged, LINES, Pic, VECTOR_BASE},
    pit,
};
use hv_core::{
    event::{self, Virq},
    platform::InterruptLines,
};
use spin::Mutex;

static PIC: Mutex<Option<Pic>> = Mutex::new(None);

/// Takes the interrupt controller over, everything masked. Boot only.
pub fn init() {
    *PIC.lock() = Some(Pic::init());
}

/// Lets `line` through, which the hypervisor serves itself from now on. Boot only.
pub fn open_own(line: u8) {
    state::lock().lines.reserve(line);
    Machine.unmask_line(line);
}

impl InterruptLines for Machine {
    fn unmask_line(&self, line: u8) {
        if let Some(pic) = PIC.lock().as_mut() {
            pic.unmask(line);
        }
    }

    fn mask_line(&self, line: u8) {
        if let Some(pic) = PIC.lock().as_mut() {
            pic.mask(line);
        }
    }

    fn make_level(&self, line: u8) {
        if let Some(pic) = PIC.lock().as_mut() {
            pic.make_level(line);
        }
    }
}

/// Lets the console's lines through and its devices interrupt. Nobody is given its ports and screen from now on.
pub fn start_console() {
    console::attach_keyboard();
    let mut hv = state::lock();
    hv.denied_ports.extend(console::ports());
    hv.screen = console::screen();
    drop(hv);
    let lines = console::interrupt_lines();
    (0..16).filter(|line| lines >> line & 1 != 0).for_each(open_own);
    console::start_interrupts();
}

/// Whether a device waits to be served.
pub fn is_device_waiting() -> bool {
    PIC.lock().as_mut().is_some_and(|pic| pic.requested() != 0)
}

/// A device's vector.
pub fn handle(vector: u8) {
    match vector {
        apic::TIMER_VECTOR => {
            timer::end_of_interrupt();
            timer_fired();
        }
        apic::SPURIOUS_VECTOR => {}
        _ => match acknowledge(vector) {
            Some(pit::LINE) => timer_fired(),
            Some(line) if state::lock().lines.is_own(line) => {
                console::interrupt(line);
                input_arrived();
            }
            Some(line) => give_to_owners(line),
            None => {}
        },
    }
}

/// Raises the ports that are bound to `line`.
fn give_to_owners(line: u8) {
    if !event::raise_line(&mut state::lock(), &Machine, line) {
        log::warn!("interrupt line {line} asks, but belongs to nobody: it is held back");
    }
}

fn timer_fired() {
    clock::timer_fired();
    state::lock().time.has_fired = true;
    percpu::raise_due(due::WORK);
}

fn input_arrived() {
    keys::serve();
    if console::has_input() {
        event::send_to_dom0(&mut state::lock(), &Machine, Virq::Console);
    }
}

fn acknowledge(vector: u8) -> Option<u8> {
    if !(VECTOR_BASE..VECTOR_BASE + LINES).contains(&vector) {
        return None;
    }
    let stays_open = |line| state::lock().lines.is_own(line);
    match PIC.lock().as_mut()?.acknowledge(vector, stays_open) {
        Acknowledged::Line(line) => Some(line),
        Acknowledged::Spurious => None,
    }
}

/// Says that a non-maskable interrupt came, and tells Domain0 of a memory or I/O error.
pub fn report_nmi() {
    static SO_FAR: AtomicU32 = AtomicU32::new(0);
    let number = SO_FAR.fetch_add(1, Relaxed).wrapping_add(1);
    let sources = nmi::take_sources();
    for (is_up, name, virq) in [
        (sources.parity, "memory parity or system error", Virq::ParityError),
        (sources.io_check, "I/O check", Virq::IoError),
    ] {
        if is_up {
            log::error!("non-maskable interrupt {number}: {name}");
            event::send_to_dom0(&mut state::lock(), &Machine, virq);
        }
    }
    if !sources.parity && !sources.io_check {
        log::warn!("non-maskable interrupt {number}: the chipset names no source");
    }
}
