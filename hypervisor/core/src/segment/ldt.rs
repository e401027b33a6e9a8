//! The guest's LDT: registered by address, mapped page by page when the processor first reads from it.
//!
//! `SET_LDT` names a linear address and a length. The LDT register then points at a window of the hypervisor's that
//! is empty at first. A selector load that needs a page of it faults there, and [`map_page`] looks up which frame
//! the guest has at that place, makes it a descriptor page (all 512 entries are judged, and the guest cannot write
//! it from then on), and maps it.
//!
//! Source: Xen 2.0 interface, LDT.

use super::{LDT_WINDOW, offset_in};
use crate::{context::Context, mm::Mmu, platform::Platform};

/// [`map_page`] for a faulting address, where that lies in the LDT window.
#[cold]
pub fn map_page_at<P: Platform>(cx: &mut Context<'_, P>, address: u64) -> bool {
    offset_in(LDT_WINDOW, address).is_some_and(|offset| map_page(cx, offset))
}

/// Maps the page of the LDT window that holds byte `offset`, if the guest has registered an LDT that long and has a
/// frame there that can be a descriptor page. Says whether the access is worth retrying.
#[cold]
pub fn map_page<P: Platform>(cx: &mut Context<'_, P>, offset: u32) -> bool {
    Mmu::new(cx.hv, cx.platform).map_ldt_page((offset >> 12) as usize)
}
