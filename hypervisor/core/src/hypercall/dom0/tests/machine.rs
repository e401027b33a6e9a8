//! What the commands about the machine do, and those about what the hypervisor noted: memory, the log, registers, a crash.

use super::{bench::Bench, op, refused};
use crate::{
    crash,
    domain::DomId,
    outcome::CrashReason,
    sched::Held,
    testing::{ARGS, World},
};
use guest_abi::{
    addr::GuestVirt,
    domain::DomId as WireId,
    domctl::{CrashCode, GetCrash, Msr, PhysInfo, READCONSOLE_CLEAR, ReadConsole},
    errno::Errno,
    sched::ShutdownReason,
};

#[test]
fn memory_adds_up() {
    let mut bench = Bench::new();
    let ask = |bench: &mut Bench| bench.op(&PhysInfo::default()).unwrap();
    let before = ask(&mut bench);
    assert_eq!(
        (before.total_pages, before.max_frame, before.cpu_khz),
        (512, 512, 2_000_000)
    );
    assert_eq!(before.hypervisor_pages, 512 - before.free_pages - 40);
    bench.make(1, 16);
    let after = ask(&mut bench);
    assert_eq!(after.free_pages, before.free_pages - 18);
    assert_eq!(after.hypervisor_pages, before.hypervisor_pages + 2);
}

#[test]
fn a_crash_leaves_reason_registers_and_stack() {
    let mut world = World::running();
    let slot = world.add_domain(DomId(5), false);
    let ask = GetCrash {
        domain: WireId::new(5),
        ..GetCrash::default()
    };
    refused(&mut world, &ask, Errno::NoData);
    world.hv.current = slot;
    let top = ARGS + 0x2000;
    world.regs.rsp = u64::from(top - 8);
    (world.regs.vector, world.regs.error_code) = (14, 6);
    world.write(top - 8, &[0x11_u32, 0x22]);
    crash::current_domain(&mut world.cx(), CrashReason::NoHandler { vector: 14 });
    world.hv.current = 0;
    let crash = op(&mut world, &ask);
    assert_eq!((crash.code, crash.detail), (CrashCode::NO_HANDLER, 14));
    assert_eq!((crash.vector, crash.error_code), (14, 6));
    assert_eq!((crash.nr_stack, &crash.stack[..3]), (2, &[0x11, 0x22, 0][..]));
    assert!(world.domain(slot).run.held.contains(Held::CRASHED));
    // One that says so itself.
    world.hv.current = slot;
    world.hypercall(6, [u32::from(ShutdownReason::CRASH.raw()) << 8 | 2, 0, 0, 0, 0]);
    world.hv.current = 0;
    assert_eq!(op(&mut world, &ask).code, CrashCode::REQUESTED);
}

#[test]
fn the_log_is_read_from_its_newest_end() {
    let mut world = World::running();
    let text: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
    world.machine.output.borrow_mut().extend_from_slice(&text);
    let buffer = ARGS + 0x1000;
    let ask = |count, flags| ReadConsole {
        buffer: GuestVirt::new(buffer),
        count,
        flags,
    };
    let read = |world: &mut World, args: &ReadConsole| {
        world.write(ARGS, &guest_abi::domctl::Dom0Op::new(args));
        world.hypercall(7, [ARGS, 0, 0, 0, 0])
    };
    assert_eq!(read(&mut world, &ask(300, 0)), 300);
    let got: Vec<u8> = (0..300).map(|n| world.read::<u8>(buffer + n)).collect();
    assert_eq!(got, text[700..]);
    assert_eq!(read(&mut world, &ask(4000, READCONSOLE_CLEAR)), 1000);
    let got: Vec<u8> = (0..1000).map(|n| world.read::<u8>(buffer + n)).collect();
    assert_eq!(got, text);
    assert_eq!(read(&mut world, &ask(4000, 0)), 0, "it was forgotten");
    refused(&mut world, &ask(4000, 2), Errno::Inval);
}

#[test]
fn registers_are_read_and_a_few_written() {
    let mut world = World::running();
    for register in [0x10, 0x19B, 0xC000_0080] {
        world.machine.cpu.msrs.borrow_mut().insert(register, 7);
    }
    let msr = |msr, write| Msr {
        write,
        cpu_mask: 1,
        msr,
        pad: 0,
        value: 9,
    };
    assert_eq!(op(&mut world, &msr(0x10, 0)).value, 7);
    op(&mut world, &msr(0x19B, 1));
    assert_eq!(op(&mut world, &msr(0x19B, 0)).value, 9);
    refused(&mut world, &msr(0xC000_0080, 0), Errno::Perm);
    refused(&mut world, &msr(0xC000_0080, 1), Errno::Perm);
    refused(&mut world, &msr(0x10, 1), Errno::Perm);
    refused(&mut world, &msr(0x11, 0), Errno::Inval);
    refused(&mut world, &msr(0x199, 1), Errno::Inval);
}
