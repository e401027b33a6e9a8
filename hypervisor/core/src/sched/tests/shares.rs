//! Who gets how much of the processor, and how soon.

use super::sim::{Habit, MS, SEC, Sim, US};
use proptest::prelude::*;

/// Whether `share` is `wanted`, within 2 % of it.
fn within(share: f64, wanted: f64) -> bool {
    (share / wanted - 1.0).abs() <= 0.02
}

#[track_caller]
fn assert_shares(sim: &mut Sim, wanted: &[f64]) {
    let shares = sim.shares();
    assert!(
        shares
            .iter()
            .zip(wanted)
            .all(|(&share, &wanted)| within(share, wanted)),
        "{shares:?}, not {wanted:?}"
    );
}

fn hogs(advances: &[u32]) -> Sim {
    let mut sim = Sim::new("bvt", &vec![Habit::Hog; advances.len()]);
    for (slot, &advance) in advances.iter().enumerate() {
        sim.set_params(slot, |params| params.mcu_advance = advance);
    }
    sim
}

#[test]
fn shares_follow_the_weights() {
    let mut sim = hogs(&[40, 20, 10]);
    sim.run(10 * SEC);
    assert_shares(&mut sim, &[1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0]);
    // No more switches than the allowance of 5 ms lets through.
    assert!((500..2_100).contains(&sim.switches), "{}", sim.switches);
}

#[test]
fn equal_weights_get_equal_shares_under_both_policies() {
    for policy in ["bvt", "rrobin"] {
        let mut sim = Sim::new(policy, &[Habit::Hog; 5]);
        sim.run(10 * SEC);
        assert_shares(&mut sim, &[0.2; 5]);
    }
}

#[test]
fn round_robin_knows_no_weights() {
    let mut sim = Sim::new("rrobin", &[Habit::Hog; 2]);
    let params = sim.world.domain(0).run.share.params;
    let (hv, machine) = (&mut sim.world.hv, &sim.world.machine);
    assert!(crate::sched::control::set_params(hv, machine, 0, params).is_err());
}

#[test]
fn a_weight_can_be_changed_on_the_way() {
    let mut sim = hogs(&[10, 10]);
    sim.run(10 * SEC);
    assert_shares(&mut sim, &[0.5, 0.5]);
    sim.set_params(0, |params| params.mcu_advance = 30);
    sim.run(10 * SEC);
    assert_shares(&mut sim, &[(0.5 + 0.25) / 2.0, (0.5 + 0.75) / 2.0]);
}

#[test]
fn who_yields_never_yields_or_floods_takes_nothing_of_the_others() {
    let third = [1.0 / 3.0; 3];
    for policy in ["bvt", "rrobin"] {
        let mut sim = Sim::new(policy, &[Habit::Hog; 3]);
        sim.run(10 * SEC);
        assert_shares(&mut sim, &third);

        let flooder = Habit::Flooder {
            run: 20 * US,
            ahead: 30 * US,
        };
        let mut sim = Sim::new(policy, &[Habit::Hog, Habit::Hog, flooder]);
        sim.run(10 * SEC);
        assert_shares(&mut sim, &third);

        // What the yielder gives up is shared equally.
        let mut sim = Sim::new(policy, &[Habit::Hog, Habit::Hog, Habit::Yielder { run: 5 * US }]);
        sim.run(10 * SEC);
        let shares = sim.shares();
        assert!(shares[2] < 0.03 && within(shares[0], shares[1]), "{shares:?}");
    }
}

#[test]
fn yielders_take_turns() {
    for policy in ["bvt", "rrobin"] {
        let mut sim = Sim::new(policy, &[Habit::Yielder { run: 5 * US }; 4]);
        sim.run(SEC / 10);
        assert_shares(&mut sim, &[0.25; 4]);
        assert!(sim.switches > 15_000, "{}: {}", policy, sim.switches);
    }
}

#[test]
fn two_that_ring_each_other_leave_the_third_its_share() {
    for run in [3 * US, 50 * US, 3 * MS] {
        let ringers = [Habit::Ringer { run, peer: 2 }, Habit::Ringer { run, peer: 1 }];
        let mut sim = Sim::new("bvt", &[Habit::Hog, ringers[0], ringers[1]]);
        sim.run(SEC);
        let shares = sim.shares();
        assert!(shares[0] >= 0.9 / 3.0, "{run}: {shares:?}");
        // Under round robin the hog has whole slices, the others what they use.
        let mut sim = Sim::new("rrobin", &[Habit::Hog, ringers[0], ringers[1]]);
        sim.run(SEC);
        assert!(sim.shares()[0] >= 0.9 / 3.0);
    }
}

/// Mean and worst latency of one that needs a fifth of the processor for half a second, every three seconds, beside
/// eight hogs.
fn interactive_beside_hogs(policy: &str, warps: bool) -> (u64, u64, f64) {
    let interactive = Habit::Interactive {
        run: 2 * MS,
        every: 10 * MS,
        period: 3 * SEC,
        rest: 2_500 * MS,
    };
    let mut habits = vec![Habit::Hog; 8];
    habits.push(interactive);
    let mut sim = Sim::new(policy, &habits);
    if warps {
        sim.set_params(8, |params| {
            params.may_warp = true;
            // 200 ms of its own running.
            params.warp_value = 10 * 2_000;
        });
    }
    sim.run(30 * SEC);
    let (worst, mean) = sim.latency(8);
    (worst, mean, sim.shares()[8])
}

#[test]
fn warping_shortens_the_wait_and_gives_no_more_time() {
    let (worst, mean, share) = interactive_beside_hogs("bvt", false);
    let (warped_worst, warped_mean, warped_share) = interactive_beside_hogs("bvt", true);
    assert!(worst > 5 * MS && mean > MS, "{worst} {mean}");
    assert!(
        warped_worst < 10 * US && warped_mean <= warped_worst,
        "{warped_worst} {warped_mean}"
    );
    let (robin_worst, ..) = interactive_beside_hogs("rrobin", false);
    assert!((70 * MS..90 * MS).contains(&robin_worst), "{robin_worst}");
    assert!(
        share < 1.0 / 9.0 && warped_share < 1.0 / 9.0,
        "{share} {warped_share}"
    );
}

#[test]
fn who_sleeps_much_is_served_at_once_without_warping() {
    let interactive = Habit::Interactive {
        run: MS,
        every: 100 * MS,
        period: SEC,
        rest: 0,
    };
    let mut habits = vec![Habit::Hog; 8];
    habits.push(interactive);
    let mut sim = Sim::new("bvt", &habits);
    sim.run(10 * SEC);
    assert!(sim.latency(8).0 < 10 * US, "{:?}", sim.latency(8));
}

#[test]
fn a_hog_that_warps_gets_no_more_than_its_share_but_what_it_borrowed() {
    let mut sim = hogs(&[10, 10]);
    sim.set_params(0, |params| {
        params.may_warp = true;
        params.warp_value = 10 * 5_000; // half a second
        params.warp_limit_ns = 0;
    });
    sim.run(20 * SEC);
    let [warped, other] = sim.shares()[..] else {
        panic!()
    };
    let borrowed = (warped - other) * 20.0;
    assert!((0.4..0.6).contains(&borrowed), "{borrowed} s");
}

#[test]
fn the_warp_limit_holds_and_warping_comes_back_after_the_unwarp_time() {
    let mut sim = hogs(&[10, 10]);
    sim.set_params(0, |params| {
        params.may_warp = true;
        params.warp_value = 10 * 100_000; // ten seconds
        params.warp_limit_ns = 100 * MS;
        params.unwarp_ns = 500 * MS;
    });
    sim.run(95 * MS);
    assert!(sim.shares()[0] > 0.99, "warped");
    sim.run(105 * MS);
    let used = sim.world.domain(0).run.cpu_time_ns;
    assert!(
        (99 * MS..101 * MS).contains(&used),
        "{used}: the other one catches up"
    );
    sim.run(390 * MS);
    assert!(sim.world.domain(0).run.share.unwarped_until_ns > sim.now());
    sim.run(SEC);
    assert!(
        sim.world.domain(0).run.cpu_time_ns > 550 * MS + 200 * MS,
        "warped again"
    );

    let mut sim = hogs(&[10, 10]);
    sim.set_params(0, |params| {
        params.may_warp = true;
        params.warp_value = 10 * 100_000;
        params.warp_limit_ns = 100 * MS;
        params.unwarp_ns = 0;
    });
    sim.run(10 * SEC);
    assert_shares(&mut sim, &[0.5, 0.5]);
}

#[test]
fn a_newcomer_has_no_claim_to_the_past() {
    let mut sim = hogs(&[10, 10, 10]);
    let (hv, machine) = (&mut sim.world.hv, &sim.world.machine);
    super::change(hv, machine, 2, |run| run.held.insert(super::Held::PAUSED));
    sim.run(10 * SEC);
    let (hv, machine) = (&mut sim.world.hv, &sim.world.machine);
    super::change(hv, machine, 2, |run| run.held.remove(super::Held::PAUSED));
    sim.run(SEC);
    let ran = sim.world.domain(2).run.cpu_time_ns;
    assert!((320 * MS..350 * MS).contains(&ran), "{ran}");
}

fn habit() -> impl Strategy<Value = Habit> {
    let us = |range: core::ops::Range<u64>| range.prop_map(|n| n * US);
    prop_oneof![
        Just(Habit::Hog),
        us(1..5_000).prop_map(|run| Habit::Yielder { run }),
        (us(100..5_000), us(0..20_000)).prop_map(|(run, ahead)| Habit::Flooder { run, ahead }),
        (us(20..20_000), us(1_000..50_000)).prop_map(|(run, every)| Habit::Interactive {
            run,
            every,
            period: SEC,
            rest: 0
        }),
        (us(20..5_000), 0usize..6).prop_map(|(run, peer)| Habit::Ringer { run, peer }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn hogs_of_any_weights_get_their_shares(advances in proptest::collection::vec(5u32..80, 2..7)) {
        let mut sim = hogs(&advances);
        sim.run(30 * SEC);
        let all: f64 = advances.iter().map(|&advance| 1.0 / f64::from(advance)).sum();
        let wanted: Vec<f64> = advances.iter().map(|&advance| 1.0 / f64::from(advance) / all).collect();
        assert_shares(&mut sim, &wanted);
    }

    #[test]
    fn whatever_the_others_do_hogs_get_their_part_and_no_time_is_lost(
        others in proptest::collection::vec((habit(), 5u32..80, any::<bool>()), 1..6)
    ) {
        // Slot 0 is the hog that is looked at.
        let mut habits = vec![Habit::Hog];
        habits.extend(others.iter().map(|other| other.0));
        for policy in ["bvt", "rrobin"] {
            let mut sim = Sim::new(policy, &habits);
            let mut all = 1.0 / 10.0;
            if policy == "bvt" {
                for (slot, &(_, advance, warps)) in (1..).zip(&others) {
                    all += 1.0 / f64::from(advance);
                    sim.set_params(slot, |params| {
                        params.mcu_advance = advance;
                        params.may_warp = warps;
                        params.warp_value = 1_000;
                    });
                }
            }
            sim.run(4 * SEC);
            let share = sim.shares()[0];
            let least = if policy == "bvt" { 1.0 / 10.0 / all } else { 1.0 / habits.len() as f64 };
            prop_assert!(share >= least * 0.9, "{policy}: {share} of {least}: {habits:?}");
        }
    }
}
