//! A domain's life: what is made for it, and how all of it goes.
//!
//! ```text
//!   create ──► Populating ──► Numbering ──► Ready ──► Built ─── unpaused, paused, runs, stops ──┐
//!                 │ frames       │ machine-    builder at work  first context                   │ destroy
//!                 ▼              ▼ to-phys                                                      ▼
//!               destroy, at any point ──────────────────────────────────────────► teardown list, record freed
//! ```
//!
//! What the hypervisor keeps for a domain beside the domain's own memory lies in whole frames that belong to
//! [`DomId::HYPERVISOR`](crate::domain::DomId::HYPERVISOR): the record, and tables that grow with the domain's needs.
//! [`own_frames`] is the one list of them; what is not on it is a leak that the audit reports.
//!
//! Source: Xen 2.0 interface, dom0_op, domain states.

mod create;
mod destroy;

pub use self::{
    create::{Building, create, populate, shrink_to},
    destroy::{Teardown, Zombies, destroy, reap},
};
use crate::{domain::Domain, platform::FrameMemory};
use guest_abi::addr::Mfn;

/// Calls `each` with every frame that the hypervisor keeps for `domain`.
pub fn own_frames<M: FrameMemory>(domain: &Domain, memory: &M, mut each: impl FnMut(Mfn)) {
    domain.record.into_iter().for_each(&mut each);
    domain.events.frame().into_iter().for_each(&mut each);
    domain.io.ports.into_iter().flatten().for_each(&mut each);
    domain.grants.own_frames(memory, each);
}
