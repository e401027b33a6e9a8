use super::*;
use guest_abi::segment::DescriptorFlags;
use proptest::prelude::*;

const END: u64 = 0xFC40_0000;
const CUT: SegmentLimits = SegmentLimits::Truncate(END);
const DATA: u8 = segment_type::WRITABLE;
const DOWN: u8 = segment_type::WRITABLE | segment_type::EXPAND_DOWN;
const BYTES: DescriptorFlags = DescriptorFlags::ORDINARY.difference(DescriptorFlags::PAGES);

fn make(base: u32, limit: u32, kind: u8, dpl: u8, flags: DescriptorFlags) -> u64 {
    Descriptor::from_fields(base, limit, kind, dpl, flags).raw()
}

#[test]
fn an_absent_descriptor_can_hold_anything() {
    for raw in [0, !(1 << 47), 0x0020_0000_0000_0000] {
        assert_eq!(check_descriptor(raw, CUT), Ok(raw));
    }
}

#[test]
fn level_0_is_refused() {
    for kind in 0..16 {
        let raw = make(0, 0xFF, kind, 0, DescriptorFlags::ORDINARY);
        assert_eq!(check_descriptor(raw, CUT), Err(SegmentError::Privileged));
    }
    // So is a system descriptor of level 0, for that reason first.
    assert_eq!(
        check_descriptor(0x0000_8900_0000_0067, CUT),
        Err(SegmentError::Privileged)
    );
}

#[test]
fn every_system_type_is_refused_call_gates_included() {
    for kind in 0..16 {
        for dpl in 1..4 {
            let raw = make(0, 0, kind, dpl, DescriptorFlags::PRESENT);
            assert_eq!(check_descriptor(raw, CUT), Err(SegmentError::System { kind }));
            assert_eq!(
                check_descriptor(raw, SegmentLimits::Full),
                Err(SegmentError::System { kind })
            );
        }
    }
}

#[test]
fn the_l_bit_is_refused_in_code_and_data() {
    for kind in 0..16 {
        for extra in [
            DescriptorFlags::LONG,
            DescriptorFlags::LONG | DescriptorFlags::SIZE_32,
        ] {
            let flags = (DescriptorFlags::ORDINARY - DescriptorFlags::SIZE_32) | extra;
            let raw = make(0, 0, kind, 1, flags);
            assert_eq!(check_descriptor(raw, CUT), Err(SegmentError::Long));
            assert_eq!(
                check_descriptor(raw, SegmentLimits::Full),
                Err(SegmentError::Long)
            );
        }
    }
}

#[test]
fn a_16_bit_stack_is_refused_and_other_16_bit_segments_are_not() {
    let narrow = DescriptorFlags::ORDINARY - DescriptorFlags::SIZE_32;
    for kind in 0..16u8 {
        let raw = make(0, 0xF, kind, 3, narrow);
        let is_stack = kind & 8 == 0 && kind & 2 != 0;
        let expected = if is_stack {
            Err(SegmentError::NarrowStack)
        } else {
            Ok(raw)
        };
        if kind & 12 != 4 {
            assert_eq!(check_descriptor(raw, CUT), expected, "type {kind}");
        }
    }
}

#[test]
fn a_4_gb_segment_is_cut_at_the_window() {
    let raw = make(0, 0xF_FFFF, DATA, 1, DescriptorFlags::ORDINARY);
    assert_eq!(
        check_descriptor(raw, CUT),
        Ok(make(0, 0xF_C3FF, DATA, 1, DescriptorFlags::ORDINARY))
    );
    assert_eq!(check_descriptor(raw, SegmentLimits::Full), Ok(raw));
    assert_eq!(check_descriptor(raw, SegmentLimits::Truncate(1 << 32)), Ok(raw));
}

#[test]
fn the_cut_counts_from_the_base() {
    let raw = make(0x8000_0000, 0xF_FFFF, DATA, 3, DescriptorFlags::ORDINARY);
    let cut = Descriptor::new(check_descriptor(raw, CUT).expect("can be cut"));
    assert_eq!(u64::from(cut.base()) + u64::from(cut.limit()) + 1, END);
}

#[test]
fn a_segment_that_fits_is_left_alone() {
    for (base, limit) in [
        (0, 0xF_C3FF),
        (0x1000, 0xF_C3FE),
        (0xFC3F_E000, 0),
        (0x1234, 0x10),
    ] {
        let raw = make(base, limit, DATA, 1, DescriptorFlags::ORDINARY);
        assert_eq!(check_descriptor(raw, CUT), Ok(raw));
    }
}

#[test]
fn a_base_beyond_the_window_is_refused() {
    for base in [0xFC3F_F000, 0xFC40_0000, u32::MAX] {
        let raw = make(base, 0, DATA, 1, DescriptorFlags::ORDINARY);
        assert_eq!(check_descriptor(raw, CUT), Err(SegmentError::Base { base }));
    }
}

#[test]
fn a_byte_limit_that_reaches_too_far_cannot_be_cut() {
    let raw = make(0xFC3F_0000, 0xF_FFFF, DATA, 1, BYTES);
    assert_eq!(check_descriptor(raw, CUT), Err(SegmentError::ByteLimit));
    let raw = make(0x1000_0000, 0xFFFF, DOWN, 1, BYTES);
    assert_eq!(check_descriptor(raw, CUT), Err(SegmentError::ByteLimit));
}

#[test]
fn an_expand_down_segment_is_cut_to_what_lies_below_its_base() {
    // Limit 0: offsets 0x1000 up, nearly everything above the base.
    let raw = make(0x4000_0000, 0, DOWN, 3, DescriptorFlags::ORDINARY);
    let cut = Descriptor::new(check_descriptor(raw, CUT).expect("can be cut"));
    assert_eq!(u64::from(cut.limit()) + 1, (1 << 32) - 0x4000_0000);
    // Base 0: nothing is below, no offset stays valid.
    let raw = make(0, 0, DOWN, 3, DescriptorFlags::ORDINARY);
    let cut = Descriptor::new(check_descriptor(raw, CUT).expect("can be cut"));
    assert_eq!(cut.limit(), u32::MAX);
}

#[test]
fn code_selectors() {
    let good = [
        Selector::FLAT_RING1_CS,
        Selector::gdt(0, 1),
        Selector::gdt(FIRST_RESERVED_ENTRY - 1, 1),
        Selector::new(4 | 1),
        Selector::new(0xFFFD),
    ];
    for selector in good {
        assert_eq!(check_code_selector(selector), Ok(()));
    }
    let bad = [
        reserved::HV_CS,
        Selector::NULL,
        Selector::FLAT_RING1_DS,
        Selector::FLAT_RING3_CS,
        Selector::gdt(1, 0),
        Selector::gdt(1, 2),
        Selector::gdt(1, 3),
        Selector::gdt(FIRST_RESERVED_ENTRY, 1),
        Selector::gdt(FIRST_RESERVED_ENTRY + 1, 1),
        Selector::gdt(8191, 1),
        Selector::new(4),
        Selector::new(4 | 3),
    ];
    for selector in bad {
        assert_eq!(
            check_code_selector(selector),
            Err(SegmentError::CodeSelector(selector))
        );
        assert_eq!(
            HvError::from(SegmentError::CodeSelector(selector)),
            HvError::Denied
        );
    }
}

/// All linear addresses of a data or code segment, as at most two ranges, by the manual's words alone.
fn covers(d: Descriptor) -> Vec<(u64, u64)> {
    let base = u64::from(d.base());
    let limit = u64::from(d.limit());
    let (first, last) = if is_expand_down(d) {
        if limit == u64::from(u32::MAX) {
            return vec![];
        }
        (
            limit + 1,
            if d.is_32_bit() {
                u64::from(u32::MAX)
            } else {
                0xFFFF
            },
        )
    } else {
        (0, limit)
    };
    if first > last {
        return vec![];
    }
    let (from, to) = (base + first, base + last);
    if to < FOUR_GIB {
        vec![(from, to)]
    } else if from >= FOUR_GIB {
        vec![(from - FOUR_GIB, to - FOUR_GIB)]
    } else {
        vec![(from, FOUR_GIB - 1), (0, to - FOUR_GIB)]
    }
}

fn any_end() -> impl Strategy<Value = u64> {
    (1u64..=16).prop_map(|n| 0xFC00_0000 + n * (4 << 20))
}

proptest! {
    #[test]
    fn what_is_accepted_keeps_the_rules(raw: u64, present: bool, plain: bool, end in any_end()) {
        // Random bits are mostly refused; steer half of them towards code and data.
        let mut raw = raw;
        if present { raw |= 1 << 47 }
        if plain { raw = (raw | 1 << 44) & !(1 << 53) }
        if let Ok(accepted) = check_descriptor(raw, SegmentLimits::Truncate(end)) {
            let d = Descriptor::new(accepted);
            const LIMIT_FIELD: u64 = 0x000F_0000_0000_FFFF;
            prop_assert_eq!(accepted & !LIMIT_FIELD, raw & !LIMIT_FIELD);
            if d.is_present() {
                prop_assert!(d.dpl() != 0 && d.is_code_or_data() && !d.is_long());
                prop_assert!(!is_writable_data(d) || d.is_32_bit());
                for (_, last) in covers(d) {
                    prop_assert!(last < end, "reaches {:#x}", last);
                }
                // Judging twice changes nothing more.
                prop_assert_eq!(check_descriptor(accepted, SegmentLimits::Truncate(end)), Ok(accepted));
            } else {
                prop_assert_eq!(accepted, raw);
            }
        }
    }

    #[test]
    fn a_cut_only_takes_away(base: u32, limit in 0u32..=0xF_FFFF, kind in 0u8..16, end in any_end()) {
        let raw = make(base, limit, kind, 3, DescriptorFlags::ORDINARY);
        if let Ok(accepted) = check_descriptor(raw, SegmentLimits::Truncate(end)) {
            let before = covers(Descriptor::new(raw));
            for (from, to) in covers(Descriptor::new(accepted)) {
                prop_assert!(before.iter().any(|&(a, b)| a <= from && to <= b));
            }
        }
    }
}
