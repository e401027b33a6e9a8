//! `tls`: thread-local storage by segments: `set_thread_area`, accesses through GS above and below the base, and each
//! process with its own.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use programs::abi::UserDesc;
use programs::args::Args;
use programs::check::Checks;
use programs::errno::Errno;
use programs::process::{self, Ended};
use programs::{clock, sys, tls};

programs::program!(main);

/// Words in a block; the base points to its middle.
const WORDS: usize = 1024;

/// A block whose words tell their own index and the block's `tag`.
fn block(tag: u32) -> Vec<u32> {
    (0..WORDS as u32).map(|index| tag + index).collect()
}

/// What a segment's base must be so that offset 0 is the block's middle.
fn base(block: &[u32]) -> u32 {
    block[WORDS / 2..].as_ptr() as u32
}

/// Reads `offset` words away from the base.
fn word(offset: i32) -> u32 {
    // SAFETY: GS has the base of a block, and the callers stay inside of it.
    unsafe { tls::read_gs(offset * 4) }
}

fn expected(tag: u32, offset: i32) -> u32 {
    tag + (WORDS as u32 / 2).wrapping_add_signed(offset)
}

const TAG: u32 = 0x1000_0000;
const OTHER: u32 = 0x2000_0000;

fn main(_args: &Args) -> i32 {
    let mut checks = Checks::new("tls");
    let own = block(TAG);
    let entry = match tls::set(-1, base(&own)) {
        Ok(entry) => entry,
        Err(error) => {
            checks.that(format_args!("a descriptor: {error}"), false);
            return checks.finish();
        }
    };
    checks.that(format_args!("a free descriptor is found: {entry}"), entry > 0);
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { tls::load_gs(entry) };
    checks.equal("read at the base", word(0), expected(TAG, 0));
    checks.equal("read above the base", word(100), expected(TAG, 100));
    checks.equal("read below the base", word(-1), expected(TAG, -1));
    checks.equal("read far below the base", word(-500), expected(TAG, -500));
    let alternating = (0..1000).all(|round| {
        let offset = if round % 2 == 0 {
            round % 500
        } else {
            -(round % 500)
        };
        word(offset) == expected(TAG, offset)
    });
    checks.that("above and below in turn, 1000 times", alternating);
    writes(&mut checks);
    forked(entry, &own, &mut checks);
    preempted(entry, &mut checks);
    limits(entry, &own, &mut checks);
    // SAFETY: the null selector may always be loaded.
    unsafe { tls::load_gs(0) };
    checks.finish()
}

fn writes(checks: &mut Checks) {
    let mut target = vec![0; WORDS];
    let address = base(&target);
    let Ok(entry) = tls::set(-1, address) else {
        checks.that("a second descriptor", false);
        return;
    };
    // SAFETY: a fresh descriptor over `target`, whose words are not looked at in between.
    unsafe { tls::load_gs(entry) };
    // SAFETY: inside of `target`.
    unsafe { tls::write_gs(-8, 0x55) };
    // SAFETY: inside of `target`.
    unsafe { tls::write_gs(8, 0xAA) };
    let target = core::hint::black_box(&mut target);
    checks.equal(
        "writes below and above arrive",
        (target[WORDS / 2 - 2], target[WORDS / 2 + 2]),
        (0x55, 0xAA),
    );
    checks.equal("a descriptor is cleared", tls::clear(entry), Ok(()));
}

fn forked(entry: i32, own: &[u32], checks: &mut Checks) {
    // SAFETY: this descriptor is the first one's, still set.
    unsafe { tls::load_gs(entry) };
    let ended = process::run(|| {
        let inherited = word(3) == expected(TAG, 3) && word(-3) == expected(TAG, -3);
        let other = block(OTHER);
        let moved = tls::set(entry, base(&other)).is_ok();
        // SAFETY: the descriptor was just set to `other`.
        unsafe { tls::load_gs(entry) };
        i32::from(!(inherited && moved && word(5) == expected(OTHER, 5)))
    });
    checks.equal(
        "a child inherits the descriptor and changes its own",
        ended,
        Ok(Ended::Exited(0)),
    );
    checks.equal("the parent's is as before", word(-5), own[WORDS / 2 - 5]);
}

/// Two processes, the same descriptor, two bases, and no system call in the loops.
fn preempted(entry: i32, checks: &mut Checks) {
    let watch = |tag: u32| -> i32 {
        let own = block(tag);
        if tls::set(entry, base(&own)).is_err() {
            return 1;
        }
        // SAFETY: the descriptor was just set to `own`.
        unsafe { tls::load_gs(entry) };
        let end = clock::monotonic_ns() + 200_000_000;
        while clock::monotonic_ns() < end {
            for round in 0..20_000 {
                let offset = round % 500;
                if word(offset) != expected(tag, offset) || word(-offset) != expected(tag, -offset) {
                    return 1;
                }
            }
        }
        0
    };
    let children = [TAG, OTHER].map(|tag| process::spawn(|| watch(tag)));
    let ended = children.map(|child| child.and_then(process::wait_for).map(|(_, ended)| ended));
    checks.equal(
        "two processes keep their own in loops",
        ended,
        [Ok(Ended::Exited(0)), Ok(Ended::Exited(0))],
    );
}

fn limits(entry: i32, own: &[u32], checks: &mut Checks) {
    let address = base(own);
    let others = [tls::set(-1, address), tls::set(-1, address)];
    checks.that(
        format_args!("three descriptors in all: {entry} and {others:?}"),
        others.iter().all(|other| other.is_ok_and(|other| other != entry)),
    );
    checks.equal("not a fourth", tls::set(-1, address), Err(Errno::ESRCH));
    checks.equal(
        "not one of the kernel's",
        tls::set(1, address),
        Err(Errno::EINVAL),
    );
    checks.equal("not one beyond", tls::set(8000, address), Err(Errno::EINVAL));
    // A 16-bit segment, as the kernel has to refuse or to keep harmless: nothing may come of it but an answer.
    let mut small = UserDesc {
        entry,
        base: address,
        limit: 0,
        flags: UserDesc::BITS32 | UserDesc::USEABLE,
    };
    checks.equal("a segment of one byte", sys::set_thread_area(&mut small), Ok(()));
    for other in others.into_iter().flatten() {
        checks.equal("cleared", tls::clear(other), Ok(()));
    }
}
