//! The audit of free frames.

use super::{Audit, Difference};
use crate::platform::FrameMemory;

impl<M: FrameMemory, R: FnMut(Difference)> Audit<'_, M, R> {
    pub(super) fn check_free_lists(&mut self) {
        let (allocator, frames) = (&self.mm.allocator, self.mm.frames);
        let (mut found, mut dirty, mut is_sound) = (0, 0, true);
        allocator.for_each_block(frames, |block| match block {
            Some((head, order)) => {
                for n in head.raw()..head.raw() + (1 << order) {
                    let word = frames.free_word(n);
                    is_sound &= word.is_free() && (n == head.raw()) == word.head_order().is_some();
                    found += 1;
                    dirty += u32::from(!word.is_clean());
                }
            }
            None => is_sound = false,
        });
        if !is_sound || found != allocator.free_frames() {
            (self.report)(Difference::FreeList {
                kept: allocator.free_frames(),
                found,
            });
        } else if dirty != allocator.dirty_frames() {
            (self.report)(Difference::FreeList {
                kept: allocator.dirty_frames(),
                found: dirty,
            });
        }
    }
}
