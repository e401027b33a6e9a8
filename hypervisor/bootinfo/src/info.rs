//! The result, and the checks that both protocols share.

use crate::error::{BootError, ModuleAt};
use crate::framebuffer::Framebuffer;
use crate::memory_map::{LOW_MEMORY_END, MemoryMap, RegionKind};
use crate::range::PhysRange;
use crate::rsdp::Rsdp;
use crate::text::{Text, TextPool};
use crate::warning::BootWarning;
use arrayvec::ArrayVec;
use guest_abi::addr::PAGE_SIZE;

/// Most modules that are kept: Domain 0's kernel and ramdisk, and 32 that are passed on to it.
pub const MAX_MODULES: usize = 34;
/// Most warnings that are kept; later ones are only counted.
pub const MAX_WARNINGS: usize = 16;

/// A file that the loader put into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its bytes; page-aligned at the start. All of its last page is its own.
    pub range: PhysRange,
    cmd_line: Text,
}

impl Module {
    /// Whether the module lies in the first MiB, whose frames are not a domain's as they are: it must be copied before it is
    /// passed on. (GRUB on UEFI fills memory from the bottom, so small modules do lie there.)
    #[must_use]
    pub const fn is_low(&self) -> bool {
        !self.range.is_empty() && self.range.start < LOW_MEMORY_END
    }
}

/// What the loader handed over. See the crate's description for what holds of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootInfo {
    memory: MemoryMap,
    modules: ArrayVec<Module, MAX_MODULES>,
    cmd_line: Text,
    loader: Text,
    framebuffer: Option<Framebuffer>,
    rsdp: Option<Rsdp>,
    warnings: ArrayVec<BootWarning, MAX_WARNINGS>,
    warnings_lost: usize,
    text: TextPool,
}

impl BootInfo {
    /// Nothing, to be filled by [`BootInfo::read_multiboot1`] or [`BootInfo::read_multiboot2`].
    #[must_use]
    pub const fn new() -> Self {
        Self {
            memory: MemoryMap::new(),
            modules: ArrayVec::new_const(),
            cmd_line: Text::EMPTY,
            loader: Text::EMPTY,
            framebuffer: None,
            rsdp: None,
            warnings: ArrayVec::new_const(),
            warnings_lost: 0,
            text: TextPool::new(),
        }
    }

    /// The memory map.
    #[must_use]
    pub const fn memory(&self) -> &MemoryMap {
        &self.memory
    }

    /// All modules in the loader's order: Domain 0's kernel, its ramdisk, the others.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The command line of a module of this boot information, without the file's name. Any bytes but NUL.
    #[must_use]
    pub fn module_cmd_line(&self, module: &Module) -> &[u8] {
        self.text.get(module.cmd_line)
    }

    /// The hypervisor's command line, without the file's name; printable ASCII.
    #[must_use]
    pub fn cmd_line(&self) -> &str {
        core::str::from_utf8(self.text.get(self.cmd_line)).unwrap_or_default()
    }

    /// The loader's name; printable ASCII, empty where it does not say.
    #[must_use]
    pub fn loader(&self) -> &str {
        core::str::from_utf8(self.text.get(self.loader)).unwrap_or_default()
    }

    /// The framebuffer or text screen that the loader has set up.
    #[must_use]
    pub const fn framebuffer(&self) -> Option<&Framebuffer> {
        self.framebuffer.as_ref()
    }

    /// The ACPI root pointer.
    #[must_use]
    pub const fn rsdp(&self) -> Option<&Rsdp> {
        self.rsdp.as_ref()
    }

    /// What was ignored or cut, in the order in which it was found.
    #[must_use]
    pub fn warnings(&self) -> &[BootWarning] {
        &self.warnings
    }

    /// How many warnings were not kept.
    #[must_use]
    pub const fn warnings_lost(&self) -> usize {
        self.warnings_lost
    }

    /// Forgets everything, in place.
    pub(crate) fn clear(&mut self) {
        self.memory = MemoryMap::new();
        self.modules.clear();
        (self.cmd_line, self.loader) = (Text::EMPTY, Text::EMPTY);
        (self.framebuffer, self.rsdp) = (None, None);
        self.warnings.clear();
        self.warnings_lost = 0;
        self.text.clear();
    }

    pub(crate) fn warn(&mut self, warning: BootWarning) {
        if self.warnings.try_push(warning).is_err() {
            self.warnings_lost += 1;
        }
    }

    pub(crate) fn set_memory(
        &mut self,
        entries: impl Iterator<Item = crate::memory_map::RawEntry> + Clone,
    ) -> Result<(), BootError> {
        let (warnings, lost) = (&mut self.warnings, &mut self.warnings_lost);
        self.memory.fill(entries, |warning| {
            *lost += usize::from(warnings.try_push(warning).is_err())
        })
    }

    pub(crate) fn set_cmd_line(&mut self, line: &[u8]) -> Result<(), BootError> {
        self.cmd_line = self.text.add_printable(line)?;
        Ok(())
    }

    pub(crate) fn set_loader(&mut self, name: &[u8]) -> Result<(), BootError> {
        self.loader = self.text.add_printable(name)?;
        Ok(())
    }

    pub(crate) fn add_module(&mut self, range: PhysRange, cmd_line: &[u8]) -> Result<(), BootError> {
        let cmd_line = self.text.add(cmd_line)?;
        self.modules
            .try_push(Module { range, cmd_line })
            .map_err(|_| BootError::TooManyModules)
    }

    /// Takes a framebuffer that was decoded, or says why not.
    pub(crate) fn set_framebuffer(&mut self, decoded: Result<Framebuffer, &'static str>) {
        match decoded {
            Ok(framebuffer) => self.framebuffer = Some(framebuffer),
            Err(why) => self.warn(BootWarning::FramebufferIgnored { why }),
        }
    }

    /// Takes a root pointer that was decoded, where there was one to decode.
    pub(crate) fn set_rsdp(&mut self, decoded: Option<Rsdp>) {
        match decoded {
            Some(rsdp) => self.rsdp = Some(rsdp),
            None => self.warn(BootWarning::RsdpIgnored),
        }
    }

    /// The checks that need the whole picture; `image` is the hypervisor's own image, `info` the loader's structures.
    pub(crate) fn check(&mut self, image: PhysRange, info: &[PhysRange]) -> Result<(), BootError> {
        if self.modules.is_empty() {
            return Err(BootError::NoKernel);
        }
        for (index, module) in self.modules.iter().enumerate() {
            let this = ModuleAt {
                index,
                range: module.range,
            };
            self.check_module(&this, image, info)?;
            for (other, earlier) in self.modules[..index].iter().enumerate() {
                if earlier
                    .range
                    .page_outward()
                    .overlaps(&module.range.page_outward())
                {
                    return Err(BootError::ModulesOverlap(
                        ModuleAt {
                            index: other,
                            range: earlier.range,
                        },
                        this,
                    ));
                }
            }
        }
        self.check_framebuffer();
        Ok(())
    }

    /// An empty module occupies nothing, so its address does not matter.
    fn check_module(&self, this: &ModuleAt, image: PhysRange, info: &[PhysRange]) -> Result<(), BootError> {
        let range = this.range;
        if range.end < range.start {
            return Err(BootError::ModuleReversed(*this));
        }
        if range.is_empty() {
            return Ok(());
        }
        if !range.start.is_multiple_of(PAGE_SIZE as u64) {
            return Err(BootError::ModuleUnaligned(*this));
        }
        let pages = range.page_outward();
        if !self.memory.is_ram(&pages) {
            return Err(BootError::ModuleOutsideRam(*this));
        }
        if pages.overlaps(&image.page_outward()) {
            return Err(BootError::ModuleOverlapsImage(*this));
        }
        // The loader may put its structures into the rest of a module's last page: they are copied by now.
        if info.iter().any(|piece| piece.overlaps(&range)) {
            return Err(BootError::ModuleOverlapsInfo(*this));
        }
        Ok(())
    }

    /// Whoever believed a framebuffer in RAM would paint over someone's memory.
    fn check_framebuffer(&mut self) {
        let Some(framebuffer) = &self.framebuffer else {
            return;
        };
        let range = framebuffer.range();
        let is_ram = |r: &&crate::memory_map::Region| r.kind == RegionKind::Ram && r.range.overlaps(&range);
        if self.memory.regions().iter().any(|r| is_ram(&r)) {
            self.framebuffer = None;
            self.warn(BootWarning::FramebufferInRam(range));
        }
    }
}
