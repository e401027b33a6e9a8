//! `cow [PAGES]`: fork shares memory until somebody writes. Checks that every process sees its own, whoever writes
//! first and whoever does the writing (the kernel's copies too), and on the mini-guest that frames are really shared
//! and all come back.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;

use programs::args::{self, Args};
use programs::check::Checks;
use programs::errno::Result;
use programs::file::{File, pipe};
use programs::process::{self, Ended};
use programs::{clock, eprintln, machine, procfs, sys};

programs::program!(main);

const PAGE: usize = 4096;
const PAGE_WORDS: usize = PAGE / 4;
const DEFAULT_PAGES: usize = 512;
const CHILDREN: u32 = 8;

/// Values of the parent; children add their number in the upper bits.
const PARENT: u32 = 0x0A00_0000;

fn main(args: &Args) -> i32 {
    let pages = match args.get(1) {
        None => DEFAULT_PAGES,
        Some(text) => match args::number(text).filter(|pages| (1..=65_536).contains(pages)) {
            Some(pages) => pages as usize,
            None => {
                eprintln!("usage: cow [PAGES]");
                return 2;
            }
        },
    };
    let mut checks = Checks::new("cow (whole)");
    // The parent of all tests is a child too, so that its own memory is back when frames are counted.
    let before = procfs::memory_kb(b"MemFree");
    let ended = process::run(|| tests(pages));
    checks.equal(
        format_args!("all of it with {pages} pages"),
        ended,
        Ok(Ended::Exited(0)),
    );
    match (machine::is_xenlite(), before, procfs::memory_kb(b"MemFree")) {
        (true, Ok(before), Ok(after)) => {
            checks.that(
                format_args!("free memory before {before} kB, after {after} kB"),
                before.abs_diff(after) <= 64,
            );
        }
        _ => checks.skip(
            "free memory before and after",
            "others use this machine's memory too",
        ),
    }
    checks.finish()
}

fn tests(pages: usize) -> i32 {
    let mut checks = Checks::new("cow");
    let Ok(start) = sys::map_anonymous(pages * PAGE) else {
        checks.that(format_args!("{pages} pages of memory"), false);
        return 1;
    };
    // SAFETY: the kernel gave these pages to us alone; they are zero and stay mapped.
    let memory = unsafe { core::slice::from_raw_parts_mut(start.cast::<u32>(), pages * PAGE_WORDS) };
    checks.that("new pages are zero", memory.iter().all(|&word| word == 0));
    fill(memory, PARENT);
    child_writes_first(memory, &mut checks);
    parent_writes_first(memory, &mut checks);
    many_children(memory, &mut checks);
    generations(memory, &mut checks);
    kernel_writes(memory, &mut checks);
    child_unmaps(memory, &mut checks);
    heap_and_stack(&mut checks);
    if machine::is_xenlite() {
        sharing(memory, &mut checks);
    } else {
        checks.skip("sharing of frames", "others use this machine's memory too");
    }
    checks.finish()
}

/// One word in every page, and one that moves through the page.
fn fill(memory: &mut [u32], value: u32) {
    for (page, words) in memory.chunks_exact_mut(PAGE_WORDS).enumerate() {
        words[0] = value + page as u32;
        words[1 + page % (PAGE_WORDS - 1)] = value ^ page as u32;
    }
}

fn holds(memory: &[u32], value: u32) -> bool {
    memory.chunks_exact(PAGE_WORDS).enumerate().all(|(page, words)| {
        words[0] == value + page as u32 && words[1 + page % (PAGE_WORDS - 1)] == value ^ page as u32
    })
}

/// The status of a child's verdict.
fn verdict(held: bool) -> i32 {
    i32::from(!held)
}

fn child_writes_first(memory: &mut [u32], checks: &mut Checks) {
    let ended = process::run(|| {
        let inherited = holds(memory, PARENT);
        fill(memory, 0x0B00_0000);
        verdict(inherited && holds(memory, 0x0B00_0000))
    });
    checks.equal(
        "the child sees the parent's values and then its own",
        ended,
        Ok(Ended::Exited(0)),
    );
    checks.that("the parent's values are as before", holds(memory, PARENT));
}

fn parent_writes_first(memory: &mut [u32], checks: &mut Checks) {
    let started = pipe().and_then(|(read_end, write_end)| {
        let child = process::spawn(|| {
            wait_for_byte(&read_end);
            verdict(holds(memory, PARENT))
        })?;
        fill(memory, 0x0C00_0000);
        sys::write(write_end.descriptor(), b"!")?;
        process::wait_for(child)
    });
    let ended = started.map(|(_, ended)| ended);
    checks.equal(
        "the child keeps what the parent has overwritten",
        ended,
        Ok(Ended::Exited(0)),
    );
    checks.that("the parent has its new values", holds(memory, 0x0C00_0000));
    fill(memory, PARENT);
}

fn wait_for_byte(file: &File) {
    let _ = programs::file::read_some(file.descriptor(), &mut [0]);
}

fn many_children(memory: &mut [u32], checks: &mut Checks) {
    let mut wrong = 0;
    let mut started = 0;
    for number in 1..=CHILDREN {
        let value = PARENT + (number << 28);
        let child = process::spawn(|| {
            let mut held = true;
            for _ in 0..3 {
                fill(memory, value);
                clock::sleep_ms(1);
                held &= holds(memory, value);
            }
            verdict(held)
        });
        started += u32::from(child.is_ok());
    }
    for _ in 0..started {
        wrong += u32::from(process::wait_for(-1).map(|(_, ended)| ended) != Ok(Ended::Exited(0)));
    }
    checks.equal(
        format_args!("{CHILDREN} children write at the same time"),
        (started, wrong),
        (CHILDREN, 0),
    );
    checks.that("and none of it comes to the parent", holds(memory, PARENT));
}

/// Each generation changes one page and keeps the changes of its ancestors.
fn generations(memory: &mut [u32], checks: &mut Checks) {
    fn generation(memory: &mut [u32], depth: usize) -> i32 {
        let pages = memory.len() / PAGE_WORDS;
        if depth == 6 || depth >= pages {
            return 0;
        }
        memory[depth * PAGE_WORDS + 2] = 100 + depth as u32;
        let ended = process::run(|| {
            let inherited = (0..=depth).all(|page| memory[page * PAGE_WORDS + 2] == 100 + page as u32);
            verdict(inherited) | generation(memory, depth + 1)
        });
        let younger = memory[(depth + 1).min(pages - 1) * PAGE_WORDS + 2] == 100 + depth as u32 + 1;
        verdict(ended == Ok(Ended::Exited(0)) && !younger)
    }
    let ended = process::run(|| generation(memory, 0));
    checks.equal(
        "six generations, each with one page of its own",
        ended,
        Ok(Ended::Exited(0)),
    );
}

/// The kernel's own writes to user memory must break the sharing as a program's do.
fn kernel_writes(memory: &mut [u32], checks: &mut Checks) {
    let outcome: Result<Ended> = pipe().and_then(|(read_end, write_end)| {
        sys::write(write_end.descriptor(), &[0xEE; 64])?;
        process::run(|| {
            // SAFETY: 64 bytes inside of the first page, seen as bytes.
            let bytes = unsafe { core::slice::from_raw_parts_mut(memory.as_mut_ptr().cast::<u8>(), 64) };
            verdict(
                sys::read(read_end.descriptor(), bytes) == Ok(64) && bytes.iter().all(|&byte| byte == 0xEE),
            )
        })
    });
    checks.equal(
        "the child reads from a pipe into a shared page",
        outcome,
        Ok(Ended::Exited(0)),
    );
    checks.that("and the parent's page is as before", memory[0] == PARENT);
}

fn child_unmaps(memory: &mut [u32], checks: &mut Checks) {
    let (start, length) = (memory.as_mut_ptr().cast::<u8>(), memory.len() * 4);
    let ended = process::run(|| {
        // SAFETY: this child uses the pages no more.
        verdict(unsafe { sys::munmap(start, length) }.is_ok())
    });
    checks.equal("the child unmaps them", ended, Ok(Ended::Exited(0)));
    let ended = process::run(|| {
        // SAFETY: what follows only reads.
        let changed = unsafe { sys::mprotect(start, length, programs::abi::PROT_READ) };
        verdict(changed.is_ok() && holds(memory, PARENT))
    });
    checks.equal("the child makes them read-only", ended, Ok(Ended::Exited(0)));
    fill(memory, 0x0D00_0000);
    checks.that(
        "the parent still has them, and may write",
        holds(memory, 0x0D00_0000),
    );
    fill(memory, PARENT);
}

fn heap_and_stack(checks: &mut Checks) {
    let mut heap = vec![1_u8; 3 * PAGE];
    let mut stack = [2_u8; 3 * PAGE];
    let ended = process::run(|| {
        heap.fill(3);
        stack.fill(4);
        verdict(
            heap.iter().all(|&byte| byte == 3) && core::hint::black_box(&stack).iter().all(|&byte| byte == 4),
        )
    });
    checks.equal("the child overwrites heap and stack", ended, Ok(Ended::Exited(0)));
    let stack = core::hint::black_box(&stack);
    checks.that(
        "the parent's are as before",
        heap.iter().all(|&b| b == 1) && stack.iter().all(|&b| b == 2),
    );
}

/// A child that only reads costs few frames; one that writes costs a frame a page.
fn sharing(memory: &mut [u32], checks: &mut Checks) {
    let pages = (memory.len() / PAGE_WORDS) as u64;
    let free_pages = || procfs::memory_kb(b"MemFree").unwrap_or(0) / 4;
    let before = free_pages();
    let ended = process::run(|| {
        let reading = holds(memory, PARENT);
        let after_reading = before.saturating_sub(free_pages());
        fill(memory, 0x0E00_0000);
        let after_writing = before.saturating_sub(free_pages());
        programs::println!(
            "cow:       {pages} pages: {after_reading} frames after reading, {after_writing} after writing"
        );
        verdict(reading && after_reading < pages / 4 + 32 && after_writing >= pages)
    });
    checks.equal(
        "reading shares frames, writing takes new ones",
        ended,
        Ok(Ended::Exited(0)),
    );
}
