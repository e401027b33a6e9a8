//! A built domain, seen as its kernel and as the processor see it.

mod common;

use common::domain::{Built, NR_PAGES, at, build, given, request, start_info};
use common::machine::{Broken, Machine, OLD};
use common::{Image, RX, flags_note, load};
use guest_abi::addr::{HV_START, MachAddr, Mfn, Pfn};
use guest_abi::elfnote::ImageFlags;
use guest_abi::segment::Selector;
use guest_abi::start_info::{StartFlags, StartInfo};
use guest_image::builder::{BuildError, Builder, Ramdisk};
use guest_image::image::KernelImage;
use guest_image::layout::LayoutRequest;
use proptest::prelude::*;

/// Every page of the 4 GiB is mapped as it must be: the region 1:1, its page tables read-only, nothing else.
fn check_address_space(built: &Built) {
    let (layout, machine) = (&built.layout, &built.machine);
    let l3 = layout.tables.l3().raw();
    let (base, end) = (layout.virt_base().raw(), layout.virt_end().raw());
    for n in 0..layout.mapped_pages() {
        let (pfn, flags) = machine.translate(l3, base + n * 4096).expect("mapped");
        assert_eq!(pfn, n);
        let is_table = layout.tables.piece().contains(Pfn::new(n));
        assert_eq!(flags, if is_table { 0x21 } else { 0x23 }, "frame {n}");
    }
    for va in (0..=u32::MAX)
        .step_by(4096)
        .filter(|va| !(base..end).contains(va))
    {
        // Where no L1 exists, one look for 2 MiB is enough.
        if va % (2 << 20) == 0 || (base >> 21 == va >> 21) || (end >> 21 == va >> 21) {
            assert_eq!(machine.translate(l3, va), None, "{va:#x}");
        }
    }
}

#[test]
fn the_address_space_is_one_to_one_with_read_only_tables() {
    let built = build(&Image::sample(), request(), Ramdisk::None);
    check_address_space(&built);
    let [l3e, l2e, _] = built
        .machine
        .walk(built.layout.tables.l3().raw(), built.layout.virt_base());
    assert_eq!(l3e & 0xFFF, 0x001, "present, nothing else");
    assert_eq!(l2e & 0xFFF, 0x067, "present, writable, user, accessed, dirty");
}

#[test]
fn an_odd_base_leaves_the_first_l1_partly_empty() {
    let image = Image::of_size(0x4010_3000, 0x1000);
    let built = build(&image, request(), Ramdisk::None);
    check_address_space(&built);
    let l3 = built.layout.tables.l3().raw();
    assert_eq!(built.machine.translate(l3, 0x4010_2000), None);
    let top = built.machine.walk(l3, guest_abi::addr::GuestVirt::new(HV_START));
    assert_eq!((top[0] & 0xFFF, top[1]), (1, 0), "the top L2 is there and empty");
}

#[test]
fn a_domain_without_padding_maps_its_memory_to_the_last_page() {
    let mut image = Image::of_size(0xC000_0000, 0x5000);
    image.notes.extend(flags_note(ImageFlags::UNPADDED));
    let small = LayoutRequest {
        nr_pages: 40,
        ring_pages: 1,
        ..request()
    };
    let built = build(&image, small, Ramdisk::None);
    assert_eq!(built.layout.mapped_pages(), 40);
    check_address_space(&built);
    assert_eq!(start_info(&built).nr_pages, 40);
}

#[test]
fn segments_are_loaded_and_their_rest_is_zero() {
    let built = build(&Image::sample(), request(), Ramdisk::None);
    let machine = &built.machine;
    assert_eq!(machine.range(0x10_0000, 0x1800), [0x90; 0x1800]);
    assert_eq!(machine.range(0x10_2000, 9), b"constants");
    assert_eq!(machine.range(0x10_3000, 4), b"data");
    assert!(
        machine.range(0x10_3004, 0x511F).iter().all(|&b| b == 0),
        "what the file does not hold"
    );
    assert_eq!(machine.range(0x10_8123, 1), [OLD], "and not a byte more");
}

#[test]
fn start_info_says_where_everything_is() {
    let built = build(
        &Image::sample(),
        LayoutRequest {
            ramdisk_len: 5,
            ..request()
        },
        Ramdisk::Copy(b"hello"),
    );
    let info = start_info(&built);
    let layout = &built.layout;
    assert_eq!(info.nr_pages, NR_PAGES);
    assert_eq!(info.shared_info, MachAddr::new(0x1_2345_6000));
    assert_eq!(info.flags, StartFlags::PRIVILEGED);
    assert_eq!(info.pt_base, layout.tables.piece().virt);
    assert_eq!(info.nr_pt_frames, layout.tables.piece().pages);
    assert_eq!(info.mfn_list, layout.p2m.virt);
    assert_eq!((info.mod_start, info.mod_len), (layout.ramdisk.virt, 5));
    assert_eq!(info.command_line(), b"hello");
    let page = built.machine.page(layout.start_info.first.raw());
    assert!(page[size_of::<StartInfo>()..].iter().all(|&b| b == 0));
    assert_eq!(built.machine.range(at(layout.ramdisk), 5), b"hello");
    assert!(
        built
            .machine
            .range(at(layout.ramdisk) + 5, 4091)
            .iter()
            .all(|&b| b == 0)
    );
}

#[test]
fn without_ramdisk_and_modules_there_is_no_module() {
    let info = start_info(&build(&Image::sample(), request(), Ramdisk::None));
    assert_eq!((info.mod_start.raw(), info.mod_len), (0, 0));
    assert!(!info.flags.contains(StartFlags::MODULE_LIST));
}

#[test]
fn the_p2m_list_names_every_frame() {
    let built = build(
        &Image::sample(),
        LayoutRequest {
            nr_pages: 1500,
            ..request()
        },
        Ramdisk::None,
    );
    let list = at(built.layout.p2m);
    for pfn in 0..1500 {
        assert_eq!(built.machine.word32(list + pfn * 4), built.machine.mfn(pfn));
    }
    assert!(
        built
            .machine
            .range(list + 6000, 8192 - 6000)
            .iter()
            .all(|&b| b == 0),
        "zero to the end of the page"
    );
}

#[test]
fn the_first_vcpu_starts_on_the_boot_stack() {
    let built = build(
        &Image::sample(),
        LayoutRequest {
            ring_pages: 2,
            ..request()
        },
        Ramdisk::None,
    );
    let (start, layout) = (built.start, &built.layout);
    assert_eq!(start.eip.raw(), 0xC010_0004);
    assert_eq!(start.esi, layout.start_info.virt);
    assert_eq!(start.esp.raw(), layout.start_info.virt.raw() + 8192);
    assert_eq!(
        (start.kernel_ss, start.kernel_esp),
        (Selector::FLAT_RING1_DS, start.esp)
    );
    assert_eq!(
        (start.cs, start.data),
        (Selector::FLAT_RING1_CS, Selector::FLAT_RING1_DS)
    );
    assert_eq!(start.eflags, 0x202, "IF and the reserved bit, not PF");
    assert_eq!(
        (start.l3, start.l3_mfn),
        (layout.tables.l3(), Mfn::new(built.machine.mfn(start.l3.raw())))
    );
    for piece in [layout.boot_stack, layout.rings] {
        assert!(
            built
                .machine
                .range(at(piece), piece.pages as usize * 4096)
                .iter()
                .all(|&b| b == 0)
        );
    }
}

#[test]
fn a_missing_or_broken_frame_is_reported() {
    let bytes = Image::sample().bytes();
    let kernel = KernelImage::parse(&bytes).unwrap();
    let builder = Builder::plan(&kernel, request()).unwrap();
    let mut machine = Machine::new(NR_PAGES);
    machine.missing = Some(Pfn::new(4000));
    assert_eq!(
        builder.build(&mut machine, Ramdisk::None, &given()),
        Err(BuildError::NoFrame(Pfn::new(4000)))
    );
    machine.missing = None;
    for (_, piece) in builder
        .layout()
        .pieces()
        .into_iter()
        .filter(|(name, p)| p.pages != 0 && *name != "padding")
    {
        // The kernel's first page is above its base: nothing is written there.
        let pfn = Pfn::new(piece.end() - 1);
        machine.broken = Some(pfn);
        assert_eq!(
            builder.build(&mut machine, Ramdisk::None, &given()),
            Err(BuildError::Memory(Broken)),
            "{pfn:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_domain_maps_itself_one_to_one(
        base_page in 0_u32..0xFC000 - 0x1000,
        size in 1_u32..0x60_0000,
        nr_pages in 1024_u32..6000,
        ramdisk_len in 0_u32..0x20_0000,
        ring_pages in 0_u32..3,
    ) {
        let base = base_page << 12;
        let image = Image { entry: base, loads: vec![load(base, &[1; 9], size.max(9), RX)], ..Image::of_size(0, 9) };
        let bytes = image.bytes();
        let kernel = KernelImage::parse(&bytes).unwrap();
        let request = LayoutRequest { nr_pages, min_virt_base: 0, ramdisk_len, modules: &[], ring_pages };
        let Ok(builder) = Builder::plan(&kernel, request) else { return Ok(()) };
        let mut machine = Machine::new(nr_pages);
        let ramdisk = vec![0x77; ramdisk_len as usize];
        let start = builder.build(&mut machine, Ramdisk::Copy(&ramdisk), &given()).unwrap();
        let built = Built { machine, layout: builder.layout().clone(), start };
        check_address_space(&built);
        let padding = built.layout.padding;
        let len = padding.pages as usize * 4096;
        prop_assert!(built.machine.range(at(padding), len).iter().all(|&b| b == OLD), "padding is not written");
        let ramdisk_at = at(built.layout.ramdisk);
        prop_assert_eq!(built.machine.range(ramdisk_at, ramdisk.len()), ramdisk.as_slice());
    }
}
