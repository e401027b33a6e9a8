//! A machine of vectors and a world around it, for the tests of CPU virtualization.
//!
//! All state is plain data that can be cloned and compared, so a test can demand that a refused call changed nothing.

mod devices;
mod machine;
mod world;

pub use self::{
    machine::Machine,
    world::{ARGS, INNER_ESP, KERNEL_ESP, SHARED, World, ring1_regs, ring3_regs},
};
