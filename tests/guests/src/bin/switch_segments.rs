//! GDT and data segment registers at a switch: each domain's selectors are its own, and so is what they name.
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::Pte;
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use test_guests::pages::{READ_ONLY, poke32};
use test_guests::puppet::{Ended, Puppet, USER};
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, report, scripts};

test_guests::entry!(main);

scripts! {
    /// Loads four selectors from the words. DS last: the words are reached by it.
    load: "mov ecx, [words]", "mov es, [words + 4]", "mov fs, [words + 8]", "mov gs, [words + 12]", "mov ds, ecx";
    /// What they are.
    selectors: "mov eax, ds", "shl eax, 16", "mov ecx, es", "or eax, ecx", "mov ebx, fs", "shl ebx, 16", "mov ecx, gs",
        "or ebx, ecx";
    /// What they name.
    by_ds: "mov eax, ds:[0]", "mov ebx, es:[0]";
    by_fs: "mov eax, fs:[0]", "mov ebx, gs:[0]";
    load_4: "mov eax, 4 * 8 + 1", "mov fs, eax";
}

const FLAT: u32 = Selector::FLAT_RING1_DS.raw() as u32;

/// A puppet with a GDT whose entries 4 to 7 begin at words of its own.
fn with_gdt(n: u32) -> Puppet {
    let puppet = Puppet::new(|_| ());
    let page = puppet.show(7);
    (0..64).for_each(|word| poke32(page.0 + 4 * word, n << 8 | word));
    let page = puppet.show(6);
    for entry in 4..8 {
        let base = USER + 16 * n + 4 * entry;
        let ordinary = DescriptorFlags::ORDINARY;
        let descriptor = Descriptor::from_fields(base, 0, segment_type::WRITABLE, 1, ordinary);
        page.write(entry as usize, descriptor.raw());
    }
    puppet.show(7);
    check_eq!(puppet.remap(6, Pte::new(puppet.frames[6], READ_ONLY)), Ok(()));
    let list = puppet.put(&puppet.frames[6].raw());
    check_eq!(puppet.call(CallNumber::SET_GDT, &[list, 8]), Ok(0));
    puppet
}

/// The selectors of a puppet, in another order for each.
fn chosen(n: u32) -> [u32; 4] {
    core::array::from_fn(|place| {
        let entry = 4 + (place as u32 + n) % 4;
        entry * 8 + 1
    })
}

fn judge(puppet: Puppet, n: u32) {
    let [ds, es, fs, gs] = chosen(n);
    check_eq!(
        puppet.run(selectors),
        Ended::Done(ds << 16 | es, fs << 16 | gs),
        "puppet {n}"
    );
    let word = |selector: u32| n << 8 | (4 * n + selector / 8);
    check_eq!(puppet.run(by_ds), Ended::Done(word(ds), word(es)), "puppet {n}");
    check_eq!(puppet.run(by_fs), Ended::Done(word(fs), word(gs)), "puppet {n}");
}

fn own() -> (u16, u16) {
    let (fs, gs): (u16, u16);
    // SAFETY: reads selectors.
    unsafe { asm!("mov {0:x}, fs", "mov {1:x}, gs", out(reg) fs, out(reg) gs) }
    (fs, gs)
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    // SAFETY: FS and GS are nobody's.
    unsafe { asm!("mov fs, {0:x}", "mov gs, {1:x}", in(reg) Selector::FLAT_RING3_DS.raw(), in(reg) 2_u16) }
    let ours = own();
    let puppets = [with_gdt(1), with_gdt(2), with_gdt(3)];
    let none = Puppet::new(|_| ());
    for (n, puppet) in (1..).zip(puppets) {
        for (at, selector) in (0..).zip(chosen(n)) {
            puppet.set_word(at, selector);
        }
        check_eq!(puppet.run(load).trap(), None);
        check_eq!(own(), ours);
    }
    for round in 0..6 {
        for (n, puppet) in (1..).zip(puppets) {
            judge(puppet, n);
            check_eq!(own(), ours, "round {round}");
        }
        check_eq!(
            none.run(selectors),
            Ended::Done(FLAT << 16 | FLAT, FLAT << 16 | FLAT)
        );
        check_eq!(none.run(load_4).trap(), Some(13), "it has no GDT of its own");
    }
    report::success()
}
