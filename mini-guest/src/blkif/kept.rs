//! What stays between requests, by number: the grants of a frontend by their frames, the mappings of a backend by their references.
//!
//! Requests are numbered in the order in which they come, and an entry knows the last one that uses it. So nothing has to be done with it when a request is over: an entry is *idle* if all requests under way
//! are younger than its last one. That leaves some for in use that are not; none that is in use is taken for idle. Idle ones go when their place is needed, the least
//! recently used first.
//!
//! Finding looks into a chain by the number's lowest bits. Frames and references that somebody uses lie together, so a chain is one or two long; who wants long
//! ones has 16 references with the same bits at most, since a grant table has no more.

use alloc::vec;
use alloc::vec::Vec;

/// Chains: a power of two.
const CHAINS: usize = 1024;
/// The end of a chain.
const END: u16 = u16::MAX;
/// Most entries.
pub(super) const MOST: usize = 4096;
const _: () = assert!(MOST < END as usize);

/// Where an entry is.
pub(super) type Slot = u16;

#[derive(Debug)]
struct Entry<T> {
    key: u32,
    /// The next one of the chain, or of the free ones.
    next: u16,
    can_be_found: bool,
    /// The last request that uses it.
    last: u64,
    value: Option<T>,
}

/// The entries.
#[derive(Debug)]
pub(super) struct Kept<T> {
    entries: Vec<Entry<T>>,
    /// The first entry of each chain.
    first: Vec<u16>,
    free: u16,
    len: usize,
}

const fn chain(key: u32) -> usize {
    key as usize % CHAINS
}

impl<T> Kept<T> {
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            first: vec![END; CHAINS],
            free: END,
            len: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The entry of that number.
    #[inline]
    pub fn find(&self, key: u32) -> Option<Slot> {
        let mut at = self.first[chain(key)];
        while let Some(entry) = self.entries.get(usize::from(at)) {
            if entry.key == key {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    /// The entry of that number, if it is right: request `now` uses it then.
    #[inline]
    pub fn take_up(&mut self, key: u32, now: u64, is_right: impl FnOnce(&T) -> bool) -> Option<(Slot, &T)> {
        let slot = self.find(key)?;
        let entry = self.entries.get_mut(usize::from(slot))?;
        let value = entry.value.as_ref().filter(|value| is_right(value))?;
        entry.last = now;
        Some((slot, value))
    }

    /// What is there, which request `now` uses.
    #[inline]
    pub fn touch(&mut self, slot: Slot, now: u64) -> Option<&T> {
        let entry = self.entries.get_mut(usize::from(slot))?;
        entry.last = now;
        entry.value.as_ref()
    }

    /// What is there.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(usize::from(slot))?.value.as_ref()
    }

    /// Adds an entry that request `now` uses. No other of that number may be found.
    ///
    /// # Panics
    /// Where there are [`MOST`].
    pub fn add(&mut self, key: u32, value: T, now: u64, can_be_found: bool) -> Slot {
        let mut entry = Entry {
            key,
            next: END,
            can_be_found,
            last: now,
            value: Some(value),
        };
        if can_be_found {
            entry.next = self.first[chain(key)];
        }
        let slot = self.free;
        let slot = if let Some(place) = self.entries.get_mut(usize::from(slot)) {
            self.free = place.next;
            *place = entry;
            slot
        } else {
            assert!(self.entries.len() < MOST, "too many entries are kept");
            self.entries.push(entry);
            (self.entries.len() - 1) as Slot
        };
        if can_be_found {
            self.first[chain(key)] = slot;
        }
        self.len += 1;
        slot
    }

    /// Nobody finds it any more.
    pub fn hide(&mut self, slot: Slot) {
        let entry = &mut self.entries[usize::from(slot)];
        if !core::mem::take(&mut entry.can_be_found) {
            return;
        }
        let (key, next) = (entry.key, entry.next);
        let mut at = self.first[chain(key)];
        if at == slot {
            self.first[chain(key)] = next;
        }
        while let Some(other) = self.entries.get_mut(usize::from(at)) {
            at = other.next;
            if at == slot {
                other.next = next;
            }
        }
    }

    /// Nothing is found any more.
    pub fn hide_all(&mut self) {
        self.first.fill(END);
        self.entries
            .iter_mut()
            .for_each(|entry| entry.can_be_found = false);
    }

    /// What nobody finds any more, and the last request that uses it.
    pub fn hidden(&self) -> impl Iterator<Item = (Slot, u64, &T)> {
        let all = self.entries.iter().enumerate();
        all.filter(|(_, entry)| !entry.can_be_found)
            .filter_map(|(slot, entry)| Some((slot as Slot, entry.last, entry.value.as_ref()?)))
    }

    /// Takes out an entry that nobody uses.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        self.hide(slot);
        let entry = &mut self.entries[usize::from(slot)];
        let value = entry.value.take()?;
        entry.next = self.free;
        self.free = slot;
        self.len -= 1;
        Some(value)
    }

    /// Up to `most` entries whose last request came before `before`, the oldest first.
    pub fn oldest(&self, before: u64, most: usize) -> Vec<Slot> {
        let all = self.entries.iter().enumerate();
        let mut idle: Vec<(u64, Slot)> = all
            .filter(|(_, entry)| entry.value.is_some() && entry.last < before)
            .map(|(slot, entry)| (entry.last, slot as Slot))
            .collect();
        if idle.len() > most {
            idle.select_nth_unstable(most);
            idle.truncate(most);
        }
        idle.sort_unstable();
        idle.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Takes out everything, in use or not.
    pub fn take_all(&mut self) -> Vec<T> {
        let all = core::mem::take(self);
        all.entries.into_iter().filter_map(|entry| entry.value).collect()
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[test]
    fn the_least_recently_used_goes_first_and_none_in_use() {
        let mut kept = Kept::new();
        // All in one chain.
        let slots = [5, 5 + 1024, 5 + 2048].map(|key| kept.add(key, key * 10, u64::from(key), true));
        assert_eq!(kept.take_up(5, 3000, |value| *value == 50), Some((slots[0], &50)));
        assert_eq!(kept.take_up(5 + 1024, 3000, |_| false), None);
        assert_eq!(kept.find(6), None);
        assert_eq!(
            kept.oldest(5 + 2048, 9),
            [slots[1]],
            "the others have requests under way"
        );
        assert_eq!(kept.oldest(4000, 9), [slots[1], slots[2], slots[0]]);
        assert_eq!(kept.oldest(4000, 2), [slots[1], slots[2]]);
        assert_eq!(kept.remove(slots[2]), Some((5 + 2048) * 10));
        assert_eq!((kept.remove(slots[2]), kept.find(5 + 2048)), (None, None));
        assert_eq!(
            (kept.find(5), kept.find(5 + 1024)),
            (Some(slots[0]), Some(slots[1]))
        );
        assert_eq!(kept.add(7, 70, 1, true), slots[2], "its place is used again");
    }

    #[test]
    fn what_is_hidden_stays_and_another_one_is_found() {
        let mut kept = Kept::new();
        let (a, b) = (kept.add(1, 'a', 1, false), kept.add(1, 'b', 2, true));
        assert_eq!(kept.find(1), Some(b));
        kept.hide(b);
        kept.hide(a);
        assert_eq!((kept.find(1), kept.get(b)), (None, Some(&'b')));
        assert_eq!(kept.hidden().collect::<Vec<_>>(), [(a, 1, &'a'), (b, 2, &'b')]);
        let c = kept.add(1, 'c', 3, true);
        assert_eq!((kept.find(1), kept.len()), (Some(c), 3));
        assert_eq!((kept.remove(a), kept.remove(b)), (Some('a'), Some('b')));
        assert_eq!(kept.find(1), Some(c));
        kept.hide_all();
        assert_eq!((kept.find(1), kept.oldest(4, 9)), (None, vec![c]));
    }

    proptest! {
        /// Against a map.
        #[test]
        fn it_is_a_table(steps in proptest::collection::vec((0_u32..5, 0_u32..6), 1..300)) {
            let (mut kept, mut model) = (Kept::new(), BTreeMap::new());
            for (now, (step, key)) in steps.into_iter().enumerate() {
                // Two chains.
                let (now, key) = (now as u64, key / 2 * 1024 + key % 2);
                let found = kept.find(key);
                prop_assert_eq!(found.map(|slot| (*kept.get(slot).unwrap(), slot)), model.get(&key).map(|(_, slot)| (key + 7, *slot)));
                match (step, found) {
                    (0 | 1, None) => {
                        model.insert(key, (now, kept.add(key, key + 7, now, true)));
                    }
                    (2, Some(_)) => {
                        kept.take_up(key, now, |_| true);
                        model.get_mut(&key).unwrap().0 = now;
                    }
                    (3, _) => {
                        let before = now.saturating_sub(3);
                        let oldest = model.values().filter(|(last, _)| *last < before).min().map(|(_, slot)| *slot);
                        prop_assert_eq!(kept.oldest(before, 1).first().copied(), oldest);
                        if let Some(value) = oldest.and_then(|slot| kept.remove(slot)) {
                            model.remove(&(value - 7));
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(kept.len(), model.len());
            }
            prop_assert_eq!(kept.take_all().len(), model.len());
        }
    }
}
