//! Grants between two domains: mapped, copied and transferred in both directions, read only and not, withdrawn while
//! mapped, by handles used again, and with either side killed while the other has its page.
//!
//! mutant: mutant-grant-read-only
//! mutant: mutant-grant-grantee
#![no_std]
#![no_main]

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::domctl::{DomainFlags, SetDomainMaxMem};
use guest_abi::errno::Errno;
use guest_abi::grant_table::{CopyFlags, GrantCmd, GrantCopy, GrantFlags, GrantStatus, MapFlags, Transfer};
use guest_abi::mmu::Pte;
use guest_abi::start_info::StartInfo;
use test_guests::grants::{map, map_record};
use test_guests::pages::{Page, WRITABLE};
use test_guests::puppet::{FREE_AT, Puppet, SPARE, end};
use test_guests::small_domain::{BASE, PAGES, destroy, free_pages, info, op};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, println, report};

test_guests::entry!(main);

const OKAY: GrantStatus = GrantStatus::OKAY;
const ACCESS: GrantFlags = GrantFlags::PERMIT_ACCESS;
const RW: MapFlags = MapFlags::empty();
/// References that the test uses.
const ONE: u32 = 10;
const TWO: u32 = 11;

/// Pages of this domain through which others are made and spoken to.
struct Pages {
    window: Page,
    mail: [Page; 2],
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let pages = Pages {
        window: Page::take(),
        mail: [Page::take(), Page::take()],
    };
    // What the hypervisor keeps for us grows once.
    let own = map(map_record(DomId::DOM0, 0, 0, MapFlags::DEVICE_MAP));
    check!(own.status != OKAY, "nothing is granted");
    let free = free_pages();
    let start = |n: usize| Puppet::at(pages.mail[n], pages.window, |_| ()).set_up_table();
    let (a, b) = (start(0), start(1));
    for (granter, grantee) in [(a, b), (b, a)] {
        mapped(granter, grantee);
        read_only(granter, grantee);
        strangers(granter, grantee);
        copies(granter, grantee);
        withdrawn(granter, grantee);
        handles(granter, grantee);
    }
    println!("mapped, read only, copied, withdrawn, in both directions");
    transfers(a, b);
    grantee_dies(a, b, pages.mail[1]);
    let b = start(1);
    granter_dies(a, b, pages.mail[0]);
    check_eq!(destroy(b.id), Ok(()));
    check_eq!(pages.settle(), free, "one side at a time");
    let (a, b) = (start(0), start(1));
    both_die(a, b);
    check_eq!(pages.settle(), free, "both");
    report::success()
}

impl Pages {
    /// The free frames of the machine once this domain has its own pages back.
    fn settle(&self) -> u32 {
        for page in self.mail {
            page.unprotect();
        }
        // A domain of which nobody maps anything any more goes with the next call.
        let _ = free_pages();
        free_pages()
    }
}

/// Where a spare frame of a domain is mapped in it.
fn at(n: usize) -> u32 {
    BASE + (SPARE + n) as u32 * 4096
}

fn mapped(a: Puppet, b: Puppet) {
    check!(a.poke(at(0) + 8, 0x1122_3344));
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    let done = b.map(a.id, ONE, FREE_AT, RW);
    check_eq!(done.status, OKAY);
    check_eq!(done.dev_bus_addr, a.frames[SPARE].addr().raw());
    check_eq!(b.peek(FREE_AT + 8), Some(0x1122_3344));
    check!(b.poke(FREE_AT + 8, 42));
    check_eq!(a.peek(at(0) + 8), Some(42));
    let used = ACCESS | GrantFlags::READING | GrantFlags::WRITING;
    check_eq!(a.flags(ONE), used);
    check_eq!(b.unmap(done.handle, FREE_AT), OKAY);
    check_eq!(b.peek(FREE_AT + 8), None, "unmapped, and still there");
    check_eq!(a.flags(ONE), ACCESS);
    a.publish(ONE, b.id, Mfn::new(0), GrantFlags::empty());
}

fn read_only(a: Puppet, b: Puppet) {
    check!(a.poke(at(0), 7));
    // A mapping that only reads, of a page that may be written.
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    let done = b.map(a.id, ONE, FREE_AT, MapFlags::READ_ONLY);
    check_eq!(done.status, OKAY);
    check_eq!(b.peek(FREE_AT), Some(7));
    check!(!b.poke(FREE_AT, 8), "a read-only mapping is written");
    check_eq!(a.flags(ONE), ACCESS | GrantFlags::READING);
    // Nor does the holder make its entry writable.
    let entry = Pte::new(a.frames[SPARE], WRITABLE);
    check!(
        b.map_page(FREE_AT, entry).is_err(),
        "the entry of a grant is changed"
    );
    check_eq!(b.unmap(done.handle, FREE_AT), OKAY);
    // A page that may only be read.
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS | GrantFlags::READ_ONLY);
    let done = b.map(a.id, ONE, FREE_AT, RW);
    if done.status == OKAY && b.poke(FREE_AT, 8) {
        report::failure(format_args!("what is granted to be read is written"));
    }
    check_eq!(done.status, GrantStatus::GENERAL_ERROR);
    let done = b.map(a.id, ONE, FREE_AT, MapFlags::READ_ONLY);
    check_eq!(done.status, OKAY);
    check!(!b.poke(FREE_AT, 8));
    check_eq!(b.unmap(done.handle, FREE_AT), OKAY);
    check_eq!(a.peek(at(0)), Some(7));
    a.publish(ONE, b.id, Mfn::new(0), GrantFlags::empty());
}

/// What is granted to one is for nobody else, however privileged.
fn strangers(a: Puppet, b: Puppet) {
    let here = test_guests::grants::vacate(Page::take());
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    for flags in [MapFlags::HOST_MAP, MapFlags::DEVICE_MAP] {
        let done = map(map_record(a.id, ONE, here.0, flags));
        if done.status == OKAY {
            report::failure(format_args!("what is granted to {} is mapped by another", b.id));
        }
        check_eq!(done.status, GrantStatus::GENERAL_ERROR);
    }
    a.publish(ONE, DomId::DOM0, a.frames[SPARE], ACCESS);
    check_eq!(b.map(a.id, ONE, FREE_AT, RW).status, GrantStatus::GENERAL_ERROR);
    check_eq!(b.map(a.id, 4000, FREE_AT, RW).status, GrantStatus::BAD_GNTREF);
    check_eq!(
        b.map(DomId::new(77), ONE, FREE_AT, RW).status,
        GrantStatus::BAD_DOMAIN
    );
    // And nobody grants what is another's.
    a.publish(ONE, b.id, b.frames[SPARE], ACCESS);
    check_eq!(b.map(a.id, ONE, FREE_AT, RW).status, GrantStatus::BAD_PAGE);
    a.publish(ONE, b.id, Mfn::new(0), GrantFlags::empty());
    here.unprotect();
}

fn copies(a: Puppet, b: Puppet) {
    check!(a.poke(at(0) + 16, 0xABCD) && b.poke(at(0) + 32, 0x1234));
    let theirs = end(a.id, ONE, 16);
    let mine = |offset| end(DomId::SELF, b.frames[SPARE].raw(), offset);
    let copy = |source, dest, flags| {
        let record = GrantCopy {
            source,
            dest,
            len: 4,
            flags,
            ..GrantCopy::default()
        };
        let done: GrantCopy = b.grant(GrantCmd::COPY, &record);
        done.status
    };
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS | GrantFlags::READ_ONLY);
    check_eq!(copy(theirs, mine(8), CopyFlags::SOURCE_GREF), OKAY);
    check_eq!(b.peek(at(0) + 8), Some(0xABCD));
    check_eq!(
        copy(mine(32), theirs, CopyFlags::DEST_GREF),
        GrantStatus::GENERAL_ERROR,
        "it is read-only"
    );
    check_eq!(a.peek(at(0) + 16), Some(0xABCD));
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    check_eq!(copy(mine(32), theirs, CopyFlags::DEST_GREF), OKAY);
    check_eq!(a.peek(at(0) + 16), Some(0x1234));
    check_eq!(a.flags(ONE), ACCESS, "nothing of it lasts");
    // A frame of the other's by its number is no way.
    let by_number = end(DomId::SELF, a.frames[SPARE].raw(), 0);
    check_eq!(
        copy(by_number, mine(0), CopyFlags::empty()),
        GrantStatus::BAD_PAGE
    );
    check_eq!(
        copy(mine(0), by_number, CopyFlags::empty()),
        GrantStatus::BAD_PAGE
    );
    a.publish(ONE, b.id, Mfn::new(0), GrantFlags::empty());
}

/// Withdrawn, and promised to others, while it is mapped: what is mapped stays, nothing new comes.
fn withdrawn(a: Puppet, b: Puppet) {
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    let done = b.map(a.id, ONE, FREE_AT, RW);
    check_eq!(done.status, OKAY);
    for (to, frame, flags) in [
        (b.id, Mfn::new(0), GrantFlags::empty()),
        (b.id, a.frames[SPARE + 1], ACCESS),
        (DomId::DOM0, a.frames[SPARE], ACCESS),
    ] {
        a.publish(ONE, to, frame, flags);
        check_eq!(
            b.map(a.id, ONE, FREE_AT + 4096, RW).status,
            GrantStatus::GENERAL_ERROR
        );
        check!(b.poke(FREE_AT, 5) && a.peek(at(0)) == Some(5));
    }
    // It cannot become something else meanwhile.
    check_eq!(b.unmap(done.handle, FREE_AT), OKAY);
    check_eq!(
        a.flags(ONE),
        ACCESS,
        "as the granter wrote it last, and not in use"
    );
    a.publish(ONE, b.id, Mfn::new(0), GrantFlags::empty());
}

fn handles(a: Puppet, b: Puppet) {
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    a.publish(TWO, b.id, a.frames[SPARE + 1], ACCESS);
    check!(a.poke(at(0), 1) && a.poke(at(1), 2));
    let first = b.map(a.id, ONE, FREE_AT, RW);
    check_eq!(b.unmap(first.handle, FREE_AT), OKAY);
    check_eq!(b.unmap(first.handle, FREE_AT), GrantStatus::BAD_HANDLE);
    let second = b.map(a.id, TWO, FREE_AT, RW);
    check_eq!(second.handle, first.handle, "handles are used again");
    check_eq!(b.peek(FREE_AT), Some(2));
    // The granter's own books are not the grantee's.
    check_eq!(a.unmap(second.handle, FREE_AT), GrantStatus::BAD_HANDLE);
    check_eq!(b.unmap(second.handle, FREE_AT + 4096), GrantStatus::BAD_VIRT_ADDR);
    let third = b.map(a.id, ONE, FREE_AT + 4096, RW);
    check!(third.handle != second.handle);
    check_eq!(b.unmap(second.handle, FREE_AT), OKAY);
    check_eq!(b.peek(FREE_AT + 4096), Some(1), "the other stays");
    check_eq!(b.unmap(third.handle, FREE_AT + 4096), OKAY);
    for reference in [ONE, TWO] {
        check_eq!(a.flags(reference), ACCESS);
        a.publish(reference, b.id, Mfn::new(0), GrantFlags::empty());
    }
}

/// A frame that goes from `a` to `b` for good, and comes back.
fn transfers(a: Puppet, b: Puppet) {
    let pages = |puppet: Puppet| info(puppet.id).map(|info| info.tot_pages);
    let limit = |puppet: Puppet, pages: u32| {
        op(&SetDomainMaxMem {
            domain: puppet.id,
            max_memkb: u64::from(pages) * 4,
            ..SetDomainMaxMem::default()
        })
        .map(drop)
    };
    let last = PAGES as usize - 1;
    let place = at(last - SPARE);
    let frame = a.frames[last];
    let send = |from: Puppet, to: Puppet| {
        let record = Transfer {
            mfn: frame,
            domid: to.id,
            reference: TWO,
            ..Transfer::default()
        };
        let done: Transfer = from.grant(GrantCmd::TRANSFER, &record);
        done.status
    };
    check!(a.poke(place, 99));
    b.publish(TWO, a.id, Mfn::new(0), GrantFlags::ACCEPT_TRANSFER);
    check_eq!(send(a, b), GrantStatus::BAD_PAGE, "it is mapped");
    check_eq!(a.map_page(place, Pte::EMPTY), Ok(()));
    check!(send(a, b) != OKAY, "it may not have more");
    check_eq!(limit(b, PAGES + 1), Ok(()));
    check_eq!(send(b, a), GrantStatus::BAD_PAGE, "not its own");
    check_eq!(send(a, b), OKAY);
    check_eq!((pages(a), pages(b)), (Ok(PAGES - 1), Ok(PAGES + 1)));
    check!(b.flags(TWO).contains(GrantFlags::TRANSFER_COMPLETED));
    check_eq!(b.granted_frame(TWO), frame);
    check!(
        a.map_page(place, Pte::new(frame, WRITABLE)).is_err(),
        "it is another's now"
    );
    check_eq!(b.map_page(FREE_AT, Pte::new(frame, WRITABLE)), Ok(()));
    check_eq!(b.peek(FREE_AT), Some(99));
    check_eq!(b.map_page(FREE_AT, Pte::EMPTY), Ok(()));
    a.publish(TWO, b.id, Mfn::new(0), GrantFlags::ACCEPT_TRANSFER);
    check_eq!(send(b, a), OKAY);
    check_eq!((pages(a), pages(b)), (Ok(PAGES), Ok(PAGES)));
    check_eq!(a.map_page(place, Pte::new(frame, WRITABLE)), Ok(()));
}

fn grantee_dies(a: Puppet, b: Puppet, mail: Page) {
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    a.publish(TWO, b.id, a.frames[SPARE + 1], ACCESS | GrantFlags::READ_ONLY);
    check_eq!(b.map(a.id, ONE, FREE_AT, RW).status, OKAY);
    check_eq!(b.map(a.id, TWO, FREE_AT + 4096, MapFlags::READ_ONLY).status, OKAY);
    check!(a.flags(ONE).contains(GrantFlags::WRITING));
    mail.unprotect();
    check_eq!(destroy(b.id), Ok(()));
    check_eq!(info(b.id).map(drop), Err(Errno::Srch), "nothing of it stays");
    check_eq!(a.flags(ONE), ACCESS);
    check_eq!(a.flags(TWO), ACCESS | GrantFlags::READ_ONLY);
}

fn granter_dies(a: Puppet, b: Puppet, mail: Page) {
    a.publish(ONE, b.id, a.frames[SPARE], ACCESS);
    check!(a.poke(at(0), 0x77));
    let done = b.map(a.id, ONE, FREE_AT, RW);
    check_eq!(done.status, OKAY);
    mail.unprotect();
    check_eq!(destroy(a.id), Ok(()));
    let left = info(a.id);
    check!(
        left.is_ok_and(|info| info.flags.contains(DomainFlags::DYING)),
        "{left:?}"
    );
    check_eq!(b.peek(FREE_AT), Some(0x77));
    check!(b.poke(FREE_AT, 0x78) && b.peek(FREE_AT) == Some(0x78));
    check_eq!(
        b.map(a.id, ONE, FREE_AT + 4096, RW).status,
        GrantStatus::BAD_DOMAIN
    );
    check_eq!(destroy(a.id), Ok(()), "again");
    check_eq!(b.unmap(done.handle, FREE_AT), OKAY);
    check_eq!(b.peek(FREE_AT), None);
    // Its record goes with the next call.
    let _ = free_pages();
    check_eq!(info(a.id).map(drop), Err(Errno::Srch));
}

/// Each has a page of the other's.
fn both_die(a: Puppet, b: Puppet) {
    for (granter, grantee) in [(a, b), (b, a)] {
        granter.publish(ONE, grantee.id, granter.frames[SPARE], ACCESS);
        check_eq!(grantee.map(granter.id, ONE, FREE_AT, RW).status, OKAY);
    }
    check_eq!(destroy(a.id), Ok(()));
    check_eq!(destroy(b.id), Ok(()));
}
