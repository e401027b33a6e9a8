//! Drivers of the machine's devices, in the domain that owns them: Domain0, or one that was given some.
//!
//! | module | one line |
//! |---|---|
//! | [`class`] | names of kinds of devices |
//! | [`hidden`] | functions that Domain0 leaves alone, to give them to others |
//! | `pci` | configuration space, and the functions found |
//! | `io_memory` | registers of devices, mapped as I/O frames |
//! | `dma` | machine addresses of the kernel's memory |
//! | `lines` | interrupts: one event port per line, shared by the devices on it |
//! | `registers` | words of registers |
//! | `ahci` | SATA disks |
//! | [`e1000`] | Intel's gigabit cards |
//! | [`serial`] | serial lines, 16550 |
//! | `virtio` | what the drivers of virtio's devices share |
//! | `virtio_block` | virtio's disk |
//! | `virtio_net` | virtio's network card |
//! | `cards` | which driver takes which network card |
//! | `found` | which driver takes which function, and the disks that come of it |
//!
//! Nothing is polled: a driver is called by the event of its device's line, and once when it is set up.

pub mod class;
pub mod e1000;
pub mod hidden;
pub mod serial;

#[cfg(target_os = "none")]
pub mod ahci;
#[cfg(target_os = "none")]
pub mod cards;
#[cfg(target_os = "none")]
pub mod dma;
#[cfg(target_os = "none")]
pub mod found;
#[cfg(target_os = "none")]
pub mod io_memory;
#[cfg(target_os = "none")]
pub mod lines;
#[cfg(target_os = "none")]
pub mod pci;
#[cfg(target_os = "none")]
pub mod registers;
#[cfg(target_os = "none")]
pub mod virtio;
#[cfg(target_os = "none")]
pub mod virtio_block;
#[cfg(target_os = "none")]
pub mod virtio_net;
