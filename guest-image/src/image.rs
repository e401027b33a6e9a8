//! A guest kernel's ELF32 file, judged: what to load where, where to start, which interface it wants.
//!
//! The file is hostile input: in Domain 0 it comes from whoever may create a domain. Everything is checked once,
//! in [`KernelImage::parse`]; what the type holds afterwards keeps these invariants:
//!
//! * every segment's bytes lie in the file, and its addresses below the hypervisor's window, without wrapping;
//! * segments are sorted by address and share no byte (they may share a page);
//! * the entry point lies in an executable segment;
//! * the virtual base is page-aligned and not above the first segment.
//!
//! Header tables and notes are walked with the `elf` crate (safe, no allocation, every offset checked); what is
//! judged here is what a *guest kernel* may look like. Unlike Xen 2.0, which loads only segments that are writable
//! or executable, every `PT_LOAD` segment is loaded: today's linkers put constants into a segment that is neither.

use crate::{error::ImageError, note::Notes};
use arrayvec::ArrayVec;
use elf::{ElfBytes, abi, endian::LittleEndian, parse::ParseError, segment::ProgramHeader};
use guest_abi::addr::{GuestVirt, HV_START, PAGE_SIZE};
use guest_abi::elfnote::{ABI_VERSION, ImageFlags};

/// Most segments that an image may load; linkers make four or five.
pub const MAX_SEGMENTS: usize = 16;

/// Bytes in an ELF header of the 32-bit class.
const ELF_HEADER_LEN: usize = 52;

/// Beginnings of files that hold a compressed kernel.
const COMPRESSED: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
];

/// One segment to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// First address.
    pub start: GuestVirt,
    /// Bytes in memory; what `data` does not cover is zero.
    pub mem_size: u32,
    /// Bytes from the file, at most `mem_size`.
    pub data: &'a [u8],
    /// Program header index, for messages.
    pub index: usize,
    is_executable: bool,
}

impl Segment<'_> {
    /// First address after the segment.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.start.raw() + self.mem_size
    }

    const fn contains(&self, addr: u32) -> bool {
        self.start.raw() <= addr && addr < self.end()
    }
}

/// A kernel image that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage<'a> {
    entry: GuestVirt,
    virt_base: GuestVirt,
    flags: ImageFlags,
    name: &'a str,
    segments: ArrayVec<Segment<'a>, MAX_SEGMENTS>,
}

impl<'a> KernelImage<'a> {
    /// Judges `bytes`, a whole kernel file.
    ///
    /// # Errors
    /// The first reason found to refuse it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let file = open(bytes)?;
        let notes = Notes::collect(&file)?;
        match notes.abi_version {
            None => return Err(notes.explain_missing_abi(&file, bytes)),
            Some(version) if !is_known_version(version) => return Err(ImageError::UnknownAbi { version }),
            Some(_) => {}
        }
        let flags = notes.image_flags()?;
        let segments = load_segments(&file)?;
        let lowest = segments.first().ok_or(ImageError::NothingToLoad)?.start.raw();

        let header_entry = u32::try_from(file.ehdr.e_entry).map_err(|_| ImageError::BadHeaders)?;
        let entry = notes.entry.unwrap_or(header_entry);
        if !segments.iter().any(|s| s.is_executable && s.contains(entry)) {
            return Err(ImageError::EntryOutsideImage { entry });
        }
        let base = notes.virt_base.unwrap_or(lowest);
        if !base.is_multiple_of(PAGE_SIZE as u32) {
            return Err(ImageError::UnalignedBase { base });
        }
        if base > lowest {
            return Err(ImageError::BaseAboveImage { base, lowest });
        }
        Ok(Self {
            entry: GuestVirt::new(entry),
            virt_base: GuestVirt::new(base),
            flags,
            name: notes.name.unwrap_or(""),
            segments,
        })
    }

    /// Where the first vCPU starts.
    #[must_use]
    pub const fn entry(&self) -> GuestVirt {
        self.entry
    }

    /// Virtual address of pseudo-physical frame 0.
    #[must_use]
    pub const fn virt_base(&self) -> GuestVirt {
        self.virt_base
    }

    /// What the kernel wants switched on before it starts.
    #[must_use]
    pub const fn flags(&self) -> ImageFlags {
        self.flags
    }

    /// The kernel's name and version for reports; empty where it does not say. It holds no control characters.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// What to load, by rising address.
    #[must_use]
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// First address after the last segment.
    #[must_use]
    pub fn end(&self) -> GuestVirt {
        GuestVirt::new(self.segments.last().map_or(self.virt_base.raw(), Segment::end))
    }
}

/// Whether a kernel made for `version` of the interface runs here: the same major version (bits 31:16), and no
/// higher minor one.
const fn is_known_version(version: u32) -> bool {
    version >> 16 == ABI_VERSION >> 16 && version <= ABI_VERSION
}

/// Reads the ELF header and finds the header tables.
fn open(bytes: &[u8]) -> Result<ElfBytes<'_, LittleEndian>, ImageError> {
    if let Some(&(_, format)) = COMPRESSED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(ImageError::Compressed { format });
    }
    if bytes.len() < ELF_HEADER_LEN {
        return Err(ImageError::TooShort { len: bytes.len() });
    }
    if !bytes.starts_with(&abi::ELFMAGIC) {
        return Err(ImageError::NotElf);
    }
    if bytes[abi::EI_CLASS] != abi::ELFCLASS32 {
        return Err(ImageError::Not32Bit);
    }
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(|error| match error {
        ParseError::UnsupportedElfEndianness(_) => ImageError::NotI386 { machine: 0 },
        _ => ImageError::BadHeaders,
    })?;
    if file.ehdr.e_machine != abi::EM_386 {
        return Err(ImageError::NotI386 {
            machine: file.ehdr.e_machine,
        });
    }
    if file.ehdr.e_type != abi::ET_EXEC {
        return Err(ImageError::NotExecutable {
            kind: file.ehdr.e_type,
        });
    }
    Ok(file)
}

/// The `PT_LOAD` segments, checked and sorted by address.
fn load_segments<'a>(
    file: &ElfBytes<'a, LittleEndian>,
) -> Result<ArrayVec<Segment<'a>, MAX_SEGMENTS>, ImageError> {
    let mut segments = ArrayVec::new();
    let headers = file.segments().ok_or(ImageError::NothingToLoad)?;
    for (index, header) in headers.iter().enumerate() {
        if header.p_type != abi::PT_LOAD || header.p_memsz == 0 && header.p_filesz == 0 {
            continue;
        }
        let segment = check_segment(file, index, &header)?;
        segments
            .try_push(segment)
            .map_err(|_| ImageError::TooManySegments { limit: MAX_SEGMENTS })?;
    }
    segments.sort_unstable_by_key(|s| s.start);
    let mut pairs = segments.iter().zip(segments.iter().skip(1));
    if let Some((a, b)) = pairs.find(|(a, b)| a.end() > b.start.raw()) {
        let (first, second) = (a.index.min(b.index), a.index.max(b.index));
        return Err(ImageError::SegmentsOverlap { first, second });
    }
    Ok(segments)
}

fn check_segment<'a>(
    file: &ElfBytes<'a, LittleEndian>,
    index: usize,
    header: &ProgramHeader,
) -> Result<Segment<'a>, ImageError> {
    let data = file
        .segment_data(header)
        .map_err(|_| ImageError::SegmentOutsideFile { index })?;
    if header.p_filesz > header.p_memsz {
        return Err(ImageError::SegmentShrinks { index });
    }
    // The 32-bit class: these fields cannot exceed 32 bits, whatever type the parser holds them in.
    let narrow = |value: u64| u32::try_from(value).map_err(|_| ImageError::BadHeaders);
    let (start, size) = (narrow(header.p_vaddr)?, narrow(header.p_memsz)?);
    match start.checked_add(size) {
        Some(end) if end <= HV_START => Ok(Segment {
            start: GuestVirt::new(start),
            mem_size: size,
            data,
            index,
            is_executable: header.p_flags & abi::PF_X != 0,
        }),
        _ => Err(ImageError::SegmentOutsideGuest { index, start, size }),
    }
}
