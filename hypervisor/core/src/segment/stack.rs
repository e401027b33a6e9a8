//! Where a frame lands on a guest stack.
//!
//! The processor checks a push against base and limit of SS; 64-bit code that writes the same words by linear
//! address has to do that itself. Given SS:ESP, [`frame_slot`] says at which linear address a frame of so many
//! bytes goes, or that it goes nowhere. The flat ring-1 data segment is one comparison; any other selector is
//! looked up in the guest's tables, whose descriptors were judged when they were installed but say nothing yet
//! about level, type and limit of *this* use.
//!
//! Source: Intel SDM vol. 3A 5.3 (limit checking), 6.12.1 (stack switching).

use super::{is_expand_down, is_writable_data, lookup};
use crate::{context::Context, guest_mem::in_guest_range, platform::Platform};
use guest_abi::{
    addr::HV_START,
    segment::{Descriptor, Selector},
};

/// Place for a frame: where its lowest word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSlot {
    /// Linear address.
    pub linear: u32,
    /// The same place as an offset in the stack segment: the new ESP.
    pub esp: u32,
}

/// The slot for `bytes` bytes (a few words) pushed on ring-1 stack `ss:esp`, if that is a usable stack.
pub fn frame_slot<P: Platform>(cx: &Context<'_, P>, ss: u16, esp: u32, bytes: u32) -> Option<FrameSlot> {
    if ss == Selector::FLAT_RING1_DS.raw() {
        return flat_slot(ss, esp, bytes).map(|esp| FrameSlot { linear: esp, esp });
    }
    slot_in_segment(find_stack_segment(cx, Selector::new(ss))?, esp, bytes)
}

/// The new ESP after pushing `bytes` bytes on `ss:esp`, if that is the flat ring-1 segment and they lie in the
/// guest's range. It is their linear address as well.
#[inline(always)]
pub fn flat_slot(ss: u16, esp: u32, bytes: u32) -> Option<u32> {
    // A stack pointer below `bytes` wraps to beyond the hypervisor's range and fails as well.
    let start = u64::from(esp.wrapping_sub(bytes));
    let fits = start <= u64::from(HV_START - bytes) || cfg!(feature = "mutant-stack-range");
    if ss == Selector::FLAT_RING1_DS.raw() && fits {
        Some(start as u32)
    } else {
        None
    }
}

/// The descriptor that `ss` names, if it can be loaded into SS in ring 1.
fn find_stack_segment<P: Platform>(cx: &Context<'_, P>, ss: Selector) -> Option<Descriptor> {
    if ss.rpl() != 1 {
        return None;
    }
    let descriptor = lookup::descriptor(cx, ss)?;
    let usable = descriptor.is_present()
        && descriptor.is_code_or_data()
        && is_writable_data(descriptor)
        && descriptor.is_32_bit()
        && descriptor.dpl() == 1;
    usable.then_some(descriptor)
}

/// The slot for `bytes` bytes below offset `esp` of a writable data segment.
fn slot_in_segment(segment: Descriptor, esp: u32, bytes: u32) -> Option<FrameSlot> {
    let start = esp.wrapping_sub(bytes);
    let last = start.checked_add(bytes - 1)?;
    let inside = if is_expand_down(segment) {
        start > segment.limit()
    } else {
        last <= segment.limit()
    };
    let linear = segment.base().wrapping_add(start);
    let harmless = in_guest_range(linear, bytes);
    if (inside && harmless) || cfg!(feature = "mutant-stack-range") {
        Some(FrameSlot { linear, esp: start })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_abi::segment::{DescriptorFlags, segment_type};
    use proptest::prelude::*;

    fn data(base: u32, limit: u32, kind: u8, flags: DescriptorFlags) -> Descriptor {
        Descriptor::from_fields(base, limit, kind, 1, flags)
    }

    const UP: u8 = segment_type::WRITABLE;
    const DOWN: u8 = segment_type::WRITABLE | segment_type::EXPAND_DOWN;
    const BYTES: DescriptorFlags = DescriptorFlags::ORDINARY.difference(DescriptorFlags::PAGES);

    #[test]
    fn a_frame_may_touch_the_limit_and_not_cross_it() {
        let segment = data(0x1000, 0xFF, UP, BYTES);
        assert_eq!(
            slot_in_segment(segment, 0x100, 20),
            Some(FrameSlot {
                linear: 0x10EC,
                esp: 0xEC
            })
        );
        assert_eq!(
            slot_in_segment(segment, 20, 20),
            Some(FrameSlot {
                linear: 0x1000,
                esp: 0
            })
        );
        assert_eq!(slot_in_segment(segment, 0x101, 20), None);
        assert_eq!(slot_in_segment(segment, 19, 20), None);
        assert_eq!(slot_in_segment(segment, 0, 20), None);
    }

    #[test]
    fn an_expand_down_stack_lies_above_its_limit_and_ends_at_its_base() {
        // Offsets 0xFFFF0000 to 0xFFFFFFFF, linear 0x007F0000 to 0x007FFFFF.
        let segment = data(0x0080_0000, 0xF_FFEF, DOWN, DescriptorFlags::ORDINARY);
        assert_eq!(segment.limit(), 0xFFFE_FFFF);
        assert_eq!(
            slot_in_segment(segment, 0, 20),
            Some(FrameSlot {
                linear: 0x007F_FFEC,
                esp: 0xFFFF_FFEC
            })
        );
        assert_eq!(
            slot_in_segment(segment, 0xFFFF_0014, 20),
            Some(FrameSlot {
                linear: 0x007F_0000,
                esp: 0xFFFF_0000
            })
        );
        assert_eq!(slot_in_segment(segment, 0xFFFF_0010, 20), None);
        assert_eq!(slot_in_segment(segment, 8, 20), None);
    }

    #[test]
    fn base_plus_offset_beyond_the_guest_range_is_no_stack() {
        let high = data(0xFBFF_F000, 0xF_FFFF, UP, DescriptorFlags::ORDINARY);
        assert_eq!(slot_in_segment(high, 0x1014, 20), None);
        assert_eq!(
            slot_in_segment(high, 0x1000, 20),
            Some(FrameSlot {
                linear: 0xFBFF_FFEC,
                esp: 0xFEC
            })
        );
        // base + offset is at or beyond 4 GiB: the processor would wrap, and so do we.
        assert_eq!(
            slot_in_segment(high, 0x0400_2000, 0x20).map(|s| s.linear),
            Some(0x0000_0FE0)
        );
    }

    proptest! {
        #[test]
        fn no_slot_ever_leaves_segment_or_guest_range(
            base: u32, limit in 0u32..=0xF_FFFF, down: bool, pages: bool, esp: u32, words in 3u32..=9
        ) {
            let flags = if pages { DescriptorFlags::ORDINARY } else { BYTES };
            let segment = data(base, limit, if down { DOWN } else { UP }, flags);
            if let Some(slot) = slot_in_segment(segment, esp, words * 4) {
                prop_assert!(in_guest_range(slot.linear, words * 4));
                prop_assert_eq!(slot.linear, base.wrapping_add(slot.esp));
                for offset in slot.esp..slot.esp + (words * 4 - 1) {
                    prop_assert_eq!(down, offset > segment.limit());
                }
            }
        }
    }
}
