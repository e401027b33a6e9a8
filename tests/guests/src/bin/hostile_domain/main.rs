//! Attack: a domain without privilege that reaches for what is others': frames by number in every call that takes one, control
//! of domains, devices, the console, the clock, privileged instructions.
//!
//! Behind every refusal the frames of its victim, their types, a page of Domain0's and how much memory there is are compared
//! with what they were before; and the attacker goes on, as its next call shows.
//!
//! timeout: 400
//! mutant: mutant-foreign-domain
//! mutant: mutant-unprivileged-control
#![no_std]
#![no_main]

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::GetPageFrameInfo2;
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::start_info::StartInfo;
use guest_abi::version::INTERFACE_VERSION;
use test_guests::grants::Table;
use test_guests::pages::Page;
use test_guests::puppet::Puppet;
use test_guests::small_domain::{PAGES, free_pages, info, op, pause, unpause};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, report};

mod grants;
mod machine;
mod memory;

test_guests::entry!(main);

const INVAL: Result<u32, Errno> = Err(Errno::Inval);
const PERM: Result<u32, Errno> = Err(Errno::Perm);

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    // What Domain0's grants lie in stays with it.
    let table = Table::set_up(DomId::DOM0).expect("Domain0's table");
    grants::of_its_own(table);
    let free = free_pages();
    let (attacker, victim) = (Puppet::new(|_| ()), Puppet::new(|_| ()));
    check_eq!(victim.call(CallNumber::XEN_VERSION, &[0]), Ok(INTERFACE_VERSION));
    check_eq!(pause(victim.id), Ok(()));
    let treasure = Page::take();
    treasure.fill(0x0123_4567_89AB_CDEF);
    let scene = Scene {
        attacker,
        victim,
        treasure,
        frames: [
            victim.frames[0],
            victim.frames[1],
            victim.frames[2],
            victim.frames[3],
            victim.frames[6],
            victim.shared_frame,
            treasure.mfn(),
            space.l3.mfn(),
            space.l1(treasure.0).mfn(),
            Mfn::try_containing(start_info.shared_info).expect("a frame"),
            // Nobody's or the hypervisor's, a device's, none at all.
            Mfn::new(0),
            Mfn::new(0xB8),
            Mfn::new(0x400),
            Mfn::new(0xF_EE00),
            Mfn::new(0x000F_FFFF),
            Mfn::new(0x7FFF_FFFF),
        ],
    };
    scene.control();
    scene.page_tables();
    scene.extended();
    scene.descriptors();
    scene.reservation();
    scene.grants(table);
    scene.devices();
    scene.instructions();
    check_eq!(unpause(victim.id), Ok(()));
    for puppet in [attacker, victim] {
        check_eq!(puppet.call(CallNumber::XEN_VERSION, &[0]), Ok(INTERFACE_VERSION));
        puppet.end();
    }
    check_eq!(free_pages(), free);
    report::success()
}

#[derive(Clone, Copy)]
struct Scene {
    attacker: Puppet,
    victim: Puppet,
    treasure: Page,
    /// Not the attacker's.
    frames: [Mfn; 16],
}

impl Scene {
    /// What must stay as it is, in one number.
    fn books(self) -> u64 {
        let mut sum: u64 = 0xCBF2_9CE4_8422_2325;
        let mut add = |value: u64| sum = (sum ^ value).wrapping_mul(0x100_0000_01B3);
        for n in 0..PAGES as usize {
            let page = self.victim.look(n);
            (0..512).for_each(|index| add(page.read(index)));
        }
        (0..512).for_each(|index| add(self.treasure.read(index)));
        self.victim.look(7);
        for id in [self.victim.id, self.attacker.id, DomId::DOM0] {
            let info = info(id).expect("a domain");
            add(u64::from(info.tot_pages) << 32 | u64::from(info.max_pages));
        }
        let mut types = self.victim.frames.map(Mfn::raw);
        let args = GetPageFrameInfo2 {
            domain: self.victim.id,
            num: PAGES,
            array: GuestVirt::new(types.as_mut_ptr() as u32),
            ..GetPageFrameInfo2::default()
        };
        check!(op(&args).is_ok());
        // SAFETY: the hypervisor wrote it meanwhile.
        let types = unsafe { (&raw const types).read_volatile() };
        types.into_iter().for_each(|word| add(word.into()));
        add(free_pages().into());
        sum
    }

    /// Whether `act` answers as it should and changes nothing.
    #[track_caller]
    fn harmless<T: PartialEq + core::fmt::Debug>(self, wanted: T, act: impl FnOnce(Puppet) -> T) {
        let (books, from) = (self.books(), core::panic::Location::caller());
        check_eq!(act(self.attacker), wanted, "{from}");
        check_eq!(self.books(), books, "{from}: something of others has changed");
    }
}
