//! Call 19: PCI configuration space and physical interrupts.
//!
//! No device is handed out yet: every well-formed question about one is answered "no such device" to a domain with
//! the right, and the lines have nothing in service. What can be said without devices is said.
//!
//! The block is copied back always, also where the command is refused.
//!
//! Source: Xen 2.0 interface: do_physdev_op.

use super::{Args, CallResult};
use crate::{context::Context, error::HvError, guest_mem::GuestPtr, outcome::Outcome, platform::Platform};
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
    let may_have_devices = cx.current_domain().has_devices;
    let result = run(&mut op, may_have_devices);
    block.write(cx.platform, &op)?;
    result.map(|()| Outcome::Return(0))
}

fn run(op: &mut PhysdevOp, may_have_devices: bool) -> Result<(), HvError> {
    if op.pad != 0 {
        return Err(HvError::Invalid);
    }
    match op.cmd {
        PhysdevCmd::PCI_CFGREG_READ => {
            let mut args: PciConfigRead = op.args();
            let result = check_function(may_have_devices, [args.bus, args.dev, args.func])
                .and_then(|()| check_register(args.reg, args.len))
                .and(Err(HvError::NoDevice));
            args.value = u32::MAX;
            op.set_args(&args);
            result
        }
        PhysdevCmd::PCI_CFGREG_WRITE => {
            let args: PciConfigWrite = op.args();
            check_function(may_have_devices, [args.bus, args.dev, args.func])?;
            check_register(args.reg, args.len)?;
            Err(HvError::NoDevice)
        }
        PhysdevCmd::PCI_INITIALISE_DEVICE => {
            let args: PciInitialiseDevice = op.args();
            check_function(may_have_devices, [args.bus, args.dev, args.func])?;
            Err(HvError::NoDevice)
        }
        PhysdevCmd::PCI_PROBE_ROOT_BUSES => {
            op.set_args(&PciProbeRootBuses::default());
            Ok(())
        }
        // No line is bound, hence none in service.
        PhysdevCmd::IRQ_UNMASK_NOTIFY => Ok(()),
        PhysdevCmd::IRQ_STATUS_QUERY => {
            let mut args: IrqStatusQuery = op.args();
            if args.irq >= MAX_QUERY_IRQ {
                return Err(HvError::Invalid);
            }
            // True of every line but the edge lines of an I/O APIC, which are not told apart yet.
            args.flags = IRQ_NEEDS_UNMASK_NOTIFY;
            op.set_args(&args);
            Ok(())
        }
        _ => Err(HvError::Invalid),
    }
}

/// Whether the caller may ask for a function, and bus, device and function are numbers that one can have.
fn check_function(may_have_devices: bool, [bus, dev, func]: [u32; 3]) -> Result<(), HvError> {
    if !may_have_devices {
        return Err(HvError::Denied);
    }
    if bus > 255 || dev > 31 || func > 7 {
        return Err(HvError::Invalid);
    }
    Ok(())
}

/// Whether register and length are those of one aligned access to the 256 bytes of configuration space.
fn check_register(reg: u32, len: u32) -> Result<(), HvError> {
    if matches!(len, 1 | 2 | 4) && reg < 256 && reg.is_multiple_of(len) {
        Ok(())
    } else {
        Err(HvError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{ARGS, World};
    use guest_abi::{errno::Errno, physdev::PhysdevArgs};

    /// Makes the call and gives EAX and the block.
    fn call<A: PhysdevArgs>(world: &mut World, args: &A) -> (u32, A) {
        world.write(ARGS, &PhysdevOp::new(args));
        let eax = world.call(19, [ARGS, 0, 0, 0, 0]);
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
        let mut world = World::new();
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
        let write = PciConfigWrite {
            len: 1,
            reg: 255,
            ..PciConfigWrite::default()
        };
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

    #[test]
    fn what_needs_no_device_is_answered() {
        let mut world = World::new();
        let none = PciProbeRootBuses { busmask: [9; 8] };
        assert_eq!(call(&mut world, &none), (0, PciProbeRootBuses::default()));
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
        let mut world = World::new();
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
        world.machine.map(ARGS / 4096, false);
        world.refused(19, [ARGS, 0, 0, 0, 0], Errno::Fault);
    }
}
