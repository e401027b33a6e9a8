//! Transactions: seen by nobody until they end, and then as a whole or not at all.

use super::*;

fn start(world: &mut World, id: ConnectionId) -> u32 {
    let answer = world
        .ask_in(id, 0, MessageKind::TRANSACTION_START, b"\0")
        .unwrap();
    text(&answer).trim_end_matches('\0').parse().unwrap()
}

fn end(world: &mut World, id: ConnectionId, tx: u32, how: &str) -> Result<(), Error> {
    let payload = format!("{how}\0");
    let answer = world.ask_in(id, tx, MessageKind::TRANSACTION_END, payload.as_bytes());
    answer.map(drop)
}

#[test]
fn changes_appear_at_the_end_together() {
    let mut world = World::new();
    let (id, other) = (world.connect(0), world.connect(0));
    world.write(id, "/gone/a", "").unwrap();
    world.ask(other, MessageKind::WATCH, &["/new", "t"]).unwrap();
    world.events(other);
    let tx = start(&mut world, id);
    world.write_in(id, tx, "/new/x", "1").unwrap();
    world.write_in(id, tx, "/new/y", "2").unwrap();
    world.ask_in(id, tx, MessageKind::RM, b"/gone\0").unwrap();
    world
        .ask_in(id, tx, MessageKind::SET_PERMS, b"/new/y\0r3\0")
        .unwrap();
    assert_eq!(world.read_in(id, tx, "/new/x").as_deref(), Ok("1"));
    assert_eq!(world.read(other, "/new/x"), Err(Error::NoEntry));
    assert!(world.events(other).is_empty());
    end(&mut world, id, tx, "T").unwrap();
    assert_eq!(world.read(other, "/new/y").as_deref(), Ok("2"));
    assert_eq!(world.read(other, "/gone/a"), Err(Error::NoEntry));
    assert_eq!(
        world.ask(other, MessageKind::GET_PERMS, &["/new/y"]).as_deref(),
        Ok(&b"r3\0"[..])
    );
    assert_eq!(world.events(other), ["/new/x t", "/new/y t"]);
    assert_eq!(end(&mut world, id, tx, "T"), Err(Error::NoEntry), "it is over");
}

#[test]
fn what_was_made_above_stays_when_what_is_below_is_removed() {
    let mut world = World::new();
    let id = world.connect(0);
    let tx = start(&mut world, id);
    world.write_in(id, tx, "/x", "1").unwrap();
    world.ask_in(id, tx, MessageKind::SET_PERMS, b"/x\0r3\0").unwrap();
    world.write_in(id, tx, "/x/y/z", "2").unwrap();
    world.ask_in(id, tx, MessageKind::RM, b"/x/y/z\0").unwrap();
    end(&mut world, id, tx, "T").unwrap();
    assert_eq!(world.read(id, "/x/y").as_deref(), Ok(""));
    assert_eq!(world.read(id, "/x/y/z"), Err(Error::NoEntry));
    let perms = world.ask(id, MessageKind::GET_PERMS, &["/x/y"]);
    assert_eq!(
        perms.as_deref(),
        Ok(&b"r3\0"[..]),
        "as they were in the transaction"
    );
}

#[test]
fn dropped_ones_leave_nothing() {
    let mut world = World::new();
    let id = world.connect(0);
    let tx = start(&mut world, id);
    world.write_in(id, tx, "/x", "1").unwrap();
    end(&mut world, id, tx, "F").unwrap();
    assert_eq!(world.read(id, "/x"), Err(Error::NoEntry));
    let tx = start(&mut world, id);
    assert_eq!(end(&mut world, id, tx, "Q"), Err(Error::Invalid));
    assert_eq!(
        world.read_in(id, 99, "/x"),
        Err(Error::NoEntry),
        "no such transaction"
    );
    assert_eq!(
        world.ask_in(id, tx, MessageKind::TRANSACTION_START, b"\0"),
        Err(Error::Invalid)
    );
}

#[test]
fn who_saw_what_has_changed_begins_again() {
    for (what_is_done, is_lost) in [
        ("read", true),
        ("list", true),
        ("write", true),
        ("read missing", true),
        ("elsewhere", false),
    ] {
        let mut world = World::new();
        let (id, other) = (world.connect(0), world.connect(0));
        world.write(id, "/d/x", "1").unwrap();
        world.write(id, "/e/x", "1").unwrap();
        let tx = start(&mut world, id);
        match what_is_done {
            "read" => drop(world.read_in(id, tx, "/d/x").unwrap()),
            "list" => drop(world.ask_in(id, tx, MessageKind::DIRECTORY, b"/d\0").unwrap()),
            "write" => world.write_in(id, tx, "/d/x", "2").unwrap(),
            "read missing" => assert_eq!(world.read_in(id, tx, "/d/new"), Err(Error::NoEntry)),
            _ => world.write_in(id, tx, "/e/x", "2").unwrap(),
        }
        world.write_in(id, tx, "/result", "done").unwrap();
        world.write(other, "/d/x", "3").unwrap();
        world.write(other, "/d/new", "4").unwrap();
        let ended = end(&mut world, id, tx, "T");
        assert_eq!(
            ended,
            if is_lost { Err(Error::Again) } else { Ok(()) },
            "{what_is_done}"
        );
        assert_eq!(world.read(id, "/result").is_err(), is_lost);
        assert_eq!(world.read(id, "/d/x").as_deref(), Ok("3"));
    }
}

#[test]
fn a_removed_node_that_is_made_again_is_empty() {
    let mut world = World::new();
    let id = world.connect(0);
    world.write(id, "/d/old", "1").unwrap();
    let tx = start(&mut world, id);
    world.ask_in(id, tx, MessageKind::RM, b"/d\0").unwrap();
    world.write_in(id, tx, "/d/new", "2").unwrap();
    end(&mut world, id, tx, "T").unwrap();
    assert_eq!(world.list(id, "/d").unwrap(), ["new"]);
}

#[test]
fn what_a_transaction_costs_is_bounded() {
    let (mut world, _, five) = World::with_home(5);
    let quota = Quota::default();
    let all: Vec<u32> = (0..quota.transactions).map(|_| start(&mut world, five)).collect();
    assert_eq!(
        world.ask_in(five, 0, MessageKind::TRANSACTION_START, b"\0"),
        Err(Error::NoSpace)
    );
    let looks = (0..10_000).map(|n| world.read_in(five, all[0], &format!("n{n}")));
    let refused = looks
        .map(|look| look.unwrap_err())
        .position(|e| e == Error::NoSpace);
    assert!(refused.is_some_and(|n| n < quota.bytes / 64), "{refused:?}");
    end(&mut world, five, all[0], "F").unwrap();
    start(&mut world, five);
    // A transaction does not get around the other bounds.
    let mut made = 0;
    while world.write_in(five, all[1], &format!("m{made}"), "").is_ok() {
        made += 1;
    }
    assert!(made < quota.nodes && made > 100, "{made}");
}
