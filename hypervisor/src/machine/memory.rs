//! RAM: frames in the direct map, the guest's addresses by copies that may fault.

use super::Machine;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};
use hv_arch::{paging::direct, usercopy};
use hv_bootinfo::frames::FrameRange;
use hv_core::{
    domain::Domain,
    mm::RecordFrame,
    platform::{Fault, FrameMemory, FrameWords, GuestMemory, GuestPod, Records},
};

/// Frames that the direct map shows: all below this number.
static MAPPED_FRAMES: BootNumber = BootNumber(UnsafeCell::new(0));
/// Physical address of the machine-to-phys table.
static M2P: AtomicU64 = AtomicU64::new(0);
/// Its frames.
static M2P_FRAMES: AtomicU32 = AtomicU32::new(0);

/// A number that boot sets and everything reads; a plain one, for it is compared with at each access to a frame.
struct BootNumber(UnsafeCell<u32>);

// SAFETY: written once, while a single CPU boots and nothing else runs.
unsafe impl Sync for BootNumber {}

impl BootNumber {
    #[inline(always)]
    fn get(&self) -> u32 {
        // SAFETY: nobody writes any more.
        unsafe { *self.0.get() }
    }
}

/// Says how much RAM there is and where the machine-to-phys table lies. Boot only.
pub fn describe_memory(frames: u32, m2p: FrameRange) {
    // SAFETY: boot runs on one CPU, with interrupts off.
    unsafe { *MAPPED_FRAMES.0.get() = frames };
    M2P.store(m2p.start.addr().raw(), Relaxed);
    M2P_FRAMES.store(m2p.count(), Relaxed);
}

/// The machine-to-phys table's first frame, and how many it has.
pub fn m2p_frames() -> (Mfn, u32) {
    (
        Mfn::new((M2P.load(Relaxed) / 4096) as u32),
        M2P_FRAMES.load(Relaxed),
    )
}

/// First byte of `frame` in the direct map.
///
/// # Panics
/// For a frame that is no RAM: the frame table knows better, so this is a bug of ours.
#[inline(always)]
pub(super) fn frame_address(frame: Mfn) -> *mut u8 {
    if frame.raw() >= MAPPED_FRAMES.get() {
        not_ram(frame);
    }
    direct(frame.addr().raw())
}

#[cold]
#[inline(never)]
fn not_ram(frame: Mfn) -> ! {
    panic!("frame {:#x} is not RAM", frame.raw())
}

#[inline(always)]
fn word<'a>(frame: Mfn, offset: usize) -> &'a AtomicU32 {
    assert!(offset < 4096 && offset.is_multiple_of(4));
    // SAFETY: the frame is RAM in the direct map, the offset stays inside it and is aligned; shared words are only
    // ever reached as atomics.
    unsafe { &*frame_address(frame).wrapping_add(offset).cast::<AtomicU32>() }
}

#[inline(always)]
fn entry<'a>(frame: Mfn, index: usize) -> &'a AtomicU64 {
    assert!(index < 512);
    // SAFETY: as in `word`.
    unsafe { &*frame_address(frame).cast::<AtomicU64>().wrapping_add(index) }
}

/// The words of one frame of RAM.
#[derive(Clone, Copy, Debug)]
pub struct Words(&'static [AtomicU64; 512]);

impl FrameWords for Words {
    #[inline(always)]
    fn read(self, index: usize) -> u64 {
        self.0[index].load(Relaxed)
    }

    #[inline(always)]
    fn compare_exchange(self, index: usize, old: u64, new: u64) -> Result<(), u64> {
        self.0[index]
            .compare_exchange(old, new, Relaxed, Relaxed)
            .map(|_| ())
    }

    #[inline(always)]
    fn write(self, index: usize, value: u64) {
        self.0[index].store(value, Relaxed);
    }

    #[inline(always)]
    fn load_u32(self, offset: usize) -> u32 {
        self.half(offset).load(Relaxed)
    }

    #[inline(always)]
    fn store_u32(self, offset: usize, value: u32) {
        self.half(offset).store(value, Relaxed);
    }

    #[inline(always)]
    fn fetch_or_u32(self, offset: usize, bits: u32) -> u32 {
        self.half(offset).fetch_or(bits, Relaxed)
    }

    #[inline(always)]
    fn store_u8(self, offset: usize, value: u8) {
        assert!(offset < 4096);
        let at = self.0.as_ptr().cast::<u8>().cast_mut().wrapping_add(offset);
        // SAFETY: inside the frame; the guest may write it at the same time, hence volatile.
        unsafe { at.write_volatile(value) }
    }
}

impl Words {
    /// The 4-byte word at `offset`.
    #[inline(always)]
    fn half(self, offset: usize) -> &'static AtomicU32 {
        assert!(offset < 4096 && offset.is_multiple_of(4));
        // SAFETY: inside the frame and aligned.
        unsafe { &*self.0.as_ptr().cast::<AtomicU32>().wrapping_add(offset / 4) }
    }
}

impl FrameMemory for Machine {
    type Words<'a> = Words;

    #[inline(always)]
    fn words(&self, frame: Mfn) -> Words {
        // SAFETY: as in `word`; a frame is 512 aligned words.
        Words(unsafe { &*frame_address(frame).cast::<[AtomicU64; 512]>() })
    }

    #[inline(always)]
    fn read_entry(&self, frame: Mfn, index: usize) -> u64 {
        entry(frame, index).load(Relaxed)
    }

    #[inline(always)]
    fn write_entry(&self, frame: Mfn, index: usize, value: u64) {
        entry(frame, index).store(value, Relaxed);
    }

    #[inline(always)]
    fn compare_exchange_entry(&self, frame: Mfn, index: usize, old: u64, new: u64) -> Result<(), u64> {
        entry(frame, index)
            .compare_exchange(old, new, Relaxed, Relaxed)
            .map(|_| ())
    }

    fn zero_frame(&self, frame: Mfn) {
        // SAFETY: a whole frame of RAM, which the caller owns.
        unsafe { frame_address(frame).write_bytes(0, 4096) }
    }

    #[inline(always)]
    fn load_u8(&self, frame: Mfn, offset: usize) -> u8 {
        assert!(offset < 4096);
        // SAFETY: inside a frame of RAM; the guest may write it at the same time, hence volatile.
        unsafe { frame_address(frame).wrapping_add(offset).read_volatile() }
    }

    #[inline(always)]
    fn store_u8(&self, frame: Mfn, offset: usize, value: u8) {
        assert!(offset < 4096);
        // SAFETY: as above.
        unsafe { frame_address(frame).wrapping_add(offset).write_volatile(value) }
    }

    #[inline(always)]
    fn load_u32(&self, frame: Mfn, offset: usize) -> u32 {
        word(frame, offset).load(Relaxed)
    }

    #[inline(always)]
    fn store_u32(&self, frame: Mfn, offset: usize, value: u32) {
        word(frame, offset).store(value, Relaxed);
    }

    #[inline(always)]
    fn fetch_or_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32 {
        word(frame, offset).fetch_or(bits, Relaxed)
    }

    #[inline(always)]
    fn fetch_clear_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32 {
        word(frame, offset).fetch_and(!bits, Relaxed)
    }

    fn copy_bytes(&self, (from, at): (Mfn, usize), (to, into): (Mfn, usize), len: usize) {
        assert!(at <= 4096 && len <= 4096 - at && into <= 4096 && len <= 4096 - into);
        let (from, to) = (
            frame_address(from).wrapping_add(at),
            frame_address(to).wrapping_add(into),
        );
        // SAFETY: both ranges lie inside frames of RAM. They may overlap, and a device may write one meanwhile; then
        // what arrives is of no one's concern but theirs.
        unsafe { from.copy_to(to, len) }
    }

    #[inline(always)]
    fn set_m2p(&self, frame: Mfn, value: u32) {
        assert!(frame.raw() < MAPPED_FRAMES.get());
        let table = direct(M2P.load(Relaxed)).cast::<u32>();
        // SAFETY: the table has an entry for every frame of RAM; guests read it, hence volatile.
        unsafe { table.wrapping_add(frame.index()).write_volatile(value) }
    }
}

impl Records for Machine {
    fn place_record(&self, frame: RecordFrame, mut domain: Domain) -> &'static mut Domain {
        domain.record = Some(frame.mfn());
        let place = frame_address(frame.mfn()).cast::<Domain>();
        // SAFETY: the frame is the hypervisor's, nobody has another way to it, and a record fits in it; frames are
        // aligned to more than a record asks for.
        unsafe { place.write(domain) };
        // SAFETY: initialised just now; this is the only reference until the record is taken back.
        unsafe { &mut *place }
    }

    fn unplace_record(&self, record: &'static mut Domain) -> RecordFrame {
        let frame = record.record.take();
        RecordFrame::returned(frame.expect("a record in a frame"))
    }
}

/// The range rule of every copy: wholly below the hypervisor's window.
#[inline(always)]
fn check_range(at: GuestVirt, len: usize) -> Result<u32, Fault> {
    if cfg!(feature = "mutant-pointer-range") || u64::from(at.raw()) + len as u64 <= u64::from(HV_START) {
        Ok(at.raw())
    } else {
        Err(Fault)
    }
}

impl GuestMemory for Machine {
    #[inline(always)]
    fn read<T: GuestPod>(&self, at: GuestVirt) -> Result<T, Fault> {
        let at = check_range(at, size_of::<T>())?;
        let mut value = core::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the range was checked; `value` has room for a `T`.
        unsafe { usercopy::copy_in(at, value.as_mut_ptr().cast(), size_of::<T>()) }.map_err(|_| Fault)?;
        // SAFETY: every byte was written, and every bit pattern is a `T`.
        Ok(unsafe { value.assume_init() })
    }

    #[inline(always)]
    fn write<T: GuestPod>(&self, at: GuestVirt, value: &T) -> Result<(), Fault> {
        let at = check_range(at, size_of::<T>())?;
        // SAFETY: the range was checked; a `T` has no padding to leak.
        unsafe { usercopy::copy_out(at, (&raw const *value).cast(), size_of::<T>()) }.map_err(|_| Fault)
    }

    fn read_bytes(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), Fault> {
        let at = check_range(at, into.len())?;
        // SAFETY: the range was checked.
        unsafe { usercopy::copy_in(at, into.as_mut_ptr(), into.len()) }.map_err(|_| Fault)
    }

    fn write_bytes(&self, at: GuestVirt, from: &[u8]) -> Result<(), Fault> {
        let at = check_range(at, from.len())?;
        // SAFETY: the range was checked.
        unsafe { usercopy::copy_out(at, from.as_ptr(), from.len()) }.map_err(|_| Fault)
    }
}
