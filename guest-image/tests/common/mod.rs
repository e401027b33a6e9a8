//! Kernel images made to order, and a machine to build domains in.
#![allow(dead_code, reason = "each test program uses its part")]

pub mod domain;
pub mod machine;

use guest_abi::elfnote::{ABI_VERSION, ImageFlags, OWNER};

pub const PT_LOAD: u32 = 1;
pub const PT_NOTE: u32 = 4;
pub const R: u32 = 4;
pub const RX: u32 = 5;
pub const RW: u32 = 6;
const HEADER: usize = 52;
const PROGRAM_HEADER: usize = 32;
const SECTION_HEADER: usize = 40;

/// One segment to put into an image.
#[derive(Clone, Debug)]
pub struct Load {
    pub vaddr: u32,
    pub data: Vec<u8>,
    pub mem_size: u32,
    pub flags: u32,
}

/// What an image shall contain; [`Image::bytes`] writes the file.
#[derive(Clone, Debug)]
pub struct Image {
    pub entry: u32,
    pub loads: Vec<Load>,
    /// Raw contents of one `PT_NOTE` segment.
    pub notes: Vec<u8>,
    /// Name and contents of one section beside the string table.
    pub section: Option<(&'static str, &'static [u8])>,
}

pub fn load(vaddr: u32, data: &[u8], mem_size: u32, flags: u32) -> Load {
    Load {
        vaddr,
        data: data.to_vec(),
        mem_size,
        flags,
    }
}

pub fn note(owner: &str, kind: u32, desc: &[u8]) -> Vec<u8> {
    let name = [owner.as_bytes(), b"\0"].concat();
    let mut out = Vec::new();
    for word in [name.len() as u32, desc.len() as u32, kind] {
        out.extend(word.to_le_bytes());
    }
    for part in [name.as_slice(), desc] {
        out.extend(part);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

pub fn abi_note() -> Vec<u8> {
    note(OWNER, 1, &ABI_VERSION.to_le_bytes())
}

pub fn base_note(base: u32) -> Vec<u8> {
    note(OWNER, 2, &base.to_le_bytes())
}

/// What the builder is asked for.
pub fn flags_note(flags: ImageFlags) -> Vec<u8> {
    note(OWNER, 4, &flags.bits().to_le_bytes())
}

impl Image {
    /// A small kernel of four segments as a linker makes it, 1 MiB above its virtual base.
    pub fn sample() -> Self {
        Self {
            entry: 0xC010_0004,
            loads: vec![
                load(0xC010_0000, &[0x90; 0x1800], 0x1800, RX),
                load(0xC010_2000, b"constants", 9, R),
                load(0xC010_3000, b"data", 0x5123, RW),
            ],
            notes: [abi_note(), base_note(0xC000_0000)].concat(),
            section: None,
        }
    }

    /// One segment, executable, of `mem_size` bytes (8 in the file) at `vaddr`; the base is there too.
    pub fn of_size(vaddr: u32, mem_size: u32) -> Self {
        Self {
            entry: vaddr,
            loads: vec![load(vaddr, &[0xCC; 8], mem_size, RX)],
            notes: abi_note(),
            section: None,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let headers = self.loads.len() + 1;
        let mut file = vec![0; HEADER + headers * PROGRAM_HEADER];
        let append = |file: &mut Vec<u8>, data: &[u8]| {
            let at = file.len();
            file.extend(data);
            at as u32
        };
        let note_at = append(&mut file, &self.notes);
        let note_len = self.notes.len() as u32;
        let mut table = vec![[PT_NOTE, note_at, 0, 0, note_len, note_len, R, 4]];
        for l in &self.loads {
            let at = append(&mut file, &l.data);
            table.push([
                PT_LOAD,
                at,
                l.vaddr,
                l.vaddr,
                l.data.len() as u32,
                l.mem_size,
                l.flags,
                4096,
            ]);
        }
        for (n, header) in table.iter().enumerate() {
            for (i, word) in header.iter().enumerate() {
                put32(&mut file, HEADER + n * PROGRAM_HEADER + i * 4, *word);
            }
        }
        file[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
        put16(&mut file, 16, 2);
        put16(&mut file, 18, 3);
        put32(&mut file, 20, 1);
        put32(&mut file, 24, self.entry);
        put32(&mut file, 28, HEADER as u32);
        put16(&mut file, 40, HEADER as u16);
        put16(&mut file, 42, PROGRAM_HEADER as u16);
        put16(&mut file, 44, headers as u16);
        put16(&mut file, 46, SECTION_HEADER as u16);
        if let Some((name, contents)) = self.section {
            self.append_sections(&mut file, name, contents);
        }
        file
    }

    /// Three sections: null, the string table, the one asked for.
    fn append_sections(&self, file: &mut Vec<u8>, name: &str, contents: &[u8]) {
        let strings = ["\0", name, "\0.shstrtab\0"].concat();
        let strings_at = file.len() as u32;
        file.extend(strings.as_bytes());
        let contents_at = file.len() as u32;
        file.extend(contents);
        let table_at = file.len() as u32;
        let sections = [
            [0; 10],
            [
                name.len() as u32 + 2,
                3,
                0,
                0,
                strings_at,
                strings.len() as u32,
                0,
                0,
                1,
                0,
            ],
            [1, 1, 0, 0, contents_at, contents.len() as u32, 0, 0, 1, 0],
        ];
        for word in sections.iter().flatten() {
            file.extend(word.to_le_bytes());
        }
        put32(file, 32, table_at);
        put16(file, 48, 3);
        put16(file, 50, 1);
    }
}

pub fn put16(file: &mut [u8], at: usize, value: u16) {
    file[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

pub fn put32(file: &mut [u8], at: usize, value: u32) {
    file[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// File offset of word `field` of the `n`th program header (0 is the notes).
pub fn program_header_word(n: usize, field: usize) -> usize {
    HEADER + n * PROGRAM_HEADER + field * 4
}
