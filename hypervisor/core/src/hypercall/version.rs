//! Calls 17 and 21: what this hypervisor is, and what it does for the caller.
//!
//! Source: Xen 2.0 interface: do_xen_version, do_vm_assist.

use super::{Args, CallResult};
use crate::{
    context::Context,
    domain::{DomId, Domain},
    error::HvError,
    guest_mem::GuestPtr,
    outcome::Outcome,
    platform::Platform,
};
use guest_abi::{
    version::{EXTRAVERSION, FeatureInfo, Features, INTERFACE_VERSION, VersionCmd},
    vm_assist::{AssistCmd, AssistType},
};

/// Call 17, `xen_version(command, buffer)`. Command 0 is the cheapest call there is: the way to have pending events
/// delivered.
///
/// # Errors
/// [`HvError::NotImplemented`] for an unknown command; [`HvError::Fault`]; [`HvError::Invalid`] for an unknown word
/// of features.
#[inline(always)]
pub fn xen_version<P: Platform>(cx: &mut Context<'_, P>, [command, buffer, ..]: Args) -> CallResult {
    if command == VersionCmd::VERSION.raw() {
        return Ok(Outcome::Return(INTERFACE_VERSION));
    }
    cx.out_of_line(move |cx| describe(cx, VersionCmd::new(command), buffer))
}

/// The answer, where the interface's version is asked for.
#[inline(always)]
pub fn interface_version([command, ..]: Args) -> Option<u32> {
    (command == VersionCmd::VERSION.raw()).then_some(INTERFACE_VERSION)
}

fn describe<P: Platform>(cx: &mut Context<'_, P>, command: VersionCmd, buffer: u32) -> CallResult {
    match command {
        VersionCmd::EXTRAVERSION => GuestPtr::new(buffer)?.write(cx.platform, &EXTRAVERSION)?,
        VersionCmd::FEATURES => {
            let buffer: GuestPtr<FeatureInfo> = GuestPtr::new(buffer)?;
            let asked = buffer.read(cx.platform)?;
            if asked.submap_idx != 0 {
                return Err(HvError::Invalid);
            }
            buffer.write(
                cx.platform,
                &FeatureInfo {
                    submap_idx: 0,
                    submap: features(cx),
                },
            )?;
        }
        _ => return Err(HvError::NotImplemented),
    }
    Ok(Outcome::Return(0))
}

fn features<P: Platform>(cx: &Context<'_, P>) -> Features {
    let mut features = Features::PAE_PGDIR_ABOVE_4GB | Features::WRITABLE_PAGE_TABLES;
    features.set(Features::DOM0, cx.current_domain().id == DomId(0));
    features.set(Features::EXIT_ON_SHUTDOWN, cx.hv.exit_on_shutdown);
    features
}

/// Call 21, `vm_assist(command, type)`.
///
/// # Errors
/// [`HvError::NotImplemented`] for an unknown command and for the 4 GB-segment assists, which are not built;
/// [`HvError::Invalid`] for an unknown type.
pub fn vm_assist<P: Platform>(cx: &mut Context<'_, P>, [command, kind, ..]: Args) -> CallResult {
    set_assist(cx.domain(), command, kind)?;
    Ok(Outcome::Return(0))
}

/// Call 21 on any domain.
///
/// # Errors
/// Those of [`vm_assist`].
pub fn set_assist(domain: &mut Domain, command: u32, kind: u32) -> Result<(), HvError> {
    let command = AssistCmd::new(command);
    if command != AssistCmd::ENABLE && command != AssistCmd::DISABLE {
        return Err(HvError::NotImplemented);
    }
    let kind = AssistType::new(kind);
    match kind {
        AssistType::WRITABLE_PAGETABLES => {}
        AssistType::FOUR_GB_SEGMENTS | AssistType::FOUR_GB_SEGMENTS_NOTIFY => {
            return Err(HvError::NotImplemented);
        }
        _ => return Err(HvError::Invalid),
    }
    let bit = 1 << kind.raw();
    let assists = &mut domain.vm_assist;
    if command == AssistCmd::ENABLE {
        *assists |= bit;
    } else {
        *assists &= !bit;
    }
    Ok(())
}
