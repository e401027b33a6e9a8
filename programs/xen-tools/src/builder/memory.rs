//! A new domain's memory, written through windows of foreign mappings.

use guest_abi::addr::{Mfn, PAGE_SIZE, Pfn};
use guest_abi::domain::DomId;
use guest_image::memory::BuildMemory;

use crate::errno::{Errno, Result};
use crate::privileged::{Access, Privileged, Window};

/// Frames that are mapped at a time while memory is filled.
const WINDOW_FRAMES: usize = 64;

/// The new domain's memory by its own frame numbers, some of it mapped: what is written comes mostly in order.
pub struct Memory<'a, P: Privileged> {
    privileged: &'a P,
    id: DomId,
    frames: &'a [Mfn],
    window: Option<(usize, P::Window)>,
}

impl<'a, P: Privileged> Memory<'a, P> {
    /// The memory of domain `id`, whose frames these are; nothing of it is mapped yet.
    pub const fn new(privileged: &'a P, id: DomId, frames: &'a [Mfn]) -> Self {
        Self {
            privileged,
            id,
            frames,
            window: None,
        }
    }

    /// The window that shows `pfn`, and where the frame begins in it.
    fn reach(&mut self, pfn: Pfn) -> Result<(&mut P::Window, usize)> {
        let first = pfn.index() / WINDOW_FRAMES * WINDOW_FRAMES;
        if self.window.as_ref().is_none_or(|(shown, _)| *shown != first) {
            // The old one goes before the new one comes.
            self.window = None;
            let end = (first + WINDOW_FRAMES).min(self.frames.len());
            let frames = self.frames.get(first..end).ok_or(Errno::EFAULT)?;
            self.window = Some((first, self.privileged.map(self.id, frames, Access::ReadWrite)?));
        }
        let (_, window) = self.window.as_mut().ok_or(Errno::EFAULT)?;
        Ok((window, (pfn.index() - first) * PAGE_SIZE))
    }
}

impl<P: Privileged> BuildMemory for Memory<'_, P> {
    type Error = Errno;

    fn mfn_of(&self, pfn: Pfn) -> Option<Mfn> {
        self.frames.get(pfn.index()).copied()
    }

    fn write(&mut self, pfn: Pfn, offset: usize, bytes: &[u8]) -> Result<()> {
        let (window, base) = self.reach(pfn)?;
        window.write(base + offset, bytes);
        Ok(())
    }

    fn zero(&mut self, pfn: Pfn, offset: usize, len: usize) -> Result<()> {
        let (window, base) = self.reach(pfn)?;
        window.zero(base + offset, len);
        Ok(())
    }
}
