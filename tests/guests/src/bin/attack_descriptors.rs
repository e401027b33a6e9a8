//! Attack: descriptors that lead out of ring 1's 32-bit world.
//!
//! 64-bit code in ring 1 can form every address, and paging does not keep it out of the hypervisor's. A call gate leads
//! into the hypervisor's own code segment at an address of the guest's choice. Each is tried by both ways in (a whole page, a
//! single descriptor); where one is let through, it is used.
//!
//! mutant: mutant-long-code-descriptor
//! mutant: mutant-call-gate
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::errno::Errno;
use guest_abi::segment::Descriptor;
use guest_abi::start_info::StartInfo;
use test_guests::pages::Page;
use test_guests::tables::Space;
use test_guests::{catch, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

/// Ring-1 64-bit code.
const LONG_CODE: u64 = 0x00AF_BA00_0000_FFFF;

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let (gdt, spare) = (Page::take().protect(), Page::take());
    check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
    // SAFETY: the slots are ours and nothing uses them.
    let store =
        |index, raw| unsafe { hypercall::update_descriptor(gdt.entry_addr(index), Descriptor::new(raw)) };

    let long = store(1, LONG_CODE);
    if long.is_ok() {
        read_the_hypervisor();
    }
    check_eq!(long, Err(Errno::Inval));
    // A 64-bit call gate of DPL 1 to 0xE008; its second half is the next descriptor.
    let code = Page::take();
    for (offset, byte) in [0x0F_u8, 0x20, 0xD8, 0x48, 0xCB].into_iter().enumerate() {
        // SAFETY: a page of our own: `mov rax, cr3; retfq`.
        unsafe { (code.0 as *mut u8).wrapping_add(offset).write_volatile(byte) };
    }
    let offset = u64::from(code.0);
    let gate = offset & 0xFFFF | 0xE008 << 16 | 0xAC00 << 32 | (offset >> 16) << 48;
    let stored = store(2, gate);
    if stored.is_ok() {
        let root = catch(|| {
            let root: u32;
            // SAFETY: the gate leads to the two instructions above and back.
            unsafe { asm!(".byte 0x9a, 0, 0, 0, 0, 0x11, 0", out("eax") root) };
            root
        });
        report::failure(format_args!(
            "ring-0 code of ours ran by a call gate; CR3 is {root:x?}"
        ));
    }
    check_eq!(stored, Err(Errno::Inval));
    refusals(gdt, spare);
    report::success()
}

/// Goes to 64-bit code, which reads physical memory through the hypervisor's direct map, and back.
fn read_the_hypervisor() -> ! {
    let code = Page::take();
    // mov rax, [0xFFFF830000100000]; retfq
    let bytes = [0x48_u8, 0xA1, 0, 0, 0x10, 0, 0, 0x83, 0xFF, 0xFF, 0x48, 0xCB];
    for (offset, byte) in bytes.into_iter().enumerate() {
        // SAFETY: a page of our own.
        unsafe { (code.0 as *mut u8).wrapping_add(offset).write_volatile(byte) };
    }
    let word = catch(|| {
        let word: u32;
        // SAFETY: a far call whose return address is made 64 bits wide by hand: CS and EIP, 8 bytes each.
        unsafe {
            asm!(
                "push 0",
                "push 0xe019",
                "push 0",
                "lea eax, [2f]",
                "push eax",
                "push 0x9",
                "push {code}",
                "retf",
                "2:",
                code = in(reg) code.0,
                out("eax") word
            );
        }
        word
    });
    report::failure(format_args!(
        "64-bit code in ring 1 read the hypervisor: {word:x?}"
    ))
}

/// Everything else that no descriptor may be.
fn refusals(gdt: Page, spare: Page) {
    let bad = [
        0x00CF_9A00_0000_FFFF, // ring-0 code
        0x00CF_9200_0000_FFFF, // ring-0 data
        0x0000_E200_0000_0000, // LDT
        0x0000_E900_0000_0067, // TSS
        0x0000_EE00_0008_0000, // interrupt gate
        0x0000_EF00_0008_0000, // trap gate
        0x0000_E500_0008_0000, // task gate
        0x0000_EC00_0008_0000, // call gate
        0x0000_A000_0000_0000, // a type that means nothing
        0x008F_B200_0000_FFFF, // a 16-bit stack
        0xFCCF_B240_0000_0000, // a base at the hypervisor's window
        0xFF4F_B2FF_F000_000F, // bytes beyond the window
    ];
    for raw in bad {
        let descriptor = Descriptor::new(raw);
        // SAFETY: as above.
        let stored = unsafe { hypercall::update_descriptor(gdt.entry_addr(3), descriptor) };
        check_eq!(stored, Err(Errno::Inval), "descriptor {raw:#018x}");
        spare.write(511, raw);
        spare.protect();
        check_eq!(
            hypercall::set_gdt(&[spare.mfn()], 512),
            Err(Errno::Inval),
            "page with {raw:#018x}"
        );
        spare.unprotect();
    }
    check_eq!(gdt.read(3), 0, "a refused descriptor is not stored");
    // Present or not is the whole difference.
    for raw in bad {
        // SAFETY: as above.
        let stored =
            unsafe { hypercall::update_descriptor(gdt.entry_addr(3), Descriptor::new(raw & !(1 << 47))) };
        check_eq!(stored, Ok(()));
    }
}
