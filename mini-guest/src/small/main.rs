//! The small kernel: a domain of a few dozen pages that has a console and answers events, and nothing else.
//!
//! It is made of the library's lower half alone: no memory management, no heap, no programs. What comes at the console's
//! port is typed input ([`responder`]) or a request of Domain0's ([`guest_abi::io::console`]); an event at any
//! other port is answered by an event at the same port. In between the vCPU sleeps.
#![no_std]
#![no_main]

use core::arch::global_asm;

use guest_abi::elfnote::{ImageFlags, NoteType, OWNER};
use guest_abi::io::console::{CONTROL_SHUTDOWN, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT};
use guest_abi::mmu::{Pte, UvmFlags};
use guest_abi::sched::ShutdownReason;
use guest_abi::start_info::StartInfo;
use mini_guest::console::ring::{self, Ring};
use mini_guest::responder::{self, Line, Typed, Wish};
use mini_guest::traps::KERNEL_STACK;
use mini_guest::{console, events, guest_abi, hypercall, print, report};

mini_guest::entry!(main);

// It runs in as little memory as its image and tables take.
global_asm!(
    r#"
        .section .note.xenlite, "a", @note
        .balign 4
        .long   {OWNER_BYTES}, 4, {FLAGS_TYPE}
        .asciz  "xenlite"
        .balign 4
        .long   {FLAGS}
        .text
    "#,
    OWNER_BYTES = const OWNER.len() + 1,
    FLAGS_TYPE = const NoteType::FLAGS.raw(),
    FLAGS = const ImageFlags::UNPADDED.bits(),
);

/// Bytes taken from the console at a time.
const CHUNK: usize = 128;

fn main(start_info: &'static StartInfo) -> ! {
    report::set_broken_reason(ShutdownReason::CRASH);
    let Some(ring) = ring::get() else {
        report::broken(format_args!("the small kernel needs a console ring"));
    };
    // A stack that runs over shall fault, not write elsewhere.
    let guard = guest_abi::addr::GuestVirt::new(KERNEL_STACK.guard_page());
    // SAFETY: nothing lies in the guard page.
    if let Err(errno) = unsafe { hypercall::update_va_mapping(guard, Pte::EMPTY, UvmFlags::INVLPG) } {
        report::broken(format_args!("cannot unmap the stack's guard page: {errno}"));
    }
    print!("mini-guest-small: {} KiB, ready\r\n", start_info.nr_pages * 4);
    let mut line = Line::default();
    loop {
        events::poll(|port| {
            if port == ring.port {
                take_request(&ring);
                take_input(&mut line);
            } else {
                // Whoever is gone again need not be answered.
                let _ = events::notify(port);
            }
        });
        events::wait();
    }
}

/// Does what Domain0 asks by the words behind the ring.
fn take_request(ring: &Ring) {
    match ring.take_request(CONTROL_SHUTDOWN) {
        SHUTDOWN_POWEROFF => end(ShutdownReason::POWEROFF),
        SHUTDOWN_REBOOT => end(ShutdownReason::REBOOT),
        _ => {}
    }
}

/// Reads what was typed, to the last byte: there is one event for all of it.
fn take_input(line: &mut Line) {
    let mut bytes = [0; CHUNK];
    // What is echoed and answered goes out together where it fits.
    let mut out = console::Writer::default();
    loop {
        let count = console::read(&mut bytes);
        if count == 0 {
            return;
        }
        for &byte in &bytes[..count] {
            take_byte(line, byte, &mut out);
        }
    }
}

fn take_byte(line: &mut Line, byte: u8, out: &mut console::Writer) {
    use core::fmt::Write;
    // The console takes everything.
    let _ = match line.take(byte) {
        Typed::Shown => out.write_char(char::from(byte)),
        Typed::Wiped => out.write_str("\x08 \x08"),
        Typed::Nothing => Ok(()),
        Typed::Complete(bytes) => {
            let text = |words| core::str::from_utf8(words).unwrap_or_default();
            let done = match responder::wish(&bytes) {
                Wish::Pong(words) => write!(out, "\r\npong {}\r\n", text(words)),
                Wish::Heard(words) => write!(out, "\r\nheard {}\r\n", text(words)),
                Wish::Nothing => out.write_str("\r\n"),
                Wish::PowerOff => end(ShutdownReason::POWEROFF),
                Wish::Reboot => end(ShutdownReason::REBOOT),
                Wish::Crash => end(ShutdownReason::CRASH),
            };
            out.flush();
            done
        }
    };
}

fn end(reason: ShutdownReason) -> ! {
    print!("\r\nmini-guest-small: {reason}\r\n");
    hypercall::shutdown(reason)
}
