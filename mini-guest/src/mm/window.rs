//! Pages of other domains that the kernel itself uses, such as the rings of their consoles.
//!
//! They are mapped in L1s that every address space has, and are reached by atomics and volatile copies alone: the other
//! domain may write at any time.

use core::cell::RefCell;
use core::sync::atomic::AtomicU32;

use guest_abi::addr::{GuestVirt, Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};

use super::copy::copy;
use super::kernel_map::READ_WRITE;
use super::layout::{WINDOW_PAGES, WINDOW_START};
use super::with_kernel_map;
use crate::cell::OneCpu;
use crate::hypercall;
use crate::linux::Errno;

/// A bit for each place that is taken.
static TAKEN: OneCpu<RefCell<[u32; WINDOW_PAGES as usize / 32]>> =
    OneCpu::new(RefCell::new([0; WINDOW_PAGES as usize / 32]));

/// A place in the window where nothing is mapped; free again when dropped.
#[derive(Debug)]
pub struct Place(u32);

impl Place {
    /// Takes a place; `None` where there is none, or no window in this domain.
    pub fn take() -> Option<Self> {
        let place = Self(take_place()?);
        with_kernel_map(|map| map.entry_address(place.address())).flatten()?;
        Some(place)
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> u32 {
        WINDOW_START + self.0 * PAGE_SIZE as u32
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        free_place(self.0);
    }
}

/// A page of another domain; unmapped when dropped.
#[derive(Debug)]
pub struct ForeignPage {
    place: u32,
}

impl ForeignPage {
    /// Maps frame `mfn` of `domain`.
    ///
    /// # Errors
    /// What the hypervisor answers; ENOSPC: there are too many; ENODEV: not in this domain.
    pub fn map(domain: DomId, mfn: Mfn) -> Result<Self, Errno> {
        Self::map_of(Some(domain), mfn)
    }

    /// Maps a frame of this domain that is no part of its memory: of its grant table.
    ///
    /// # Errors
    /// As for [`Self::map`].
    pub fn map_own(mfn: Mfn) -> Result<Self, Errno> {
        Self::map_of(None, mfn)
    }

    fn map_of(domain: Option<DomId>, mfn: Mfn) -> Result<Self, Errno> {
        let place = take_place().ok_or(Errno::ENOSPC)?;
        let written = write_entry(place, domain, Pte::new(mfn, READ_WRITE));
        written.inspect_err(|_| free_place(place))?;
        Ok(Self { place })
    }

    fn address(&self) -> u32 {
        WINDOW_START + self.place * PAGE_SIZE as u32
    }

    /// The word at byte `offset`, a multiple of 4.
    #[must_use]
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset < PAGE_SIZE);
        // SAFETY: inside the page, which is mapped as long as the result lives, aligned, and reached by atomics here.
        unsafe { AtomicU32::from_ptr((self.address() as *mut u8).wrapping_add(offset).cast()) }
    }

    /// Copies bytes out of the page.
    ///
    /// # Panics
    /// Beyond its end.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        copy_out(self.address(), offset, into);
    }

    /// Copies bytes into the page.
    ///
    /// # Panics
    /// Beyond its end.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        copy_in(self.address(), offset, bytes);
    }
}

impl Drop for ForeignPage {
    fn drop(&mut self) {
        // An entry of our own tables can always be made empty.
        if let Err(errno) = write_entry(self.place, None, Pte::EMPTY) {
            panic!("a page of the window cannot be unmapped: {errno}");
        }
        free_place(self.place);
    }
}

/// Copies bytes out of a shared page of the kernel at `page`.
pub(crate) fn copy_out(page: u32, offset: usize, into: &mut [u8]) {
    assert!(offset + into.len() <= PAGE_SIZE);
    let from = (page as *const u8).wrapping_add(offset);
    // SAFETY: inside the page; each byte is read once, whatever the other side writes.
    unsafe { copy(into.as_mut_ptr(), from, into.len()) }
}

/// Copies bytes into a shared page of the kernel at `page`.
pub(crate) fn copy_in(page: u32, offset: usize, bytes: &[u8]) {
    assert!(offset + bytes.len() <= PAGE_SIZE);
    let to = (page as *mut u8).wrapping_add(offset);
    // SAFETY: inside the page, where no Rust object lies.
    unsafe { copy(to, bytes.as_ptr(), bytes.len()) }
}

fn write_entry(place: u32, owner: Option<DomId>, entry: Pte) -> Result<(), Errno> {
    let address = WINDOW_START + place * PAGE_SIZE as u32;
    let at = with_kernel_map(|map| map.entry_address(address))
        .flatten()
        .ok_or(Errno::ENODEV)?;
    let first = match owner {
        Some(domain) => MmuUpdate::extended(Extended::SetForeignDom { domain }),
        None => MmuUpdate::extended(Extended::ClearForeignDom),
    };
    let flush = MmuUpdate::extended(Extended::Invlpg {
        address: GuestVirt::new(address),
    });
    // SAFETY: the place is the caller's, and nobody has a reference into it.
    unsafe { hypercall::mmu_update(&[first, MmuUpdate::normal(at, entry), flush]) }
        .map_err(|error| Errno::from_hypervisor(error.errno))
}

fn take_place() -> Option<u32> {
    let mut taken = TAKEN.borrow_mut();
    let (index, word) = taken
        .iter_mut()
        .enumerate()
        .find(|(_, word)| **word != u32::MAX)?;
    let bit = word.trailing_ones();
    *word |= 1 << bit;
    Some(index as u32 * 32 + bit)
}

fn free_place(place: u32) {
    TAKEN.borrow_mut()[place as usize / 32] &= !(1 << (place % 32));
}
