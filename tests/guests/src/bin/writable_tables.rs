//! Writable page tables (call 21, type 2): direct writes to a live L1 by every instruction that is meant to work, those that
//! are not, entries that no request would get either, and who may write.
//!
//! The entry that is written maps one page; what it maps is looked at through it. The audit at the end recounts what
//! the writes did to the references.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::debugreg::dr6;
use guest_abi::errno::Errno;
use guest_abi::mmu::{Extended, Pte, PteFlags};
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use guest_abi::vm_assist::{AssistCmd, AssistType};
use mini_guest::traps::{self, Cause};
use test_guests::pages::{Page, READ_ONLY, WRITABLE, peek32, poke32};
use test_guests::raw::remap;
use test_guests::tables::{Space, extended, pin, unpin};
use test_guests::{Caught, Regs, catch, check, check_eq, guest_abi, hypercall, report, ring3};

test_guests::entry!(main);

const CF: u32 = 1 << 0;
const ZF: u32 = 1 << 6;
const RW: u32 = 1 << 1;
const NX_HALF: u32 = 1 << 31;
/// What the two pages hold.
const ONE: u32 = 0x1111_1111;
const TWO: u32 = 0x2222_2222;

/// Registers of an instruction under test; EDI is the address of the entry.
#[derive(Clone, Copy, Default)]
struct In {
    eax: u32,
    ecx: u32,
    edx: u32,
    ebx: u32,
}

/// What it left.
#[derive(Clone, Copy, Debug)]
struct Out {
    eax: u32,
    edx: u32,
    flags: u32,
}

/// Runs an instruction with EDI = `$at`.
macro_rules! run {
    ($at:expr, $regs:expr, $instruction:literal) => {
        catch(|| {
            let regs: In = $regs;
            let (mut eax, mut edx) = (regs.eax, regs.edx);
            let flags: u32;
            // SAFETY: the instruction writes an entry of a page that is the test's, or traps.
            unsafe {
                asm!($instruction, "pushfd", "pop ebx", in("edi") $at, inout("eax") eax, inout("edx") edx,
                    in("ecx") regs.ecx, inout("ebx") regs.ebx => flags);
            }
            Out { eax, edx, flags }
        })
    };
}

/// The entry under test.
#[derive(Clone, Copy)]
struct Window {
    space: Space,
    /// The page whose mapping it is.
    page: Page,
    /// Another page to map there.
    other: Page,
    /// Linear address of the entry, in the read-only mapping of its table.
    at: u32,
}

fn switch(on: bool) {
    let command = if on { AssistCmd::ENABLE } else { AssistCmd::DISABLE };
    check_eq!(
        hypercall::vm_assist(command, AssistType::WRITABLE_PAGETABLES),
        Ok(())
    );
}

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let (page, other) = (Page::take(), Page::take());
    poke32(page.0, ONE);
    poke32(other.0, TWO);
    let at = space.l1(page.0).0 + 8 * GuestVirt::new(page.0).table_index(1) as u32;
    let window = Window {
        space,
        page,
        other,
        at,
    };
    let zero = |window: Window| run!(window.at, In::default(), "mov dword ptr [edi], eax");
    window.refused(zero(window), "while the assist is off");
    switch(true);
    window.halves();
    window.exchanges();
    window.bits();
    window.narrow();
    window.upper_half_first();
    window.counts();
    window.bad_entries();
    window.other_instructions();
    window.segments();
    window.single_step();
    window.ring_3();
    switch(false);
    window.refused(zero(window), "when the assist is off again");
    report::success()
}

impl Window {
    fn entry(self) -> u64 {
        self.space.mapping(self.page.0).raw()
    }

    /// Makes the entry `entry` by a request.
    fn reset(self, entry: Pte) {
        check_eq!(remap(self.page.0, entry), Ok(()));
    }

    fn first(self) -> Pte {
        self.page.pte(WRITABLE)
    }

    fn second(self) -> Pte {
        self.other.pte(WRITABLE)
    }

    /// What the window shows; `None` where nothing is mapped.
    fn shown(self) -> Option<u32> {
        let address = GuestVirt::new(self.page.0);
        check_eq!(extended(Extended::Invlpg { address }), Ok(()));
        catch(|| peek32(self.page.0)).ok()
    }

    /// A write that must be done, and leave the entry as `entry`.
    #[track_caller]
    fn done(self, found: Result<Out, Caught>, entry: u64, what: &str) -> Out {
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
    fn refused(self, found: Result<Out, Caught>, what: &str) {
        self.refused_at(found, self.at, what);
    }

    #[track_caller]
    fn refused_at(self, found: Result<Out, Caught>, at: u32, what: &str) {
        match found {
            Err(caught) => check_eq!(
                (caught.vector, caught.error, caught.cr2),
                (Vector::PAGE_FAULT, 3, at),
                "{what}: {caught}"
            ),
            Ok(_) => report::failure(format_args!("{what}: it is done")),
        }
    }

    /// 4-byte writes of the halves, in the proper order.
    fn halves(self) {
        let at = self.at;
        let low = |eax| run!(at, In { eax, ..In::default() }, "mov [edi], eax");
        let high = |eax| run!(at, In { eax, ..In::default() }, "mov [edi + 4], eax");
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
        let found = run!(
            at,
            In {
                eax: half,
                ..In::default()
            },
            "mov [edi], eax"
        );
        self.done(found, half.into(), "one present entry by another");
        check_eq!(self.shown(), Some(ONE));
        let found = run!(at, In::default(), "mov dword ptr [edi], 0");
        self.done(found, 0, "a constant");
        self.reset(self.first());
    }

    /// xchg, cmpxchg and cmpxchg8b, with a lock prefix and without.
    fn exchanges(self) {
        let at = self.at;
        let (first, second) = (self.first().raw(), self.second().raw());
        let regs = In {
            eax: second as u32,
            ..In::default()
        };
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
    fn bits(self) {
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
        let regs = In {
            eax: RW,
            ..In::default()
        };
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
        let regs = In {
            eax: 63,
            ..In::default()
        };
        self.done(
            run!(at, regs, "bts [edi], eax"),
            read_only | 1 << 63,
            "bts of bit 63",
        );
        self.done(run!(at, regs, "btr [edi], eax"), read_only, "btr of bit 63");
        self.reset(self.first());
    }

    /// 1-byte and 2-byte writes.
    fn narrow(self) {
        let at = self.at;
        let first = self.first().raw();
        let regs = In {
            eax: (first & !u64::from(RW)) as u32,
            ..In::default()
        };
        self.done(
            run!(at, regs, "mov byte ptr [edi], al"),
            first & !u64::from(RW),
            "a byte",
        );
        let regs = In {
            eax: first as u32,
            ..In::default()
        };
        self.done(run!(at, regs, "mov word ptr [edi], ax"), first, "two bytes");
        let regs = In {
            eax: (first >> 8) as u32,
            ..In::default()
        };
        self.done(
            run!(at, regs, "mov word ptr [edi + 1], ax"),
            first,
            "two bytes not aligned",
        );
        let found = run!(at, regs, "mov dword ptr [edi + 6], eax");
        self.refused_at(found, at + 6, "across the end of the entry");
        check_eq!(self.entry(), first);
    }

    /// The upper half of a present entry, written first, with bits that no entry can have here: the entry is stored as not
    /// present, and only by a plain move.
    fn upper_half_first(self) {
        let at = self.at;
        // A bit beyond the width of physical addresses, so that not even a device is there; without it, a frame beyond RAM.
        let width = core::arch::x86::__cpuid(0x8000_0008).eax & 0xFF;
        if !(36..52).contains(&width) {
            report::error(format_args!("a machine with {width} bits of physical address"));
        }
        let half = 1 << (width - 32) | 3;
        let regs = In {
            eax: half,
            ..In::default()
        };
        let first = self.first().raw();
        let stored = u64::from(half) << 32 | (first & !1);
        self.done(
            run!(at, regs, "mov [edi + 4], eax"),
            stored,
            "an invalid upper half",
        );
        check_eq!(self.shown(), None);
        let low = In {
            eax: first as u32,
            ..In::default()
        };
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
    fn counts(self) {
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
    fn bad_entries(self) {
        let (at, table) = (self.at, self.space.l1(self.page.0));
        let bad = [
            (table.pte(WRITABLE), "the table itself, writable"),
            (self.space.l3.pte(WRITABLE), "the root, writable"),
            (Pte::new(Mfn::new(0x100), READ_ONLY), "the hypervisor's frame"),
            (self.page.pte(WRITABLE | PteFlags::GLOBAL), "a global page"),
        ];
        for (entry, what) in bad {
            let regs = In {
                eax: entry.raw() as u32,
                ..In::default()
            };
            self.refused(run!(at, regs, "mov [edi], eax"), what);
            self.refused(run!(at, regs, "xchg [edi], eax"), what);
            check_eq!(self.entry(), self.first().raw(), "{what}");
        }
        let l2 = self.space.l2(self.page.0);
        let slot = l2.0 + 8 * GuestVirt::new(self.page.0).table_index(2) as u32;
        let regs = In {
            eax: peek32(slot),
            ..In::default()
        };
        self.refused_at(
            run!(slot, regs, "mov [edi], eax"),
            slot,
            "an L2, with what it holds",
        );
    }

    /// Instructions that page-table code does not use.
    fn other_instructions(self) {
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
    fn segments(self) {
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
    fn single_step(self) {
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
    fn ring_3(self) {
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
