//! Boot loaders to order: what they leave in memory, in both protocols.
#![allow(dead_code, reason = "each test program uses its part")]

use hv_bootinfo::BootInfo;
use hv_bootinfo::error::BootError;
use hv_bootinfo::range::PhysRange;
use multiboot2::{BootInformation, BootInformationHeader, LoadError};

pub const MIB: u64 = 1 << 20;
/// Where the tests' hypervisor lies.
pub const IMAGE: PhysRange = PhysRange::new(2 * MIB, 3 * MIB + 1);
/// Where the tests' loaders put their structures.
pub const INFO_AT: u64 = 0x9500;

/// What a loader says.
#[derive(Clone, Debug)]
pub struct Loader {
    pub name: &'static str,
    pub cmd_line: Vec<u8>,
    /// Start, length, type.
    pub map: Vec<(u64, u64, u32)>,
    /// Start, end, command line.
    pub modules: Vec<(u32, u32, Vec<u8>)>,
}

impl Loader {
    /// A PC with 128 MiB, a kernel and a ramdisk.
    pub fn sample() -> Self {
        Self {
            name: "tester 1.0",
            cmd_line: b"loglvl=all".to_vec(),
            map: vec![
                (0, 0x9_FC00, 1),
                (0x9_FC00, 0x400, 2),
                (0xF_0000, 0x1_0000, 2),
                (MIB, 126 * MIB, 1),
                (127 * MIB, MIB, 3),
                (0xFFFC_0000, 0x4_0000, 2),
            ],
            modules: vec![
                module(4 * MIB, 5000, "console=hvc0"),
                module(5 * MIB, 0x12_3456, ""),
            ],
        }
    }

    pub fn tags(&self) -> Vec<(u32, Vec<u8>)> {
        let mut tags = vec![(2, nul(self.name.as_bytes())), (1, nul(&self.cmd_line))];
        for (start, end, line) in &self.modules {
            tags.push((
                3,
                [&start.to_le_bytes()[..], &end.to_le_bytes(), &nul(line)].concat(),
            ));
        }
        tags.push((6, map_tag(&self.map, 24)));
        tags
    }

    /// Reads this through Multiboot 2.
    pub fn read2(&self) -> Result<BootInfo, BootError> {
        read_tags(&self.tags())
    }

    /// The memory that a Multiboot 1 loader leaves.
    pub fn memory1(&self) -> Memory {
        let mut memory = Memory::default();
        let name_at = memory.put(0x1_0000, &nul(self.name.as_bytes()));
        let line_at = memory.put(0x1_1000, &nul(&self.cmd_line));
        let mut map = Vec::new();
        for (start, len, kind) in &self.map {
            map.extend(
                [
                    &20_u32.to_le_bytes()[..],
                    &start.to_le_bytes(),
                    &len.to_le_bytes(),
                ]
                .concat(),
            );
            map.extend(kind.to_le_bytes());
        }
        let map_at = memory.put(0x1_2000, &map);
        let mut list = Vec::new();
        for (n, (start, end, line)) in self.modules.iter().enumerate() {
            let line_at = memory.put(0x2_0000 + n as u64 * 0x2000, &nul(line));
            list.extend(
                [*start, *end, line_at, 0]
                    .iter()
                    .flat_map(|word| word.to_le_bytes()),
            );
        }
        let list_at = memory.put(0x1_F000, &list);
        let mut info = vec![0; 88];
        for (at, word) in [
            (0, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9),
            (16, line_at),
            (20, self.modules.len() as u32),
            (24, list_at),
            (44, map.len() as u32),
            (48, map_at),
            (64, name_at),
        ] {
            put32(&mut info, at, word);
        }
        memory.put(INFO_AT, &info);
        memory
    }

    /// Reads this through Multiboot 1.
    pub fn read1(&self) -> Result<BootInfo, BootError> {
        self.memory1().read()
    }
}

pub fn module(start: u64, len: u64, line: &str) -> (u32, u32, Vec<u8>) {
    (start as u32, (start + len) as u32, line.as_bytes().to_vec())
}

pub fn put32(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

fn nul(text: &[u8]) -> Vec<u8> {
    [text, b"\0"].concat()
}

pub fn map_tag(map: &[(u64, u64, u32)], entry_size: u32) -> Vec<u8> {
    let mut out = [entry_size.to_le_bytes(), [0; 4]].concat();
    for (start, len, kind) in map {
        let mut entry = [&start.to_le_bytes()[..], &len.to_le_bytes(), &kind.to_le_bytes()].concat();
        entry.resize(entry_size as usize, 0);
        out.extend(entry);
    }
    out
}

/// A Multiboot 2 block, 8-byte aligned as it must be.
pub fn block(tags: &[(u32, Vec<u8>)]) -> Vec<u64> {
    let mut bytes = vec![0; 8];
    for (kind, payload) in tags.iter().chain([&(0, vec![])]) {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((payload.len() as u32 + 8).to_le_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let len = bytes.len() as u32;
    put32(&mut bytes, 0, len);
    bytes
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

/// Loads a block as the binary does, provided that its size word is true.
pub fn load(block: &[u64]) -> Result<BootInformation<'_>, LoadError> {
    let said = block.first().map_or(0, |word| *word as u32 as usize);
    assert!(
        said <= size_of_val(block),
        "the size word must not name more than there is"
    );
    // SAFETY: the pointer is aligned to 8, and readable for as many bytes as its size word says (asserted).
    unsafe { BootInformation::load(block.as_ptr().cast::<BootInformationHeader>()) }
}

pub fn read_tags(tags: &[(u32, Vec<u8>)]) -> Result<BootInfo, BootError> {
    let block = block(tags);
    let mut info = BootInfo::new();
    let result = info.read_multiboot2(&load(&block).unwrap(), INFO_AT, IMAGE);
    if result.is_err() {
        assert_eq!(info, BootInfo::new(), "a failure leaves nothing behind");
    }
    result.map(|()| info)
}

/// Sparse machine memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Memory {
    /// Puts bytes at an address, before older ones; gives the address as the loader writes it.
    pub fn put(&mut self, at: u64, bytes: &[u8]) -> u32 {
        self.pieces.insert(0, (at, bytes.to_vec()));
        at as u32
    }

    /// Replaces a word of the multiboot structure.
    pub fn set_info(&mut self, at: usize, word: u32) {
        let info = self
            .pieces
            .iter_mut()
            .find(|(start, _)| *start == INFO_AT)
            .unwrap();
        put32(&mut info.1, at, word);
    }

    pub fn info_word(&self, at: usize) -> u32 {
        let info = self.pieces.iter().find(|(start, _)| *start == INFO_AT).unwrap();
        u32::from_le_bytes(info.1[at..at + 4].try_into().unwrap())
    }

    pub fn get(&self, at: u64, len: usize) -> Option<&[u8]> {
        self.pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(at.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(len)?)
        })
    }

    pub fn read(&self) -> Result<BootInfo, BootError> {
        let mut info = BootInfo::new();
        let result = info.read_multiboot1(INFO_AT, &|at, len| self.get(at, len), IMAGE);
        if result.is_err() {
            assert_eq!(info, BootInfo::new(), "a failure leaves nothing behind");
        }
        result.map(|()| info)
    }
}
