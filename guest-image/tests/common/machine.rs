//! A domain's memory as a vector: machine frames out of order, full of old bytes.

use guest_abi::addr::{GuestVirt, Mfn, Pfn};
use guest_image::memory::BuildMemory;

/// What frames hold before anyone writes them.
pub const OLD: u8 = 0xA5;
/// Number of the machine's first frame: beyond 4 GiB, so that entries need their upper half.
const FIRST_MFN: u32 = 0x12_0000;

/// A domain's frames, by their number in the domain.
pub struct Machine {
    bytes: Vec<u8>,
    /// The frame that cannot be written.
    pub broken: Option<Pfn>,
    /// The frame that has no machine frame.
    pub missing: Option<Pfn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Machine {
    pub fn new(nr_pages: u32) -> Self {
        Self {
            bytes: vec![OLD; nr_pages as usize * 4096],
            broken: None,
            missing: None,
        }
    }

    pub fn nr_pages(&self) -> u32 {
        (self.bytes.len() / 4096) as u32
    }

    /// Frames in reverse, so that neighbours in the domain are none in the machine.
    pub fn mfn(&self, pfn: u32) -> u32 {
        FIRST_MFN + (self.nr_pages() - 1 - pfn)
    }

    fn pfn(&self, mfn: u64) -> u32 {
        self.nr_pages() - 1 - (u32::try_from(mfn).unwrap() - FIRST_MFN)
    }

    pub fn page(&self, pfn: u32) -> &[u8] {
        &self.bytes[pfn as usize * 4096..][..4096]
    }

    pub fn range(&self, from: u32, len: usize) -> &[u8] {
        &self.bytes[from as usize..][..len]
    }

    pub fn put(&mut self, pfn: u32, bytes: &[u8]) {
        self.bytes[pfn as usize * 4096..][..bytes.len()].copy_from_slice(bytes);
    }

    pub fn word32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.range(at, 4).try_into().unwrap())
    }

    fn entry(&self, pfn: u32, index: u32) -> u64 {
        u64::from_le_bytes(self.page(pfn)[index as usize * 8..][..8].try_into().unwrap())
    }

    /// The three entries that the processor meets on its way to `va`: those of the L3, the L2 and the L1, as far as
    /// they are present.
    pub fn walk(&self, l3: u32, va: GuestVirt) -> [u64; 3] {
        let mut table = l3;
        let mut met = [0; 3];
        for (step, shift) in [(0, 30), (1, 21), (2, 12)] {
            let entry = self.entry(table, va.raw() >> shift & 511);
            met[step] = entry;
            if entry & 1 == 0 {
                break;
            }
            table = self.pfn(entry >> 12);
        }
        met
    }

    /// The frame that `va` maps, with the L1 entry's flags.
    pub fn translate(&self, l3: u32, va: u32) -> Option<(u32, u64)> {
        let [.., l1] = self.walk(l3, GuestVirt::new(va));
        (l1 & 1 != 0).then(|| (self.pfn(l1 >> 12), l1 & 0xFFF))
    }
}

impl BuildMemory for Machine {
    type Error = Broken;

    fn mfn_of(&self, pfn: Pfn) -> Option<Mfn> {
        let known = pfn.raw() < self.nr_pages() && self.missing != Some(pfn);
        known.then(|| Mfn::new(self.mfn(pfn.raw())))
    }

    fn write(&mut self, pfn: Pfn, offset: usize, bytes: &[u8]) -> Result<(), Broken> {
        assert!(offset + bytes.len() <= 4096, "a write may not cross a page");
        if self.broken == Some(pfn) {
            return Err(Broken);
        }
        self.bytes[pfn.index() * 4096 + offset..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zero(&mut self, pfn: Pfn, offset: usize, len: usize) -> Result<(), Broken> {
        assert!(len != 0, "nothing to do");
        self.write(pfn, offset, &vec![0; len])
    }
}
