//! Loaders that lie: whatever they left in memory, the answer is a refusal or a sane picture.

mod common;

use common::{IMAGE, INFO_AT, Loader, Memory, block, load};
use hv_bootinfo::BootInfo;
use proptest::prelude::*;

/// What a successful reading promises.
fn check_promises(info: &BootInfo) {
    let pages: Vec<_> = info.modules().iter().map(|m| m.range.page_outward()).collect();
    assert!(!pages.is_empty());
    for (n, (module, range)) in info.modules().iter().zip(&pages).enumerate() {
        assert!(module.range.start <= module.range.end);
        let _ = info.module_cmd_line(module);
        if module.range.is_empty() {
            continue;
        }
        assert_eq!(module.range.start % 4096, 0);
        assert!(info.memory().is_ram(range));
        assert!(!range.overlaps(&IMAGE));
        assert!(pages[..n].iter().all(|other| !other.overlaps(range)));
    }
    assert!(info.cmd_line().bytes().all(|b| (b' '..=b'~').contains(&b)));
    assert!(info.loader().bytes().all(|b| (b' '..=b'~').contains(&b)));
    assert!(info.framebuffer().is_none_or(|screen| !screen.range().is_empty()));
}

fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0_u32..64,
        Just(u32::MAX),
        (0_u32..0x8000).prop_map(|n| n << 12),
        (0_u32..0x4_0000).prop_map(|n| 0x9000 + n),
    ]
}

/// A block with all that is decoded in it.
fn rich_tags() -> Vec<(u32, Vec<u8>)> {
    let mut tags = Loader::sample().tags();
    tags.push((4, vec![0x40; 8]));
    tags.push((
        8,
        [
            vec![
                0, 0, 0, 0xE0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 32, 1, 0, 0,
            ],
            vec![8; 6],
        ]
        .concat(),
    ));
    tags.push((14, b"RSD PTR \x00tester\0\0\0\0\0".to_vec()));
    tags.push((15, [0; 36].to_vec()));
    tags
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn multiboot1_words_changed(
        info in prop::collection::vec((0_usize..22, word()), 0..4),
        modules in prop::collection::vec((0_u64..8, word()), 0..4),
        map in prop::collection::vec((0_u64..36, word()), 0..4),
    ) {
        let mut memory = Loader::sample().memory1();
        let patch = |memory: &mut Memory, start: u64, len: usize, changes: &[(u64, u32)]| {
            let mut bytes = memory.get(start, len).unwrap().to_vec();
            for &(at, value) in changes {
                common::put32(&mut bytes, at as usize * 4, value);
            }
            memory.put(start, &bytes);
        };
        patch(&mut memory, 0x1_F000, 32, &modules);
        patch(&mut memory, 0x1_2000, 144, &map);
        for (at, value) in info {
            memory.set_info(at * 4, value);
        }
        if let Ok(info) = memory.read() {
            check_promises(&info);
        }
    }

    #[test]
    fn multiboot1_any_memory(bytes in prop::collection::vec(any::<u8>(), 88..600), flags in any::<u16>()) {
        let mut memory = Memory::default();
        memory.put(INFO_AT, &bytes);
        memory.set_info(0, u32::from(flags));
        for at in [16, 24, 48, 64] {
            memory.set_info(at, INFO_AT as u32 + u32::from(bytes[at]) * 2);
        }
        if let Ok(info) = memory.read() {
            check_promises(&info);
        }
    }

    #[test]
    fn multiboot2_words_changed(changes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..6)) {
        let mut words = block(&rich_tags());
        for (at, value) in changes {
            // Not the size of the whole: that it is true is the binary's promise.
            let at = 1 + at.index(words.len() * 2 - 1);
            let (index, shift) = (at / 2, at % 2 * 32);
            words[index] = words[index] & !(0xFFFF_FFFF << shift) | u64::from(value) << shift;
        }
        let Ok(block) = load(&words) else { return Ok(()) };
        let mut info = BootInfo::new();
        if info.read_multiboot2(&block, INFO_AT, IMAGE).is_ok() {
            check_promises(&info);
        }
    }

    #[test]
    fn multiboot2_payloads_cut(cuts in prop::collection::vec((0_usize..12, 0_usize..64), 1..4)) {
        let mut tags = rich_tags();
        for (tag, len) in cuts {
            let tag = tag % tags.len();
            tags[tag].1.truncate(len);
        }
        let words = block(&tags);
        let mut info = BootInfo::new();
        if info.read_multiboot2(&load(&words).unwrap(), INFO_AT, IMAGE).is_ok() {
            check_promises(&info);
        }
    }
}
