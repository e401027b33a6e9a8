//! Privileged instructions, each wrapped once.
//!
//! The functions are safe to call where the worst a wrong argument does is a fault inside the hypervisor; those
//! that could break memory safety are `unsafe`. All of them belong to ring 0 and the current CPU.

use core::arch::{asm, x86_64::__cpuid};
use x86::{
    controlregs::{self, Cr0, Cr4},
    dtables::{self, DescriptorTablePointer},
    msr,
    segmentation::SegmentSelector,
};

/// Loads the GDT register.
pub fn load_gdt(base: u64, limit: u16) {
    let pointer = DescriptorTablePointer::<u64> {
        base: base as *const u64,
        limit,
    };
    // SAFETY: loading the register touches no memory; a wrong table shows as a fault at the next segment load.
    unsafe { dtables::lgdt(&pointer) }
}

/// Loads the IDT register.
pub fn load_idt(base: u64, limit: u16) {
    let pointer = DescriptorTablePointer::<u64> {
        base: base as *const u64,
        limit,
    };
    // SAFETY: as for the GDT; the caller passes the one static table.
    unsafe { dtables::lidt(&pointer) }
}

/// Loads CS with `cs` and empties the data segment registers and SS (64-bit code uses none of them).
pub fn load_hypervisor_segments(cs: u16) {
    // SAFETY: `cs` is the reserved ring-0 code descriptor, in the GDT just loaded; the far return goes on at the
    // next line on the same stack.
    unsafe {
        asm!(
            "push {cs:r}",
            "lea {tmp}, [rip + 2f]",
            "push {tmp}",
            "retfq",
            "2:",
            "xor {tmp:e}, {tmp:e}",
            "mov ds, {tmp:e}",
            "mov es, {tmp:e}",
            "mov fs, {tmp:e}",
            "mov gs, {tmp:e}",
            "mov ss, {tmp:e}",
            cs = in(reg) u64::from(cs),
            tmp = out(reg) _,
        );
    }
}

/// Loads the task register (marks the descriptor busy).
pub fn load_task_register(selector: u16) {
    // SAFETY: the descriptor is the CPU's own TSS in the reserved GDT page, which is mapped writable.
    unsafe { x86::task::load_tr(SegmentSelector::from_raw(selector)) }
}

/// Loads the LDT register; 0: no LDT.
pub fn load_ldt(selector: u16) {
    // SAFETY: the selector is null or the reserved LDT descriptor.
    unsafe { dtables::load_ldtr(SegmentSelector::from_raw(selector)) }
}

/// Address that the last page fault named.
#[must_use]
pub fn fault_address() -> u64 {
    // SAFETY: reading CR2 has no effect.
    unsafe { controlregs::cr2() as u64 }
}

/// Physical address of the active L4.
#[must_use]
pub fn page_table_root() -> u64 {
    // SAFETY: reading CR3 has no effect.
    unsafe { controlregs::cr3() }
}

/// Loads CR3: makes `root` the active L4 and drops every translation that is not global.
///
/// # Safety
/// `root` must be an L4 that maps the hypervisor as the present one does.
pub unsafe fn set_page_table_root(root: u64) {
    // SAFETY: the caller vouches for the table.
    unsafe { controlregs::cr3_write(root) }
}

/// Drops the translation of one linear address.
pub fn invalidate_page(linear: u64) {
    // SAFETY: dropping a cached translation is always allowed.
    unsafe { x86::tlb::flush(linear as usize) }
}

/// Drops the translation of one of the guest's addresses, on every change of a mapping that the guest makes.
#[inline(always)]
pub fn invalidate_guest_page(linear: u32) {
    // SAFETY: as above.
    unsafe { asm!("invlpg byte ptr [{:e}]", in(reg) linear, options(nostack, preserves_flags)) }
}

/// Writes back and invalidates the caches.
pub fn write_back_caches() {
    // SAFETY: no effect on memory's contents.
    unsafe { asm!("wbinvd", options(nostack)) }
}

/// Sets the control registers whole: nothing is left as the firmware had it.
///
/// WP binds ring 1 to read-only pages; SMEP and SMAP stay off because they take ring 1 for the supervisor; TSD off
/// (RDTSC is allowed everywhere); UMIP on where there is one, so that SGDT and friends tell a guest nothing.
pub fn set_control_registers(has_umip: bool) {
    let cr0 = Cr0::CR0_PROTECTED_MODE
        | Cr0::CR0_MONITOR_COPROCESSOR
        | Cr0::CR0_EXTENSION_TYPE
        | Cr0::CR0_NUMERIC_ERROR
        | Cr0::CR0_WRITE_PROTECT
        | Cr0::CR0_ALIGNMENT_MASK
        | Cr0::CR0_ENABLE_PAGING;
    let mut cr4 = Cr4::CR4_ENABLE_PAE
        | Cr4::CR4_ENABLE_GLOBAL_PAGES
        | Cr4::CR4_ENABLE_SSE
        | Cr4::CR4_UNMASKED_SSE
        | Cr4::CR4_ENABLE_MACHINE_CHECK;
    if has_umip {
        cr4 |= Cr4::CR4_ENABLE_UMIP;
    }
    // SAFETY: paging, protection and PAE stay on, so execution goes on unchanged.
    unsafe { controlregs::cr0_write(cr0) };
    // SAFETY: as above.
    unsafe { controlregs::cr4_write(cr4) };
    // SCE off: `syscall` is #UD for 32-bit guests. LME and NXE on.
    // SAFETY: LME must stay on while paging is; the value keeps it.
    unsafe { msr::wrmsr(msr::IA32_EFER, 1 << 8 | 1 << 11) };
    // SAFETY: 0 makes `sysenter` a #GP in every ring.
    unsafe { msr::wrmsr(msr::IA32_SYSENTER_CS, 0) };
}

/// Sets or clears CR0.TS, so that the next FPU instruction traps or not.
pub fn set_task_switched(on: bool) {
    if on {
        // SAFETY: reading has no effect.
        let cr0 = unsafe { controlregs::cr0() };
        // SAFETY: only TS changes.
        unsafe { controlregs::cr0_write(cr0 | Cr0::CR0_TASK_SWITCHED) };
    } else {
        // SAFETY: only TS changes.
        unsafe { asm!("clts", options(nomem, nostack)) }
    }
}

/// Loads debug register `index`.
///
/// # Panics
/// For an index other than 0–3, 6 and 7.
pub fn write_debug_register(index: usize, value: u32) {
    macro_rules! load {
        ($instruction:literal) => {
            // SAFETY: callers pass checked values; upper halves are zero, as the value has 32 bits.
            unsafe { asm!($instruction, in(reg) u64::from(value), options(nomem, nostack)) }
        };
    }
    match index {
        0 => load!("mov dr0, {}"),
        1 => load!("mov dr1, {}"),
        2 => load!("mov dr2, {}"),
        3 => load!("mov dr3, {}"),
        6 => load!("mov dr6, {}"),
        7 => load!("mov dr7, {}"),
        _ => panic!("debug register {index}"),
    }
}

/// Takes what DR6 says, and empties it: the processor only ever adds to it.
#[must_use]
pub fn take_debug_status() -> u32 {
    /// No hit, no step. (Bits 16 and 11 say so by being 1.)
    const EMPTY: u32 = 0xFFFF_0FF0;
    let value: u64;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, dr6", out(reg) value, options(nomem, nostack)) }
    write_debug_register(6, EMPTY);
    value as u32
}

/// Sleeps until the next interrupt has been handled. Interrupts are off before and after.
pub fn wait_for_interrupt() {
    // SAFETY: the handlers of the hypervisor may run here; the caller holds no lock.
    unsafe { asm!("sti", "hlt", "cli") }
}

/// Lets the interrupts that wait be handled, without sleeping. Interrupts are off before and after.
pub fn take_interrupts() {
    // SAFETY: as for `wait_for_interrupt`. STI takes effect after the instruction behind it.
    unsafe { asm!("sti", "nop", "nop", "cli") }
}

/// Turns interrupts off and sleeps for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: nothing runs after this.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// Resets the processor: an exception that finds no IDT.
pub fn triple_fault() -> ! {
    load_idt(0, 0);
    // SAFETY: nothing runs after this, on purpose.
    unsafe { asm!("ud2", options(noreturn)) }
}

/// Runs off the end of the stack, into its guard page: a double fault, for whoever wants to see what is said of one.
pub fn overflow_stack() -> ! {
    // SAFETY: nothing runs after this but the handler, on a stack of its own. What is overwritten is stack that is not in use.
    unsafe { asm!("2: push rax", "jmp 2b", options(noreturn)) }
}

/// Completes every earlier memory access, device registers included, before any later instruction.
pub fn memory_fence() {
    // SAFETY: orders accesses, does nothing else.
    unsafe { asm!("mfence", "lfence", options(nostack, preserves_flags)) }
}

/// The time-stamp counter.
#[must_use]
#[inline]
pub fn timestamp() -> u64 {
    // SAFETY: reading has no effect.
    unsafe { x86::time::rdtsc() }
}

/// The flags register.
#[must_use]
pub fn flags() -> u64 {
    x86::current::rflags::read().bits()
}

/// Saves the FPU and SSE state.
///
/// # Safety
/// `area` is 512 writable bytes, aligned to 16; CR0.TS is clear.
pub unsafe fn save_fpu(area: *mut u8) {
    // SAFETY: the caller vouches for the area.
    unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) }
}

/// Loads the FPU and SSE state.
///
/// # Safety
/// `area` is 512 readable bytes, aligned to 16, whose MXCSR has no reserved bit; CR0.TS is clear.
pub unsafe fn restore_fpu(area: *const u8) {
    // SAFETY: the caller vouches for the area.
    unsafe { asm!("fxrstor64 [{}]", in(reg) area, options(nostack)) }
}

/// Whether 1 GiB pages exist (CPUID 8000_0001h EDX 26).
#[must_use]
pub fn has_1g_pages() -> bool {
    __cpuid(0x8000_0001).edx & 1 << 26 != 0
}

/// Whether user-mode instruction prevention exists (CPUID 7 ECX 2).
#[must_use]
pub fn has_umip() -> bool {
    __cpuid(0).eax >= 7 && __cpuid(7).ecx & 1 << 2 != 0
}

/// Bits of a physical address (CPUID 8000_0008h EAX); 36 where the processor does not say.
#[must_use]
pub fn physical_address_bits() -> u32 {
    if __cpuid(0x8000_0000).eax >= 0x8000_0008 {
        (__cpuid(0x8000_0008).eax & 0xFF).clamp(36, 52)
    } else {
        36
    }
}
