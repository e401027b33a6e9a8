//! Segments: which descriptors and selectors a 32-bit guest may have.
//!
//! A guest's descriptor tables are its own frames, but each present descriptor in them was judged by
//! [`check_descriptor`] before the processor could load it, and cannot be written by the guest afterwards. The
//! rules, and what each keeps out:
//!
//! * level 0: a segment of the hypervisor's own ring;
//! * every system type: in long mode type 12 is a 64-bit call gate, whose second half is the guest's *next*
//!   descriptor; a TSS or LDT descriptor of the guest would be loaded by nobody but could be loaded;
//! * the L bit: 64-bit code in ring 1 is supervisor code for the paging unit and can form every address;
//! * writable data with B = 0: `iretq` to a 16-bit stack loads only SP and shows the guest bits 31:16 of the
//!   hypervisor's stack pointer;
//! * linear addresses beyond the end of the machine-to-phys window: cut off ([`SegmentLimits`]). Nothing of the
//!   hypervisor is mapped below 4 GiB, so this is a second wall and no more.
//!
//! A descriptor with P = 0 can hold anything: loading it is a #NP.
//!
//! Source: Intel SDM vol. 3A 3.4.5, 3.5, 5.8.3.1; Xen 2.0 interface, segmentation.

pub mod gdt;
pub mod ldt;
pub mod lookup;
pub mod reserved;
pub mod stack;

use crate::error::HvError;
use guest_abi::segment::{Descriptor, DescriptorFlags, FIRST_RESERVED_ENTRY, Selector, segment_type};

/// Where the running guest's GDT is mapped: slot 260 of the top-level table, per domain. 14 pages of the guest's,
/// then the hypervisor's ([`reserved`]).
pub const GDT_WINDOW: u64 = 0xFFFF_8200_0000_0000;
/// Where the running guest's LDT is mapped, page by page on demand ([`ldt`]).
pub const LDT_WINDOW: u64 = GDT_WINDOW + WINDOW_BYTES as u64;
/// Size of either window: what a selector can reach.
pub const WINDOW_BYTES: u32 = 0x1_0000;

/// Where in the window at `window` the linear `address` lies, if it does.
pub(crate) fn offset_in(window: u64, address: u64) -> Option<u32> {
    let offset = u32::try_from(address.checked_sub(window)?).ok()?;
    (offset < WINDOW_BYTES).then_some(offset)
}

/// How far guest segments reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentLimits {
    /// Linear addresses from this one up (at most 2^32) are outside every guest segment.
    Truncate(u64),
    /// The full 4 GiB.
    Full,
}

/// What is wrong with a descriptor or selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentError {
    /// Present and of level 0.
    Privileged,
    /// Present and of this system type.
    System {
        /// The four type bits.
        kind: u8,
    },
    /// Present, with the L bit.
    Long,
    /// Present, writable data, with B = 0.
    NarrowStack,
    /// It begins beyond the last page that a guest segment may hold.
    Base {
        /// Where it begins.
        base: u32,
    },
    /// It reaches too far and its limit counts bytes, so that it cannot be cut at a page.
    ByteLimit,
    /// Not a selector that may lead into the guest's kernel.
    CodeSelector(Selector),
}

impl From<SegmentError> for HvError {
    fn from(e: SegmentError) -> Self {
        match e {
            SegmentError::CodeSelector(_) => Self::Denied,
            _ => Self::Invalid,
        }
    }
}

const PAGE: u64 = 4096;
const FOUR_GIB: u64 = 1 << 32;
const CALL_GATE: u8 = 12;

/// Judges a descriptor of a guest's table and gives it back, its limit cut where `limits` demands it.
///
/// # Errors
/// See the rules in the module's description.
pub fn check_descriptor(raw: u64, limits: SegmentLimits) -> Result<u64, SegmentError> {
    match check_ordinary_descriptor(raw, limits) {
        Some(judged) => Ok(judged),
        None => check_any(Descriptor::new(raw), limits).map(Descriptor::raw),
    }
}

/// The short way of [`check_descriptor`] for what nearly all descriptors are: 32-bit segments with limits in pages
/// that expand up. `None`: it is none of these, or is refused.
#[inline(always)]
#[must_use]
pub fn check_ordinary_descriptor(raw: u64, limits: SegmentLimits) -> Option<u64> {
    const ORDINARY: u64 = DescriptorFlags::ORDINARY.bits();
    const LONG: u64 = DescriptorFlags::LONG.bits();
    let descriptor = Descriptor::new(raw);
    let SegmentLimits::Truncate(end) = limits else {
        return None;
    };
    if raw & (ORDINARY | LONG) != ORDINARY
        || descriptor.dpl() == 0
        || is_expand_down(descriptor)
        || cfg!(feature = "mutant-truncate")
    {
        return None;
    }
    let (base, size) = (
        u64::from(descriptor.base()),
        (u64::from(descriptor.limit_field()) + 1) * PAGE,
    );
    if base + PAGE >= end {
        return None;
    }
    let fits = base + size <= end;
    Some(if fits {
        raw
    } else {
        descriptor.with_limit_field(last_page(end - base)).raw()
    })
}

/// [`check_descriptor`] of whatever it may be.
fn check_any(descriptor: Descriptor, limits: SegmentLimits) -> Result<Descriptor, SegmentError> {
    if !descriptor.is_present() {
        return Ok(descriptor);
    }
    if descriptor.dpl() == 0 {
        return Err(SegmentError::Privileged);
    }
    if !descriptor.is_code_or_data() {
        if cfg!(feature = "mutant-call-gate") && descriptor.kind() == CALL_GATE {
            return Ok(descriptor);
        }
        return Err(SegmentError::System {
            kind: descriptor.kind(),
        });
    }
    if descriptor.is_long() && !cfg!(feature = "mutant-long-code-descriptor") {
        return Err(SegmentError::Long);
    }
    if is_writable_data(descriptor) && !descriptor.is_32_bit() {
        return Err(SegmentError::NarrowStack);
    }
    match limits {
        SegmentLimits::Truncate(end) if !cfg!(feature = "mutant-truncate") => cut(descriptor, end),
        _ => Ok(descriptor),
    }
}

/// Whether a code or data descriptor is data that can be written (hence be a stack).
#[must_use]
pub const fn is_writable_data(descriptor: Descriptor) -> bool {
    descriptor.kind() & (segment_type::CODE | segment_type::WRITABLE) == segment_type::WRITABLE
}

/// Whether a code or data descriptor's limit is its lowest offset.
#[must_use]
pub const fn is_expand_down(descriptor: Descriptor) -> bool {
    descriptor.kind() & (segment_type::CODE | segment_type::EXPAND_DOWN) == segment_type::EXPAND_DOWN
}

/// Cuts a segment so that no address in it is `end` or above. In 64-bit arithmetic, where nothing wraps: an expand-up
/// segment covers `base .. base + size`, an expand-down one `base + size .. base + 2^32` modulo 2^32 with `size` =
/// limit + 1, which is all below `base` if it starts past 2^32.
fn cut(descriptor: Descriptor, end: u64) -> Result<Descriptor, SegmentError> {
    let base = u64::from(descriptor.base());
    if base + PAGE >= end {
        return Err(SegmentError::Base {
            base: descriptor.base(),
        });
    }
    let size = u64::from(descriptor.limit()) + 1;
    let size = if is_expand_down(descriptor) {
        if base + size >= FOUR_GIB {
            return Ok(descriptor);
        }
        FOUR_GIB - base / PAGE * PAGE
    } else {
        if base + size <= end {
            return Ok(descriptor);
        }
        end - base
    };
    if !descriptor.counts_pages() {
        return Err(SegmentError::ByteLimit);
    }
    Ok(descriptor.with_limit_field(last_page(size)))
}

/// The limit field, in pages, of a segment of `size` bytes, at least a page; a part of a page does not count.
#[inline(always)]
const fn last_page(size: u64) -> u32 {
    (size / PAGE).wrapping_sub(1) as u32
}

/// Judges a selector that the hypervisor will put into CS to enter the guest's kernel: the flat ring-1 code
/// segment, or RPL 1 and not of the hypervisor's part of the GDT. It need not name a descriptor that exists.
///
/// # Errors
/// [`SegmentError::CodeSelector`].
#[inline]
pub fn check_code_selector(selector: Selector) -> Result<(), SegmentError> {
    let is_guests = selector.is_local() || selector.index() < FIRST_RESERVED_ENTRY;
    if selector == Selector::FLAT_RING1_CS || (selector.rpl() == 1 && is_guests) {
        Ok(())
    } else {
        Err(SegmentError::CodeSelector(selector))
    }
}

#[cfg(test)]
mod tests;
