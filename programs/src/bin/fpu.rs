//! `fpu`: x87 and SSE registers belong to a process: they survive system calls, sleep and preemption, are inherited by
//! fork, and a new program begins with clean ones.
//!
//! The programs are compiled without floating point, so between loading and storing the registers nothing else
//! touches them.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::arch::asm;

use programs::args::Args;
use programs::check::Checks;
use programs::process::{self, Ended};
use programs::{clock, sys};

programs::program!(main);

/// The image that FXSAVE writes (Intel SDM vol. 1, 10.5.1): control word at 0, status at 2, tags at 4, MXCSR at 24,
/// ST0–ST7 at 32, XMM0–XMM7 at 160.
#[repr(C, align(16))]
#[derive(Clone, PartialEq, Eq)]
struct Image([u8; 512]);

const CONTROL: usize = 0;
const TAGS: usize = 4;
const MXCSR: usize = 24;
const REGISTERS: usize = 32;
const XMM: usize = 160;
const XMM_END: usize = XMM + 8 * 16;

/// Control word and MXCSR of a program that has just begun.
const CLEAN_CONTROL: u16 = 0x37F;
const CLEAN_MXCSR: u32 = 0x1F80;

impl Image {
    /// All registers, each byte depending on `seed`; rounding depends on it too.
    fn seeded(seed: u8) -> Box<Image> {
        let mut image = Box::new(Image([0; 512]));
        let rounding = u16::from(seed & 3) << 10;
        image.0[CONTROL..CONTROL + 2].copy_from_slice(&(CLEAN_CONTROL | rounding).to_le_bytes());
        image.0[TAGS] = 0xFF;
        image.0[MXCSR..MXCSR + 4].copy_from_slice(&(CLEAN_MXCSR | u32::from(rounding) << 3).to_le_bytes());
        for register in 0..8 {
            let st = REGISTERS + register * 16;
            image.0[st..st + 10].fill(seed.wrapping_add(register as u8));
            let xmm = XMM + register * 16;
            image.0[xmm..xmm + 16].fill(seed.wrapping_mul(3).wrapping_add(register as u8));
        }
        image
    }

    fn load(&self) {
        // SAFETY: 512 aligned bytes, with reserved bits of MXCSR zero.
        unsafe { asm!("fxrstor [{0}]", in(reg) self.0.as_ptr(), options(nostack, readonly)) };
    }

    fn stored() -> Box<Image> {
        let mut image = Box::new(Image([0; 512]));
        // SAFETY: 512 aligned bytes.
        unsafe { asm!("fxsave [{0}]", in(reg) image.0.as_mut_ptr(), options(nostack)) };
        image
    }

    /// The same registers; addresses of the last instruction and reserved bytes do not count.
    fn same(&self, other: &Image) -> bool {
        [
            CONTROL..CONTROL + 2,
            TAGS..TAGS + 1,
            MXCSR..MXCSR + 4,
            REGISTERS..XMM_END,
        ]
        .into_iter()
        .all(|part| self.0[part.clone()] == other.0[part])
    }

    fn control(&self) -> u16 {
        u16::from_le_bytes([self.0[CONTROL], self.0[CONTROL + 1]])
    }

    fn mxcsr(&self) -> u32 {
        u32::from_le_bytes([
            self.0[MXCSR],
            self.0[MXCSR + 1],
            self.0[MXCSR + 2],
            self.0[MXCSR + 3],
        ])
    }
}

fn main(args: &Args) -> i32 {
    if args.get(1) == Some(b"clean") {
        return i32::from(!is_clean(&Image::stored()));
    }
    let mut checks = Checks::new("fpu");
    let first = Image::stored();
    checks.equal("the control word at the start", first.control(), CLEAN_CONTROL);
    checks.equal("MXCSR at the start", first.mxcsr(), CLEAN_MXCSR);
    checks.that("registers are empty at the start", is_clean(&first));
    survives(&mut checks);
    inherited(&mut checks);
    preempted(&mut checks);
    let ended = process::run(|| {
        Image::seeded(0x77).load();
        let arguments = process::c_strings([&b"fpu"[..], b"clean"].into_iter());
        process::execute(b"/proc/self/exe", &arguments, &[])
    });
    checks.equal(
        "a new program sees nothing of the old one's",
        ended,
        Ok(Ended::Exited(0)),
    );
    checks.finish()
}

fn is_clean(image: &Image) -> bool {
    image.control() == CLEAN_CONTROL
        && image.mxcsr() == CLEAN_MXCSR
        && image.0[TAGS] == 0
        && image.0[REGISTERS..XMM_END].iter().all(|&byte| byte == 0)
}

fn survives(checks: &mut Checks) {
    let image = Image::seeded(0x21);
    image.load();
    sys::sched_yield();
    let _ = sys::getpid();
    checks.that("registers survive system calls", image.same(&Image::stored()));
    image.load();
    clock::sleep_ms(20);
    checks.that("registers survive sleep", image.same(&Image::stored()));
}

fn inherited(checks: &mut Checks) {
    let image = Image::seeded(0x42);
    image.load();
    let ended = process::run(|| {
        let inherited = image.same(&Image::stored());
        Image::seeded(0x43).load();
        i32::from(!inherited)
    });
    checks.equal(
        "a child begins with its parent's registers",
        ended,
        Ok(Ended::Exited(0)),
    );
    image.load();
    let ended = process::run(|| {
        Image::seeded(0x44).load();
        0
    });
    checks.that(
        "and changes only its own",
        ended == Ok(Ended::Exited(0)) && image.same(&Image::stored()),
    );
}

const PROCESSES: usize = 4;

/// Several processes, each with its own values in all registers, and no system call between load and store.
fn preempted(checks: &mut Checks) {
    let watch = |seed: u8| -> i32 {
        let image = Image::seeded(seed);
        let end = clock::monotonic_ns() + 300_000_000;
        while clock::monotonic_ns() < end {
            image.load();
            for round in 0..200_000 {
                core::hint::black_box(round);
            }
            if !image.same(&Image::stored()) {
                return 1;
            }
        }
        0
    };
    let mut started = 0;
    for number in 0..PROCESSES {
        started += usize::from(process::spawn(|| watch(0x31 + 0x11 * number as u8)).is_ok());
    }
    let mut right = 0;
    for _ in 0..started {
        right += usize::from(process::wait_for(-1).map(|(_, ended)| ended) == Ok(Ended::Exited(0)));
    }
    checks.equal(
        format_args!("{PROCESSES} processes keep their own in loops"),
        right,
        PROCESSES,
    );
}
