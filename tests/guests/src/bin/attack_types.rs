//! Attack: one frame as two things at once.
//!
//! A page of descriptors as an L1: words that are harmless as descriptors (P = 0) are entries that map page tables
//! writable. And counts driven to their limit: were they to start again at 0, a frame in use would look unused and could
//! become a table while it is mapped writable.
//!
//! memory: 512
//! mutant: mutant-segdesc-type-confusion
//! mutant: mutant-count-overflow
#![no_std]
#![no_main]

use guest_abi::addr::GuestVirt;
use guest_abi::errno::Errno;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, READ_ONLY, WRITABLE};
use test_guests::raw::{mmu, remap, request};
use test_guests::tables::{DIRECTORY, Space, extended, pin, store, touch_ldt, unpin};
use test_guests::{check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Typed uses that a frame can have.
const LIMIT: u32 = (1 << 17) - 1;

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    confusion(space);
    limit();
    report::success()
}

fn confusion(space: Space) {
    let at = 0xC000_0000 + 401 * 0x20_0000;
    let page = Page::take();
    page.write(5, space.l1(page.0).pte(WRITABLE).raw());
    page.protect();
    // As a GDT.
    check_eq!(hypercall::set_gdt(&[page.mfn()], 512), Ok(()));
    if store(space.l2_entry(at), page.pte(DIRECTORY)).is_ok() {
        let l1 = Page(at + 5 * 4096);
        let entry = l1.read(0);
        l1.write(0, entry);
        report::failure(format_args!(
            "a page of descriptors is an L1, and page tables are mapped writable"
        ));
    }
    check_eq!(pin(1, page), Err(Errno::Inval));
    check_eq!(
        remap(page.0, page.pte(WRITABLE)),
        Err(Errno::Inval),
        "the GDT writable"
    );
    // And the other way round: a table in use is no page of descriptors.
    for table in [space.l1(page.0), space.l2(page.0), space.l3] {
        check_eq!(hypercall::set_gdt(&[table.mfn()], 512), Err(Errno::Inval));
        check_eq!(
            remap(at - 0x20_0000, table.pte(READ_ONLY)),
            Err(Errno::Inval),
            "no L1 there"
        );
    }
    check_eq!(hypercall::set_gdt(&[Page::take().protect().mfn()], 512), Ok(()));
    // Now it is nobody's page of descriptors, and no table either: an entry in it is refused.
    check_eq!(pin(1, page), Err(Errno::Inval), "it would map a table writable");
    page.unprotect();
    // An LDT's page is one only while it is mapped.
    let ldt = Page::take().protect();
    let set = |entries| {
        extended(Extended::SetLdt {
            base: GuestVirt::new(ldt.0),
            entries,
        })
    };
    check_eq!(set(512), Ok(()));
    touch_ldt();
    check_eq!(pin(1, ldt), Err(Errno::Inval), "page 0 of the LDT is mapped");
    check_eq!(set(0), Ok(()));
    check_eq!(pin(1, ldt), Ok(()));
    check_eq!(set(512), Ok(()), "registering looks at nothing");
    check_eq!(unpin(ldt), Ok(()));
    check_eq!(set(0), Ok(()));
}

/// Maps one page writable as often as it goes.
fn limit() {
    let victim = Page::take();
    let tables = LIMIT.div_ceil(512) + 1;
    let first = Page::take_run(tables);
    let entry = victim.pte(WRITABLE);
    let mut uses = 1;
    let mut refused = 0;
    for table in (0..tables).map(|n| first.next(n)) {
        // The last ones are filled by single updates.
        let room = LIMIT.saturating_sub(uses).min(512);
        (0..room as usize).for_each(|index| table.write(index, entry.raw()));
        table.protect();
        check_eq!(pin(1, table), Ok(()), "with {uses} uses");
        uses += room;
        for index in room as usize..512 {
            match store(table.entry_addr(index), entry) {
                Ok(()) => uses += 1,
                Err(errno) => {
                    check_eq!(errno, Errno::Inval);
                    refused += 1;
                }
            }
        }
    }
    println!("{uses} writable mappings of one page, {refused} refused");
    if refused == 0 {
        // The count has started again. Drop mappings until it is 0: the page can become a table, mapped writable.
        overflowed(victim, first, uses);
    }
    check_eq!(uses, LIMIT);
    let clears: [MmuUpdate; 8] = core::array::from_fn(|n| MmuUpdate::normal(first.entry_addr(n), Pte::EMPTY));
    check_eq!(mmu(&clears), Ok(()));
    check_eq!(request(MmuUpdate::normal(first.entry_addr(0), entry)), Ok(()));
    (0..tables).for_each(|n| check_eq!(unpin(first.next(n)), Ok(())));
    // All uses are gone again but the one mapping: with that gone too it can be a table.
    victim.protect();
    check_eq!(pin(1, victim), Ok(()));
    check_eq!(unpin(victim), Ok(()));
    check!(victim.read(0) == 0);
}

fn overflowed(victim: Page, first: Page, uses: u32) -> ! {
    let kept = uses - (LIMIT + 1);
    for n in 0..kept {
        let (table, index) = (first.next(n / 512), (n % 512) as usize);
        let _ = store(table.entry_addr(index), Pte::EMPTY);
    }
    let pinned = pin(1, victim);
    victim.write(0, 0);
    report::failure(format_args!(
        "a count started again at 0; pinned while mapped writable: {pinned:?}"
    ))
}
