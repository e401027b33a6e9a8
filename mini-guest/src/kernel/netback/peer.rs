//! A frontend's domain, as the backend of its network interface reaches it: the hypervisor copies, many pieces a call.

use arrayvec::ArrayVec;
use guest_abi::domain::DomId;
use guest_abi::grant_table::{CopyEnd, CopyFlags, GrantCmd, GrantCopy, GrantStatus};

use crate::events::Channel;
use crate::hypercall;
use crate::mm::frame_pool::{Frame, Slot};
use crate::net::netif::Guest;
use crate::net::netif::backend::{BATCH, BATCH_PIECES};
use crate::net::netif::guest::{Deliver, Fetch, NotFetched};

/// The frontend's domain, as a backend reaches it.
pub(super) struct Peer {
    pub domain: DomId,
    pub channel: Channel,
}

impl Peer {
    fn granted(&self, gref: u32, offset: u16) -> CopyEnd {
        CopyEnd {
            ref_or_frame: gref,
            domid: self.domain,
            offset,
        }
    }
}

fn own((frame, offset): (guest_abi::addr::Mfn, u16)) -> CopyEnd {
    CopyEnd {
        ref_or_frame: frame.raw(),
        domid: DomId::SELF,
        offset,
    }
}

/// Has the hypervisor copy; what it does not answer has not been copied.
fn copy(records: &mut [GrantCopy]) {
    // SAFETY: our ends lie in half pages that are nobody else's, or are only read; the records are of the command's type.
    let answer = unsafe { hypercall::grant_table_op(GrantCmd::COPY.raw(), records) };
    if answer.is_err() {
        records
            .iter_mut()
            .for_each(|record| record.status = GrantStatus::GENERAL_ERROR);
    }
}

impl Guest for Peer {
    type Frame = Frame;

    fn bytes(frame: &mut Frame) -> Option<&mut [u8]> {
        frame.bytes()
    }

    fn fetch(&mut self, frames: &mut [Fetch<Frame>]) {
        let mut records = ArrayVec::<GrantCopy, BATCH_PIECES>::new();
        let mut slots = ArrayVec::<Slot, BATCH>::new();
        for fetch in frames.iter().filter(|fetch| fetch.is_wanted()) {
            let Some(slot) = Slot::take(fetch.len.into()) else {
                break;
            };
            let (frame, mut offset) = slot.place();
            for piece in fetch.pieces.iter() {
                records.push(GrantCopy {
                    source: self.granted(piece.gref, piece.offset),
                    dest: own((frame, offset)),
                    len: piece.size,
                    flags: CopyFlags::SOURCE_GREF,
                    status: GrantStatus::GENERAL_ERROR,
                    pad: 0,
                });
                offset += piece.size;
            }
            slots.push(slot);
        }
        copy(&mut records);
        let (mut copied, mut slots) = (records.iter(), slots.into_iter());
        for fetch in frames.iter_mut().filter(|fetch| fetch.is_wanted()) {
            fetch.frame = match slots.next() {
                None => Err(NotFetched::Memory),
                Some(slot) => {
                    let pieces = copied.by_ref().take(fetch.pieces.count());
                    let failed = pieces.filter(|record| record.status != GrantStatus::OKAY).count();
                    if failed == 0 {
                        Ok(slot.into())
                    } else {
                        Err(NotFetched::Grant)
                    }
                }
            };
        }
    }

    fn deliver(&mut self, frames: &mut [Deliver<Frame>]) {
        let mut records: ArrayVec<GrantCopy, BATCH> = frames
            .iter()
            .map(|deliver| GrantCopy {
                source: own(deliver.frame.place()),
                dest: self.granted(deliver.gref, 0),
                // A frame is shorter than a page.
                len: deliver.frame.as_ref().len() as u16,
                flags: CopyFlags::DEST_GREF,
                status: GrantStatus::GENERAL_ERROR,
                pad: 0,
            })
            .collect();
        copy(&mut records);
        for (deliver, record) in frames.iter_mut().zip(&records) {
            deliver.is_done = record.status == GrantStatus::OKAY;
        }
    }

    fn notify(&mut self) {
        self.channel.notify();
    }
}
