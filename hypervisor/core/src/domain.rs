//! A domain: one running virtual machine and what it owns.

use crate::vcpu::Vcpu;
use guest_abi::addr::Mfn;

/// A domain's number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct DomId(pub u16);

impl DomId {
    /// "The caller".
    pub const SELF: Self = Self(0x7FF0);
    /// Pseudo-owner of I/O frames.
    pub const IO: Self = Self(0x7FF1);
    /// Pseudo-owner of hypervisor frames shown to privileged domains.
    pub const XEN: Self = Self(0x7FF2);
    /// Owner of free frames and of those that were never given to anyone.
    pub const NONE: Self = Self(0x7FFF);
}

/// A domain.
#[derive(Debug)]
pub struct Domain {
    /// Its number.
    pub id: DomId,
    /// May act on other domains and on I/O memory.
    pub is_privileged: bool,
    /// Its one page shared with the hypervisor.
    pub shared_info: Mfn,
    /// Frames it owns.
    pub total_pages: u32,
    /// Frames it may own.
    pub max_pages: u32,
    /// Enabled vm_assist types, a bit each.
    pub vm_assist: u32,
    /// Its virtual CPUs (one, for now).
    pub vcpus: [Vcpu; 1],
}
