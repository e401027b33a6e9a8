//! Shares among those who want more than they get, and what the window is.

use super::*;

/// Whether `part` of `whole` is `percent` ± `slack` percent of it.
fn is_share(part: u64, whole: u64, percent: u64, slack: u64) -> bool {
    (100 * part).abs_diff(percent * whole) <= slack * whole
}

#[test]
fn shares_go_by_weight_whatever_the_requests_are_like() {
    for (says, takes) in [(64, 64), (64, 3), (8, 8)] {
        let world = World::new(says, takes, false);
        let mut users = [(700, 32), (100, 1), (200, 7)]
            .map(|(weight, pages)| User::new(&world.disk, weight, usize::MAX, always(pages)));
        world.run(&mut users, 300_000);
        let work: Vec<u64> = users.iter().map(User::work).collect();
        let all = work.iter().sum();
        for (work, percent) in work.iter().zip([70, 10, 20]) {
            assert!(
                is_share(*work, all, percent, 2),
                "{work} of {all}, {says}/{takes}"
            );
        }
    }
}

#[test]
fn a_flush_is_as_much_as_the_largest_request() {
    let world = World::disk();
    let mut users = [0, 8].map(|pages| User::new(&world.disk, WEIGHT, usize::MAX, always(pages)));
    world.run(&mut users, 100_000);
    let (flushes, reads) = (users[0].requests * LARGEST, users[1].work());
    assert!(is_share(flushes, flushes + reads, 50, 1), "{flushes} {reads}");
}

#[test]
fn a_weight_holds_from_the_next_request_on() {
    let world = World::disk();
    let mut users = [1, 1].map(|_| User::new(&world.disk, WEIGHT, usize::MAX, always(4)));
    world.run(&mut users, 100_000);
    let before: Vec<u64> = users.iter().map(User::work).collect();
    assert!(is_share(before[0], before[0] + before[1], 50, 1), "{before:?}");
    users[0].seat.set_weight(4 * WEIGHT);
    world.run(&mut users, 100_000);
    let since: Vec<u64> = users
        .iter()
        .zip(&before)
        .map(|(user, before)| user.work() - before)
        .collect();
    assert!(is_share(since[0], since[0] + since[1], 80, 2), "{since:?}");
}

#[test]
fn nobody_saves_up_and_nothing_is_lost() {
    let world = World::disk();
    let mut users = [1, 1].map(|_| User::new(&world.disk, WEIGHT, usize::MAX, always(8)));
    world.run(&mut users[..1], 500_000);
    let alone = users[0].work();
    assert_eq!(users[1].work(), 0);
    world.run(&mut users, 50_000);
    let since = users[0].work() - alone;
    assert!(is_share(since, since + users[1].work(), 50, 3), "{since}");
}

#[test]
fn one_user_alone_has_eight_requests_of_64_kib_under_way_and_then_some_waiting() {
    for says in [8, 32, 64, usize::MAX] {
        let world = World::new(says, 64, false);
        let mut users = [User::new(&world.disk, 1, usize::MAX, always(16))];
        users[0].turn();
        assert_eq!(world.device.queue.borrow().len(), 8, "{says}");
        assert_eq!(world.disk.waiting.get(), 8, "{says}");
        assert!(world.event());
        assert_eq!(world.device.queue.borrow().len(), 8, "{says}");
    }
}

#[test]
fn the_driver_never_has_more_requests_than_it_says_that_it_takes() {
    for says in [1, 2, 7, 8, 32] {
        let world = World::new(says, 64, false);
        let mut users = [1, 1].map(|_| User::new(&world.disk, WEIGHT, usize::MAX, always(1)));
        for _ in 0..1000 {
            users.iter_mut().for_each(User::turn);
            assert!(world.device.queue.borrow().len() <= says, "{says}");
            world.event();
        }
    }
}

#[test]
fn a_seat_that_is_full_is_nobody_elses_business() {
    let world = World::disk();
    let mut users = [32, 1].map(|pages| User::new(&world.disk, WEIGHT, usize::MAX, always(pages)));
    users[0].turn();
    let refused = users[0].seat.submit(ask(32, &users[0].client)).unwrap_err();
    assert_eq!(refused.error, BlockError::Busy);
    assert!(refused.request.charge.is_none());
    let other = users[1].seat.submit(ask(1, &users[1].client));
    assert_eq!(other.map_err(|refused| refused.error), Ok(()));
}

#[test]
fn what_the_disk_refuses_for_good_is_told() {
    let world = World::new(64, 64, false);
    let user = User::new(&world.disk, WEIGHT, 1, always(1));
    let refused = user
        .seat
        .submit(ask(MOST_SEGMENTS + 1, &user.client))
        .unwrap_err();
    assert_eq!(
        (refused.error, user.client.in_flight()),
        (BlockError::Malformed, 0)
    );
    assert_eq!(world.disk.under_way.get(), 0);
}

#[test]
fn a_user_that_goes_leaves_nothing_behind() {
    let world = World::disk();
    let [mut flooder, other] = [32, 1].map(|pages| User::new(&world.disk, WEIGHT, usize::MAX, always(pages)));
    flooder.turn();
    let (client, waited) = (flooder.client.clone(), world.disk.waiting.get());
    assert!(waited > 0);
    drop(flooder);
    let mut gone = 0;
    while let Some(completion) = client.take() {
        assert_eq!(completion.result, Err(BlockError::Gone));
        gone += 1;
    }
    assert_eq!((gone, world.disk.waiting.get()), (waited, 0));
    // A driver that gives up drops what it has.
    world.device.queue.borrow_mut().clear();
    assert_eq!(
        (world.disk.under_way.get(), world.disk.seats.borrow().len()),
        (0, 1)
    );
    let asked = other.seat.submit(ask(1, &other.client));
    assert_eq!(asked.map_err(|refused| refused.error), Ok(()));
}

#[test]
fn users_of_memory_take_turns_too() {
    let world = World::new(usize::MAX, usize::MAX, true);
    let mut users = [(100, 32), (300, 2)]
        .map(|(weight, pages)| User::new(&world.disk, weight, usize::MAX, always(pages)));
    for _ in 0..2000 {
        users.iter_mut().for_each(User::turn);
        assert!(world.disk.has_work());
        let before = world.disk.given.get();
        world.event();
        let round = world.disk.given.get() - before;
        assert!(round <= WINDOW, "{round} in a round");
    }
    let work = users.map(|user| user.work());
    assert!(is_share(work[0], work[0] + work[1], 25, 2), "{work:?}");
}
