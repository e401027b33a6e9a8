//! Frames that hold descriptor tables: the GDT's, and those of the LDT's window.
//!
//! The processor reads descriptors through the hypervisor's own mapping of such a frame, and writes accessed bits
//! there. So the frame must not be writable to the guest, and each descriptor in it is judged before. The page stays
//! valid when it is no longer in use, until it is used as something else; nobody can write it until then.

use super::{
    error::{MmError, Stop},
    frame::Kind,
    mmu::{Mmu, Owner},
    pte::frame_number,
};
use crate::{
    hypervisor::Hypervisor,
    platform::{FrameWords, Platform},
    segment::{SegmentLimits, check_descriptor},
    vcpu::Vcpu,
};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};

/// Most entries of an LDT.
const MAX_LDT_ENTRIES: u32 = 8192;
const ENTRIES_PER_PAGE: u32 = 512;

impl<P: Platform> Mmu<'_, P> {
    /// Takes a use of frame number `n`, a frame of `owner`, as a page of descriptors.
    ///
    /// # Errors
    /// Not the owner's; in use as something else; a descriptor that is not safe. Or a pause, after which the page
    /// is looked at from its start.
    pub fn take_descriptor_page(&mut self, n: u64, owner: Owner) -> Result<Mfn, Stop> {
        let (mfn, info) = self.get_page_number(n, owner.id)?;
        match self.get_type((mfn, info), Kind::SegDesc, owner, None) {
            Ok(()) => Ok(mfn),
            Err(stop) => {
                self.put_page(mfn, info);
                Err(stop)
            }
        }
    }

    /// Gives a use taken by [`Mmu::take_descriptor_page`] back.
    pub fn put_descriptor_page(&mut self, mfn: Mfn) {
        let info = self.frames.at(mfn);
        info.put_descriptors(self.hv.mm.clock);
        self.put_page(mfn, info);
    }

    /// Writes descriptor `index`, which has been judged, of frame number `n`, a frame of the caller's: a page of descriptors, or one
    /// that may be mapped writable and becomes a page of descriptors later.
    ///
    /// # Errors
    /// Not the caller's; in use as something else.
    pub fn write_descriptor(&mut self, n: u64, index: usize, judged: u64) -> Result<(), Stop> {
        let owner = self.caller();
        let (mfn, info) = self.get_page_number(n, owner.id)?;
        let kind = if info.type_word().is_valid(Kind::SegDesc) {
            Kind::SegDesc
        } else {
            Kind::Writable
        };
        let taken = self.get_type((mfn, info), kind, owner, None);
        if taken.is_ok() {
            self.platform.write_entry(mfn, index, judged);
            self.put_plain_type(info);
        }
        self.put_page(mfn, info);
        taken
    }

    /// Judges each descriptor of a page, and stores those that had to be cut once all are known to be good.
    pub(super) fn check_descriptor_page(&mut self, mfn: Mfn) -> Result<(), MmError> {
        let limits = self.hv.segment_limits;
        let words = self.platform.words(mfn);
        let mut must_cut = false;
        for index in 0..512 {
            let raw = words.read(index);
            let judged = check_descriptor(raw, limits).map_err(|_| MmError::BadDescriptor(mfn))?;
            must_cut |= judged != raw;
        }
        if !must_cut {
            return Ok(());
        }
        for index in 0..512 {
            let raw = words.read(index);
            if let Ok(cut) = check_descriptor(raw, limits)
                && cut != raw
            {
                self.platform.write_entry(mfn, index, cut);
            }
        }
        Ok(())
    }

    /// Registers an LDT of `entries` entries at `base`; 0 entries: none. Its pages are mapped when they are used.
    ///
    /// # Errors
    /// `base` is not the start of a page, or the table is too long or reaches too far.
    pub fn set_ldt(&mut self, base: GuestVirt, entries: u32) -> Result<(), MmError> {
        check_ldt(self.hv.segment_limits, base, entries)?;
        let vcpu = self.vcpu();
        if (vcpu.ldt_base, vcpu.ldt_entries) != (base.raw(), entries) {
            (vcpu.ldt_base, vcpu.ldt_entries) = (base.raw(), entries);
            self.drop_mapped_ldt_pages();
        }
        Ok(())
    }

    /// Maps page `index` of the registered LDT into the window, if the guest has a frame there that can be a
    /// page of descriptors. Whether it did; not where it was mapped already.
    pub fn map_ldt_page(&mut self, index: usize) -> bool {
        let owner = self.caller();
        let vcpu = self.vcpu();
        let pages = vcpu.ldt_entries.div_ceil(ENTRIES_PER_PAGE) as usize;
        if index >= pages || vcpu.ldt_frames[index].is_some() {
            return false;
        }
        // In reach, as `set_ldt` made sure.
        let at = GuestVirt::new(vcpu.ldt_base + (index as u32) * 4096);
        let Some(entry) = self.mapping(at) else {
            return false;
        };
        let Ok(mfn) = self.take_descriptor_page(frame_number(entry), owner) else {
            return false;
        };
        self.vcpu().ldt_frames[index] = Some(mfn);
        self.platform.map_ldt_page(index, mfn);
        true
    }

    /// Whether the calling vCPU has registered an LDT.
    #[inline(always)]
    pub fn has_ldt(&mut self) -> bool {
        self.vcpu().ldt_entries != 0
    }

    /// Takes every page out of the calling vCPU's LDT window; they come back on demand.
    #[inline(always)]
    pub fn drop_ldt_pages(&mut self) {
        if self.vcpu().ldt_entries != 0 {
            self.drop_mapped_ldt_pages();
        }
    }

    #[cold]
    #[inline(never)]
    fn drop_mapped_ldt_pages(&mut self) {
        let vcpu = self.vcpu();
        let pages = core::mem::take(&mut vcpu.ldt_frames);
        let entries = vcpu.ldt_entries;
        self.platform.load_ldt(entries);
        self.flush();
        for mfn in pages.into_iter().flatten() {
            self.put_descriptor_page(mfn);
        }
    }

    #[inline(always)]
    fn vcpu(&mut self) -> &mut Vcpu {
        &mut self.caller_domain().vcpus[0]
    }
}

/// Whether an LDT of `entries` entries may lie at `base`.
///
/// # Errors
/// `base` is not the start of a page, or the table is too long or reaches too far.
pub fn check_ldt(limits: SegmentLimits, base: GuestVirt, entries: u32) -> Result<(), MmError> {
    let reach = match limits {
        SegmentLimits::Truncate(end) => end,
        SegmentLimits::Full => u64::from(HV_START),
    };
    let end = u64::from(base.raw()) + u64::from(entries) * 8;
    if base != base.page_base() || entries > MAX_LDT_ENTRIES || end > reach {
        return Err(MmError::BadLdt);
    }
    Ok(())
}

/// A read-only mapping of a descriptor page went: if the page is one of the LDT, the guest means the window's mapping
/// too.
#[cold]
#[inline(never)]
pub(super) fn descriptor_page_unmapped<P: Platform>(hv: &mut Hypervisor, platform: &P, mfn: Mfn) {
    let mut mmu = Mmu::new(hv, platform);
    if mmu.vcpu().ldt_frames.contains(&Some(mfn)) {
        mmu.drop_mapped_ldt_pages();
    }
}
