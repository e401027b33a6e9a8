//! The machine that the tests of this crate run on.
//!
//! A test makes a [`World`], which is a hypervisor with domains on a [`Machine`] made of vectors, does something as a guest
//! or a processor would, and looks at what became of both:
//!
//! ```ignore
//! let mut world = World::running();                      // Domain0 runs, interrupted in ring 1
//! world.write(ARGS, &block);                             // its memory
//! assert_eq!(world.hypercall(16, [ARGS, 0, 0, 0, 0]), 0); // a call, as the entry code makes it
//! world.refused(16, [0; 5], Errno::Fault);               // a refused call must change nothing: that is compared
//! ```
//!
//! | begin with | for |
//! |---|---|
//! | [`World::running`] | traps, events, scheduling, calls: Domain0 with handlers, stacks and pages for arguments |
//! | [`World::with_dom0`] | page tables and grants: Domain0 with 40 frames, mapped one by one ([`Guest`]) |
//! | [`World::new`] | anything else: no domain yet |
//!
//! [`World::add_domain`] adds a domain without memory, [`World::add_guest`] one with page tables, [`World::call`] makes a
//! call until it is done, [`World::cx`] and [`World::mmu`] lead to what lies below the calls, [`World::audit`] recounts all
//! references.
//!
//! The machine implements every trait of [`crate::platform`]. Guest addresses are translated by walking the guest's own
//! tables with write protection in force, through translation caches that keep everything they ever saw
//! until they are flushed ([`tlb::StaleTlb`]): a real processor may do so, and none of the emulators does.

mod cpu;
mod devices;
mod guest;
mod machine;
mod memory;
mod snapshot;
mod stale;
mod tlb;
mod world;

pub use self::{
    devices::EXPRESS,
    guest::{Guest, entry},
    machine::{Machine, Work},
    snapshot::Snapshot,
    stale::Witness,
    world::{ARGS, INNER_ESP, KERNEL_ESP, World, ring1_regs, ring3_regs},
};
