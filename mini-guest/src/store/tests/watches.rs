//! Watches: who hears of what, once, and what waits for somebody who does not listen.

use super::*;

#[test]
fn a_watch_fires_at_once_and_then_for_everything_below() {
    let mut world = World::new();
    let (id, other) = (world.connect(0), world.connect(0));
    world.ask(id, MessageKind::WATCH, &["/a", "t"]).unwrap();
    assert_eq!(world.events(id), ["/a t"]);
    world.write(other, "/a/b", "1").unwrap();
    world.write(other, "/ab", "1").unwrap();
    world.ask(other, MessageKind::SET_PERMS, &["/a/b", "r0"]).unwrap();
    assert_eq!(world.events(id), ["/a/b t"], "once, as nobody looked in between");
    world.remove(other, "/a").unwrap();
    assert_eq!(world.events(id), ["/a t"]);
    assert_eq!(
        world.ask(id, MessageKind::WATCH, &["/a", "t"]),
        Err(Error::Exists)
    );
    assert_eq!(
        world.ask(id, MessageKind::UNWATCH, &["/a", "u"]),
        Err(Error::NoEntry)
    );
    world.write(other, "/a", "").unwrap();
    world.ask(id, MessageKind::UNWATCH, &["/a", "t"]).unwrap();
    world.write(other, "/a", "").unwrap();
    assert!(world.events(id).is_empty(), "what waited goes with it");
}

#[test]
fn a_watch_below_what_is_removed_fires_too() {
    let mut world = World::new();
    let id = world.connect(0);
    world.write(id, "/a/b/c", "").unwrap();
    world.ask(id, MessageKind::WATCH, &["/a/b/c", "t"]).unwrap();
    world.events(id);
    world.remove(id, "/a").unwrap();
    assert_eq!(world.events(id), ["/a/b/c t"]);
}

#[test]
fn paths_come_as_they_were_given() {
    let (mut world, zero, five) = World::with_home(5);
    world.ask(five, MessageKind::WATCH, &["device", "rel"]).unwrap();
    world
        .ask(five, MessageKind::WATCH, &["/local/domain/5/device", "abs"])
        .unwrap();
    world.events(five);
    world.write(zero, "/local/domain/5/device/vbd", "").unwrap();
    assert_eq!(
        world.events(five),
        ["device/vbd rel", "/local/domain/5/device/vbd abs"]
    );
}

#[test]
fn nobody_hears_of_what_he_may_not_read() {
    let (mut world, zero, five) = World::with_home(5);
    world.write(zero, "/secret/x", "").unwrap();
    world.ask(five, MessageKind::WATCH, &["/secret", "t"]).unwrap();
    world.ask(five, MessageKind::WATCH, &["/local", "t"]).unwrap();
    world.events(five);
    world.write(zero, "/secret/x", "1").unwrap();
    world.remove(zero, "/secret/x").unwrap();
    assert_eq!(world.events(five), Vec::<String>::new());
    world.write(zero, "/local/domain/5/y", "1").unwrap();
    assert_eq!(world.events(five), ["/local/domain/5/y t"]);
    for name in ["@introduceDomain", "@releaseDomain"] {
        assert_eq!(
            world.ask(five, MessageKind::WATCH, &[name, "t"]),
            Err(Error::Access)
        );
    }
}

#[test]
fn domains_that_come_and_go_are_told_of() {
    let mut world = World::new();
    let id = world.connect(0);
    world
        .ask(id, MessageKind::WATCH, &["@introduceDomain", "in"])
        .unwrap();
    world
        .ask(id, MessageKind::WATCH, &["@releaseDomain", "out"])
        .unwrap();
    assert_eq!(world.events(id), ["@introduceDomain in", "@releaseDomain out"]);
    world.ask(id, MessageKind::INTRODUCE, &["4", "1", "1"]).unwrap();
    assert_eq!(world.events(id), ["@introduceDomain in"]);
    world.ask(id, MessageKind::RELEASE, &["4"]).unwrap();
    assert_eq!(world.events(id), ["@releaseDomain out"]);
}

#[test]
fn too_many_events_become_one_that_says_look_at_everything() {
    let (mut world, zero, five) = World::with_home(5);
    world.ask(five, MessageKind::WATCH, &["d", "t"]).unwrap();
    world.ask(five, MessageKind::WATCH, &["e", "u"]).unwrap();
    world.events(five);
    world.write(zero, "/local/domain/5/e", "").unwrap();
    for n in 0..100_000 {
        let payload = format!("/local/domain/5/d/{}\0", n % 1000);
        world
            .store
            .answer(
                zero,
                (0, 0),
                MessageKind::WRITE,
                payload.as_bytes(),
                &mut world.rings,
            )
            .unwrap();
    }
    let events = world.events(five);
    assert!(events.len() < 130, "{}", events.len());
    assert!(events.contains(&"d t".into()) && events.contains(&"e u".into()));
    assert!(events.contains(&"d/999 t".into()));
}

#[test]
fn watches_are_counted_and_reset() {
    let (mut world, _, five) = World::with_home(5);
    for n in 0..Quota::default().watches {
        world
            .ask(five, MessageKind::WATCH, &["x", &n.to_string()])
            .unwrap();
    }
    assert_eq!(
        world.ask(five, MessageKind::WATCH, &["x", "more"]),
        Err(Error::NoSpace)
    );
    world.ask(five, MessageKind::RESET_WATCHES, &[""]).unwrap();
    world.events(five);
    world.write(five, "x", "").unwrap();
    assert!(world.events(five).is_empty());
    assert_eq!(
        world.ask(five, MessageKind::WATCH, &["x", &"t".repeat(513)]),
        Err(Error::TooBig)
    );
}
