//! x86-64 primitives.
#![no_std]
