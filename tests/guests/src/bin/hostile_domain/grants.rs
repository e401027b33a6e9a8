//! Grants that are others', frames that are others', and others' handles.

use guest_abi::addr::GuestVirt;
use guest_abi::domain::DomId;
use guest_abi::grant_table::{
    CopyEnd, CopyFlags, GrantCmd, GrantCopy, GrantFlags, GrantStatus, MapFlags, MapGrantRef, QuerySize,
    SetupTable, Transfer, UnmapGrantRef,
};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::Pte;
use test_guests::grants::{Table, map, map_record, unmap, unmap_record, vacate};
use test_guests::pages::{Page, WRITABLE};
use test_guests::puppet::{DATA, Puppet, WORDS};
use test_guests::{check_eq, guest_abi};

use crate::Scene;

/// A mapping of Domain0's own.
fn mapped(table: Table, page: Page) -> (Page, u32) {
    let window = vacate(Page::take());
    table.publish(10, DomId::DOM0, page.mfn(), GrantFlags::PERMIT_ACCESS);
    let done = map(map_record(DomId::DOM0, 10, window.0, MapFlags::HOST_MAP));
    check_eq!(done.status, GrantStatus::OKAY);
    (window, done.handle)
}

/// The first of all, and its end.
pub fn of_its_own(table: Table) {
    let (window, handle) = mapped(table, Page::take());
    check_eq!(unmap(unmap_record(handle, window.0)), GrantStatus::OKAY);
}

impl Scene {
    pub fn grants(self, table: Table) {
        // What Domain0 grants to the victim, and a handle that is not the attacker's.
        table.publish(9, self.victim.id, self.treasure.mfn(), GrantFlags::PERMIT_ACCESS);
        let (window, handle) = mapped(table, self.treasure);

        let call = |a: Puppet, command: GrantCmd| {
            check_eq!(
                a.call(CallNumber::GRANT_TABLE_OP, &[command.raw(), WORDS, 1]),
                Ok(0)
            );
        };
        // The first attempt of all, refused or not, costs the frame that the attacker's handles are to lie in.
        self.attacker
            .put(&map_record(DomId::DOM0, 9, DATA, MapFlags::HOST_MAP));
        call(self.attacker, GrantCmd::MAP_GRANT_REF);
        for (dom, reference, status) in [
            (DomId::DOM0, 9, GrantStatus::GENERAL_ERROR),
            (DomId::DOM0, 10, GrantStatus::GENERAL_ERROR),
            (DomId::DOM0, 11, GrantStatus::GENERAL_ERROR),
            (DomId::DOM0, 100_000, GrantStatus::BAD_GNTREF),
            (self.victim.id, 9, GrantStatus::BAD_GNTREF),
            (self.attacker.id, 0, GrantStatus::BAD_GNTREF),
            (DomId::new(77), 0, GrantStatus::BAD_DOMAIN),
            (DomId::IO, 0, GrantStatus::BAD_DOMAIN),
        ] {
            for flags in [
                MapFlags::HOST_MAP,
                MapFlags::HOST_MAP | MapFlags::READ_ONLY,
                MapFlags::DEVICE_MAP,
            ] {
                self.harmless(status, |a| {
                    a.put(&map_record(dom, reference, DATA, flags));
                    call(a, GrantCmd::MAP_GRANT_REF);
                    a.get::<MapGrantRef>().status
                });
            }
            let end = |ref_or_frame, domid| CopyEnd {
                ref_or_frame,
                domid,
                offset: 0,
            };
            let own = end(self.attacker.frames[6].raw(), DomId::SELF);
            for (source, dest, flags) in [
                (end(reference, dom), own, CopyFlags::SOURCE_GREF),
                (own, end(reference, dom), CopyFlags::DEST_GREF),
            ] {
                self.harmless(status, |a| {
                    a.put(&GrantCopy {
                        source,
                        dest,
                        len: 64,
                        flags,
                        ..GrantCopy::default()
                    });
                    call(a, GrantCmd::COPY);
                    a.get::<GrantCopy>().status
                });
            }
        }
        self.copies_and_transfers(call);
        for handle in [handle, 0, 1, 4096, u32::MAX] {
            self.harmless(GrantStatus::BAD_HANDLE, |a| {
                a.put(&UnmapGrantRef {
                    host_addr: DATA.into(),
                    handle,
                    ..UnmapGrantRef::default()
                });
                call(a, GrantCmd::UNMAP_GRANT_REF);
                a.get::<UnmapGrantRef>().status
            });
        }
        for dom in [self.victim.id, DomId::DOM0] {
            self.harmless(GrantStatus::PERMISSION_DENIED, |a| {
                a.put(&SetupTable {
                    dom,
                    nr_frames: 1,
                    frame_list: GuestVirt::new(DATA),
                    ..SetupTable::default()
                });
                call(a, GrantCmd::SETUP_TABLE);
                a.get::<SetupTable>().status
            });
            self.harmless(GrantStatus::PERMISSION_DENIED, |a| {
                a.put(&QuerySize {
                    dom,
                    ..QuerySize::default()
                });
                call(a, GrantCmd::QUERY_SIZE);
                a.get::<QuerySize>().status
            });
        }
        let unmapped = unmap(unmap_record(handle, window.0));
        check_eq!(unmapped, GrantStatus::OKAY, "it is still Domain0's");
    }

    /// Frames by number in copies, and transfers to who has not asked.
    fn copies_and_transfers(self, call: impl Fn(Puppet, GrantCmd) + Copy) {
        for frame in self.frames {
            let (own, there) = (self.attacker.frames[6].raw(), frame.raw());
            for (from, to) in [(there, own), (own, there)] {
                let end = |ref_or_frame| CopyEnd {
                    ref_or_frame,
                    domid: DomId::SELF,
                    offset: 0,
                };
                self.harmless(GrantStatus::BAD_PAGE, |a| {
                    a.put(&GrantCopy {
                        source: end(from),
                        dest: end(to),
                        len: 64,
                        ..GrantCopy::default()
                    });
                    call(a, GrantCmd::COPY);
                    a.get::<GrantCopy>().status
                });
            }
            self.harmless(GrantStatus::BAD_PAGE, |a| {
                a.put(&Transfer {
                    mfn: frame,
                    domid: DomId::DOM0,
                    reference: 9,
                    ..Transfer::default()
                });
                call(a, GrantCmd::TRANSFER);
                a.get::<Transfer>().status
            });
        }
        // Its own page, which is not mapped any more; nobody has asked for it.
        check_eq!(self.attacker.remap(6, Pte::EMPTY), Ok(()));
        self.harmless(GrantStatus::GENERAL_ERROR, |a| {
            a.put(&Transfer {
                mfn: a.frames[6],
                domid: DomId::DOM0,
                reference: 9,
                ..Transfer::default()
            });
            call(a, GrantCmd::TRANSFER);
            a.get::<Transfer>().status
        });
        let back = Pte::new(self.attacker.frames[6], WRITABLE);
        check_eq!(self.attacker.remap(6, back), Ok(()));
    }
}
