//! What QEMU does not do as a processor does. The end of flat segments: ring 1 reads, writes and executes beyond it, ring 3
//! pushes. And the exceptions of SSE and of unaligned accesses.
//!
//! The flat segments end with the machine-to-phys window. Beyond it nothing is mapped, so what tells the limit from the
//! paging is the exception: #GP or #SS, and no #PF.
//!
//! emulator: bochs
//! memory: 128
//! timeout: 200
//! mutant: mutant-truncate
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use mini_guest::traps::Cause;
use test_guests::pages::{Page, peek32, poke32};
use test_guests::tables::Space;
use test_guests::{Caught, catch, check, check_eq, guest_abi, hypercall, report, ring3};

test_guests::entry!(main);

/// First address behind the window of a machine with up to 4 GiB.
const END: u32 = 0xFC40_0000;

fn vector(found: Result<u32, Caught>) -> Option<(Vector, u32)> {
    found.err().map(|caught| (caught.vector, caught.error))
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    check!(catch(|| peek32(0xFC00_0000)).is_ok(), "the window can be read");
    let protection = Some((Vector::GENERAL_PROTECTION, 0));
    for at in [END - 3, END, END + 0x1000, 0xFD00_0000, 0xFFFF_FFFC] {
        check_eq!(vector(catch(|| peek32(at))), protection, "read of {at:#x}");
        check_eq!(
            vector(catch(|| {
                poke32(at, 0);
                0
            })),
            protection,
            "write to {at:#x}"
        );
    }
    let execution = catch(|| {
        // SAFETY: the far end of the segment; the jump traps.
        unsafe { asm!("call {0:e}", in(reg) END, clobber_abi("C")) };
        0
    });
    check_eq!(vector(execution), protection, "a jump beyond the end");
    // By way of EBP, since the frame of the trap needs a stack that is good.
    let stack = catch(|| {
        let word: u32;
        // SAFETY: the read traps.
        unsafe { asm!("mov {0:e}, ss:[{1:e}]", out(reg) word, in(reg) END) };
        word
    });
    check_eq!(
        vector(stack),
        Some((Vector::STACK_FAULT, 0)),
        "the stack's segment"
    );
    own_segments();
    let code = ring3::pages();
    pushes(code);
    simd(code);
    alignment(code);
    report::success()
}

/// A descriptor of one's own that asks for 4 GiB is cut at the same place.
fn own_segments() {
    let gdt = Page::take();
    let all = Descriptor::from_fields(0, 0xF_FFFF, segment_type::WRITABLE, 1, DescriptorFlags::ORDINARY);
    gdt.write(1, all.raw());
    gdt.protect();
    check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
    check_eq!(
        Descriptor::new(gdt.read(1)).limit(),
        END - 1,
        "the stored limit is cut"
    );
    let read = |at: u32| {
        catch(|| {
            let word: u32;
            let selector = u32::from(Selector::gdt(1, 1).raw());
            // SAFETY: FS is nobody's.
            unsafe {
                asm!("mov fs, {0:e}", "mov {1:e}, fs:[{2:e}]", in(reg) selector, out(reg) word, in(reg) at)
            };
            word
        })
    };
    check!(read(0xFC00_0000).is_ok());
    check_eq!(vector(read(END)), Some((Vector::GENERAL_PROTECTION, 0)));
}

/// Ring 3 pushes beyond the end of its stack segment: its kernel is told, on a stack that is good.
fn pushes(code: Page) {
    // push eax; call next; pusha.
    let ways: [&[u8]; 3] = [&[0x50], &[0xE8, 0, 0, 0, 0], &[0x60]];
    for way in ways {
        // At the end, half across it, and far behind it.
        for esp in [END + 4, END + 2, END + 0x1000, 0xFFFF_FFFC] {
            let mut frame = ring3::frame(code, way);
            frame.esp = esp;
            let (found, cause) = ring3::enter(&frame);
            check_eq!(
                cause,
                Cause::Vector(Vector::STACK_FAULT.raw()),
                "{way:x?} at {esp:#x}: {found}"
            );
            check_eq!(
                (found.error, found.eip, found.esp),
                (0, code.0, esp),
                "{way:x?} at {esp:#x}"
            );
        }
    }
}

/// MXCSR as it starts, and with the division by zero unmasked.
const MASKED: u32 = 0x1F80;
const UNMASKED: u32 = MASKED & !(1 << 9);

/// #XM, in ring 1 and from ring 3.
fn simd(code: Page) {
    let division = catch(|| {
        // SAFETY: registers that nobody uses; MXCSR is set back below.
        unsafe {
            asm!("push {0:e}", "ldmxcsr [esp]", "pop {0:e}", "xorps xmm1, xmm1", "mov {0:e}, 0x3f800000",
                "movd xmm0, {0:e}", "divss xmm0, xmm1", inout(reg) UNMASKED => _);
        }
        0
    });
    check_eq!(
        vector(division),
        Some((Vector::SIMD_ERROR, 0)),
        "a division by zero"
    );
    // SAFETY: the value that it had.
    unsafe { asm!("push {0:e}", "ldmxcsr [esp]", "pop {0:e}", in(reg) MASKED) };
    // push imm32; ldmxcsr [esp]; xorps xmm1, xmm1; divss xmm1, xmm1 is invalid: unmask that too.
    let unmasked = (UNMASKED & !(1 << 7)).to_le_bytes();
    let mut bytes = [
        0x68, 0, 0, 0, 0, 0x0F, 0xAE, 0x14, 0x24, 0x0F, 0x57, 0xC9, 0xF3, 0x0F, 0x5E, 0xC9,
    ];
    bytes[1..5].copy_from_slice(&unmasked);
    let (found, cause) = ring3::run(code, &bytes);
    check_eq!(cause, Cause::Vector(Vector::SIMD_ERROR.raw()), "{found}");
    check_eq!((found.error, found.eip), (0, code.0 + 12));
    // SAFETY: as above.
    unsafe { asm!("push {0:e}", "ldmxcsr [esp]", "pop {0:e}", in(reg) MASKED) };
}

/// #AC: for ring 3 that asks for it, and for nobody else.
fn alignment(code: Page) {
    const AC: u32 = 1 << 18;
    // mov eax, [code + 0x801]; ud2.
    let mut bytes = [0xA1, 0, 0, 0, 0, 0x0F, 0x0B];
    bytes[1..5].copy_from_slice(&(code.0 + 0x801).to_le_bytes());
    let mut frame = ring3::frame(code, &bytes);
    let (_, cause) = ring3::enter(&frame);
    check_eq!(cause, Cause::Vector(Vector::INVALID_OPCODE.raw()), "nobody asked");
    frame.eflags |= AC;
    let (found, cause) = ring3::enter(&frame);
    check_eq!(cause, Cause::Vector(Vector::ALIGNMENT_CHECK.raw()), "{found}");
    check_eq!((found.error, found.eip, found.eflags & AC), (0, code.0, AC));
    let ring_1 = catch(|| {
        // SAFETY: reads a page of our own, with the flag set in between.
        unsafe {
            asm!("pushfd", "or dword ptr [esp], 0x40000", "popfd", "mov {0:e}, [{0:e}]", "pushfd",
                "and dword ptr [esp], 0xfffbffff", "popfd", inout(reg) code.0 + 0x801 => _);
        }
        0
    });
    check_eq!(vector(ring_1), None, "ring 1 is not checked");
}
