//! Grants between a domain and itself: its table, records, and what a granter does to an entry.

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::grant_table::{
    GrantCmd, GrantCopy, GrantFlags, GrantStatus, MapFlags, MapGrantRef, SetupTable, Transfer, UnmapGrantRef,
};
use guest_abi::mmu::{Pte, PteFlags};
use mini_guest::hypercall;
use zerocopy::IntoBytes;

use crate::pages::{Page, WRITABLE};
use crate::raw;

/// A domain's own table, mapped where a page was.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    page: Page,
    frame: Mfn,
    /// Whose it is.
    pub owner: DomId,
}

/// Does one record and gives it as it comes back.
///
/// # Errors
/// What the hypervisor answered.
pub fn one<T: IntoBytes + Copy>(command: GrantCmd, record: T) -> Result<T, Errno> {
    let mut records = [record];
    // SAFETY: what the record does is the test's own doing.
    unsafe { hypercall::grant_table_op(command.raw(), &mut records) }?;
    Ok(records[0])
}

/// A record to set the caller's table up with `nr_frames`, whose numbers come into `list`.
pub fn setup_record(nr_frames: u32, list: u32) -> SetupTable {
    SetupTable {
        dom: DomId::SELF,
        nr_frames,
        frame_list: GuestVirt::new(list),
        ..SetupTable::default()
    }
}

impl Table {
    /// The caller's, of one frame. `owner` is its own number.
    ///
    /// # Errors
    /// The status that was not good.
    ///
    /// # Panics
    /// Where the call as a whole is refused, or the frame cannot be mapped.
    pub fn set_up(owner: DomId) -> Result<Self, GrantStatus> {
        let mut list = [Mfn::new(0); 1];
        let record = setup_record(1, list.as_mut_ptr() as u32);
        let done = one(GrantCmd::SETUP_TABLE, record).expect("the call is there");
        if done.status != GrantStatus::OKAY {
            return Err(done.status);
        }
        // SAFETY: the hypervisor wrote it meanwhile.
        let frame = unsafe { list.as_ptr().read_volatile() };
        let page = Page::take();
        raw::remap(page.0, Pte::new(frame, WRITABLE)).expect("the table can be mapped");
        Ok(Self { page, frame, owner })
    }

    /// The frame that it lies in.
    pub const fn mfn(self) -> Mfn {
        self.frame
    }

    /// Grants `frame` to `to` by `reference`.
    pub fn publish(self, reference: u32, to: DomId, frame: Mfn, flags: GrantFlags) {
        let word = u64::from(flags.bits()) | u64::from(to.raw()) << 16 | u64::from(frame.raw()) << 32;
        self.page.write(reference as usize, word);
    }

    /// The flags of `reference` now.
    pub fn flags(self, reference: u32) -> GrantFlags {
        GrantFlags::from_bits_retain(self.page.read(reference as usize) as u16)
    }

    /// The frame of `reference` now.
    pub fn frame(self, reference: u32) -> Mfn {
        Mfn::new((self.page.read(reference as usize) >> 32) as u32)
    }
}

/// "Map `dom`'s `reference` at `at`."
pub fn map_record(dom: DomId, reference: u32, at: u32, flags: MapFlags) -> MapGrantRef {
    MapGrantRef {
        host_addr: at.into(),
        flags,
        reference,
        dom,
        ..MapGrantRef::default()
    }
}

/// "Unmap `handle` at `at`."
pub fn unmap_record(handle: u32, at: u32) -> UnmapGrantRef {
    UnmapGrantRef {
        host_addr: at.into(),
        handle,
        ..UnmapGrantRef::default()
    }
}

/// Maps, and gives the record with its answer.
///
/// # Panics
/// Where the call as a whole is refused.
pub fn map(record: MapGrantRef) -> MapGrantRef {
    one(GrantCmd::MAP_GRANT_REF, record).expect("the record can be read and answered")
}

/// Unmaps, and gives the status.
///
/// # Panics
/// Where the call as a whole is refused.
pub fn unmap(record: UnmapGrantRef) -> GrantStatus {
    let done = one(GrantCmd::UNMAP_GRANT_REF, record);
    done.expect("the record can be read and answered").status
}

/// Copies, and gives the status.
///
/// # Panics
/// Where the call as a whole is refused.
pub fn copy(record: GrantCopy) -> GrantStatus {
    let done = one(GrantCmd::COPY, record);
    done.expect("the record can be read and answered").status
}

/// Transfers, and gives the status.
///
/// # Panics
/// Where the call as a whole is refused.
pub fn transfer(mfn: Mfn, domid: DomId, reference: u32) -> GrantStatus {
    let record = Transfer {
        mfn,
        domid,
        reference,
        ..Transfer::default()
    };
    let done = one(GrantCmd::TRANSFER, record);
    done.expect("the record can be read and answered").status
}

/// Maps nothing at `page` any more.
///
/// # Panics
/// Where the hypervisor refuses.
pub fn vacate(page: Page) -> Page {
    raw::remap(page.0, Pte::new(Mfn::new(0), PteFlags::empty())).expect("an entry may be emptied");
    page
}
