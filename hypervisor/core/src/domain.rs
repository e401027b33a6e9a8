//! A domain: one running virtual machine and what it owns.

use crate::{
    crash::CrashRecord,
    event::EventChannels,
    grant::Grants,
    io_rights::IoRights,
    life::{Building, Teardown},
    mm::Relinquish,
    pci::assign::Assigned,
    sched::RunState,
    vcpu::Vcpu,
};
use arrayvec::ArrayVec;
use core::ops::Range;
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
    /// Owner of frames that the hypervisor keeps for a domain: its record, and tables that grow with its needs. No
    /// call can name it.
    pub const HYPERVISOR: Self = Self(0x7FFE);
    /// Owner of free frames and of those that were never given to anyone.
    pub const NONE: Self = Self(0x7FFF);
}

/// The guest interface that a domain speaks, for all its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// The 23 calls of the 2.0 interface.
    V2,
}

/// Most tables that one operation can leave half torn down, none of which leads to another: what was refused, at each of
/// three levels, and a directory that was made valid for the operation's sake.
pub const MAX_UNFINISHED: usize = 4;

/// A domain. Its record lies in a frame of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its number.
    pub id: DomId,
    /// The interface it speaks.
    pub personality: Personality,
    /// The frame that this record lies in (none: a record of a test's).
    pub record: Option<Mfn>,
    /// May act on other domains and on I/O memory.
    pub is_privileged: bool,
    /// Owns the devices: may reach every PCI function. (A domain that was given some: see [`IoRights`].)
    pub has_devices: bool,
    /// Its one page shared with the hypervisor.
    pub shared_info: Mfn,
    /// How far its making is.
    pub building: Building,
    /// Frames it owns.
    pub total_pages: u32,
    /// All of them have numbers in this range; so a search for them need not look at all of memory.
    pub span: Range<u32>,
    /// Frames it may own.
    pub max_pages: u32,
    /// How many domains had died when it was made: tells its frames from those of a former bearer of its number.
    pub born: u16,
    /// Page tables that an operation of this domain was tearing down when it paused, to be finished first, the last one
    /// before the others.
    pub unfinished: ArrayVec<Mfn, MAX_UNFINISHED>,
    /// How far everything is taken from it, when it dies.
    pub teardown: Teardown,
    /// The same for its memory.
    pub relinquish: Relinquish,
    /// Enabled vm_assist types, a bit each.
    pub vm_assist: u32,
    /// What of the machine it may touch beside.
    pub io: IoRights,
    /// What is known of its crash.
    pub crash: Option<CrashRecord>,
    /// Its event channels.
    pub events: EventChannels,
    /// What it grants, and what it has mapped by grants.
    pub grants: Grants,
    /// Whether it can run, and how long it did.
    pub run: RunState,
    /// Its virtual CPUs (one, for now).
    pub vcpus: [Vcpu; 1],
}

impl Domain {
    /// A domain that owns nothing yet, paused by its controller.
    #[must_use]
    pub const fn new(id: DomId, shared_info: Mfn) -> Self {
        Self {
            id,
            personality: Personality::V2,
            record: None,
            is_privileged: false,
            has_devices: false,
            shared_info,
            building: Building::Populating { before: 0 },
            total_pages: 0,
            span: 0..0,
            max_pages: 0,
            born: 0,
            unfinished: ArrayVec::new_const(),
            teardown: Teardown::NotBegun,
            relinquish: Relinquish::START,
            vm_assist: 0,
            io: IoRights::NONE,
            crash: None,
            events: EventChannels::new(),
            grants: Grants::NONE,
            run: RunState::new(),
            vcpus: [Vcpu::new()],
        }
    }

    /// Whether it has a device to drive: what drivers need beside is then let through.
    #[must_use]
    pub fn drives_devices(&self) -> bool {
        self.has_devices || self.io.functions.iter().any(Assigned::is_here)
    }

    /// Whether it may own `pages` frames, beside those that the hypervisor needs for it beyond everyone's due.
    #[must_use]
    pub const fn may_own(&self, pages: u32) -> bool {
        match pages.checked_add(self.grants.charged()) {
            Some(total) => total <= self.max_pages,
            None => false,
        }
    }
}

const _: () = assert!(size_of::<Domain>() <= 4096, "a record fits a frame");

impl Domain {
    /// Whether it has been given its first context, so that it can run.
    #[must_use]
    pub const fn is_built(&self) -> bool {
        matches!(self.building, Building::Built)
    }

    /// Charges it for `frames`, which it owns from now on.
    pub(crate) fn gain(&mut self, frames: Range<u32>) {
        self.total_pages += frames.end - frames.start;
        self.span = if self.span.is_empty() {
            frames
        } else {
            self.span.start.min(frames.start)..self.span.end.max(frames.end)
        };
    }
}

impl core::fmt::Display for DomId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "d{}", self.0)
    }
}
