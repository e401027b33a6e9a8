//! What the module list of a domain says: the entries of [`guest_abi::module_list`], the ramdisk's first.
//!
//! The list is made only where there are modules besides the ramdisk; a domain without them finds its ramdisk at
//! `mod_start` itself. Modules other than the ramdisk are frames of the domain that nothing maps yet.

use crate::layout::{Layout, Module};
use guest_abi::addr::GuestVirt;
use guest_abi::module_list::{MODULE_LIST_MAGIC, ModuleEntry, ModuleListHeader};

/// Bytes that the list and its command lines take; 0 where there are no further modules.
pub(crate) fn list_bytes(modules: &[Module<'_>]) -> u64 {
    if modules.is_empty() {
        return 0;
    }
    lines_start(modules) + modules.iter().map(|m| m.cmd_line.len() as u64).sum::<u64>()
}

/// The list's header.
pub(crate) fn header(modules: &[Module<'_>]) -> ModuleListHeader {
    ModuleListHeader {
        magic: MODULE_LIST_MAGIC,
        count: modules.len() as u32 + 1,
    }
}

/// The list's entries. `modules` must be those that `layout` was planned with, so the list is known to fit into the
/// guest's virtual space and its offsets into 32 bits.
pub(crate) fn entries(layout: &Layout, modules: &[Module<'_>]) -> impl Iterator<Item = ModuleEntry> {
    let mut line = lines_start(modules) as u32;
    let ramdisk = ModuleEntry {
        pfn: layout.ramdisk.first,
        virt: if layout.ramdisk_len == 0 {
            GuestVirt::new(0)
        } else {
            layout.ramdisk.virt
        },
        len: u64::from(layout.ramdisk_len),
        cmdline_offset: line,
        cmdline_len: 0,
    };
    let others = layout.modules.iter().zip(modules).map(move |(frames, module)| {
        let cmdline_len = module.cmd_line.len() as u32;
        let cmdline_offset = line;
        line += cmdline_len;
        let (pfn, len) = (frames.first, u64::from(frames.len));
        ModuleEntry {
            pfn,
            virt: GuestVirt::new(0),
            len,
            cmdline_offset,
            cmdline_len,
        }
    });
    core::iter::once(ramdisk).chain(others)
}

/// Where the command lines begin: after the header and the entries.
fn lines_start(modules: &[Module<'_>]) -> u64 {
    (size_of::<ModuleListHeader>() + (modules.len() + 1) * size_of::<ModuleEntry>()) as u64
}
