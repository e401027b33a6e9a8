//! Calls 5, 8 and 9: the FPU's trap, debug registers, single steps.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::debugreg::dr6;
use guest_abi::errno::Errno;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use mini_guest::traps;
use test_guests::hypercall::{fpu_taskswitch, get_debugreg, set_debugreg};
use test_guests::pages::{Page, peek32, poke32};
use test_guests::tables::Space;
use test_guests::{Regs, catch, check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

static TRAPS: AtomicU32 = AtomicU32::new(0);
static LAST_EIP: AtomicU32 = AtomicU32::new(0);

fn count(regs: &mut Regs) {
    TRAPS.fetch_add(1, Relaxed);
    LAST_EIP.store(regs.eip, Relaxed);
    // No further steps; and past an instruction breakpoint.
    regs.eflags = regs.eflags & !(1 << 8) | 1 << 16;
}

fn traps_of(run: impl FnOnce()) -> u32 {
    let before = TRAPS.load(Relaxed);
    run();
    TRAPS.load(Relaxed) - before
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    traps::set_kernel_handler(Vector::DEVICE_NOT_AVAILABLE, Some(count));
    traps::set_kernel_handler(Vector::DEBUG, Some(count));
    fpu();
    debug_registers();
    refusals();
    report::success()
}

fn fpu() {
    let load = |value: u32| {
        // SAFETY: a register that this kernel's code does not use.
        unsafe { asm!("movd xmm5, {0:e}", in(reg) value) }
    };
    let store = || {
        let value: u32;
        // SAFETY: as above.
        unsafe { asm!("movd {0:e}, xmm5", out(reg) value) };
        value
    };
    check_eq!(traps_of(|| load(0x1234_5678)), 0, "nobody asked for #NM");
    for _ in 0..3 {
        check_eq!(fpu_taskswitch(), Ok(()));
        check_eq!(hypercall::yield_now(), Ok(()));
        check_eq!(traps_of(|| check_eq!(store(), 0x1234_5678)), 1, "#NM comes once");
        check_eq!(traps_of(|| check_eq!(store(), 0x1234_5678)), 0);
    }
}

fn debug_registers() {
    let page = Page::take();
    // A write to four bytes: R/W 01, LEN 11.
    check_eq!(set_debugreg(0, page.0 + 16), Ok(()));
    check_eq!(set_debugreg(7, 0xD_0001), Ok(()));
    check_eq!(traps_of(|| poke32(page.0 + 16, 1)), 1, "a watched write");
    check_eq!(get_debugreg(6).map(|dr6| dr6 & dr6::HIT), Ok(1));
    check_eq!(
        traps_of(|| poke32(page.0 + 20, 1)),
        0,
        "the next word is not watched"
    );
    check_eq!(traps_of(|| _ = peek32(page.0 + 16)), 0, "a read is not watched");
    // What a call writes for the guest is the hypervisor's doing and does not hit.
    check_eq!(set_debugreg(7, 0), Ok(()));
    check_eq!(traps_of(|| poke32(page.0 + 16, 1)), 0);
    check_eq!(set_debugreg(6, 0), Ok(()));
    // SAFETY: sets the trap flag; the handler takes it back.
    let step = || unsafe { asm!("pushfd", "or dword ptr [esp], 0x100", "popfd", "nop", "nop") };
    check_eq!(traps_of(step), 1, "one step");
    // And nothing of the hit before, which the processor itself would keep.
    check_eq!(
        get_debugreg(6).map(|dr6| dr6 & (dr6::STEP | dr6::HIT)),
        Ok(dr6::STEP)
    );
    // A step over a call arrives behind it or at it, and the hypervisor does not trip.
    // SAFETY: as above; call 17 changes EAX only.
    let over = || unsafe {
        asm!("pushfd", "or dword ptr [esp], 0x100", "mov eax, 17", "push ebx", "xor ebx, ebx", "pop ebx", "popfd", "int 0x82",
            "nop", out("eax") _, out("ecx") _, out("edx") _);
    };
    check_eq!(traps_of(over), 1);
    check!(catch(|| ()).is_ok());
}

fn refusals() {
    for (register, value) in [
        (0, 0xFC00_0000),
        (3, u32::MAX),
        (1, 0xFBFF_FFFD),
        (7, 1 << 13),
        (7, 0x2_0001),
        (7, 0x8_0001),
    ] {
        check_eq!(
            set_debugreg(register, value),
            Err(Errno::Perm),
            "register {register} {value:#x}"
        );
    }
    for register in [4, 5, 8, 32, u32::MAX] {
        check_eq!(
            set_debugreg(register, 0),
            Err(Errno::Inval),
            "register {register}"
        );
    }
    for register in [8, 32, u32::MAX] {
        check_eq!(get_debugreg(register), Err(Errno::Inval), "register {register}");
    }
    check_eq!(set_debugreg(2, 0xFBFF_FFFC), Ok(()));
    check_eq!(get_debugreg(2), Ok(0xFBFF_FFFC));
    check_eq!(
        get_debugreg(6).map(|dr6| dr6 & dr6::ALWAYS_ONE),
        Ok(dr6::ALWAYS_ONE)
    );
}
