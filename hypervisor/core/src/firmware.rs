//! What the firmware says, judged without believing it.
//!
//! `\_S5`, the object that tells how to turn the machine off, lives in byte code (AML) that would take an
//! interpreter to run. In every known firmware it is a constant, so it is looked for by its encoding instead:
//!
//! ```text
//! NameOp  [RootChar]  '_' 'S' '5' '_'  PackageOp  PkgLength  NumElements  value  value …
//!  0x08     0x5C                          0x12     1–4 bytes   1 byte     (0x00 | 0x01 | prefix and bytes)
//! ```
//!
//! Source: ACPI specification 6.5, sections 7.4.2 and 20.2.

const NAME_OP: u8 = 0x08;
const ROOT_CHAR: u8 = b'\\';
const PACKAGE_OP: u8 = 0x12;
const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const BYTE_PREFIX: u8 = 0x0A;
const WORD_PREFIX: u8 = 0x0B;
const DWORD_PREFIX: u8 = 0x0C;

/// The values of SLP_TYP for PM1a_CNT and PM1b_CNT that mean "off" (S5), from the byte code of a DSDT or SSDT.
/// `None` where it does not name them as constants.
#[must_use]
pub fn soft_off_sleep_types(aml: &[u8]) -> Option<[u8; 2]> {
    const NAME: &[u8; 4] = b"_S5_";
    aml.windows(NAME.len())
        .enumerate()
        .filter(|(_, window)| *window == NAME)
        .find_map(|(at, _)| {
            let before = aml.get(..at)?;
            let before = before.strip_suffix(&[ROOT_CHAR]).unwrap_or(before);
            (before.last() == Some(&NAME_OP)).then_some(())?;
            package_of_sleep_types(aml.get(at + NAME.len()..)?)
        })
}

fn package_of_sleep_types(code: &[u8]) -> Option<[u8; 2]> {
    let code = code.strip_prefix(&[PACKAGE_OP])?;
    // The two top bits of the length's first byte count the bytes that follow it.
    let length_bytes = 1 + usize::from(code.first()? >> 6);
    let (&elements, code) = code.get(length_bytes..)?.split_first()?;
    let (first, code) = integer(code)?;
    // A package of one element holds both values in one integer.
    let second = if elements >= 2 {
        integer(code)?.0
    } else {
        first >> 8
    };
    let sleep_type = |value: u32| u8::try_from(value & 0xFF).ok().filter(|&value| value < 8);
    Some([sleep_type(first)?, sleep_type(second)?])
}

/// An integer constant, and what follows it.
fn integer(code: &[u8]) -> Option<(u32, &[u8])> {
    let (&prefix, rest) = code.split_first()?;
    let bytes = match prefix {
        ZERO_OP | ONE_OP => return Some((u32::from(prefix), rest)),
        BYTE_PREFIX => 1,
        WORD_PREFIX => 2,
        DWORD_PREFIX => 4,
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(bytes)?;
    Some((
        value
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u32::from(byte)),
        rest,
    ))
}

/// Frames by which configuration space can be reached like memory, from what follows the header of an MCFG table: whoever maps them can
/// move every device.
///
/// Source: PCI Firmware Specification 3.0, 4.1.2.
pub fn config_windows(body: &[u8]) -> impl Iterator<Item = (u64, u64)> + '_ {
    const RESERVED: usize = 8;
    const ENTRY: usize = 16;
    const FRAMES_PER_BUS: u64 = (1 << 20) / 4096;
    let entries = body.get(RESERVED..).unwrap_or_default();
    entries.chunks_exact(ENTRY).filter_map(|entry| {
        let base = u64::from_le_bytes(entry[..8].try_into().ok()?) >> 12;
        let (first, last) = (u64::from(entry[10]), u64::from(entry[11]));
        (first <= last).then_some((base + first * FRAMES_PER_BUS, base + (last + 1) * FRAMES_PER_BUS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_configuration_space() {
        let mut body = [0; 8 + 3 * 16 + 5];
        body[8..16].copy_from_slice(&0xB000_0000_u64.to_le_bytes());
        body[19] = 255;
        body[24..32].copy_from_slice(&0x10_0000_0000_u64.to_le_bytes());
        (body[34], body[35]) = (2, 3);
        (body[50], body[51]) = (3, 2);
        let found: Vec<_> = config_windows(&body).collect();
        assert_eq!(found, [(0xB_0000, 0xC_0000), (0x100_0200, 0x100_0400)]);
        assert_eq!(config_windows(&body[..7]).count(), 0);
    }

    /// As QEMU's q35 firmware has it: `Name (\_S5_, Package (4) { Zero, Zero, Zero, Zero })`.
    const QEMU: &[u8] = b"\x08\\_S5_\x12\x06\x04\x00\x00\x00\x00";

    #[test]
    fn finds_the_package_among_other_code() {
        let code = [b"\x10\x05junk_S5_x", QEMU, b"\x5B\x80tail"].concat();
        assert_eq!(soft_off_sleep_types(&code), Some([0, 0]));
    }

    #[test]
    fn reads_every_integer_encoding() {
        let bytes = b"\x08_S5_\x12\x0A\x04\x0A\x05\x0A\x07\x00\x00";
        assert_eq!(soft_off_sleep_types(bytes), Some([5, 7]));
        let words = b"\x08_S5_\x12\x0A\x02\x0B\x03\x00\x01";
        assert_eq!(soft_off_sleep_types(words), Some([3, 1]));
        let double = b"\x08_S5_\x12\x0A\x01\x0C\x05\x04\x00\x00";
        assert_eq!(soft_off_sleep_types(double), Some([5, 4]));
    }

    #[test]
    fn skips_a_long_package_length() {
        assert_eq!(
            soft_off_sleep_types(b"\x08_S5_\x12\x47\x00\x04\x0A\x02\x01\x00\x00"),
            Some([2, 1])
        );
    }

    #[test]
    fn refuses_what_is_no_named_package() {
        let method = b"\x14\x0C_S5_\x00\xA4\x12\x04\x02\x00\x00";
        assert_eq!(soft_off_sleep_types(method), None);
        let reference = b"\x08_S5_\x12\x06\x02ABCDEFGH";
        assert_eq!(soft_off_sleep_types(reference), None);
    }

    #[test]
    fn refuses_values_that_the_register_cannot_hold() {
        assert_eq!(soft_off_sleep_types(b"\x08_S5_\x12\x06\x02\x0A\x08\x00"), None);
    }

    #[test]
    fn ends_where_the_table_ends() {
        let whole = b"\x08\\_S5_\x12\x0A\x04\x0A\x05\x0A\x07\x00\x00";
        for length in 0..12 {
            assert_eq!(soft_off_sleep_types(&whole[..length]), None, "{length}");
        }
    }
}
