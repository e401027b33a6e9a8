//! What the hypervisor says about itself: when the machine ends, and when a key asks.

use crate::{console, machine::Machine, memory::BootMemory, state};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use hv_core::{
    mm::audit::{Tally, audit},
    sched,
};

static AUDIT_AT_THE_END: AtomicBool = AtomicBool::new(false);

/// Room for the audit's counting: so many frames at a time.
static SCRATCH: spin::Mutex<&'static mut [Tally]> = spin::Mutex::new(&mut []);
/// How many.
const FRAMES_AT_A_TIME: usize = 2048;

/// Takes the room that the audit needs. Boot only.
pub fn take_room(memory: &mut BootMemory<'_>) {
    let (room, _) = memory.take_array::<Tally>(FRAMES_AT_A_TIME);
    for n in 0..FRAMES_AT_A_TIME {
        // SAFETY: the array has just been taken and is that long.
        unsafe { room.wrapping_add(n).write(Tally::default()) };
    }
    // SAFETY: initialised just now, never given back, and reached through this slice only.
    *SCRATCH.lock() = unsafe { core::slice::from_raw_parts_mut(room, FRAMES_AT_A_TIME) };
}

/// Notes that the machine's end is to be preceded by an audit.
pub fn configure(audit_at_the_end: bool) {
    AUDIT_AT_THE_END.store(audit_at_the_end, Relaxed);
}

/// A line per hypercall (tests read them), and the audit where it was asked for. Whether everything is sound.
pub fn at_the_end() -> bool {
    calls();
    !AUDIT_AT_THE_END.load(Relaxed) || memory_audit() == 0
}

/// A line per hypercall: successes and refusals.
pub fn calls() {
    let hv = state::lock();
    for (name, accepted, refused) in hv.calls.rows() {
        log::debug!("call {name} ok {accepted} refused {refused}");
    }
}

/// Recounts all references to all frames; says how many differ from what is kept, with a line each.
pub fn memory_audit() -> u32 {
    let hv = state::lock();
    let mut scratch = SCRATCH.lock();
    let mut differences = 0;
    audit(&hv, &Machine, &mut scratch, |difference| {
        differences += 1;
        if differences <= 16 {
            log::error!("audit: {difference:x?}");
        }
    });
    match differences {
        0 => log::info!("audit: no difference"),
        n => log::error!("audit: {n} differences"),
    }
    differences
}

/// Memory by use.
pub fn memory() {
    let hv = state::lock();
    let mm = &hv.mm;
    log::info!(
        "memory: {} frames, {} free ({} to be zeroed)",
        mm.frames.len(),
        mm.allocator.free_frames(),
        mm.allocator.dirty_frames()
    );
}

/// What the console had to leave out.
pub fn console_losses() {
    log::info!(
        "console: {} bytes of output lost to stalled lines",
        console::dropped_bytes()
    );
}

/// A line per domain.
pub fn domains() {
    let hv = state::lock();
    for domain in hv.domains.iter().flatten() {
        log::info!(
            "{}: {} pages, {:?}, ran {} ms",
            domain.id,
            domain.total_pages,
            domain.run.held,
            domain.run.cpu_time_ns / 1_000_000
        );
        let r = &domain.vcpus[0].regs;
        log::info!(
            "{}: last saved eip {:04x}:{:08x} esp {:04x}:{:08x}",
            domain.id,
            r.cs,
            r.rip,
            r.ss,
            r.rsp
        );
    }
}

/// Who runs, and a line for each that waits for its turn, with what each may use.
pub fn run_queue() {
    let mut hv = state::lock();
    let hv = &mut *hv;
    sched::account(hv, &Machine);
    log::info!(
        "scheduler: {}, {} ns at least, {} wait{}",
        hv.sched.policy.name(),
        sched::control::slice_ns(&hv.sched.policy),
        hv.sched.queued_count(),
        if hv.sched.is_idle { "; idle" } else { "" }
    );
    for (slot, domain) in hv.domains.iter().enumerate() {
        let Some(domain) = domain else { continue };
        let state = if slot == hv.current && !hv.sched.is_idle {
            "runs"
        } else if hv.sched.is_queued(slot) {
            "waits"
        } else {
            continue;
        };
        let share = &domain.run.share;
        log::info!(
            "{}: {state}, ran {} ms, virtual time {} ms, {:?}",
            domain.id,
            domain.run.cpu_time_ns / 1_000_000,
            share.virtual_ms(),
            share.params
        );
    }
}
