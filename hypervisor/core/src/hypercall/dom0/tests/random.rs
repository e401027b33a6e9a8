//! Domains made, filled, connected and ended in any order.

use super::{
    bench::{Bench, context},
    steps::{access, add_device, command, event, let_go, map_device},
};
use crate::{
    domain::DomId,
    io_rights::given::Given,
    life::Building,
    mm::pte::{P, RW},
    testing::{Guest, Work, entry},
};
use guest_abi::{
    domain::DomId as WireId,
    domctl::PciDevAccess,
    event_channel::{AllocUnbound, BindInterdomain},
    mmu::MmuUpdate,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Create(u16, u32),
    Fill(u16),
    Build(u16),
    Unpause(u16),
    Bind(u16),
    Map(u16),
    Unmap,
    Give(u16, bool),
    Take(u16),
    MapDevice(u16, bool),
    Destroy(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let id = || prop_oneof![1..4_u16, Just(1025), Just(2049)];
    let act = prop_oneof![
        (id(), 0..40_u32).prop_map(|(id, pages)| Act::Create(id, pages)),
        id().prop_map(Act::Fill),
        id().prop_map(Act::Build),
        id().prop_map(Act::Unpause),
        id().prop_map(Act::Bind),
        id().prop_map(Act::Map),
        Just(Act::Unmap),
        (id(), any::<bool>()).prop_map(|(id, has_dma)| Act::Give(id, has_dma)),
        id().prop_map(Act::Take),
        (id(), any::<bool>()).prop_map(|(id, is_mapped)| Act::MapDevice(id, is_mapped)),
        id().prop_map(Act::Destroy),
    ];
    prop::collection::vec(act, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_made_and_ended_in_whatever_order_nothing_is_lost(acts in acts(), is_busy: bool) {
        let mut bench = Bench::new();
        bench.world.machine.work.set(if is_busy { Work::Always } else { Work::Never });
        add_device(&mut bench);
        let free = bench.free();
        let mut guests: Vec<Guest> = Vec::new();
        // Who has the device, and whether he has it mapped.
        let (mut holder, mut is_mapped) = (None, false);
        for act in acts {
            match act {
                Act::Create(id, pages) => {
                    // Whatever it is asked, Domain0's call first buries those that nobody maps any more.
                    prop_assert!(bench.op(&guest_abi::domctl::PhysInfo::default()).is_ok());
                    let is_new = bench.hv().slot_of_any(DomId(id)).is_none();
                    let has_room = bench.free() >= pages + 2;
                    prop_assert_eq!(bench.create(id, pages).is_ok(), is_new && has_room);
                }
                Act::Fill(id) => {
                    let is_fit = bench.hv().slot_of(DomId(id)).is_some()
                        && bench.domain(id).total_pages > Guest::DATA as u32
                        && !guests.iter().any(|guest| guest.id == DomId(id));
                    if is_fit {
                        let guest = bench.fill(id);
                        guests.push(guest);
                    }
                }
                Act::Build(id) => {
                    if let Some(guest) = guests.iter().find(|guest| guest.id == DomId(id)) {
                        let is_ready = bench.domain(id).building == Building::Ready;
                        prop_assert_eq!(bench.build(id, &context(guest)).is_ok(), is_ready);
                    }
                }
                Act::Unpause(id) => {
                    let is_built = bench.hv().slot_of(DomId(id)).is_some() && bench.domain(id).is_built();
                    prop_assert_eq!(bench.unpause(id).is_ok(), is_built);
                }
                Act::Bind(id) => {
                    if bench.hv().slot_of(DomId(id)).is_some() {
                        event(&mut bench, &AllocUnbound { dom: WireId::new(id), pad: 0, port: 0 });
                        let dom2 = WireId::new(id);
                        event(&mut bench, &BindInterdomain { dom1: WireId::SELF, dom2, port1: 0, port2: 0 });
                    }
                }
                Act::Map(id) => {
                    if let Some(guest) = guests.iter().find(|guest| guest.id == DomId(id)) {
                        let at = bench.dom0.l1().addr().raw() + 8 * 20;
                        let map = MmuUpdate { ptr: at, val: entry(guest.frames[Guest::DATA], P | RW) };
                        prop_assert!(bench.for_domain(id, &[map]).is_ok());
                    }
                }
                Act::Unmap => let_go(&mut bench),
                Act::Give(id, has_dma) => {
                    let exists = bench.hv().slot_of(DomId(id)).is_some();
                    let is_free = holder.is_none();
                    let allow = if has_dma { PciDevAccess::GIVE_WITH_DMA } else { PciDevAccess::GIVE };
                    let given = bench.op(&access(WireId::new(id), allow)).is_ok();
                    prop_assert!(!given || exists && is_free);
                    holder = if given { Some(id) } else { holder };
                }
                Act::Take(id) => {
                    let taken = bench.op(&access(WireId::new(id), PciDevAccess::TAKE)).is_ok();
                    prop_assert!(taken || is_mapped || bench.hv().slot_of(DomId(id)).is_none());
                    holder = holder.filter(|&holder| !taken || holder != id);
                }
                Act::MapDevice(id, on) => {
                    if let Some(guest) = guests.iter().find(|guest| guest.id == DomId(id)).cloned()
                        && bench.domain(id).is_built()
                    {
                        let done = map_device(&mut bench, &guest, on);
                        prop_assert_eq!(done, !on || holder == Some(id));
                        is_mapped = if holder == Some(id) { on } else { is_mapped };
                    }
                }
                Act::Destroy(id) => {
                    // As above.
                    prop_assert!(bench.op(&guest_abi::domctl::PhysInfo::default()).is_ok());
                    let exists = bench.hv().slot_of_any(DomId(id)).is_some();
                    prop_assert_eq!(bench.destroy(id).is_ok(), exists);
                    guests.retain(|guest| guest.id != DomId(id));
                    if holder == Some(id) {
                        (holder, is_mapped) = (None, false);
                        prop_assert_eq!(command(&bench) & 4, 0);
                    }
                }
            }
            bench.assert_sound();
        }
        for id in [1, 2, 3, 1025, 2049] {
            let _ = bench.destroy(id);
        }
        let_go(&mut bench);
        prop_assert!(bench.op(&guest_abi::domctl::PhysInfo::default()).is_ok());
        bench.assert_sound();
        prop_assert_eq!(bench.free(), free);
        prop_assert_eq!(&bench.hv().given, &Given::NOTHING);
    }
}
