//! The bridge against frames in vectors.

use super::queue::MOST_WAITING;
use super::table::{AGE_NS, MOST_LEARNED, MOST_PER_PORT};
use super::*;
use alloc::rc::Rc;
use alloc::vec;

type Frames = Bridge<Rc<[u8]>>;

const fn station(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn frame(to: Mac, source: Mac, mark: u8) -> Rc<[u8]> {
    let mut bytes = vec![0; 60];
    bytes[..6].copy_from_slice(&to.0);
    bytes[6..12].copy_from_slice(&source.0);
    bytes[14] = mark;
    bytes.into()
}

fn marks(bridge: &mut Frames, port: PortId) -> Vec<u8> {
    core::iter::from_fn(|| bridge.take(port))
        .map(|frame| frame[14])
        .collect()
}

#[test]
fn unknown_destinations_are_flooded_and_then_learned() {
    let mut bridge = Frames::default();
    let [a, b, c] = [(); 3].map(|()| bridge.add(Source::Any).unwrap());
    bridge.pass(a, frame(station(2), station(1), 1), 0).unwrap();
    assert_eq!(
        (
            marks(&mut bridge, a),
            marks(&mut bridge, b),
            marks(&mut bridge, c)
        ),
        (vec![], vec![1], vec![1])
    );
    bridge.pass(b, frame(station(1), station(2), 2), 0).unwrap();
    assert_eq!(
        (
            marks(&mut bridge, a),
            marks(&mut bridge, b),
            marks(&mut bridge, c)
        ),
        (vec![2], vec![], vec![])
    );
    // A station that moved is found where it is now.
    bridge.pass(c, frame(station(2), station(1), 3), 1).unwrap();
    bridge.pass(b, frame(station(1), station(2), 4), 1).unwrap();
    assert_eq!(
        (
            marks(&mut bridge, a),
            marks(&mut bridge, b),
            marks(&mut bridge, c)
        ),
        (vec![], vec![3], vec![4])
    );
}

#[test]
fn a_frame_never_goes_back_where_it_came_from() {
    let mut bridge = Frames::default();
    let [a, b] = [(); 2].map(|()| bridge.add(Source::Any).unwrap());
    bridge.pass(a, frame(station(9), station(1), 1), 0).unwrap();
    bridge.pass(a, frame(station(9), station(2), 2), 0).unwrap();
    bridge.pass(a, frame(station(1), station(2), 3), 0).unwrap();
    bridge.pass(a, frame(Mac::BROADCAST, station(2), 4), 0).unwrap();
    assert_eq!(
        (marks(&mut bridge, a), marks(&mut bridge, b)),
        (vec![], vec![1, 2, 4])
    );
}

#[test]
fn groups_go_to_all_others() {
    let mut bridge = Frames::default();
    let card = bridge.add(Source::Any).unwrap();
    let [one, two] = [1, 2].map(|n| bridge.add(Source::Only(station(n))).unwrap());
    for to in [Mac::BROADCAST, Mac([0x33, 0x33, 0, 0, 0, 1])] {
        bridge.pass(one, frame(to, station(1), 7), 0).unwrap();
        assert_eq!(
            (marks(&mut bridge, card), marks(&mut bridge, two)),
            (vec![7], vec![7])
        );
        assert_eq!(bridge.waiting(one), 0);
    }
}

#[test]
fn addresses_age_and_owned_ones_do_not() {
    let mut bridge = Frames::default();
    let [a, b, c] = [(); 3].map(|()| bridge.add(Source::Any).unwrap());
    let vif = bridge.add(Source::Only(station(5))).unwrap();
    bridge.pass(a, frame(station(2), station(1), 0), 100).unwrap();
    marks(&mut bridge, b);
    marks(&mut bridge, c);
    bridge
        .pass(b, frame(station(1), station(2), 1), 100 + AGE_NS - 1)
        .unwrap();
    assert_eq!((bridge.waiting(a), bridge.waiting(c)), (1, 0));
    bridge
        .pass(b, frame(station(1), station(2), 2), 100 + AGE_NS)
        .unwrap();
    assert_eq!((bridge.waiting(a), bridge.waiting(c)), (2, 1));
    bridge
        .pass(b, frame(station(5), station(2), 3), u64::MAX)
        .unwrap();
    assert_eq!((marks(&mut bridge, vif), bridge.waiting(c)), (vec![3], 1));
}

#[test]
fn nobody_takes_over_an_address() {
    let mut bridge = Frames::default();
    let card = bridge.add(Source::Any).unwrap();
    let one = bridge.add(Source::Only(station(1))).unwrap();
    let two = bridge.add(Source::Only(station(2))).unwrap();
    let router = bridge.add(Source::Permitted(station(3))).unwrap();
    for from in [two, card, router] {
        let spoofed = frame(Mac::BROADCAST, station(1), 9);
        assert_eq!(bridge.pass(from, spoofed, 0), Err(Refused::Spoofed));
        assert_eq!(bridge.counters(from).unwrap().spoofed, 1);
    }
    assert_eq!(
        bridge.pass(two, frame(station(1), station(8), 9), 0),
        Err(Refused::Spoofed)
    );
    assert_eq!((bridge.waiting(one), bridge.waiting(card)), (0, 0));
    // One that may have others behind it, and what nobody owns.
    bridge.pass(router, frame(station(1), station(8), 1), 0).unwrap();
    bridge.pass(one, frame(station(8), station(1), 2), 0).unwrap();
    assert_eq!(
        (
            marks(&mut bridge, one),
            marks(&mut bridge, router),
            bridge.waiting(card)
        ),
        (vec![1], vec![2], 0)
    );
    for source in [
        Source::Only(station(1)),
        Source::Permitted(station(3)),
        Source::Only(Mac::BROADCAST),
    ] {
        assert_eq!(bridge.add(source), Err(AddressTaken));
    }
    // Who was seen with it before does not keep it.
    bridge
        .pass(card, frame(Mac::BROADCAST, station(4), 0), 0)
        .unwrap();
    let four = bridge.add(Source::Only(station(4))).unwrap();
    marks(&mut bridge, card);
    bridge.pass(one, frame(station(4), station(1), 5), 0).unwrap();
    assert_eq!((marks(&mut bridge, four), bridge.waiting(card)), (vec![5], 0));
    // And whoever comes later may have it.
    bridge.remove(four);
    assert!(bridge.add(Source::Only(station(4))).is_ok());
}

#[test]
fn domains_do_not_hear_what_is_for_others() {
    let mut bridge = Frames::default();
    let card = bridge.add(Source::Any).unwrap();
    let one = bridge.add(Source::Only(station(1))).unwrap();
    let two = bridge.add(Source::Only(station(2))).unwrap();
    bridge.pass(one, frame(station(77), station(1), 1), 0).unwrap();
    assert_eq!((marks(&mut bridge, card), bridge.waiting(two)), (vec![1], 0));
}

#[test]
fn what_makes_no_sense_is_counted_and_not_passed_on() {
    let mut bridge = Frames::default();
    let [a, b] = [(); 2].map(|()| bridge.add(Source::Any).unwrap());
    let reserved = Mac([0x01, 0x80, 0xC2, 0, 0, 0x0E]);
    let bad: [Rc<[u8]>; 5] = [
        vec![2; HEADER - 1].into(),
        vec![2; FRAME + 1].into(),
        frame(station(1), Mac::BROADCAST, 0),
        frame(station(1), Mac([0; 6]), 0),
        frame(reserved, station(1), 0),
    ];
    for (n, frame) in bad.into_iter().enumerate() {
        assert_eq!(bridge.pass(a, frame, 0), Err(Refused::Invalid), "{n}");
    }
    assert_eq!(
        (
            bridge.counters(a).unwrap().invalid,
            bridge.waiting(b),
            bridge.known()
        ),
        (5, 0, 0)
    );
    bridge.pass(a, vec![2; FRAME].into(), 0).unwrap();
    bridge.remove(b);
    assert_eq!(bridge.pass(b, vec![2; FRAME].into(), 0), Err(Refused::NoPort));
    assert_eq!((bridge.take(b), bridge.counters(b)), (None, None));
}

#[test]
fn the_table_is_bounded_and_one_port_cannot_fill_it() {
    let mut bridge = Frames::default();
    let ports: Vec<PortId> = (0..6).map(|_| bridge.add(Source::Any).unwrap()).collect();
    let source = |port: usize, n: usize| Mac([2, 1, port as u8, (n >> 8) as u8, n as u8, 0]);
    for n in 0..MOST_PER_PORT + 10 {
        bridge
            .pass(ports[0], frame(Mac::BROADCAST, source(0, n), 0), 5)
            .unwrap();
    }
    assert_eq!(bridge.known(), MOST_PER_PORT);
    for (index, port) in ports.iter().enumerate() {
        for n in 0..MOST_PER_PORT {
            bridge
                .pass(*port, frame(Mac::BROADCAST, source(index, n), 0), 5)
                .unwrap();
        }
    }
    assert_eq!(bridge.known(), MOST_LEARNED);
    // Old ones make room.
    bridge
        .pass(ports[5], frame(Mac::BROADCAST, source(5, 999), 0), 5 + AGE_NS)
        .unwrap();
    assert_eq!(bridge.known(), 1);
}

#[test]
fn queues_are_bounded_and_who_floods_drops_its_own() {
    let mut bridge = Frames::default();
    let [flooder, quiet, out] = [1, 2, 3].map(|n| bridge.add(Source::Only(station(n))).unwrap());
    for n in 0..MOST_WAITING + 50 {
        bridge
            .pass(flooder, frame(station(3), station(1), n as u8), 0)
            .unwrap();
    }
    assert_eq!(bridge.waiting(out), MOST_WAITING);
    bridge.pass(quiet, frame(station(3), station(2), 200), 0).unwrap();
    assert_eq!(bridge.waiting(out), MOST_WAITING);
    assert_eq!(bridge.counters(flooder).unwrap().dropped, 51);
    assert_eq!(bridge.counters(quiet).unwrap().dropped, 0);
    assert_eq!(bridge.counters(out).unwrap().overflows, 51);
    // It leaves behind one of the flooder's.
    let order = marks(&mut bridge, out);
    assert_eq!(order[..3], [0, 200, 1]);
    assert_eq!(order.len(), MOST_WAITING);
    // What is full stops nobody's frames to elsewhere.
    bridge.pass(flooder, frame(station(2), station(1), 7), 0).unwrap();
    assert_eq!(marks(&mut bridge, quiet), vec![7]);
}

#[test]
fn each_of_many_senders_waits_for_one_frame_of_each_other() {
    let mut bridge = Frames::default();
    let senders: Vec<PortId> = (1..=8)
        .map(|n| bridge.add(Source::Only(station(n))).unwrap())
        .collect();
    let out = bridge.add(Source::Only(station(99))).unwrap();
    for n in (0..7).cycle().take(200) {
        bridge
            .pass(senders[n], frame(station(99), station(n as u8 + 1), n as u8), 0)
            .unwrap();
    }
    bridge
        .pass(senders[7], frame(station(99), station(8), 88), 0)
        .unwrap();
    let order = marks(&mut bridge, out);
    assert!(
        order.iter().position(|mark| *mark == 88).unwrap() <= 7,
        "{order:?}"
    );
}
