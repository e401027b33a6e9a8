//! The newest lines of the hypervisor's log, as Domain0 reads them by call 7.

use core::cell::RefCell;

use guest_abi::addr::GuestVirt;
use guest_abi::domctl::{Dom0Op, ReadConsole};
use mini_guest::cell::OneCpu;
use mini_guest::{check, hypercall};

/// As much of it as is looked at, in bytes.
const NEWEST: usize = 4096;

static TEXT: OneCpu<RefCell<[u8; NEWEST]>> = OneCpu::new(RefCell::new([0; NEWEST]));

/// Whether the newest 4 KiB of the log hold `wanted`.
#[must_use]
pub fn holds(wanted: &[u8]) -> bool {
    let mut text = TEXT.borrow_mut();
    let mut block = Dom0Op::new(&ReadConsole {
        buffer: GuestVirt::new(text.as_mut_ptr() as u32),
        count: NEWEST as u32,
        flags: 0,
    });
    // SAFETY: the buffer is `text`, which nobody else borrows.
    let read = unsafe { hypercall::dom0_op(&mut block) };
    check!(read.is_ok_and(|read| read <= NEWEST as u32), "{read:?}");
    let read = read.map_or(0, |read| read as usize);
    text[..read].windows(wanted.len()).any(|window| window == wanted)
}
