//! Guest kernel images: ELF32 parsing, the xenlite note, and the start-of-day memory layout.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
