//! What an image says about itself: notes of owner `xenlite`, and the marks of kernels made for Xen.
//!
//! The notes' kinds and contents are [`guest_abi::elfnote`]'s. They are read from `PT_NOTE` segments, and where an
//! image has none of those, from `SHT_NOTE` sections. Xen 2.0 kernels describe themselves in a section
//! `__xen_guest` (Xen 2.0: domain builder); later ones in notes of owner `Xen`.

use crate::error::ImageError;
use elf::{ElfBytes, abi, endian::LittleEndian, note::Note, note::NoteIterator};
use guest_abi::elfnote::{self, ImageFlags, NoteType};

/// The section in which a Xen 2.0 kernel describes itself, with its terminating NUL.
const XEN_GUEST_SECTION: &[u8] = b"__xen_guest\0";
/// What a Xen 2.0 kernel must say there.
const XEN_20_MARK: &[u8] = b"XEN_VER=2.0";
/// Notes of the 32-bit class are padded to 4 bytes whatever their header says, and the parser believes the header.
const NOTE_ALIGN: u64 = 4;

/// The xenlite notes found, each at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes<'a> {
    /// Interface version.
    pub abi_version: Option<u32>,
    /// Virtual address of pseudo-physical frame 0.
    pub virt_base: Option<u32>,
    /// Entry point, where it is not the ELF header's.
    pub entry: Option<u32>,
    /// What the builder is to switch on, unchecked.
    pub flags: Option<u32>,
    /// The kernel's name.
    pub name: Option<&'a str>,
    /// A note of owner `Xen` was seen.
    has_xen_note: bool,
}

impl<'a> Notes<'a> {
    /// Collects all notes. A note that is cut off by its segment's end is not seen.
    pub fn collect(file: &ElfBytes<'a, LittleEndian>) -> Result<Self, ImageError> {
        let mut notes = Self::default();
        let mut has_segment = false;
        let headers = file
            .segments()
            .into_iter()
            .flat_map(|table| table.iter().enumerate());
        for (index, mut header) in headers.filter(|(_, h)| h.p_type == abi::PT_NOTE) {
            has_segment = true;
            header.p_align = NOTE_ALIGN;
            let found = file.segment_data_as_notes(&header);
            notes.add_all(found.map_err(|_| ImageError::SegmentOutsideFile { index })?)?;
        }
        if has_segment {
            return Ok(notes);
        }
        let sections = file.section_headers().into_iter().flat_map(|table| table.iter());
        for mut section in sections.filter(|s| s.sh_type == abi::SHT_NOTE) {
            section.sh_addralign = NOTE_ALIGN;
            notes.add_all(
                file.section_data_as_notes(&section)
                    .map_err(|_| ImageError::BadHeaders)?,
            )?;
        }
        Ok(notes)
    }

    fn add_all(&mut self, found: NoteIterator<'a, LittleEndian>) -> Result<(), ImageError> {
        for note in found {
            // The other variants are notes of owner GNU that the parser knows.
            if let Note::Unknown(note) = note {
                let owner = note.name.strip_suffix(b"\0").unwrap_or(note.name);
                self.has_xen_note |= owner == b"Xen";
                if owner == elfnote::OWNER.as_bytes() {
                    self.add(u32::try_from(note.n_type).unwrap_or(u32::MAX), note.desc)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: u32, desc: &'a [u8]) -> Result<(), ImageError> {
        let slot = match NoteType::new(kind) {
            NoteType::ABI_VERSION => &mut self.abi_version,
            NoteType::VIRT_BASE => &mut self.virt_base,
            NoteType::ENTRY => &mut self.entry,
            NoteType::FLAGS => &mut self.flags,
            NoteType::KERNEL_NAME => {
                let name = core::str::from_utf8(desc.strip_suffix(b"\0").unwrap_or(desc));
                let name = name.ok().filter(|n| !n.contains(char::is_control));
                return set_once(&mut self.name, name, kind);
            }
            _ => return Ok(()),
        };
        set_once(slot, desc.try_into().ok().map(u32::from_le_bytes), kind)
    }

    /// The flags asked for.
    pub fn image_flags(&self) -> Result<ImageFlags, ImageError> {
        let bits = self.flags.unwrap_or(0);
        ImageFlags::from_bits(bits).ok_or(ImageError::UnknownFlags {
            bits: bits & !ImageFlags::all().bits(),
        })
    }

    /// Why an image without an interface version is refused: it may be a Xen kernel, which deserves a better
    /// answer than "no note".
    pub fn explain_missing_abi(&self, file: &ElfBytes<'_, LittleEndian>, bytes: &[u8]) -> ImageError {
        match xen_guest_section(file, bytes) {
            Some(text) if text.windows(XEN_20_MARK.len()).any(|w| w == XEN_20_MARK) => ImageError::Xen20,
            Some(_) => ImageError::OtherXen,
            None if self.has_xen_note => ImageError::OtherXen,
            None => ImageError::NoAbiNote,
        }
    }
}

/// Fills `slot` with what a note of `kind` says, where that is well-formed and the first of its kind.
fn set_once<T>(slot: &mut Option<T>, value: Option<T>, kind: u32) -> Result<(), ImageError> {
    if slot.is_some() {
        return Err(ImageError::RepeatedNote { kind });
    }
    *slot = Some(value.ok_or(ImageError::BadNote { kind })?);
    Ok(())
}

/// The contents of section `__xen_guest`, if the image has one inside the file.
///
/// Names are compared in place, so that a hostile string table costs no more than its headers.
fn xen_guest_section<'a>(file: &ElfBytes<'_, LittleEndian>, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let sections = file.section_headers()?;
    let names = sections.get(usize::from(file.ehdr.e_shstrndx)).ok()?;
    let section = sections.iter().find(|section| {
        let at = names.sh_offset.checked_add(u64::from(section.sh_name));
        at.and_then(|at| slice(bytes, at, XEN_GUEST_SECTION.len() as u64)) == Some(XEN_GUEST_SECTION)
    })?;
    slice(bytes, section.sh_offset, section.sh_size)
}

/// `len` bytes of `bytes` from `start`, if they are all there.
fn slice(bytes: &[u8], start: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    bytes.get(start..end)
}
