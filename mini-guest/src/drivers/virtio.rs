//! What the drivers of virtio's devices share: their memory, and the way to a device on PCI.
//!
//! Source: OASIS Virtual I/O Device (VIRTIO) 1.1, 4.1.

use core::cell::Cell;
use core::ptr::NonNull;

use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use super::dma::{DmaPage, machine_address};
use super::io_memory;
use super::pci::{Config, DeviceFunction, PciRoot};
use crate::cell::OneCpu;
use crate::linux::Errno;

/// Memory for the crate: pages by their machine addresses.
#[derive(Debug)]
pub struct PvHal;

// SAFETY: pages are our own, zeroed and given away until they are taken back; registers are mapped for good. Buffers are
// found by the kernel's own page tables.
unsafe impl Hal for PvHal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // Address 0 says that there is none; consecutive pages cannot be had.
        match DmaPage::new() {
            Ok(page) if pages == 1 => (page.address(0), page.leak()),
            _ => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, at: NonNull<u8>, _: usize) -> i32 {
        // SAFETY: the caller got it from `dma_alloc`, which leaked it.
        drop(unsafe { DmaPage::from_leaked(at) });
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, size: usize) -> NonNull<u8> {
        io_memory::map(address, size as u64).unwrap_or_else(|_| {
            MAP_FAILED.set(true);
            UNMAPPED
        })
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        machine_address(buffer.cast())
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// What stands for registers that cannot be mapped: misaligned for all but those of a byte, so that the crate refuses it. For
/// those of a byte [`MAP_FAILED`] tells.
const UNMAPPED: NonNull<u8> = NonNull::<u8>::dangling();
/// Some registers could not be mapped since this was last cleared.
static MAP_FAILED: OneCpu<Cell<bool>> = OneCpu::new(Cell::new(false));

/// Finds and maps the registers of a device.
///
/// # Errors
/// ENODEV: no device of today's virtio; ENOSPC: its registers cannot be mapped.
pub fn transport(at: DeviceFunction) -> Result<PciTransport, Errno> {
    MAP_FAILED.set(false);
    let transport =
        PciTransport::new::<PvHal, _>(&mut PciRoot::new(Config), at).map_err(|_| Errno::ENODEV)?;
    if MAP_FAILED.get() {
        return Err(Errno::ENOSPC);
    }
    Ok(transport)
}
