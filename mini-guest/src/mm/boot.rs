//! What the domain builder left in memory: which frames are taken when the kernel starts.

use core::ops::Range;

use guest_abi::addr::{GuestVirt, PAGE_SIZE, Pfn};
use guest_abi::module_list::{ModuleEntry, ModuleList};
use guest_abi::start_info::{StartFlags, StartInfo};

use super::layout::{DIRECT_START, direct_pfn};

/// The RAM disk that came with the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ramdisk {
    /// Linear address of its first byte; 0 where there is none.
    pub start: u32,
    /// Its length in bytes.
    pub len: u32,
}

/// Frames from 0 up to this are in use at the start, as the builder lines its pieces up: image, ramdisk,
/// module list, P2M list, page tables, start_info, boot stack, and the rings where there are any.
///
/// `start_info_at` is where start_info lies; `rings` are the frames of the store and console rings.
#[must_use]
pub fn used_end(start_info: &StartInfo, start_info_at: u32, rings: &[Option<Pfn>]) -> u32 {
    let boot_stack_end = direct_pfn(start_info_at).raw() + 2;
    let rings_end = rings.iter().flatten().map(|pfn| pfn.raw() + 1).max().unwrap_or(0);
    let modules_end = if start_info.flags.contains(StartFlags::MODULE_LIST) {
        0
    } else {
        end_pfn(start_info.mod_start, start_info.mod_len)
    };
    boot_stack_end.max(rings_end).max(modules_end)
}

fn end_pfn(start: GuestVirt, len: u32) -> u32 {
    match start.raw().checked_sub(DIRECT_START) {
        Some(offset) => offset.saturating_add(len).div_ceil(PAGE_SIZE as u32),
        None => 0,
    }
}

/// The RAM disk: what `mod_start` points to, or the first entry of the module list.
#[must_use]
pub fn ramdisk(start_info: &StartInfo, list: Option<&ModuleList<'_>>) -> Ramdisk {
    match list.and_then(|list| list.iter().next()) {
        Some(entry) => Ramdisk {
            start: entry.virt.raw(),
            len: u32::try_from(entry.len).unwrap_or(0),
        },
        None if start_info.flags.contains(StartFlags::MODULE_LIST) => Ramdisk::default(),
        None => Ramdisk {
            start: start_info.mod_start.raw(),
            len: start_info.mod_len,
        },
    }
}

/// The frames of one module.
#[must_use]
pub fn module_frames(entry: &ModuleEntry) -> Range<u32> {
    let count = u32::try_from(entry.frames()).unwrap_or(u32::MAX);
    entry.pfn.raw()..entry.pfn.raw().saturating_add(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> StartInfo {
        StartInfo {
            nr_pages: 1000,
            ..StartInfo::default()
        }
    }

    #[test]
    fn everything_up_to_the_boot_stack_is_used() {
        assert_eq!(used_end(&info(), DIRECT_START + 40 * 4096, &[]), 42);
    }

    #[test]
    fn rings_after_the_stack_are_used_too() {
        assert_eq!(
            used_end(&info(), DIRECT_START + 40 * 4096, &[Some(Pfn::new(43)), None]),
            44
        );
    }

    #[test]
    fn ramdisk_is_where_start_info_says() {
        let with = StartInfo {
            mod_start: GuestVirt::new(DIRECT_START + 0x5000),
            mod_len: 10,
            ..info()
        };
        assert_eq!(
            ramdisk(&with, None),
            Ramdisk {
                start: DIRECT_START + 0x5000,
                len: 10
            }
        );
        assert_eq!(used_end(&with, DIRECT_START + 4096, &[]), 6);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_no_ramdisk() {
        let with = StartInfo {
            flags: StartFlags::MODULE_LIST,
            mod_start: GuestVirt::new(DIRECT_START),
            ..info()
        };
        assert_eq!(ramdisk(&with, None), Ramdisk::default());
    }
}
