//! The one state of the hypervisor.

use crate::domain::Domain;

/// Most domains that can exist at once.
pub const MAX_DOMAINS: usize = 64;

/// Everything the hypervisor knows, behind the one lock taken at entry.
#[derive(Debug)]
pub struct Hypervisor {
    /// Domains by slot; each record lives in pages charged to its domain.
    pub domains: [Option<&'static mut Domain>; MAX_DOMAINS],
    /// Slot of the domain whose registers are on this CPU's stack.
    pub current: usize,
}
