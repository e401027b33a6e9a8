//! The xenlite hypervisor.
#![no_std]
#![no_main]
