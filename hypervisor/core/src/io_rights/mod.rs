//! What of the machine's devices a domain may touch: ports, frames of devices, interrupt lines.
//!
//! What a domain was given nobody else has ([`given`]). The owner of the devices, Domain0, has everything that nobody was given: what
//! it gives away it loses, and it has it again when the other domain loses it or dies.
//!
//! Ports go by the I/O bitmap of the TSS, a bit per port, 1: refused. A domain without any has none, and every port
//! instruction of its is a fault; the first port that is given takes two frames for the bitmap, which the hypervisor keeps
//! for the domain and the platform shows the processor while the domain runs. The level in EFLAGS stays 0.
//!
//! Source: Xen 2.0 interface (direct device assignment); Intel SDM vol. 1 19.5.2.

mod frames;
pub mod given;
mod lines;
mod ports;

pub use self::{
    frames::allow_frames,
    lines::allow_line,
    ports::{allow_ports, free_bitmap, may_be_given},
};
pub(crate) use self::{
    frames::{on_screen, room_for, settle_frames, wanted},
    lines::{has_line, settle_line},
    ports::{are_free as ports_are_free, prepare_if as prepare_ports_if, return_all as return_ports},
};
use crate::{
    domain::{DomId, Domain},
    error::HvError,
    event,
    hypervisor::Hypervisor,
    mm::Preempted,
    pci::assign::{Assigned, MAX_FUNCTIONS, MAX_REGIONS},
    platform::Platform,
};
use arrayvec::ArrayVec;
use core::ops::Range;
use guest_abi::addr::Mfn;

/// Ports there are.
pub const PORTS: u32 = 0x1_0000;
/// Interrupt lines that a domain can be given.
pub const LINES: u32 = 16;
/// Ranges of I/O frames that one domain can be given.
pub const MAX_RANGES: usize = 8;
/// All ranges of frames that one domain can have.
pub const MAX_ALL_RANGES: usize = MAX_RANGES + MAX_FUNCTIONS * MAX_REGIONS;
/// Ranges of frames: first, and first behind.
pub type Ranges = ArrayVec<(u32, u32), MAX_ALL_RANGES>;

/// Why a right does not change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightHalt {
    /// Work waits, or a device needs time: the same request goes on.
    Preempted,
    /// It is refused; nothing has changed.
    Refused(HvError),
}

impl From<HvError> for RightHalt {
    fn from(why: HvError) -> Self {
        Self::Refused(why)
    }
}

impl From<Preempted> for RightHalt {
    fn from(_: Preempted) -> Self {
        Self::Preempted
    }
}

/// The slot of the domain that owns the devices.
#[must_use]
pub fn owner_slot(hv: &Hypervisor) -> Option<usize> {
    let slot = hv.slot_of(DomId(0))?;
    hv.domain_in(slot)?.has_devices.then_some(slot)
}

/// Takes everything from the domain in `slot`, which dies and holds no functions any more.
pub fn take_all<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    given::drop_claim(hv, slot);
    return_ports(hv, platform, slot);
    let Some(domain) = hv.domain_at(slot) else { return };
    domain.io.frames.clear();
    let lines = core::mem::take(&mut domain.io.lines);
    settle_frames(hv, slot);
    for line in (0..LINES).filter(|line| lines >> line & 1 != 0) {
        event::close_line(hv, platform, slot, line as u8);
        settle_line(hv, platform, line);
    }
}

/// Whether `domain` was given what it has of devices by another, who has it no more.
const fn is_given(domain: &Domain) -> bool {
    !domain.has_devices
}

/// Ports that the hypervisor drives itself, or that would let a domain at it or its memory: DMA and interrupt controllers, timer,
/// keyboard controller, clock, fast reset, first serial line, PCI configuration (which has a call of its own), the emulator's exit.
const OWN_PORTS: [Range<u32>; 12] = [
    0..0x22,
    0x40..0x44,
    0x60..0x62,
    0x64..0x65,
    0x70..0x72,
    0x81..0x93,
    0xA0..0xA2,
    0xC0..0xE0,
    0xF4..0xF8,
    0x3F8..0x400,
    0x4D0..0x4D2,
    0xCF8..0xD00,
];

/// A domain's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoRights {
    /// The bitmap of ports: two frames.
    pub ports: Option<[Mfn; 2]>,
    /// Frames of devices that it may map.
    pub frames: ArrayVec<(u32, u32), MAX_RANGES>,
    /// Interrupt lines that it may bind, a bit each.
    pub lines: u16,
    /// PCI functions that it was given. Their ports are above, their frames and lines are with them.
    pub functions: ArrayVec<Assigned, MAX_FUNCTIONS>,
    /// When those of them that are on their way back have been reset.
    pub(crate) ready_at: u64,
}

impl IoRights {
    /// None.
    pub const NONE: Self = Self {
        ports: None,
        frames: ArrayVec::new_const(),
        lines: 0,
        functions: ArrayVec::new_const(),
        ready_at: 0,
    };

    /// Whether it may map frame `n` of a device.
    #[must_use]
    pub fn may_map(&self, n: u64) -> bool {
        self.frames.iter().any(|range| given::holds(range, n))
            || self.functions.iter().any(|function| function.may_map(n))
    }

    /// Whether it may bind interrupt line `line`.
    #[must_use]
    pub fn may_bind(&self, line: u32) -> bool {
        line < LINES && (self.lines >> line & 1 != 0 || self.functions.iter().any(|held| held.has_line(line)))
    }
}

/// Ports that nobody is given beside the ones every machine has: those of the console, and those by which firmware's tables say that
/// the machine is turned off or restarted. First and last.
pub type DeniedPorts = ArrayVec<(u16, u16), 16>;
