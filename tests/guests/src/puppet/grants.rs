//! A puppet's grant table, and what it does with others' grants.

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::grant_table::{
    CopyEnd, GrantCmd, GrantFlags, GrantStatus, MapFlags, MapGrantRef, SetupTable, UnmapGrantRef,
};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::Pte;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Command, Puppet, WORDS};
use crate::grants::{map_record, setup_record, unmap_record};
use crate::pages::WRITABLE;
use crate::small_domain::BASE;
use crate::{check, check_eq};

/// Where a puppet maps its grant table.
pub const TABLE_AT: u32 = BASE + 500 * 4096;

impl Puppet {
    /// Has it do one record of call 20.
    pub fn grant<T: IntoBytes + FromBytes + Immutable>(self, command: GrantCmd, record: &T) -> T {
        let at = self.put(record);
        let answer = self.call(CallNumber::GRANT_TABLE_OP, &[command.raw(), at, 1]);
        check_eq!(answer, Ok(0), "the call itself");
        self.get()
    }

    /// Has it set its grant table up and map it.
    pub fn set_up_table(self) -> Self {
        const LIST: u32 = 16;
        let done: SetupTable = self.grant(GrantCmd::SETUP_TABLE, &setup_record(1, WORDS + 4 * LIST));
        check_eq!(done.status, GrantStatus::OKAY);
        let frame = Mfn::new(self.word(LIST));
        check_eq!(self.map_page(TABLE_AT, Pte::new(frame, WRITABLE)), Ok(()));
        self
    }

    /// Has it grant `frame` to `to`.
    pub fn publish(self, reference: u32, to: DomId, frame: Mfn, flags: GrantFlags) {
        let at = TABLE_AT + 8 * reference;
        let first = u32::from(flags.bits()) | u32::from(to.raw()) << 16;
        // What it may be used for last: from then on the entry holds.
        self.tell(&[Command::poke(at + 4, frame.raw()), Command::poke(at, first)]);
        check_eq!(self.wait(), Ok(()));
        check!((0..2).all(|n| self.ended(n).trap().is_none()));
    }

    /// The flags of an entry of its, as it sees them.
    pub fn flags(self, reference: u32) -> GrantFlags {
        let word = self.peek(TABLE_AT + 8 * reference).expect("its table is mapped");
        GrantFlags::from_bits_retain(word as u16)
    }

    /// The frame of an entry of its.
    pub fn granted_frame(self, reference: u32) -> Mfn {
        let word = self.peek(TABLE_AT + 8 * reference + 4);
        Mfn::new(word.expect("its table is mapped"))
    }

    /// Has it map another's grant.
    pub fn map(self, dom: DomId, reference: u32, at: u32, flags: MapFlags) -> MapGrantRef {
        self.grant(
            GrantCmd::MAP_GRANT_REF,
            &map_record(dom, reference, at, flags | MapFlags::HOST_MAP),
        )
    }

    /// Has it give that back.
    pub fn unmap(self, handle: u32, at: u32) -> GrantStatus {
        let done: UnmapGrantRef = self.grant(GrantCmd::UNMAP_GRANT_REF, &unmap_record(handle, at));
        done.status
    }
}

/// An end of a copy: a reference of `domid`, or a frame.
pub const fn end(domid: DomId, ref_or_frame: u32, offset: u16) -> CopyEnd {
    CopyEnd {
        ref_or_frame,
        domid,
        offset,
    }
}
