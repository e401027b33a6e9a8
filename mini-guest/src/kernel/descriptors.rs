//! The GDT of this domain: one page, of which programs use three entries for thread-local storage.
//!
//! Code and stack selectors are the hypervisor's flat ones, in its own page of every GDT. Ours is read-only to us
//! once it is a descriptor page; entries change by `update_descriptor`, at a process switch as part of its multicall.

use guest_abi::addr::{MachAddr, Pfn};
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::multicall::MulticallEntry;
use guest_abi::segment::Descriptor;

use super::Kernel;
use crate::hypercall;
use crate::linux;
use crate::mm::batch::Batch;
use crate::mm::kernel_map::zero_frame;
use crate::mm::{alloc_frame, translate, with_kernel_map};
use crate::process::tls::{ENTRIES, FIRST_ENTRY, TlsEntries, TlsEntry};

/// Entries of our GDT.
const GDT_ENTRIES: u32 = 16;

/// The page, and what its three entries hold.
#[derive(Debug)]
pub struct Gdt {
    frame: Pfn,
    loaded: [Descriptor; ENTRIES],
}

impl Gdt {
    /// Makes the page and has it loaded.
    ///
    /// # Errors
    /// What the hypervisor refused; ENOMEM.
    pub fn install() -> Result<Self, Errno> {
        let frame = alloc_frame(0).map_err(|_| Errno::NoMem)?;
        // SAFETY: the frame was just taken.
        unsafe { zero_frame(frame) };
        let mut batch = Batch::new();
        with_kernel_map(|map| map.protect(&mut batch, frame));
        batch.flush();
        hypercall::set_gdt(&[translate::mfn(frame)], GDT_ENTRIES)?;
        Ok(Self {
            frame,
            loaded: [Descriptor::default(); ENTRIES],
        })
    }

    fn address(&self, index: usize) -> MachAddr {
        translate::machine_address(self.frame, (u32::from(FIRST_ENTRY) + index as u32) * 8)
    }

    /// Writes one entry now.
    ///
    /// # Errors
    /// EINVAL: a segment that the hypervisor does not allow.
    pub fn write(&mut self, index: usize, descriptor: Descriptor) -> Result<(), Errno> {
        // SAFETY: the address is that of an entry of our GDT.
        unsafe { hypercall::update_descriptor(self.address(index), descriptor) }?;
        self.loaded[index] = descriptor;
        Ok(())
    }

    /// The calls that change the entries to those of another process: none for entries that are the same.
    pub fn switch(&mut self, to: &TlsEntries) -> impl Iterator<Item = MulticallEntry> {
        let mut calls = arrayvec::ArrayVec::<_, ENTRIES>::new();
        for (index, entry) in to.iter().enumerate() {
            let descriptor = entry
                .as_ref()
                .map_or(Descriptor::default(), |entry| entry.descriptor());
            if descriptor != self.loaded[index] {
                let ((at_low, at_high), (low, high)) =
                    (self.address(index).low_high(), descriptor.low_high());
                calls.push(MulticallEntry::new(
                    CallNumber::UPDATE_DESCRIPTOR,
                    [at_low, at_high, low, high, 0],
                ));
                self.loaded[index] = descriptor;
            }
        }
        calls.into_iter()
    }
}

impl Kernel {
    /// Gives the running process another thread-local segment, or none.
    ///
    /// # Errors
    /// EINVAL: one that the hypervisor does not allow; the old one stays.
    pub(crate) fn set_tls(&mut self, index: usize, entry: Option<TlsEntry>) -> Result<(), linux::Errno> {
        let descriptor = entry.as_ref().map_or(Descriptor::default(), TlsEntry::descriptor);
        self.gdt
            .write(index, descriptor)
            .map_err(|_| linux::Errno::EINVAL)?;
        self.process().tls[index] = entry;
        Ok(())
    }
}
