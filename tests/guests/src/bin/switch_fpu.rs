//! FPU and SSE registers at a switch: three domains, each with its own in every register that matters, none with another's;
//! and the trap of `fpu_taskswitch` comes to who asked for it.
//!
//! mutant: mutant-switch-fpu
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::hypercall::CallNumber;
use guest_abi::start_info::StartInfo;
use test_guests::puppet::Puppet;
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, report, scripts};

test_guests::entry!(main);

scripts! {
    /// Takes the registers from the words.
    set: "fninit", "fldcw [words + 36]", "fild dword ptr [words + 40]", "fild dword ptr [words + 44]",
        "ldmxcsr [words + 32]", "movdqu xmm0, [words]", "movdqu xmm7, [words + 16]";
    /// Writes them all to the page of data.
    save: "fxsave [data_page]";
}

/// Where an FXSAVE image has what.
const MXCSR: u32 = 24;
const ST: u32 = 32;
const XMM: u32 = 160;

/// What a domain puts into its registers: eight words for two of SSE, MXCSR, the control word, two integers.
#[derive(Clone, Copy)]
struct State([u32; 12]);

impl State {
    fn of(n: u32) -> Self {
        let mut words = core::array::from_fn(|word| (n << 24 | 0x5A_A500) + word as u32);
        words[8] = 0x1F80 | n << 13;
        words[9] = 0x037F & !0x300 | n << 10;
        Self(words)
    }
}

/// A word of the image that a puppet wrote.
fn word(puppet: Puppet, offset: u32) -> u32 {
    let page = puppet.show(6);
    test_guests::pages::peek32(page.0 + offset)
}

/// Whether the registers of a puppet are those of `state`.
fn judge(puppet: Puppet, State(words): State, round: u32) {
    check_eq!(puppet.run(save).trap(), None);
    for n in 0..4 {
        check_eq!(
            word(puppet, XMM + 4 * n),
            words[n as usize],
            "xmm0, round {round}"
        );
        check_eq!(word(puppet, XMM + 16 * 7 + 4 * n), words[n as usize + 4], "xmm7");
    }
    check_eq!(word(puppet, MXCSR), words[8], "MXCSR");
    check_eq!(word(puppet, 0) & 0xFFFF, words[9], "the control word");
    // The last integer pushed is ST0; 80 bits with its highest bit first.
    for (n, integer) in [(0, words[11]), (1, words[10])] {
        let zeros = integer.leading_zeros();
        check_eq!(word(puppet, ST + 16 * n + 4), integer << zeros, "ST{n}");
        check_eq!(word(puppet, ST + 16 * n + 8) & 0xFFFF, 0x3FFF + 31 - zeros);
    }
}

/// The registers of a domain that has used none.
fn clean(puppet: Puppet) {
    check_eq!(puppet.run(save).trap(), None);
    check_eq!(word(puppet, 0), 0x037F, "control and status word");
    check_eq!(word(puppet, 4) & 0xFF, 0, "no register of the stack is in use");
    check_eq!(word(puppet, MXCSR), 0x1F80);
    for offset in (ST..XMM + 128).step_by(4) {
        check_eq!(
            word(puppet, offset),
            0,
            "what somebody computed with, at {offset}"
        );
    }
}

/// Our own, in a register that this kernel's code does not use.
fn own() -> u32 {
    let value: u32;
    // SAFETY: reads a register.
    unsafe { asm!("movd {0:e}, xmm5", out(reg) value) }
    value
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    const OWN: u32 = 0x0D0D_0D0D;
    // SAFETY: nobody's register.
    unsafe { asm!("movd xmm5, {0:e}", in(reg) OWN) }
    let puppets = [Puppet::new(|_| ()), Puppet::new(|_| ())];
    for (n, puppet) in (1..).zip(puppets) {
        clean(puppet);
        for (at, word) in (0..).zip(State::of(n).0) {
            puppet.set_word(at, word);
        }
        check_eq!(puppet.run(set).trap(), None);
        check_eq!(own(), OWN);
    }
    let third = Puppet::new(|_| ());
    for round in 0..8 {
        for (n, puppet) in (1..).zip(puppets) {
            judge(puppet, State::of(n), round);
            check_eq!(own(), OWN, "round {round}");
        }
        clean(third);
    }
    // The trap that one asks for is its own.
    let [one, other] = puppets;
    for _ in 0..4 {
        check_eq!(one.call(CallNumber::FPU_TASKSWITCH, &[]), Ok(0));
        judge(other, State::of(2), 99);
        clean(third);
        check_eq!(own(), OWN, "and no trap");
        check_eq!(one.run(save).trap(), Some(7), "#NM for who asked");
        judge(one, State::of(1), 99);
    }
    report::success()
}
