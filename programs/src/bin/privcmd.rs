//! `privcmd`: what `/dev/xen/privcmd` promises: hypercalls answer, frames appear and go as they should, and
//! nothing of that is inherited or left behind.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use guest_abi::addr::{Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;
use guest_abi::domctl::{DomainFlags, PauseDomain, Personality};
use guest_abi::hypercall::CallNumber;
use guest_abi::memory::{MemoryCmd, pack};
use programs::args::Args;
use programs::check::Checks;
use programs::errno::{Errno, Result};
use programs::process::{self, Ended};
use programs::signal::SIGSEGV;
use programs::xen::{ForeignMap, Privcmd, privcmd};
use programs::{eprintln, sys};

programs::program!(main);

/// Frames that are taken for the tests: more than one batch of the kernel's.
const FRAMES: usize = 150;

fn main(_args: &Args) -> i32 {
    let privcmd = match Privcmd::open() {
        Ok(privcmd) => privcmd,
        Err(error) => {
            eprintln!("privcmd: {error}: only Domain0 has the device");
            return 2;
        }
    };
    let mut checks = Checks::new("privcmd");
    calls(&mut checks, &privcmd);
    match frames(&privcmd) {
        Ok(taken) => {
            checks.equal("frames that are ours to take", taken.len(), FRAMES);
            mappings(&mut checks, &privcmd, &taken);
            refusals(&mut checks, &privcmd, &taken);
            checks.equal(
                "all frames go back",
                give_back(&privcmd, &taken),
                Ok(FRAMES as u32),
            );
        }
        Err(error) => checks.that(format_args!("frames: {error}"), false),
    }
    checks.finish()
}

fn calls(checks: &mut Checks, privcmd: &Privcmd) {
    // SAFETY: the call touches no memory.
    let version = unsafe { privcmd.hypercall(CallNumber::XEN_VERSION, [0; 5]) };
    checks.equal("the hypervisor's version", version, Ok(0x0002_0000));
    // SAFETY: there is no such call.
    let unknown = unsafe { privcmd.hypercall(CallNumber::new(4000), [0; 5]) };
    checks.equal("a call that there is not", unknown, Err(Errno::ENOSYS));
    let oneself = privcmd.domain_info(DomId::DOM0);
    let state = oneself.map(|info| {
        (
            info.domain,
            info.personality,
            info.flags.contains(DomainFlags::RUNNING),
        )
    });
    checks.equal(
        "Domain0 is there and runs",
        state,
        Ok((DomId::DOM0, Personality::V2, true)),
    );
    let beyond = privcmd.domain_info(DomId::new(0x7FEF)).map(|info| info.domain);
    checks.equal("after the last domain there is none", beyond, Err(Errno::ESRCH));
    let nobody = PauseDomain {
        domain: DomId::new(0x7FEE),
        pad: 0,
    };
    let refused = privcmd.control(&nobody).is_err();
    checks.that("a domain that there is not cannot be paused", refused);
}

/// Takes frames from the hypervisor, beside those that Domain0's kernel knows of.
fn frames(privcmd: &Privcmd) -> Result<Vec<Mfn>> {
    let mut frames = vec![Mfn::new(0); FRAMES];
    privcmd::lock(&mut frames[..])?;
    let list = frames.as_mut_ptr() as u32;
    let ebx = pack(MemoryCmd::INCREASE_RESERVATION, 0);
    // SAFETY: the list is ours, locked, and as long as is said.
    let given = unsafe {
        privcmd.hypercall(
            CallNumber::DOM_MEM_OP,
            [ebx, list, FRAMES as u32, 0, DomId::SELF.raw().into()],
        )
    }?;
    frames.truncate(given as usize);
    Ok(frames)
}

fn give_back(privcmd: &Privcmd, frames: &[Mfn]) -> Result<u32> {
    let list = frames.as_ptr() as u32;
    let ebx = pack(MemoryCmd::DECREASE_RESERVATION, 0);
    // SAFETY: the list is only read, was locked, and nobody maps the frames.
    unsafe {
        privcmd.hypercall(
            CallNumber::DOM_MEM_OP,
            [ebx, list, frames.len() as u32, 0, DomId::SELF.raw().into()],
        )
    }
}

fn pattern(map: &ForeignMap) -> bool {
    (0..FRAMES).all(|page| map.read_u64(page * PAGE_SIZE + 8) == page as u64 * 3 + 1)
}

fn mappings(checks: &mut Checks, privcmd: &Privcmd, taken: &[Mfn]) {
    let mut map = match privcmd.map_foreign(DomId::DOM0, taken, true) {
        Ok(map) => map,
        Err(error) => return checks.that(format_args!("mapping: {error}"), false),
    };
    for page in 0..FRAMES {
        map.zero(page * PAGE_SIZE, PAGE_SIZE);
        map.write_u64(page * PAGE_SIZE + 8, page as u64 * 3 + 1);
    }
    checks.that("what is written is read", pattern(&map));
    let other = privcmd.map_foreign(DomId::SELF, taken, false);
    checks.equal("and elsewhere too", other.map(|other| pattern(&other)), Ok(true));
    // A child has neither the pages nor the right to look.
    let read = process::run(|| i32::from(map.word(8).load(Ordering::Relaxed) == 0));
    checks.equal("a child has no mapping", read, Ok(Ended::Killed(SIGSEGV)));
    checks.that("its death changes nothing", pattern(&map));
    let mut buffer = [0_u8; 4];
    let read = sys::open(b"/dev/zero", 0, 0).and_then(|zero| {
        // The kernel's copies go there as to any memory.
        let done = map.read_by_kernel(zero, 4096, 4096);
        sys::close(zero).and(done)
    });
    map.read(4096 + 8, &mut buffer);
    checks.equal("the kernel can write there", (read, buffer), (Ok(4096), [0; 4]));
    let replaced = process::run(|| i32::from(privcmd.map_foreign(DomId::DOM0, taken, true).is_err()));
    checks.equal(
        "a child that exits with a mapping",
        replaced,
        Ok(Ended::Exited(0)),
    );
}

fn refusals(checks: &mut Checks, privcmd: &Privcmd, taken: &[Mfn]) {
    let refused = |frames: &[Mfn], domain| privcmd.map_foreign(domain, frames, true).map(|_| ()).err();
    checks.that(
        "a frame that nobody can have is refused",
        refused(&[taken[0], Mfn::new(u32::MAX - 1)], DomId::DOM0).is_some(),
    );
    checks.that(
        "so is the memory of a domain that does not",
        refused(&taken[..1], DomId::new(77)).is_some(),
    );
    checks.equal(
        "and no memory at all",
        refused(&[], DomId::DOM0),
        Some(Errno::EINVAL),
    );
    let write = process::run(|| {
        let map = match privcmd.map_foreign(DomId::DOM0, &taken[..1], false) {
            Ok(map) => map,
            Err(error) => return error.0,
        };
        map.word(0).store(1, Ordering::Relaxed);
        0
    });
    checks.equal(
        "a mapping for reading is not written",
        write,
        Ok(Ended::Killed(SIGSEGV)),
    );
}
