//! Memory of other domains, mapped into this program.
//!
//! The owner may change what is there at any time, so no reference is ever made to it: bytes are copied by
//! instructions that the compiler cannot look into, words are atomics.

use core::arch::asm;
use core::sync::atomic::AtomicU32;

use guest_abi::addr::{Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;

use super::Privcmd;
use crate::abi::nr;
use crate::errno::Result;
use crate::sys;

/// `IOCTL_PRIVCMD_MMAPBATCH`.
const MMAP_BATCH: u32 = 0x0010_5003;

/// The request as the device takes it.
#[repr(C)]
struct MapBatch {
    count: u32,
    domain: u16,
    pad: u16,
    address: u32,
    frames: u32,
}

/// Frames of another domain, one after the other; unmapped when dropped. A child process does not have them.
pub struct ForeignMap {
    start: *mut u8,
    len: usize,
    writable: bool,
}

impl Privcmd {
    /// Maps frames of `domain`. What is a page table or holds descriptors can be mapped only for reading.
    ///
    /// # Errors
    /// What the hypervisor answers: nothing is mapped then. EINVAL for no frames. ENOMEM.
    pub fn map_foreign(&self, domain: DomId, frames: &[Mfn], writable: bool) -> Result<ForeignMap> {
        let start = sys::map_device(self.descriptor(), frames.len() * PAGE_SIZE, writable)?;
        // From here on dropping it unmaps what there is.
        let map = ForeignMap {
            start,
            len: frames.len() * PAGE_SIZE,
            writable,
        };
        // A word that is refused is marked by the kernel, hence a copy.
        let mut list = frames.to_vec();
        let mut request = MapBatch {
            count: frames.len() as u32,
            domain: domain.raw(),
            pad: 0,
            address: start as u32,
            frames: list.as_mut_ptr() as u32,
        };
        // SAFETY: this is the structure of the request, with a list that is ours to be written; the pages appear where
        // nothing was.
        unsafe { sys::ioctl(self.descriptor(), MMAP_BATCH, &mut request) }?;
        Ok(map)
    }
}

impl ForeignMap {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no frames: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of byte `at`, of which `len` bytes are to be used.
    fn place(&self, at: usize, len: usize) -> *mut u8 {
        let is_inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        assert!(is_inside, "{len} bytes at {at} of {}", self.len);
        self.start.wrapping_add(at)
    }

    fn writable_place(&self, at: usize, len: usize) -> *mut u8 {
        assert!(self.writable, "mapped for reading");
        self.place(at, len)
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn read(&self, at: usize, into: &mut [u8]) {
        let from = self.place(at, into.len());
        // SAFETY: both ranges are as long as is copied; `into` is exclusively ours.
        unsafe { copy(into.as_mut_ptr(), from, into.len()) }
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// Beyond the end, or mapped for reading only.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let to = self.writable_place(at, bytes.len());
        // SAFETY: both ranges are as long as is copied; no Rust object lies in the mapping.
        unsafe { copy(to, bytes.as_ptr(), bytes.len()) }
    }

    /// Fills a range with zeroes.
    ///
    /// # Panics
    /// As for [`ForeignMap::write`].
    pub fn zero(&mut self, at: usize, len: usize) {
        let to = self.writable_place(at, len);
        // SAFETY: as for `write`.
        unsafe {
            asm!(
                "rep stosd",
                "mov ecx, edx",
                "rep stosb",
                inout("ecx") len / 4 => _,
                in("edx") len % 4,
                inout("edi") to => _,
                in("eax") 0,
                options(nostack),
            );
        }
    }

    /// Lets the kernel read `len` bytes of a file to byte `at`.
    ///
    /// # Errors
    /// What `read` answers.
    ///
    /// # Panics
    /// As for [`ForeignMap::write`].
    pub fn read_by_kernel(&mut self, fd: i32, at: usize, len: usize) -> Result<usize> {
        let to = self.writable_place(at, len);
        // SAFETY: the kernel writes inside the mapping, where no Rust object lies.
        let read = unsafe { sys::raw(nr::READ, [fd.cast_unsigned(), to as u32, len as u32, 0, 0, 0]) };
        read.map(|count| count as usize)
    }

    /// Reads a little-endian number of 8 bytes, a page-table entry for instance.
    ///
    /// # Panics
    /// Beyond the end.
    #[must_use]
    pub fn read_u64(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Writes one.
    ///
    /// # Panics
    /// As for [`ForeignMap::write`].
    pub fn write_u64(&mut self, at: usize, value: u64) {
        self.write(at, &value.to_le_bytes());
    }

    /// A word that both sides use, of a ring for instance. Storing to one that is mapped for reading kills the program.
    ///
    /// # Panics
    /// Beyond the end, or not at a multiple of 4.
    #[must_use]
    pub fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4));
        // SAFETY: inside the mapping, which lives as long as the result, aligned, and accessed by atomics here.
        unsafe { AtomicU32::from_ptr(self.place(at, 4).cast()) }
    }
}

impl Drop for ForeignMap {
    fn drop(&mut self) {
        // SAFETY: nobody has an address in the mapping any more.
        let _ = unsafe { sys::munmap(self.start, self.len) };
    }
}

/// # Safety
/// `to` may be written and `from` read for `len` bytes.
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's promise. The direction flag is clear by the calling convention.
    unsafe {
        asm!(
            // ESI cannot be named as an operand, but others could be put there: so each has a register by name.
            "xchg esi, eax",
            "rep movsd",
            "mov ecx, edx",
            "rep movsb",
            "xchg esi, eax",
            inout("eax") from => _,
            in("edx") len % 4,
            inout("ecx") len / 4 => _,
            inout("edi") to => _,
            options(nostack),
        );
    }
}
