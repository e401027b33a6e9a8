//! Calls 2 and 10 and the LDT: descriptors of one's own, their faults, the LDT's pages on demand.
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::errno::Errno;
use guest_abi::mmu::{Extended, Pte};
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use test_guests::pages::{Page, poke32};
use test_guests::raw::remap;
use test_guests::tables::{Space, extended};
use test_guests::{Caught, catch, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

fn data(base: u32) -> Descriptor {
    Descriptor::from_fields(base, 0, segment_type::WRITABLE, 1, DescriptorFlags::ORDINARY)
}

/// The first word of the segment that `selector` names.
fn first_word(selector: Selector) -> Result<u32, Caught> {
    catch(|| {
        let word: u32;
        let none = 0_u32;
        // SAFETY: FS is nobody's; it is null again afterwards.
        unsafe {
            asm!("mov fs, {0:e}", "mov {1:e}, fs:[0]", "mov fs, {2:e}",
                in(reg) u32::from(selector.raw()), out(reg) word, in(reg) none);
        }
        word
    })
}

fn fault(found: Result<u32, Caught>) -> Option<(Vector, u32)> {
    found.err().map(|caught| (caught.vector, caught.error))
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let (target, gdt) = (Page::take(), Page::take());
    poke32(target.0, 0xCAFE_F00D);
    gdt.write(4, data(target.0).raw());
    gdt.write(5, data(target.0).raw() & !(1 << 47));
    check_eq!(
        hypercall::set_gdt(&[gdt.mfn()], 512),
        Err(Errno::Inval),
        "it is mapped writable"
    );
    gdt.protect();
    check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
    check_eq!(first_word(Selector::gdt(4, 1)), Ok(0xCAFE_F00D));
    check_eq!(
        fault(first_word(Selector::gdt(5, 1))),
        Some((Vector::SEGMENT_NOT_PRESENT, 5 * 8))
    );
    check_eq!(
        fault(first_word(Selector::gdt(512, 1))),
        Some((Vector::GENERAL_PROTECTION, 512 * 8))
    );
    let stack = catch(|| {
        // SAFETY: the load traps.
        unsafe { asm!("mov ss, {0:e}", in(reg) 5 * 8 + 1) };
        0
    });
    check_eq!(fault(stack), Some((Vector::STACK_FAULT, 5 * 8)));

    // SAFETY: slots of our own table.
    let store = |at, descriptor| unsafe { hypercall::update_descriptor(at, descriptor) };
    check_eq!(store(gdt.entry_addr(6), data(target.0)), Ok(()));
    check_eq!(first_word(Selector::gdt(6, 1)), Ok(0xCAFE_F00D));
    let at = guest_abi::addr::MachAddr::new(gdt.entry_addr(7).raw() + 4);
    check_eq!(store(at, data(0)), Err(Errno::Inval), "half-way into a slot");
    let space = Space::new(start_info);
    check_eq!(
        store(space.l1_entry(target.0), data(0)),
        Err(Errno::Inval),
        "into a page table"
    );
    check_eq!(
        store(guest_abi::addr::MachAddr::new(0x10_0000), data(0)),
        Err(Errno::Inval),
        "into the hypervisor"
    );
    check_eq!(
        store(target.entry_addr(9), data(0)),
        Ok(()),
        "any page that may be written"
    );
    check_eq!(target.read(9), data(0).raw());

    let list = [gdt.mfn(); 14];
    for entries in [0, 7169, 8192, u32::MAX] {
        let answer = test_guests::raw::call(
            guest_abi::hypercall::CallNumber::SET_GDT,
            &[list.as_ptr() as u32, entries],
        );
        check_eq!(answer, Err(Errno::Inval), "{entries} entries");
    }
    check_eq!(
        hypercall::set_gdt(&[Mfn::new(0x100)], 512),
        Err(Errno::Inval),
        "a frame of others"
    );
    check_eq!(
        hypercall::set_gdt(&list, 7168),
        Ok(()),
        "the same frame fourteen times"
    );
    check_eq!(first_word(Selector::gdt(512 * 13 + 4, 1)), Ok(0xCAFE_F00D));
    check_eq!(hypercall::set_gdt(&[gdt.mfn()], 5), Ok(()));
    check_eq!(
        fault(first_word(Selector::gdt(600, 1))),
        Some((Vector::GENERAL_PROTECTION, 600 * 8))
    );
    ldt(target);
    report::success()
}

fn ldt(target: Page) {
    let table = Page::take_run(2);
    let local = |index: u16| Selector::new(index << 3 | 4 | 1);
    let set = |base: u32, entries| {
        let base = GuestVirt::new(base);
        extended(Extended::SetLdt { base, entries })
    };
    for n in 0..2 {
        table.next(n).write(1, data(target.0).raw());
        table.next(n).protect();
    }
    check_eq!(
        fault(first_word(local(1))),
        Some((Vector::GENERAL_PROTECTION, 8 | 4)),
        "no LDT yet"
    );
    check_eq!(
        set(table.0 + 8, 512),
        Err(Errno::Inval),
        "not the start of a page"
    );
    check_eq!(set(table.0, 8193), Err(Errno::Inval), "too long");
    check_eq!(
        set(0xFC3F_F000, 8192),
        Err(Errno::Inval),
        "beyond the flat segments"
    );
    check_eq!(set(table.0, 1024), Ok(()));
    check_eq!(first_word(local(1)), Ok(0xCAFE_F00D));
    check_eq!(
        first_word(local(513)),
        Ok(0xCAFE_F00D),
        "the second page, mapped on demand"
    );
    check_eq!(set(0, 0), Ok(()));
    check_eq!(
        fault(first_word(local(1))),
        Some((Vector::GENERAL_PROTECTION, 8 | 4))
    );

    // A page that cannot be mapped: the guest is told of its own address.
    let hole = table.next(1);
    check_eq!(remap(hole.0, Pte::EMPTY), Ok(()));
    check_eq!(set(table.0, 1024), Ok(()));
    let caught = first_word(local(513)).err();
    check_eq!(
        caught.map(|c| (c.vector, c.cr2)),
        Some((Vector::PAGE_FAULT, hole.0 + 8))
    );
    check_eq!(set(0, 0), Ok(()));
}
