//! Grants, as guests make the calls and as the machine then is.

mod batches;
mod copies;
mod ends;
mod games;
mod limits;
mod mappings;
mod oracle;
mod random;
mod refusals;
mod tables;
mod transfers;

use crate::{
    error::HvError,
    mm::pte::{GRANTED, P, RW},
    outcome::Outcome,
    testing::{Guest, World},
};
use guest_abi::{
    addr::{GuestVirt, Mfn},
    domain::DomId,
    grant_table::{
        CopyEnd, CopyFlags, GrantCmd, GrantCopy, GrantFlags, GrantStatus, MapFlags, MapGrantRef, QuerySize,
        SetupTable, Transfer, UnmapGrantRef,
    },
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where guests of 40 frames have their records: a page that is mapped, and mapped for nothing else.
pub const RECORDS: u32 = Guest::va(38);
/// Where they map what they are granted: addresses of the L1 at 0.
pub const WINDOW: u32 = 0x1_0000;

pub const MAP: u32 = GrantCmd::MAP_GRANT_REF.raw();
pub const UNMAP: u32 = GrantCmd::UNMAP_GRANT_REF.raw();
pub const SETUP: u32 = GrantCmd::SETUP_TABLE.raw();
pub const COPY: u32 = GrantCmd::COPY.raw();
pub const TRANSFER: u32 = GrantCmd::TRANSFER.raw();
pub const QUERY: u32 = GrantCmd::QUERY_SIZE.raw();

pub const OKAY: GrantStatus = GrantStatus::OKAY;
/// What a test puts where a status is to come.
pub const UNSET: GrantStatus = GrantStatus::new(0x5A5A);

/// A record of one of the commands.
pub trait Record: IntoBytes + Immutable + FromBytes + Copy {
    /// The command.
    const COMMAND: u32;
    /// Where the hypervisor writes how it went.
    fn status(&mut self) -> &mut GrantStatus;
    /// The record as it comes back after an answer that is nothing but `status`.
    fn answered(mut self, status: GrantStatus) -> Self {
        *self.status() = status;
        self
    }
}

macro_rules! records {
    ($($record:ident is $command:expr;)*) => { $(
        impl Record for $record {
            const COMMAND: u32 = $command;
            fn status(&mut self) -> &mut GrantStatus {
                &mut self.status
            }
        }
    )* };
}

records! {
    MapGrantRef is MAP;
    UnmapGrantRef is UNMAP;
    SetupTable is SETUP;
    GrantCopy is COPY;
    Transfer is TRANSFER;
    QuerySize is QUERY;
}

pub fn put<T: IntoBytes + Immutable>(world: &World, at: u32, value: &T) {
    world.write(at, value);
}

pub fn get<T: IntoBytes + Immutable + FromBytes + Copy>(world: &World, at: u32) -> T {
    world.read(at)
}

/// Has the running guest do one record, and gives it as it comes back.
pub fn one<T: Record>(world: &mut World, record: T) -> T {
    put(world, RECORDS, &record);
    assert_eq!(
        world.call(20, [T::COMMAND, RECORDS, 1, 0x51, 0xD1]),
        Ok(Outcome::Return(0))
    );
    get(world, RECORDS)
}

/// Gives the running guest a table of `frames` frames.
pub fn set_up(world: &mut World, frames: u32) -> Vec<Mfn> {
    let list = RECORDS + 0x800;
    let record = SetupTable {
        nr_frames: frames,
        status: UNSET,
        frame_list: GuestVirt::new(list),
        ..setup_of(DomId::SELF)
    };
    assert_eq!(one(world, record).status, OKAY);
    (0..frames).map(|n| Mfn::new(get(world, list + 4 * n))).collect()
}

pub fn setup_of(dom: DomId) -> SetupTable {
    SetupTable {
        dom,
        ..SetupTable::default()
    }
}

/// Writes an entry into the table that begins with `frames`, as its owner would.
pub fn publish(world: &World, frames: &[Mfn], reference: u32, to: u16, frame: Mfn, flags: GrantFlags) {
    let (n, index) = ((reference / 512) as usize, (reference % 512) as usize);
    let word = u64::from(flags.bits()) | u64::from(to) << 16 | u64::from(frame.raw()) << 32;
    world.machine.poke(frames[n], index, word);
}

pub fn flags_of(world: &World, frames: &[Mfn], reference: u32) -> GrantFlags {
    let (n, index) = ((reference / 512) as usize, (reference % 512) as usize);
    GrantFlags::from_bits_retain(world.machine.peek(frames[n], index) as u16)
}

pub const ACCESS: GrantFlags = GrantFlags::PERMIT_ACCESS;
pub const READING: GrantFlags = GrantFlags::READING;
pub const WRITING: GrantFlags = GrantFlags::WRITING;

/// "Map `dom`'s `reference` at `at`."
pub fn map_at(dom: u16, reference: u32, at: u32, flags: MapFlags) -> MapGrantRef {
    MapGrantRef {
        host_addr: at.into(),
        flags,
        reference,
        dom: DomId::new(dom),
        status: UNSET,
        handle: 0xAAAA_AAAA,
        dev_bus_addr: 0xBBBB_BBBB_BBBB,
    }
}

pub fn unmap_at(handle: u32, at: u32, dev_bus_addr: u64) -> UnmapGrantRef {
    UnmapGrantRef {
        host_addr: at.into(),
        dev_bus_addr,
        handle,
        status: UNSET,
        pad: 0xFFFF,
    }
}

/// Maps, which must succeed, and gives the handle.
#[track_caller]
pub fn map(world: &mut World, record: MapGrantRef) -> u32 {
    let done = one(world, record);
    assert_eq!(done.status, OKAY);
    assert_sound(world);
    done.handle
}

/// Unmaps, which must succeed.
#[track_caller]
pub fn unmap(world: &mut World, record: UnmapGrantRef) {
    assert_eq!(one(world, record).status, OKAY);
    assert_sound(world);
}

/// Has the running guest do one record that must come back as it is (its status is that of the refusal already), and change
/// nothing at all.
#[track_caller]
pub fn refused<T: Record>(world: &mut World, record: T) {
    put(world, RECORDS, &record);
    let before = world.snapshot();
    assert_eq!(
        world.call(20, [T::COMMAND, RECORDS, 1, 0, 0]),
        Ok(Outcome::Return(0))
    );
    world.assert_unchanged_since(&before);
    assert_sound(world);
}

/// Makes a call that must fail as a whole, and change nothing at all.
#[track_caller]
pub fn fails(world: &mut World, args: [u32; 5], error: HvError) {
    let before = world.snapshot();
    assert_eq!(world.call(20, args), Err(error));
    world.assert_unchanged_since(&before);
}

#[track_caller]
pub fn assert_sound(world: &World) {
    assert_eq!(world.audit(), Vec::new());
}

/// The entry that maps `at` for `guest`, an address of the L1 at 0.
pub fn entry_at(world: &World, guest: &Guest, at: u32) -> u64 {
    world.machine.peek(guest.low_l1(), (at / 4096) as usize)
}

pub fn is_marked(entry: u64) -> bool {
    entry & (P | GRANTED) == P | GRANTED
}

pub fn is_writable(entry: u64) -> bool {
    entry & RW != 0
}

/// Two domains: 1 grants, 0 is granted and runs. Reference 10 is frame 20 to write, 11 is frame 21 to read only, both of domain
/// 1; reference 12 is nobody's.
pub struct Pair {
    pub world: World,
    pub granter: Guest,
    pub mapper: Guest,
    pub table: Vec<Mfn>,
}

pub fn pair() -> Pair {
    pair_of(false)
}

/// The same; the mapper may be privileged.
pub fn pair_of(is_privileged: bool) -> Pair {
    let mut world = World::new(512);
    let granter = world.add_guest(1, false, 40);
    let table = set_up(&mut world, 1);
    let mapper = world.add_guest(2, is_privileged, 40);
    publish(&world, &table, 10, 2, granter.frames[20], ACCESS);
    publish(
        &world,
        &table,
        11,
        2,
        granter.frames[21],
        ACCESS | GrantFlags::READ_ONLY,
    );
    assert_sound(&world);
    Pair {
        world,
        granter,
        mapper,
        table,
    }
}

/// A copy of `len` bytes.
pub fn copy_of(source: CopyEnd, dest: CopyEnd, len: u16, flags: CopyFlags) -> GrantCopy {
    GrantCopy {
        source,
        dest,
        len,
        flags,
        status: UNSET,
        pad: 0xFFFF,
    }
}

pub fn end(dom: u16, ref_or_frame: u32, offset: u16) -> CopyEnd {
    CopyEnd {
        ref_or_frame,
        domid: DomId::new(dom),
        offset,
    }
}

pub fn transfer_of(mfn: Mfn, to: u16, reference: u32) -> Transfer {
    Transfer {
        mfn,
        domid: DomId::new(to),
        pad0: 0xFFFF,
        reference,
        status: UNSET,
        pad1: 0xFFFF,
    }
}
