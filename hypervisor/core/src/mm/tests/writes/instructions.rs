//! What each instruction writes, reads back and leaves in the flags.

use super::*;

#[test]
fn an_entry_is_set_and_cleared_in_halves() {
    let mut b = Bench::new();
    let low = b.page(10) | P | RW | US;
    // Upper half, lower half: mov [edi+4], edx; mov [edi], eax.
    (b.regs().rax, b.regs().rdx) = (low, NX >> 32);
    assert_eq!(b.run_at(&[0x89, 0x57, 4], SLOT + 4), Emulation::Done);
    b.done(&[0x89, 0x07]);
    assert_eq!(b.entry(), low | NX);
    assert_eq!(b.world.info(b.guest.frames[10]).type_word().count(), 2);
    assert!(b.world.guest_write(0x5000, 1));
    // Lower half first when it goes: mov dword [edi], 0; mov dword [edi+4], 0.
    b.done(&[0xC7, 0x07, 0, 0, 0, 0]);
    assert_eq!(b.entry(), NX);
    assert_eq!(b.run_at(&[0xC7, 0x47, 4, 0, 0, 0, 0], SLOT + 4), Emulation::Done);
    assert_eq!((b.entry(), b.flags()), (0, ALL));
}

#[test]
fn an_upper_half_that_does_not_fit_is_stored_not_present() {
    let mut b = Bench::new();
    b.world.hv.domains[0].as_deref_mut().unwrap().is_privileged = false;
    b.set_entry(b.page(10) | P | RW);
    // With this upper half the entry names a frame far beyond RAM.
    b.regs().rdx = 0x3;
    assert_eq!(b.run_at(&[0x89, 0x57, 4], SLOT + 4), Emulation::Done);
    assert_eq!(b.entry(), b.page(10) | RW | 3 << 32);
    assert_eq!(b.world.info(b.guest.frames[10]).type_word().count(), 1);
    // But not with bits that no entry may have, and not by anything but a move.
    b.set_entry(b.page(10) | P | RW);
    b.regs().rdx = 1 << 27;
    assert_eq!(b.run_at(&[0x89, 0x57, 4], SLOT + 4), Emulation::NotOurs);
    b.regs().rdx = 3;
    assert_eq!(b.run_at(&[0x87, 0x57, 4], SLOT + 4), Emulation::NotOurs);
    // A lower half that does not fit is refused.
    b.set_entry(3 << 32);
    b.regs().rax = b.page(10) | P;
    b.world.hv.domains[0].as_deref_mut().unwrap().is_privileged = false;
    b.not_ours(&[0x89, 0x07]);
}

#[test]
fn moves_of_every_width_and_addressing() {
    let mut b = Bench::new();
    let high = b.page(10);
    b.set_entry(high | P);
    // mov [edi], al: flags of the entry.
    b.regs().rax = 0xFFFF_FF00 | P | US;
    b.done(&[0x88, 0x07]);
    assert_eq!(b.entry(), high | P | US);
    // mov [edi], ah.
    b.regs().rax = 0x2100;
    b.done(&[0x88, 0x27]);
    assert_eq!(b.entry(), high | 0x21);
    // mov byte [edi], imm8; mov word [edi], ax; mov word [edi], imm16.
    b.done(&[0xC6, 0x07, 0x61]);
    assert_eq!(b.entry(), high | 0x61);
    b.regs().rax = (high | 0x25) & 0xFFFF;
    b.done(&[0x66, 0x89, 0x07]);
    assert_eq!(b.entry(), high | 0x25);
    let bytes = (high as u16 | 1).to_le_bytes();
    b.done(&[0x66, 0xC7, 0x07, bytes[0], bytes[1]]);
    assert_eq!(b.entry(), high | 1);
    // mov [moffs], eax; mov [moffs], al.
    b.regs().rax = high | 0x23;
    let at = SLOT.to_le_bytes();
    b.done(&[0xA3, at[0], at[1], at[2], at[3]]);
    assert_eq!(b.entry(), high | 0x23);
    b.regs().rax = 0x27;
    b.done(&[0xA2, at[0], at[1], at[2], at[3]]);
    assert_eq!(b.entry(), high | 0x27);
    // Addresses: [disp32]; [ecx+esi*8-0x10]; [esp+disp8]; [ebp+disp32]; [esi*4+disp32]; a segment prefix.
    b.regs().rax = high | 1;
    b.done(&[0x89, 0x05, at[0], at[1], at[2], at[3]]);
    (b.regs().rcx, b.regs().rsi) = (u64::from(SLOT - 5 * 8 + 0x10), 5);
    b.done(&[0x89, 0x44, 0xF1, 0xF0]);
    b.regs().rsp = u64::from(SLOT + 0x20);
    b.done(&[0x89, 0x44, 0x24, 0xE0]);
    b.regs().rbp = u64::from(SLOT.wrapping_sub(0x1234_5678));
    b.done(&[0x89, 0x85, 0x78, 0x56, 0x34, 0x12]);
    let far = SLOT.wrapping_sub(20).to_le_bytes();
    b.done(&[0x89, 0x04, 0xB5, far[0], far[1], far[2], far[3]]);
    b.done(&[0x26, 0x89, 0x07]);
    b.done(&[0x64, 0x89, 0x07]);
    assert_eq!((b.entry(), b.flags()), (high | 1, ALL));
}

#[test]
fn exchanges() {
    let mut b = Bench::new();
    let (old, new) = (b.page(10) | P | RW, b.page(12) | P | US);
    b.set_entry(old);
    b.regs().rax = new;
    b.done(&[0x87, 0x07]);
    assert_eq!((b.entry(), b.regs().rax), (new, old));
    b.done(&[0xF0, 0x87, 0x07]);
    assert_eq!((b.entry(), b.regs().rax), (old, new));
    // xchg [edi], ch.
    b.regs().rcx = 0xAAAA_21BB;
    b.done(&[0x86, 0x2F]);
    assert_eq!((b.entry(), b.regs().rcx), (old & !0xFF | 0x21, 0xAAAA_03BB));
    assert_eq!(b.flags(), ALL);
}

#[test]
fn compare_and_exchange() {
    let mut b = Bench::new();
    let (old, new) = (b.page(10) | P | RW, b.page(12) | P);
    b.set_entry(old);
    // lock cmpxchg [edi], ecx: equal, then not.
    (b.regs().rax, b.regs().rcx) = (old, new);
    b.done(&[0xF0, 0x0F, 0xB1, 0x0F]);
    assert_eq!((b.entry(), b.regs().rax, b.flags()), (new, old, ZF | PF));
    b.regs().rax = 0;
    b.done(&[0x0F, 0xB1, 0x0F]);
    assert_eq!((b.entry(), b.regs().rax), (new, new));
    assert_eq!(b.flags() & (CF | ZF), CF, "0 is below it");
    // The byte form: cmpxchg [edi], cl.
    (b.regs().rax, b.regs().rcx) = (0xFFFF_FF00 | new & 0xFF, 0x25);
    b.done(&[0x0F, 0xB0, 0x0F]);
    assert_eq!(b.entry(), new & !0xFF | 0x25);
    // cmpxchg8b [edi].
    let whole = b.page(10) | P | RW | NX;
    (b.regs().rdx, b.regs().rax) = (0, b.entry());
    (b.regs().rcx, b.regs().rbx) = (whole >> 32, whole & 0xFFFF_FFFF);
    b.regs().rflags = 0x202;
    b.done(&[0xF0, 0x0F, 0xC7, 0x0F]);
    assert_eq!((b.entry(), b.flags()), (whole, ZF));
    b.done(&[0x0F, 0xC7, 0x0F]);
    assert_eq!(
        (b.regs().rdx, b.regs().rax, b.flags()),
        (whole >> 32, whole & 0xFFFF_FFFF, 0)
    );
    assert_eq!(
        b.run_at(&[0x0F, 0xC7, 0x4F, 4], SLOT + 4),
        Emulation::NotOurs,
        "over two entries"
    );
}

#[test]
fn logic_and_bits() {
    let mut b = Bench::new();
    let page = b.page(10);
    b.set_entry(page | P | RW);
    // and dword [edi], ~RW (sign-extended byte); or byte [edi], US; xor [edi], eax.
    b.done(&[0xF0, 0x83, 0x27, 0xFD]);
    assert_eq!((b.entry(), b.flags() & !0x10), (page | P, 0));
    b.done(&[0x80, 0x0F, 0x84 ^ 0x80]);
    assert_eq!((b.entry(), b.flags() & !0x10), (page | P | US, PF));
    b.regs().rax = US;
    b.done(&[0x31, 0x07]);
    assert_eq!(b.entry(), page | P);
    b.done(&[0x81, 0x37, 0x20, 0, 0, 0]);
    assert_eq!(b.entry(), page | P | 0x20);
    b.regs().rax = 0xFFFF_FFDF;
    b.done(&[0x21, 0x07]);
    b.regs().rax = 0x40;
    b.done(&[0x09, 0x07]);
    assert_eq!(b.entry(), page | P | 0x40);
    b.regs().rax = 0x61;
    b.done(&[0x08, 0x07]);
    b.regs().rax = 0x41;
    b.done(&[0x20, 0x07]);
    assert_eq!((b.entry(), b.flags() & (SF | ZF | CF)), (page | 0x41, 0));
    b.set_entry(page | P | RW);
    // lock btr dword [edi], 1; bts dword [edi], 6; bit numbers beyond 31 reach further.
    b.regs().rflags = 0x202;
    b.done(&[0xF0, 0x0F, 0xBA, 0x37, 1]);
    assert_eq!((b.entry(), b.flags()), (page | P, CF));
    b.done(&[0x0F, 0xBA, 0x2F, 6]);
    assert_eq!((b.entry(), b.flags()), (page | P | 0x40, 0));
    b.regs().rax = 63;
    assert_eq!(b.run_at(&[0x0F, 0xAB, 0x07], SLOT + 4), Emulation::Done);
    assert_eq!(b.entry(), page | P | 0x40 | NX);
    // The bit before: lock btr [edi + 4 - 4], 6 by a register of -26.
    (b.regs().rax, b.regs().rdi) = (u64::from(-26i32 as u32), u64::from(SLOT + 4));
    b.done(&[0x0F, 0xB3, 0x07]);
    assert_eq!((b.entry(), b.flags()), (page | P | NX, CF));
    // With the present bit alone the frame would stay behind.
    b.regs().rax = u64::from(-32i32 as u32);
    b.not_ours(&[0x0F, 0xB3, 0x07]);
}
