//! Debug keys: Ctrl-A three times sends the console's input to the hypervisor, and three times more back.

use crate::{inspect, report};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use heapless::Deque;
use hv_arch::cpu;
use spin::Mutex;

const SWITCH: u8 = 0x01;
const TIMES: u8 = 3;

static OURS: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicU8 = AtomicU8::new(0);

/// Keys that wait to be served.
static KEYS: Mutex<Deque<u8, 64>> = Mutex::new(Deque::new());

/// Sees each received byte before it is queued for Domain0; takes it where it is for the hypervisor.
pub fn take(byte: u8) -> bool {
    let was_ours = OURS.load(Relaxed);
    if byte != SWITCH {
        SEEN.store(0, Relaxed);
    } else if SEEN.fetch_add(1, Relaxed) + 1 == TIMES {
        SEEN.store(0, Relaxed);
        OURS.store(!was_ours, Relaxed);
    }
    if was_ours {
        // More keys than that at once are noise.
        let _ = KEYS.lock().push_back(byte);
    }
    was_ours
}

/// Serves the keys that arrived for the hypervisor.
pub fn serve() {
    loop {
        let Some(key) = KEYS.lock().pop_front() else {
            return;
        };
        match key {
            b'h' | b'?' => help(),
            b'a' => {
                report::memory_audit();
            }
            b'c' => report::calls(),
            b'd' => report::domains(),
            b'e' => inspect::event_ports(),
            b'g' => inspect::grants(),
            b'i' => inspect::interrupt_lines(),
            b'm' => report::memory(),
            b'o' => report::console_losses(),
            b'r' => report::run_queue(),
            b'v' => inspect::registers(),
            b'X' => cpu::overflow_stack(),
            SWITCH | b'\r' | b'\n' => {}
            other => log::info!(
                "no key '{}'; h shows the keys",
                char::from(other).escape_default()
            ),
        }
    }
}

fn help() {
    log::info!(
        "keys: a audit, c calls, d domains, e event ports, g grants, i interrupt lines, m memory, o console, r run queue, v registers, X double fault (ends the machine with a report); Ctrl-A three times: input goes to Domain0 again"
    );
}
