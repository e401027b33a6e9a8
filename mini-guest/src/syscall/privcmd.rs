//! `/dev/xen/privcmd`: how management programs make hypercalls and reach the memory of other domains.
//!
//! Requests and structures are those of Linux's driver of the same name. A hypercall is made as the program asks, by
//! the kernel, which has no opinion of it: whoever may open the device is trusted with the machine. Addresses in it are the program's, and
//! the hypervisor does not bring pages in, so programs lock them first (mlock).
//!
//! Source: Linux, `privcmd.h`.

use alloc::vec;
use alloc::vec::Vec;

use guest_abi::addr::{Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;
use guest_abi::hypercall::CallNumber;

use crate::hypercall;
use crate::kernel::{Kernel, SysResult};
use crate::linux::{Errno, word};

/// A hypercall: number and five arguments, 24 bytes.
const HYPERCALL: u32 = 0x0018_5000;
/// Runs of foreign frames: how many, whose, where the list is, 12 bytes.
const MMAP: u32 = 0x000C_5002;
/// Single foreign frames: how many, whose, where they go, where the list is, 16 bytes.
const MMAP_BATCH: u32 = 0x0010_5003;

/// Most entries of a list.
const MAX_ENTRIES: u32 = 16 * 1024;
/// What a frame's word of [`MMAP_BATCH`] gets where the hypervisor refused it.
const REFUSED: u32 = 0xF000_0000;

impl Kernel {
    pub(super) fn privcmd_request(&mut self, number: u32, arg: u32) -> SysResult {
        match number {
            HYPERCALL => self.hypercall_of_program(arg),
            MMAP => self.map_runs(arg),
            MMAP_BATCH => self.map_batch(arg),
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn hypercall_of_program(&mut self, arg: u32) -> SysResult {
        let block = self.copy_in::<24>(arg)?;
        let arguments = core::array::from_fn(|index| word(&block, 4 + 4 * index));
        // SAFETY: this is what the device is for. A program that may use it can take the machine down, and is trusted
        // not to; kernel memory is in danger only from addresses of the kernel's that it would have to choose on purpose.
        let (eax, _) = unsafe { hypercall::call_raw(CallNumber::new(word(&block, 0)), arguments) };
        // Results and errors travel as those of system calls do.
        Ok(eax)
    }

    fn map_runs(&mut self, arg: u32) -> SysResult {
        let block = self.copy_in::<12>(arg)?;
        let (count, domain) = (word(&block, 0), owner(&block)?);
        let list = self.list(word(&block, 8), count, 12)?;
        let runs = || {
            list.chunks_exact(12)
                .map(|run| (word(run, 0), word(run, 4), word(run, 8)))
        };
        let total = runs().try_fold(0_u32, |sum, (.., pages)| sum.checked_add(pages));
        if total.is_none_or(|total| total > MAX_ENTRIES) {
            return Err(Errno::EINVAL.into());
        }
        let memory = self.process().memory();
        let mut memory = memory.borrow_mut();
        for (done, (address, first, pages)) in runs().enumerate() {
            let frames: Option<Vec<Mfn>> = (0..pages).map(|n| first.checked_add(n).map(Mfn::new)).collect();
            let mapped = match frames {
                Some(frames) => memory
                    .map_foreign(domain, address, &frames)
                    .map_err(|error| error.errno),
                None => Err(Errno::EINVAL),
            };
            if let Err(errno) = mapped {
                // The runs before it were mapped by this very request.
                for (address, _, pages) in runs().take(done) {
                    memory.clear_foreign(address..address + pages * PAGE_SIZE as u32);
                }
                return Err(errno.into());
            }
        }
        Ok(0)
    }

    fn map_batch(&mut self, arg: u32) -> SysResult {
        let block = self.copy_in::<16>(arg)?;
        let (count, domain) = (word(&block, 0), owner(&block)?);
        let (address, at) = (word(&block, 8), word(&block, 12));
        let list = self.list(at, count, 4)?;
        let frames: Vec<Mfn> = list
            .chunks_exact(4)
            .map(|entry| Mfn::new(word(entry, 0)))
            .collect();
        let memory = self.process().memory();
        let mapped = memory.borrow_mut().map_foreign(domain, address, &frames);
        let Err(error) = mapped else { return Ok(0) };
        if let Some(frame) = frames.get(error.at) {
            let marked = frame.raw() | REFUSED;
            self.copy_out(at + 4 * error.at as u32, &marked.to_le_bytes())?;
        }
        Err(error.errno.into())
    }

    /// A list of `count` entries of `size` bytes.
    fn list(&mut self, at: u32, count: u32, size: u32) -> Result<Vec<u8>, Errno> {
        crate::fs::enough_memory()?;
        if count > MAX_ENTRIES {
            return Err(Errno::EINVAL);
        }
        let mut bytes = vec![0; (count * size) as usize];
        self.process().memory().borrow_mut().copy_in(at, &mut bytes)?;
        Ok(bytes)
    }
}

/// Whose frames a request is about; the half-word after it must be 0.
fn owner(block: &[u8]) -> Result<DomId, Errno> {
    DomId::from_register(word(block, 4)).ok_or(Errno::EINVAL)
}
