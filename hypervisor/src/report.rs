//! What the hypervisor says about itself when the machine ends.

use crate::{machine::Machine, state};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use hv_core::mm::audit::{Tally, audit};
use spin::Mutex;

/// Frames that the audit counts at a time.
const WINDOW: usize = 4096;
/// Differences that are shown; the others are only counted.
const SHOWN: u32 = 16;

static AUDITS: AtomicBool = AtomicBool::new(false);
static SCRATCH: Mutex<[Tally; WINDOW]> = Mutex::new(
    [Tally {
        references: 0,
        uses: 0,
    }; WINDOW],
);

/// Notes whether memory is to be audited at the end.
pub fn configure(audits: bool) {
    AUDITS.store(audits, Relaxed);
}

/// The audit, if it was asked for, and a line per hypercall: how often it was accepted and refused. Tests read them.
///
/// # Panics
/// Where the audit finds a difference: the hypervisor's view of memory is wrong.
pub fn at_the_end() {
    if AUDITS.load(Relaxed) {
        audit_memory();
    }
    let hv = state::lock();
    for (name, accepted, refused) in hv.calls.rows() {
        log::debug!("call {name} ok {accepted} refused {refused}");
    }
}

/// Recounts every reference to every frame.
fn audit_memory() {
    let hv = state::lock();
    let mut differences: u32 = 0;
    audit(&hv, &Machine, &mut *SCRATCH.lock(), |difference| {
        differences += 1;
        if differences <= SHOWN {
            log::error!("audit: {difference:x?}");
        }
    });
    assert!(differences == 0, "the audit found {differences} differences");
    log::info!("audit: no difference");
}
