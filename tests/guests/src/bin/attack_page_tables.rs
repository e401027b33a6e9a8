//! Attack: to write to one's own page tables without being judged.
//!
//! Three ways: a writable mapping of an L1; an L2 that names itself writable, so that its entries are a page; a
//! non-present entry with a frame number, on which processors with the L1TF flaw speculate.
//!
//! mutant: mutant-pt-writable
//! mutant: mutant-l2-self-writable
//! mutant: mutant-l1tf
#![no_std]
#![no_main]

use guest_abi::errno::Errno;
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, READ_ONLY, WRITABLE, frame};
use test_guests::raw::remap;
use test_guests::tables::{DIRECTORY, Space, pin, store, unpin};
use test_guests::{catch, check, check_eq, guest_abi, report};

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let victim = Page::take();
    let table = space.l1(victim.0);
    for level in [space.l3, space.l2(victim.0), table] {
        for at in [level, Page::take()] {
            if remap(at.0, level.pte(WRITABLE)) != Err(Errno::Inval) {
                level_is_ours(space, at, level);
            }
        }
    }
    // The same by machine address, and while the table is only pinned, used nowhere.
    let spare = Page::take().protect();
    check_eq!(pin(1, spare), Ok(()));
    check_eq!(
        store(space.l1_entry(spare.0), spare.pte(WRITABLE)),
        Err(Errno::Inval)
    );
    check_eq!(unpin(spare), Ok(()));
    check_eq!(store(space.l1_entry(spare.0), spare.pte(WRITABLE)), Ok(()));

    self_map(space);
    leaky_entries(space, victim);
    report::success()
}

/// The hypervisor let us map a table writable: shows what that is worth.
fn level_is_ours(space: Space, at: Page, level: Page) -> ! {
    let last = at.read(511);
    at.write(511, 0);
    at.write(511, last);
    report::failure(format_args!(
        "page table {:?} of root {:?} is mapped writable at {at:x?} and was written",
        level.mfn(),
        space.l3.mfn()
    ))
}

/// A linear map is fine read-only and only so.
fn self_map(space: Space) {
    let l2 = space.l2(0xC000_0000);
    let at = 0xC000_0000 + 400 * 0x20_0000;
    let entry = space.l2_entry(at);
    let bad = [DIRECTORY, READ_ONLY.union(PteFlags::WRITABLE)];
    for flags in bad {
        if store(entry, l2.pte(flags)).is_ok() {
            // The page at offset 400 of the map is the L2 itself: write a mapping of frame 1 into it.
            let window = Page(at + 400 * 4096);
            let written = catch(|| window.write(401, Pte::new(frame(0), DIRECTORY).raw()));
            report::failure(format_args!(
                "an L2 names itself writable; a write to it: {written:?}"
            ));
        }
    }
    check_eq!(store(entry, l2.pte(READ_ONLY.union(PteFlags::USER))), Ok(()));
    let window = Page(at + 400 * 4096);
    for index in [0, 1, 400, 480] {
        check_eq!(window.read(index) | 0x60, l2.read(index) | 0x60);
    }
    check!(catch(|| window.write(401, 0)).is_err());
    // RW alone, without another frame, is a change too.
    check_eq!(store(entry, l2.pte(DIRECTORY)), Err(Errno::Inval));
    check_eq!(store(entry, Pte::EMPTY), Ok(()));
}

/// Bits of a non-present entry are the guest's, but for a frame number of RAM and the hypervisor's own.
fn leaky_entries(space: Space, page: Page) {
    let entry = space.l1_entry(page.0);
    for bits in [
        0x1000,
        0xFFFF_F000,
        page.mfn().addr().raw(),
        page.mfn().addr().raw() | 0xE,
        1 << 59,
        1 << 62,
    ] {
        let is_ram = bits >> 12 < 512 << 8 || bits >> 52 != 0;
        let answer = store(entry, Pte::from_raw(bits));
        let wanted = if is_ram { Err(Errno::Inval) } else { Ok(()) };
        check_eq!(answer, wanted, "non-present entry {bits:#x}");
    }
    for bits in [0xFFE, 0x1FF << 52 & !(0xF << 59), 0x000F_FFFF_0000_0000] {
        check_eq!(
            store(entry, Pte::from_raw(bits)),
            Ok(()),
            "non-present entry {bits:#x}"
        );
        check_eq!(space.mapping(page.0), Pte::from_raw(bits));
    }
    check_eq!(store(entry, page.pte(WRITABLE)), Ok(()));
}
