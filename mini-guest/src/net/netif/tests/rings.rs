//! Frames through both rings.

use super::*;

#[test]
fn frames_of_all_lengths_go_both_ways_unchanged() {
    let mut world = World::new();
    for len in HEADER..=FRAME {
        world.front.transmit(&frame(len as u16, len)).unwrap();
        assert_eq!(world.settle(), Step::Idle);
        world.port.going.push_back(frame(len as u16, len));
        world.settle();
        let came = world.port.came.pop().unwrap();
        assert_eq!((came.len(), mark(&came)), (len, len as u16));
        assert_eq!(world.received(), [len as u16]);
    }
    assert_eq!(world.front.counters(), Default::default());
    let counters = world.back.counters();
    assert_eq!(
        (counters.sent, counters.received, counters.refused),
        (1501, 1501, 0)
    );
}

#[test]
fn the_order_stays_through_many_turns_of_the_rings() {
    let mut world = World::new();
    for round in 0..100 {
        for n in 0..40 {
            world.front.transmit(&frame(round * 40 + n, 100)).unwrap();
            world.port.going.push_back(frame(round * 40 + n, 60));
        }
        world.settle();
        let wanted: Vec<u16> = (round * 40..round * 40 + 40).collect();
        assert_eq!(world.received(), wanted);
        let came: Vec<u16> = world.port.came.drain(..).map(|frame| mark(&frame)).collect();
        assert_eq!(came, wanted);
    }
}

#[test]
fn many_frames_are_one_copy_and_one_event() {
    let mut world = World::new();
    // The first answer of a ring is asked for.
    world.front.transmit(&frame(0, 60)).unwrap();
    world.settle();
    assert_eq!(world.received(), []);
    world.between.copies.set(0);
    let (back, front) = world.between.events.get();
    for n in 0..BATCH as u16 {
        world.front.transmit(&frame(n, 1000)).unwrap();
    }
    assert_eq!(world.between.events.get(), (back + 1, front));
    world.settle();
    assert_eq!(world.between.copies.get(), 1);
    // Nobody waits for these answers.
    assert_eq!(world.between.events.get(), (back + 1, front));
    assert_eq!(world.received(), []);
    world.port.going.extend((0..BATCH as u16).map(|n| frame(n, 1000)));
    world.settle();
    assert_eq!(world.between.copies.get(), 2);
    assert_eq!(world.between.events.get(), (back + 1, front + 1));
}

#[test]
fn a_full_pool_is_full_until_there_are_answers_and_an_event_tells() {
    let mut world = World::new();
    for n in 0..TX_BUFFERS as u16 {
        world.front.transmit(&frame(n, 60)).unwrap();
    }
    assert_eq!(world.front.transmit(&frame(99, 60)), Err(NotSent::Full));
    let (_, before) = world.between.events.get();
    world.settle();
    assert_eq!(world.between.events.get().1, before + 1);
    assert_eq!(world.front.transmit(&frame(99, 60)), Ok(()));
    assert_eq!(world.front.transmit(&[0; HEADER - 1]), Err(NotSent::Length));
    assert_eq!(world.front.transmit(&[0; FRAME + 1]), Err(NotSent::Length));
}

#[test]
fn a_frontend_that_takes_nothing_has_its_frames_wait_and_no_one_spins() {
    let mut world = World::new();
    world
        .port
        .going
        .extend((0..RX_BUFFERS as u16 + 30).map(|n| frame(n, 60)));
    assert_eq!(world.settle(), Step::Idle);
    assert_eq!(world.port.going.len(), 30);
    assert!(world.back.counters().starved > 0);
    // It can send all the same.
    world.front.transmit(&frame(7, 60)).unwrap();
    world.settle();
    assert_eq!(world.port.came.len(), 1);
    // When it takes some, its buffers are announced.
    let (before, _) = world.between.events.get();
    let mut buffer = [0; FRAME];
    for n in 0..RX_BUFFERS as u16 {
        assert_eq!(
            world.front.receive(&mut buffer).map(|len| mark(&buffer[..len])),
            Some(n)
        );
    }
    assert_eq!(world.front.receive(&mut buffer), None);
    assert!(world.between.events.get().0 > before);
    world.settle();
    assert_eq!(world.received().len(), 30);
}

#[test]
fn without_memory_frames_are_dropped_and_answered() {
    let mut world = World::new();
    world.between.has_memory.set(false);
    for n in 0..TX_BUFFERS as u16 {
        world.front.transmit(&frame(n, 60)).unwrap();
    }
    world.settle();
    world.between.has_memory.set(true);
    world.front.transmit(&frame(1, 60)).unwrap();
    world.settle();
    assert_eq!(
        (world.port.came.len(), world.back.counters().no_memory),
        (1, TX_BUFFERS as u64)
    );
    assert_eq!(world.front.counters().not_sent, TX_BUFFERS as u64);
}

#[test]
fn a_rate_is_kept_and_the_next_turn_is_told() {
    let mut world = World::new();
    let rate = "2000,1000000".parse().ok();
    world.back.set_rate(rate, 0);
    for n in 0..8 {
        world.front.transmit(&frame(n, 1000)).unwrap();
    }
    let (mut now, mut turns) = (0, vec![]);
    while world.port.came.len() < 8 {
        match world.back.step(&mut world.port, now) {
            Step::More => {}
            Step::Later(at) => {
                assert!(at > now);
                turns.push((world.port.came.len(), at));
                now = at;
            }
            other => panic!("{other:?}"),
        }
    }
    let second = 1_000_000_000;
    let wanted: Vec<_> = (2..8).map(|n| (n, (n as u64 - 1) * second / 2)).collect();
    assert_eq!(turns, wanted);
    assert_eq!(world.back.counters().throttled, 6);
    // Receiving goes on while sending waits, and a rate can be taken away.
    for n in 0..8 {
        world.front.transmit(&frame(n, 1000)).unwrap();
    }
    assert!(matches!(world.settle(), Step::Later(_)));
    world.port.going.push_back(frame(3, 60));
    assert!(matches!(world.settle(), Step::Later(_)));
    assert_eq!(world.received(), [3]);
    world.back.set_rate(None, now);
    assert_eq!(world.settle(), Step::Idle);
    assert_eq!(world.port.came.len(), 16);
}
