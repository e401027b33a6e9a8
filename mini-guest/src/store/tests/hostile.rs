//! Nonsense: an error or the end of that connection, and nobody else notices.

use super::*;
use proptest::prelude::*;

#[test]
fn paths_that_are_none_are_refused() {
    let mut world = World::new();
    let id = world.connect(0);
    let long = format!("/{}", "x".repeat(3072));
    let long_relative = "y/".repeat(1024) + "y";
    for path in [
        "",
        "//",
        "/a/",
        "/a//b",
        "/a b",
        "/a.b",
        "a/",
        "/ä",
        "@introduceDomain",
        &long,
        &long_relative,
    ] {
        assert_eq!(
            world.read(id, path),
            Err(if path.starts_with('@') {
                Error::NoEntry
            } else {
                Error::Invalid
            }),
            "{path:?}"
        );
    }
    assert_eq!(world.read(id, &long[..3072]), Err(Error::NoEntry));
}

#[test]
fn payloads_that_are_none_are_refused() {
    let (mut world, _, five) = World::with_home(5);
    let kinds = (0..24).map(MessageKind::new);
    for kind in kinds {
        for payload in [&b""[..], b"no end", b"\0\0\0", b"\xFF\0", b"x\0y\0z\0w\0"] {
            let answer = world.ask_in(five, 0, kind, payload);
            let takes_anything = [MessageKind::RESET_WATCHES, MessageKind::TRANSACTION_START].contains(&kind);
            let is_value = kind == MessageKind::WRITE && payload.starts_with(b"x\0");
            assert!(
                answer.is_err() || takes_anything || is_value,
                "{kind} {payload:?}: {answer:?}"
            );
        }
        assert!(
            world.ask_in(five, 77, kind, b"x\0").is_err(),
            "{kind} in no transaction"
        );
    }
    assert_eq!(
        world.ask_in(five, 0, MessageKind::new(4711), b""),
        Err(Error::NoSystem)
    );
}

#[test]
fn a_length_that_cannot_be_ends_the_connection_alone() {
    let (mut world, zero, five) = World::with_home(5);
    let header = MessageHeader {
        kind: MessageKind::READ,
        len: 4097,
        ..MessageHeader::default()
    };
    world.store.receive(five, header.as_bytes(), &mut world.rings);
    assert!(world.store.is_broken(five));
    assert_eq!(world.store.room(five), 0);
    world.write(zero, "/x", "1").unwrap();
    assert!(!world.store.is_broken(zero));
    world.store.reset(five);
    world.write(five, "y", "2").unwrap();
    assert!(world.store.is_broken(ConnectionId(4711)));
}

#[test]
fn who_does_not_read_replies_is_not_served_and_costs_little() {
    let (mut world, _, five) = World::with_home(5);
    world.write(five, "x", &"v".repeat(2000)).unwrap();
    let header = MessageHeader {
        kind: MessageKind::READ,
        len: 2,
        ..MessageHeader::default()
    };
    let message = [header.as_bytes(), b"x\0"].concat();
    let mut taken = 0;
    while world.store.room(five) >= message.len() {
        world.store.receive(five, &message, &mut world.rings);
        taken += 1;
        assert!(taken < 300);
    }
    // All that was taken is answered when replies are read at last.
    let mut answered = 0;
    while world.store.has_output(five) {
        answered += world.store.take_output(five, 2016, &mut world.rings).len();
    }
    assert_eq!(answered, taken * 2016);
}

#[test]
fn a_domain_owns_so_much_and_no_more() {
    let quota = Quota::default();
    let (mut world, zero, five) = World::with_home(5);
    assert_eq!(
        world.write(five, "v", &"x".repeat(quota.value + 1)),
        Err(Error::NoSpace)
    );
    assert_eq!(
        world.read(five, "v"),
        Err(Error::NoEntry),
        "no node is left of it"
    );
    let mut n = 0;
    while world.write(five, &format!("n{n}"), "").is_ok() {
        n += 1;
    }
    assert_eq!(n, quota.nodes - 1, "and its home");
    assert_eq!(world.write(five, "deep/er", ""), Err(Error::NoSpace));
    world.write(five, "n0", "still").unwrap();
    world.write(zero, "/local/domain/5/zero", "has no bound").unwrap();
    for n in 0..n {
        world.remove(five, &format!("n{n}")).unwrap();
    }
    let mut n = 0;
    while world.write(five, &format!("n{n}"), &"x".repeat(2000)).is_ok() {
        n += 1;
    }
    assert!((20..=32).contains(&n), "{n}");
    assert_eq!(
        world
            .write(five, "n0", "less")
            .and_then(|()| world.write(five, "more", "x")),
        Ok(())
    );
}

#[test]
fn a_tree_as_deep_as_a_path_is_no_danger() {
    let mut world = World::new();
    let id = world.connect(0);
    let path = "/a".repeat(1536);
    world.write(id, &path, "").unwrap();
    world.remove(id, "/a").unwrap();
    assert_eq!(world.list(id, "/").unwrap(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_hurt_anybody(chunks in proptest::collection::vec(proptest::collection::vec(0_u8..40, 0..80), 1..20)) {
        let (mut world, zero, five) = World::with_home(5);
        for chunk in &chunks {
            let room = world.store.room(five).min(chunk.len());
            world.store.receive(five, &chunk[..room], &mut world.rings);
            world.store.take_output(five, 50, &mut world.rings);
        }
        prop_assert!(world.store.is_sound());
        prop_assert!(world.write(zero, "/still", "here").is_ok());
    }
}
