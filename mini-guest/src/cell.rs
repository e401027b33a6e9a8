//! Statics of a kernel that has one processor and is not preempted.

use core::ops::Deref;

/// Makes a value shareable between statics that only one processor ever uses.
///
/// A domain has one vCPU, and the kernel runs with events masked, so code that uses a static is interrupted by nothing
/// but its own faults, whose handlers keep to [`core::cell::Cell`]-like accesses. Wrap types with interior mutability
/// that check (`RefCell`) or need no check (`Cell`).
pub struct OneCpu<T>(T);

// SAFETY: there is one processor, so no two accesses are ever simultaneous; data races cannot exist.
unsafe impl<T> Sync for OneCpu<T> {}

impl<T> OneCpu<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for OneCpu<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
