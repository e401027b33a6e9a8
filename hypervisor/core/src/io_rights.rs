//! What of the machine's devices a domain may touch: ports, frames of devices, interrupt lines.
//!
//! Ports go by the I/O bitmap of the TSS, a bit per port, 1: refused. A domain without any has none, and every port
//! instruction of its is a fault; the first port that is given takes two frames for the bitmap, which the hypervisor keeps
//! for the domain and the platform shows the processor while the domain runs. The level in EFLAGS stays 0.
//!
//! Source: Xen 2.0 interface (direct device assignment); Intel SDM vol. 1 19.5.2.

use crate::{
    error::HvError,
    hypervisor::Hypervisor,
    mm::Mmu,
    pci::assign::{Assigned, MAX_FUNCTIONS},
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
/// Ports of one frame of the bitmap.
const PORTS_PER_FRAME: u32 = PORTS / 2;

/// Ports that the hypervisor drives itself, or that would let a domain at it or its memory: DMA and interrupt controllers, timer,
/// keyboard controller, clock, fast reset, serial lines, PCI configuration (which has a call of its own), the emulator's exit.
const OWN_PORTS: [Range<u32>; 13] = [
    0..0x22,
    0x40..0x44,
    0x60..0x62,
    0x64..0x65,
    0x70..0x72,
    0x81..0x93,
    0xA0..0xA2,
    0xC0..0xE0,
    0xF4..0xF8,
    0x2F8..0x300,
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
    /// From the first to the last frame that it might map once and may no more: it may still have mapped what it had then.
    lost: (u32, u32),
    /// Interrupt lines that it may bind, a bit each.
    pub lines: u16,
    /// PCI functions that it was given. Their ports, frames and lines are above.
    pub functions: ArrayVec<Assigned, MAX_FUNCTIONS>,
}

impl IoRights {
    /// None.
    pub const NONE: Self = Self {
        ports: None,
        frames: ArrayVec::new_const(),
        lost: (0, 0),
        lines: 0,
        functions: ArrayVec::new_const(),
    };

    /// Whether it may map frame `n` of a device.
    #[must_use]
    pub fn may_map(&self, n: u64) -> bool {
        self.frames
            .iter()
            .any(|&(start, end)| (u64::from(start)..u64::from(end)).contains(&n))
    }

    /// Whether it may map frame `n` of a device, or might once.
    #[must_use]
    pub fn might_map(&self, n: u64) -> bool {
        self.may_map(n) || (u64::from(self.lost.0)..u64::from(self.lost.1)).contains(&n)
    }

    fn lose(&mut self, (start, end): (u32, u32)) {
        self.lost = match self.lost {
            (0, 0) => (start, end),
            (first, last) => (first.min(start), last.max(end)),
        };
    }

    /// Whether it may bind interrupt line `line`.
    #[must_use]
    pub const fn may_bind(&self, line: u32) -> bool {
        line < LINES && self.lines >> line & 1 != 0
    }
}

/// Ports that nobody is given beside the ones every machine has: those by which firmware's tables say that it is turned off or
/// restarted. First and last.
pub type DeniedPorts = ArrayVec<(u16, u16), 16>;

/// Gives the domain in `slot` the `ports`, or takes them.
///
/// # Errors
/// [`HvError::Invalid`] for ports that do not exist, or of which one is the hypervisor's; [`HvError::NoMemory`].
pub fn allow_ports<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    ports: Range<u32>,
    is_given: bool,
) -> Result<(), HvError> {
    if ports.end > PORTS || (is_given && !may_be_given(hv, &ports)) {
        return Err(HvError::Invalid);
    }
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    let bitmap = match domain.io.ports {
        Some(bitmap) => bitmap,
        None if !is_given || ports.is_empty() => return Ok(()),
        None => make_bitmap(hv, platform, slot)?,
    };
    // A word at a time, so that even all ports are no long stretch.
    let mut port = ports.start;
    while port < ports.end {
        let next = ports.end.min((port / 64 + 1) * 64);
        let bits = (u64::MAX >> (64 - (next - port))) << (port % 64);
        let frame = bitmap[(port / PORTS_PER_FRAME) as usize];
        let word = (port % PORTS_PER_FRAME / 64) as usize;
        let old = platform.read_entry(frame, word);
        let new = if is_given { old & !bits } else { old | bits };
        platform.write_entry(frame, word, new);
        port = next;
    }
    if slot == hv.current {
        platform.load_io_bitmap(Some(bitmap));
    }
    Ok(())
}

/// Whether `ports` exist and none of them is the hypervisor's.
#[must_use]
pub fn may_be_given(hv: &Hypervisor, ports: &Range<u32>) -> bool {
    let touches = |start: u32, end: u32| start < ports.end && ports.start < end;
    let is_own = OWN_PORTS.iter().any(|own| touches(own.start, own.end))
        || hv
            .denied_ports
            .iter()
            .any(|&(start, end)| touches(start.into(), u32::from(end) + 1));
    ports.end <= PORTS && (ports.is_empty() || !is_own)
}

/// Takes two frames in which every port is refused.
fn make_bitmap<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) -> Result<[Mfn; 2], HvError> {
    let mut mmu = Mmu::new(hv, platform);
    let low = mmu.take_own_frame()?;
    let high = match mmu.take_own_frame() {
        Ok(high) => high,
        Err(why) => {
            mmu.free_own_frame(low);
            return Err(why.into());
        }
    };
    for frame in [low, high] {
        (0..512).for_each(|word| platform.write_entry(frame, word, u64::MAX));
    }
    if let Some(domain) = hv.domain_at(slot) {
        domain.io.ports = Some([low, high]);
    }
    Ok([low, high])
}

/// Gives the domain in `slot` the I/O frames, or takes them. What it maps of them already stays mapped.
///
/// # Errors
/// [`HvError::Invalid`] for frames that are no device's or that nobody may have, and for a range to be taken that was not
/// given like that; [`HvError::NoMemory`] for too many ranges.
pub fn allow_frames(
    hv: &mut Hypervisor,
    slot: usize,
    frames: Range<u64>,
    is_given: bool,
) -> Result<(), HvError> {
    let (start, end) = (frames.start, frames.end);
    let range = u32::try_from(start).ok().zip(u32::try_from(end).ok());
    let range = range.filter(|_| start < end).ok_or(HvError::Invalid)?;
    if is_given && !hv.mm.is_device(frames) {
        return Err(HvError::Invalid);
    }
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    let rights = &mut domain.io;
    let ranges = &mut rights.frames;
    match (ranges.iter().position(|known| *known == range), is_given) {
        (Some(_), true) => Ok(()),
        (None, true) => ranges.try_push(range).map_err(|_| HvError::NoMemory),
        (Some(index), false) => {
            ranges.swap_remove(index);
            rights.lose(range);
            Ok(())
        }
        (None, false) => Err(HvError::Invalid),
    }
}

/// Gives back the frames of the bitmap of the domain in `slot`, which dies.
pub fn free_bitmap<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let frames = hv.domain_at(slot).and_then(|domain| domain.io.ports.take());
    for frame in frames.into_iter().flatten() {
        Mmu::new(hv, platform).free_own_frame(frame);
    }
}
