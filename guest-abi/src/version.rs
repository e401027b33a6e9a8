//! Call 17, `xen_version`: EBX command, ECX buffer.
//!
//! | command | buffer | returns |
//! |---|---|---|
//! | version | not used | [`INTERFACE_VERSION`] |
//! | extraversion | 16 bytes: [`EXTRAVERSION`] | 0; −EFAULT |
//! | features | [`FeatureInfo`], in and out | 0; −EFAULT, −EINVAL (unknown word) |
//!
//! Other commands: −ENOSYS. The first is also the cheapest call, so guests make it to have pending events
//! delivered after they unmask. Source: Xen 2.0 (0), Xen 4.x `public/version.h` (1 and 6).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_number! {
    /// Command of `xen_version` (`XENVER_*`).
    VersionCmd: u32 {
        /// Major version in bits 31:16, minor in 15:0.
        VERSION = 0, "version";
        /// What distinguishes this hypervisor from others of that version.
        EXTRAVERSION = 1, "extraversion";
        /// Feature bits.
        FEATURES = 6, "features";
    }
}

/// Version 2.0 of the interface; also what an image's ABI note must say.
pub const INTERFACE_VERSION: u32 = 0x0002_0000;

/// The answer to [`VersionCmd::EXTRAVERSION`], with NULs to its end.
pub const EXTRAVERSION: [u8; 16] = *b"-xenlite\0\0\0\0\0\0\0\0";

/// The buffer of [`VersionCmd::FEATURES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FeatureInfo {
    /// *In*: which word of features; only 0 exists.
    pub submap_idx: u32,
    /// *Out*: the features.
    pub submap: Features,
}

layout!(FeatureInfo, size 8, submap_idx @ 0, submap @ 4);

/// Feature word 0. Bits below 24 have Xen's meaning (`XENFEAT_*`), the others are xenlite's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Features(u32);

bitflags! {
    impl Features: u32 {
        /// An L3 may lie in any machine frame.
        const PAE_PGDIR_ABOVE_4GB = 1 << 4;
        /// The caller is the initial domain.
        const DOM0 = 1 << 11;
        /// `grant_table_op` is live.
        const GRANT_TABLES = 1 << 24;
        /// The writable-page-table assist is there.
        const WRITABLE_PAGE_TABLES = 1 << 25;
        /// A shutdown with a [verdict](crate::verdict) ends the machine.
        const EXIT_ON_SHUTDOWN = 1 << 26;
    }
}
