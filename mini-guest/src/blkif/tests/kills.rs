//! The backend is killed, at every kind of moment, and comes again: no write that was acknowledged is lost or doubled.
//!
//! A program keeps a log on the disk: record n, with a checksum, at a place of its own, and then a header that counts the
//! records. It writes several at a time and counts one only when its write was acknowledged. Whatever happens to the
//! backend, at every restart the header names records that are there, each once and in order, and a crash of the medium's
//! cache loses none that a flush was acknowledged for.

use super::*;
use crate::random::Random;

/// Records at a time.
const WIDE: u64 = 6;
/// Sectors of a record.
const RECORD: u64 = 1;

fn random(rng: &mut Random, below: u32) -> u32 {
    let mut bytes = [0; 4];
    rng.fill(&mut bytes);
    u32::from_le_bytes(bytes) % below
}

/// The bytes of a record: its number, pass and a checksum, all over the sector.
fn record(number: u64, pass: u64) -> Vec<u8> {
    let sum =
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) ^ pass.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let words = [number, pass, sum];
    let bytes = words.iter().cycle().flat_map(|word| word.to_le_bytes());
    bytes.take(SECTOR).collect()
}

struct Log {
    world: World,
    /// Which pass over the disk each place has been acknowledged for.
    acknowledged: Vec<u64>,
    /// The same, as of the last flush that was acknowledged.
    durable: Vec<u64>,
    /// Writes under way: place and pass by number; what was acknowledged when a flush began.
    writes: BTreeMap<u64, (u64, u64)>,
    flushes: BTreeMap<u64, Vec<u64>>,
    free: BTreeSet<u64>,
    frames: BTreeMap<u64, u64>,
    last_id: u64,
    kills: usize,
}

impl Log {
    fn new(keeps: bool) -> Self {
        Self {
            world: World::keeping(keeps),
            acknowledged: vec![0; SECTORS],
            durable: vec![0; SECTORS],
            writes: BTreeMap::new(),
            flushes: BTreeMap::new(),
            free: (0..64).collect(),
            frames: BTreeMap::new(),
            last_id: 0,
            kills: 0,
        }
    }

    /// Begins to write the next pass of a place that nothing is under way for.
    fn write(&mut self, place: u64) {
        let is_busy = self.writes.values().any(|(other, _)| *other == place);
        if is_busy || self.writes.len() as u64 >= WIDE {
            return;
        }
        let Some(frame) = self.free.pop_first() else {
            return;
        };
        self.last_id += 1;
        let (id, pass) = (self.last_id, self.acknowledged[place as usize] + 1);
        let piece = self.world.between.memory.segment(frame, 0, SECTOR as u32);
        piece.write(&record(place, pass));
        let request = Request::new(
            Op::Write,
            place * RECORD,
            vec![piece],
            id,
            self.world.client.clone(),
        );
        self.world.front.submit(request).unwrap();
        self.writes.insert(id, (place, pass));
        self.frames.insert(id, frame);
    }

    fn flush(&mut self) {
        if !self.flushes.is_empty() {
            return;
        }
        self.last_id += 1;
        self.flushes.insert(self.last_id, self.acknowledged.clone());
        self.world.submit(Op::Flush, 0, 0, 0, self.last_id).unwrap();
    }

    fn acknowledge(&mut self) {
        for (id, result) in self.world.results() {
            assert_eq!(result, Ok(()));
            if let Some((place, pass)) = self.writes.remove(&id) {
                let frame = self.frames.remove(&id).unwrap();
                // Whoever reuses memory at once finds out who still reads it.
                self.world.between.memory.fill(frame, 0xEE);
                self.free.insert(frame);
                self.acknowledged[place as usize] = pass;
            } else {
                let then = self.flushes.remove(&id).expect("answered twice, or never asked");
                for (durable, then) in self.durable.iter_mut().zip(then) {
                    *durable = (*durable).max(then);
                }
            }
        }
    }

    /// What is at a place: that of a pass, which must be whole.
    fn pass_at(bytes: &[u8], place: u64) -> u64 {
        let at = place as usize * SECTOR;
        let sector = &bytes[at..at + SECTOR];
        if sector.iter().all(|byte| *byte == 0) {
            return 0;
        }
        let pass = u64::from_le_bytes(sector[8..16].try_into().unwrap());
        assert_eq!(sector, record(place, pass), "place {place} is damaged");
        pass
    }

    fn check(&self) {
        for place in 0..SECTORS as u64 {
            let under_way = self.writes.values().find(|(other, _)| *other == place);
            let acknowledged = self.acknowledged[place as usize];
            let newest = under_way.map_or(acknowledged, |(_, pass)| *pass);
            let found = Self::pass_at(&self.world.disk.cached.borrow(), place);
            assert!(
                (acknowledged..=newest).contains(&found),
                "place {place}: {found}, not {acknowledged}..={newest}"
            );
            let durable = Self::pass_at(&self.world.disk.medium.borrow(), place);
            assert!(
                durable >= self.durable[place as usize],
                "place {place}: a flushed write is lost"
            );
        }
    }

    /// Ends the backend where it is, as its domain or its keeper would: the device ends what it has, in any order.
    fn kill(&mut self, rng: &mut Random) {
        // Its domain dies with it, or lives and takes what the disk answers.
        let events = self.world.between.events.get();
        let is_taken = random(rng, 2) == 0;
        self.world.back().kill();
        let queued = self.world.disk.queue.borrow().len();
        for left in (1..=queued).rev() {
            let which = random(rng, left as u32) as usize;
            // A reset device has not done what it had; else it has.
            if random(rng, 4) == 0 {
                assert!(self.world.disk.fail(which));
            } else {
                assert!(self.world.disk.finish(which));
            }
        }
        while is_taken && self.world.back().step() == Step::More {}
        self.world.back = None;
        assert_eq!(
            self.world.between.events.get(),
            events,
            "nothing more is answered"
        );
        assert_eq!(
            self.world.between.mapped(),
            0,
            "nothing of the frontend is mapped any more"
        );
        self.world.front.disconnect();
        self.kills += 1;
    }

    fn restart(&mut self, keeps: bool) {
        self.world.keeps = keeps;
        self.world.front.set_properties(self.world.properties());
        self.world.page = SharedPage::new();
        self.world.front.connect(self.world.page.clone());
        self.world.start_backend();
    }
}

#[test]
fn a_thousand_kills_lose_and_double_nothing() {
    kill_a_thousand_times(4711, |_| false);
}

#[test]
fn a_thousand_kills_with_grants_that_stay() {
    let log = kill_a_thousand_times(815, |_| true);
    assert!(log.world.between.holds.borrow().len() > 5, "grants stay");
}

/// Backends that keep grants and such that do not, in turn: the frontend does as the one that it has.
#[test]
fn a_thousand_kills_of_backends_of_both_kinds() {
    kill_a_thousand_times(42, |kills| kills % 3 == 0);
}

fn kill_a_thousand_times(seed: u64, keeps: impl Fn(usize) -> bool) -> Log {
    let mut rng = Random::new(seed);
    let mut log = Log::new(keeps(0));
    let mut at_step = BTreeSet::new();
    let mut since = 0;
    while log.kills < 1000 {
        match random(&mut rng, 10) {
            0..4 => log.write(u64::from(random(&mut rng, 40))),
            4 if random(&mut rng, 4) == 0 => log.flush(),
            5 => {
                let queued = log.world.disk.queue.borrow().len() as u32;
                if queued > 0 {
                    let which = random(&mut rng, queued) as usize;
                    log.world.disk.finish(which);
                }
            }
            6 => {
                assert!(log.world.front.poll());
                log.acknowledge();
            }
            _ => {
                log.world.back().step();
                since += 1;
            }
        }
        if random(&mut rng, 60) == 0 {
            at_step.insert(since);
            since = 0;
            log.kill(&mut rng);
            log.check();
            // Requests may come while there is no backend.
            log.write(u64::from(random(&mut rng, 40)));
            log.restart(keeps(log.kills));
        }
    }
    assert!(at_step.len() > 20, "killed after {at_step:?} steps only");
    let total: u64 = log.acknowledged.iter().sum();
    assert!(total > 1000, "only {total} writes were acknowledged");
    // In the end everything is done.
    log.flush();
    let mut world = log.world;
    let rest = world.run();
    log.world = world;
    assert!(rest.values().all(|result| *result == Ok(())));
    assert_eq!(rest.len(), log.writes.len() + log.flushes.len());
    let between = &log.world.between;
    if !log.world.keeps {
        assert!(between.grants.borrow().is_empty(), "everything is given back");
    }
    assert_eq!(between.grants.borrow().len(), between.holds.borrow().len());
    log
}
