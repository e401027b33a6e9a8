//! What the logic needs of the machine.
//!
//! The hypervisor implements these over `hv-arch` as a zero-sized type, so that a call costs nothing; the tests
//! implement them over vectors. All methods take `&self`: the machine has its own interior state, and the one
//! lock around [`crate::hypervisor::Hypervisor`] orders every access.

use crate::{
    domain::Domain,
    mm::RecordFrame,
    pci::{Function, Register},
    vcpu::{DataSegments, FpuState},
};
use guest_abi::addr::{GuestVirt, Mfn};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A value that may be copied to or from guest memory: every bit pattern is valid, no padding.
pub trait GuestPod: FromBytes + IntoBytes + Immutable + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + Copy> GuestPod for T {}

/// A guest address could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// One frame, for several accesses in a row. Indices and offsets are checked, as [`FrameMemory`] says.
pub trait FrameWords: Copy {
    /// Reads word `index` in one access.
    fn read(self, index: usize) -> u64;
    /// Replaces word `index` if it still holds `old`; on failure gives what it holds.
    ///
    /// # Errors
    /// The word's present value, where it is not `old`.
    fn compare_exchange(self, index: usize, old: u64, new: u64) -> Result<(), u64>;
    /// Writes word `index` in one access.
    fn write(self, index: usize, value: u64);
    /// [`FrameMemory::load_u32`] of this frame.
    fn load_u32(self, offset: usize) -> u32;
    /// [`FrameMemory::store_u32`] of this frame.
    fn store_u32(self, offset: usize, value: u32);
    /// [`FrameMemory::fetch_or_u32`] of this frame.
    fn fetch_or_u32(self, offset: usize, bits: u32) -> u32;
    /// [`FrameMemory::store_u8`] of this frame.
    fn store_u8(self, offset: usize, value: u8);
}

/// [`FrameWords`] that looks the frame up at each access.
#[derive(Debug)]
pub struct OneByOne<'a, M>(&'a M, Mfn);

impl<'a, M> OneByOne<'a, M> {
    /// The words of `frame` in `memory`.
    #[must_use]
    pub const fn new(memory: &'a M, frame: Mfn) -> Self {
        Self(memory, frame)
    }
}

impl<M> Clone for OneByOne<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for OneByOne<'_, M> {}

impl<M: FrameMemory> FrameWords for OneByOne<'_, M> {
    fn read(self, index: usize) -> u64 {
        self.0.read_entry(self.1, index)
    }
    fn compare_exchange(self, index: usize, old: u64, new: u64) -> Result<(), u64> {
        self.0.compare_exchange_entry(self.1, index, old, new)
    }
    fn write(self, index: usize, value: u64) {
        self.0.write_entry(self.1, index, value);
    }
    fn store_u32(self, offset: usize, value: u32) {
        self.0.store_u32(self.1, offset, value);
    }
    fn load_u32(self, offset: usize) -> u32 {
        self.0.load_u32(self.1, offset)
    }
    fn fetch_or_u32(self, offset: usize, bits: u32) -> u32 {
        self.0.fetch_or_u32(self.1, offset, bits)
    }
    fn store_u8(self, offset: usize, value: u8) {
        self.0.store_u8(self.1, offset, value);
    }
}

/// Machine memory by frame, through the direct map. Callers name only frames that are RAM; the frame table is
/// what knows that. Indices are of 8-byte words (0..512) or byte offsets (0..4096, naturally aligned), checked.
pub trait FrameMemory {
    /// See [`FrameMemory::words`].
    type Words<'a>: FrameWords
    where
        Self: 'a;

    /// The words of `frame`.
    fn words(&self, frame: Mfn) -> Self::Words<'_>;
    /// Reads 8-byte word `index` in one access.
    fn read_entry(&self, frame: Mfn, index: usize) -> u64;
    /// Writes 8-byte word `index` in one access.
    fn write_entry(&self, frame: Mfn, index: usize, value: u64);
    /// Replaces word `index` if it still holds `old`; on failure gives what it holds.
    ///
    /// # Errors
    /// The word's present value, where it is not `old`.
    fn compare_exchange_entry(&self, frame: Mfn, index: usize, old: u64, new: u64) -> Result<(), u64>;
    /// Fills the frame with zeroes.
    fn zero_frame(&self, frame: Mfn);
    /// Reads the byte at `offset`; for words shared with a guest (volatile, relaxed).
    fn load_u8(&self, frame: Mfn, offset: usize) -> u8;
    /// Writes the byte at `offset`; for words shared with a guest.
    fn store_u8(&self, frame: Mfn, offset: usize, value: u8);
    /// Reads the 4-byte word at `offset`.
    fn load_u32(&self, frame: Mfn, offset: usize) -> u32;
    /// Writes the 4-byte word at `offset`.
    fn store_u32(&self, frame: Mfn, offset: usize, value: u32);
    /// Atomically sets `bits` in the 4-byte word at `offset` and gives its old value.
    fn fetch_or_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32;
    /// Atomically clears `bits` in the 4-byte word at `offset` and gives its old value.
    fn fetch_clear_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32;
    /// Copies `len` bytes from one place, frame and offset, to another; neither leaves its frame. Where both are in the
    /// same frame they may overlap: what was there before is what arrives.
    fn copy_bytes(&self, from: (Mfn, usize), to: (Mfn, usize), len: usize);
    /// Sets the machine-to-phys entry of `frame`.
    fn set_m2p(&self, frame: Mfn, value: u32);
}

/// Records of domains in frames of their own.
pub trait Records {
    /// Puts `domain` into the frame.
    fn place_record(&self, frame: RecordFrame, domain: Domain) -> &'static mut Domain;
    /// The frame of a record that [`Records::place_record`] has given, which is no record any more.
    fn unplace_record(&self, record: &'static mut Domain) -> RecordFrame;
}

/// The current guest's memory by linear address, as its own page tables map it, with fault recovery.
///
/// An implementation must refuse (as a [`Fault`]) any range that is not wholly below
/// [`guest_abi::addr::HV_START`], before touching it. Alignment is not required. Nothing here ever hands out a
/// reference to guest memory.
pub trait GuestMemory {
    /// Copies a value in.
    ///
    /// # Errors
    /// [`Fault`] where any byte cannot be read.
    fn read<T: GuestPod>(&self, at: GuestVirt) -> Result<T, Fault>;
    /// Copies a value out. A fault may leave a part written.
    ///
    /// # Errors
    /// [`Fault`] where any byte cannot be written (a read-only page table included).
    fn write<T: GuestPod>(&self, at: GuestVirt, value: &T) -> Result<(), Fault>;
    /// Copies bytes in.
    ///
    /// # Errors
    /// [`Fault`] where any byte cannot be read; `into` then holds garbage.
    fn read_bytes(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), Fault>;
    /// Copies bytes out.
    ///
    /// # Errors
    /// [`Fault`] where any byte cannot be written.
    fn write_bytes(&self, at: GuestVirt, from: &[u8]) -> Result<(), Fault>;
}

/// Translation caches and the root of the running guest's address space, on the current CPU.
pub trait Tlb {
    /// Makes `l3` the running guest's page table (slot 0 of its L4) and drops every cached guest translation.
    fn activate_root(&self, l3: Mfn);
    /// Drops every cached guest translation, paging-structure caches included.
    fn flush(&self);
    /// Drops the cached translation of one page.
    fn flush_page(&self, at: GuestVirt);
    /// Writes back and invalidates the data caches (WBINVD).
    fn flush_data_caches(&self);
}

/// A fast-trap target: `int vector` of ring 3 goes straight to `cs:eip` in ring 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastTrap {
    /// The vector armed.
    pub vector: u8,
    /// Least privileged ring that may raise it (the registered DPL).
    pub dpl: u8,
    /// Handler selector, checked.
    pub cs: u16,
    /// Handler offset.
    pub eip: u32,
}

/// Processor state of the running vCPU that lives in registers and in the hypervisor's own tables.
pub trait CpuControl {
    /// Maps `frames` (checked descriptor pages, up to the first `None`) as the running domain's GDT of `entries` entries. The
    /// hypervisor's own reserved page stays where it is. No frames: the hypervisor's GDT alone. The table before may be in
    /// force until the next flush.
    fn load_gdt(&self, frames: &[Option<Mfn>], entries: u32);
    /// Unmaps every LDT page and loads an LDT of `entries` entries (0: none); pages are mapped on demand. What was mapped
    /// before may be in force until the next flush.
    fn load_ldt(&self, entries: u32);
    /// Maps checked descriptor page `frame` as page `index` of the LDT window.
    fn map_ldt_page(&self, index: usize, frame: Mfn);
    /// Sets or clears CR0.TS.
    fn set_task_switched(&self, on: bool);
    /// Loads debug register `index` (0–3, 6, 7) with a checked value.
    fn write_debug_register(&self, index: usize, value: u32);
    /// Arms or disarms the fast trap.
    fn set_fast_trap(&self, trap: Option<FastTrap>);
    /// Tells the entry code the ring-1 stack that the fast trap pushes its five words on, before the fast trap is
    /// armed and whenever the stack changes while it is. It then is the flat selector, and the words lie in the
    /// guest's range.
    fn set_kernel_stack(&self, ss: u16, esp: u32);
    /// Shows the processor the bitmap of ports of the domain that runs now; `None`: it may use none.
    fn load_io_bitmap(&self, bitmap: Option<[Mfn; 2]>);
    /// Reads a model-specific register.
    ///
    /// # Errors
    /// [`Fault`] where there is none of that number.
    fn read_msr(&self, register: u32) -> Result<u64, Fault>;
    /// Writes a model-specific register.
    ///
    /// # Errors
    /// [`Fault`] where there is none of that number, or it does not take the value.
    fn write_msr(&self, register: u32, value: u64) -> Result<(), Fault>;
    /// Saves FPU and SSE registers (TS is clear).
    fn save_fpu(&self, into: &mut FpuState);
    /// Loads FPU and SSE registers (TS is clear).
    fn load_fpu(&self, from: &FpuState);
    /// The data segment registers.
    fn data_segments(&self) -> DataSegments;
    /// Loads the data segment registers with a guest's selectors.
    ///
    /// # Errors
    /// [`Fault`] where the processor refuses one; all four then hold null.
    fn load_data_segments(&self, segments: DataSegments) -> Result<(), Fault>;
    /// Tells the exit path which frame the upcall flags of the domain that runs now are in.
    fn set_shared_info(&self, frame: Mfn);
    /// Masks upcalls of the domain that runs now, where the machine has its flags at hand; says whether it has.
    #[inline(always)]
    fn mask_upcalls_at_hand(&self) -> bool {
        false
    }
    /// Has the exit path call [`crate::exit::before_guest`] before the guest runs again.
    fn request_exit_work(&self);
}

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// The time-stamp counter.
    pub tsc: u64,
    /// Nanoseconds since boot.
    pub ns: u64,
    /// Frequency of the counter in Hz.
    pub tsc_hz: u64,
}

/// Time since boot and the one-shot timer.
pub trait Clock {
    /// Nanoseconds since boot; never goes back.
    fn now_ns(&self) -> u64;
    /// The present instant.
    fn timestamp(&self) -> Timestamp;
    /// Frequency of the time-stamp counter in Hz.
    fn tsc_hz(&self) -> u64;
    /// Wall-clock seconds and microseconds that correspond to time 0 of [`Clock::now_ns`].
    fn wall_clock_at_boot(&self) -> (u32, u32);
    /// Arms the one-shot timer for `deadline_ns`, or stops it. A deadline that is past fires at once, that is as
    /// soon as interrupts are on.
    fn arm_timer(&self, deadline_ns: Option<u64>);
    /// Whether something (timer, device) waits for the hypervisor: a long operation should pause.
    fn work_pending(&self) -> bool;
}

/// The machine's console.
pub trait Console {
    /// Writes guest bytes to the console.
    fn write_console(&self, bytes: &[u8]);
    /// Takes up to `into.len()` received bytes and says how many.
    fn read_console(&self, into: &mut [u8]) -> usize;
    /// How many bytes of its own the hypervisor wrote so far.
    fn written(&self) -> u64;
    /// Copies what was written from byte number `from` on, as far as that is remembered, and says how much.
    fn read_history(&self, from: u64, into: &mut [u8]) -> usize;
    /// How many of the bytes written last are remembered.
    fn history_len(&self) -> usize;
    /// Forgets what was written.
    fn clear_history(&self);
    /// Whether received bytes wait.
    fn has_console_input(&self) -> bool;
}

/// Lines of the interrupt controller (0–15). One that has interrupted is held back until it is unmasked, unless the
/// hypervisor uses it itself.
pub trait InterruptLines {
    /// Lets `line` interrupt.
    fn unmask_line(&self, line: u8);
    /// Holds `line` back.
    fn mask_line(&self, line: u8);
    /// Has `line` interrupt as long as a device asks, not when one begins to.
    fn make_level(&self, line: u8);
}

/// Configuration space of PCI functions.
pub trait PciConfig {
    /// Reads a register; all ones, in as many bytes as were asked for, where there is no such function.
    fn read_pci(&self, function: Function, register: Register) -> u32;
    /// Writes a register.
    fn write_pci(&self, function: Function, register: Register, value: u32);
}

/// The whole machine.
pub trait Platform:
    FrameMemory + Records + GuestMemory + Tlb + CpuControl + Clock + Console + InterruptLines + PciConfig
{
}
impl<T> Platform for T where
    T: FrameMemory + Records + GuestMemory + Tlb + CpuControl + Clock + Console + InterruptLines + PciConfig
{
}
