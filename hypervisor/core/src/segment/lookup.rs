//! The descriptor behind a selector, looked up as the processor does.
//!
//! The guest's tables are descriptor pages that the hypervisor holds, so what is found was judged before. A segment
//! register may hold an older copy than the table does now; callers compare what they compute with what the
//! processor did.

use crate::{context::Context, platform::Platform};
use guest_abi::segment::{Descriptor, FIRST_RESERVED_ENTRY, Selector};

/// The descriptor that `selector` names in the running guest's own tables, present or not; none for a null
/// selector, one beyond the table's end or in a page that is not mapped, or one of the hypervisor's.
#[must_use]
pub fn descriptor<P: Platform>(cx: &Context<'_, P>, selector: Selector) -> Option<Descriptor> {
    if selector.raw() & !3 == 0 {
        return None;
    }
    let index = u32::from(selector.index());
    let vcpu = cx.current_vcpu();
    let (frames, entries) = if selector.is_local() {
        (&vcpu.ldt_frames[..], vcpu.ldt_entries)
    } else if selector.index() < FIRST_RESERVED_ENTRY {
        (&vcpu.gdt_frames[..], vcpu.gdt_entries)
    } else {
        return None;
    };
    if index >= entries {
        return None;
    }
    let frame = (*frames.get(index as usize / 512)?)?;
    Some(Descriptor::new(
        cx.platform.read_entry(frame, index as usize % 512),
    ))
}

/// Linear base of the segment that `selector` names: 0 for the flat ones.
#[inline]
#[must_use]
pub fn base<P: Platform>(cx: &Context<'_, P>, selector: u16) -> Option<u32> {
    let selector = Selector::new(selector);
    match selector {
        Selector::FLAT_RING1_CS
        | Selector::FLAT_RING1_DS
        | Selector::FLAT_RING3_CS
        | Selector::FLAT_RING3_DS => Some(0),
        _ => descriptor(cx, selector)
            .filter(|d| d.is_present() && d.is_code_or_data() && d.is_32_bit())
            .map(Descriptor::base),
    }
}
