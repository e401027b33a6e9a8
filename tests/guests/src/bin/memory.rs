//! Calls 1, 12 and 14: pins, roots, foreign domains, reservations, flags; a good and a bad case of each command.
#![no_std]
#![no_main]

use guest_abi::addr::{GuestVirt, MachAddr, Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate, Pte, PteFlags};
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, READ_ONLY, WRITABLE, machine_to_phys};
use test_guests::raw::{call, mmu, remap, request};
use test_guests::tables::{DIRECTORY, Space, extended, for_domain, pin, store, unpin};
use test_guests::{check, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

const INVALID: Result<(), Errno> = Err(Errno::Inval);

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    pins(space);
    commands(space);
    batches(space);
    mappings(space);
    reservation();
    report::success()
}

fn pins(space: Space) {
    let page = Page::take();
    check_eq!(pin(1, page), INVALID, "it is mapped writable");
    page.protect();
    for (level, good) in [(1, true), (2, true), (3, false), (4, false)] {
        check_eq!(pin(level, page).is_ok(), good, "an empty page as L{level}");
        if good {
            check_eq!(pin(level, page), INVALID, "pinned already");
            check_eq!(pin(3 - level, page), INVALID, "pinned as something else");
            check_eq!(remap(page.0, page.pte(WRITABLE)), INVALID);
            check_eq!(unpin(page), Ok(()));
        }
        check_eq!(unpin(page), INVALID, "not pinned");
    }
    check_eq!(
        pin(2, space.l2(page.0)),
        INVALID,
        "the top L2 has no pin of its own"
    );
    // An address space of one's own: as the one in use, with another root.
    let root = Page::take();
    root.write(3, space.l3.read(3));
    root.protect();
    check_eq!(pin(3, root), INVALID, "its top L2 is another's");
    let base = |page: Page| Extended::NewBasePtr {
        l3: page.mfn().addr(),
    };
    for bad in [root, space.l2(page.0), page] {
        check_eq!(extended(base(bad)), INVALID);
    }
    let top = Page::take();
    root.unprotect();
    (0..480).for_each(|index| top.write(index, space.l2(page.0).read(index)));
    top.protect();
    root.write(3, top.pte(PteFlags::PRESENT).raw());
    root.protect();
    check_eq!(pin(3, root), Ok(()));
    check_eq!(extended(base(root)), Ok(()));
    check_eq!(unpin(root), Ok(()), "it is in use all the same");
    check_eq!(root.read(4), 0);
    check_eq!(extended(base(space.l3)), Ok(()));
    check_eq!(
        store(space.l3.entry_addr(3), Pte::EMPTY),
        INVALID,
        "without its top L2"
    );
    check_eq!(
        store(space.l2(page.0).entry_addr(480), Pte::EMPTY),
        INVALID,
        "the hypervisor's slot"
    );
}

fn commands(space: Space) {
    let page = Page::take();
    check_eq!(request(MmuUpdate::machphys(page.mfn(), Pfn::new(0x1234))), Ok(()));
    check_eq!(machine_to_phys(page.mfn()), 0x1234);
    check_eq!(
        request(MmuUpdate::machphys(Mfn::new(0x7FFF_FFFF), Pfn::new(1))),
        INVALID
    );
    check_eq!(extended(Extended::TlbFlush), Ok(()));
    let address = GuestVirt::new(page.0);
    check_eq!(extended(Extended::Invlpg { address }), Ok(()));
    check_eq!(extended(Extended::FlushCache), Ok(()), "Domain0 has devices");
    check_eq!(extended(Extended::ClearForeignDom), Ok(()));
    for domain in [DomId::DOM0, DomId::IO, DomId::XEN] {
        check_eq!(extended(Extended::SetForeignDom { domain }), Ok(()), "{domain}");
    }
    for domain in [DomId::SELF, DomId::new(1), DomId::new(0xFFFF)] {
        check_eq!(extended(Extended::SetForeignDom { domain }), INVALID, "{domain}");
    }
    let entry = MmuUpdate::normal(space.l1_entry(page.0), page.pte(READ_ONLY));
    check_eq!(for_domain(DomId::DOM0, entry), Ok(()));
    let frame = page.mfn().addr();
    check_eq!(
        for_domain(DomId::IO, MmuUpdate::extended(Extended::Pin { level: 1, frame })),
        INVALID
    );
    check_eq!(extended(Extended::ReassignPage { frame }), INVALID, "to nobody");
    let transfer = Extended::TransferPage {
        frame,
        domain: DomId::DOM0,
        reference: 1,
    };
    check_eq!(extended(transfer), INVALID, "nobody asked for it");
    for (ptr, val) in [(3, 14), (3, 0xFF), (1, 0), (4, 0), (7, 0), (3 | 1 << 40, 7)] {
        check_eq!(request(MmuUpdate { ptr, val }), INVALID, "{ptr:#x} {val:#x}");
    }
}

/// A batch stops at the first bad request and says how many were done.
fn batches(space: Space) {
    let page = Page::take();
    let good = |flags| MmuUpdate::normal(space.l1_entry(page.0), page.pte(flags));
    let bad = MmuUpdate { ptr: 1, val: 0 };
    let error = mmu(&[good(READ_ONLY), good(WRITABLE), bad, good(READ_ONLY)]).err();
    check_eq!(error.map(|e| (e.errno, e.done)), Some((Errno::Inval, 2)));
    check!(
        space.mapping(page.0).is_writable(),
        "what is behind the bad one is not done"
    );
    check_eq!(
        call(CallNumber::MMU_UPDATE, &[page.0, 0x1_0000]),
        Err(Errno::Inval),
        "too many"
    );
    check_eq!(call(CallNumber::MMU_UPDATE, &[page.0, 0]), Ok(0));
    // A foreign domain ends with its call.
    check_eq!(extended(Extended::SetForeignDom { domain: DomId::IO }), Ok(()));
    check_eq!(request(good(READ_ONLY)), Ok(()));
}

fn mappings(space: Space) {
    let page = Page::take();
    let update = |at: u32, entry: Pte, flags| {
        let (low, high) = entry.low_high();
        call(CallNumber::UPDATE_VA_MAPPING, &[at, low, high, flags])
    };
    for flags in [0, 1, 2, 3] {
        check_eq!(update(page.0 >> 12, page.pte(WRITABLE), flags), Ok(0));
    }
    let all = PteFlags::USER | PteFlags::AVAILABLE | PteFlags::SOFTWARE | PteFlags::NO_EXECUTE;
    check_eq!(update(page.0 >> 12, page.pte(WRITABLE | all), 2), Ok(0));
    check_eq!(
        space.mapping(page.0).raw() & !0x60,
        page.pte(WRITABLE | all).raw() & !0x60
    );
    check_eq!(
        update(page.0 >> 12, page.pte(WRITABLE), 4),
        Err(Errno::Inval),
        "an unknown flag"
    );
    for number in [page.0, 0xF_C000, u32::MAX, 0x1000] {
        check_eq!(
            update(number, page.pte(WRITABLE), 0),
            Err(Errno::Inval),
            "page number {number:#x}"
        );
    }
    let refused = [
        PteFlags::GLOBAL,
        PteFlags::PAT_OR_LARGE,
        PteFlags::HYPERVISOR,
        PteFlags::WRITE_THROUGH,
        PteFlags::NO_CACHE,
    ];
    for bits in refused {
        check_eq!(remap(page.0, page.pte(WRITABLE | bits)), INVALID, "{bits:?}");
        // Also where nothing else changes.
        let entry = page.pte(WRITABLE | bits);
        check_eq!(store(space.l1_entry(page.0), entry), INVALID, "{bits:?}");
    }
    let l2 = space.l2_entry(0xC000_0000 + 402 * 0x20_0000);
    let table = Page::take().protect();
    for bits in [PteFlags::GLOBAL, PteFlags::PAT_OR_LARGE, PteFlags::HYPERVISOR] {
        check_eq!(store(l2, table.pte(DIRECTORY | bits)), INVALID, "{bits:?}");
    }
    check_eq!(store(l2, table.pte(DIRECTORY)), Ok(()));
    check_eq!(store(l2, Pte::EMPTY), Ok(()));
    check_eq!(
        store(MachAddr::new(page.mfn().addr().raw()), Pte::from_raw(0x1234_5678)),
        Ok(()),
        "a plain word"
    );
    check_eq!(page.read(0), 0x1234_5678);
}

fn reservation() {
    let mut list = [Mfn::new(0); 4];
    check_eq!(hypercall::increase_reservation(&mut list, 0, DomId::SELF), Ok(4));
    let page = Page::take();
    for mfn in list {
        check_eq!(remap(page.0, Pte::new(mfn, WRITABLE)), Ok(()));
        // What the domain itself, or the loader before it, left in a frame may still be there; nothing of others is.
        page.fill(0x5EC2_E700_5EC2_E700);
        check_eq!(page.read(511), 0x5EC2_E700_5EC2_E700);
    }
    check_eq!(remap(page.0, page.pte(WRITABLE)), Ok(()));
    let give_back = |frames: &[Mfn]| {
        // SAFETY: frames of nobody's use.
        unsafe { hypercall::decrease_reservation(frames, 0, DomId::SELF) }
    };
    check_eq!(give_back(&list), Ok(4));
    check_eq!(give_back(&list), Ok(0), "given back already");
    check_eq!(give_back(&[Mfn::new(0x100)]), Ok(0), "of others");
    check_eq!(
        hypercall::increase_reservation(&mut list[..1], 3, DomId::SELF),
        Ok(1)
    );
    check_eq!(
        hypercall::increase_reservation(&mut list[..1], 11, DomId::SELF),
        Ok(0),
        "too large"
    );
    let op = |ebx, domain| call(CallNumber::DOM_MEM_OP, &[ebx, list.as_ptr() as u32, 1, 0, domain]);
    check_eq!(op(2, 0x7FF0), Err(Errno::NoSys));
    check_eq!(op(0x20, 0x7FF0), Err(Errno::Inval), "a start beyond the list");
    check_eq!(op(1, 9), Err(Errno::Srch));
    check_eq!(op(1, 0x1_0000), Err(Errno::Srch));
}
