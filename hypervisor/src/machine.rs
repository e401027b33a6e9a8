//! The machine as `hv-core` sees it: its traits over `hv-arch`.
//!
//! [`Machine`] is zero-sized, so every call through it is a direct one. What it needs to know of the machine is set
//! once at boot, in the statics below.

use crate::console;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};
use hv_arch::{
    cpu, gdt, idt, msr,
    paging::{AddressSpace, LDT_WINDOW, direct},
    percpu::{self, todo},
    tss, usercopy,
};
use hv_bootinfo::frames::FrameRange;
use hv_core::{
    domain::Domain,
    mm::RecordFrame,
    platform::{
        Console, CpuControl, FastTrap, Fault, FrameMemory, FrameWords, GuestMemory, GuestPod, Records, Tlb,
    },
    vcpu::{DataSegments, FpuState},
};

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

/// Frames that the direct map shows: all below this number.
static MAPPED_FRAMES: BootNumber = BootNumber(UnsafeCell::new(0));
/// Physical address of the machine-to-phys table.
static M2P: AtomicU64 = AtomicU64::new(0);
/// Its frames.
static M2P_FRAMES: AtomicU32 = AtomicU32::new(0);
/// The address space of the domain whose registers are on this CPU.
static SPACE: spin::Once<AddressSpace> = spin::Once::new();

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

/// Makes `space` the current domain's.
pub fn set_address_space(space: AddressSpace) {
    SPACE.call_once(|| space);
}

fn space() -> &'static AddressSpace {
    SPACE.get().expect("an address space since boot")
}

/// First byte of `frame` in the direct map.
///
/// # Panics
/// For a frame that is no RAM: the frame table knows better, so this is a bug of ours.
#[inline(always)]
fn frame_address(frame: Mfn) -> *mut u8 {
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
    fn load_u32(self, offset: usize) -> u32 {
        self.half(offset).load(Relaxed)
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

impl Tlb for Machine {
    #[inline]
    fn activate_root(&self, l3: Mfn) {
        space().set_guest_root(Some(l3.addr().raw()));
        // SAFETY: the core activates validated roots only.
        unsafe { space().activate() }
    }

    #[inline]
    fn flush(&self) {
        // SAFETY: the space is the active one already.
        unsafe { space().activate() }
    }

    #[inline]
    fn flush_page(&self, at: GuestVirt) {
        cpu::invalidate_guest_page(at.raw());
    }

    fn flush_data_caches(&self) {
        cpu::write_back_caches();
    }
}

impl CpuControl for Machine {
    fn load_gdt(&self, frames: &[Mfn], _entries: u32) {
        for page in 0..14 {
            space().set_gdt_page(page, frames.get(page).map(|f| f.addr().raw()));
        }
        self.flush();
    }

    fn load_ldt(&self, entries: u32) {
        for page in 0..16 {
            space().set_ldt_page(page, None);
        }
        self.flush();
        gdt::load_ldt(LDT_WINDOW, entries);
    }

    fn map_ldt_page(&self, index: usize, frame: Mfn) {
        space().set_ldt_page(index, Some(frame.addr().raw()));
    }

    fn set_task_switched(&self, on: bool) {
        cpu::set_task_switched(on);
    }

    fn write_debug_register(&self, index: usize, value: u32) {
        cpu::write_debug_register(index, value);
    }

    fn set_fast_trap(&self, trap: Option<FastTrap>) {
        fast_trap::set(trap);
    }

    /// Called by every `stack_switch`, that is, at every switch of a guest's processes.
    #[inline]
    fn set_kernel_stack(&self, ss: u16, esp: u32) {
        percpu::set_fast_trap_stack(ss, esp);
    }

    #[inline]
    fn load_io_bitmap(&self, bitmap: Option<[Mfn; 2]>) {
        tss::load_io_bitmap(bitmap.map(|frames| {
            frames.map(|frame| {
                // SAFETY: a frame of RAM that the hypervisor keeps for the domain; only this CPU writes it, and not now.
                unsafe { &*frame_address(frame).cast::<[u8; 4096]>() }
            })
        }));
    }

    fn read_msr(&self, register: u32) -> Result<u64, Fault> {
        msr::read(register).map_err(|_| Fault)
    }

    fn write_msr(&self, register: u32, value: u64) -> Result<(), Fault> {
        // SAFETY: the core lets through only registers that regulate power and heat.
        unsafe { msr::write(register, value) }.map_err(|_| Fault)
    }

    fn save_fpu(&self, into: &mut FpuState) {
        // SAFETY: the area has the size and alignment by type; the core calls this with TS clear.
        unsafe { cpu::save_fpu(into.0.as_mut_ptr()) }
    }

    fn load_fpu(&self, from: &FpuState) {
        // SAFETY: as above; an image comes from a save, or is the clean one.
        unsafe { cpu::restore_fpu(from.0.as_ptr()) }
    }

    fn data_segments(&self) -> DataSegments {
        let [ds, es, fs, gs] = usercopy::data_segments();
        DataSegments { ds, es, fs, gs }
    }

    fn load_data_segments(&self, segments: DataSegments) -> Result<(), Fault> {
        let loaded = usercopy::load_ds(segments.ds)
            .and_then(|()| usercopy::load_es(segments.es))
            .and_then(|()| usercopy::load_fs(segments.fs))
            .and_then(|()| usercopy::load_gs(segments.gs));
        loaded.map_err(|_| {
            self.clear_data_segments();
            Fault
        })
    }

    fn set_shared_info(&self, frame: Mfn) {
        // The two flag bytes are the page's first.
        percpu::set_upcall_flags(Some(frame_address(frame).cast::<u16>().cast_const()));
    }

    #[inline(always)]
    fn mask_upcalls_at_hand(&self) -> bool {
        percpu::mask_upcalls();
        true
    }

    #[inline]
    fn request_exit_work(&self) {
        percpu::raise_todo(todo::WORK);
    }
}

impl Machine {
    /// Loads null into DS, ES, FS and GS.
    pub fn clear_data_segments(self) {
        // Null never faults.
        for load in [
            usercopy::load_ds,
            usercopy::load_es,
            usercopy::load_fs,
            usercopy::load_gs,
        ] {
            let _ = load(0);
        }
    }
}

impl Console for Machine {
    fn write_console(&self, bytes: &[u8]) {
        console::show(bytes);
    }

    fn read_console(&self, into: &mut [u8]) -> usize {
        console::read(into)
    }

    fn written(&self) -> u64 {
        console::written()
    }

    fn read_history(&self, from: u64, into: &mut [u8]) -> usize {
        console::read_history(from, into)
    }

    fn history_len(&self) -> usize {
        console::history_len()
    }

    fn clear_history(&self) {
        console::clear_history();
    }

    fn has_console_input(&self) -> bool {
        console::has_input()
    }
}

/// Arming and disarming the fast trap.
mod fast_trap {
    use super::*;

    /// The vector whose gate leads to the stub; 0: none.
    static ARMED: AtomicU32 = AtomicU32::new(0);

    /// The core asks for a fast trap only while the ring-1 stack is the flat segment with room for its frame. Only
    /// ring 3 takes the short way.
    pub fn set(trap: Option<FastTrap>) {
        let trap = trap.filter(|trap| trap.dpl == 3);
        let armed = trap.as_ref().map_or(0, |trap| trap.vector);
        let old = ARMED.swap(armed.into(), Relaxed);
        if old != 0 {
            idt::disarm_fast_trap(old as u8);
        }
        if let Some(trap) = trap {
            percpu::set_fast_trap_target(trap.vector, trap.cs, trap.eip);
            idt::arm_fast_trap(trap.vector);
        }
    }
}
