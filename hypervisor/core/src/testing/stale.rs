//! What the processor remembers against what is true by now.

use super::{tlb::Cached, world::World};
use crate::{
    domain::DomId,
    mm::{FrameInfo, Kind},
};
use guest_abi::addr::Mfn;
use std::{collections::HashMap, format, string::String, vec::Vec};

/// Who owned what the processor remembers when it was first seen there.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    owners: HashMap<(u8, u32), (u64, DomId)>,
}

impl World {
    fn remembered(&self) -> Vec<((u8, u32), Cached)> {
        let tlb = self.machine.tlb.borrow();
        let with = |level, map: &HashMap<u32, Cached>| {
            map.iter()
                .map(move |(&at, &cached)| ((level, at), cached))
                .collect::<Vec<_>>()
        };
        [
            with(1, &tlb.pages),
            with(2, &tlb.l2_entries),
            with(3, &tlb.l3_entries),
        ]
        .concat()
    }

    fn frame_in_use(&self, n: u64) -> Option<&'static FrameInfo> {
        let (_, info) = self.table().lookup(n)?;
        if info.owner_word().is_free() {
            None
        } else {
            Some(info)
        }
    }

    /// Has the processor remember all that the guest's tables say now, and notes whose frames those are.
    pub fn remember(&self, witness: &mut Witness) {
        self.machine.prefetch();
        for (key, cached) in self.remembered() {
            if let Some(info) = self.frame_in_use(cached.frame) {
                let owner = info.owner_word().owner();
                let note = witness.owners.entry(key).or_insert((cached.frame, owner));
                if note.0 != cached.frame {
                    *note = (cached.frame, owner);
                }
            }
        }
    }

    /// Ways, remembered earlier, to frames that have become somebody else's or something else since.
    #[must_use]
    pub fn dangerous_ways(&self, witness: &Witness) -> Vec<String> {
        let mut found = Vec::new();
        for (key @ (level, at), cached) in self.remembered() {
            let Some(info) = self.frame_in_use(cached.frame) else {
                continue;
            };
            let (word, owner) = (info.type_word(), info.owner_word().owner());
            let mfn = Mfn::new(cached.frame as u32);
            if let Some(&(frame, then)) = witness.owners.get(&key)
                && frame == cached.frame
                && then != owner
            {
                found.push(format!(
                    "level {level} {at:#x}: {mfn:?} was {then}'s and is {owner}'s"
                ));
            }
            let is_harmless = match level {
                1 => !cached.is_writable || !word.is_held() || word.kind() == Kind::Writable,
                2 => matches!(word.kind(), Kind::L1 | Kind::L2 | Kind::L2Top) || !word.is_held(),
                _ => matches!(word.kind(), Kind::L2 | Kind::L2Top) || !word.is_held(),
            };
            if !is_harmless {
                found.push(format!("level {level} {at:#x}: {mfn:?} is {word:x?} now"));
            }
        }
        found
    }
}
