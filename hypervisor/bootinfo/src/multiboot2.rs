//! Multiboot 2: GRUB on BIOS and UEFI.
//!
//! The information is one block of tags. The `multiboot2` crate proves that the block is a sound sequence of tags and
//! walks it; what a tag contains is decoded here, because the crate's typed tags panic on contents that make no
//! sense, and a loader's mistake deserves a line. Source: Multiboot2 Specification 2.0, 3.6.
//!
//! GRUB leaves the file's name out of command lines.

use crate::error::BootError;
use crate::framebuffer::Framebuffer;
use crate::info::BootInfo;
use crate::memory_map::RawEntry;
use crate::multiboot1::sizes_as_map;
use crate::range::PhysRange;
use crate::rsdp::Rsdp;
use crate::warning::BootWarning;
use crate::wire::{u32_at, u64_at};
use multiboot2::{BootInformation, TagType};

/// What EAX holds when a loader of this protocol enters.
pub const BOOT_MAGIC: u32 = multiboot2::MAGIC;

/// Bytes of a memory map entry, at least.
const MAP_ENTRY_LEN: usize = 24;

/// A tag: its type's number, and what follows its header.
type RawTag<'t> = (u32, &'t [u8]);

impl BootInfo {
    /// Fills this from the block that the binary has loaded from address `at` (what EBX held). `image` is where the
    /// hypervisor itself lies.
    ///
    /// # Errors
    /// What makes it unusable; this then holds nothing.
    pub fn read_multiboot2(
        &mut self,
        block: &BootInformation<'_>,
        at: u64,
        image: PhysRange,
    ) -> Result<(), BootError> {
        self.clear();
        let tags = block
            .tags()
            .map(|tag| (u32::from(tag.header().typ), tag.payload()));
        let info = PhysRange::new(at, at.saturating_add(block.total_size() as u64));
        let result = self.read_tags(tags).and_then(|()| self.check(image, &[info]));
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn read_tags<'t>(&mut self, tags: impl Iterator<Item = RawTag<'t>> + Clone) -> Result<(), BootError> {
        let first = |kind: TagType| tags.clone().find(|tag| tag.0 == kind.val()).map(|tag| tag.1);
        for (kind, what) in [
            (TagType::Mmap, "memory maps"),
            (TagType::Cmdline, "command lines"),
            (TagType::Framebuffer, "framebuffers"),
        ] {
            if tags.clone().filter(|tag| tag.0 == kind.val()).count() > 1 {
                self.warn(BootWarning::Repeated { what });
            }
        }
        self.set_loader(first(TagType::BootLoaderName).unwrap_or_default())?;
        self.set_cmd_line(first(TagType::Cmdline).unwrap_or_default())?;
        match (first(TagType::Mmap), first(TagType::BasicMeminfo)) {
            (Some(map), _) => self.set_memory(map_entries(map)?)?,
            (None, Some(sizes)) => {
                let sizes = u32_at(sizes, 0).zip(u32_at(sizes, 4));
                let (lower, upper) = sizes.ok_or(BootError::Malformed { what: "memory sizes" })?;
                self.warn(BootWarning::SizesOnly);
                self.set_memory(sizes_as_map(lower, upper).into_iter())?;
            }
            (None, None) => return Err(BootError::NoMemoryMap),
        }
        for (_, module) in tags.clone().filter(|tag| tag.0 == TagType::Module.val()) {
            let ends = u32_at(module, 0).zip(u32_at(module, 4));
            let (start, end) = ends.ok_or(BootError::Malformed { what: "module tag" })?;
            self.add_module(PhysRange::new(u64::from(start), u64::from(end)), &module[8..])?;
        }
        if let Some(framebuffer) = first(TagType::Framebuffer) {
            // Two reserved bytes stand before the colour information.
            self.set_framebuffer(Framebuffer::decode(framebuffer, 24));
        }
        // The newer structure is preferred, unless only the older one is sound.
        let pointers = [first(TagType::AcpiV2), first(TagType::AcpiV1)];
        if pointers.iter().any(Option::is_some) {
            self.set_rsdp(pointers.into_iter().flatten().find_map(Rsdp::decode));
        }
        Ok(())
    }
}

/// The entries of a memory map tag. A rest shorter than an entry is no entry.
fn map_entries(map: &[u8]) -> Result<impl Iterator<Item = RawEntry> + Clone + '_, BootError> {
    let malformed = BootError::Malformed { what: "memory map" };
    let size = u32_at(map, 0).ok_or(malformed)? as usize;
    let entries = map.get(8..).ok_or(malformed)?;
    if size < MAP_ENTRY_LEN || !entries.len().is_multiple_of(size) {
        return Err(malformed);
    }
    Ok(entries.chunks_exact(size).filter_map(|entry| {
        Some(RawEntry {
            start: u64_at(entry, 0)?,
            len: u64_at(entry, 8)?,
            kind: u32_at(entry, 16)?,
        })
    }))
}
