//! Frames that hold descriptor tables.

use super::{error::MmError, mmu::Mmu};
use crate::{platform::Platform, segment::check_descriptor};
use guest_abi::addr::Mfn;

impl<P: Platform> Mmu<'_, P> {
    /// Judges each descriptor of a page, and stores those that had to be cut once all are known to be good.
    pub(super) fn check_descriptor_page(&mut self, mfn: Mfn) -> Result<(), MmError> {
        let limits = self.hv.segment_limits;
        for index in 0..512 {
            let raw = self.platform.read_entry(mfn, index);
            check_descriptor(raw, limits).map_err(|_| MmError::BadDescriptor(mfn))?;
        }
        for index in 0..512 {
            let raw = self.platform.read_entry(mfn, index);
            if let Ok(cut) = check_descriptor(raw, limits)
                && cut != raw
            {
                self.platform.write_entry(mfn, index, cut);
            }
        }
        Ok(())
    }

    /// Takes every page out of the calling vCPU's LDT window.
    #[inline(always)]
    pub fn drop_ldt_pages(&mut self) {
        let current = self.hv.current;
        let domain = self.hv.domains[current].as_deref_mut().expect("a domain runs");
        if domain.vcpus[0].ldt_entries != 0 {
            self.drop_mapped_ldt_pages();
        }
    }

    #[cold]
    #[inline(never)]
    fn drop_mapped_ldt_pages(&mut self) {
        let current = self.hv.current;
        let domain = self.hv.domains[current].as_deref_mut().expect("a domain runs");
        let vcpu = &mut domain.vcpus[0];
        let pages = core::mem::take(&mut vcpu.ldt_frames);
        let entries = vcpu.ldt_entries;
        self.platform.load_ldt(entries);
        for mfn in pages.into_iter().flatten() {
            // A descriptor page has no entries to release, so this never pauses.
            let _ = self.put_typed(mfn, self.frames.at(mfn));
        }
    }

    /// A read-only mapping of a descriptor page goes: if the page is one of the LDT, the guest means the LDT's
    /// mapping too.
    #[cold]
    #[inline(never)]
    pub(super) fn unmapped_descriptor_page(&mut self, mfn: Mfn) {
        let current = self.hv.current;
        let Some(domain) = self.hv.domains[current].as_deref_mut() else {
            return;
        };
        if domain.vcpus[0].ldt_frames.contains(&Some(mfn)) {
            self.drop_mapped_ldt_pages();
        }
    }
}
