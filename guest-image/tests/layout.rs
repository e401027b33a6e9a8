//! What lies where: the pieces' order, the tables' number, and every reason why a plan is refused.

mod common;

use common::{Image, flags_note};
use guest_abi::addr::{GuestVirt, HV_START};
use guest_abi::elfnote::ImageFlags;
use guest_image::image::KernelImage;
use guest_image::layout::{
    DOMAIN0_MIN_VIRT_BASE, Layout, LayoutError, LayoutRequest, MAX_MODULES, Module, Piece,
};
use guest_image::tables::Table;
use proptest::prelude::*;

const MIB: u32 = 1 << 20;

fn request(nr_pages: u32) -> LayoutRequest<'static> {
    LayoutRequest {
        nr_pages,
        min_virt_base: 0,
        ramdisk_len: 0,
        modules: &[],
        ring_pages: 0,
    }
}

fn plan(base: u32, size: u32, request: &LayoutRequest<'_>) -> Result<Layout, LayoutError> {
    let bytes = Image::of_size(base, size).bytes();
    Layout::plan(&KernelImage::parse(&bytes).unwrap(), request)
}

/// The same for a kernel that needs no padding.
fn plan_unpadded(base: u32, size: u32, request: &LayoutRequest<'_>) -> Result<Layout, LayoutError> {
    let mut image = Image::of_size(base, size);
    image.notes.extend(flags_note(ImageFlags::UNPADDED));
    let bytes = image.bytes();
    Layout::plan(&KernelImage::parse(&bytes).unwrap(), request)
}

fn pages(piece: Piece) -> (u32, u32) {
    (piece.first.raw(), piece.pages)
}

#[test]
fn a_small_domain_page_by_page() {
    let layout = plan(
        0xC000_0000,
        0x2800,
        &LayoutRequest {
            ramdisk_len: 4097,
            ..request(4096)
        },
    )
    .unwrap();
    assert_eq!(pages(layout.kernel), (0, 3));
    assert_eq!(pages(layout.ramdisk), (3, 2));
    assert_eq!(pages(layout.module_list), (5, 0));
    assert_eq!(pages(layout.p2m), (5, 4), "4096 pages, 4 bytes each");
    // One L3, one L2 (slot 3 is the last anyway), one L1.
    assert_eq!(pages(layout.tables.piece()), (9, 3));
    assert_eq!(pages(layout.start_info), (12, 1));
    assert_eq!(pages(layout.boot_stack), (13, 1));
    assert_eq!(pages(layout.rings), (14, 0));
    assert_eq!(pages(layout.padding), (14, 512 - 14));
    assert_eq!(layout.mapped_pages(), 512);
    assert_eq!(layout.virt_end().raw(), 0xC020_0000);
}

#[test]
fn the_top_l2_exists_without_anything_to_map() {
    let layout = plan(0x4000_0000, 4096, &request(1024)).unwrap();
    let tables: Vec<Table> = layout.tables.iter().map(|(_, table)| table).collect();
    assert_eq!(tables, [Table::L3, Table::L2(1), Table::L2(3), Table::L1(512)]);
    assert!(layout.tables.l2(0).is_none() && layout.tables.l2(2).is_none());
    assert_eq!(
        layout.tables.l1(GuestVirt::new(0x401F_FFFF)),
        layout.tables.l1(GuestVirt::new(0x4000_0000))
    );
    assert_eq!(layout.tables.l1(GuestVirt::new(0x4020_0000)), None);
    assert_eq!(layout.tables.l1(GuestVirt::new(0x3FFF_FFFF)), None);
}

#[test]
fn a_region_across_a_gibibyte_has_two_l2s() {
    let layout = plan(0x7FF0_0000, 2 * MIB, &request(4096)).unwrap();
    let tables: Vec<Table> = layout.tables.iter().map(|(_, table)| table).collect();
    let l1s = [Table::L1(1023), Table::L1(1024)];
    assert_eq!(
        tables,
        [
            [Table::L3, Table::L2(1), Table::L2(2), Table::L2(3)].as_slice(),
            &l1s
        ]
        .concat()
    );
    assert_eq!(layout.virt_end().raw(), 0x8020_0000);
}

#[test]
fn padding_is_at_least_512_kib() {
    // Kernel + P2M (1 page for 1024 frames) + 3 tables + 2: exactly 128 pages are left of the first 512.
    let fits = plan(0xC000_0000, (512 - 128 - 6) * 4096, &request(1024)).unwrap();
    assert_eq!((fits.mapped_pages(), fits.padding.pages), (512, 128));
    let grows = plan(0xC000_0000, (512 - 128 - 5) * 4096, &request(1024)).unwrap();
    assert_eq!(
        (grows.mapped_pages(), grows.padding.pages),
        (1024, 512 + 127 - 1),
        "one more L1 as well"
    );
}

#[test]
fn tables_that_need_a_table_are_counted() {
    // The region ends so that the table pages themselves push it over a 2 MiB boundary.
    for size in (0..3000).map(|n| (200 * 512 + n) * 4096) {
        let layout = plan(0xC000_0000, size, &request(0x4_0000)).unwrap();
        let l1s = layout
            .tables
            .iter()
            .filter(|(_, t)| matches!(t, Table::L1(_)))
            .count() as u32;
        assert_eq!(l1s, layout.mapped_pages() / 512);
        assert_eq!(layout.tables.piece().pages, l1s + 2);
    }
}

#[test]
fn modules_follow_the_mapped_region() {
    let modules = [
        Module {
            len: 5000,
            cmd_line: b"one",
        },
        Module {
            len: 0,
            cmd_line: b"",
        },
        Module {
            len: 1,
            cmd_line: b"x",
        },
    ];
    let layout = plan(
        0xC000_0000,
        4096,
        &LayoutRequest {
            modules: &modules,
            ..request(1024)
        },
    )
    .unwrap();
    assert_eq!(layout.module_list.pages, 1);
    let frames: Vec<(u32, u32)> = layout.modules.iter().map(|m| (m.first.raw(), m.pages)).collect();
    assert_eq!(frames, [(512, 2), (514, 0), (514, 1)]);
    let needed = 515;
    let tight = |nr_pages| {
        plan(
            0xC000_0000,
            4096,
            &LayoutRequest {
                modules: &modules,
                ..request(nr_pages)
            },
        )
    };
    assert!(tight(needed).is_ok());
    let error = LayoutError::NotEnoughMemory {
        nr_pages: needed - 1,
        needed: u64::from(needed),
    };
    assert_eq!(tight(needed - 1), Err(error));
}

#[test]
fn rings_lie_after_the_boot_stack() {
    let layout = plan(
        0,
        4096,
        &LayoutRequest {
            ring_pages: 2,
            ..request(1024)
        },
    )
    .unwrap();
    assert_eq!(pages(layout.rings), (layout.boot_stack.end(), 2));
    assert_eq!(layout.boot_stack.first.raw(), layout.start_info.end());
}

#[test]
fn domain0_keeps_the_first_gibibyte_free() {
    let domain0 = LayoutRequest {
        min_virt_base: DOMAIN0_MIN_VIRT_BASE,
        ..request(1024)
    };
    assert!(plan(0x4000_0000, 4096, &domain0).is_ok());
    let error = LayoutError::BaseTooLow {
        base: 0x3FFF_F000,
        min: 0x4000_0000,
    };
    assert_eq!(plan(0x3FFF_F000, 4096, &domain0), Err(error));
    assert!(plan(0x3FFF_F000, 4096, &request(1024)).is_ok(), "others may");
}

#[test]
fn a_region_may_end_at_the_hypervisor_but_not_beyond() {
    let base = HV_START - 2 * MIB;
    assert_eq!(
        plan(base, 4096, &request(1024)).unwrap().virt_end().raw(),
        HV_START
    );
    let big = LayoutRequest {
        ramdisk_len: MIB * 3 / 2,
        ..request(4096)
    };
    let Err(LayoutError::NoVirtualSpace { end }) = plan(base, 4096, &big) else {
        panic!("must not fit")
    };
    assert_eq!(end, u64::from(HV_START) + 2 * u64::from(MIB));
    let absurd = LayoutRequest {
        ramdisk_len: u32::MAX,
        ring_pages: u32::MAX,
        ..request(u32::MAX)
    };
    assert!(matches!(
        plan(0, 4096, &absurd),
        Err(LayoutError::NoVirtualSpace { .. })
    ));
}

#[test]
fn the_whole_region_must_be_backed() {
    assert!(plan(0xC000_0000, 4096, &request(512)).is_ok());
    let error = LayoutError::NotEnoughMemory {
        nr_pages: 511,
        needed: 512,
    };
    assert_eq!(plan(0xC000_0000, 4096, &request(511)), Err(error));
    assert_eq!(
        error.to_string(),
        "domain has 2044 KiB of memory, its kernel, ramdisk and modules need 2048 KiB"
    );
    assert!(matches!(
        plan(0xC000_0000, 4096, &request(0)),
        Err(LayoutError::NotEnoughMemory { .. })
    ));
}

#[test]
fn without_padding_the_region_ends_with_the_domains_memory() {
    // Kernel, P2M list, three tables, start_info, boot stack.
    let least = 10 + 1 + 3 + 2;
    let layout = plan_unpadded(0xC000_0000, 10 * 4096, &request(least)).unwrap();
    assert_eq!((layout.mapped_pages(), layout.padding.pages), (least, 0));
    let error = LayoutError::NotEnoughMemory {
        nr_pages: least - 1,
        needed: u64::from(least),
    };
    assert_eq!(
        plan_unpadded(0xC000_0000, 10 * 4096, &request(least - 1)),
        Err(error)
    );
    let more = plan_unpadded(0xC000_0000, 10 * 4096, &request(128)).unwrap();
    assert_eq!((more.mapped_pages(), more.padding.pages), (128, 128 - least));
    // Where there is memory for it, the padding is there.
    for pages in [512, 4096] {
        let wide = plan_unpadded(0xC000_0000, 10 * 4096, &request(pages)).unwrap();
        assert_eq!(
            (wide.mapped_pages(), wide.tables.piece().pages),
            (512, 3),
            "{pages}"
        );
    }
    // No table for what is not there: the padded region would need a second L1.
    let tight = plan_unpadded(0xC000_0000, 450 * 4096, &request(460)).unwrap();
    assert_eq!((tight.mapped_pages(), tight.tables.piece().pages), (460, 3));
    // Modules come out of the same memory.
    let modules = [Module {
        len: 8192,
        cmd_line: b"",
    }];
    let with_module = LayoutRequest {
        modules: &modules,
        ..request(128)
    };
    let layout = plan_unpadded(0xC000_0000, 10 * 4096, &with_module).unwrap();
    assert_eq!((layout.mapped_pages(), layout.modules[0].first.raw()), (126, 126));
}

#[test]
fn the_number_of_modules_is_bounded() {
    let modules = [Module {
        len: 1,
        cmd_line: b"",
    }; MAX_MODULES + 1];
    let all = LayoutRequest {
        modules: &modules,
        ..request(4096)
    };
    assert_eq!(
        plan(0, 4096, &all),
        Err(LayoutError::TooManyModules { count: 33 })
    );
    assert!(
        plan(
            0,
            4096,
            &LayoutRequest {
                modules: &modules[1..],
                ..all
            }
        )
        .is_ok()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_plan_keeps_its_promises(
        base_page in 0_u32..0xFC000,
        size in 1_u32..0x3000_0000,
        nr_pages in 0_u32..0x10_0000,
        ramdisk_len in prop_oneof![Just(0), 1_u32..0x400_0000],
        ring_pages in 0_u32..4,
        lens in prop::collection::vec(0_u32..0x200_0000, 0..5),
        line in "[a-z ]{0,60}",
        is_unpadded in any::<bool>(),
    ) {
        let base = base_page << 12;
        let size = size.min(HV_START - base);
        let modules: Vec<Module<'_>> =
            lens.iter().map(|&len| Module { len, cmd_line: line.as_bytes() }).collect();
        let wanted = LayoutRequest { nr_pages, min_virt_base: 0, ramdisk_len, modules: &modules, ring_pages };
        let planned = if is_unpadded { plan_unpadded(base, size, &wanted) } else { plan(base, size, &wanted) };
        let Ok(layout) = planned else { return Ok(()) };

        // The pieces lie end to end, 1:1, and cover the region.
        let mut next = 0;
        for (name, piece) in layout.pieces() {
            prop_assert_eq!(piece.first.raw(), next, "{}", name);
            prop_assert_eq!(piece.virt.raw(), base + next * 4096, "{}", name);
            next = piece.end();
        }
        prop_assert_eq!(next, layout.mapped_pages());
        let end = u64::from(base) + u64::from(next) * 4096;
        prop_assert!(end <= u64::from(HV_START));
        let module_pages: u32 = layout.modules.iter().map(|module| module.pages).sum();
        if is_unpadded && next + module_pages == nr_pages {
            prop_assert!(layout.padding.pages < 512 + 128 + 8);
        } else {
            prop_assert_eq!(end % (2 << 20), 0);
            prop_assert!((128..512 + 128 + 8).contains(&layout.padding.pages));
        }
        prop_assert!(u64::from(layout.kernel.pages) * 4096 >= u64::from(size));
        prop_assert!(u64::from(layout.ramdisk.pages) * 4096 >= u64::from(ramdisk_len));
        prop_assert!(layout.p2m.pages * 1024 >= nr_pages);

        // The tables are exactly those that the region needs, in their frames' order.
        let frames: Vec<_> = layout.tables.iter().collect();
        prop_assert_eq!(frames.len() as u32, layout.tables.piece().pages);
        for (n, (pfn, _)) in frames.iter().enumerate() {
            prop_assert_eq!(pfn.raw(), layout.tables.piece().first.raw() + n as u32);
        }
        prop_assert!(layout.tables.l2(3).is_some());
        for va in (u64::from(base)..end).step_by(2 << 20).chain([end - 1]) {
            let va = GuestVirt::new(va as u32);
            prop_assert!(layout.tables.l1(va).is_some());
            prop_assert!(layout.tables.l2(va.raw() >> 30).is_some());
        }

        // Modules follow without overlap, inside the domain.
        for (module, &len) in layout.modules.iter().zip(&lens) {
            prop_assert_eq!(module.first.raw(), next);
            prop_assert!(u64::from(module.pages) * 4096 >= u64::from(len));
            next += module.pages;
        }
        prop_assert!(next <= nr_pages);
    }
}
