//! Every exception that ring 1 can raise by an instruction arrives with its own frame, at its own instruction.
//!
//! #XM and #AC, which QEMU does not raise, are in `limits`; #NP and #SS in `segments`; #NM in `cpu_state`. Nothing that a
//! guest can do raises #TS: long mode has no task gates, and the hypervisor's stacks are not found by selectors.
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::{PageFaultCode, Vector, idt_error_code};
use test_guests::pages::{Page, peek32, poke32};
use test_guests::tables::Space;
use test_guests::{Caught, catch, check, check_eq, guest_abi, report};

test_guests::entry!(main);

/// Runs instructions and gives the trap they end in, with its place relative to their start.
macro_rules! trap_of {
    ($($line:literal),+) => {
        catch(|| {
            let start: u32;
            // SAFETY: the instructions trap, and the catch restores everything.
            unsafe {
                asm!("lea {0}, [2f]", "mov [esp - 64], {0}", "2:", $($line,)+ out(reg) start,
                    out("eax") _, out("ecx") _, out("edx") _);
            }
            start
        })
    };
}

fn expect(found: Result<u32, Caught>, vector: Vector, error: u32) -> Caught {
    let Err(caught) = found else {
        report::failure(format_args!("no {vector}"))
    };
    check_eq!(caught.vector, vector, "{caught}");
    check_eq!(caught.error, error, "{caught}");
    caught
}

fn main(start_info: &'static StartInfo) -> ! {
    expect(trap_of!("xor ecx, ecx", "div ecx"), Vector::DIVIDE_ERROR, 0);
    expect(trap_of!("int3"), Vector::BREAKPOINT, 0);
    expect(trap_of!("mov al, 0x7f", "add al, 1", "into"), Vector::OVERFLOW, 0);
    expect(
        trap_of!("mov eax, -1", "push 1", "push 0", "bound eax, [esp]"),
        Vector::BOUND_RANGE,
        0,
    );
    expect(trap_of!("ud2"), Vector::INVALID_OPCODE, 0);
    for caught in [
        trap_of!("hlt"),
        trap_of!("cli"),
        trap_of!("sti"),
        trap_of!("in al, 0x21"),
        trap_of!("mov eax, cr3"),
        trap_of!("mov eax, dr7"),
        trap_of!("xor ecx, ecx", "rdmsr"),
        trap_of!("clts"),
        trap_of!("wbinvd"),
        trap_of!("lgdt [esp]"),
        trap_of!("invlpg [esp]"),
    ] {
        expect(caught, Vector::GENERAL_PROTECTION, 0);
    }
    // Vectors of exceptions and of devices cannot be raised by `int n`.
    expect(
        trap_of!("int 0x0e"),
        Vector::GENERAL_PROTECTION,
        idt_error_code(14),
    );
    expect(
        trap_of!("int 0x02"),
        Vector::GENERAL_PROTECTION,
        idt_error_code(2),
    );
    expect(
        trap_of!("int 0xe0"),
        Vector::GENERAL_PROTECTION,
        idt_error_code(0xe0),
    );
    expect(
        trap_of!("int 0xff"),
        Vector::GENERAL_PROTECTION,
        idt_error_code(0xff),
    );
    // Selectors beyond the table, of ring 0, and of the hypervisor's system descriptors.
    expect(
        trap_of!("mov ecx, 0x1001", "mov fs, ecx"),
        Vector::GENERAL_PROTECTION,
        0x1000,
    );
    expect(
        trap_of!("mov ecx, 0xe011", "mov fs, ecx"),
        Vector::GENERAL_PROTECTION,
        0xe010,
    );
    expect(
        trap_of!("mov ecx, 0xe041", "mov fs, ecx"),
        Vector::GENERAL_PROTECTION,
        0xe040,
    );
    // The x87's own, at the instruction that waits. (QEMU has no #XM.)
    expect(
        trap_of!(
            "fninit",
            "push 0x37b",
            "fldcw [esp]",
            "fld1",
            "fldz",
            "fdivp",
            "fwait"
        ),
        Vector::X87_ERROR,
        0,
    );
    page_faults(start_info);
    report::success()
}

/// #PF with the address and what was tried, at each sort of hole.
fn page_faults(start_info: &StartInfo) {
    let space = Space::new(start_info);
    let page = Page::take().protect();
    let faults = [
        (catch(|| peek32(0x1000)), 0, 0x1000),
        (catch(|| peek32(0xFBFF_FFFC)), 0, 0xFBFF_FFFC),
        (
            catch(|| {
                poke32(0x1000, 1);
                0
            }),
            2,
            0x1000,
        ),
        (
            catch(|| {
                poke32(page.0 + 8, 1);
                0
            }),
            3,
            page.0 + 8,
        ),
        (
            catch(|| {
                poke32(space.l3.0, 1);
                0
            }),
            3,
            space.l3.0,
        ),
        // The machine-to-phys window is there to be read.
        (
            catch(|| {
                poke32(0xFC00_0000, 1);
                0
            }),
            3,
            0xFC00_0000,
        ),
    ];
    for (found, error, address) in faults {
        let caught = expect(found, Vector::PAGE_FAULT, error);
        check_eq!(caught.cr2, address);
    }
    check!(catch(|| peek32(page.0)).is_ok());
    let jumped = catch(|| {
        // SAFETY: nothing is there; the catch restores everything.
        unsafe { asm!("call {}", in(reg) 0x2000, clobber_abi("C")) };
        0
    });
    let caught = expect(jumped, Vector::PAGE_FAULT, PageFaultCode::FETCH.bits());
    check_eq!((caught.cr2, caught.eip), (0x2000, 0x2000));
}
