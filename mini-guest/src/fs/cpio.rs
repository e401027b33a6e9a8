//! The RAM disk's format: a cpio archive in "newc" form, as Linux's initramfs has it.
//!
//! Each member is a 110-byte header of "070701" (or "070702", with a checksum that nobody checks) and thirteen
//! 8-digit hexadecimal numbers, the name with its NUL padded to 4 bytes, the data padded to 4 bytes. A member named
//! "TRAILER!!!" ends an archive; another archive may follow after zeroes.

/// Bytes of a header.
const HEADER: usize = 110;
/// The name that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// A member of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Path without a leading slash or dot.
    pub name: &'a [u8],
    /// Type and permissions.
    pub mode: u32,
    /// Inode number in the archive: members with the same one are links of one file.
    pub ino: u32,
    /// How many links there are.
    pub nlink: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
    /// The file's bytes, or a symbolic link's target.
    pub data: &'a [u8],
}

/// Why an archive cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpioError {
    /// No header where one should be, at this offset.
    BadMagic(usize),
    /// A number that is none, in the header at this offset.
    BadNumber(usize),
    /// The member at this offset reaches beyond the archive's end.
    Truncated(usize),
}

impl core::fmt::Display for CpioError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::BadMagic(at) => write!(f, "no cpio header at byte {at}"),
            Self::BadNumber(at) => write!(f, "malformed cpio header at byte {at}"),
            Self::Truncated(at) => write!(f, "the cpio member at byte {at} is cut short"),
        }
    }
}

/// The members of an archive, in order; an error ends them.
#[derive(Clone, Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    at: usize,
    failed: bool,
}

impl<'a> Archive<'a> {
    /// Reads `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            failed: false,
        }
    }

    fn member(&mut self) -> Result<Option<Member<'a>>, CpioError> {
        loop {
            // Archives may be padded with zeroes, and another may follow.
            while self.bytes.get(self.at) == Some(&0) {
                self.at += 1;
            }
            if self.at >= self.bytes.len() {
                return Ok(None);
            }
            let member = self.header()?;
            if member.name != TRAILER {
                return Ok(Some(member));
            }
        }
    }

    fn header(&mut self) -> Result<Member<'a>, CpioError> {
        let at = self.at;
        let truncated = CpioError::Truncated(at);
        let header = self
            .bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk::<HEADER>)
            .ok_or(CpioError::BadMagic(at))?;
        if !header.starts_with(b"070701") && !header.starts_with(b"070702") {
            return Err(CpioError::BadMagic(at));
        }
        let field =
            |index: usize| hex(&header[6 + 8 * index..14 + 8 * index]).ok_or(CpioError::BadNumber(at));
        let (data_len, name_len) = (field(6)? as usize, field(11)? as usize);
        let name_at = at + HEADER;
        let name_end = name_at.checked_add(name_len).ok_or(truncated)?;
        let name = self.bytes.get(name_at..name_end).ok_or(truncated)?;
        let data_at = name_end.next_multiple_of(4);
        let data_end = data_at.checked_add(data_len).ok_or(truncated)?;
        let data = self.bytes.get(data_at..data_end).ok_or(truncated)?;
        self.at = data_end.next_multiple_of(4);
        Ok(Member {
            name: clean(name),
            mode: field(1)?,
            ino: field(0)?,
            nlink: field(4)?,
            mtime: field(5)?,
            rdev: (field(9)?, field(10)?),
            data,
        })
    }
}

impl<'a> Iterator for Archive<'a> {
    type Item = Result<Member<'a>, CpioError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let member = self.member();
        self.failed = member.is_err();
        member.transpose()
    }
}

/// The name up to its NUL, without leading slashes and "./".
fn clean(name: &[u8]) -> &[u8] {
    let mut name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    while let Some(rest) = name.strip_prefix(b"/").or_else(|| name.strip_prefix(b"./")) {
        name = rest;
    }
    if name == b"." { b"" } else { name }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    /// An archive of members given as name, mode and data.
    pub(crate) fn archive(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let trailer: [(&str, u32, &[u8]); 1] = [("TRAILER!!!", 0, b"")];
        for (ino, (name, mode, data)) in members.iter().chain(&trailer).enumerate() {
            let numbers = [
                ino as u32,
                *mode,
                0,
                0,
                1,
                7,
                data.len() as u32,
                0,
                0,
                5,
                1,
                name.len() as u32 + 1,
                0,
            ];
            bytes.extend_from_slice(b"070701");
            for number in numbers {
                bytes.extend_from_slice(format!("{number:08X}").as_bytes());
            }
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn members_are_found_in_order() {
        let bytes = archive(&[
            (".", 0o040_755, b""),
            ("./bin/sh", 0o100_755, b"hello"),
            ("/x", 0o100_644, b"1234"),
        ]);
        let members: Vec<_> = Archive::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(members.len(), 3);
        assert_eq!(members[0].name, b"");
        assert_eq!(
            (members[1].name, members[1].data, members[1].mode),
            (&b"bin/sh"[..], &b"hello"[..], 0o100_755)
        );
        assert_eq!(
            (members[2].name, members[2].data, members[2].mtime),
            (&b"x"[..], &b"1234"[..], 7)
        );
    }

    #[test]
    fn a_second_archive_is_read_too() {
        let mut bytes = archive(&[("a", 0o100_644, b"1")]);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(archive(&[("b", 0o100_644, b"2")]));
        let names: Vec<_> = Archive::new(&bytes)
            .map(|member| member.unwrap().name.to_vec())
            .collect();
        assert_eq!(names, [b"a".to_vec(), b"b".to_vec()]);
    }

    #[test]
    fn damage_is_an_error_and_the_end() {
        let good = archive(&[("name", 0o100_644, b"data")]);
        let mut bad = good.clone();
        bad[0] = b'1';
        assert_eq!(
            Archive::new(&bad).collect::<Vec<_>>(),
            [Err(CpioError::BadMagic(0))]
        );
        let mut bad = good.clone();
        bad[20] = b'g';
        assert_eq!(
            Archive::new(&bad).collect::<Vec<_>>(),
            [Err(CpioError::BadNumber(0))]
        );
        let cut = &good[..HEADER + 9];
        assert_eq!(
            Archive::new(cut).collect::<Vec<_>>(),
            [Err(CpioError::Truncated(0))]
        );
        let mut huge = good;
        huge[54..62].copy_from_slice(b"FFFFFFFF");
        assert_eq!(
            Archive::new(&huge).collect::<Vec<_>>(),
            [Err(CpioError::Truncated(0))]
        );
    }

    #[test]
    fn nothing_is_an_empty_archive() {
        assert_eq!(Archive::new(&[]).count(), 0);
        assert_eq!(Archive::new(&[0; 512]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(flips in proptest::collection::vec((0_usize..400, any::<u8>()), 0..8)) {
            let mut bytes = archive(&[("bin/sh", 0o100_755, b"hello"), ("etc/motd", 0o100_644, b"welcome")]);
            for (at, value) in flips {
                let len = bytes.len();
                bytes[at % len] = value;
            }
            prop_assert!(Archive::new(&bytes).count() <= bytes.len());
        }
    }
}
