//! Attack: a translation that the processor still remembers.
//!
//! A page is written to, unmapped without a flush, and becomes a page table or a page of descriptors, or goes back to the
//! hypervisor. Whoever still holds the writable translation could then write to it.
//!
//! mutant: mutant-stale-tlb
#![no_std]
#![no_main]

use guest_abi::domain::DomId;
use guest_abi::mmu::Pte;
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, poke32};
use test_guests::tables::{Space, pin, store, unpin};
use test_guests::{catch, check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    // Dropping a mapping does not flush by itself: else there were nothing to attack.
    let page = Page::take();
    let entry = space.l1_entry(page.0);
    poke32(page.0, 1);
    check_eq!(store(entry, Pte::EMPTY), Ok(()));
    let remembered = catch(|| poke32(page.0, 2)).is_ok();
    if !remembered {
        report::skip(format_args!("this machine forgets translations early"));
    }

    for round in ["an L1", "a page of descriptors", "a free frame"] {
        let page = Page::take();
        let entry = space.l1_entry(page.0);
        // The address of the entry is known before the TLB is filled: finding it reads other pages.
        poke32(page.0, 0);
        check_eq!(store(entry, Pte::EMPTY), Ok(()));
        match round {
            "an L1" => check_eq!(pin(1, page), Ok(())),
            "a page of descriptors" => check_eq!(hypercall::set_gdt(&[page.mfn()], 512), Ok(())),
            _ => {
                // SAFETY: the page is mapped nowhere and used by nobody.
                let freed = unsafe { hypercall::decrease_reservation(&[page.mfn()], 0, DomId::SELF) };
                check_eq!(freed, Ok(1));
            }
        }
        if round == "a free frame" {
            reuse(page);
            continue;
        }
        let written = catch(|| poke32(page.0, 0x8000_0001));
        check!(written.is_err(), "{round} was written to by a stale translation");
        if round == "an L1" {
            check_eq!(unpin(page), Ok(()));
        }
    }
    report::success()
}

/// The frame comes back to us, and it is not what the stale translation wrote.
fn reuse(page: Page) {
    let mut list = [guest_abi::addr::Mfn::new(0)];
    for _ in 0..64 {
        check_eq!(hypercall::increase_reservation(&mut list, 0, DomId::SELF), Ok(1));
        if list[0] == page.mfn() {
            break;
        }
    }
    check!(
        catch(|| poke32(page.0, 0xDEAD)).is_err(),
        "a frame given back is still written to"
    );
}
