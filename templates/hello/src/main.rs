//! A guest kernel for xenlite: it says hello on its console and shuts down.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::ptr::{addr_of_mut, from_ref};
use guest_abi::event_channel::{EvtchnOp, Send};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Pte, PteFlags, UvmFlags};
use guest_abi::sched::{ShutdownReason, pack_shutdown};
use guest_abi::start_info::{StartFlags, StartInfo};
use guest_abi::{elfnote, io::console};

// What makes an ELF file a guest: a note of owner "xenlite" that tells the interface it was written for. It starts in
// ring 1 with its image mapped writable, a stack of one page, and the address of start_info in ESI.
global_asm!(
    r#" .section .note.xenlite, "a", @note
        .long 8, 4, 1
        .asciz "xenlite"
        .long {version}
        .text
        .globl start
    start:
        cld
        push esi
        call {hello} "#,
    version = const elfnote::ABI_VERSION,
    hello = sym hello,
);

/// A page of our own, to map the console's ring over.
#[repr(align(4096))]
struct Page([u8; 4096]);
static mut RING: Page = Page([0; 4096]);

/// A hypercall: number and arguments in, answer out.
fn call(number: CallNumber, [b, c, d, s]: [u32; 4]) -> u32 {
    let answer;
    // SAFETY: the callers pass what the call takes. ESI is LLVM's own, so it is exchanged by hand.
    unsafe {
        asm!("xchg esi, {s}", "int 0x82", "xchg esi, {s}", s = inout(reg) s => _,
            inout("eax") number.raw() => answer, inout("ebx") b => _, inout("ecx") c => _, inout("edx") d => _)
    }
    answer
}

/// Domain0 writes to the machine's console by a call; any other domain has a ring that Domain0 reads.
fn print(info: &StartInfo, text: &str) {
    if info.flags.contains(StartFlags::INITIAL_DOMAIN) {
        call(CallNumber::CONSOLE_IO, [0, text.len() as u32, text.as_ptr() as u32, 0]);
        return;
    }
    let ring = addr_of_mut!(RING).cast::<u8>();
    let (low, high) = Pte::new(info.console_mfn, PteFlags::PRESENT | PteFlags::WRITABLE).low_high();
    call(CallNumber::UPDATE_VA_MAPPING, [ring as u32 >> 12, low, high, UvmFlags::INVLPG.bits()]);
    for (n, byte) in text.bytes().enumerate() {
        // SAFETY: the ring is mapped there; Domain0 reads it at the same time, hence volatile.
        unsafe {
            ring.add(console::OUTPUT + n).write_volatile(byte);
            ring.add(console::OUT_PROD).cast::<u32>().write_volatile(n as u32 + 1);
        }
    }
    let notify = EvtchnOp::new(&Send { local_port: info.console_evtchn });
    call(CallNumber::EVENT_CHANNEL_OP, [from_ref(&notify) as u32, 0, 0, 0]);
}

extern "C" fn hello(info: &StartInfo) -> ! {
    print(info, "hello from a guest in Rust\n");
    loop {
        call(CallNumber::SCHED_OP, [pack_shutdown(ShutdownReason::POWEROFF), 0, 0, 0]);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {
        call(CallNumber::SCHED_OP, [pack_shutdown(ShutdownReason::CRASH), 0, 0, 0]);
    }
}
