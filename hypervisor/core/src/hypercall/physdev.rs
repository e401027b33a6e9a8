//! Call 19: PCI configuration space and the end of physical interrupts.
//!
//! The block is copied back always, also where the command is refused.
//!
//! Source: Xen 2.0 interface: do_physdev_op.

use super::{Args, CallResult};
use crate::{
    context::Context,
    error::HvError,
    event,
    guest_mem::GuestPtr,
    outcome::Outcome,
    pci::{self, Register, Right},
    platform::Platform,
};
use guest_abi::physdev::{
    IRQ_NEEDS_UNMASK_NOTIFY, IrqStatusQuery, MAX_QUERY_IRQ, PciConfigRead, PciConfigWrite,
    PciInitialiseDevice, PciProbeRootBuses, PhysdevCmd, PhysdevOp,
};

/// Call 19, `physdev_op(block)`.
///
/// # Errors
/// [`HvError::Fault`]; [`HvError::Invalid`] for an unknown command or arguments that name nothing;
/// [`HvError::Denied`] without the right; [`HvError::NoDevice`].
pub fn physdev_op<P: Platform>(cx: &mut Context<'_, P>, [block, ..]: Args) -> CallResult {
    let block: GuestPtr<PhysdevOp> = GuestPtr::new(block)?;
    let mut op = block.read(cx.platform)?;
    // The answer has to go back: that is found out before anything is done to a device.
    block.write(cx.platform, &op)?;
    let result = run(cx, &mut op);
    block.write(cx.platform, &op)?;
    result.map(|()| Outcome::Return(0))
}

fn run<P: Platform>(cx: &mut Context<'_, P>, op: &mut PhysdevOp) -> Result<(), HvError> {
    if op.pad != 0 {
        return Err(HvError::Invalid);
    }
    let platform = cx.platform;
    match op.cmd {
        PhysdevCmd::PCI_CFGREG_READ => {
            let mut args: PciConfigRead = op.args();
            let result = read(cx, args);
            args.value = result.unwrap_or(u32::MAX);
            op.set_args(&args);
            result.map(|_| ())
        }
        PhysdevCmd::PCI_CFGREG_WRITE => {
            let args: PciConfigWrite = op.args();
            let place = (args.reg, args.len);
            let (function, register, right) =
                function_and_register(cx, [args.bus, args.dev, args.func], place)?;
            match right {
                // It is whose it was given to.
                Right::Owner if cx.hv.given.holder(function).is_some() => Err(HvError::Denied),
                Right::Owner => {
                    platform.write_pci(function, register, args.value);
                    Ok(())
                }
                Right::Holder(index) => {
                    let held = &mut cx.hv.running_mut().io.functions[index];
                    held.write(platform, register, args.value)
                }
            }
        }
        PhysdevCmd::PCI_INITIALISE_DEVICE => {
            let args: PciInitialiseDevice = op.args();
            let (function, right) =
                pci::reach(platform, cx.current_domain(), [args.bus, args.dev, args.func])?;
            if right == Right::Owner && cx.hv.given.holder(function).is_some() {
                return Err(HvError::Denied);
            }
            pci::enable_interrupt(platform, function);
            Ok(())
        }
        PhysdevCmd::PCI_PROBE_ROOT_BUSES => {
            let domain = cx.hv.running();
            let busmask = if domain.has_devices {
                cx.hv.pci_buses
            } else {
                pci::buses_of(domain)
            };
            op.set_args(&PciProbeRootBuses { busmask });
            Ok(())
        }
        PhysdevCmd::IRQ_UNMASK_NOTIFY => {
            event::finish_lines(cx.hv, platform);
            Ok(())
        }
        PhysdevCmd::IRQ_STATUS_QUERY => {
            let mut args: IrqStatusQuery = op.args();
            if args.irq >= MAX_QUERY_IRQ {
                return Err(HvError::Invalid);
            }
            // True of every line but the edge lines of an I/O APIC, which is not used.
            args.flags = IRQ_NEEDS_UNMASK_NOTIFY;
            op.set_args(&args);
            Ok(())
        }
        _ => Err(HvError::Invalid),
    }
}

fn read<P: Platform>(cx: &mut Context<'_, P>, args: PciConfigRead) -> Result<u32, HvError> {
    let place = (args.reg, args.len);
    let (function, register, right) = function_and_register(cx, [args.bus, args.dev, args.func], place)?;
    Ok(match right {
        Right::Owner => cx.platform.read_pci(function, register),
        Right::Holder(index) => cx.hv.running().io.functions[index].read(cx.platform, register),
    })
}

/// What an access names, once it is known to be the caller's.
fn function_and_register<P: Platform>(
    cx: &mut Context<'_, P>,
    numbers: [u32; 3],
    (offset, len): (u32, u32),
) -> Result<(pci::Function, Register, Right), HvError> {
    if !cx.current_domain().drives_devices() {
        return Err(HvError::Denied);
    }
    let register = Register::new(offset, len).ok_or(HvError::Invalid)?;
    let (function, right) = pci::reach(cx.platform, cx.current_domain(), numbers)?;
    Ok((function, register, right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ARGS, World};
    use guest_abi::{errno::Errno, physdev::PhysdevArgs};

    /// Makes the call and gives EAX and the block.
    fn call<A: PhysdevArgs>(world: &mut World, args: &A) -> (u32, A) {
        world.write(ARGS, &PhysdevOp::new(args));
        let eax = world.hypercall(19, [ARGS, 0, 0, 0, 0]);
        (eax, world.read::<PhysdevOp>(ARGS).args())
    }

    fn read(bus: u32, dev: u32, func: u32, reg: u32, len: u32) -> PciConfigRead {
        PciConfigRead {
            bus,
            dev,
            func,
            reg,
            len,
            value: 5,
        }
    }

    #[test]
    fn configuration_space_needs_the_right_then_a_possible_register_then_a_device() {
        let mut world = World::running();
        world.domain(0).has_devices = false;
        let (eax, args) = call(&mut world, &read(0, 0, 0, 0, 4));
        assert_eq!((eax, args.value), (Errno::Perm.to_eax(), u32::MAX));
        world.domain(0).has_devices = true;
        let bad = [
            read(256, 0, 0, 0, 4),
            read(0, 32, 0, 0, 4),
            read(0, 0, 8, 0, 4),
            read(0, 0, 0, 256, 1),
            read(0, 0, 0, 2, 4),
            read(0, 0, 0, 1, 2),
            read(0, 0, 0, 0, 3),
            read(0, 0, 0, 0, 0),
        ];
        for args in bad {
            assert_eq!(
                call(&mut world, &args),
                (
                    Errno::Inval.to_eax(),
                    PciConfigRead {
                        value: u32::MAX,
                        ..args
                    }
                )
            );
            let write = PciConfigWrite {
                bus: args.bus,
                dev: args.dev,
                func: args.func,
                reg: args.reg,
                len: args.len,
                value: 7,
            };
            assert_eq!(call(&mut world, &write), (Errno::Inval.to_eax(), write));
        }
        assert_eq!(call(&mut world, &read(0, 31, 7, 252, 4)).0, Errno::NoDev.to_eax());
        let write = write(0, 255, 1, 0);
        assert_eq!(call(&mut world, &write).0, Errno::NoDev.to_eax());
        assert_eq!(
            call(&mut world, &PciInitialiseDevice::default()).0,
            Errno::NoDev.to_eax()
        );
        assert_eq!(
            call(
                &mut world,
                &PciInitialiseDevice {
                    dev: 32,
                    ..Default::default()
                }
            )
            .0,
            Errno::Inval.to_eax()
        );
        world.domain(0).has_devices = false;
        assert_eq!(call(&mut world, &write).0, Errno::Perm.to_eax());
        assert_eq!(
            call(&mut world, &PciInitialiseDevice::default()).0,
            Errno::Perm.to_eax()
        );
    }

    fn write(dev: u32, reg: u32, len: u32, value: u32) -> PciConfigWrite {
        PciConfigWrite {
            dev,
            reg,
            len,
            value,
            ..PciConfigWrite::default()
        }
    }

    #[test]
    fn registers_of_a_function_are_read_and_written() {
        let mut world = World::running();
        world.domain(0).has_devices = true;
        world.machine.devices.add([0, 3, 0], &[(2, 0x29), (3, 0x12)]);
        let (eax, args) = call(&mut world, &read(0, 3, 0, 0, 4));
        assert_eq!((eax, args.value), (0, 0x1229_0086));
        assert_eq!(call(&mut world, &read(0, 3, 0, 2, 1)).1.value, 0x29);
        assert_eq!(call(&mut world, &write(3, 0x10, 4, 0x1234_5678)).0, 0);
        assert_eq!(call(&mut world, &write(3, 0x12, 1, 0xFFFF_FF00)).0, 0);
        assert_eq!(call(&mut world, &read(0, 3, 0, 0x10, 4)).1.value, 0x1200_5678);
        // Not the owner's: nothing is read, nothing written.
        world.domain(0).has_devices = false;
        let (eax, args) = call(&mut world, &read(0, 3, 0, 0, 4));
        assert_eq!((eax, args.value), (Errno::Perm.to_eax(), u32::MAX));
        assert_eq!(call(&mut world, &write(3, 0x10, 4, 0)).0, Errno::Perm.to_eax());
        world.domain(0).has_devices = true;
        assert_eq!(call(&mut world, &read(0, 3, 0, 0x10, 4)).1.value, 0x1200_5678);
    }

    #[test]
    fn a_block_that_takes_no_answer_lets_nothing_happen() {
        let mut world = World::running();
        world.domain(0).has_devices = true;
        world.machine.devices.add([0, 3, 0], &[]);
        world.write(ARGS, &PhysdevOp::new(&write(3, 0x10, 4, 1)));
        world.protect(ARGS);
        world.refused(19, [ARGS, 0, 0, 0, 0], Errno::Fault);
    }

    #[test]
    fn a_functions_line_is_made_level_triggered() {
        let mut world = World::running();
        world.domain(0).has_devices = true;
        let (line, pin) = (0x3C, 0x3D);
        world.machine.devices.add([0, 3, 0], &[(line, 11), (pin, 1)]);
        world.machine.devices.add([0, 4, 0], &[(line, 10)]);
        world.machine.devices.add([0, 5, 0], &[(line, 0xFF), (pin, 1)]);
        world.machine.devices.add([0, 6, 0], &[(line, 8), (pin, 1)]);
        for dev in 3..7 {
            let args = PciInitialiseDevice {
                dev,
                ..Default::default()
            };
            assert_eq!(call(&mut world, &args).0, 0);
        }
        assert_eq!(world.machine.devices.level_lines.get(), 1 << 11);
    }

    #[test]
    fn buses_with_devices_are_known_to_their_owner() {
        let mut world = World::running();
        let (header, secondary) = (0x0E, 0x19);
        let devices = &world.machine.devices;
        devices.add([0, 0, 0], &[]);
        devices.add([0, 2, 0], &[(header, 0x81), (secondary, 40)]);
        devices.add([0, 2, 3], &[(header, 0x01), (secondary, 41)]);
        // Not a function without function 0's word that there are others; a bus without devices; a loop.
        devices.add([0, 3, 1], &[(header, 0x01), (secondary, 50)]);
        devices.add([40, 0, 0], &[(header, 0x01), (secondary, 0)]);
        world.hv.pci_buses = pci::find_buses(&world.machine);
        let none = PciProbeRootBuses { busmask: [9; 8] };
        world.domain(0).has_devices = false;
        assert_eq!(call(&mut world, &none), (0, PciProbeRootBuses::default()));
        world.domain(0).has_devices = true;
        let (eax, found) = call(&mut world, &none);
        assert_eq!((eax, found.busmask), (0, [1, 1 << 8, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn what_needs_no_device_is_answered() {
        let mut world = World::running();
        assert_eq!(call(&mut world, &guest_abi::physdev::IrqUnmaskNotify {}).0, 0);
        let query = |irq| IrqStatusQuery { irq, flags: 0 };
        assert_eq!(
            call(&mut world, &query(207)),
            (0, IrqStatusQuery { irq: 207, flags: 1 })
        );
        assert_eq!(call(&mut world, &query(208)), (Errno::Inval.to_eax(), query(208)));
    }

    #[test]
    fn bad_blocks_are_refused() {
        let mut world = World::running();
        world.write(
            ARGS,
            &PhysdevOp {
                cmd: PhysdevCmd::new(6),
                ..PhysdevOp::default()
            },
        );
        world.refused(19, [ARGS, 0, 0, 0, 0], Errno::Inval);
        let mut op = PhysdevOp::new(&PciProbeRootBuses::default());
        op.pad = 1;
        world.write(ARGS, &op);
        world.refused(19, [ARGS, 0, 0, 0, 0], Errno::Inval);
        world.refused(19, [0, 0, 0, 0, 0], Errno::Fault);
        world.refused(19, [0xFC00_0000 - 39, 0, 0, 0, 0], Errno::Fault);
        world.write(ARGS, &PhysdevOp::new(&PciProbeRootBuses::default()));
        world.protect(ARGS);
        world.refused(19, [ARGS, 0, 0, 0, 0], Errno::Fault);
    }
}
