//! The screen and the ACPI root pointer: decoded alike, and left out where they make no sense.

mod common;

use common::{INFO_AT, Loader, MIB, read_tags};
use hv_bootinfo::BootInfo;
use hv_bootinfo::framebuffer::{ColourField, FramebufferKind};
use hv_bootinfo::range::PhysRange;
use hv_bootinfo::rsdp::Rsdp;
use hv_bootinfo::warning::BootWarning as W;

/// A framebuffer's description with its colours at `colour`.
fn framebuffer(addr: u64, pitch: u32, width: u32, height: u32, bits: u8, kind: u8, colour: usize) -> Vec<u8> {
    let mut out = addr.to_le_bytes().to_vec();
    for word in [pitch, width, height] {
        out.extend(word.to_le_bytes());
    }
    out.extend([bits, kind]);
    out.resize(colour, 0);
    out.extend([16, 8, 8, 8, 0, 8]);
    out
}

fn read_framebuffer(bytes: &[u8]) -> BootInfo {
    let mut tags = Loader::sample().tags();
    tags.push((8, bytes.to_vec()));
    read_tags(&tags).unwrap()
}

#[test]
fn framebuffers_of_both_protocols() {
    let info = read_framebuffer(&framebuffer(0xE000_0000, 4096, 1024, 768, 32, 1, 24));
    let mut memory = Loader::sample().memory1();
    memory.set_info(0, memory.info_word(0) | 1 << 12);
    let mut part = framebuffer(0xE000_0000, 4096, 1024, 768, 32, 1, 22);
    part.truncate(28);
    memory.put(INFO_AT + 88, &part);
    for info in [info, memory.read().unwrap()] {
        let screen = info.framebuffer().unwrap();
        assert_eq!(
            (screen.addr, screen.pitch, screen.width, screen.height),
            (0xE000_0000, 4096, 1024, 768)
        );
        let field = |position| ColourField { position, size: 8 };
        let kind = FramebufferKind::DirectColour {
            red: field(16),
            green: field(8),
            blue: field(0),
        };
        assert_eq!((screen.bits, screen.kind), (32, kind));
        assert_eq!(screen.range().len(), 4096 * 768);
    }
    let info = read_framebuffer(&framebuffer(0xB_8000, 160, 80, 25, 16, 2, 24));
    assert_eq!(info.framebuffer().unwrap().kind, FramebufferKind::Text);
}

#[test]
fn framebuffers_that_make_no_sense_are_left_out() {
    let bad = [
        framebuffer(0xE000_0000, 4096, 1024, 768, 32, 0, 24),
        framebuffer(0xE000_0000, 4096, 1024, 768, 32, 9, 24),
        framebuffer(0xE000_0000, 4096, 1024, 768, 8, 1, 24),
        framebuffer(0xE000_0000, 4095, 1024, 768, 32, 1, 24),
        framebuffer(0xE000_0000, 0, 0, 0, 32, 1, 24),
        framebuffer(0xE000_0000, u32::MAX, 1024, u32::MAX, 32, 1, 24),
        framebuffer(0, 4096, 1024, 768, 32, 1, 24),
        framebuffer(u64::MAX - 100, 4096, 1024, 768, 32, 1, 24),
        framebuffer(1 << 52, 4096, 1024, 768, 32, 1, 24),
        framebuffer(0xE000_0000, 4096, 1024, 768, 32, 1, 24)[..29].to_vec(),
        framebuffer(0xE000_0000, 4096, 1024, 768, 16, 1, 24),
        vec![],
    ];
    for bytes in bad {
        let info = read_framebuffer(&bytes);
        assert_eq!(info.framebuffer(), None);
        assert!(
            matches!(info.warnings(), [W::FramebufferIgnored { .. }]),
            "{:?}",
            info.warnings()
        );
    }
    let in_ram = read_framebuffer(&framebuffer(126 * MIB, 4096, 1024, 768, 32, 1, 24));
    assert_eq!(in_ram.framebuffer(), None);
    assert_eq!(
        in_ram.warnings(),
        [W::FramebufferInRam(PhysRange::new(126 * MIB, 129 * MIB))]
    );
}

fn rsdp(revision: u8, xsdt: u64) -> Vec<u8> {
    let mut bytes = b"RSD PTR \0tester".to_vec();
    bytes.push(revision);
    bytes.extend(0x7F_0000_u32.to_le_bytes());
    bytes.extend(36_u32.to_le_bytes());
    bytes.extend(xsdt.to_le_bytes());
    bytes.extend([0; 4]);
    let sum = |part: &[u8]| part.iter().fold(0_u8, |sum, &b| sum.wrapping_sub(b));
    bytes[8] = sum(&bytes[..20]);
    bytes[32] = sum(&bytes);
    bytes
}

#[test]
fn the_acpi_pointer_is_checked() {
    let new = Rsdp {
        revision: 2,
        rsdt: 0x7F_0000,
        xsdt: Some(0x1_0000_0000),
    };
    let old = Rsdp {
        revision: 0,
        rsdt: 0x7F_0000,
        xsdt: None,
    };
    let read = |tags: Vec<(u32, Vec<u8>)>| {
        let info = read_tags(&[Loader::sample().tags(), tags].concat()).unwrap();
        (info.rsdp().copied(), info.warnings().to_vec())
    };
    let (v1, v2) = (rsdp(0, 0)[..20].to_vec(), rsdp(2, 0x1_0000_0000));
    assert_eq!(read(vec![(14, v1.clone())]), (Some(old), vec![]));
    assert_eq!(
        read(vec![(14, v1.clone()), (15, v2.clone())]),
        (Some(new), vec![])
    );
    let mut broken = v2.clone();
    broken[24] ^= 1;
    assert_eq!(
        read(vec![(14, v1.clone()), (15, broken.clone())]),
        (Some(old), vec![])
    );
    assert_eq!(read(vec![(15, broken)]), (None, vec![W::RsdpIgnored]));
    assert_eq!(read(vec![(14, v1[..19].to_vec())]), (None, vec![W::RsdpIgnored]));
    assert_eq!(
        Rsdp::decode(&rsdp(2, 0)),
        Some(Rsdp { xsdt: None, ..new }),
        "an XSDT at 0 is none"
    );
    for n in 0..36 {
        let mut flipped = v2.clone();
        flipped[n] ^= 0x10;
        assert_eq!(Rsdp::decode(&flipped), None, "byte {n}");
        assert_eq!(Rsdp::decode(&v2[..n]), None);
    }
}

#[test]
fn without_a_tag_the_acpi_pointer_is_searched() {
    let mut rom = vec![0; 0x2_0000];
    rom[0x1_2345..0x1_2345 + 36].copy_from_slice(&rsdp(2, 1 << 32));
    let mut memory = Loader::sample().memory1();
    memory.put(0xE_0000, &rom);
    assert_eq!(memory.read().unwrap().rsdp(), None, "not at a multiple of 16");
    rom[0x1_2350 + 0x20..][..36].copy_from_slice(&rsdp(2, 1 << 32));
    memory.put(0xE_0000, &rom);
    assert_eq!(memory.read().unwrap().rsdp().unwrap().xsdt, Some(1 << 32));
    let mut ebda = vec![0; 0x400];
    ebda[0x20..0x34].copy_from_slice(&rsdp(0, 0)[..20]);
    memory.put(0x9_FC00, &ebda);
    memory.put(0x40E, &0x9FC0_u16.to_le_bytes());
    assert_eq!(
        memory.read().unwrap().rsdp().unwrap().revision,
        0,
        "the data area comes first"
    );
}
