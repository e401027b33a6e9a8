//! The plain round robin: everybody has the same share, whoever yields or floods; nobody waits longer than a slice for each of the
//! others; and a storm of events changes neither.
//!
//! append: sched=rrobin
//! timeout: 600
//! icount: yes
#![no_std]
#![no_main]

use guest_abi::domain::DomId;
use guest_abi::domctl::{AdjustDom, Direction, GetSchedId, SchedCtl, SchedId};
use guest_abi::errno::Errno;
use guest_abi::start_info::StartInfo;
use mini_guest::time::now_ns;
use test_guests::puppet::Puppet;
use test_guests::small_domain::{info, op};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, println, report, scripts, storm};

test_guests::entry!(main);

const MS: u64 = 1_000_000;
/// A slice for each of three others, and a little for the switches.
const LATEST_NS: u64 = 31 * MS;

scripts! {
    compute: "2:", "inc dword ptr [words]", "jmp 2b";
    flood: "2:", "mov eax, 17", "xor ebx, ebx", "int 0x82", "jmp 2b";
    give_way: "2:", "mov eax, 6", "xor ebx, ebx", "int 0x82", "jmp 2b";
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    parameters();
    shares();
    set_slice(10 * MS);
    storm::storms(LATEST_NS);
    report::success()
}

fn ctl(direction: Direction, slice_ns: u64) -> Result<u64, Errno> {
    let args = SchedCtl {
        sched_id: SchedId::RROBIN,
        direction,
        slice_ns,
    };
    op(&args).map(|done| done.slice_ns)
}

fn set_slice(ns: u64) {
    check_eq!(ctl(Direction::PUT, ns).map(drop), Ok(()));
    check_eq!(ctl(Direction::GET, 0), Ok(ns));
}

fn parameters() {
    check_eq!(
        op(&GetSchedId::default()).map(|got| got.sched_id),
        Ok(SchedId::RROBIN)
    );
    check_eq!(ctl(Direction::GET, 0), Ok(10 * MS));
    for bad in [0, 99_999, 1_000_000_001, u64::MAX] {
        check_eq!(
            ctl(Direction::PUT, bad).err(),
            Some(Errno::Inval),
            "a slice of {bad} ns"
        );
    }
    check_eq!(ctl(Direction::GET, 0), Ok(10 * MS));
    let weight = AdjustDom {
        sched_id: SchedId::BVT,
        direction: Direction::GET,
        domain: DomId::SELF,
        ..AdjustDom::default()
    };
    check_eq!(op(&weight).err(), Some(Errno::Inval), "there are no weights");
}

/// Two that compute, one that floods calls, one that always yields, under two slices.
fn shares() {
    for slice in [10 * MS, MS] {
        set_slice(slice);
        let codes: [extern "C" fn(); 4] = [compute, compute, flood, give_way];
        let puppets = codes.map(|code| {
            let puppet = Puppet::new(|_| ());
            puppet.start(code);
            puppet
        });
        // We are one of five, and yield as well.
        let used = |puppet: Puppet| info(puppet.id).expect("the domain").cpu_time;
        let (begin, before) = (now_ns(), puppets.map(used));
        while now_ns() < begin + 2_000 * MS {
            check_eq!(test_guests::hypercall::yield_now(), Ok(()));
        }
        let all = now_ns() - begin;
        let mut before = before.into_iter();
        let shares = puppets.map(|puppet| (used(puppet) - before.next().unwrap_or(0)) * 10_000 / all);
        println!("slices of {slice} ns: two that compute, one that floods, one that yields: {shares:?}");
        let [first, second, floods, yields] = shares;
        for share in [second, floods] {
            check!(share.abs_diff(first) * 50 <= first, "{share}, not {first}");
        }
        // The two that yield need hardly any: the others share all of it.
        check!(first >= 3_200 && yields <= 100, "{shares:?}");
        for puppet in puppets {
            puppet.end();
        }
    }
}
