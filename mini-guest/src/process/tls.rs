//! Thread-local storage: the three descriptors of a process, and the two shapes that reach all of their segment.
//!
//! A program's thread-local variables lie below its thread block, at negative offsets from the segment's base: on
//! Linux the segment is 4 GB long, so that base + offset wraps. Here segments end below the hypervisor's window, and a
//! processor refuses such an offset. A descriptor that was given 4 GB therefore has two shapes ([`Shape`]), and the
//! #GP of a wrong guess changes it to the other ([`TlsEntry::flip`]).

use guest_abi::segment::{Descriptor, DescriptorFlags, segment_type};

use crate::linux::{Errno, Packed, word};

/// The first GDT entry for programs, as on Linux.
pub const FIRST_ENTRY: u16 = 6;
/// How many there are.
pub const ENTRIES: usize = 3;

/// Bytes of `struct user_desc`.
pub const USER_DESC: usize = 16;
/// Flags of a `user_desc` that stands for no segment.
const EMPTY_FLAGS: u32 = 0x28;

/// Which offsets a segment of 4 GB reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 0 and up, to the hypervisor's window.
    Up,
    /// Below 0, that is, addresses below the base.
    Down,
}

/// A segment that a program asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsEntry {
    base: u32,
    limit: u32,
    in_pages: bool,
    writable: bool,
    shape: Shape,
}

/// The three of a process.
pub type TlsEntries = [Option<TlsEntry>; ENTRIES];

/// What set_thread_area asks for: which entry (`None` for any), and what is to be there.
pub type Request = (Option<usize>, Option<TlsEntry>);

/// Reads a `user_desc`.
///
/// # Errors
/// EINVAL: no such entry, or not an ordinary 32-bit data segment.
pub fn parse(desc: &[u8; USER_DESC]) -> Result<Request, Errno> {
    let (number, base, limit, flags) = (word(desc, 0), word(desc, 4), word(desc, 8), word(desc, 12));
    let index = match number {
        u32::MAX => None,
        _ => {
            let index = number
                .checked_sub(FIRST_ENTRY.into())
                .filter(|index| (*index as usize) < ENTRIES);
            Some(index.ok_or(Errno::EINVAL)? as usize)
        }
    };
    let is_empty = base == 0 && limit == 0 && flags & 0x7F == EMPTY_FLAGS;
    let is_zero = base == 0 && limit == 0 && flags == 0;
    if is_empty || is_zero {
        return Ok((index, None));
    }
    let is_32_bit = flags & 1 != 0;
    let is_data = flags & 0b110 == 0;
    let is_present = flags & 0x20 == 0;
    if !is_32_bit || !is_data || !is_present || limit > 0xF_FFFF {
        return Err(Errno::EINVAL);
    }
    let (in_pages, writable) = (flags & 0x10 != 0, flags & 8 == 0);
    Ok((
        index,
        Some(TlsEntry {
            base,
            limit,
            in_pages,
            writable,
            shape: Shape::Up,
        }),
    ))
}

/// `user_desc` of entry `index`.
#[must_use]
pub fn pack(index: usize, entry: Option<&TlsEntry>) -> [u8; USER_DESC] {
    let number = u32::from(FIRST_ENTRY) + index as u32;
    let (base, limit, flags) = match entry {
        Some(entry) => {
            let read_only = if entry.writable { 0 } else { 8 };
            let pages = if entry.in_pages { 0x10 } else { 0 };
            (entry.base, entry.limit, 0x41 | read_only | pages)
        }
        None => (0, 0, EMPTY_FLAGS),
    };
    Packed::new().u32(number).u32(base).u32(limit).u32(flags).finish()
}

/// Which of the entries a selector names.
#[must_use]
pub fn index_of(selector: u32) -> Option<usize> {
    let selector = selector as u16;
    let index = (selector >> 3).checked_sub(FIRST_ENTRY)?;
    (selector & 7 == 3 && usize::from(index) < ENTRIES).then_some(index.into())
}

impl TlsEntry {
    /// The descriptor in its present shape. The hypervisor cuts what reaches into its window.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        let writable = if self.writable { segment_type::WRITABLE } else { 0 };
        let pages = if self.in_pages {
            DescriptorFlags::PAGES
        } else {
            DescriptorFlags::empty()
        };
        let flags =
            DescriptorFlags::PRESENT | DescriptorFlags::CODE_OR_DATA | DescriptorFlags::SIZE_32 | pages;
        match self.shape {
            Shape::Up => {
                Descriptor::from_fields(self.base, self.limit, writable | segment_type::ACCESSED, 3, flags)
            }
            Shape::Down => {
                let limit = ((self.base & !0xFFF).wrapping_neg() >> 12).wrapping_sub(1);
                let kind = writable | segment_type::EXPAND_DOWN | segment_type::ACCESSED;
                Descriptor::from_fields(self.base, limit, kind, 3, flags)
            }
        }
    }

    /// Changes a segment of 4 GB to its other shape; `false` for others.
    pub fn flip(&mut self) -> bool {
        let is_whole = self.in_pages && self.limit == 0xF_FFFF && self.base >= 0x1000;
        if is_whole {
            self.shape = if self.shape == Shape::Up {
                Shape::Down
            } else {
                Shape::Up
            };
        }
        is_whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desc(words: [u32; 4]) -> [u8; USER_DESC] {
        words
            .iter()
            .fold(Packed::new(), |packed, word| packed.u32(*word))
            .finish()
    }

    #[test]
    fn what_a_c_library_asks_for() {
        let (index, entry) = parse(&desc([u32::MAX, 0x0810_0380, 0xF_FFFF, 0x51])).unwrap();
        let entry = entry.unwrap();
        assert_eq!(index, None);
        assert_eq!(entry.descriptor().raw(), 0x08CF_F310_0380_FFFF);
        assert_eq!(pack(1, Some(&entry)), desc([7, 0x0810_0380, 0xF_FFFF, 0x51]));
        assert_eq!(parse(&pack(1, Some(&entry))), Ok((Some(1), Some(entry))));
    }

    #[test]
    fn the_other_shape_reaches_below_the_base() {
        let mut entry = parse(&desc([6, 0x0810_0380, 0xF_FFFF, 0x51])).unwrap().1.unwrap();
        assert!(entry.flip());
        let down = entry.descriptor();
        assert_eq!(down.kind(), 7);
        // Offsets above the limit are valid: −32 is, and the lowest reaches below address 0x1000 without wrapping.
        assert!(down.limit() < (-32_i32) as u32);
        assert!(u64::from(down.base()) + u64::from(down.limit()) + 1 >= 1 << 32);
        assert!(entry.flip());
        assert_eq!(entry.descriptor().kind(), 3);
    }

    #[test]
    fn small_segments_have_one_shape() {
        let mut entry = parse(&desc([6, 0x1000, 0xFFF, 0x41])).unwrap().1.unwrap();
        assert!(!entry.flip());
        assert_eq!(entry.descriptor().limit(), 0xFFF);
    }

    #[test]
    fn an_empty_description_clears() {
        assert_eq!(parse(&desc([8, 0, 0, 0x28])), Ok((Some(2), None)));
        assert_eq!(parse(&pack(2, None)), Ok((Some(2), None)));
    }

    #[test]
    fn others_are_refused() {
        for bad in [
            [5, 0, 1, 0x51],
            [9, 0, 1, 0x51],
            [6, 0, 1, 0x50],
            [6, 0, 1, 0x55],
            [6, 0, 1 << 20, 0x51],
            [6, 1, 1, 0x71],
        ] {
            assert_eq!(parse(&desc(bad)), Err(Errno::EINVAL), "{bad:x?}");
        }
    }

    #[test]
    fn selectors_name_entries() {
        assert_eq!(index_of(0x33), Some(0));
        assert_eq!(index_of(0x43), Some(2));
        for other in [0, 0x30, 0x37, 0x2B, 0x4B, 0xE033] {
            assert_eq!(index_of(other), None);
        }
    }
}
