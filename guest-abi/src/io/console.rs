//! The console ring: one page shared by a domain and whoever serves its console. Xen 4.x
//! `public/io/console.h`.
//!
//! `in` carries what is typed, `out` what the domain prints. Indices are free-running `u32`: the slot is the
//! index modulo the ring's size, and producer − consumer (wrapping) is how much is in it, never more than the
//! size. A producer writes bytes, then the index with release; a consumer reads the index with acquire, then
//! bytes. Each side raises the event channel after it moved an index.
//!
//! The last words of the page are xenlite's: Domain0's requests to the domain, until there is a store to hold them. Domain0
//! writes one and raises the event channel; the domain looks at both words in that event's handler and takes a request by
//! exchanging it with 0.

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of the input ring.
pub const IN_BYTES: usize = 1024;
/// Bytes of the output ring.
pub const OUT_BYTES: usize = 2048;

/// The start of the page, for offsets and snapshots; live indices are reached by atomics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConsoleRing {
    /// Towards the domain.
    pub input: [u8; IN_BYTES],
    /// From the domain.
    pub output: [u8; OUT_BYTES],
    /// Moved by the domain.
    pub in_cons: u32,
    /// Moved by the server.
    pub in_prod: u32,
    /// Moved by the server.
    pub out_cons: u32,
    /// Moved by the domain.
    pub out_prod: u32,
}

layout!(
    ConsoleRing, size 3088,
    input @ 0, output @ 1024, in_cons @ 3072, in_prod @ 3076, out_cons @ 3080, out_prod @ 3084,
);
default_is_zero!(ConsoleRing);

/// Offset of `input`.
pub const INPUT: usize = offset_of!(ConsoleRing, input);
/// Offset of `output`.
pub const OUTPUT: usize = offset_of!(ConsoleRing, output);
/// Offset of `in_cons`.
pub const IN_CONS: usize = offset_of!(ConsoleRing, in_cons);
/// Offset of `in_prod`.
pub const IN_PROD: usize = offset_of!(ConsoleRing, in_prod);
/// Offset of `out_cons`.
pub const OUT_CONS: usize = offset_of!(ConsoleRing, out_cons);
/// Offset of `out_prod`.
pub const OUT_PROD: usize = offset_of!(ConsoleRing, out_prod);

/// Offset of the word that asks the domain to end: 0 for nothing, [`SHUTDOWN_POWEROFF`], [`SHUTDOWN_REBOOT`].
pub const CONTROL_SHUTDOWN: usize = 4080;
/// Offset of the word that asks the domain to change its size: 0 for nothing, else KiB.
pub const MEMORY_TARGET: usize = 4084;
/// At [`CONTROL_SHUTDOWN`]: end in good order.
pub const SHUTDOWN_POWEROFF: u32 = 1;
/// At [`CONTROL_SHUTDOWN`]: the same, and ask to be started again.
pub const SHUTDOWN_REBOOT: u32 = 2;

const _: () = assert!(CONTROL_SHUTDOWN >= size_of::<ConsoleRing>());
