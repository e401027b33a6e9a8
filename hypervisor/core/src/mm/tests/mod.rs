//! What the page-table engine accepts and refuses, from both of its ends: as methods, and as calls of a guest.

mod audits;
mod batches;
mod commands;
mod directories;
mod foreign;
mod ldt;
mod pages;
mod pins;
mod random;
mod reservation;
mod tables;
mod teardown;
mod tlb;
mod words;
mod writes;

use crate::{
    error::HvError,
    mm::MmError,
    outcome::Outcome,
    testing::{Guest, World},
};
use guest_abi::{
    addr::{MachAddr, Mfn},
    mmu::{Extended, MmuUpdate, Pte},
};

/// Where the tests keep their requests: the last data page of a guest of 40 frames.
const REQUESTS: u32 = Guest::va(38);
/// Where the guest has its counter of requests done.
const DONE: u32 = Guest::va(39);

/// A frame's number, as entries and machine addresses have it.
fn n(mfn: Mfn) -> u64 {
    u64::from(mfn.raw())
}

/// "Write `entry` as word `index` of `table`."
fn set(table: Mfn, index: usize, entry: u64) -> MmuUpdate {
    MmuUpdate::normal(
        MachAddr::new(table.addr().raw() + index as u64 * 8),
        Pte::from_raw(entry),
    )
}

fn pin(level: u8, mfn: Mfn) -> MmuUpdate {
    MmuUpdate::extended(Extended::Pin {
        level,
        frame: mfn.addr(),
    })
}

fn unpin(mfn: Mfn) -> MmuUpdate {
    MmuUpdate::extended(Extended::Unpin { frame: mfn.addr() })
}

const fn ext(request: Extended) -> MmuUpdate {
    MmuUpdate::extended(request)
}

/// How a call says why the engine refused.
fn mm(error: MmError) -> HvError {
    HvError::Mm(error)
}

/// Domain 1 (plain) and domain 0, which runs.
fn two() -> (World, Guest, Guest) {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    (world, guest, other)
}

/// Puts `requests` into the running guest's memory at [`REQUESTS`].
fn post(world: &World, requests: &[MmuUpdate]) {
    for (i, request) in requests.iter().enumerate() {
        for (j, word) in [request.ptr, request.val].into_iter().enumerate() {
            let at = REQUESTS + (i as u32) * 16 + (j as u32) * 8;
            assert!(world.guest_write(at, word as u32) && world.guest_write(at + 4, (word >> 32) as u32));
        }
    }
}

/// Makes one batch of `requests`, and says how many were done.
fn batch(world: &mut World, requests: &[MmuUpdate]) -> (Result<Outcome, HvError>, u32) {
    post(world, requests);
    assert!(world.guest_write(DONE, 0xDEAD));
    let result = world.call(1, [REQUESTS, requests.len() as u32, DONE, 0x51, 0xD1]);
    (result, world.guest_read(DONE).expect("the counter is mapped"))
}

/// Makes a batch that must succeed.
fn must(world: &mut World, requests: &[MmuUpdate]) {
    assert_eq!(
        batch(world, requests),
        (Ok(Outcome::Return(0)), requests.len() as u32)
    );
}

/// Makes a batch of one that must be refused, and change nothing.
#[track_caller]
fn refused(world: &mut World, request: MmuUpdate) -> HvError {
    post(world, &[request]);
    let before = world.snapshot();
    let error = world.call(1, [REQUESTS, 1, 0, 0, 0]).expect_err("refused");
    world.assert_unchanged_since(&before);
    error
}

/// Like [`refused`], by call 14.
#[track_caller]
fn refused_mapping(world: &mut World, at: u32, entry: u64) -> HvError {
    let before = world.snapshot();
    let error = world.call(14, map_args(at, entry, 0)).expect_err("refused");
    world.assert_unchanged_since(&before);
    error
}

/// Arguments of call 14.
const fn map_args(at: u32, entry: u64, flags: u32) -> [u32; 5] {
    [at >> 12, entry as u32, (entry >> 32) as u32, flags, 0]
}

/// Fails unless an audit finds nothing.
fn assert_sound(world: &World) {
    assert_eq!(world.audit(), Vec::new());
}

/// Takes the mapping of frame `index` of the guest away, so that the frame can become a table.
fn unmap(world: &mut World, guest: &Guest, index: usize) {
    must(world, &[set(guest.l1(), index, 0)]);
}
