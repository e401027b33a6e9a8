//! Every instruction that is meant to work.

use crate::window::{CF, In, NX_HALF, ONE, RW, TWO, Window, ZF, run};
use guest_abi::trap::Vector;
use test_guests::pages::{WRITABLE, peek32, poke32};
use test_guests::{catch, check, check_eq, guest_abi};

impl Window {
    /// 4-byte writes of the halves, in the proper order.
    pub fn halves(self) {
        let at = self.at;
        let low = |eax| run!(at, In::eax(eax), "mov [edi], eax");
        let high = |eax| run!(at, In::eax(eax), "mov [edi + 4], eax");
        self.reset(self.first());
        self.done(low(0), 0, "the lower half cleared");
        check_eq!(self.shown(), None);
        self.done(
            high(NX_HALF),
            u64::from(NX_HALF) << 32,
            "the upper half of an entry that is not present",
        );
        let (half, _) = self.second().low_high();
        let both = u64::from(NX_HALF) << 32 | u64::from(half);
        self.done(low(half), both, "the lower half with the present bit");
        check_eq!(self.shown(), Some(TWO));
        poke32(self.page.0 + 4, 7);
        check_eq!(peek32(self.other.0 + 4), 7, "a write through the new entry");
        self.done(high(0), half.into(), "the upper half of a present entry");
        let (half, _) = self.first().low_high();
        let found = run!(at, In::eax(half), "mov [edi], eax");
        self.done(found, half.into(), "one present entry by another");
        check_eq!(self.shown(), Some(ONE));
        let found = run!(at, In::default(), "mov dword ptr [edi], 0");
        self.done(found, 0, "a constant");
        self.reset(self.first());
    }

    /// xchg, cmpxchg and cmpxchg8b, with a lock prefix and without.
    pub fn exchanges(self) {
        let at = self.at;
        let (first, second) = (self.first().raw(), self.second().raw());
        let regs = In::eax(second as u32);
        let out = self.done(run!(at, regs, "xchg [edi], eax"), second, "xchg");
        check_eq!(out.eax, first as u32, "what xchg read");
        check_eq!(self.shown(), Some(TWO));

        let regs = In {
            eax: second as u32,
            ecx: first as u32,
            ..In::default()
        };
        let found = run!(at, regs, "test esp, esp\nlock cmpxchg [edi], ecx");
        let out = self.done(found, first, "lock cmpxchg");
        check_eq!(out.flags & ZF, ZF);
        let found = run!(at, regs, "cmp eax, eax\ncmpxchg [edi], ecx");
        let out = self.done(found, first, "cmpxchg that does not compare equal");
        check_eq!((out.flags & ZF, out.eax), (0, first as u32));

        let regs = In {
            eax: first as u32,
            edx: (first >> 32) as u32,
            ebx: second as u32,
            ecx: (second >> 32) as u32 | NX_HALF,
        };
        let new = second | u64::from(NX_HALF) << 32;
        let found = run!(at, regs, "test esp, esp\nlock cmpxchg8b [edi]");
        let out = self.done(found, new, "lock cmpxchg8b");
        check_eq!(out.flags & ZF, ZF);
        check_eq!(self.shown(), Some(TWO));
        let found = run!(at, regs, "cmp eax, eax\nlock cmpxchg8b [edi]");
        let out = self.done(found, new, "cmpxchg8b that does not compare equal");
        check_eq!(out.flags & ZF, 0);
        check_eq!((out.eax, out.edx), (new as u32, (new >> 32) as u32));
        // To an entry that is refused: nothing happens at all.
        let regs = In {
            eax: new as u32,
            edx: (new >> 32) as u32,
            ebx: self.space.l1(self.page.0).pte(WRITABLE).raw() as u32,
            ecx: 0,
        };
        self.refused(
            run!(at, regs, "lock cmpxchg8b [edi]"),
            "a page table by cmpxchg8b",
        );
        check_eq!(self.entry(), new);
        self.reset(self.first());
    }

    /// and, or, xor, bts, btr.
    pub fn bits(self) {
        let at = self.at;
        let first = self.first().raw();
        let read_only = first & !u64::from(RW);
        let found = run!(at, In::default(), "and dword ptr [edi], 0xfffffffd");
        self.done(found, read_only, "and");
        check_eq!(self.shown(), Some(ONE));
        let write = catch(|| poke32(self.page.0, ONE)).err();
        check_eq!(
            write.map(|c| (c.vector, c.error)),
            Some((Vector::PAGE_FAULT, 3)),
            "the page is read-only"
        );
        let regs = In::eax(RW);
        self.done(run!(at, regs, "lock or [edi], eax"), first, "lock or");
        check!(catch(|| poke32(self.page.0, ONE)).is_ok(), "writable again");
        self.done(run!(at, regs, "xor [edi], eax"), read_only, "xor");

        let found = run!(at, In::default(), "stc\nlock bts dword ptr [edi], 1");
        let out = self.done(found, first, "bts");
        check_eq!(out.flags & CF, 0, "the bit was clear");
        let found = run!(at, In::default(), "clc\nlock btr dword ptr [edi], 1");
        let out = self.done(found, read_only, "btr");
        check_eq!(out.flags & CF, CF, "the bit was set");
        // A bit number beyond the operand reaches the other half.
        let regs = In::eax(63);
        self.done(
            run!(at, regs, "bts [edi], eax"),
            read_only | 1 << 63,
            "bts of bit 63",
        );
        self.done(run!(at, regs, "btr [edi], eax"), read_only, "btr of bit 63");
        self.reset(self.first());
    }

    /// 1-byte and 2-byte writes.
    pub fn narrow(self) {
        let at = self.at;
        let first = self.first().raw();
        let regs = In::eax((first & !u64::from(RW)) as u32);
        self.done(
            run!(at, regs, "mov byte ptr [edi], al"),
            first & !u64::from(RW),
            "a byte",
        );
        let regs = In::eax(first as u32);
        self.done(run!(at, regs, "mov word ptr [edi], ax"), first, "two bytes");
        let regs = In::eax((first >> 8) as u32);
        self.done(
            run!(at, regs, "mov word ptr [edi + 1], ax"),
            first,
            "two bytes not aligned",
        );
        let found = run!(at, regs, "mov dword ptr [edi + 6], eax");
        self.refused_at(found, at + 6, "across the end of the entry");
        check_eq!(self.entry(), first);
    }
}
