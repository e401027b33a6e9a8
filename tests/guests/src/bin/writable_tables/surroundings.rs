//! Who writes and how: other instructions, through a segment, step by step, from ring 3.

use crate::window::{In, TWO, Window, run};
use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::debugreg::dr6;
use guest_abi::mmu::PteFlags;
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::trap::Vector;
use mini_guest::traps::{self, Cause};
use test_guests::pages::{Page, READ_ONLY};
use test_guests::raw::remap;
use test_guests::{Regs, check_eq, guest_abi, hypercall, ring3};

impl Window {
    /// Instructions that page-table code does not use.
    pub fn other_instructions(self) {
        let at = self.at;
        let regs = In {
            ecx: 1,
            ..In::default()
        };
        self.refused(run!(at, regs, "add [edi], eax"), "add");
        self.refused(run!(at, regs, "inc dword ptr [edi]"), "inc");
        self.refused(run!(at, regs, "movq [edi], xmm0"), "movq");
        self.refused(run!(at, regs, "rep stosd"), "rep stosd");
        check_eq!(self.entry(), self.first().raw());
    }

    /// The address is the segment's base and the offset.
    pub fn segments(self) {
        let gdt = Page::take();
        let base = self.at - 0x40;
        let data = Descriptor::from_fields(
            base,
            0xF_FFFF,
            segment_type::WRITABLE,
            1,
            DescriptorFlags::ORDINARY,
        );
        gdt.write(1, data.raw());
        gdt.protect();
        check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
        let regs = In {
            eax: self.second().raw() as u32,
            ecx: Selector::gdt(1, 1).raw().into(),
            ..In::default()
        };
        let found = run!(
            0x40,
            regs,
            "mov fs, ecx\nmov fs:[edi], eax\nmov ecx, 0\nmov fs, ecx"
        );
        self.done(found, self.second().raw(), "a segment with a base");
        check_eq!(self.shown(), Some(TWO));
        self.reset(self.first());
    }

    /// The step behind an emulated instruction.
    pub fn single_step(self) {
        static STEPS: AtomicU32 = AtomicU32::new(0);
        static PLACE: AtomicU32 = AtomicU32::new(0);
        fn step(regs: &mut Regs) {
            STEPS.fetch_add(1, Relaxed);
            PLACE.store(regs.eip, Relaxed);
            regs.eflags &= !(1 << 8);
        }
        traps::set_kernel_handler(Vector::DEBUG, Some(step));
        let behind: u32;
        // SAFETY: writes the entry with what it holds; the handler takes the trap flag back.
        unsafe {
            asm!("lea {behind}, [2f]", "pushfd", "or dword ptr [esp], 0x100", "popfd", "mov [edi], eax", "2: nop", "nop",
                behind = out(reg) behind, in("edi") self.at, in("eax") self.first().raw() as u32);
        }
        check_eq!(STEPS.load(Relaxed), 1, "one step");
        check_eq!(
            PLACE.load(Relaxed),
            behind,
            "the step is over behind the instruction"
        );
        check_eq!(
            hypercall::get_debugreg(6).map(|dr6| dr6 & dr6::STEP),
            Ok(dr6::STEP)
        );
        traps::set_kernel_handler(Vector::DEBUG, None);
    }

    /// A table that ring 3 can see: its write is the page fault of a program, whatever it would write.
    pub fn ring_3(self) {
        let (code, table) = (ring3::pages(), Page::of(self.at));
        check_eq!(remap(table.0, table.pte(READ_ONLY | PteFlags::USER)), Ok(()));
        let mut write = [0xC7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0];
        write[2..6].copy_from_slice(&self.at.to_le_bytes());
        let (frame, cause) = ring3::run(code, &write);
        check_eq!(cause, Cause::Vector(Vector::PAGE_FAULT.raw()));
        check_eq!((frame.error, frame.cr2, frame.eip), (7, self.at, code.0));
        check_eq!(self.entry(), self.first().raw());
        check_eq!(remap(table.0, table.pte(READ_ONLY)), Ok(()));
    }
}
