//! Frames that a domain uses by leave of their owner: what grants ask of memory.
//!
//! A grant in use holds its frame ([`Mmu::hold`]) and, where it may be written, a writable use of it
//! ([`Mmu::hold_writable`]). An L1 entry that maps the frame for the domain that was granted it holds references of its
//! own, exactly those of any other L1 entry: tables are torn down, and entries replaced, without anybody asking whether
//! they came by a grant. Such an entry has the mark [`GRANTED`], which a guest can neither set nor take away while
//! the entry names a frame that is not its own. So "is that mapping still there?" is a look at one entry.

use super::{
    error::{MmError, Stop},
    frame::{Kind, OwnerWord},
    mmu::{Mmu, Owner, ZERO_COST},
    pte::{GRANTED, P, RW, near_frame},
};
use crate::{
    domain::DomId,
    platform::{FrameWords, Platform},
};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};

/// What a grant with one writable mapping holds of its frame: a reference as one in use, and one with each writable use, of
/// the grant and of the entry.
const WRITER_REFERENCES: u64 = 3;
const WRITER_USES: u32 = 2;

/// Where an L1 entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The L1.
    pub table: Mfn,
    /// Which of its entries.
    pub index: usize,
}

impl Place {
    /// Its machine address.
    #[inline(always)]
    #[must_use]
    pub const fn address(self) -> u64 {
        self.table.addr().raw() + 8 * self.index as u64
    }
}

/// What is left of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// It is there.
    Mapped,
    /// Nothing uses its table any more, but the entry still holds what it held.
    HalfGone,
    /// Another entry is there, or none, or the frame is no table of the domain's any more.
    Gone,
}

impl<P_: Platform> Mmu<'_, P_> {
    /// The entry that maps the page at linear address `at` in the running address space, if there is an L1.
    #[inline(always)]
    #[must_use]
    pub fn place_at(&self, at: u64) -> Option<Place> {
        if at >= u64::from(HV_START) || at & 0xFFF != 0 {
            return None;
        }
        let (table, index) = self.find_l1(GuestVirt::new(at as u32))?;
        Some(Place { table, index })
    }

    /// The entry at machine address `at`, if that is in a valid L1 of `owner`.
    #[must_use]
    pub fn place_in_table(&self, at: u64, owner: DomId) -> Option<Place> {
        self.own_l1(at >> 12, owner)?;
        let is_entry = at & 7 == 0;
        is_entry.then(|| Place {
            table: Mfn::new((at >> 12) as u32),
            index: (at >> 3 & 511) as usize,
        })
    }

    /// Whose frame `n` must be that `owner` grants: its own.
    #[inline(always)]
    fn granter(&self, n: u32, owner: DomId) -> DomId {
        match self.frames.near(n) {
            Some(info) if cfg!(feature = "mutant-grant-owner") => info.owner_word().owner(),
            _ => owner,
        }
    }

    /// Takes a reference to frame number `n`, a frame of `owner`.
    ///
    /// # Errors
    /// No such frame, not the owner's, or a count at its limit.
    #[inline(always)]
    pub fn hold(&self, n: u32, owner: DomId) -> Result<(), MmError> {
        let owner = self.granter(n, owner);
        self.get_page_number(u64::from(n), owner).map(|_| ())
    }

    /// Takes a writable use of frame number `n`, a frame of `owner`, and a reference with it.
    ///
    /// # Errors
    /// Those of [`Mmu::hold`]; a frame in use as something else.
    #[inline(always)]
    pub fn hold_writable(&mut self, n: u32, owner: DomId) -> Result<(), MmError> {
        let owner = self.granter(n, owner);
        let (mfn, info) = self.get_page_number(u64::from(n), owner)?;
        if info.get_valid(Kind::Writable) {
            return Ok(());
        }
        let owner = Owner {
            id: owner,
            may_map_io: false,
        };
        match self.get_type((mfn, info), Kind::Writable, owner, None) {
            Ok(()) => Ok(()),
            Err(stop) => {
                self.put_page(mfn, info);
                Err(match stop {
                    Stop::Refused(why) => why,
                    // A page is no table: nothing is walked.
                    Stop::Preempted => MmError::Raced,
                })
            }
        }
    }

    /// Takes at once what the first use of a grant, for writing, and the entry that maps its frame hold together. Says whether
    /// it could; if not, nothing is taken, and taking one after the other tells why.
    #[inline(always)]
    pub fn hold_for_first_writer(&self, n: u32, owner: DomId) -> bool {
        let owner = self.granter(n, owner);
        let info = self.frames.near(n);
        info.is_some_and(|info| info.get_writable_at_once(owner, WRITER_REFERENCES, WRITER_USES))
    }

    /// Gives back at once what [`Mmu::hold_for_first_writer`] took. Says whether it could; if not, nothing is given back.
    #[inline(always)]
    pub fn let_go_of_last_writer(&mut self, n: u32) -> bool {
        let mfn = Mfn::new(n);
        let info = self.frames.at(mfn);
        if !info.put_writable_uses(WRITER_USES, self.hv.mm.clock) {
            return false;
        }
        if !info.put_pages_unless_last(WRITER_REFERENCES) {
            for _ in 0..WRITER_REFERENCES {
                self.put_page(mfn, info);
            }
        }
        true
    }

    /// Gives back what [`Mmu::hold`] took.
    #[inline(always)]
    pub fn let_go(&mut self, n: u32) {
        let mfn = Mfn::new(n);
        self.put_page(mfn, self.frames.at(mfn));
    }

    /// Gives back what [`Mmu::hold_writable`] took.
    #[inline(always)]
    pub fn let_go_writable(&mut self, n: u32) {
        let mfn = Mfn::new(n);
        let info = self.frames.at(mfn);
        info.put_writable(self.hv.mm.clock);
        self.put_page(mfn, info);
    }

    /// Stores `entry`, for which the caller holds a reference and a use if it is writable, and gives back what the old
    /// entry held. Whether that was present: its translation may be cached.
    #[inline(always)]
    pub fn set_granted(&mut self, place: Place, entry: u64) -> bool {
        let words = self.platform.words(place.table);
        let mut old = words.read(place.index);
        // A processor may set an entry's accessed and dirty bits at any time, each once.
        while let Err(now) = words.compare_exchange(place.index, old, entry | GRANTED) {
            old = now;
        }
        if old & P != 0 {
            self.put_l1(old);
        }
        old & P != 0
    }

    /// Whether `place` still maps frame `n` for `domain` by a grant.
    #[inline(always)]
    #[must_use]
    pub fn look_for_granted(&self, place: Place, n: u32, domain: DomId) -> Granted {
        let Some(info) = self.frames.get(place.table) else {
            return Granted::Gone;
        };
        let word = info.type_word();
        let is_valid = word.is_valid(Kind::L1);
        let is_held = is_valid || (word.kind() == Kind::L1 && place.index < word.held_entries());
        if !is_held || !info.owner_word().is_owned_by(domain) {
            return Granted::Gone;
        }
        let entry = self.platform.words(place.table).read(place.index);
        if entry & (P | GRANTED) != P | GRANTED || near_frame(entry) != n {
            Granted::Gone
        } else if is_valid {
            Granted::Mapped
        } else {
            Granted::HalfGone
        }
    }

    /// Takes the mapping at `place` away, which [`Mmu::look_for_granted`] has found. The caller flushes translations before
    /// a guest runs again.
    #[inline(always)]
    pub fn clear_granted(&mut self, place: Place) {
        let old = self.take_granted_entry(place);
        self.put_l1(old);
    }

    /// [`Mmu::clear_granted`] where the entry and the grant were the one use of frame `n`, for writing: what both held is
    /// given back at once. Says whether it could; if not, what the grant held is still to be given back.
    #[inline(always)]
    pub fn clear_last_granted(&mut self, place: Place, n: u32) -> bool {
        let old = self.take_granted_entry(place);
        if old & RW != 0 && near_frame(old) == n && self.let_go_of_last_writer(n) {
            return true;
        }
        self.put_l1(old);
        false
    }

    /// Clears the entry at `place`, and gives what it was.
    #[inline(always)]
    fn take_granted_entry(&self, place: Place) -> u64 {
        let words = self.platform.words(place.table);
        let mut old = words.read(place.index);
        while let Err(now) = words.compare_exchange(place.index, old, 0) {
            old = now;
        }
        old
    }

    /// Takes a zeroed frame for the hypervisor and makes it one of `owner`'s that it can map and not release.
    ///
    /// # Errors
    /// No frame; or a pause.
    pub fn allocate_shared(&mut self, owner: DomId) -> Result<Mfn, Stop> {
        self.reserve(ZERO_COST)?;
        let mfn = self.take_own_frame()?;
        self.frames.share(mfn, owner);
        Ok(mfn)
    }

    /// Takes back the hypervisor's part in what [`Mmu::allocate_shared`] gave: it becomes an ordinary frame of its owner's and
    /// goes like one, at once, or when nobody maps it any more.
    pub fn release_shared(&mut self, mfn: Mfn) {
        let info = self.frames.at(mfn);
        let owner = info.owner_word().owner();
        let slot = self.hv.slot_of_any(owner);
        if let Some(domain) = slot.and_then(|slot| self.hv.domain_at(slot)) {
            domain.gain(mfn.raw()..mfn.raw() + 1);
        }
        info.clear_flag(OwnerWord::KEPT);
        info.put_writable(self.hv.mm.clock);
        self.put_page(mfn, info);
    }
}

/// The entry that maps frame `n`, writable or not, with further bits `flags`.
#[must_use]
pub const fn granted_entry(n: u32, is_writable: bool, flags: u64) -> u64 {
    let rw = if is_writable { RW } else { 0 };
    Mfn::new(n).addr().raw() | P | rw | flags
}
