//! A domain's life: create, build, pause, inspect, destroy.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GuestVirt, Mfn};
use crate::domain::DomId;
use crate::sched::ShutdownReason;

open_number! {
    /// Which guest interface a domain speaks; fixed at its creation.
    Personality: u16 {
        /// The 23 calls of this crate.
        V2 = 2, "v2";
    }
}

/// [`CreateDomain::cpu`]: the hypervisor chooses.
pub const CPU_ANY: i32 = -1;

/// `createdomain`: a paused domain with its memory. −EINVAL (id taken, unknown personality, pads), −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CreateDomain {
    /// Memory to allocate in KiB, rounded up to pages; it is the domain's limit too.
    pub memory_kb: u64,
    /// Processor to run on (modulo how many there are), or [`CPU_ANY`].
    pub cpu: i32,
    /// *In/out*: the id; 0 or a reserved id asks for a free one.
    pub domain: DomId,
    /// The interface it speaks.
    pub personality: Personality,
}

layout!(CreateDomain, size 16, memory_kb @ 0, cpu @ 8, domain @ 12, personality @ 14);

/// Declares argument structures that are a domain and nothing else.
macro_rules! domain_only {
    ($( $(#[$meta:meta])* $Name:ident; )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $Name {
            /// Which domain.
            pub domain: DomId,
            /// Must be 0.
            pub pad: u16,
        }

        layout!($Name, size 4, domain @ 0);
    )+ };
}

domain_only! {
    /// `destroydomain`: everything it holds is given back. −ESRCH, −EINVAL (oneself).
    DestroyDomain;
    /// `pausedomain`: when the call returns the domain is off its processor. A flag, not a count. −ESRCH,
    /// −EINVAL (oneself).
    PauseDomain;
    /// `unpausedomain`: −ESRCH, −EINVAL (not built yet).
    UnpauseDomain;
}

/// `builddomain`: checks and installs the first [`CpuContext`](crate::vcpu::CpuContext). −ESRCH, −EINVAL
/// (built already, or a context that is refused), −EFAULT, −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BuildDomain {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// The context, in the layout of the target's personality.
    pub ctxt: GuestVirt,
}

layout!(BuildDomain, size 8, domain @ 0, ctxt @ 4);

/// `setcontext`: replaces the context of a built and paused domain, with the same checks. −ESRCH, −EINVAL
/// (not built, not paused, oneself, or a context that is refused), −EFAULT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetContext {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// The context, in the layout of the target's personality.
    pub ctxt: GuestVirt,
}

layout!(SetContext, size 8, domain @ 0, ctxt @ 4);

/// `getdomaininfo`: the first domain whose id is `domain` or higher, so that asking again with the id plus
/// one lists all. −ESRCH at the end, −EFAULT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetDomainInfo {
    /// *In/out*: the id.
    pub domain: DomId,
    /// *Out*: the interface it speaks.
    pub personality: Personality,
    /// *Out*: its state.
    pub flags: DomainFlags,
    /// Where to put the [`CpuContext`](crate::vcpu::CpuContext), 0 for nowhere.
    pub ctxt: GuestVirt,
    /// *Out*: frames it has.
    pub tot_pages: u32,
    /// *Out*: frames it may have; all ones if there is no limit.
    pub max_pages: u32,
    /// *Out*: the frame of its [`SharedInfo`](crate::shared_info::SharedInfo).
    pub shared_info_frame: Mfn,
    /// *Out*: processor time used, in ns.
    pub cpu_time: u64,
}

layout!(
    GetDomainInfo, size 32,
    domain @ 0, personality @ 2, flags @ 4, ctxt @ 8, tot_pages @ 12, max_pages @ 16, shared_info_frame @ 20,
    cpu_time @ 24,
);

/// State of a domain (`DOMFLAGS_*`): flags in bits 5:0, the processor in 15:8, the shutdown reason in 23:16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct DomainFlags(u32);

bitflags! {
    impl DomainFlags: u32 {
        /// Being destroyed.
        const DYING = 1 << 0;
        /// Killed, or shut down with [`ShutdownReason::CRASH`].
        const CRASHED = 1 << 1;
        /// Shut down by itself.
        const SHUTDOWN = 1 << 2;
        /// Paused by its controller.
        const PAUSED = 1 << 3;
        /// Waits for an event.
        const BLOCKED = 1 << 4;
        /// On a processor.
        const RUNNING = 1 << 5;
        /// The processor's bits.
        const CPU = 0xFF << 8;
        /// The shutdown reason's bits.
        const REASON = 0xFF << 16;
    }
}

impl DomainFlags {
    /// The same flags with processor and reason put in.
    #[must_use]
    pub const fn with(self, cpu: u8, reason: ShutdownReason) -> Self {
        Self(self.0 & 0xFF | (cpu as u32) << 8 | (reason.raw() as u32) << 16)
    }

    /// The processor.
    #[must_use]
    pub const fn cpu(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Why it shut down; meaningful with `CRASHED` or `SHUTDOWN`.
    #[must_use]
    pub const fn reason(self) -> ShutdownReason {
        ShutdownReason::new((self.0 >> 16) as u8)
    }
}

open_number! {
    /// Why a domain crashed.
    CrashCode: u32 {
        /// Its kernel said so (`SHUTDOWN_crash`).
        REQUESTED = 0, "requested";
        /// A frame could not be written to its kernel stack; `detail` is the stack pointer.
        BAD_KERNEL_STACK = 1, "bad kernel stack";
        /// It has no handler for the vector in `detail`.
        NO_HANDLER = 2, "no handler";
        /// An event was due and it has no event callback.
        NO_EVENT_CALLBACK = 3, "no event callback";
        /// Its return frame or segments were bad and the failsafe callback could not be entered.
        FAILSAFE_FAILED = 4, "failsafe failed";
        /// It raised the vector in `detail`, for which nobody can have a handler.
        UNHANDLED = 5, "unhandled vector";
    }
}

/// Words of stack in a [`GetCrash`].
pub const CRASH_STACK_WORDS: usize = 12;

/// `getcrash`: how a domain ended that crashed; its registers are in its context (`getdomaininfo`). −ESRCH, −ENODATA
/// (it did not crash).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetCrash {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// *Out*: why.
    pub code: CrashCode,
    /// *Out*: more about that.
    pub detail: u32,
    /// *Out*: the vector that entered the hypervisor last.
    pub vector: u32,
    /// *Out*: its error code.
    pub error_code: u32,
    /// *Out*: how many words of stack could be read.
    pub nr_stack: u32,
    /// *Out*: the words at the stack pointer.
    pub stack: [u32; CRASH_STACK_WORDS],
}

layout!(
    GetCrash, size 72,
    domain @ 0, code @ 4, detail @ 8, vector @ 12, error_code @ 16, nr_stack @ 20, stack @ 24,
);

/// `setdomainvmassist`: [`vm_assist`](crate::vm_assist) on a domain, with its errors; −ESRCH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetDomainVmAssist {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// On or off.
    pub cmd: crate::vm_assist::AssistCmd,
    /// What.
    pub kind: crate::vm_assist::AssistType,
}

layout!(SetDomainVmAssist, size 12, domain @ 0, cmd @ 4, kind @ 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_and_reason_ride_above_the_flags() {
        let flags = (DomainFlags::CRASHED | DomainFlags::PAUSED).with(2, ShutdownReason::CRASH);
        assert_eq!(flags.bits(), 0x0003_020A);
        assert_eq!((flags.cpu(), flags.reason()), (2, ShutdownReason::CRASH));
    }
}
