//! The store by its wire: what each message does, for whom, and what it costs others.

use super::*;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use guest_abi::io::xenstore::{MessageHeader, MessageKind};
use zerocopy::{FromBytes, IntoBytes};

mod hostile;
mod random;
mod transactions;
mod watches;

/// Domains whose rings are served.
#[derive(Debug, Default)]
struct Rings {
    served: BTreeMap<u16, (u32, u32, ConnectionId)>,
    refuses: bool,
    has_no_memory: bool,
}

impl Platform for Rings {
    fn introduce(
        &mut self,
        domain: u16,
        frame: u32,
        port: u32,
        connection: ConnectionId,
    ) -> Result<(), Error> {
        if self.refuses {
            return Err(Error::Invalid);
        }
        self.served.insert(domain, (frame, port, connection));
        Ok(())
    }

    fn release(&mut self, domain: u16) {
        self.served.remove(&domain);
    }

    fn has_memory(&self) -> bool {
        !self.has_no_memory
    }
}

/// A store with connections of some domains.
struct World {
    store: Store,
    rings: Rings,
    events: BTreeMap<ConnectionId, VecDeque<(String, String)>>,
}

impl World {
    fn new() -> Self {
        Self::with_quota(Quota::default())
    }

    fn with_quota(quota: Quota) -> Self {
        let store = Store::with_quota(quota);
        let (rings, events) = (Rings::default(), BTreeMap::new());
        Self { store, rings, events }
    }

    fn connect(&mut self, domain: u16) -> ConnectionId {
        self.store.connect(domain)
    }

    /// Sends a message and gives its answer; events on the way are kept.
    fn ask_in(
        &mut self,
        id: ConnectionId,
        tx_id: u32,
        kind: MessageKind,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let header = MessageHeader {
            kind,
            req_id: 7,
            tx_id,
            len: payload.len() as u32,
        };
        let bytes = [header.as_bytes(), payload].concat();
        assert!(self.store.room(id) >= bytes.len());
        self.store.receive(id, &bytes, &mut self.rings);
        let mut answer = None;
        for (header, payload) in self.messages(id) {
            if header.kind == MessageKind::WATCH_EVENT {
                continue;
            }
            assert!(answer.is_none() && (header.req_id, header.tx_id) == (7, tx_id));
            answer = Some(if header.kind == MessageKind::ERROR {
                Err(Error::from_name(text(&payload).trim_end_matches('\0')))
            } else {
                assert_eq!(header.kind, kind);
                Ok(payload)
            });
        }
        assert!(self.store.is_sound());
        answer.expect("every request is answered")
    }

    /// Takes all messages, and keeps the events.
    fn messages(&mut self, id: ConnectionId) -> Vec<(MessageHeader, Vec<u8>)> {
        let mut output = self.store.take_output(id, usize::MAX, &mut self.rings);
        let mut messages = vec![];
        while !output.is_empty() {
            let (header, rest) = MessageHeader::read_from_prefix(&output).unwrap();
            let (payload, rest) = rest.split_at(header.len as usize);
            let (payload, rest) = (payload.to_vec(), rest.to_vec());
            if header.kind == MessageKind::WATCH_EVENT {
                let words = text(&payload);
                let (path, token) = words.trim_end_matches('\0').split_once('\0').unwrap();
                let events = self.events.entry(id).or_default();
                events.push_back((path.into(), token.into()));
            }
            messages.push((header, payload));
            output = rest;
        }
        messages
    }

    fn events(&mut self, id: ConnectionId) -> Vec<String> {
        self.messages(id);
        let events = self.events.entry(id).or_default().drain(..);
        events.map(|(path, token)| format!("{path} {token}")).collect()
    }

    fn ask(&mut self, id: ConnectionId, kind: MessageKind, words: &[&str]) -> Result<Vec<u8>, Error> {
        let payload: String = words.iter().map(|word| format!("{word}\0")).collect();
        self.ask_in(id, 0, kind, payload.as_bytes())
    }

    fn write(&mut self, id: ConnectionId, path: &str, value: &str) -> Result<(), Error> {
        self.write_in(id, 0, path, value)
    }

    fn write_in(&mut self, id: ConnectionId, tx: u32, path: &str, value: &str) -> Result<(), Error> {
        let payload = format!("{path}\0{value}");
        let answer = self.ask_in(id, tx, MessageKind::WRITE, payload.as_bytes());
        answer.map(|answer| assert_eq!(answer, b"OK\0"))
    }

    fn read(&mut self, id: ConnectionId, path: &str) -> Result<String, Error> {
        self.read_in(id, 0, path)
    }

    fn read_in(&mut self, id: ConnectionId, tx: u32, path: &str) -> Result<String, Error> {
        let payload = format!("{path}\0");
        let answer = self.ask_in(id, tx, MessageKind::READ, payload.as_bytes());
        answer.map(|answer| text(&answer))
    }

    fn list(&mut self, id: ConnectionId, path: &str) -> Result<Vec<String>, Error> {
        let answer = self.ask(id, MessageKind::DIRECTORY, &[path])?;
        Ok(text(&answer).split_terminator('\0').map(String::from).collect())
    }

    fn remove(&mut self, id: ConnectionId, path: &str) -> Result<(), Error> {
        self.ask(id, MessageKind::RM, &[path]).map(drop)
    }

    /// Domain0's connection, and that of a domain with a home of its own.
    fn with_home(domain: u16) -> (Self, ConnectionId, ConnectionId) {
        let mut world = Self::new();
        let zero = world.connect(0);
        let (frame, number) = ("9".to_string(), domain.to_string());
        world
            .ask(zero, MessageKind::INTRODUCE, &[&number, &frame, "3"])
            .unwrap();
        let home = format!("/local/domain/{domain}");
        world.ask(zero, MessageKind::MKDIR, &[&home]).unwrap();
        world
            .ask(zero, MessageKind::SET_PERMS, &[&home, &format!("n{domain}")])
            .unwrap();
        let (_, _, theirs) = world.rings.served[&domain];
        (world, zero, theirs)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn values_are_written_read_listed_and_removed() {
    let mut world = World::new();
    let id = world.connect(0);
    assert_eq!(world.read(id, "/a/b"), Err(Error::NoEntry));
    world.write(id, "/a/b", "one").unwrap();
    world.write(id, "/a/c/d", "").unwrap();
    assert_eq!(world.read(id, "/a/b").as_deref(), Ok("one"));
    assert_eq!(world.read(id, "/a").as_deref(), Ok(""), "made on the way");
    assert_eq!(world.list(id, "/a").unwrap(), ["b", "c"]);
    assert_eq!(world.list(id, "/").unwrap(), ["a"]);
    world.ask(id, MessageKind::MKDIR, &["/a/b"]).unwrap();
    assert_eq!(
        world.read(id, "/a/b").as_deref(),
        Ok("one"),
        "mkdir changes nothing"
    );
    world.remove(id, "/a/c").unwrap();
    assert_eq!(world.read(id, "/a/c/d"), Err(Error::NoEntry));
    assert_eq!(world.remove(id, "/a/c"), Ok(()), "it is gone, as was wanted");
    assert_eq!(world.remove(id, "/x/y"), Err(Error::NoEntry));
    assert_eq!(world.remove(id, "/"), Err(Error::Invalid));
    // Any bytes are a value.
    let payload = b"/bytes\0\0\xFF\0";
    world.ask_in(id, 0, MessageKind::WRITE, payload).unwrap();
    let value = world.ask(id, MessageKind::READ, &["/bytes"]);
    assert_eq!(value.as_deref(), Ok(&b"\0\xFF\0"[..]));
}

#[test]
fn long_directories_come_in_parts() {
    let mut world = World::new();
    let id = world.connect(0);
    let names: Vec<String> = (0..1000).map(|n| format!("{n:05}")).collect();
    for name in &names {
        world.write(id, &format!("/d/{name}"), "").unwrap();
    }
    assert_eq!(world.list(id, "/d"), Err(Error::TooBig));
    let (mut found, mut offset, mut state) = (String::new(), 0, None);
    loop {
        let part = world.ask(id, MessageKind::DIRECTORY_PART, &["/d", &offset.to_string()]);
        let part = text(&part.unwrap());
        let (now, part) = part.split_once('\0').unwrap();
        assert_eq!(*state.get_or_insert(now.to_string()), now);
        let is_last = part.ends_with("\0\0");
        let names = if is_last { &part[..part.len() - 1] } else { part };
        offset += names.len();
        found += names;
        if is_last {
            break;
        }
    }
    assert_eq!(found.split_terminator('\0').collect::<Vec<_>>(), names);
    let beyond = world.ask(id, MessageKind::DIRECTORY_PART, &["/d", "6001"]);
    assert_eq!(beyond, Err(Error::Invalid));
}

#[test]
fn a_domain_sees_and_changes_what_it_may() {
    let (mut world, zero, five) = World::with_home(5);
    let six = world.connect(6);
    world.write(five, "data/x", "mine").unwrap();
    assert_eq!(world.read(zero, "/local/domain/5/data/x").as_deref(), Ok("mine"));
    assert_eq!(world.read(six, "/local/domain/5/data/x"), Err(Error::Access));
    assert_eq!(world.read(six, "/local/domain/5/nothing"), Err(Error::Access));
    assert_eq!(world.write(six, "/local/domain/5/y", ""), Err(Error::Access));
    assert_eq!(world.write(five, "/elsewhere", ""), Err(Error::Access));
    assert_eq!(world.remove(six, "/local/domain/5/data"), Err(Error::Access));

    let perms = |world: &mut World, id, words: &[&str]| world.ask(id, MessageKind::SET_PERMS, words);
    assert_eq!(
        perms(&mut world, six, &["/local/domain/5/data/x", "n6"]),
        Err(Error::Access)
    );
    assert_eq!(perms(&mut world, five, &["data/x", "n6"]), Err(Error::Perm));
    perms(&mut world, five, &["data/x", "n5", "r6"]).unwrap();
    assert_eq!(world.read(six, "/local/domain/5/data/x").as_deref(), Ok("mine"));
    assert_eq!(
        world.write(six, "/local/domain/5/data/x", "yours"),
        Err(Error::Access)
    );
    perms(&mut world, five, &["data/x", "r5", "b6"]).unwrap();
    world.write(six, "/local/domain/5/data/x", "yours").unwrap();
    let seven = world.connect(7);
    assert_eq!(
        world.read(seven, "/local/domain/5/data/x").as_deref(),
        Ok("yours")
    );
    assert_eq!(
        world.write(seven, "/local/domain/5/data/x", ""),
        Err(Error::Access)
    );
    // What a domain makes below another one's node is its own.
    world.write(six, "/local/domain/5/data/x/z", "").unwrap();
    let list = world.ask(zero, MessageKind::GET_PERMS, &["/local/domain/5/data/x/z"]);
    assert_eq!(list.as_deref(), Ok(&b"r6\0b6\0"[..]));
    for words in [
        &["data/x"][..],
        &["data/x", "q5"],
        &["data/x", "n"],
        &["data/x", "n70000"],
    ] {
        assert_eq!(perms(&mut world, five, words), Err(Error::Invalid), "{words:?}");
    }
}

#[test]
fn domains_come_and_go() {
    let (mut world, zero, five) = World::with_home(5);
    assert_eq!(world.rings.served[&5].0, 9);
    let ask = |world: &mut World, kind, words: &[&str]| world.ask(zero, kind, words).map(|a| text(&a));
    assert_eq!(
        ask(&mut world, MessageKind::GET_DOMAIN_PATH, &["5"]).as_deref(),
        Ok("/local/domain/5\0")
    );
    assert_eq!(
        ask(&mut world, MessageKind::IS_DOMAIN_INTRODUCED, &["5"]).as_deref(),
        Ok("T\0")
    );
    assert_eq!(
        ask(&mut world, MessageKind::IS_DOMAIN_INTRODUCED, &["6"]).as_deref(),
        Ok("F\0")
    );
    assert!(
        ask(&mut world, MessageKind::INTRODUCE, &["5", "9", "3"]).is_ok(),
        "once more"
    );
    for words in [
        &["5", "8", "3"][..],
        &["0", "9", "3"],
        &["x", "9", "3"],
        &["6", "9"],
    ] {
        assert_eq!(
            ask(&mut world, MessageKind::INTRODUCE, words),
            Err(Error::Invalid)
        );
    }
    for kind in [MessageKind::INTRODUCE, MessageKind::RELEASE, MessageKind::CONTROL] {
        assert_eq!(world.ask(five, kind, &["5", "9", "3"]), Err(Error::Access));
    }
    world.rings.refuses = true;
    assert_eq!(
        ask(&mut world, MessageKind::INTRODUCE, &["6", "1", "1"]),
        Err(Error::Invalid)
    );
    assert_eq!(
        ask(&mut world, MessageKind::IS_DOMAIN_INTRODUCED, &["6"]).as_deref(),
        Ok("F\0")
    );

    // The number will be another domain's: nothing may be left that is 5's, or allows 5 something.
    world.write(zero, "/shared", "secret").unwrap();
    world
        .ask(zero, MessageKind::SET_PERMS, &["/shared", "n0", "b5"])
        .unwrap();
    world.write(five, "/shared/theirs", "").unwrap();
    world.write(five, "a/b/c", "").unwrap();
    assert!(ask(&mut world, MessageKind::RELEASE, &["5"]).is_ok());
    assert!(world.rings.served.is_empty());
    assert_eq!(world.list(zero, "/shared").unwrap(), Vec::<String>::new());
    assert_eq!(world.list(zero, "/local/domain").unwrap(), Vec::<String>::new());
    let perms = world.ask(zero, MessageKind::GET_PERMS, &["/shared"]);
    assert_eq!(perms.as_deref(), Ok(&b"n0\0"[..]));
    assert_eq!(ask(&mut world, MessageKind::RELEASE, &["5"]), Err(Error::NoEntry));
    assert!(world.store.take_output(five, 99, &mut world.rings).is_empty());
}

#[test]
fn without_memory_nothing_grows_and_everything_shrinks() {
    let (mut world, zero, five) = World::with_home(5);
    world.write(five, "x", "1").unwrap();
    world.rings.has_no_memory = true;
    assert_eq!(world.write(zero, "/y", ""), Err(Error::NoMemory));
    assert_eq!(
        world.ask(five, MessageKind::WATCH, &["x", "t"]),
        Err(Error::NoMemory)
    );
    assert_eq!(world.read(five, "x").as_deref(), Ok("1"));
    assert_eq!(world.remove(five, "x"), Ok(()));
}
