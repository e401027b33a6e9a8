//! What the hypervisor says about itself when the machine ends.

use crate::state;

/// A line per hypercall: successes and refusals. Tests read it.
pub fn at_the_end() {
    let hv = state::lock();
    for (name, done, refused) in hv.calls.rows() {
        log::debug!("call {name}: {done} done, {refused} refused");
    }
}
