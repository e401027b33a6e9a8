//! The machine's memory, by frames and by guest addresses.

use super::{machine::Machine, tlb::Cached};
use crate::{
    mm::pte::{P, frame_number},
    platform::{Fault, FrameMemory, GuestMemory, GuestPod, OneByOne, Tlb},
};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};
use std::{rc::Rc, vec, vec::Vec};

impl Machine {
    /// One word of memory, without counting as a check.
    #[must_use]
    pub fn peek(&self, frame: Mfn, index: usize) -> u64 {
        self.ram.borrow()[frame.index()][index]
    }

    /// Sets one word of memory, whoever may do so.
    pub fn poke(&self, frame: Mfn, index: usize, value: u64) {
        Rc::make_mut(&mut self.ram.borrow_mut()[frame.index()])[index] = value;
    }

    /// Fills a frame with zeroes.
    pub fn zero(&self, frame: Mfn) {
        self.ram.borrow_mut()[frame.index()] = Rc::new([0; 512]);
    }

    fn load(&self, frame: Mfn, offset: usize) -> u64 {
        self.peek(frame, offset / 8) >> (offset % 8 * 8)
    }

    fn store(&self, frame: Mfn, offset: usize, mask: u64, value: u64) {
        let shift = offset % 8 * 8;
        let old = self.peek(frame, offset / 8);
        let new = (old & !(mask << shift)) | ((value & mask) << shift);
        self.poke(frame, offset / 8, new);
    }

    /// The root in force.
    #[must_use]
    pub fn root(&self) -> Option<Mfn> {
        self.cpu.root.get()
    }

    /// What the guest's kernel reaches at `at`, through caches that may be stale.
    ///
    /// # Errors
    /// A page fault.
    pub fn translate(&self, at: u32, is_write: bool) -> Result<Cached, Fault> {
        let root = self.root().ok_or(Fault)?;
        let ram = self.ram.borrow();
        let read = |frame: u64, index: usize| Some(ram.get(usize::try_from(frame).ok()?)?[index]);
        let cached = self
            .tlb
            .borrow_mut()
            .translate(at, is_write, u64::from(root.raw()), &read);
        cached.ok_or(Fault)
    }

    /// Has the processor remember every page that the guest's tables map (it may at any time).
    pub fn prefetch(&self) {
        let Some(root) = self.root() else { return };
        let frames = self.ram.borrow().len() as u64;
        let entries = |frame: u64, count: usize| {
            (0..if frame < frames { count } else { 0 })
                .map(move |i| (i, self.peek(Mfn::new(frame as u32), i)))
                .filter(|&(_, entry)| entry & P != 0)
                .map(|(i, entry)| (i, frame_number(entry)))
        };
        for (i3, l2) in entries(u64::from(root.raw()), 4) {
            for (i2, l1) in entries(l2, if i3 == 3 { 480 } else { 512 }) {
                for (i1, _) in entries(l1, 512) {
                    let at = ((i3 << 30) | (i2 << 21) | (i1 << 12)) as u32;
                    let _ = self
                        .translate(at, true)
                        .or_else(|Fault| self.translate(at, false));
                }
            }
        }
    }

    /// The frame and offset of a byte of the guest's.
    fn byte(&self, at: u32, is_write: bool) -> Result<(Mfn, usize), Fault> {
        let frame = self.translate(at, is_write)?.frame;
        if frame >= self.ram.borrow().len() as u64 {
            return Err(Fault);
        }
        Ok((Mfn::new(frame as u32), at as usize % 4096))
    }
}

impl FrameMemory for Machine {
    type Words<'a> = OneByOne<'a, Self>;
    fn words(&self, frame: Mfn) -> OneByOne<'_, Self> {
        OneByOne::new(self, frame)
    }
    fn read_entry(&self, frame: Mfn, index: usize) -> u64 {
        self.entries_read.set(self.entries_read.get() + 1);
        self.longest_stretch
            .set(self.longest_stretch.get().max(self.entries_read.get()));
        self.peek(frame, index)
    }
    fn write_entry(&self, frame: Mfn, index: usize, value: u64) {
        self.poke(frame, index, value);
    }
    fn compare_exchange_entry(&self, frame: Mfn, index: usize, old: u64, new: u64) -> Result<(), u64> {
        match self.peek(frame, index) {
            now if now == old => {
                self.poke(frame, index, new);
                Ok(())
            }
            now => Err(now),
        }
    }
    fn zero_frame(&self, frame: Mfn) {
        self.zero(frame);
    }
    fn load_u8(&self, frame: Mfn, offset: usize) -> u8 {
        self.load(frame, offset) as u8
    }
    fn store_u8(&self, frame: Mfn, offset: usize, value: u8) {
        self.store(frame, offset, 0xFF, u64::from(value));
    }
    fn load_u32(&self, frame: Mfn, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.load(frame, offset) as u32
    }
    fn store_u32(&self, frame: Mfn, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4));
        self.store(frame, offset, 0xFFFF_FFFF, u64::from(value));
    }
    fn fetch_or_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32 {
        let old = self.load_u32(frame, offset);
        self.store_u32(frame, offset, old | bits);
        old
    }
    fn fetch_clear_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32 {
        let old = self.load_u32(frame, offset);
        self.store_u32(frame, offset, old & !bits);
        old
    }
    fn copy_bytes(&self, (from, at): (Mfn, usize), (to, into): (Mfn, usize), len: usize) {
        assert!(at + len <= 4096 && into + len <= 4096);
        let bytes: Vec<u8> = (at..at + len).map(|offset| self.load_u8(from, offset)).collect();
        for (offset, byte) in (into..).zip(bytes) {
            self.store_u8(to, offset, byte);
        }
    }
    fn set_m2p(&self, frame: Mfn, value: u32) {
        self.m2p.borrow_mut()[frame.index()] = value;
    }
}

impl GuestMemory for Machine {
    fn read<T: GuestPod>(&self, at: GuestVirt) -> Result<T, Fault> {
        let mut bytes = vec![0; size_of::<T>()];
        self.read_bytes(at, &mut bytes)?;
        T::read_from_bytes(&bytes).map_err(|_| Fault)
    }
    fn write<T: GuestPod>(&self, at: GuestVirt, value: &T) -> Result<(), Fault> {
        self.write_bytes(at, value.as_bytes())
    }
    fn read_bytes(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), Fault> {
        check_range(at, into.len())?;
        for (at, byte) in (at.raw()..).zip(into) {
            let (frame, offset) = self.byte(at, false)?;
            *byte = self.load_u8(frame, offset);
        }
        if let Some((frame, index, value)) = self.tamper.borrow_mut().pop() {
            self.poke(frame, index, value);
        }
        Ok(())
    }
    fn write_bytes(&self, at: GuestVirt, from: &[u8]) -> Result<(), Fault> {
        check_range(at, from.len())?;
        for (at, &byte) in (at.raw()..).zip(from) {
            let (frame, offset) = self.byte(at, true)?;
            self.store_u8(frame, offset, byte);
        }
        Ok(())
    }
}

fn check_range(at: GuestVirt, len: usize) -> Result<(), Fault> {
    let end = u64::from(at.raw()) + len as u64;
    if end <= u64::from(HV_START) {
        Ok(())
    } else {
        Err(Fault)
    }
}

impl Tlb for Machine {
    fn activate_root(&self, l3: Mfn) {
        self.cpu.root.set(Some(l3));
        self.tlb.borrow_mut().flush();
    }
    fn flush(&self) {
        self.flushes.set(self.flushes.get() + 1);
        self.tlb.borrow_mut().flush();
    }
    fn flush_page(&self, at: GuestVirt) {
        self.page_flushes.borrow_mut().push(at);
        self.tlb.borrow_mut().flush_page(at);
    }
    fn flush_data_caches(&self) {
        self.cache_flushes.set(self.cache_flushes.get() + 1);
    }
}
