//! Call 21, `vm_assist`: EBX [`AssistCmd`], ECX [`AssistType`].
//!
//! Returns 0; −ENOSYS for an unknown command, and for the two assists that have no meaning here; −EINVAL
//! for an unknown type. The state belongs to the domain. Source: Xen 2.0, `VMASST_*`.

open_number! {
    /// Command of `vm_assist` (`VMASST_CMD_*`).
    AssistCmd: u32 {
        /// Switch the assist on.
        ENABLE = 0, "enable";
        /// Switch it off.
        DISABLE = 1, "disable";
    }
}

open_number! {
    /// What to switch (`VMASST_TYPE_*`).
    AssistType: u32 {
        /// Emulated 4 GB segments: −ENOSYS.
        FOUR_GB_SEGMENTS = 0, "4gb_segments";
        /// Their notification: −ENOSYS.
        FOUR_GB_SEGMENTS_NOTIFY = 1, "4gb_segments_notify";
        /// A write to a live L1 through a read-only mapping is checked and done as an update, if its
        /// instruction is a mov, xchg, cmpxchg, cmpxchg8b, and, or, xor, bts or btr of 1, 2, 4 or 8 bytes;
        /// any other stays the page fault it is.
        ///
        /// A 4-byte write is judged as the whole entry it makes. Where that is invalid only because its other
        /// half is still to come (upper half written first), it is stored as not present.
        WRITABLE_PAGETABLES = 2, "writable_pagetables";
    }
}
