//! Call 13, a batch of calls. Xen 2.0: `multicall_entry_t`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hypercall::{CallNumber, MAX_ARGS};

/// Index in [`MulticallEntry::args`] where the hypervisor writes the call's result.
pub const RESULT_ARG: usize = 5;

/// One call of a batch.
///
/// Every entry is executed, even when earlier ones failed. Preemption is tested after each; a preempted batch
/// goes on later without the guest noticing, except that finished entries already hold their results and the
/// arguments of an interrupted one are rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MulticallEntry {
    /// The call.
    pub op: CallNumber,
    /// `args[0..5]`: the arguments in the order EBX, ECX, EDX, ESI, EDI. `args[5]`: *out*, the result.
    /// `args[6]` is not used.
    pub args: [u32; 7],
}

layout!(MulticallEntry, size 32, op @ 0, args @ 4);

impl MulticallEntry {
    /// An entry for call `op` with its first arguments, the rest 0.
    #[must_use]
    pub const fn new(op: CallNumber, arguments: [u32; MAX_ARGS]) -> Self {
        let [a, b, c, d, e] = arguments;
        Self {
            op,
            args: [a, b, c, d, e, 0, 0],
        }
    }

    /// What the call answered, as EAX would hold it.
    #[must_use]
    pub const fn result(&self) -> u32 {
        self.args[RESULT_ARG]
    }
}
