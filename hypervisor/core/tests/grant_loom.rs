//! The shared entry of a grant under every interleaving of granter and hypervisor:
//! `RUSTFLAGS="--cfg loom" cargo test -p hv-core --test grant_loom`.
#![cfg(loom)]

use guest_abi::grant_table::GrantFlags;
use hv_core::{
    domain::DomId,
    grant::entry::{SharedEntry, claim, commit_transfer, complete_transfer, settle},
};
use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
    },
    thread,
};

const GRANTEE: DomId = DomId(2);
const FRAME: u32 = 0x77;
const GRANTED: u64 = (FRAME as u64) << 32 | 2 << 16 | GrantFlags::PERMIT_ACCESS.bits() as u64;
const INVITED: u64 = 5 << 32 | 2 << 16 | GrantFlags::ACCEPT_TRANSFER.bits() as u64;

/// An entry, and what the frame holds, which only one side may touch at a time. (Loom reports two at once.)
struct Shared {
    entry: AtomicU64,
    page: UnsafeCell<u32>,
}

// SAFETY: loom checks every access to the cell.
unsafe impl Sync for Shared {}

/// As the entry in a frame: relaxed operations, and fences where the frame is concerned.
impl SharedEntry for Shared {
    fn load(&self) -> u64 {
        self.entry.load(Relaxed)
    }
    fn compare_exchange(&self, old: u64, new: u64) -> bool {
        let is_done = self.entry.compare_exchange(old, new, Relaxed, Relaxed).is_ok();
        fence(Acquire);
        is_done
    }
    fn clear(&self, flags: GrantFlags) {
        fence(Release);
        self.entry.fetch_and(!u64::from(flags.bits()), Relaxed);
    }
    fn set(&self, flags: GrantFlags) {
        fence(Release);
        self.entry.fetch_or(flags.bits().into(), Relaxed);
    }
    fn set_frame(&self, frame: u32) {
        self.entry.fetch_and(0xFFFF_FFFF, Relaxed);
        self.entry.fetch_or(u64::from(frame) << 32, Relaxed);
    }
}

impl Shared {
    fn new(entry: u64) -> Arc<Self> {
        Arc::new(Self {
            entry: AtomicU64::new(entry),
            page: UnsafeCell::new(0),
        })
    }

    /// Writes the page, and gives what it held.
    fn touch(&self, value: u32) -> u32 {
        // SAFETY: the pointer is good, and loom checks that nobody else uses it.
        self.page.with_mut(|page| unsafe { page.replace(value) })
    }

    fn flags(&self) -> GrantFlags {
        GrantFlags::from_bits_retain(self.entry.load(Acquire) as u16)
    }

    /// The granter's half: takes the grant back, unless it is in use.
    fn withdraw(&self) -> bool {
        let old = self.entry.load(Relaxed);
        let in_use = GrantFlags::READING | GrantFlags::WRITING;
        let is_free = !GrantFlags::from_bits_retain(old as u16).intersects(in_use);
        let new = old & !0xFFFF;
        is_free && self.entry.compare_exchange(old, new, Acquire, Relaxed).is_ok()
    }
}

#[test]
fn a_frame_withdrawn_is_the_granters_alone() {
    loom::model(|| {
        let shared = Shared::new(GRANTED);
        let theirs = Arc::clone(&shared);
        let user = thread::spawn(move || {
            let is_claimed = claim(&*theirs, GRANTEE, true, None) == Ok(FRAME);
            if is_claimed {
                theirs.touch(1);
                settle(&*theirs, false, false);
            }
            is_claimed
        });
        let seen = shared.withdraw().then(|| shared.touch(2));
        let was_claimed = user.join().unwrap();
        match seen {
            Some(seen) => assert_eq!(seen == 1, was_claimed),
            None => assert!(was_claimed, "only a claim keeps it from being withdrawn"),
        }
    });
}

#[test]
fn what_was_written_before_publishing_is_seen() {
    loom::model(|| {
        let shared = Shared::new(0);
        let theirs = Arc::clone(&shared);
        let granter = thread::spawn(move || {
            theirs.touch(7);
            theirs.entry.store(GRANTED, Release);
        });
        if claim(&*shared, GRANTEE, false, None).is_ok() {
            assert_eq!(shared.touch(7), 7);
            settle(&*shared, false, false);
        }
        granter.join().unwrap();
    });
}

#[test]
fn a_readers_bit_stays_while_a_writer_comes_and_goes() {
    loom::model(|| {
        let shared = Shared::new(GRANTED);
        assert_eq!(claim(&*shared, GRANTEE, false, None), Ok(FRAME));
        let theirs = Arc::clone(&shared);
        let granter = thread::spawn(move || assert!(!theirs.withdraw()));
        assert_eq!(claim(&*shared, GRANTEE, true, Some(FRAME)), Ok(FRAME));
        settle(&*shared, true, false);
        granter.join().unwrap();
        assert_eq!(shared.flags(), GrantFlags::PERMIT_ACCESS | GrantFlags::READING);
    });
}

#[test]
fn a_transfer_is_withdrawn_or_arrives() {
    loom::model(|| {
        let shared = Shared::new(INVITED);
        let theirs = Arc::clone(&shared);
        let receiver = thread::spawn(move || {
            let was_withdrawn = theirs
                .entry
                .compare_exchange(INVITED, 0, Acquire, Relaxed)
                .is_ok();
            if !was_withdrawn && theirs.flags().contains(GrantFlags::TRANSFER_COMPLETED) {
                assert_eq!(theirs.entry.load(Relaxed) >> 32, u64::from(FRAME));
                assert_eq!(theirs.touch(9), 8, "what the giver left in it");
            }
            was_withdrawn
        });
        let has_arrived = commit_transfer(&*shared, GRANTEE).is_ok();
        if has_arrived {
            shared.touch(8);
            complete_transfer(&*shared, FRAME);
        }
        assert_eq!(receiver.join().unwrap(), !has_arrived);
    });
}
