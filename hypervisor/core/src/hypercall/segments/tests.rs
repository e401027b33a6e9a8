use crate::{
    context::Context,
    error::HvError,
    hypercall,
    mm::{
        Kind, MmError,
        pte::{P, RW, US},
    },
    outcome::Outcome,
    platform::FrameMemory,
    regs::UserRegs,
    segment::{LDT_WINDOW, SegmentError, check_descriptor},
    testing::{Guest, Work, World, entry},
    trap,
};
use guest_abi::{
    addr::{GuestVirt, HV_START, MachAddr, Mfn},
    mmu::{Extended, MmuUpdate},
};

/// Ring-3 data: base 0x1000, one page.
const GOOD: u64 = 0x0040_F200_1000_0FFF;
/// Ring-1 data of 4 GiB, and what it is cut to.
const LARGE: u64 = 0x00CF_B200_0000_FFFF;
const CUT: u64 = 0x00CF_B200_0000_C3FF;
/// 64-bit code.
const LONG: u64 = 0x00AF_BA00_0000_FFFF;
/// A call gate of level 3 to ring-1 code.
const GATE: u64 = 0x0000_EC00_E019_0000;

const DONE: Result<Outcome, HvError> = Ok(Outcome::Return(0));

/// Where the tests keep lists of frames.
const LIST: usize = 39;

/// Maps page `n` of the guest with `flags`; 0 unmaps it.
fn remap(world: &mut World, guest: &Guest, n: usize, flags: u64) -> Result<Outcome, HvError> {
    let value = if flags == 0 {
        0
    } else {
        entry(guest.frames[n], flags)
    };
    let page = Guest::va(n) >> 12;
    world.call(14, [page, value as u32, (value >> 32) as u32, 2, 0])
}

/// A world whose guest's pages 10 to 29 are not mapped and hold zeroes.
fn world() -> (World, Guest) {
    let (mut world, guest) = World::with_dom0();
    for n in 10..30 {
        assert_eq!(remap(&mut world, &guest, n, 0), DONE);
        world.machine.zero_frame(guest.frames[n]);
    }
    (world, guest)
}

fn set_gdt(world: &mut World, frames: &[Mfn], entries: u32) -> Result<Outcome, HvError> {
    for (n, frame) in frames.iter().enumerate() {
        assert!(world.guest_write(Guest::va(LIST) + n as u32 * 4, frame.raw()));
    }
    world.call(2, [Guest::va(LIST), entries, 0, 0, 0])
}

#[track_caller]
fn gdt_refused(world: &mut World, frames: &[Mfn], entries: u32) -> HvError {
    for (n, frame) in frames.iter().enumerate() {
        assert!(world.guest_write(Guest::va(LIST) + n as u32 * 4, frame.raw()));
    }
    let before = world.snapshot();
    let loaded = world.machine.cpu.gdt.borrow().clone();
    let error = set_gdt(world, frames, entries).expect_err("refused");
    world.assert_unchanged_since(&before);
    assert_eq!(*world.machine.cpu.gdt.borrow(), loaded);
    error
}

/// Makes call 10 through its thunk, short way included; a refusal is asked for again on the long way, to say why.
fn update(world: &mut World, address: u64, descriptor: u64) -> Result<Outcome, HvError> {
    let low_high = |value: u64| (value as u32, (value >> 32) as u32);
    let ((a, b), (c, d)) = (low_high(address), low_high(descriptor));
    let mut regs = world.regs;
    let mut cx = Context {
        hv: &mut world.hv,
        platform: &world.machine,
        regs: &mut regs,
    };
    match hypercall::call::<_, 10>(&mut cx, [a, b, c, d, 0]) {
        0 => DONE,
        eax => {
            let refusal = world.call(10, [a, b, c, d, 0]);
            assert_eq!(refusal.map_err(|e| e.errno().to_eax()), Err(eax));
            refusal
        }
    }
}

#[track_caller]
fn update_refused(world: &mut World, address: u64, descriptor: u64) -> HvError {
    let before = world.snapshot();
    let error = update(world, address, descriptor).expect_err("refused");
    world.assert_unchanged_since(&before);
    error
}

#[test]
fn a_gdt_is_judged_cut_loaded_and_read_only() {
    let (mut world, guest) = world();
    let frames = [guest.frames[10], guest.frames[11]];
    world.machine.poke(frames[0], 1, LARGE);
    world.machine.poke(frames[1], 511, GOOD);
    assert_eq!(set_gdt(&mut world, &frames, 513), DONE);
    assert_eq!(*world.machine.cpu.gdt.borrow(), (frames.to_vec(), 513));
    assert_eq!(world.machine.peek(frames[0], 1), CUT);
    assert_eq!(world.machine.peek(frames[1], 511), GOOD);
    let denied = remap(&mut world, &guest, 10, P | RW | US);
    assert!(matches!(
        denied,
        Err(HvError::Mm(MmError::TypeConflict {
            have: Kind::SegDesc,
            ..
        }))
    ));
    assert_eq!(remap(&mut world, &guest, 10, P | US), DONE);
}

#[test]
fn a_new_gdt_sets_the_old_frames_free() {
    let (mut world, guest) = world();
    assert_eq!(set_gdt(&mut world, &guest.frames[10..12], 1024), DONE);
    assert_eq!(set_gdt(&mut world, &guest.frames[11..12], 512), DONE);
    assert_eq!(remap(&mut world, &guest, 10, P | RW | US), DONE);
    assert!(remap(&mut world, &guest, 11, P | RW | US).is_err());
    let vcpu = &world.hv.domain_at(guest.slot).expect("it runs").vcpus[0];
    assert_eq!(
        (vcpu.gdt_entries, vcpu.gdt_frames[0], vcpu.gdt_frames[1]),
        (512, Some(guest.frames[11]), None)
    );
}

#[test]
fn fourteen_frames_are_the_most() {
    let (mut world, guest) = world();
    let frames = &guest.frames[10..24];
    assert_eq!(set_gdt(&mut world, frames, 7168), DONE);
    assert_eq!(world.machine.cpu.gdt.borrow().0.len(), 14);
    assert_eq!(gdt_refused(&mut world, frames, 7169), HvError::Invalid);
    assert_eq!(gdt_refused(&mut world, frames, 0), HvError::Invalid);
    assert_eq!(gdt_refused(&mut world, frames, u32::MAX), HvError::Invalid);
}

#[test]
fn a_list_that_cannot_be_read_is_refused() {
    let (mut world, _) = world();
    for at in [HV_START - 4, HV_START, u32::MAX, Guest::va(10), Guest::va(10) - 4] {
        let before = world.snapshot();
        assert_eq!(world.call(2, [at, 1024, 0, 0, 0]), Err(HvError::Fault));
        world.assert_unchanged_since(&before);
    }
}

#[test]
fn a_bad_frame_keeps_the_old_gdt_in_force() {
    let (mut world, guest) = world();
    assert_eq!(set_gdt(&mut world, &guest.frames[10..11], 512), DONE);
    let other = world.add_guest(1, false, 40);
    world.switch_to(&guest);
    let good = guest.frames[11];
    for bad in [
        guest.frames[30],
        guest.l1(),
        other.frames[20],
        Mfn::new(20),
        Mfn::new(0x7FFF_FFFF),
    ] {
        assert!(
            matches!(gdt_refused(&mut world, &[good, bad], 1024), HvError::Mm(_)),
            "{bad:?}"
        );
    }
    for descriptor in [LONG, GATE, LARGE & !(3 << 45), LARGE & !(1 << 54)] {
        world.machine.poke(guest.frames[12], 300, descriptor);
        let error = gdt_refused(&mut world, &[good, guest.frames[12]], 513);
        assert_eq!(error, HvError::Mm(MmError::BadDescriptor(guest.frames[12])));
    }
}

#[test]
fn judging_pauses_and_goes_on() {
    let (mut world, guest) = world();
    world.machine.work.set(Work::Always);
    for n in 10..24 {
        world.machine.poke(guest.frames[n], 5, LARGE);
    }
    let args = [Guest::va(LIST), 7168, 0, 0, 0];
    for (n, frame) in guest.frames[10..24].iter().enumerate() {
        assert!(world.guest_write(Guest::va(LIST) + n as u32 * 4, frame.raw()));
    }
    assert_eq!(world.call_once(2, args), Ok(Outcome::Again(args)));
    assert_eq!(world.call(2, args), DONE);
    assert!(
        guest.frames[10..24]
            .iter()
            .all(|&frame| world.machine.peek(frame, 5) == CUT)
    );
}

#[test]
fn a_descriptor_goes_into_a_live_table_or_one_to_be() {
    let (mut world, guest) = world();
    assert_eq!(set_gdt(&mut world, &guest.frames[10..11], 512), DONE);
    let live = guest.frames[10].addr().raw();
    assert_eq!(update(&mut world, live + 8 * 6, LARGE), DONE);
    assert_eq!(world.machine.peek(guest.frames[10], 6), CUT);
    assert_eq!(update(&mut world, live + 8 * 6, 0), DONE);
    assert_eq!(world.machine.peek(guest.frames[10], 6), 0);
    // A frame that is mapped writable, and one that is not mapped at all.
    for n in [30, 12] {
        let address = guest.frames[n].addr().raw() + 4088;
        assert_eq!(update(&mut world, address, GOOD), DONE);
        assert_eq!(world.machine.peek(guest.frames[n], 511), GOOD);
    }
}

#[test]
fn a_descriptor_that_is_not_safe_is_refused_in_either() {
    let (mut world, guest) = world();
    assert_eq!(set_gdt(&mut world, &guest.frames[10..11], 512), DONE);
    for n in [10, 30] {
        let frame = guest.frames[n];
        for descriptor in [
            LONG,
            GATE,
            LARGE & !(3 << 45),
            LARGE & !(1 << 54),
            0x0000_8900_0000_0067,
        ] {
            let error = update_refused(&mut world, frame.addr().raw(), descriptor);
            assert_eq!(error, HvError::Invalid);
        }
    }
    assert_eq!(
        check_descriptor(LONG, world.hv.segment_limits),
        Err(SegmentError::Long)
    );
}

#[test]
fn a_descriptor_has_no_place_in_other_frames() {
    let (mut world, guest) = world();
    let other = world.add_guest(1, false, 40);
    world.switch_to(&guest);
    for frame in [
        guest.l1(),
        guest.l2(),
        guest.top_l2(),
        guest.l3(),
        other.frames[20],
        Mfn::new(20),
        Mfn::new(0xFFFF),
    ] {
        let error = update_refused(&mut world, frame.addr().raw(), GOOD);
        assert!(matches!(error, HvError::Mm(_)), "{frame:?}");
        assert_eq!(error.errno(), guest_abi::errno::Errno::Inval);
    }
    let frame = guest.frames[30].addr().raw();
    for address in [frame + 4, frame + 1, u64::MAX, 1 << 52] {
        update_refused(&mut world, address, GOOD);
    }
}

/// Handles a trap of the running guest, which must leave its registers alone.
fn restarts(world: &mut World, cr2: u64) -> bool {
    let mut regs = UserRegs {
        cs: 0xE02B,
        rip: 0x1234,
        ..UserRegs::ZERO
    };
    let before = regs;
    let mut cx = Context {
        hv: &mut world.hv,
        platform: &world.machine,
        regs: &mut regs,
    };
    trap::page_fault(&mut cx, 0, cr2).is_ok() && regs == before
}

#[test]
fn an_ldt_page_is_mapped_when_the_processor_reads_from_it() {
    let (mut world, guest) = world();
    for n in [10, 11, 12] {
        assert_eq!(remap(&mut world, &guest, n, P | US), DONE);
    }
    world.machine.poke(guest.frames[11], 7, LARGE);
    world.machine.poke(guest.frames[12], 7, LONG);
    let base = GuestVirt::new(Guest::va(10));
    let request = MmuUpdate::extended(Extended::SetLdt { base, entries: 1500 });
    for (n, word) in [request.ptr, request.val].into_iter().enumerate() {
        let at = Guest::va(LIST) + n as u32 * 8;
        assert!(world.guest_write(at, word as u32) && world.guest_write(at + 4, (word >> 32) as u32));
    }
    assert_eq!(
        world.call(1, [Guest::va(LIST), 1, 0, 0, 0]),
        Ok(Outcome::Return(0))
    );
    assert_eq!(world.machine.cpu.ldt.borrow().1, 1500);
    assert_eq!(
        world.machine.cpu.ldt.borrow().0,
        [(0, guest.frames[10])].into(),
        "the first page at once"
    );

    assert!(restarts(&mut world, LDT_WINDOW + 0x1038));
    assert_eq!(world.machine.cpu.ldt.borrow().0[&1], guest.frames[11]);
    assert_eq!(world.machine.peek(guest.frames[11], 7), CUT);
    // An unsafe descriptor, a page beyond the table, one that is mapped already: the guest's own fault.
    for address in [0x2038, 0x3000, 0x1038] {
        assert!(!restarts(&mut world, LDT_WINDOW + address));
    }
    // From now on the guest edits it by call.
    let descriptor = MachAddr::new(guest.frames[11].addr().raw() + 8).raw();
    assert_eq!(update(&mut world, descriptor, GOOD), DONE);
    assert!(remap(&mut world, &guest, 11, P | RW | US).is_err());
}
