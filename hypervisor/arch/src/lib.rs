//! x86-64 primitives of the hypervisor: all its assembly and nearly all its unsafe code.
//!
//! One mechanism or device per module. Nothing here knows a domain: the binary wires it to `hv-core`.
#![no_std]
// Copies that fault go on at a label of their own, so that those that do not fault test nothing.
#![feature(asm_goto_with_outputs)]

pub mod apic;
pub mod backtrace;
pub mod boot;
pub mod cpu;
pub mod entry;
pub mod framebuffer;
pub mod gdt;
pub mod i8042;
pub mod idt;
pub mod machine_check;
pub mod msr;
pub mod nmi;
pub mod paging;
pub mod pci;
pub mod percpu;
pub mod pic;
pub mod pit;
pub mod pm_timer;
pub mod port;
pub mod power;
pub mod report;
pub mod rtc;
pub mod timer;
pub mod tsc;
pub mod tss;
pub mod uart;
pub mod usercopy;
pub mod vga;
