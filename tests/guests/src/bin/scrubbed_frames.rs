//! What a frame shows its next owner: nothing of the hypervisor; and once it was somebody's, zeroes or what this same
//! domain left there.
//!
//! All free memory is taken, looked at, filled, given back and taken again. What the boot loader left counts as Domain0's; so
//! at first what must not be found is a word that only the hypervisor has, an address of its own.
//!
//! memory: 128
//! initrd: programs
#![no_std]
#![no_main]

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::mmu::Pte;
use guest_abi::start_info::StartInfo;
use test_guests::pages::{Page, WRITABLE, peek32, poke32};
use test_guests::raw::remap;
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, println, report};

test_guests::entry!(main);

/// Most frames of such a machine.
const FRAMES: usize = 32_768;
/// Frames asked for at a time.
const BATCH: usize = 256;
/// Words of a page.
const WORDS: u32 = 1024;

/// The frames that were taken, in pages of our own.
struct List {
    pages: Page,
    len: usize,
}

impl List {
    fn get(&self, index: usize) -> Mfn {
        Mfn::new(peek32(self.pages.0 + 4 * index as u32))
    }

    /// Takes whatever is free.
    fn take_all(&mut self) {
        loop {
            let mut batch = [Mfn::new(0); BATCH];
            let count = hypercall::increase_reservation(&mut batch, 0, DomId::SELF).unwrap_or(0) as usize;
            check!(self.len + count <= FRAMES, "more memory than there is");
            for mfn in &batch[..count] {
                poke32(self.pages.0 + 4 * self.len as u32, mfn.raw());
                self.len += 1;
            }
            if count < BATCH {
                return;
            }
        }
    }

    fn give_back(&mut self) {
        while self.len > 0 {
            let count = self.len.min(BATCH);
            let batch: [Mfn; BATCH] = core::array::from_fn(|n| self.get(self.len.saturating_sub(n + 1)));
            // SAFETY: frames of nobody's use.
            let answer = unsafe { hypercall::decrease_reservation(&batch[..count], 0, DomId::SELF) };
            check_eq!(answer, Ok(count as u32));
            self.len -= count;
        }
    }
}

/// Upper halves of addresses in the hypervisor's windows, its image, and its map of memory.
const HYPERVISOR: [u32; 3] = [0xFFFF_8200, 0xFFFF_8280, 0xFFFF_8300];
/// Bytes of memory: what the lower halves of such addresses are below. (An upper half alone is also found in code.)
const MEMORY: u32 = 128 << 20;

/// What this guest leaves in word `n` of a frame.
fn mark(mfn: Mfn, n: u32) -> u32 {
    mfn.raw().wrapping_mul(0x9E37_79B1) ^ n << 16 | 1
}

/// The first word of the frame mapped at `window` that is not as `expected` says.
fn stranger(window: Page, expected: impl Fn(u32) -> u32) -> Option<(u32, u32)> {
    (0..WORDS)
        .map(|n| (n, peek32(window.0 + 4 * n)))
        .find(|(n, word)| *word != expected(*n))
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let window = Page::take();
    let map = |mfn| check_eq!(remap(window.0, Pte::new(mfn, WRITABLE)), Ok(()));
    let mut list = List {
        pages: Page::take_run((FRAMES * 4 / 4096) as u32),
        len: 0,
    };
    list.take_all();
    println!("{} frames were free", list.len);
    check!(list.len > 1000, "too few frames to prove anything: {}", list.len);
    for index in 0..list.len {
        let mfn = list.get(index);
        map(mfn);
        let found = (0..WORDS / 2)
            .map(|n| (peek32(window.0 + 8 * n + 4), peek32(window.0 + 8 * n)))
            .find(|(upper, lower)| HYPERVISOR.contains(upper) && *lower < MEMORY);
        check_eq!(
            found,
            None,
            "frame {:#x} comes with an address of the hypervisor",
            mfn.raw()
        );
        (0..WORDS).for_each(|n| poke32(window.0 + 4 * n, mark(mfn, n)));
    }
    check_eq!(remap(window.0, window.pte(WRITABLE)), Ok(()));
    let had = list.len;
    list.give_back();
    list.take_all();
    check_eq!(list.len, had, "what was given back is there again");
    let mut own = 0;
    for index in 0..list.len {
        let mfn = list.get(index);
        map(mfn);
        let is_own = stranger(window, |n| mark(mfn, n)).is_none();
        let found = stranger(window, |_| 0);
        check!(
            is_own || found.is_none(),
            "frame {:#x} comes back with word {:x?}",
            mfn.raw(),
            found
        );
        own += u32::from(is_own);
    }
    println!("{own} of them came back as they were");
    check_eq!(remap(window.0, window.pte(WRITABLE)), Ok(()));
    report::success()
}
