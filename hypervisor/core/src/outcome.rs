//! What a hypercall asks for when it is done: handlers never block or switch, they say what should happen.

/// Why a domain stops for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashReason {
    /// A frame could not be written to its ring-1 stack.
    BadKernelStack {
        /// Stack selector.
        ss: u16,
        /// Stack pointer.
        esp: u32,
    },
    /// It has no handler (offset 0) for this vector.
    NoHandler {
        /// The vector.
        vector: u8,
    },
    /// It has no event callback (offset 0) but an event is due.
    NoEventCallback,
    /// Its failsafe handler could not be entered either.
    FailsafeFailed,
    /// It took a fault that no guest can have a handler for.
    Unhandled {
        /// The vector.
        vector: u8,
    },
}

/// How a hypercall ends, when it does not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Done: put this value into EAX.
    Return(u32),
    /// Paused: run the same call again with these argument registers (EBX, ECX, EDX, ESI, EDI) after pending
    /// work is done.
    Again([u32; 5]),
    /// Done (0 in EAX); let somebody else run.
    Yield,
    /// Done (0 in EAX); sleep until an event is due.
    Block,
    /// The domain shut itself down with this reason.
    Shutdown(u8),
    /// The domain is beyond repair.
    Crash(CrashReason),
}
