//! A program's ELF file, judged: what to map where, and where to begin.
//!
//! The file is whatever a program asked to execute. All checks are here; what [`Image`] holds afterwards can be
//! mapped as it says: segments lie in user space, in ascending order, on pages of their own, and their bytes in the file.

use arrayvec::ArrayVec;

use crate::linux::{Errno, word};
use crate::mm::layout::{USER_END, USER_START};

/// Bytes of the file's beginning that hold everything that is looked at: header and program headers.
pub const HEAD: usize = 4096;
/// Bytes of the ELF header.
const HEADER: usize = 52;
/// Bytes of a program header.
pub const PROGRAM_HEADER: u32 = 32;
/// Most segments that are loaded.
const MAX_SEGMENTS: usize = 16;
/// Pages.
const PAGE: u32 = 4096;

const ET_EXEC: u16 = 2;
const EM_386: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// A part of the file that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First address, page-aligned.
    pub start: u32,
    /// Address after the last byte, page-aligned.
    pub end: u32,
    /// Place in the file of the byte at `start`, page-aligned.
    pub offset: u32,
    /// Bytes from `start` on that come from the file; the rest is zero.
    pub file_len: u32,
    /// Whether the program may write there.
    pub writable: bool,
    /// Whether the program may execute there.
    pub executable: bool,
}

/// A program that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The first instruction.
    pub entry: u32,
    /// What is mapped.
    pub segments: ArrayVec<Segment, MAX_SEGMENTS>,
    /// Address of the program headers in memory, 0 where they are not mapped.
    pub headers_at: u32,
    /// How many program headers there are.
    pub header_count: u32,
    /// Where the break begins: the page after the last segment.
    pub brk: u32,
}

impl Image {
    /// Judges a file of `len` bytes that begins with `head` ([`HEAD`] bytes, or fewer if the file is shorter).
    ///
    /// # Errors
    /// ENOEXEC.
    pub fn parse(head: &[u8], len: u64) -> Result<Self, Errno> {
        let half = |at: usize| {
            head.get(at..)
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |b| u16::from_le_bytes(*b))
        };
        let is_ours = head.len() >= HEADER
            && head.starts_with(b"\x7fELF\x01\x01")
            && half(16) == ET_EXEC
            && half(18) == EM_386
            && u32::from(half(42)) == PROGRAM_HEADER;
        let (entry, table, count) = (word(head, 24), word(head, 28), u32::from(half(44)));
        let table_end = count
            .checked_mul(PROGRAM_HEADER)
            .and_then(|bytes| bytes.checked_add(table));
        if !is_ours || count == 0 || table_end.is_none_or(|end| end as usize > head.len()) {
            return Err(Errno::ENOEXEC);
        }
        let mut segments = ArrayVec::<Segment, MAX_SEGMENTS>::new();
        let mut headers_at = 0;
        for index in 0..count {
            let header = &head[(table + index * PROGRAM_HEADER) as usize..][..PROGRAM_HEADER as usize];
            match word(header, 0) {
                PT_INTERP => return Err(Errno::ENOEXEC),
                PT_LOAD if word(header, 20) != 0 => {
                    let segment = load_segment(header, len)?;
                    if segments.last().is_some_and(|last| last.end > segment.start) {
                        return Err(Errno::ENOEXEC);
                    }
                    if let Some(at) = table.checked_sub(segment.offset)
                        && at
                            .checked_add(count * PROGRAM_HEADER)
                            .is_some_and(|end| end <= segment.file_len)
                    {
                        headers_at = segment.start + at;
                    }
                    segments.try_push(segment).map_err(|_| Errno::ENOEXEC)?;
                }
                _ => {}
            }
        }
        let is_inside = segments
            .iter()
            .any(|s| s.executable && (s.start..s.end).contains(&entry));
        let brk = segments.last().map_or(0, |last| last.end);
        if !is_inside {
            return Err(Errno::ENOEXEC);
        }
        Ok(Self {
            entry,
            segments,
            headers_at,
            header_count: count,
            brk,
        })
    }
}

fn load_segment(header: &[u8], len: u64) -> Result<Segment, Errno> {
    let (offset, address) = (word(header, 4), word(header, 8));
    let (file_size, memory_size, flags) = (word(header, 16), word(header, 20), word(header, 24));
    let shift = address % PAGE;
    let end = address
        .checked_add(memory_size)
        .filter(|end| *end <= USER_END)
        .ok_or(Errno::ENOEXEC)?;
    let in_file = u64::from(offset) + u64::from(file_size) <= len;
    if file_size > memory_size
        || !in_file
        || address < USER_START
        || (file_size > 0 && offset % PAGE != shift)
    {
        return Err(Errno::ENOEXEC);
    }
    Ok(Segment {
        start: address - shift,
        end: end.next_multiple_of(PAGE),
        offset: if file_size > 0 { offset - shift } else { 0 },
        file_len: if file_size > 0 { file_size + shift } else { 0 },
        writable: flags & PF_W != 0,
        executable: flags & PF_X != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Type, offset, address, file size, memory size, flags.
    type Header = [u32; 6];

    fn file(headers: &[Header]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        bytes[..6].copy_from_slice(b"\x7fELF\x01\x01");
        bytes[16] = 2;
        bytes[18] = 3;
        bytes[24..28].copy_from_slice(&0x0804_8100_u32.to_le_bytes());
        bytes[28] = 52;
        bytes[42] = 32;
        bytes[44] = headers.len() as u8;
        for (index, [kind, offset, address, file_size, memory_size, flags]) in headers.iter().enumerate() {
            let words = [
                *kind,
                *offset,
                *address,
                0,
                *file_size,
                *memory_size,
                *flags,
                PAGE,
            ];
            for (n, value) in words.iter().enumerate() {
                let at = 52 + index * 32 + n * 4;
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
        bytes
    }

    const TEXT: Header = [PT_LOAD, 0, 0x0804_8000, 0x500, 0x500, 5];
    const DATA: Header = [PT_LOAD, 0x1F80, 0x0804_AF80, 0x100, 0x2000, 6];
    const LEN: u64 = 0x2080;

    #[test]
    fn a_usual_program_is_understood() {
        let image = Image::parse(&file(&[TEXT, DATA]), LEN).unwrap();
        assert_eq!(image.headers_at, 0x0804_8034);
        assert_eq!(
            (image.entry, image.header_count, image.brk),
            (0x0804_8100, 2, 0x0804_D000)
        );
        let data = image.segments[1];
        assert_eq!(
            (data.start, data.end, data.offset, data.file_len),
            (0x0804_A000, 0x0804_D000, 0x1000, 0x1080)
        );
        assert!(
            data.writable && !data.executable && !image.segments[0].writable && image.segments[0].executable
        );
    }

    #[test]
    fn what_cannot_be_mapped_is_refused() {
        let bad = |change: fn(&mut Vec<Header>)| {
            let mut headers = vec![TEXT, DATA];
            change(&mut headers);
            assert_eq!(
                Image::parse(&file(&headers), LEN),
                Err(Errno::ENOEXEC),
                "{headers:x?}"
            );
        };
        bad(|h| h.clear());
        bad(|h| h[0][0] = PT_INTERP);
        bad(|h| h[0][5] = 4);
        bad(|h| h[1][2] += 1);
        bad(|h| h[1][3] = 0x3000);
        bad(|h| h[1][3] = 0x200);
        bad(|h| h[1][2] = 0xBFFF_EF80);
        bad(|h| h[1][4] = 0xF800_0000);
        bad(|h| h[1][2] = 0x0804_8F80);
        bad(|h| h.swap(0, 1));
        bad(|h| h[0][2] = 0);
    }

    #[test]
    fn other_files_are_refused() {
        let good = file(&[TEXT]);
        for (at, value) in [(0, b'X'), (4, 2), (5, 2), (16, 3), (18, 62), (42, 56), (45, 1)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Image::parse(&bad, LEN), Err(Errno::ENOEXEC), "byte {at}");
        }
        assert_eq!(Image::parse(&good[..51], 51), Err(Errno::ENOEXEC));
        assert_eq!(Image::parse(b"#!/bin/sh", 9), Err(Errno::ENOEXEC));
        assert_eq!(Image::parse(&[], 0), Err(Errno::ENOEXEC));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_can_be_mapped(flips in proptest::collection::vec((0_usize..120, any::<u8>()), 0..4)) {
            let mut bytes = file(&[TEXT, DATA]);
            for (at, value) in flips {
                bytes[at] = value;
            }
            if let Ok(image) = Image::parse(&bytes, LEN) {
                let mut last = USER_START;
                for segment in &image.segments {
                    prop_assert!(segment.start >= last && segment.start < segment.end && segment.end <= USER_END);
                    prop_assert!(u64::from(segment.offset) + u64::from(segment.file_len) <= LEN);
                    prop_assert!(segment.file_len <= segment.end - segment.start);
                    prop_assert_eq!(segment.start % PAGE + segment.offset % PAGE + segment.end % PAGE, 0);
                    last = segment.end;
                }
            }
        }
    }
}
