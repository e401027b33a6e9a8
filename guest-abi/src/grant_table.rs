//! Grant tables: how a domain lets another use its frames. Call 20 and the shared table.
//!
//! EBX [`GrantCmd`], ECX array of the command's records, EDX how many. The call returns 0 when every record
//! has its own status ([`GrantStatus`]), −EFAULT for a record that cannot be read or answered, −ENOSYS for another
//! command.
//!
//! The table is a few frames of [`GrantEntry`] that the hypervisor owns and the granter maps, writable. To
//! publish: write `domid` and `frame`, then `flags` with release. To withdraw: compare-exchange `flags` to
//! 0 while neither [`GrantFlags::READING`] nor [`GrantFlags::WRITING`] is set.
//!
//! Source: Xen 4.x, `public/grant_table.h`, version 1 of the table, records as a 32-bit guest has them.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GuestVirt, Mfn};
use crate::domain::DomId;

/// Entries in a frame of the table.
pub const ENTRIES_PER_FRAME: u32 = 512;
/// The first references, filled in by a domain's builder.
pub const RESERVED_ENTRIES: u32 = 8;
/// The reference of the console ring.
pub const CONSOLE_REF: u32 = 0;
/// The reference of the store ring.
pub const XENSTORE_REF: u32 = 1;

open_number! {
    /// Command of `grant_table_op` (`GNTTABOP_*`).
    GrantCmd: u32 {
        /// Map granted frames ([`MapGrantRef`]).
        MAP_GRANT_REF = 0, "map_grant_ref";
        /// Undo that ([`UnmapGrantRef`]).
        UNMAP_GRANT_REF = 1, "unmap_grant_ref";
        /// Size one's table and learn its frames ([`SetupTable`]).
        SETUP_TABLE = 2, "setup_table";
        /// Give frames away for good ([`Transfer`]).
        TRANSFER = 4, "transfer";
        /// Copy between frames, granted or one's own ([`GrantCopy`]).
        COPY = 5, "copy";
        /// Ask how large a table is and may be ([`QuerySize`]).
        QUERY_SIZE = 6, "query_size";
    }
}

open_number! {
    /// How one record went (`GNTST_*`).
    GrantStatus: i16 {
        /// Done.
        OKAY = 0, "okay";
        /// Refused for a reason without a number of its own; the entry does not grant this, among others.
        GENERAL_ERROR = -1, "general_error";
        /// No such domain, or not one that may be named.
        BAD_DOMAIN = -2, "bad_domain";
        /// The reference is beyond the table, or nothing is asked for.
        BAD_GNTREF = -3, "bad_gntref";
        /// No such mapping.
        BAD_HANDLE = -4, "bad_handle";
        /// The address to map at is not usable.
        BAD_VIRT_ADDR = -5, "bad_virt_addr";
        /// The device address is not that of the mapping.
        BAD_DEV_ADDR = -6, "bad_dev_addr";
        /// No room for another mapping.
        NO_DEVICE_SPACE = -7, "no_device_space";
        /// Not allowed.
        PERMISSION_DENIED = -8, "permission_denied";
        /// The frame is not usable for this.
        BAD_PAGE = -9, "bad_page";
        /// Offset and length leave the page.
        BAD_COPY_ARG = -10, "bad_copy_arg";
        /// The frame's number does not fit.
        ADDRESS_TOO_BIG = -11, "address_too_big";
        /// Try again.
        EAGAIN = -12, "eagain";
    }
}

/// One entry of the shared table (`grant_entry_v1_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GrantEntry {
    /// What is granted, and its state.
    pub flags: GrantFlags,
    /// To whom.
    pub domid: DomId,
    /// The frame.
    pub frame: Mfn,
}

layout!(GrantEntry, size 8, flags @ 0, domid @ 2, frame @ 4);

/// Flags of a [`GrantEntry`] (`GTF_*`): bits 1:0 are the kind, the others depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct GrantFlags(u16);

bitflags! {
    impl GrantFlags: u16 {
        /// Kind 1: `domid` may map and copy `frame` (`GTF_permit_access`).
        const PERMIT_ACCESS = 1;
        /// Kind 2: `domid` may transfer a frame into this entry (`GTF_accept_transfer`).
        const ACCEPT_TRANSFER = 2;
        /// Access: only to read. Set and cleared by the granter.
        const READ_ONLY = 1 << 2;
        /// Access: the frame is mapped or being copied. Set and cleared by the hypervisor.
        const READING = 1 << 3;
        /// Access: so, and writable. Set and cleared by the hypervisor.
        const WRITING = 1 << 4;
        /// Transfer: a frame is on its way; hands off. Set by the hypervisor.
        const TRANSFER_COMMITTED = 1 << 2;
        /// Transfer: `frame` is the frame received. Set by the hypervisor.
        const TRANSFER_COMPLETED = 1 << 3;
    }
}

impl GrantFlags {
    /// The bits that hold the kind.
    pub const KIND_MASK: u16 = 3;

    /// The kind: 0 (none), [`Self::PERMIT_ACCESS`], [`Self::ACCEPT_TRANSFER`], or 3, which is not defined.
    #[must_use]
    pub const fn kind(self) -> Self {
        Self(self.0 & Self::KIND_MASK)
    }
}

/// Record of [`GrantCmd::MAP_GRANT_REF`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapGrantRef {
    /// Where: a linear address, or with [`MapFlags::CONTAINS_PTE`] the machine address of an L1 entry.
    pub host_addr: u64,
    /// How.
    pub flags: MapFlags,
    /// The granter's reference.
    pub reference: u32,
    /// The granter.
    pub dom: DomId,
    /// *Out*.
    pub status: GrantStatus,
    /// *Out*: names the mapping when it is undone.
    pub handle: u32,
    /// *Out*: machine address of the frame.
    pub dev_bus_addr: u64,
}

layout!(
    MapGrantRef, size 32,
    host_addr @ 0, flags @ 8, reference @ 12, dom @ 16, status @ 18, handle @ 20, dev_bus_addr @ 24,
);

/// Flags of a [`MapGrantRef`] (`GNTMAP_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct MapFlags(u32);

bitflags! {
    impl MapFlags: u32 {
        /// For a device to use, by `dev_bus_addr`.
        const DEVICE_MAP = 1 << 0;
        /// For the mapper to use, at `host_addr`.
        const HOST_MAP = 1 << 1;
        /// Only to read.
        const READ_ONLY = 1 << 2;
        /// The mapper's ring 3 may use it too.
        const APPLICATION_MAP = 1 << 3;
        /// `host_addr` is the machine address of an L1 entry.
        const CONTAINS_PTE = 1 << 4;
        /// Bits 11:9 of the entry that maps the frame: the mapper's own.
        const GUEST_AVAILABLE = 7 << 16;
    }
}

/// Record of [`GrantCmd::UNMAP_GRANT_REF`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnmapGrantRef {
    /// As given to map; 0 leaves the mapping for the mapper.
    pub host_addr: u64,
    /// As map answered; 0 leaves the mapping for devices.
    pub dev_bus_addr: u64,
    /// As map answered.
    pub handle: u32,
    /// *Out*.
    pub status: GrantStatus,
    /// Means nothing.
    pub pad: u16,
}

layout!(UnmapGrantRef, size 24, host_addr @ 0, dev_bus_addr @ 8, handle @ 16, status @ 20);

/// Record of [`GrantCmd::SETUP_TABLE`]; exactly one, more are −EINVAL. The table never shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetupTable {
    /// Whose; another than the caller needs privilege.
    pub dom: DomId,
    /// Means nothing.
    pub pad0: u16,
    /// How many frames the table shall have.
    pub nr_frames: u32,
    /// *Out*.
    pub status: GrantStatus,
    /// Means nothing.
    pub pad1: u16,
    /// *Out*: `nr_frames` machine frame numbers are written there.
    pub frame_list: GuestVirt,
}

layout!(SetupTable, size 16, dom @ 0, nr_frames @ 4, status @ 8, frame_list @ 12);

/// Record of [`GrantCmd::TRANSFER`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Transfer {
    /// The frame, one's own and used nowhere.
    pub mfn: Mfn,
    /// To whom.
    pub domid: DomId,
    /// Means nothing.
    pub pad0: u16,
    /// The receiver's reference, of kind [`GrantFlags::ACCEPT_TRANSFER`].
    pub reference: u32,
    /// *Out*.
    pub status: GrantStatus,
    /// Means nothing.
    pub pad1: u16,
}

layout!(Transfer, size 16, mfn @ 0, domid @ 4, reference @ 8, status @ 12);

/// One end of a [`GrantCopy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CopyEnd {
    /// A grant reference of `domid`, or a machine frame: [`CopyFlags`] tells.
    pub ref_or_frame: u32,
    /// Whose.
    pub domid: DomId,
    /// First byte in the page.
    pub offset: u16,
}

layout!(CopyEnd, size 8, ref_or_frame @ 0, domid @ 4, offset @ 6);

/// Record of [`GrantCmd::COPY`]. Both ends lie within one page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GrantCopy {
    /// From where.
    pub source: CopyEnd,
    /// To where.
    pub dest: CopyEnd,
    /// How many bytes.
    pub len: u16,
    /// Which ends are references.
    pub flags: CopyFlags,
    /// *Out*.
    pub status: GrantStatus,
    /// Means nothing.
    pub pad: u16,
}

layout!(GrantCopy, size 24, source @ 0, dest @ 8, len @ 16, flags @ 18, status @ 20);

/// Flags of a [`GrantCopy`] (`GNTCOPY_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct CopyFlags(u16);

bitflags! {
    impl CopyFlags: u16 {
        /// The source is a reference.
        const SOURCE_GREF = 1 << 0;
        /// The destination is a reference.
        const DEST_GREF = 1 << 1;
    }
}

/// Record of [`GrantCmd::QUERY_SIZE`]; exactly one, more are −EINVAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QuerySize {
    /// Whose; another than the caller needs privilege.
    pub dom: DomId,
    /// Means nothing.
    pub pad0: u16,
    /// *Out*: how many frames the table has.
    pub nr_frames: u32,
    /// *Out*: how many it may have.
    pub max_nr_frames: u32,
    /// *Out*.
    pub status: GrantStatus,
    /// Means nothing.
    pub pad1: u16,
}

layout!(QuerySize, size 16, dom @ 0, nr_frames @ 4, max_nr_frames @ 8, status @ 12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_ignores_the_state() {
        let flags = GrantFlags::PERMIT_ACCESS | GrantFlags::READ_ONLY | GrantFlags::READING;
        assert_eq!(flags.kind(), GrantFlags::PERMIT_ACCESS);
        assert_eq!(
            GrantFlags::from_bits_retain(0xFFFE).kind(),
            GrantFlags::ACCEPT_TRANSFER
        );
    }

    #[test]
    fn status_codes_are_those_of_today_not_of_2_0() {
        assert_eq!(GrantStatus::BAD_HANDLE.raw(), -4);
        assert_eq!(GrantStatus::NO_DEVICE_SPACE.raw(), -7);
        assert_eq!(GrantStatus::try_from(-12), Ok(GrantStatus::EAGAIN));
        assert!(GrantStatus::try_from(28).is_err());
    }
}
