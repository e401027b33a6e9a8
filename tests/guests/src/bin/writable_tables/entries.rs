//! What may be written, and what it does to the references.

use crate::window::{In, ONE, RW, Window, run};
use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::errno::Errno;
use guest_abi::mmu::{Pte, PteFlags};
use test_guests::pages::{READ_ONLY, WRITABLE, peek32, poke32};
use test_guests::tables::{pin, unpin};
use test_guests::{check_eq, guest_abi, report};

impl Window {
    /// The upper half of a present entry, written first, with bits that no entry can have here: the entry is stored as not
    /// present, and only by a plain move.
    pub fn upper_half_first(self) {
        let at = self.at;
        // A bit beyond the width of physical addresses, so that not even a device is there; without it, a frame beyond RAM.
        let width = core::arch::x86::__cpuid(0x8000_0008).eax & 0xFF;
        if !(36..52).contains(&width) {
            report::error(format_args!("a machine with {width} bits of physical address"));
        }
        let half = 1 << (width - 32) | 3;
        let regs = In::eax(half);
        let first = self.first().raw();
        let stored = u64::from(half) << 32 | (first & !1);
        self.done(
            run!(at, regs, "mov [edi + 4], eax"),
            stored,
            "an invalid upper half",
        );
        check_eq!(self.shown(), None);
        let low = In::eax(first as u32);
        self.refused(
            run!(at, low, "mov [edi], eax"),
            "a lower half that makes it present and invalid",
        );
        check_eq!(self.entry(), stored);
        let zero = In::default();
        self.refused_at(
            run!(at, zero, "mov [edi + 4], eax"),
            at + 4,
            "a frame of RAM without the present bit",
        );
        self.done(
            run!(at, zero, "mov [edi], eax"),
            u64::from(half) << 32,
            "the lower half cleared",
        );
        self.done(run!(at, zero, "mov [edi + 4], eax"), 0, "the upper half cleared");
        self.done(run!(at, low, "mov [edi], eax"), first, "the lower half");
        check_eq!(self.shown(), Some(ONE));
        self.refused_at(run!(at, regs, "xchg [edi + 4], eax"), at + 4, "by xchg");
        self.refused_at(run!(at, regs, "or [edi + 4], eax"), at + 4, "by or");
        check_eq!(self.entry(), first);
    }

    /// The references that an entry holds follow what is written.
    pub fn counts(self) {
        let at = self.at;
        let page = self.page;
        check_eq!(pin(1, page), Err(Errno::Inval), "it is mapped writable");
        let found = run!(at, In::default(), "and dword ptr [edi], 0xfffffffd");
        self.done(found, self.first().raw() & !u64::from(RW), "read-only");
        check_eq!(
            pin(1, page),
            Err(Errno::Inval),
            "as an entry, what it holds is nonsense"
        );
        let found = run!(at, In::default(), "or dword ptr [edi], 2");
        self.done(found, self.first().raw(), "writable");
        poke32(page.0, 0);
        poke32(page.0 + 4, 0);
        let found = run!(at, In::default(), "and dword ptr [edi], 0xfffffffd");
        self.done(found, self.first().raw() & !u64::from(RW), "read-only again");
        check_eq!(pin(1, page), Ok(()), "nothing maps it writable any more");
        self.refused(
            run!(at, In::default(), "or dword ptr [edi], 2"),
            "a page table, writable",
        );
        check_eq!(unpin(page), Ok(()));
        let found = run!(at, In::default(), "or dword ptr [edi], 2");
        self.done(found, self.first().raw(), "an ordinary page again");
        poke32(page.0, ONE);
    }

    /// Entries that a request would not get either.
    pub fn bad_entries(self) {
        let (at, table) = (self.at, self.space.l1(self.page.0));
        let bad = [
            (table.pte(WRITABLE), "the table itself, writable"),
            (self.space.l3.pte(WRITABLE), "the root, writable"),
            (Pte::new(Mfn::new(0x100), READ_ONLY), "the hypervisor's frame"),
            (self.page.pte(WRITABLE | PteFlags::GLOBAL), "a global page"),
        ];
        for (entry, what) in bad {
            let regs = In::eax(entry.raw() as u32);
            self.refused(run!(at, regs, "mov [edi], eax"), what);
            self.refused(run!(at, regs, "xchg [edi], eax"), what);
            check_eq!(self.entry(), self.first().raw(), "{what}");
        }
        let l2 = self.space.l2(self.page.0);
        let slot = l2.0 + 8 * GuestVirt::new(self.page.0).table_index(2) as u32;
        let regs = In::eax(peek32(slot));
        self.refused_at(
            run!(slot, regs, "mov [edi], eax"),
            slot,
            "an L2, with what it holds",
        );
    }
}
