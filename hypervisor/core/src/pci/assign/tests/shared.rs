//! Frames that several functions share.

use super::*;

/// Two functions with 256 bytes of registers each, in the same frame; the first has a frame of its own too.
const TWINS: [[u32; 3]; 2] = [[3, 4, 0], [3, 4, 1]];
const COMMON: u64 = 0xF100_0000 >> 12;
const OWN: u64 = 0xF200_0000 >> 12;

fn add_twins(world: &World) {
    let devices = &world.machine.devices;
    devices.add(TWINS[0], &[(0x0E, 0x80), (BEGIN + 3, 0xF1), (BEGIN + 7, 0xF2)]);
    devices.add(TWINS[1], &[(BEGIN + 1, 0x08), (BEGIN + 3, 0xF1)]);
    devices.set_sizes(TWINS[0], [0xFFFF_FF00, 0xFFFF_F000, 0, 0, 0, 0]);
    devices.set_sizes(TWINS[1], [0xFFFF_FF00, 0, 0, 0, 0, 0]);
}

#[test]
fn a_frame_with_registers_of_another_function_comes_with_the_last_of_them() {
    let mut world = world();
    add_twins(&world);
    let maps = |world: &mut World| {
        let mut of = |slot: usize| {
            (
                world.domain(slot).io.may_map(COMMON),
                world.domain(slot).io.may_map(OWN),
            )
        };
        (of(1), of(2))
    };
    const NOTHING: (bool, bool) = (false, false);
    allow(&mut world, &access(5, TWINS[0], 1));
    assert_eq!(maps(&mut world), ((false, true), NOTHING));
    assert!(
        !world.hv.given.is_kept_from(0, COMMON),
        "Domain0 drives the other"
    );
    allow(&mut world, &access(5, TWINS[1], 1));
    assert_eq!(maps(&mut world), ((true, true), NOTHING));
    assert!(world.hv.given.is_kept_from(0, COMMON));
    allow(&mut world, &access(5, TWINS[0], 0));
    assert_eq!(maps(&mut world), (NOTHING, NOTHING));
    assert!(!world.hv.given.is_kept_from(0, COMMON));
    // One each: nobody has the frame.
    allow(&mut world, &access(6, TWINS[0], 1));
    assert_eq!(maps(&mut world), (NOTHING, (false, true)));
    end(&mut world, 1);
    assert_eq!(maps(&mut world), (NOTHING, (false, true)), "Domain0 has it now");
    allow(&mut world, &access(6, TWINS[1], 1));
    assert_eq!(maps(&mut world), (NOTHING, (true, true)));
}
