//! The parser against images that nobody made in good faith: it answers, and what it accepts keeps its promises.

mod common;

use common::Image;
use guest_abi::addr::HV_START;
use guest_image::image::KernelImage;
use proptest::prelude::*;

/// What an accepted image promises, whatever the file was.
fn check_promises(bytes: &[u8]) {
    let Ok(image) = KernelImage::parse(bytes) else {
        return;
    };
    let segments = image.segments();
    assert!(!segments.is_empty());
    let file = bytes.as_ptr_range();
    let mut last_end = image.virt_base().raw();
    assert_eq!(last_end % 4096, 0);
    for segment in segments {
        assert!(
            segment.start.raw() >= last_end,
            "sorted, disjoint, above the base"
        );
        last_end = segment.end();
        assert!(last_end <= HV_START);
        assert!(segment.data.len() as u64 <= u64::from(segment.mem_size));
        let data = segment.data.as_ptr_range();
        assert!(file.start <= data.start && data.end <= file.end);
    }
    assert_eq!(image.end().raw(), last_end);
    let entry = image.entry().raw();
    assert!(segments.iter().any(|s| s.start.raw() <= entry && entry < s.end()));
}

/// Values that break arithmetic more often than random ones.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0_u32..4096,
        Just(u32::MAX),
        Just(0x7FFF_FFFF),
        Just(0x8000_0000),
        (0_u32..64).prop_map(|n| u32::MAX - n),
        (0_u32..8).prop_map(|n| HV_START - 0x1000 * n),
    ]
}

fn sample_with_section() -> Vec<u8> {
    let section = Some(("__xen_guest", b"XEN_VER=2.0".as_slice()));
    Image {
        section,
        ..Image::sample()
    }
    .bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        check_promises(&bytes);
    }

    #[test]
    fn mutated_headers(patches in prop::collection::vec((0_usize..64, word()), 1..6)) {
        let mut bytes = sample_with_section();
        for (at, value) in patches {
            // The ELF header past its identification, the program headers, the notes.
            common::put32(&mut bytes, 16 + at * 4, value);
        }
        check_promises(&bytes);
    }

    #[test]
    fn mutated_anywhere(
        patches in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = sample_with_section();
        for (at, value) in patches {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        check_promises(&bytes);
    }

    #[test]
    fn mutated_section_headers(patches in prop::collection::vec((0_usize..30, word()), 1..6)) {
        let section = Some(("__xen_guest", b"XEN_VER=2.0".as_slice()));
        let mut bytes = Image { notes: vec![], section, ..Image::sample() }.bytes();
        let table = bytes.len() - 3 * 40;
        for (at, value) in patches {
            common::put32(&mut bytes, table + at * 4, value);
        }
        prop_assert!(KernelImage::parse(&bytes).is_err(), "there is no note");
    }
}
