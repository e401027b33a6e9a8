//! The LDT at a switch: the same selector names a segment of the domain's own, or none.
//!
//! mutant: mutant-switch-ldt
#![no_std]
#![no_main]

use guest_abi::addr::GuestVirt;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::segment::{Descriptor, DescriptorFlags, segment_type};
use guest_abi::start_info::StartInfo;
use test_guests::pages::{READ_ONLY, poke32};
use test_guests::puppet::{DATA, Ended, Puppet, USER};
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, report, scripts};

test_guests::entry!(main);

scripts! {
    /// Loads the first descriptor and reads.
    load: "mov eax, 5", "mov fs, eax", "mov eax, fs:[0]", "mov ebx, fs";
    /// Reads by what is loaded.
    read: "mov eax, fs:[0]", "mov ebx, fs";
    /// Loads the second page's first descriptor.
    load_far: "mov eax, 512 * 8 + 5", "mov gs, eax";
}

/// The first local descriptor, RPL 1.
const SELECTOR: u32 = 5;

fn with_ldt(n: u32) -> Puppet {
    let puppet = Puppet::new(|_| ());
    let page = puppet.show(7);
    (0..4).for_each(|word| poke32(page.0 + 4 * word, n << 8 | word));
    let base = USER + 4 * n;
    let descriptor = Descriptor::from_fields(base, 0, segment_type::WRITABLE, 1, DescriptorFlags::ORDINARY);
    puppet.show(6).write(0, descriptor.raw());
    // The window must not show it writable.
    puppet.show(7);
    check_eq!(puppet.remap(6, Pte::new(puppet.frames[6], READ_ONLY)), Ok(()));
    register(puppet, 8);
    puppet
}

fn register(puppet: Puppet, entries: u32) {
    let base = GuestVirt::new(if entries == 0 { 0 } else { DATA });
    let request = MmuUpdate::extended(Extended::SetLdt { base, entries });
    check_eq!(puppet.mmu(&[request]), Ok(()));
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let puppets = [with_ldt(1), with_ldt(2)];
    let none = Puppet::new(|_| ());
    for round in 0..6 {
        for (n, puppet) in (1..).zip(puppets) {
            let wanted = Ended::Done(n << 8 | n, SELECTOR);
            check_eq!(puppet.run(load), wanted, "round {round}");
            check_eq!(none.run(load).trap(), Some(13), "it has no LDT");
            check_eq!(puppet.run(read), wanted, "and it stays loaded");
            check_eq!(puppet.run(load_far).trap(), Some(13), "beyond its end");
        }
        for (n, puppet) in (1..).zip(puppets) {
            check_eq!(
                puppet.run(read),
                Ended::Done(n << 8 | n, SELECTOR),
                "over both switches"
            );
        }
    }
    // Without it, the other's does not come in its place.
    let [one, other] = puppets;
    check_eq!(one.run(unload).trap(), None);
    register(one, 0);
    check_eq!(other.run(load), Ended::Done(0x202, SELECTOR));
    check_eq!(one.run(load).trap(), Some(13));
    register(one, 1);
    check_eq!(one.run(load), Ended::Done(0x101, SELECTOR));
    report::success()
}

scripts! {
    unload: "xor eax, eax", "mov fs, eax";
}
