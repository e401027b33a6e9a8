//! Copies to and from the running guest's memory, with fault recovery.
//!
//! The guest's 4 GiB are mapped in L4 slot 0 while it runs, so a copy is a plain move at the guest's linear address.
//! Every such move has an entry in the exception table: a fault goes on at the recovery code, which reports it.
//! Nothing here checks ranges: the caller proves that the whole range lies below the hypervisor's window.

use core::arch::asm;

/// A guest address faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

#[repr(C)]
struct Entry {
    /// Distance from this field to the instruction that may fault.
    fault: i32,
    /// Distance from this field to where to go on.
    fixup: i32,
}

unsafe extern "C" {
    static __ex_table_start: Entry;
    static __ex_table_end: Entry;
}

/// Where to go on after a fault at `rip`, if that instruction is expected to fault at all.
#[must_use]
pub fn fixup(rip: u64) -> Option<u64> {
    let mut at = &raw const __ex_table_start;
    let end = &raw const __ex_table_end;
    while at < end {
        // SAFETY: the linker script puts whole entries between the two symbols.
        let e = unsafe { &*at };
        let resolve = |field: &i32| (&raw const *field as u64).wrapping_add_signed(i64::from(*field));
        if resolve(&e.fault) == rip {
            return Some(resolve(&e.fixup));
        }
        // SAFETY: stays within the table or one past it.
        at = unsafe { at.add(1) };
    }
    None
}

/// One move that may fault: reads or writes a word of the named width. The address has 32 bits by itself: the instruction
/// cannot leave the guest's 4 GiB, and nobody need widen it.
macro_rules! moves {
    ($read:ident, $write:ident, $ty:ty, $reg:ident, $load:literal, $store:literal) => {
        #[inline(always)]
        unsafe fn $read<const OFFSET: usize>(at: u32) -> Result<$ty, Fault> {
            let value: $ty;
            // SAFETY: the caller vouches for the address; a fault is recovered through the exception table.
            unsafe {
                asm!(
                    $load,
                    ".pushsection .ex_table, \"a\"",
                    ".balign 4",
                    ".long 2b - ., {fault} - .",
                    ".popsection",
                    value = out($reg) value,
                    at = in(reg) at,
                    offset = const OFFSET,
                    fault = label { return Err(Fault) },
                    options(nostack, readonly, preserves_flags)
                );
            }
            Ok(value)
        }

        #[inline(always)]
        unsafe fn $write<const OFFSET: usize>(at: u32, value: $ty) -> Result<(), Fault> {
            // SAFETY: as above.
            unsafe {
                asm!(
                    $store,
                    ".pushsection .ex_table, \"a\"",
                    ".balign 4",
                    ".long 2b - ., {fault} - .",
                    ".popsection",
                    value = in($reg) value,
                    at = in(reg) at,
                    offset = const OFFSET,
                    fault = label { return Err(Fault) },
                    options(nostack, preserves_flags)
                );
            }
            Ok(())
        }
    };
}

moves!(
    read_u8,
    write_u8,
    u8,
    reg_byte,
    "2: mov {value}, byte ptr [{at:e} + {offset}]",
    "2: mov byte ptr [{at:e} + {offset}], {value}"
);
moves!(
    read_u16,
    write_u16,
    u16,
    reg,
    "2: mov {value:x}, word ptr [{at:e} + {offset}]",
    "2: mov word ptr [{at:e} + {offset}], {value:x}"
);
moves!(
    read_u32,
    write_u32,
    u32,
    reg,
    "2: mov {value:e}, dword ptr [{at:e} + {offset}]",
    "2: mov dword ptr [{at:e} + {offset}], {value:e}"
);
moves!(
    read_u64,
    write_u64,
    u64,
    reg,
    "2: mov {value}, qword ptr [{at:e} + {offset}]",
    "2: mov qword ptr [{at:e} + {offset}], {value}"
);

/// Copies `count` bytes with a string move; gives the bytes that were not copied.
///
/// # Safety
/// One of the ranges is guest memory as [`copy_in`] says, the other plain memory valid for `count` bytes.
unsafe fn copy_string(from: u64, to: u64, count: usize) -> usize {
    let left: usize;
    // SAFETY: the caller vouches for the ranges; a fault goes on behind the instruction with RCX telling the rest.
    unsafe {
        asm!(
            "2: rep movsb",
            "3:",
            ".pushsection .ex_table, \"a\"",
            ".balign 4",
            ".long 2b - ., 3b - .",
            ".popsection",
            inout("rcx") count => left,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack)
        );
    }
    left
}

/// Moves the words at these offsets: 8 bytes each into our memory, 4 each into the guest's.
macro_rules! words {
    (read $from:ident, $into:ident, $($offset:literal)*) => {{
        $($into.add($offset).cast::<u64>().write_unaligned(read_u64::<$offset>($from)?);)*
    }};
    (write $to:ident, $from:ident, $($offset:literal)*) => {{
        $(write_u32::<$offset>($to, $from.add($offset).cast::<u32>().read_unaligned())?;)*
    }};
}

/// Reads `len` bytes of guest memory. Lengths known when compiling become single moves.
///
/// # Errors
/// [`Fault`]; `into` then holds garbage.
///
/// # Safety
/// `into` is plain memory, writable for `len` bytes; `[at, at + len)` lies below the hypervisor's window.
#[inline(always)]
#[expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one argument covers every arm"
)]
pub unsafe fn copy_in(at: u32, into: *mut u8, len: usize) -> Result<(), Fault> {
    let from = at;
    // SAFETY: the caller vouches for both ranges; every arm writes exactly `len` bytes.
    unsafe {
        match len {
            1 => into.write(read_u8::<0>(from)?),
            2 => into.cast::<u16>().write_unaligned(read_u16::<0>(from)?),
            4 => into.cast::<u32>().write_unaligned(read_u32::<0>(from)?),
            8 => words!(read from, into, 0),
            16 => words!(read from, into, 0 8),
            24 => words!(read from, into, 0 8 16),
            32 => words!(read from, into, 0 8 16 24),
            _ => {
                if copy_string(u64::from(from), into as u64, len) != 0 {
                    return Err(Fault);
                }
            }
        }
    }
    Ok(())
}

/// Writes `len` bytes of guest memory.
///
/// # Errors
/// [`Fault`]; a part may have been written.
///
/// # Safety
/// `from` is plain memory, readable for `len` bytes; `[at, at + len)` lies below the hypervisor's window.
#[inline(always)]
#[expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one argument covers every arm"
)]
pub unsafe fn copy_out(at: u32, from: *const u8, len: usize) -> Result<(), Fault> {
    let to = at;
    // SAFETY: the caller vouches for both ranges; every arm reads exactly `len` bytes.
    unsafe {
        match len {
            1 => write_u8::<0>(to, from.read())?,
            2 => write_u16::<0>(to, from.cast::<u16>().read_unaligned())?,
            4 => words!(write to, from, 0),
            8 => write_u64::<0>(to, from.cast::<u64>().read_unaligned())?,
            // Bounce frames: 3 to 9 words.
            12 => words!(write to, from, 0 4 8),
            16 => words!(write to, from, 0 4 8 12),
            20 => words!(write to, from, 0 4 8 12 16),
            24 => words!(write to, from, 0 4 8 12 16 20),
            28 => words!(write to, from, 0 4 8 12 16 20 24),
            32 => words!(write to, from, 0 4 8 12 16 20 24 28),
            36 => words!(write to, from, 0 4 8 12 16 20 24 28 32),
            _ => {
                if copy_string(from as u64, u64::from(to), len) != 0 {
                    return Err(Fault);
                }
            }
        }
    }
    Ok(())
}

/// Loads one of the guest's data segment registers.
macro_rules! load_segment {
    ($name:ident, $reg:literal) => {
        /// Loads the register with a guest's selector.
        ///
        /// # Errors
        /// [`Fault`] where the processor refuses the selector; the register is then null.
        #[inline(always)]
        pub fn $name(selector: u16) -> Result<(), Fault> {
            // SAFETY: 64-bit code does not use the register; a refused selector is recovered, with null loaded.
            unsafe {
                asm!(
                    concat!("2: mov ", $reg, ", {selector:e}"),
                    ".pushsection .fixup, \"ax\"",
                    "4: xor {selector:e}, {selector:e}",
                    concat!("mov ", $reg, ", {selector:e}"),
                    "jmp {fault}",
                    ".popsection",
                    ".pushsection .ex_table, \"a\"",
                    ".balign 4",
                    ".long 2b - ., 4b - .",
                    ".popsection",
                    selector = inout(reg) u32::from(selector) => _,
                    fault = label { return Err(Fault) },
                    options(nostack)
                );
            }
            Ok(())
        }
    };
}

load_segment!(load_ds, "ds");
load_segment!(load_es, "es");
load_segment!(load_fs, "fs");
load_segment!(load_gs, "gs");

/// Reads the data segment registers: DS, ES, FS, GS.
#[must_use]
pub fn data_segments() -> [u16; 4] {
    let (ds, es, fs, gs): (u64, u64, u64, u64);
    // SAFETY: reading has no effect.
    unsafe {
        asm!(
            "mov {0}, ds", "mov {1}, es", "mov {2}, fs", "mov {3}, gs",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs,
            options(nomem, nostack, preserves_flags)
        );
    }
    [ds as u16, es as u16, fs as u16, gs as u16]
}
