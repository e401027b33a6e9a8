//! Who asks for little, beside those who ask for all they can.

use super::*;

/// Requests of one page per 1000 sectors of the disk, in tenths, and the longest wait of one in sectors: beside a flooder, if there is one, by weights.
fn beside(flooder: Option<u32>, weight: u32) -> (u64, u64) {
    let world = World::disk();
    let flooder = flooder.map(|weight| User::new(&world.disk, weight, usize::MAX, always(MOST_SEGMENTS)));
    let single = User::new(&world.disk, weight, 1, always(1));
    let mut users: Vec<User> = flooder.into_iter().chain([single]).collect();
    // The first request comes when the disk has all that it takes of the flooder.
    users[0].turn();
    world.run(&mut users, 10 * WINDOW);
    let single = users.last_mut().unwrap();
    (single.worst, single.requests) = (0, 0);
    let before = world.disk.done.get();
    world.run(&mut users, 100_000);
    let single = users.last().unwrap();
    let done = world.disk.done.get() - before;
    (single.requests * 10_000 / done, single.worst)
}

/// The table of docs/block.md.
#[test]
fn one_request_after_the_other_beside_a_flood() {
    println!("flooder : single  requests per 1000 sectors  longest wait in sectors");
    for (flooder, weight, rate, most) in [
        (None, 100, 1250, 0),
        (Some(100), 100, 19, 512),
        (Some(400), 100, 12, 768),
        (Some(100), 400, 37, 256),
    ] {
        let (tenths, worst) = beside(flooder, weight);
        println!("{flooder:?} : {weight}  {}.{}  {worst}", tenths / 10, tenths % 10);
        assert!(tenths >= rate, "{tenths} instead of {rate}");
        assert!(worst <= most, "{worst} instead of {most}");
    }
}

/// Users who do whatever they like, with one who asks rarely: it waits for what the disk has when it comes and one request of each other one;
/// beyond that, for what the others may have since it has had more than its share.
#[test]
fn the_wait_is_bounded_whatever_others_do() {
    let mut longest = 0;
    for seed in 1..25 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let takes = [3, 8, 32, 64][random.below(4) as usize];
        let says = [1, 3, 32, 64][random.below(4) as usize];
        let world = World::new(says, takes, random.below(8) == 0);
        let mut others: Vec<User> = (0..1 + random.below(6))
            .map(|n| {
                let mut wishes = Random(seed * 1000 + n + 1);
                let (most, flushes) = (1 + random.below(32), random.below(3) == 0);
                let wish = move || match wishes.below(most) {
                    0 if flushes => 0,
                    pages => 1 + pages as usize,
                };
                let depth = if random.below(4) == 0 { 3 } else { usize::MAX };
                let weight = 1 + random.below(MAX_WEIGHT.into()) as u32;
                User::new(&world.disk, weight, depth, Box::new(wish))
            })
            .collect();
        let weight = 1 + random.below(MAX_WEIGHT.into()) as u32;
        let mut single = User::new(&world.disk, weight, 1, always(1));
        for _ in 0..300 {
            for _ in 0..random.below(60) {
                others.iter_mut().for_each(User::turn);
                world.event();
            }
            let ahead = single.seat.0.end.get().saturating_sub(world.disk.now.get());
            let catch_up = |other: &User| ahead * u64::from(other.seat.0.weight.get()) / SCALE;
            let bound = WINDOW + others.iter().map(|other| LARGEST + catch_up(other)).sum::<u64>();
            single.worst = 0;
            let before = single.requests;
            single.depth = 1;
            single.turn();
            single.depth = 0;
            while single.requests == before {
                others.iter_mut().for_each(User::turn);
                world.event();
                single.turn();
            }
            longest = longest.max(single.worst);
            assert!(
                single.worst <= bound,
                "{} instead of {bound}, seed {seed}",
                single.worst
            );
        }
    }
    assert!(longest > WINDOW / 2, "nobody was hostile: {longest}");
}

/// The same where it asks again at once: then there is room kept for it.
#[test]
fn who_asks_again_waits_for_others_parts_of_the_window() {
    for (flooders, weight) in [(1, 100), (3, 100), (1, 300), (3, 300)] {
        let world = World::disk();
        let mut users: Vec<User> = (0..flooders)
            .map(|_| User::new(&world.disk, 100, usize::MAX, always(MOST_SEGMENTS)))
            .collect();
        users.push(User::new(&world.disk, weight, 1, always(1)));
        world.run(&mut users, 10 * WINDOW);
        users.last_mut().unwrap().worst = 0;
        world.run(&mut users, 100_000);
        let kept = (WINDOW * u64::from(weight) / (u64::from(weight) + 100 * flooders)).min(MOST_KEPT);
        let bound = WINDOW - kept + flooders * LARGEST;
        let worst = users.last().unwrap().worst;
        assert!(worst <= bound, "{worst} instead of {bound} beside {flooders}");
    }
}
