//! Which kernel images are taken and what each refusal says.

mod common;

use common::{Image, PT_NOTE, R, RW, RX, abi_note, base_note, load, note, program_header_word, put16, put32};
use guest_abi::elfnote::ImageFlags;
use guest_image::error::ImageError as E;
use guest_image::image::{KernelImage, MAX_SEGMENTS};

/// `abi_note()` as a constant.
const NOTE_IN_SECTION: [u8; 24] = *b"\x08\0\0\0\x04\0\0\0\x01\0\0\0xenlite\0\0\0\x02\0";

fn word_note(kind: u32, value: u32) -> Vec<u8> {
    note("xenlite", kind, &value.to_le_bytes())
}

fn refuse(image: &Image) -> E {
    KernelImage::parse(&image.bytes()).expect_err("the image is bad")
}

fn refuse_patched(patch: impl FnOnce(&mut Vec<u8>)) -> E {
    let mut bytes = Image::sample().bytes();
    patch(&mut bytes);
    KernelImage::parse(&bytes).expect_err("the image is bad")
}

#[test]
fn an_ordinary_kernel_is_taken_whole() {
    let bytes = Image::sample().bytes();
    let image = KernelImage::parse(&bytes).unwrap();
    assert_eq!(image.entry().raw(), 0xC010_0004);
    assert_eq!(image.virt_base().raw(), 0xC000_0000);
    assert_eq!((image.flags(), image.name()), (ImageFlags::empty(), ""));
    assert_eq!(image.end().raw(), 0xC010_8123);
    let starts: Vec<u32> = image.segments().iter().map(|s| s.start.raw()).collect();
    assert_eq!(
        starts,
        [0xC010_0000, 0xC010_2000, 0xC010_3000],
        "read-only segments are loaded too"
    );
    assert_eq!(image.segments()[2].data, b"data");
    assert_eq!(image.segments()[2].mem_size, 0x5123);
}

#[test]
fn without_a_base_note_the_lowest_address_is_the_base() {
    let image = Image {
        notes: abi_note(),
        ..Image::sample()
    };
    assert_eq!(
        KernelImage::parse(&image.bytes()).unwrap().virt_base().raw(),
        0xC010_0000
    );
}

#[test]
fn segments_are_sorted_and_empty_ones_dropped() {
    let mut image = Image::sample();
    image.loads.reverse();
    image.loads.push(load(0xC010_0000, &[], 0, RW));
    let bytes = image.bytes();
    let parsed = KernelImage::parse(&bytes).unwrap();
    assert!(parsed.segments().is_sorted_by_key(|s| s.start));
    assert_eq!(parsed.segments().len(), 3);
}

#[test]
fn segments_may_share_a_page_but_no_byte() {
    let mut image = Image::sample();
    image.loads[1].vaddr = 0xC010_1800;
    assert!(KernelImage::parse(&image.bytes()).is_ok());
    image.loads[1].vaddr = 0xC010_17FF;
    assert_eq!(refuse(&image), E::SegmentsOverlap { first: 1, second: 2 });
    image.loads[1] = load(0xC010_0100, b"inside", 6, R);
    assert_eq!(refuse(&image), E::SegmentsOverlap { first: 1, second: 2 });
}

#[test]
fn what_is_no_i386_executable_is_named() {
    assert_eq!(KernelImage::parse(b""), Err(E::TooShort { len: 0 }));
    assert_eq!(KernelImage::parse(&[0x7f; 51]), Err(E::TooShort { len: 51 }));
    assert_eq!(
        KernelImage::parse(&[0x1f, 0x8b, 8]),
        Err(E::Compressed { format: "gzip" })
    );
    assert_eq!(
        KernelImage::parse(b"\xfd7zXZ\0..."),
        Err(E::Compressed { format: "xz" })
    );
    assert_eq!(KernelImage::parse(&[b'#'; 4096]), Err(E::NotElf));
    assert_eq!(refuse_patched(|b| b[4] = 2), E::Not32Bit);
    assert_eq!(refuse_patched(|b| b[4] = 7), E::Not32Bit);
    assert!(matches!(refuse_patched(|b| b[5] = 2), E::NotI386 { .. }));
    assert_eq!(refuse_patched(|b| put16(b, 18, 62)), E::NotI386 { machine: 62 });
    assert_eq!(refuse_patched(|b| put16(b, 16, 3)), E::NotExecutable { kind: 3 });
}

#[test]
fn header_tables_must_lie_in_the_file() {
    assert_eq!(refuse_patched(|b| put32(b, 28, u32::MAX - 8)), E::BadHeaders);
    assert_eq!(refuse_patched(|b| put32(b, 32, 0x7FFF_FFFF)), E::BadHeaders);
    assert_eq!(refuse_patched(|b| put16(b, 44, 0xFFFE)), E::BadHeaders);
    assert_eq!(refuse_patched(|b| put16(b, 42, 56)), E::BadHeaders);
    assert_eq!(
        refuse_patched(|b| put32(b, 28, 0)),
        E::NoAbiNote,
        "no program headers, so no notes"
    );
}

#[test]
fn segments_must_lie_in_the_file_and_below_the_hypervisor() {
    let word = |field, value| refuse_patched(move |b| put32(b, program_header_word(1, field), value));
    assert_eq!(word(1, 0xFFFF_FF00), E::SegmentOutsideFile { index: 1 });
    assert_eq!(word(4, 0x10_0000), E::SegmentOutsideFile { index: 1 });
    assert_eq!(word(5, 0x17FF), E::SegmentShrinks { index: 1 });
    assert_eq!(
        word(2, 0xFFFF_F000),
        E::SegmentOutsideGuest {
            index: 1,
            start: 0xFFFF_F000,
            size: 0x1800
        }
    );
    assert_eq!(
        word(5, 0x3BF0_0001),
        E::SegmentOutsideGuest {
            index: 1,
            start: 0xC010_0000,
            size: 0x3BF0_0001
        }
    );
    assert_eq!(
        word(5, u32::MAX),
        E::SegmentOutsideGuest {
            index: 1,
            start: 0xC010_0000,
            size: u32::MAX
        }
    );
}

#[test]
fn a_segment_may_end_exactly_at_the_hypervisor() {
    let image = Image::of_size(0xFBFF_F000, 0x1000);
    assert_eq!(
        KernelImage::parse(&image.bytes()).unwrap().end().raw(),
        0xFC00_0000
    );
}

#[test]
fn the_number_of_segments_is_bounded() {
    let loads = |n: u32| (0..n).map(|i| load(0x1000 + i * 0x1000, &[0], 1, RX)).collect();
    let mut image = Image {
        entry: 0x1000,
        loads: loads(16),
        notes: abi_note(),
        section: None,
    };
    assert_eq!(
        KernelImage::parse(&image.bytes()).unwrap().segments().len(),
        MAX_SEGMENTS
    );
    image.loads = loads(17);
    assert_eq!(refuse(&image), E::TooManySegments { limit: MAX_SEGMENTS });
    image.loads.clear();
    assert_eq!(refuse(&image), E::NothingToLoad);
}

#[test]
fn the_entry_point_must_be_executable() {
    let with_entry = |entry| {
        refuse(&Image {
            entry,
            ..Image::sample()
        })
    };
    for entry in [0, 0xC00F_FFFF, 0xC010_1800, 0xC010_2000, 0xC010_8123, u32::MAX] {
        assert_eq!(with_entry(entry), E::EntryOutsideImage { entry });
    }
}

#[test]
fn notes_are_read_strictly() {
    let with_notes = |notes: Vec<u8>| {
        refuse(&Image {
            notes,
            ..Image::sample()
        })
    };
    assert_eq!(with_notes(vec![]), E::NoAbiNote);
    assert_eq!(with_notes(base_note(0xC000_0000)), E::NoAbiNote);
    assert_eq!(with_notes(note("xenlitf", 1, &[0, 0, 2, 0])), E::NoAbiNote);
    assert_eq!(
        with_notes(abi_note()[..17].to_vec()),
        E::NoAbiNote,
        "a note cut off is not there"
    );
    assert_eq!(with_notes(note("xenlite", 1, &[2])), E::BadNote { kind: 1 });
    assert_eq!(
        with_notes(note("xenlite", 1, &[0, 0, 2, 0, 0, 0, 0, 0])),
        E::BadNote { kind: 1 }
    );
    for version in [0, 2, 0x1_0000, 0x2_0001, 0x3_0000] {
        assert_eq!(with_notes(word_note(1, version)), E::UnknownAbi { version });
    }
    for (kind, again) in [
        (1, abi_note()),
        (2, base_note(0)),
        (3, word_note(3, 0)),
        (5, note("xenlite", 5, b"x")),
    ] {
        let notes = if kind == 1 {
            vec![abi_note(), again]
        } else {
            vec![abi_note(), again.clone(), again]
        };
        assert_eq!(with_notes(notes.concat()), E::RepeatedNote { kind });
    }
    for name in [b"a\nb".as_slice(), b"a\0b", b"\xFF\xFE", b"\x1b[2J"] {
        assert_eq!(
            with_notes([abi_note(), note("xenlite", 5, name)].concat()),
            E::BadNote { kind: 5 }
        );
    }
    assert_eq!(
        with_notes([abi_note(), word_note(4, 0x8000_0001)].concat()),
        E::UnknownFlags { bits: 0x8000_0000 }
    );
    assert_eq!(
        with_notes([abi_note(), word_note(3, 7)].concat()),
        E::EntryOutsideImage { entry: 7 }
    );
    assert_eq!(
        with_notes([abi_note(), base_note(0xC000_0800)].concat()),
        E::UnalignedBase { base: 0xC000_0800 }
    );
    let above = E::BaseAboveImage {
        base: 0xC010_1000,
        lowest: 0xC010_0000,
    };
    assert_eq!(with_notes([abi_note(), base_note(0xC010_1000)].concat()), above);
}

#[test]
fn optional_notes_are_heard() {
    let notes = [
        abi_note(),
        word_note(3, 0xC010_0010),
        word_note(4, 1),
        note("xenlite", 5, b"mini-guest 0.1"),
    ]
    .concat();
    let bytes = Image {
        notes,
        ..Image::sample()
    }
    .bytes();
    let image = KernelImage::parse(&bytes).unwrap();
    assert_eq!(image.entry().raw(), 0xC010_0010);
    assert_eq!(image.flags(), ImageFlags::WRITABLE_PAGE_TABLES);
    assert_eq!(image.name(), "mini-guest 0.1");
}

#[test]
fn notes_in_a_section_count_where_no_segment_has_any() {
    let mut bytes = Image {
        section: Some((".note.xenlite", &NOTE_IN_SECTION)),
        ..Image::sample()
    }
    .bytes();
    put32(&mut bytes, program_header_word(0, 0), 0);
    assert_eq!(KernelImage::parse(&bytes), Err(E::NoAbiNote), "a section of data");
    let kind = bytes.len() - 40 + 4;
    put32(&mut bytes, kind, 7);
    assert!(KernelImage::parse(&bytes).is_ok());
    put32(&mut bytes, program_header_word(0, 0), PT_NOTE);
    put32(&mut bytes, program_header_word(0, 4), 0);
    assert_eq!(
        KernelImage::parse(&bytes),
        Err(E::NoAbiNote),
        "the segment is what counts"
    );
}

#[test]
fn unknown_notes_and_odd_alignments_do_not_hide_ours() {
    let notes = [
        note("GNU", 3, &[1; 20]),
        note("xenlite", 77, b"odd"),
        abi_note(),
        base_note(0xC000_0000),
    ];
    let image = Image {
        notes: notes.concat(),
        ..Image::sample()
    };
    let mut bytes = image.bytes();
    for align in [0, 1, 4, 0x1000] {
        put32(&mut bytes, program_header_word(0, 7), align);
        assert_eq!(
            KernelImage::parse(&bytes).unwrap().virt_base().raw(),
            0xC000_0000,
            "p_align {align}"
        );
    }
}

#[test]
fn a_kernel_for_xen_is_told_so() {
    let xen20 = Some((
        "__xen_guest",
        b"LOADER=generic,GUEST_VER=2.6,XEN_VER=2.0,VIRT_BASE=0xC0000000".as_slice(),
    ));
    let xen30 = Some(("__xen_guest", b"GUEST_OS=linux,XEN_VER=xen-3.0".as_slice()));
    let bare = |section, notes| Image {
        section,
        notes,
        ..Image::sample()
    };
    assert_eq!(refuse(&bare(xen20, vec![])), E::Xen20);
    assert_eq!(refuse(&bare(xen30, vec![])), E::OtherXen);
    assert_eq!(refuse(&bare(None, note("Xen", 5, b"xen-3.0\0"))), E::OtherXen);
    assert_eq!(
        refuse(&bare(Some((".text", b"XEN_VER=2.0".as_slice())), vec![])),
        E::NoAbiNote
    );
    let both = bare(xen20, abi_note());
    assert!(
        KernelImage::parse(&both.bytes()).is_ok(),
        "our own note counts more"
    );
    assert!(E::Xen20.to_string().contains("two-level"));
}

#[test]
fn every_refusal_is_one_line() {
    let errors = [
        E::TooShort { len: 0 },
        E::Compressed { format: "gzip" },
        E::NotElf,
        E::Not32Bit,
        E::NotI386 { machine: 0 },
        E::NotExecutable { kind: 0 },
        E::BadHeaders,
        E::NothingToLoad,
        E::TooManySegments { limit: 1 },
        E::SegmentOutsideFile { index: 0 },
        E::SegmentShrinks { index: 0 },
        E::SegmentOutsideGuest {
            index: 0,
            start: 0,
            size: 0,
        },
        E::SegmentsOverlap { first: 0, second: 1 },
        E::EntryOutsideImage { entry: 0 },
        E::BadNote { kind: 1 },
        E::RepeatedNote { kind: 1 },
        E::UnknownFlags { bits: 2 },
        E::Xen20,
        E::OtherXen,
        E::NoAbiNote,
        E::UnknownAbi { version: 9 },
        E::UnalignedBase { base: 1 },
        E::BaseAboveImage { base: 1, lowest: 0 },
    ];
    for error in errors {
        let line = error.to_string();
        assert!(
            line.starts_with("kernel image") && !line.contains('\n') && !line.contains("  "),
            "{line}"
        );
    }
}
