use super::*;
use crate::{domain::DomId, hypervisor::MAX_DOMAINS, testing::World};
use guest_abi::shared_info::offset;
use proptest::prelude::*;

fn record(world: &World, slot: usize) -> TimeRecord {
    let word = |field: usize| u64::from(world.shared_u32(slot, offset::TIME + field));
    let long = |field: usize| word(field) | word(field + 4) << 32;
    TimeRecord {
        cpu_freq: long(0),
        version1: word(8) as u32,
        version2: word(12) as u32,
        tsc_timestamp: long(16),
        system_time: long(24),
        wc_sec: word(32) as u32,
        wc_usec: word(36) as u32,
    }
}

fn timer_pending(world: &World, slot: usize) -> bool {
    world.shared_u32(slot, offset::EVTCHN_PENDING) & 1 != 0
}

fn fire(world: &mut World, now_ns: u64) {
    world.machine.now_ns.set(now_ns);
    world.hv.time.has_fired = true;
    run_timers(&mut world.hv, &world.machine);
}

#[test]
fn the_record_has_equal_versions_and_the_clock_of_that_instant() {
    let mut world = World::running();
    world.machine.now_ns.set(2_750_000_000);
    refresh(&mut world.hv, &world.machine, 0);
    refresh(&mut world.hv, &world.machine, 0);
    assert_eq!(
        record(&world, 0),
        TimeRecord {
            cpu_freq: 2_000_000_000,
            version1: 2,
            version2: 2,
            tsc_timestamp: 5_500_000_000,
            system_time: 2_750_000_000,
            wc_sec: 1_000_000_003,
            wc_usec: 250_000,
        }
    );
}

#[test]
fn the_wall_clock_can_be_set() {
    let mut world = World::running();
    world.hv.time.set_wall_clock(5_000, 999_999, 1_000_000_000);
    world.machine.now_ns.set(1_000_001_000);
    refresh(&mut world.hv, &world.machine, 0);
    let now = record(&world, 0);
    assert_eq!((now.wc_sec, now.wc_usec), (5_001, 0));
    // Earlier than the boot: time 0 of the wall clock is then at boot.
    world.hv.time.set_wall_clock(0, 5, 1_000_000_000);
    refresh(&mut world.hv, &world.machine, 0);
    assert_eq!(record(&world, 0).wc_sec, 1);
}

#[test]
fn a_version_that_the_guest_spoiled_spoils_nothing_else() {
    let mut world = World::running();
    let shared = world.shared(0);
    crate::platform::FrameMemory::store_u32(&world.machine, shared, offset::TIME_VERSION1, u32::MAX);
    refresh(&mut world.hv, &world.machine, 0);
    let now = record(&world, 0);
    assert_eq!((now.version1, now.version2), (0, 0));
}

#[test]
fn a_timer_fires_once_at_its_time_and_not_before() {
    let mut world = World::running();
    world.hypercall(15, [0, 5_000_000, 0, 0, 0]);
    assert_eq!(world.machine.timer.get(), Some(5_000_000));
    fire(&mut world, 4_999_999);
    assert!(!timer_pending(&world, 0));
    assert_eq!(world.machine.timer.get(), Some(5_000_000), "armed anew");
    fire(&mut world, 5_000_000);
    assert!(timer_pending(&world, 0));
    assert_eq!(record(&world, 0).system_time, 5_000_000);
    assert_eq!(world.vcpu().timer_deadline_ns, 0);
    assert_eq!(world.machine.timer.get(), None);
    assert!(!world.hv.time.has_fired);
}

#[test]
fn a_later_time_or_none_leaves_the_hardware_timer_alone() {
    let mut world = World::running();
    world.hypercall(15, [0, 5_000_000, 0, 0, 0]);
    world.hypercall(15, [0, 9_000_000, 0, 0, 0]);
    assert_eq!(world.machine.timer.get(), Some(5_000_000));
    fire(&mut world, 5_000_000);
    assert!(!timer_pending(&world, 0));
    assert_eq!(world.machine.timer.get(), Some(9_000_000));
    world.hypercall(15, [0; 5]);
    fire(&mut world, 9_000_000);
    assert!(!timer_pending(&world, 0));
    assert_eq!(world.machine.timer.get(), None);
    world.hypercall(15, [0, 1, 0, 0, 0]);
    assert_eq!(world.machine.timer.get(), Some(1), "a past time too");
}

#[test]
fn the_hardware_timer_serves_the_earliest_of_all_domains() {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    world.hypercall(15, [0, 7_000_000, 0, 0, 0]);
    world.hv.current = other;
    world.hypercall(15, [0, 6_000_000, 0, 0, 0]);
    assert_eq!(world.machine.timer.get(), Some(6_000_000));
    fire(&mut world, 6_500_000);
    assert!(timer_pending(&world, 1) && !timer_pending(&world, 0));
    assert_eq!(world.machine.timer.get(), Some(7_000_000));
    forget(&mut world.hv, 0);
    fire(&mut world, 8_000_000);
    assert!(!timer_pending(&world, 0));
    assert_eq!(world.machine.timer.get(), None);
}

#[test]
fn an_expired_timer_wakes_its_domain() {
    let mut world = World::running();
    world.hypercall(15, [0, 5_000_000, 0, 0, 0]);
    world.hypercall(6, [1, 0, 0, 0, 0]);
    assert!(!world.domain(0).run.is_runnable());
    fire(&mut world, 5_000_000);
    assert!(world.domain(0).run.is_runnable());
}

#[test]
fn an_earlier_time_is_kept_and_so_is_one_after_an_expiry() {
    let mut world = World::running();
    world.hypercall(15, [0, 5_000_000, 0, 0, 0]);
    world.hypercall(15, [0, 3_000_000, 0, 0, 0]);
    assert_eq!(world.machine.timer.get(), Some(3_000_000));
    fire(&mut world, 3_000_000);
    assert!(timer_pending(&world, 0));
    assert_eq!(world.machine.timer.get(), None);
    world.hypercall(15, [0, 4_000_000, 0, 0, 0]);
    assert_eq!(world.machine.timer.get(), Some(4_000_000));
}

#[test]
fn a_slice_ends_by_the_same_timer() {
    let mut world = World::running();
    world.hypercall(15, [0, 7_000_000, 0, 0, 0]);
    set_slice_end(&mut world.hv, &world.machine, 5_000_000);
    assert_eq!(world.machine.timer.get(), Some(5_000_000));
    fire(&mut world, 4_999_999);
    assert!(!world.hv.sched.wants_pick);
    assert_eq!(world.machine.timer.get(), Some(5_000_000));
    fire(&mut world, 5_000_000);
    assert!(world.hv.sched.wants_pick && !timer_pending(&world, 0));
    assert_eq!(world.machine.timer.get(), Some(7_000_000));
}

#[test]
fn of_very_many_timers_due_at_once_each_fires_in_the_end() {
    let mut world = World::running();
    let slots: Vec<usize> = (1..)
        .map(|id| world.add_domain(DomId(id), false))
        .take((MAX_DOMAINS - 1).min(3 * BATCH as usize))
        .collect();
    // As if there were more of them than one look takes.
    for round in 0..3 {
        for &slot in &slots {
            world.hv.current = slot;
            world.hypercall(15, [0, 1_000_000 + round * 1_000_000, 0, 0, 0]);
        }
        world.machine.now_ns.set(u64::from(1_000_000 + round * 1_000_000));
        let mut looks = 0;
        loop {
            world.hv.time.has_fired = true;
            run_timers(&mut world.hv, &world.machine);
            looks += 1;
            if world.machine.timer.get().is_none() {
                break;
            }
            assert!(looks < 10);
        }
        for &slot in &slots {
            assert_eq!(world.domain(slot).vcpus[0].timer_deadline_ns, 0);
        }
    }
}

#[test]
fn scale_of_round_frequencies_is_exact() {
    let scale = TscScale::from_hz(1_000_000_000);
    assert_eq!((scale.to_ns(12_345), scale.to_ticks(12_345)), (12_345, 12_345));
    let scale = TscScale::from_hz(2_000_000_000);
    assert_eq!(
        (scale.to_ns(2_000_001), scale.to_ticks(1_000_000)),
        (1_000_000, 2_000_000)
    );
}

#[test]
fn the_end_of_time_stays_there() {
    assert_eq!(TscScale::from_hz(3_000_000_000).to_ticks(u64::MAX), u64::MAX);
}

proptest! {
    #[test]
    fn scale_stays_within_a_part_in_a_thousand_million(
        hz in 1_000_000u64..20_000_000_000, ticks in 0u64..1 << 53, ns in 0u64..1 << 60
    ) {
        let scale = TscScale::from_hz(hz);
        let within = |got: u64, exact: u128| {
            let exact = exact.min(u128::from(u64::MAX));
            exact - exact / 1_000_000_000 - 1 <= u128::from(got) && u128::from(got) <= exact
        };
        prop_assert!(within(scale.to_ns(ticks), u128::from(ticks) * 1_000_000_000 / u128::from(hz)));
        prop_assert!(within(scale.to_ticks(ns), u128::from(ns) * u128::from(hz) / 1_000_000_000));
    }

    #[test]
    fn scale_is_monotonic(hz: u64, a in 0u64..1 << 43, b in 0u64..1 << 43, ns: u64, later: u64) {
        let scale = TscScale::from_hz(hz);
        prop_assert!(scale.to_ns(a.min(b)) <= scale.to_ns(a.max(b)));
        prop_assert!(scale.to_ticks(ns.min(later)) <= scale.to_ticks(ns.max(later)));
    }
}
