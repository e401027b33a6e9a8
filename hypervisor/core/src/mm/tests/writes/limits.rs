//! What is not emulated: other instructions, other memory than live L1s of one's own, code that cannot be fetched.

use super::*;

#[test]
fn everything_else_is_the_guests_own_fault() {
    let mut b = Bench::new();
    let page = b.page(10);
    b.regs().rax = page | P;
    for code in [
        &[0x01, 0x07][..],            // add [edi], eax
        &[0xFF, 0x07],                // inc
        &[0xF7, 0x17],                // not
        &[0xAB],                      // stosd
        &[0xF3, 0xAB],                // rep stosd
        &[0xF0, 0x89, 0x07],          // lock mov
        &[0x67, 0x89, 0x07],          // 16-bit address
        &[0x89, 0xC7],                // register form
        &[0x0F, 0xBA, 0x3F, 1],       // btc
        &[0x0F, 0x11, 0x07],          // movups
        &[0xC7, 0x4F, 4, 0, 0, 0, 0], // C7 /1
        &[0x80, 0x07, 1],             // add byte
        &[0x66; 15],
    ] {
        b.not_ours(code);
    }
    // The address is not the one that faulted.
    assert_eq!(b.run_at(&[0x89, 0x07], SLOT + 8), Emulation::NotOurs);
    // The value is one that no entry may have.
    b.regs().rax = entry(b.guest.l1(), P | RW);
    b.not_ours(&[0x89, 0x07]);
    // Across two entries.
    b.regs().rdi = u64::from(SLOT + 6);
    assert_eq!(b.run_at(&[0x89, 0x07], SLOT + 6), Emulation::NotOurs);
}

#[test]
fn only_live_l1s_of_ones_own_are_written() {
    let mut b = Bench::new();
    b.regs().rax = 0;
    let at = |b: &mut Bench, address: u32| {
        b.regs().rdi = u64::from(address);
        b.run_at(&[0x89, 0x07], address)
    };
    // The L3, an L2, the top L2, unmapped, the hypervisor's window.
    for address in [Guest::va(0), Guest::va(1), Guest::va(2), 0x7000_0000, 0xFC00_0000] {
        assert_eq!(at(&mut b, address), Emulation::NotOurs);
    }
    // An L1 that is not in use any more.
    let request = set(b.guest.l2(), 0, 0);
    must(&mut b.world, &[request]);
    assert_eq!(at(&mut b, SLOT), Emulation::NotOurs);
    // A page that is mapped writable.
    assert_eq!(at(&mut b, Guest::va(20)), Emulation::NotOurs);
}

#[test]
fn the_linear_map_is_as_good_as_any_other() {
    let mut b = Bench::new();
    let request = set(b.guest.top_l2(), 6, entry(b.guest.l2(), P));
    must(&mut b.world, &[request]);
    let at = Guest::BASE + (6 << 21) + 5 * 8;
    b.regs().rdi = u64::from(at);
    b.regs().rax = b.page(10) | P | RW;
    assert_eq!(b.run_at(&[0x89, 0x07], at), Emulation::Done);
    assert_eq!(b.entry(), b.page(10) | P | RW);
    // An L2 seen through the top L2's map of itself is still an L2.
    let request = set(b.guest.top_l2(), 7, entry(b.guest.top_l2(), P));
    must(&mut b.world, &[request]);
    let at = Guest::BASE + (7 << 21) + 7 * 4096;
    b.regs().rdi = u64::from(at);
    assert_eq!(b.run_at(&[0x89, 0x07], at), Emulation::NotOurs);
}

#[test]
fn code_is_fetched_safely_and_through_its_segment() {
    let mut b = Bench::new();
    b.regs().rax = b.page(10) | P;
    // The last bytes of the last mapped page.
    let last = Guest::va(40) - 2;
    b.world.write(last, &[0x89_u8, 0x07]);
    b.world.regs.rip = u64::from(last);
    assert_eq!(try_emulate(&mut b.world.cx(), SLOT), Emulation::Done);
    assert_eq!(b.world.regs.rip, u64::from(last) + 2);
    b.world.regs.rip = u64::from(last) + 1;
    assert_eq!(try_emulate(&mut b.world.cx(), SLOT), Emulation::NotOurs);
    // A code and a data segment with bases, in the guest's own GDT.
    let gdt = b.guest.frames[11];
    unmap(&mut b.world, &b.guest.clone(), 11);
    b.world.machine.zero(gdt);
    let descriptor = |base: u64, kind: u64| {
        0x00C0_0000_0000_0000 | 0xFFFF | 0x10 << 48 | (base & 0xFF_FFFF) << 16 | base >> 24 << 56 | kind << 40
    };
    b.world.machine.poke(gdt, 1, descriptor(0x1000, 0xBB));
    b.world.machine.poke(gdt, 2, descriptor(0x2000, 0xB3));
    let owner = b.world.owner(0);
    let page = b.world.mmu().take_descriptor_page(n(gdt), owner).unwrap();
    let vcpu = &mut b.world.hv.domains[0].as_deref_mut().unwrap().vcpus[0];
    (vcpu.gdt_frames[0], vcpu.gdt_entries) = (Some(page), 512);
    b.world.regs.cs = 8 | 1;
    let mut segments = b.world.machine.cpu.segments.get();
    segments.ds = 16 | 1;
    b.world.machine.cpu.segments.set(segments);
    b.world.regs.rdi = u64::from(SLOT - 0x2000);
    b.world.regs.rip = u64::from(last - 0x1000);
    b.world.regs.rax |= US;
    assert_eq!(try_emulate(&mut b.world.cx(), SLOT), Emulation::Done);
    assert_eq!(b.entry(), b.page(10) | P | US);
}
