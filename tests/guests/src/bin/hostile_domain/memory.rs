//! Frames of others in page tables, descriptor tables and the reservation.

use guest_abi::addr::{GuestVirt, MachAddr, Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::memory::{self, MemoryCmd};
use guest_abi::mmu::{Extended, MmuUpdate, Pte, PteFlags};
use guest_abi::segment::Selector;
use test_guests::guest_abi;
use test_guests::pages::{READ_ONLY, WRITABLE};
use test_guests::puppet::{DATA, Puppet};
use test_guests::small_domain::BASE;
use test_guests::tables::DIRECTORY;

use crate::{INVAL, PERM, Scene};

impl Scene {
    pub fn page_tables(self) {
        let own_l1 = |a: Puppet, n: u64| MachAddr::new(a.frames[2].addr().raw() + 8 * n);
        for frame in self.frames {
            for flags in [READ_ONLY, WRITABLE, WRITABLE | PteFlags::USER] {
                let entry = Pte::new(frame, flags);
                self.harmless(Err(Errno::Inval), |a| a.remap(6, entry));
                self.harmless(Err(Errno::Inval), |a| {
                    a.mmu(&[MmuUpdate::normal(own_l1(a, 6), entry)])
                });
            }
            // As a table: in its directory, and in its root.
            for (table, index, flags) in [
                (1, 1, DIRECTORY),
                (0, 0, PteFlags::PRESENT),
                (0, 3, PteFlags::PRESENT),
            ] {
                let at = |a: Puppet| MachAddr::new(a.frames[table].addr().raw() + 8 * index);
                self.harmless(Err(Errno::Inval), |a| {
                    a.mmu(&[MmuUpdate::normal(at(a), Pte::new(frame, flags))])
                });
            }
            // Entries in tables of others, and in what is no table.
            for (index, entry) in [
                (6, Pte::EMPTY),
                (6, Pte::new(self.attacker.frames[6], READ_ONLY)),
                (511, Pte::EMPTY),
            ] {
                let at = MachAddr::new(frame.addr().raw() + 8 * index);
                self.harmless(Err(Errno::Inval), |a| a.mmu(&[MmuUpdate::normal(at, entry)]));
            }
            self.harmless(Err(Errno::Inval), |a| {
                a.mmu(&[MmuUpdate::machphys(frame, Pfn::new(0))])
            });
        }
        let (low, high) = Pte::new(self.victim.frames[6], WRITABLE).low_high();
        for domain in [
            self.victim.id.raw(),
            0,
            self.attacker.id.raw(),
            DomId::SELF.raw(),
            77,
            DomId::XEN.raw(),
        ] {
            self.harmless(PERM, |a| {
                let arguments = [(BASE >> 12) + 6, low, high, 2, domain.into()];
                a.call(CallNumber::UPDATE_VA_MAPPING_OTHERDOMAIN, &arguments)
            });
        }
        // The pages of the window and beyond.
        for page in [0xF_C000, 0xF_FFFF, 0x10_0000, u32::MAX] {
            self.harmless(INVAL, |a| a.call(CallNumber::UPDATE_VA_MAPPING, &[page, 0, 0, 0]));
        }
    }

    pub fn extended(self) {
        let one = |request| move |a: Puppet| a.mmu(&[MmuUpdate::extended(request)]);
        let refused =
            |request: Extended| self.harmless((request, Err(Errno::Inval)), |a| (request, one(request)(a)));
        for frame in self.frames.map(Mfn::addr) {
            for level in 1..=4 {
                refused(Extended::Pin { level, frame });
            }
            refused(Extended::Unpin { frame });
            refused(Extended::NewBasePtr { l3: frame });
            refused(Extended::ReassignPage { frame });
            for domain in [DomId::DOM0, self.victim.id, self.attacker.id] {
                refused(Extended::TransferPage {
                    frame,
                    domain,
                    reference: 8,
                });
            }
        }
        // Its own page, to who has not asked for it.
        let own = self.attacker.frames[6].addr();
        for domain in [DomId::DOM0, self.victim.id, DomId::new(77)] {
            refused(Extended::TransferPage {
                frame: own,
                domain,
                reference: 8,
            });
        }
        refused(Extended::FlushCache);
        for (base, entries) in [(0xFC40_0000, 1), (0xFFFF_F000, 1), (BASE + 8, 1), (BASE, 8193)] {
            let base = GuestVirt::new(base);
            refused(Extended::SetLdt { base, entries });
        }
        // In the name of another, each prefix before each act.
        for domain in [
            self.victim.id,
            DomId::DOM0,
            DomId::XEN,
            DomId::new(77),
            self.attacker.id,
        ] {
            let prefix = MmuUpdate::extended(Extended::SetForeignDom { domain });
            for act in [
                MmuUpdate::extended(Extended::Unpin {
                    frame: self.victim.frames[0].addr(),
                }),
                MmuUpdate::machphys(self.victim.frames[6], Pfn::new(3)),
                MmuUpdate::normal(
                    MachAddr::new(self.attacker.frames[2].addr().raw() + 48),
                    Pte::new(self.victim.frames[6], WRITABLE),
                ),
            ] {
                self.harmless(Err(Errno::Inval), |a| a.mmu(&[prefix, act]));
            }
        }
        // Frames of devices may be named, but there is no right to any.
        let prefix = MmuUpdate::extended(Extended::SetForeignDom { domain: DomId::IO });
        for frame in self.frames {
            let at = MachAddr::new(self.attacker.frames[2].addr().raw() + 48);
            let act = MmuUpdate::normal(at, Pte::new(frame, WRITABLE));
            self.harmless(Err(Errno::Inval), |a| a.mmu(&[prefix, act]));
        }
    }

    pub fn descriptors(self) {
        for frame in self.frames {
            self.harmless(INVAL, |a| {
                let list = a.put(&frame.raw());
                a.call(CallNumber::SET_GDT, &[list, 1])
            });
            let (low, high) = frame.addr().low_high();
            self.harmless(INVAL, |a| {
                a.call(CallNumber::UPDATE_DESCRIPTOR, &[low, high, 0, 0])
            });
        }
        // Ring 0 by any door.
        let (cs, ds) = (
            Selector::FLAT_RING1_CS.raw() & !3,
            Selector::FLAT_RING1_DS.raw() & !3,
        );
        self.harmless(PERM, |a| a.call(CallNumber::STACK_SWITCH, &[ds.into(), DATA]));
        for arguments in [[cs.into(), DATA, 0xE019, DATA], [0xE019, DATA, cs.into(), DATA]] {
            self.harmless(PERM, |a| a.call(CallNumber::SET_CALLBACKS, &arguments));
        }
    }

    pub fn reservation(self) {
        let call = |a: Puppet, command, frame: u32, order, domain: u16| {
            let list = a.put(&frame);
            a.call(
                CallNumber::DOM_MEM_OP,
                &[memory::pack(command, 0), list, 1, order, domain.into()],
            )
        };
        let own = DomId::SELF.raw();
        for frame in self.frames.map(Mfn::raw).into_iter().chain([u32::MAX]) {
            for order in [0, 1, 9, 10] {
                self.harmless(Ok(0), |a| {
                    call(a, MemoryCmd::DECREASE_RESERVATION, frame, order, own)
                });
            }
        }
        let others = [
            self.victim.id.raw(),
            0,
            self.attacker.id.raw(),
            77,
            DomId::XEN.raw(),
        ];
        for domain in others {
            for command in [MemoryCmd::INCREASE_RESERVATION, MemoryCmd::DECREASE_RESERVATION] {
                let frame = self.victim.frames[6].raw();
                self.harmless(PERM, |a| call(a, command, frame, 0, domain));
            }
        }
        for order in [0, 1, 8] {
            self.harmless(Ok(0), |a| call(a, MemoryCmd::INCREASE_RESERVATION, 0, order, own));
        }
    }
}
