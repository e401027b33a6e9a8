//! A data segment that cannot be loaded when a domain is switched to: the domain's own failsafe callback is entered with the
//! selectors that were meant, and nobody else notices.
//!
//! A register keeps what was loaded when its descriptor goes; a switch away and back loads it anew.
#![no_std]
#![no_main]

use guest_abi::addr::GuestVirt;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use test_guests::pages::{READ_ONLY, WRITABLE};
use test_guests::puppet::{DATA, Ended, OWN_TRAPS, Puppet, USER, handler};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, report, scripts};

test_guests::entry!(main);

scripts! {
    /// Loads FS and GS from the words.
    load: "mov fs, [words]", "mov gs, [words + 4]";
    selectors: "xor ebx, ebx", "mov eax, fs", "mov ebx, gs";
    clear: "xor eax, eax", "mov fs, eax", "mov gs, eax";
}

const FLAT: u32 = Selector::FLAT_RING1_DS.raw() as u32;
/// Entry 4 of the GDT and of the LDT.
const GLOBAL: u32 = 4 * 8 + 1;
const LOCAL: u32 = 4 * 8 + 5;

fn descriptor() -> Descriptor {
    Descriptor::from_fields(USER, 0, segment_type::WRITABLE, 1, DescriptorFlags::ORDINARY)
}

/// A puppet with one page as GDT and LDT, and a failsafe callback with a number of its own.
fn with_tables(n: u32) -> Puppet {
    let puppet = Puppet::new(|first| first.failsafe_callback.eip = handler(number(n)));
    puppet.show(6).write(4, descriptor().raw());
    puppet.show(7);
    check_eq!(puppet.remap(6, Pte::new(puppet.frames[6], READ_ONLY)), Ok(()));
    let list = puppet.put(&puppet.frames[6].raw());
    check_eq!(puppet.call(CallNumber::SET_GDT, &[list, 8]), Ok(0));
    local(puppet, 8);
    puppet
}

const fn number(n: u32) -> u32 {
    OWN_TRAPS.start + n
}

fn local(puppet: Puppet, entries: u32) {
    check_eq!(puppet.mmu(&[ldt(entries)]), Ok(()));
}

fn ldt(entries: u32) -> MmuUpdate {
    let base = GuestVirt::new(if entries == 0 { 0 } else { DATA });
    MmuUpdate::extended(Extended::SetLdt { base, entries })
}

/// Replaces entry 4.
fn replace(puppet: Puppet, descriptor: Descriptor) -> Ended {
    let (at, (low, high)) = (puppet.frames[6].addr().raw() + 32, descriptor.low_high());
    puppet.call_raw(
        CallNumber::UPDATE_DESCRIPTOR,
        &[at as u32, (at >> 32) as u32, low, high],
    )
}

fn loaded(puppet: Puppet, fs: u32, gs: u32) {
    puppet.set_word(0, fs);
    puppet.set_word(1, gs);
    check_eq!(puppet.run(load).trap(), None);
    check_eq!(puppet.run(selectors), Ended::Done(fs, gs));
}

/// `spoil` makes `puppet` spoil these selectors. It must be in its failsafe callback when it comes back from a switch, with
/// them in the frame: at that order if its time was up at once, or before the next one, or at the next one.
fn fails(puppet: Puppet, n: u32, spoil: impl FnOnce() -> Ended, fs: u32, gs: u32) {
    let before = puppet.traps();
    if spoil().eax().is_some_and(|eax| eax != 0) {
        report::failure(format_args!("the order is refused"));
    }
    let _ = puppet.run(selectors);
    check_eq!(puppet.traps(), before + 1, "loaded in vain");
    let ended = puppet.last_trap();
    let Ended::Trap(found, frame) = ended else {
        report::failure(format_args!("no trap: {ended:x?}"))
    };
    check_eq!(found, number(n), "its own callback");
    check_eq!(frame[..4], [FLAT, FLAT, fs, gs]);
    check_eq!(frame[5] & 0xFFFF, u32::from(Selector::FLAT_RING1_CS.raw()));
    // Once: null is there now.
    check_eq!(puppet.run(selectors), Ended::Done(0, 0));
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let puppets = [with_tables(0), with_tables(1)];
    let bystander = Puppet::new(|_| ());
    let absent = Descriptor::new(descriptor().raw() & !(1 << 47));
    for round in 0..4 {
        for (n, puppet) in (0..).zip(puppets) {
            let other = puppets[1 - n as usize];
            loaded(other, GLOBAL, LOCAL);
            for (fs, gs) in [(GLOBAL, 0), (0, GLOBAL), (GLOBAL, LOCAL), (FLAT, LOCAL)] {
                loaded(puppet, fs, gs);
                fails(puppet, n, || replace(puppet, absent), fs, gs);
                check_eq!(replace(puppet, descriptor()).eax(), Some(0));
            }
            // The LDT itself goes.
            loaded(puppet, FLAT, LOCAL);
            let list = puppet.put(&ldt(0));
            let gone = || puppet.call_raw(CallNumber::MMU_UPDATE, &[list, 1, 0]);
            fails(puppet, n, gone, FLAT, LOCAL);
            local(puppet, 8);
            check_eq!(other.run(selectors), Ended::Done(GLOBAL, LOCAL), "round {round}");
            check_eq!(bystander.run(selectors), Ended::Done(FLAT, FLAT));
        }
    }
    // Without an effect while nothing is loaded.
    let [one, _] = puppets;
    check_eq!(one.run(clear).trap(), None);
    check_eq!(replace(one, absent).eax(), Some(0));
    check_eq!(one.run(selectors), Ended::Done(0, 0));
    check!(
        one.remap(6, Pte::new(one.frames[6], WRITABLE)).is_err(),
        "it is a table still"
    );
    report::success()
}
