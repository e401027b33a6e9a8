//! What is counted of a request's wait: sectors that the disk did for others meanwhile.

use super::*;
use crate::block::fair::{Seat, Shared};

/// A backend at a shared disk, and another user of it.
fn beside() -> (World, Seat, Rc<Client>) {
    let mut world = World::new();
    let shared = Shared::new(world.disk.clone());
    let page = Box::new(world.page.clone());
    let seat = Rc::new(shared.seat());
    world.back = Some(Backend::new(
        world.between.clone(),
        page,
        Layout::X86_32,
        seat,
        false,
    ));
    (world, shared.seat(), Client::new())
}

fn ask(world: &World, seat: &Seat, client: &Rc<Client>, pages: u64) {
    let pieces = (0..pages).map(|n| world.between.memory.segment(10 + n, 0, PAGE as u32));
    let request = Request::new(Op::Read, 0, pieces.collect(), 0, client.clone());
    assert!(seat.submit(request).is_ok());
}

fn steps(world: &mut World) {
    while world.back().step() == Step::More {}
}

#[test]
fn a_wait_begins_with_the_event_and_ends_with_the_answer() {
    let (mut world, other, client) = beside();
    ask(&world, &other, &client, 5);
    assert!(world.disk.finish(0));
    ask(&world, &other, &client, 3);
    world.submit(Op::Read, 0, 0, 1, 7).unwrap();
    world.back().heard();
    // Done before the backend has its turn, and before its request.
    assert!(world.disk.finish(0));
    ask(&world, &other, &client, 2);
    steps(&mut world);
    world.back().turn_is_over();
    assert!(world.disk.finish(0) && world.disk.finish(0));
    steps(&mut world);
    assert!(world.front.poll());
    assert_eq!(world.results(), [(7, Ok(()))].into());
    let counters = world.back().counters();
    assert_eq!(
        (counters.done, counters.waited, counters.longest_wait),
        (1, 40, 40)
    );
}

#[test]
fn what_is_its_own_is_no_wait_and_what_was_before_neither() {
    let (mut world, other, client) = beside();
    ask(&world, &other, &client, 3);
    world.submit(Op::Read, 0, 0, 4, 1).unwrap();
    assert!(world.disk.finish(0));
    // Nobody has told: it counts from when it is taken.
    steps(&mut world);
    world.submit(Op::Read, 64, 4, 4, 2).unwrap();
    steps(&mut world);
    ask(&world, &other, &client, 1);
    while world.disk.finish(0) {
        steps(&mut world);
    }
    let counters = world.back().counters();
    assert_eq!((counters.done, counters.waited, counters.longest_wait), (2, 0, 0));
}
