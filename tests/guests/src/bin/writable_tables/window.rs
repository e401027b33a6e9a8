//! The entry under test, and an instruction run on it.

use guest_abi::addr::GuestVirt;
use guest_abi::mmu::{Extended, Pte};
use guest_abi::trap::Vector;
use test_guests::pages::{Page, WRITABLE, peek32};
use test_guests::raw::remap;
use test_guests::tables::{Space, extended};
use test_guests::{Caught, catch, check_eq, guest_abi, report};

pub const CF: u32 = 1 << 0;
pub const ZF: u32 = 1 << 6;
pub const RW: u32 = 1 << 1;
pub const NX_HALF: u32 = 1 << 31;
/// What the two pages hold.
pub const ONE: u32 = 0x1111_1111;
pub const TWO: u32 = 0x2222_2222;

/// Registers of an instruction under test; EDI is the address of the entry.
#[derive(Clone, Copy, Default)]
pub struct In {
    pub eax: u32,
    pub ecx: u32,
    pub edx: u32,
    pub ebx: u32,
}

impl In {
    pub fn eax(eax: u32) -> Self {
        Self {
            eax,
            ..Self::default()
        }
    }
}

/// What it left.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    pub eax: u32,
    pub edx: u32,
    pub flags: u32,
}

/// Runs an instruction with EDI = `$at`.
macro_rules! run {
    ($at:expr, $regs:expr, $instruction:literal) => {
        test_guests::catch(|| {
            let regs: $crate::window::In = $regs;
            let (mut eax, mut edx) = (regs.eax, regs.edx);
            let flags: u32;
            // SAFETY: the instruction writes an entry of a page that is the test's, or traps.
            unsafe {
                core::arch::asm!($instruction, "pushfd", "pop ebx", in("edi") $at, inout("eax") eax, inout("edx") edx,
                    in("ecx") regs.ecx, inout("ebx") regs.ebx => flags);
            }
            $crate::window::Out { eax, edx, flags }
        })
    };
}

pub(crate) use run;

/// The entry under test.
#[derive(Clone, Copy)]
pub struct Window {
    pub space: Space,
    /// The page whose mapping it is.
    pub page: Page,
    /// Another page to map there.
    pub other: Page,
    /// Linear address of the entry, in the read-only mapping of its table.
    pub at: u32,
}

impl Window {
    pub fn entry(self) -> u64 {
        self.space.mapping(self.page.0).raw()
    }

    /// Makes the entry `entry` by a request.
    pub fn reset(self, entry: Pte) {
        check_eq!(remap(self.page.0, entry), Ok(()));
    }

    pub fn first(self) -> Pte {
        self.page.pte(WRITABLE)
    }

    pub fn second(self) -> Pte {
        self.other.pte(WRITABLE)
    }

    /// What the window shows; `None` where nothing is mapped.
    pub fn shown(self) -> Option<u32> {
        let address = GuestVirt::new(self.page.0);
        check_eq!(extended(Extended::Invlpg { address }), Ok(()));
        catch(|| peek32(self.page.0)).ok()
    }

    /// A write that must be done, and leave the entry as `entry`.
    #[track_caller]
    pub fn done(self, found: Result<Out, Caught>, entry: u64, what: &str) -> Out {
        match found {
            Ok(out) => {
                check_eq!(self.entry(), entry, "{what}");
                out
            }
            Err(caught) => report::failure(format_args!("{what}: {caught}")),
        }
    }

    /// A write that must stay the page fault that it is, and change nothing.
    #[track_caller]
    pub fn refused(self, found: Result<Out, Caught>, what: &str) {
        self.refused_at(found, self.at, what);
    }

    #[track_caller]
    pub fn refused_at(self, found: Result<Out, Caught>, at: u32, what: &str) {
        match found {
            Err(caught) => check_eq!(
                (caught.vector, caught.error, caught.cr2),
                (Vector::PAGE_FAULT, 3, at),
                "{what}: {caught}"
            ),
            Ok(_) => report::failure(format_args!("{what}: it is done")),
        }
    }
}
