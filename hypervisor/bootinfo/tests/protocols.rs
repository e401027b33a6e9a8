//! Both protocols tell the same story, and every refusal has a case.

mod common;

use common::{IMAGE, INFO_AT, Loader, MIB, Memory, block, load, map_tag, module, read_tags};
use hv_bootinfo::BootInfo;
use hv_bootinfo::error::BootError as E;
use hv_bootinfo::info::{MAX_MODULES, MAX_WARNINGS};
use hv_bootinfo::memory_map::RegionKind;
use hv_bootinfo::range::PhysRange;
use hv_bootinfo::warning::BootWarning as W;

/// What both protocols answer to the same loader.
fn both(loader: &Loader) -> [Result<BootInfo, E>; 2] {
    [loader.read1(), loader.read2()]
}

fn refuse(loader: &Loader) -> E {
    let [one, two] = both(loader).map(|result| result.expect_err("the boot information is bad"));
    assert_eq!(one, two);
    one
}

fn with_modules(modules: Vec<(u32, u32, Vec<u8>)>) -> Loader {
    Loader {
        modules,
        ..Loader::sample()
    }
}

#[test]
fn an_ordinary_boot_is_understood() {
    let loader = Loader {
        cmd_line: b"/boot/xenlite loglvl=all".to_vec(),
        ..Loader::sample()
    };
    let one = loader.read1().unwrap();
    let two = Loader::sample().read2().unwrap();
    for info in [&one, &two] {
        assert_eq!(info.loader(), "tester 1.0");
        assert_eq!(info.cmd_line(), "loglvl=all");
        let regions: Vec<_> = info
            .memory()
            .regions()
            .iter()
            .map(|r| (r.range.start, r.range.end, r.kind))
            .collect();
        assert_eq!(
            regions,
            [
                (0, 0x9_F000, RegionKind::Ram),
                (0x9_F000, 0xA_0000, RegionKind::Reserved),
                (0xF_0000, MIB, RegionKind::Reserved),
                (MIB, 127 * MIB, RegionKind::Ram),
                (127 * MIB, 128 * MIB, RegionKind::AcpiTables),
                (0xFFFC_0000, 1 << 32, RegionKind::Reserved),
            ]
        );
        let modules: Vec<_> = info.modules().iter().map(|m| m.range).collect();
        assert_eq!(modules[0], PhysRange::new(4 * MIB, 4 * MIB + 5000));
        assert_eq!(modules[1], PhysRange::new(5 * MIB, 5 * MIB + 0x12_3456));
        assert_eq!(info.warnings(), []);
    }
    assert_eq!(two.module_cmd_line(&two.modules()[0]), b"console=hvc0");
}

#[test]
fn old_loaders_begin_a_line_with_the_file() {
    let mut loader = Loader::sample();
    loader.cmd_line = b"  /boot/xenlite   dom0_mem=64M".to_vec();
    loader.modules[0].2 = b"/boot/kernel root=/dev/vda".to_vec();
    loader.modules[1].2 = b"/boot/initrd".to_vec();
    let info = loader.read1().unwrap();
    assert_eq!(info.cmd_line(), "dom0_mem=64M");
    let lines: Vec<_> = info.modules().iter().map(|m| info.module_cmd_line(m)).collect();
    assert_eq!(lines, [b"root=/dev/vda".as_slice(), b""]);

    loader.name = "GRUB 2.06";
    let info = loader.read1().unwrap();
    assert_eq!(
        info.cmd_line(),
        "  /boot/xenlite   dom0_mem=64M",
        "GRUB 2 leaves the file out"
    );
    assert_eq!(
        loader.read2().unwrap().module_cmd_line(&info.modules()[1]),
        b"/boot/initrd"
    );
}

#[test]
fn lines_are_made_printable_for_the_log_but_not_for_the_guest() {
    let mut loader = Loader::sample();
    loader.cmd_line = b"x\x1b[2J\ty\xFF".to_vec();
    loader.modules[0].2 = b"\x1b\xFF".to_vec();
    let info = loader.read2().unwrap();
    assert_eq!(info.cmd_line(), "x?[2J y?");
    assert_eq!(info.module_cmd_line(&info.modules()[0]), b"\x1b\xFF");
}

#[test]
fn a_map_is_needed() {
    let without = |kind: u32| -> Vec<_> {
        Loader::sample()
            .tags()
            .into_iter()
            .filter(|(k, _)| *k != kind)
            .collect()
    };
    assert_eq!(read_tags(&without(6)).unwrap_err(), E::NoMemoryMap);
    let mut memory = Loader::sample().memory1();
    memory.set_info(0, 1 << 3);
    assert_eq!(memory.read().unwrap_err(), E::NoMemoryMap);
    assert_eq!(
        refuse(&Loader {
            map: vec![(0, MIB, 1)],
            ..Loader::sample()
        }),
        E::NoRam
    );
    assert_eq!(
        refuse(&Loader {
            map: vec![(64 << 30, 64 << 30, 1)],
            ..Loader::sample()
        }),
        E::NoRam
    );
    assert_eq!(
        refuse(&Loader {
            map: vec![(MIB, MIB, 1); 513],
            ..Loader::sample()
        }),
        E::TooManyEntries
    );
    let islands = (0..129).map(|n| (MIB + n * 0x2000, 0x1000, 1)).collect();
    assert_eq!(
        refuse(&Loader {
            map: islands,
            ..Loader::sample()
        }),
        E::TooManyRegions
    );
}

#[test]
fn two_sizes_stand_in_for_a_map() {
    let mut tags: Vec<_> = Loader::sample()
        .tags()
        .into_iter()
        .filter(|(k, _)| *k != 6)
        .collect();
    let sizes = [640_u32.to_le_bytes(), (63 * 1024_u32).to_le_bytes()].concat();
    tags.push((4, sizes));
    let mut memory = Loader::sample().memory1();
    memory.set_info(0, 1 | 1 << 3);
    memory.set_info(4, 640);
    memory.set_info(8, 63 * 1024);
    for info in [read_tags(&tags).unwrap(), memory.read().unwrap()] {
        assert_eq!(info.warnings(), [W::SizesOnly]);
        assert_eq!(
            info.memory().guest_ram().collect::<Vec<_>>(),
            [PhysRange::new(MIB, 64 * MIB)]
        );
    }
    tags.last_mut().unwrap().1.truncate(7);
    assert_eq!(
        read_tags(&tags).unwrap_err(),
        E::Malformed { what: "memory sizes" }
    );
}

#[test]
fn counts_and_texts_are_bounded() {
    let many: Vec<_> = (0..=MAX_MODULES as u64)
        .map(|n| module((4 + n) * MIB, 1, "m"))
        .collect();
    assert_eq!(refuse(&with_modules(many.clone())), E::TooManyModules);
    let all = with_modules(many[1..].to_vec());
    assert!(
        both(&all)
            .iter()
            .all(|r| r.as_ref().unwrap().modules().len() == MAX_MODULES)
    );
    let long = "x".repeat(4090);
    let lines = vec![
        module(4 * MIB, 1, &["f ", &long].concat()),
        module(5 * MIB, 1, "f 0123456789"),
    ];
    let texts = with_modules(lines);
    assert_eq!(refuse(&texts), E::TextTooLong);
    let mut memory = Loader::sample().memory1();
    memory.put(0x1_1000, &[b'x'; 8192]);
    assert_eq!(
        memory.read().unwrap_err(),
        E::TextTooLong,
        "a string without an end"
    );
}

#[test]
fn pointers_into_nothing_are_malformed() {
    let broken = |patch: &dyn Fn(&mut Memory)| {
        let mut memory = Loader::sample().memory1();
        patch(&mut memory);
        memory.read().unwrap_err()
    };
    assert_eq!(
        broken(&|m| m.set_info(16, 0x5000_0000)),
        E::Malformed { what: "command line" }
    );
    assert_eq!(
        broken(&|m| m.set_info(64, u32::MAX)),
        E::Malformed { what: "loader name" }
    );
    assert_eq!(
        broken(&|m| m.set_info(24, u32::MAX)),
        E::Malformed { what: "module list" }
    );
    assert_eq!(
        broken(&|m| m.set_info(48, u32::MAX)),
        E::Malformed { what: "memory map" }
    );
    assert_eq!(
        broken(&|m| m.set_info(44, u32::MAX)),
        E::Malformed { what: "memory map" }
    );
    assert_eq!(broken(&|m| m.set_info(20, u32::MAX)), E::TooManyModules);
    let mut info = BootInfo::new();
    let result = info.read_multiboot1(0, &|_, _| None, IMAGE);
    assert_eq!(
        result,
        Err(E::Malformed {
            what: "multiboot structure"
        })
    );
    let line = |m: &mut Memory| {
        m.put(0x1_F008, &0xFFFF_0000_u32.to_le_bytes());
        let list = [4 << 20, (4 << 20) + 1, 0xFFFF_0000_u32, 0]
            .map(u32::to_le_bytes)
            .concat();
        m.put(0x3_0000, &list);
        m.set_info(20, 1);
        m.set_info(24, 0x3_0000);
    };
    assert_eq!(
        broken(&line),
        E::Malformed {
            what: "module command line"
        }
    );
}

#[test]
fn map_entries_of_odd_sizes() {
    // Multiboot 2 announces one size for all entries; larger ones are read to their known part.
    let mut tags = Loader::sample().tags();
    let map = Loader::sample().map;
    let last = tags.len() - 1;
    tags[last].1 = map_tag(&map, 40);
    assert!(read_tags(&tags).is_ok());
    for bad in [
        map_tag(&map, 16),
        map_tag(&map, 24)[..31].to_vec(),
        vec![24, 0, 0],
        vec![0; 8],
    ] {
        tags[last].1 = bad;
        let error = read_tags(&tags).unwrap_err();
        assert!(matches!(error, E::Malformed { what: "memory map" }), "{error}");
    }

    // Multiboot 1 announces a size per entry.
    let entry = |size: u32, fill: usize| -> Vec<u8> {
        let words = [MIB, 126 * MIB].map(u64::to_le_bytes).concat();
        [
            size.to_le_bytes().to_vec(),
            words,
            1_u32.to_le_bytes().to_vec(),
            vec![0; fill],
        ]
        .concat()
    };
    let read = |map: &[u8]| {
        let mut memory = Loader::sample().memory1();
        memory.put(0x4_0000, map);
        memory.set_info(44, map.len() as u32);
        memory.set_info(48, 0x4_0000);
        memory.read().map(|info| info.memory().guest_ram_bytes())
    };
    assert_eq!(read(&entry(20, 0)), Ok(126 * MIB));
    assert_eq!(
        read(&[entry(28, 8), entry(20, 0)].concat()),
        Ok(126 * MIB),
        "extended attributes"
    );
    assert_eq!(
        read(&[entry(20, 0), vec![0; 12]].concat()),
        Ok(126 * MIB),
        "less than an entry is nothing"
    );
    let malformed = Err(E::Malformed { what: "memory map" });
    assert_eq!(read(&[entry(20, 0), entry(19, 0)].concat()), malformed);
    assert_eq!(read(&[entry(20, 0), entry(u32::MAX, 0)].concat()), malformed);
    assert_eq!(read(&[entry(24, 0)].concat()), malformed);
}

#[test]
fn repeated_tags_are_reported_and_the_first_counts() {
    let mut tags = Loader::sample().tags();
    tags.push((1, b"second\0".to_vec()));
    tags.push((6, map_tag(&[], 24)));
    let info = read_tags(&tags).unwrap();
    assert_eq!(info.cmd_line(), "loglvl=all");
    assert_eq!(
        info.warnings(),
        [
            W::Repeated { what: "memory maps" },
            W::Repeated {
                what: "command lines"
            }
        ]
    );
}

#[test]
fn only_so_many_warnings_are_kept() {
    let mut loader = Loader::sample();
    loader.map.extend([(u64::MAX, 9, 2); 20]);
    for info in both(&loader).map(Result::unwrap) {
        assert_eq!(
            info.warnings(),
            [W::EntryCut {
                start: u64::MAX,
                len: 9
            }; MAX_WARNINGS]
        );
        assert_eq!(info.warnings_lost(), 4);
    }
}

#[test]
fn a_second_reading_starts_anew() {
    let tags = block(&Loader::sample().tags());
    let block = load(&tags).unwrap();
    let mut info = BootInfo::new();
    for _ in 0..3 {
        info.read_multiboot2(&block, INFO_AT, IMAGE).unwrap();
        assert_eq!(info.modules().len(), 2);
    }
    assert_eq!(info, Loader::sample().read2().unwrap());
}

#[test]
fn it_stays_small_enough_for_a_static() {
    assert!(size_of::<BootInfo>() <= 10 << 10, "{}", size_of::<BootInfo>());
}
