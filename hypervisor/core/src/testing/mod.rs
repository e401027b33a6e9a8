//! A machine made of vectors, for tests of the logic.
//!
//! [`TestMachine`] implements every trait of [`crate::platform`]. Guest addresses are translated by walking the guest's own
//! tables with write protection in force, through translation caches that keep everything they ever saw
//! until they are flushed ([`StaleTlb`]): a real processor may do so, and none of the emulators does. [`World`] is a
//! hypervisor with domains on such a machine.

mod devices;
mod machine;
mod stale;
mod tlb;
mod world;

pub use self::{
    machine::{TestMachine, Work},
    stale::Witness,
    tlb::StaleTlb,
    world::{Guest, Snapshot, World, entry},
};
