//! The boot section (`boot.S`): from the boot loader to `hv_main(magic, info)` in 64-bit mode.

use crate::percpu;
use core::arch::global_asm;

global_asm!(
    include_str!("boot.S"),
    block = sym percpu::BLOCK,
    block_size = const percpu::BLOCK_SIZE,
);

/// What a multiboot1 loader leaves in the first argument of `hv_main`.
pub const MULTIBOOT1: u32 = 0x2BAD_B002;
/// What a multiboot2 loader leaves in the first argument of `hv_main`.
pub const MULTIBOOT2: u32 = 0x36D7_6289;
