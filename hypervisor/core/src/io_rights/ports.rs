//! Ports: who has which.

use super::{OWN_PORTS, PORTS, given::PORT_WORDS, is_given, owner_slot};
use crate::{
    error::HvError,
    hypervisor::Hypervisor,
    mm::Mmu,
    platform::{FrameMemory, Platform},
};
use core::ops::Range;
use guest_abi::addr::Mfn;

/// Words of one frame of a bitmap.
const FRAME_WORDS: usize = PORT_WORDS / 2;

/// Gives the domain in `slot` the `ports`, or takes them. The owner of the devices loses what is given to another, and has back what it
/// could use before.
///
/// # Errors
/// [`HvError::Invalid`] for ports that do not exist, or of which one is the hypervisor's; [`HvError::Busy`] for ports of which
/// another domain has one; [`HvError::NoMemory`].
pub fn allow_ports<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    ports: Range<u32>,
    is_allowed: bool,
) -> Result<(), HvError> {
    if ports.end > PORTS || (is_allowed && !may_be_given(hv, &ports)) {
        return Err(HvError::Invalid);
    }
    if is_allowed && !are_free(hv, platform, slot, &ports) {
        return Err(HvError::Busy);
    }
    if ports.is_empty() {
        return Ok(());
    }
    if is_allowed {
        prepare(hv, platform, slot)?;
    }
    set(hv, platform, slot, &ports, is_allowed);
    Ok(())
}

/// Takes all ports from the domain in `slot`.
pub(crate) fn return_all<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    set(hv, platform, slot, &(0..PORTS), false);
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

/// Whether nobody was given any of `ports` but the domain in `slot`.
pub(crate) fn are_free<P: Platform>(hv: &Hypervisor, platform: &P, slot: usize, ports: &Range<u32>) -> bool {
    let domain = hv.domain_in(slot);
    let bitmap = domain
        .filter(|domain| is_given(domain))
        .and_then(|domain| domain.io.ports);
    words(ports).all(|(word, bits)| {
        let own = bitmap.map_or(0, |bitmap| open(platform, bitmap, word));
        hv.given.ports[word] & bits & !own == 0
    })
}

/// Sees that the domain in `slot` has a bitmap: giving it ports then cannot fail.
///
/// # Errors
/// [`HvError::NoMemory`].
fn prepare<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) -> Result<(), HvError> {
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    if domain.io.ports.is_some() {
        return Ok(());
    }
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
        (0..FRAME_WORDS).for_each(|word| platform.write_entry(frame, word, u64::MAX));
    }
    if let Some(domain) = hv.domain_at(slot) {
        domain.io.ports = Some([low, high]);
    }
    Ok(())
}

/// The same, where it is to be given any.
///
/// # Errors
/// [`HvError::NoMemory`].
pub(crate) fn prepare_if<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    has_ports: bool,
) -> Result<(), HvError> {
    if has_ports {
        prepare(hv, platform, slot)
    } else {
        Ok(())
    }
}

/// Gives back the frames of the bitmap of the domain in `slot`, which dies and has no ports any more.
pub fn free_bitmap<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let frames = hv.domain_at(slot).and_then(|domain| domain.io.ports.take());
    for frame in frames.into_iter().flatten() {
        Mmu::new(hv, platform).free_own_frame(frame);
    }
}

/// The words that `ports` lie in, and the bits there. A word at a time, so that even all ports are no long stretch.
fn words(ports: &Range<u32>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let Range { start, end } = *ports;
    let last = end.div_ceil(64).max(start / 64);
    (start / 64..last).map(move |word| {
        let first = start.max(word * 64) % 64;
        let count = end.min((word + 1) * 64) - start.max(word * 64);
        (word as usize, u64::MAX >> (64 - count) << first)
    })
}

/// The ports of a word that a bitmap does not refuse.
fn open<M: FrameMemory>(memory: &M, bitmap: [Mfn; 2], word: usize) -> u64 {
    !memory.read_entry(bitmap[word / FRAME_WORDS], word % FRAME_WORDS)
}

fn set_open<M: FrameMemory>(memory: &M, bitmap: [Mfn; 2], word: usize, bits: u64) {
    memory.write_entry(bitmap[word / FRAME_WORDS], word % FRAME_WORDS, !bits);
}

/// Opens or closes ports for the domain in `slot`, as far as it has a bitmap, and for the owner of the devices.
fn set<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, ports: &Range<u32>, is_allowed: bool) {
    let Some(bitmap) = hv.domain_in(slot).and_then(|domain| domain.io.ports) else {
        return;
    };
    let owner = owner_slot(hv).filter(|&owner| owner != slot);
    let owners = owner
        .and_then(|owner| hv.domain_in(owner))
        .and_then(|owner| owner.io.ports);
    let is_given = hv.domain_in(slot).is_some_and(is_given);
    for (word, bits) in words(ports) {
        let before = open(platform, bitmap, word);
        let after = if is_allowed { before | bits } else { before & !bits };
        set_open(platform, bitmap, word, after);
        let given = &mut hv.given;
        if !is_given {
            // The owner's own will, for now and for later.
            given.lent[word] &= !bits;
        } else if is_allowed {
            given.ports[word] |= bits;
            if let Some(owners) = owners {
                let usable = open(platform, owners, word);
                given.lent[word] |= usable & bits;
                set_open(platform, owners, word, usable & !bits);
            }
        } else {
            let gone = before & bits;
            let back = given.lent[word] & gone;
            given.ports[word] &= !gone;
            given.lent[word] &= !gone;
            if let Some(owners) = owners {
                set_open(platform, owners, word, open(platform, owners, word) | back);
            }
        }
    }
    let current = hv.current;
    for (of, bitmap) in [(Some(slot), Some(bitmap)), (owner, owners)] {
        if of == Some(current) && bitmap.is_some() {
            platform.load_io_bitmap(bitmap);
        }
    }
}
