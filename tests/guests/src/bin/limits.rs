//! The end of flat segments, by a processor that checks limits (QEMU does not): ring 1 reads, writes, executes and
//! pushes beyond it.
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
use test_guests::pages::{Page, peek32, poke32};
use test_guests::tables::Space;
use test_guests::{Caught, catch, check, check_eq, guest_abi, hypercall, report};

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
