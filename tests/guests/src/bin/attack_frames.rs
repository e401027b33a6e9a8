//! Attack: to map frames that are the hypervisor's.
//!
//! Every frame of the machine is tried, read-only and writable. What is let through must be one's own or a device's.
//! The machine-to-phys table may be read by who names its owner, and written by nobody.
//!
//! mutant: mutant-map-hypervisor-frame
#![no_std]
#![no_main]

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{MmuUpdate, Pte, PteFlags};
use guest_abi::shared_info::offset;
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, READ_ONLY, WRITABLE, frame, machine_to_phys, peek32};
use test_guests::raw::{call, remap};
use test_guests::tables::{Space, for_domain, store};
use test_guests::{check, check_eq, guest_abi, println, report};

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let page = Page::take();
    let shared = mini_guest::shared::address().page_base().raw();
    let m2p_start = Mfn::new(peek32(shared + offset::M2P_START as u32));
    let m2p_frames = peek32(shared + offset::M2P_FRAMES as u32);
    let is_own = |mfn: Mfn| {
        let pfn = machine_to_phys(mfn);
        pfn < start_info.nr_pages && frame(pfn) == mfn
    };
    let shared_mfn = (start_info.shared_info.raw() >> 12) as u32;
    let (mut own, mut foreign) = (0, 0);
    for mfn in (0x100..512 << 8).map(Mfn::new) {
        // The pages of devices above the RAM's end and the page that is shared with us are not under test.
        let is_low_ram = mfn.raw() < 0x1_FF00 && mfn.raw() != shared_mfn;
        if is_own(mfn) || !is_low_ram {
            own += 1;
            continue;
        }
        foreign += 1;
        for flags in [READ_ONLY, WRITABLE, WRITABLE.union(PteFlags::USER)] {
            if remap(page.0, Pte::new(mfn, flags)).is_ok() {
                let word = page.read(0);
                report::failure(format_args!("frame {mfn:?} is mapped: {word:#x}"));
            }
        }
    }
    println!("{own} frames of our own, {foreign} of others");
    check!(foreign > 0x1000);
    table(space, page, m2p_start, m2p_frames);
    let pfn = frame(3);
    let entry = MmuUpdate::machphys(Mfn::new(m2p_start.raw()), guest_abi::addr::Pfn::new(3));
    check_eq!(
        test_guests::raw::request(entry),
        Err(Errno::Inval),
        "frame of others in the table"
    );
    check_eq!(
        test_guests::raw::request(MmuUpdate::machphys(pfn, guest_abi::addr::Pfn::new(3))),
        Ok(())
    );
    report::success()
}

fn table(space: Space, page: Page, start: Mfn, frames: u32) {
    check!(frames > 0 && start.raw() != 0);
    let entry = space.l1_entry(page.0);
    for mfn in (start.raw()..start.raw() + frames).map(Mfn::new) {
        for flags in [READ_ONLY, WRITABLE] {
            check_eq!(store(entry, Pte::new(mfn, flags)), Err(Errno::Inval), "{mfn:?}");
        }
        let request = MmuUpdate::normal(entry, Pte::new(mfn, WRITABLE));
        check_eq!(for_domain(DomId::XEN, request), Err(Errno::Inval), "{mfn:?}");
        let request = MmuUpdate::normal(entry, Pte::new(mfn, READ_ONLY));
        check_eq!(for_domain(DomId::XEN, request), Ok(()), "{mfn:?}");
    }
    check_eq!(store(entry, page.pte(WRITABLE)), Ok(()));
    // Call 22 names real domains only.
    let other = |domain: DomId| {
        let (low, high) = Pte::new(start, READ_ONLY).low_high();
        let arguments = [page.0 >> 12, low, high, 0, u32::from(domain.raw())];
        call(CallNumber::UPDATE_VA_MAPPING_OTHERDOMAIN, &arguments)
    };
    for domain in [DomId::XEN, DomId::IO, DomId::SELF, DomId::new(7)] {
        check_eq!(other(domain), Err(Errno::Srch), "{domain}");
    }
    check_eq!(other(DomId::DOM0), Err(Errno::Inval));
    let (low, high) = page.pte(WRITABLE).low_high();
    let own = [page.0 >> 12, low, high, 2, 0];
    check_eq!(call(CallNumber::UPDATE_VA_MAPPING_OTHERDOMAIN, &own), Ok(0));
}
