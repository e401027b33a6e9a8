//! Call 20: grants.
//!
//! `grant_table_op(command, array, count)`. Each record has a status of its own; the call itself fails only where a record
//! cannot be read or its answer not written, and has then done those before. It pauses between records when work waits: the
//! rest of the array is what it goes on with. Translations of what was unmapped are flushed once, at the end or at a pause.
//!
//! Paddings are not looked at: in the headers that guests are compiled with they have no names.
//!
//! Source: Xen 4.x, `public/grant_table.h`.

use super::{Args, CallResult};
use crate::{
    context::Context,
    domain::DomId,
    error::HvError,
    grant::{
        Halt, MAX_TABLE_FRAMES, Refusal,
        active::Uses,
        books,
        copy::{End, Part, copy},
        map::{Request, Target, map, unmap},
        transfer::transfer,
    },
    guest_mem::{GuestPtr, GuestSlice},
    mm::Mmu,
    outcome::Outcome,
    platform::{Fault, GuestPod, Platform},
};
use core::mem::offset_of;
use guest_abi::{
    domain::DomId as WireId,
    grant_table::{
        CopyEnd, CopyFlags, GrantCmd, GrantCopy, GrantStatus, MapFlags, MapGrantRef, QuerySize, SetupTable,
        Transfer, UnmapGrantRef,
    },
    mmu::PteFlags,
};

/// How a record went: whether translations must be flushed.
type Done = Result<bool, Halt>;

/// Call 20, `grant_table_op(command, array, count)`.
///
/// # Errors
/// [`HvError::NotImplemented`] for an unknown command; [`HvError::Fault`]; [`HvError::Invalid`] for another count than 1 of
/// a command that takes one record.
pub fn grant_table_op<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    match GrantCmd::new(args[0]) {
        GrantCmd::MAP_GRANT_REF => batch(cx, args, map_grant_ref),
        GrantCmd::UNMAP_GRANT_REF => batch(cx, args, unmap_grant_ref),
        GrantCmd::COPY => batch(cx, args, grant_copy),
        GrantCmd::TRANSFER => batch(cx, args, transfer_frame),
        GrantCmd::SETUP_TABLE => single(cx, args, setup_table),
        GrantCmd::QUERY_SIZE => single(cx, args, query_size),
        _ => Err(HvError::NotImplemented),
    }
}

/// A record with a place for its status.
trait Record: GuestPod {
    /// Where.
    const STATUS: usize;
}

macro_rules! records {
    ($($Type:ty)*) => { $(impl Record for $Type { const STATUS: usize = offset_of!($Type, status); })* };
}

records!(MapGrantRef UnmapGrantRef GrantCopy Transfer SetupTable QuerySize);

/// Answers a record.
#[inline(always)]
fn answer<P: Platform, R: Record>(
    platform: &P,
    record: GuestPtr<R>,
    status: GrantStatus,
) -> Result<(), Fault> {
    record.field::<i16>(R::STATUS).write(platform, &status.raw())
}

fn single<P: Platform, R: Record>(
    cx: &mut Context<'_, P>,
    args: Args,
    one: impl Fn(&mut Mmu<'_, P>, GuestPtr<R>) -> Done,
) -> CallResult {
    if args[2] != 1 {
        return Err(HvError::Invalid);
    }
    batch(cx, args, one)
}

/// Has `one` do each record of the array.
#[inline(always)]
fn batch<P: Platform, R: Record>(
    cx: &mut Context<'_, P>,
    [command, array, count, d, e]: Args,
    one: impl Fn(&mut Mmu<'_, P>, GuestPtr<R>) -> Done,
) -> CallResult {
    let mut left = GuestSlice::<R>::new(array, count)?;
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let mut must_flush = false;
    let end = loop {
        let Some((record, rest)) = left.split_first() else {
            break Ok(Outcome::Return(0));
        };
        let done = match one(&mut mmu, record) {
            Err(Halt::Refused(why)) => refuse(&mmu, record, why),
            done => done,
        };
        match done {
            Ok(flush) => must_flush |= flush,
            Err(Halt::Preempted) => {
                break Ok(Outcome::Again([command, left.addr_of(0), left.len(), d, e]));
            }
            Err(_) => break Err(HvError::Fault),
        }
        left = rest;
    };
    if must_flush {
        mmu.flush();
    }
    end
}

#[cold]
#[inline(never)]
fn refuse<P: Platform, R: Record>(mmu: &Mmu<'_, P>, record: GuestPtr<R>, why: Refusal) -> Done {
    log::debug!(target: crate::GUEST_LOG, "{}: grant refused: {why:?}", mmu.hv.running().id);
    answer(mmu.platform, record, status(why))?;
    Ok(false)
}

/// The number of a refusal.
const fn status(why: Refusal) -> GrantStatus {
    match why {
        Refusal::NoSuchDomain => GrantStatus::BAD_DOMAIN,
        Refusal::NoSuchReference => GrantStatus::BAD_GNTREF,
        Refusal::NotGranted
        | Refusal::Unstable
        | Refusal::TooManyUses
        | Refusal::BadFlags
        | Refusal::TooManyFrames
        | Refusal::NoMemory => GrantStatus::GENERAL_ERROR,
        Refusal::NoSuchHandle => GrantStatus::BAD_HANDLE,
        Refusal::BadAddress => GrantStatus::BAD_VIRT_ADDR,
        Refusal::BadDeviceAddress => GrantStatus::BAD_DEV_ADDR,
        Refusal::NoHandles => GrantStatus::NO_DEVICE_SPACE,
        Refusal::Denied => GrantStatus::PERMISSION_DENIED,
        Refusal::BadFrame(_) => GrantStatus::BAD_PAGE,
        Refusal::BadRange => GrantStatus::BAD_COPY_ARG,
    }
}

/// The answer to a mapping as it lies in the record.
const _: () = assert!(
    offset_of!(MapGrantRef, dom) == 16
        && offset_of!(MapGrantRef, status) == 18
        && offset_of!(MapGrantRef, handle) == 20
        && offset_of!(MapGrantRef, dev_bus_addr) == 24,
);

#[inline(always)]
fn map_grant_ref<P: Platform>(mmu: &mut Mmu<'_, P>, at: GuestPtr<MapGrantRef>) -> Done {
    let platform = mmu.platform;
    let record = at.read(platform)?;
    let flags = record.flags;
    if flags.bits() & !MapFlags::all().bits() != 0 {
        return Err(Refusal::BadFlags.into());
    }
    let mut uses = Uses::empty();
    uses.set(Uses::HOST, flags.contains(MapFlags::HOST_MAP));
    uses.set(Uses::DEVICE, flags.contains(MapFlags::DEVICE_MAP));
    uses.set(Uses::READ_ONLY, flags.contains(MapFlags::READ_ONLY));
    let user = if flags.contains(MapFlags::APPLICATION_MAP) {
        PteFlags::USER.bits()
    } else {
        0
    };
    let available = u64::from((flags & MapFlags::GUEST_AVAILABLE).bits()) >> 16 << 9;
    let request = Request {
        granter: DomId(record.dom.raw()),
        reference: record.reference,
        uses,
        target: if flags.contains(MapFlags::CONTAINS_PTE) {
            Target::Entry(record.host_addr)
        } else {
            Target::Linear(record.host_addr)
        },
        // As if it had been used already, so that the processor need not note it.
        flags: PteFlags::ACCESSED.bits() | PteFlags::DIRTY.bits() | user | available,
    };
    map(mmu, request, |mapped| {
        let granter_status_handle = u64::from(record.dom.raw())
            | u64::from(GrantStatus::OKAY.raw() as u16) << 16
            | u64::from(mapped.handle) << 32;
        at.field::<[u64; 2]>(offset_of!(MapGrantRef, dom))
            .write(platform, &[granter_status_handle, mapped.frame.addr().raw()])
    })
}

#[inline(always)]
fn unmap_grant_ref<P: Platform>(mmu: &mut Mmu<'_, P>, at: GuestPtr<UnmapGrantRef>) -> Done {
    let platform = mmu.platform;
    let record = at.read(platform)?;
    unmap(mmu, record.handle, record.host_addr, record.dev_bus_addr, || {
        answer(platform, at, GrantStatus::OKAY)
    })
}

fn grant_copy<P: Platform>(mmu: &mut Mmu<'_, P>, at: GuestPtr<GrantCopy>) -> Done {
    let platform = mmu.platform;
    let record = at.read(platform)?;
    if record.flags.bits() & !CopyFlags::all().bits() != 0 {
        return Err(Refusal::BadFlags.into());
    }
    let caller = mmu.caller().id;
    let part = |end: CopyEnd, is_reference| {
        let domain = DomId(end.domid.raw());
        let end_kind = if is_reference {
            End::Granted {
                granter: if domain == DomId::SELF { caller } else { domain },
                reference: end.ref_or_frame,
            }
        } else if domain == DomId::SELF || domain == caller {
            End::Frame(end.ref_or_frame)
        } else {
            return Err(Refusal::Denied);
        };
        Ok(Part {
            end: end_kind,
            offset: end.offset,
        })
    };
    let from = part(record.source, record.flags.contains(CopyFlags::SOURCE_GREF))?;
    let to = part(record.dest, record.flags.contains(CopyFlags::DEST_GREF))?;
    copy(mmu, from, to, record.len, || {
        answer(platform, at, GrantStatus::OKAY)
    })?;
    Ok(false)
}

fn transfer_frame<P: Platform>(mmu: &mut Mmu<'_, P>, at: GuestPtr<Transfer>) -> Done {
    let platform = mmu.platform;
    let record = at.read(platform)?;
    let to = DomId(record.domid.raw());
    transfer(mmu, record.mfn.raw().into(), to, record.reference, || {
        answer(platform, at, GrantStatus::OKAY)
    })?;
    // The giver may still have the page cached.
    Ok(true)
}

/// The slot of the domain whose table a record is about: another one's needs privilege.
fn subject<P: Platform>(mmu: &Mmu<'_, P>, id: WireId) -> Result<usize, Refusal> {
    let caller = mmu.hv.running();
    let id = DomId(id.raw());
    if id == DomId::SELF || id == caller.id {
        return Ok(mmu.hv.current);
    }
    if !caller.is_privileged {
        return Err(Refusal::Denied);
    }
    mmu.hv.slot_of(id).ok_or(Refusal::NoSuchDomain)
}

fn setup_table<P: Platform>(mmu: &mut Mmu<'_, P>, at: GuestPtr<SetupTable>) -> Done {
    let platform = mmu.platform;
    let record = at.read(platform)?;
    let slot = subject(mmu, record.dom)?;
    if record.nr_frames > MAX_TABLE_FRAMES {
        return Err(Refusal::TooManyFrames.into());
    }
    // Whether the answer can be written is found out before anything grows.
    let list = GuestSlice::<u32>::new(record.frame_list.raw(), record.nr_frames)
        .map_err(|Fault| Refusal::BadAddress)?;
    for entry in (0..list.len()).filter_map(|n| list.get(n)) {
        let is_writable = entry
            .read(platform)
            .and_then(|old| entry.write(platform, &old))
            .is_ok();
        if !is_writable {
            return Err(Refusal::BadAddress.into());
        }
    }
    answer(platform, at, record.status)?;
    books::grow_table(mmu, slot, record.nr_frames)?;
    let grants = books::domain(mmu, slot).grants;
    for n in 0..list.len() {
        if let (Some(entry), Some(frame)) = (list.get(n), grants.table_frame(platform, n)) {
            entry.write(platform, &frame.raw())?;
        }
    }
    answer(platform, at, GrantStatus::OKAY)?;
    Ok(false)
}

fn query_size<P: Platform>(mmu: &mut Mmu<'_, P>, at: GuestPtr<QuerySize>) -> Done {
    let platform = mmu.platform;
    let mut record = at.read(platform)?;
    let slot = subject(mmu, record.dom)?;
    record.nr_frames = books::domain(mmu, slot).grants.table_frames();
    record.max_nr_frames = MAX_TABLE_FRAMES;
    record.status = GrantStatus::OKAY;
    at.write(platform, &record)?;
    Ok(false)
}
