//! A queue of slots, smallest key first: who runs next, whose timer is due next.
//!
//! A binary heap of slot numbers in fixed arrays, with the place of each slot in it, so that a slot's key can change
//! and a slot can leave from the middle. Looking at the first is O(1), every change O(log of those queued): domains
//! that exist but wait for something cost nothing. Key [`HeapKey::NONE`] stands for "not queued", so that one
//! comparison tells whether a slot is queued at or before a key.
//!
//! A slot beyond the table counts modulo its size, which no caller relies on: it spares the panics.

use crate::hypervisor::MAX_DOMAINS;

/// What slots are ordered by.
pub trait HeapKey: Copy + Ord {
    /// Of a slot that is not queued; no queued slot has it.
    const NONE: Self;
}

impl HeapKey for u64 {
    const NONE: Self = 0;
}

const _: () = assert!(
    MAX_DOMAINS.is_power_of_two() && MAX_DOMAINS < u16::MAX as usize,
    "a place is a 16-bit number, and a remainder a mask"
);

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotHeap<K> {
    len: usize,
    /// The heap: no slot has a smaller key than its parent, which is at half its index.
    order: [u16; MAX_DOMAINS],
    /// Index of each slot in `order`, plus 1; 0 where it is not there.
    place: [u16; MAX_DOMAINS],
    /// Key of each slot.
    keys: [K; MAX_DOMAINS],
}

impl<K: HeapKey> SlotHeap<K> {
    /// Nobody is queued.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            len: 0,
            order: [0; MAX_DOMAINS],
            place: [0; MAX_DOMAINS],
            keys: [K::NONE; MAX_DOMAINS],
        }
    }

    /// Whether nobody is queued.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many are queued.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The key of `slot`; [`HeapKey::NONE`] where it is not queued.
    #[inline(always)]
    #[must_use]
    pub const fn key(&self, slot: usize) -> K {
        self.keys[slot % MAX_DOMAINS]
    }

    /// Whether `slot` is queued.
    #[inline(always)]
    #[must_use]
    pub const fn contains(&self, slot: usize) -> bool {
        self.place[slot % MAX_DOMAINS] != 0
    }

    /// The slot with the smallest key, and that key.
    #[inline(always)]
    #[must_use]
    pub fn first(&self) -> Option<(usize, K)> {
        if self.len == 0 {
            return None;
        }
        let slot = self.at(0);
        Some((slot, self.keys[slot]))
    }

    /// The queued slots with their keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, K)> + '_ {
        (0..self.len).map(|index| (self.at(index), self.keys[self.at(index)]))
    }

    /// Queues `slot` by `key`, or moves it there.
    ///
    /// # Panics
    /// For the key that means "not queued": a bug of ours.
    pub fn set(&mut self, slot: usize, key: K) {
        assert!(key != K::NONE, "a key of somebody queued");
        let slot = slot % MAX_DOMAINS;
        let index = match usize::from(self.place[slot]) {
            0 => {
                self.len += 1;
                self.len - 1
            }
            place => place - 1,
        };
        self.settle(index, slot, key);
    }

    /// Takes `slot` out, if it is queued, and says whether it was.
    pub fn remove(&mut self, slot: usize) -> bool {
        let slot = slot % MAX_DOMAINS;
        let place = usize::from(self.place[slot]);
        if place == 0 {
            return false;
        }
        self.place[slot] = 0;
        self.keys[slot] = K::NONE;
        self.len -= 1;
        // The last one fills the gap, unless it is the gap.
        if place - 1 != self.len {
            let last = self.at(self.len);
            self.settle(place - 1, last, self.keys[last]);
        }
        true
    }

    /// Takes the first one out.
    pub fn pop(&mut self) -> Option<usize> {
        let (slot, _) = self.first()?;
        self.remove(slot);
        Some(slot)
    }

    /// Takes the first one out and queues `slot`, which is not queued, by `key`: one way down instead of a way up and
    /// a way down. `None`, and nothing changed, where nobody is queued.
    pub fn replace_first(&mut self, slot: usize, key: K) -> Option<usize> {
        let (first, _) = self.first()?;
        self.place[first] = 0;
        self.keys[first] = K::NONE;
        self.settle(0, slot % MAX_DOMAINS, key);
        Some(first)
    }

    #[inline(always)]
    fn at(&self, index: usize) -> usize {
        usize::from(self.order[index % MAX_DOMAINS]) % MAX_DOMAINS
    }

    #[inline(always)]
    fn put(&mut self, index: usize, slot: usize) {
        let index = index % MAX_DOMAINS;
        self.order[index] = slot as u16;
        self.place[slot % MAX_DOMAINS] = index as u16 + 1;
    }

    /// Puts `slot` where `key` belongs, beginning at the gap `index`: up as long as the parent is greater, else down
    /// as long as a child is smaller.
    fn settle(&mut self, mut index: usize, slot: usize, key: K) {
        self.keys[slot % MAX_DOMAINS] = key;
        while index > 0 {
            let parent = self.at((index - 1) / 2);
            if self.keys[parent] <= key {
                break;
            }
            self.put(index, parent);
            index = (index - 1) / 2;
        }
        loop {
            let left = 2 * index + 1;
            if left >= self.len {
                break;
            }
            let mut child = left;
            if left + 1 < self.len && self.keys[self.at(left + 1)] < self.keys[self.at(left)] {
                child = left + 1;
            }
            let below = self.at(child);
            if self.keys[below] >= key {
                break;
            }
            self.put(index, below);
            index = child;
        }
        self.put(index, slot);
    }
}

impl<K: HeapKey> Default for SlotHeap<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Op {
        Set(usize, u64),
        Remove(usize),
        Pop,
        Replace(usize, u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        // Few slots and keys, so that they meet, and the last slot of all.
        let slot = prop_oneof![0usize..24, Just(MAX_DOMAINS - 1)];
        let key = 1u64..40;
        prop_oneof![
            (slot.clone(), key.clone()).prop_map(|(s, k)| Op::Set(s, k)),
            slot.clone().prop_map(Op::Remove),
            Just(Op::Pop),
            (slot, key).prop_map(|(s, k)| Op::Replace(s, k)),
        ]
    }

    fn check(heap: &SlotHeap<u64>, model: &BTreeMap<usize, u64>) {
        assert_eq!(heap.len(), model.len());
        assert_eq!(heap.iter().collect::<BTreeMap<_, _>>(), *model);
        assert_eq!(
            heap.first().map(|(_, key)| key),
            model.values().copied().min(),
            "the first has the smallest key"
        );
        for slot in (0..24).chain([MAX_DOMAINS - 1]) {
            assert_eq!(heap.key(slot), model.get(&slot).copied().unwrap_or(0));
            assert_eq!(heap.contains(slot), model.contains_key(&slot));
        }
    }

    proptest! {
        #[test]
        fn does_what_a_map_does(ops in proptest::collection::vec(op(), 1..200)) {
            let (mut heap, mut model) = (SlotHeap::<u64>::new(), BTreeMap::new());
            for op in ops {
                match op {
                    Op::Set(slot, key) => {
                        heap.set(slot, key);
                        model.insert(slot, key);
                    }
                    Op::Remove(slot) => assert_eq!(heap.remove(slot), model.remove(&slot).is_some()),
                    Op::Pop => {
                        let smallest = model.values().copied().min();
                        let popped = heap.pop();
                        assert_eq!(popped.and_then(|slot| model.remove(&slot)), smallest);
                    }
                    Op::Replace(slot, key) if !model.contains_key(&slot) => {
                        let smallest = model.values().copied().min();
                        let popped = heap.replace_first(slot, key);
                        assert_eq!(popped.and_then(|slot| model.remove(&slot)), smallest);
                        if popped.is_some() {
                            model.insert(slot, key);
                        }
                    }
                    Op::Replace(..) => {}
                }
                check(&heap, &model);
            }
        }
    }

    #[test]
    fn every_slot_there_is_fits_and_comes_out_in_order() {
        let mut heap = SlotHeap::<u64>::new();
        for slot in 0..MAX_DOMAINS {
            heap.set(slot, 1 + (slot as u64 * 7919) % MAX_DOMAINS as u64);
        }
        assert_eq!(heap.len(), MAX_DOMAINS);
        let mut last = 0;
        while let Some((slot, key)) = heap.first() {
            assert!(last < key);
            last = key;
            assert_eq!(heap.pop(), Some(slot));
        }
        assert!(heap.is_empty());
    }
}
