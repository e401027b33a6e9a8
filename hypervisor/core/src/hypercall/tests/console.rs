//! Call 18.

use super::*;

/// Defect 27: the right was domain 0's number, not privilege.
#[test]
fn the_console_is_for_the_privileged_whatever_their_number() {
    let mut world = World::running();
    world.write(ARGS, b"hello");
    assert_eq!(world.hypercall(18, [0, 5, ARGS, 0, 0]), 5);
    assert_eq!(*world.machine.output.borrow(), b"hello");
    world.hv.current = world.add_domain(DomId(3), true);
    assert_eq!(world.hypercall(18, [0, 5, ARGS, 0, 0]), 5);
    world.hv.current = world.add_domain(DomId(4), false);
    world.refused(18, [0, 5, ARGS, 0, 0], Errno::Perm);
    world.hv.current = 0;
    world.domain(0).is_privileged = false;
    world.refused(18, [1, 5, ARGS, 0, 0], Errno::Perm);
}

#[test]
fn console_output_is_cut_to_what_can_be_read() {
    let mut world = World::running();
    assert_eq!(world.hypercall(18, [0, 10_000, ARGS, 0, 0]), 4095);
    assert_eq!(world.machine.output.borrow().len(), 4095);
    // Only the first chunk of 256 bytes is mapped as a whole.
    assert_eq!(world.hypercall(18, [0, 1000, ARGS + 0x2000 - 300, 0, 0]), 256);
    world.refused(18, [0, 1000, ARGS + 0x2000 - 100, 0, 0], Errno::Fault);
    world.refused(18, [0, 4095, HV_START - 100, 0, 0], Errno::Fault);
    world.refused(18, [2, 1, ARGS, 0, 0], Errno::NoSys);
    assert_eq!(world.hypercall(18, [0, 0, 0, 0, 0]), 0);
}

#[test]
fn console_input_is_not_lost_when_it_cannot_be_given() {
    let mut world = World::running();
    world.machine.input.borrow_mut().extend(b"abc");
    world.refused(18, [1, 10, 0x7000_0000, 0, 0], Errno::Fault);
    world.protect(INNER_ESP - 4096);
    world.refused(18, [1, 10, INNER_ESP - 100, 0, 0], Errno::Fault);
    world.write(ARGS, b"????");
    assert_eq!(world.hypercall(18, [1, 2, ARGS, 0, 0]), 2);
    assert_eq!(world.hypercall(18, [1, 10, ARGS + 2, 0, 0]), 1);
    assert_eq!(world.read::<[u8; 4]>(ARGS), *b"abc?");
    assert_eq!(world.hypercall(18, [1, 10, ARGS, 0, 0]), 0);
}
