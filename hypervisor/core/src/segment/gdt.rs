//! The guest's GDT: up to 14 of its own frames, in front of the hypervisor's page.
//!
//! Each frame becomes a descriptor page: all 512 entries are judged, and the guest cannot write it any more but by
//! `update_descriptor`. The GDT register always covers the whole window, so a new table is a change of mappings;
//! segment registers keep what they have loaded, and a selector that the new table does not hold shows at its next
//! load.
//!
//! Source: Xen 2.0 interface, do_set_gdt.

use crate::{
    context::Context,
    mm::{Mmu, Stop},
    platform::Platform,
};
use arrayvec::ArrayVec;
use guest_abi::{addr::Mfn, segment::MAX_GDT_FRAMES};

/// Replaces the calling vCPU's GDT by the frames with these numbers, of which `entries` entries count.
///
/// # Errors
/// A frame that is not the caller's, is in use as something else, or holds a descriptor that is not safe; the old
/// table stays in force. Or a pause, after which the pages judged so far are known to be good.
pub fn replace<P: Platform>(cx: &mut Context<'_, P>, frames: &[u32], entries: u32) -> Result<(), Stop> {
    let platform = cx.platform;
    let mut mmu = Mmu::new(cx.hv, platform);
    let owner = mmu.caller();
    let mut taken = ArrayVec::<Mfn, MAX_GDT_FRAMES>::new();
    for &frame in frames {
        match mmu.take_descriptor_page(u64::from(frame), owner) {
            Ok(mfn) => taken.push(mfn),
            Err(stop) => {
                for mfn in taken {
                    mmu.put_descriptor_page(mfn);
                }
                return Err(stop);
            }
        }
    }
    let mut present = [None; MAX_GDT_FRAMES];
    for (slot, mfn) in present.iter_mut().zip(taken) {
        *slot = Some(mfn);
    }
    platform.load_gdt(&present, entries);
    mmu.flush();
    let vcpu = &mut mmu.caller_domain().vcpus[0];
    vcpu.gdt_entries = entries;
    // The window shows the new pages already, so the old ones may become anything.
    for mfn in core::mem::replace(&mut vcpu.gdt_frames, present)
        .into_iter()
        .flatten()
    {
        mmu.put_descriptor_page(mfn);
    }
    Ok(())
}
