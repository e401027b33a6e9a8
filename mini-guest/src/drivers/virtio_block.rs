//! Virtio's disk, by PCI and without legacy interfaces, on the queue of crate `virtio-drivers`.
//!
//! A request is a chain of descriptors: a header of ours, the pieces of memory as they are (the device reaches them itself),
//! and a byte for the status. Headers and status bytes lie in one page, a slot for each request under way. Where the device has indirect descriptors,
//! the chain lies in a list of its own, and the queue needs one descriptor for it. The crate takes lists from the heap, whose small blocks lie in one page each
//! ([`crate::mm::small_blocks`]), as the device needs it. Event indices are not asked for.
//!
//! Source: OASIS Virtual I/O Device (VIRTIO) 1.1, 2.6 and 5.2.

use alloc::boxed::Box;
use core::cell::RefCell;
use core::ptr::NonNull;

use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::{DeviceStatus, Transport};

use super::dma::DmaPage;
use super::lines::Driver;
use super::pci::DeviceFunction;
use super::virtio::{self, PvHal};
use crate::block::{BlockError, Device, Info, Op, Refused, Request, check};
use crate::linux::Errno;
use crate::mm::small_blocks::LARGEST;

/// Descriptors of the queue: its three parts take a page or less each.
const QUEUE: usize = 128;
/// Requests under way.
const DEPTH: usize = 32;
/// Most pieces of a request.
const MAX_SEGMENTS: usize = 32;
/// Bytes of the longest list of descriptors.
const LONGEST_LIST: usize = (MAX_SEGMENTS + 2) * 16;
const _: () = assert!(LONGEST_LIST <= LARGEST, "a list lies in one page");
/// Bytes of a slot: a header of 16 bytes, and the status.
const SLOT: usize = 32;
/// Where the status is in it.
const STATUS: usize = 16;

bitflags::bitflags! {
    /// What device and driver agree on.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const SEG_MAX = 1 << 2;
        const RO = 1 << 5;
        const BLK_SIZE = 1 << 6;
        const FLUSH = 1 << 9;
        const INDIRECT_DESC = 1 << 28;
        const VERSION_1 = 1 << 32;
    }
}

/// One disk.
pub struct VirtioBlock {
    info: Info,
    state: RefCell<State>,
}

struct State {
    transport: PciTransport,
    queue: VirtQueue<PvHal, QUEUE>,
    /// Headers and status bytes, a slot for each request.
    slots: DmaPage,
    /// The requests under way, by slot.
    requests: [Option<Box<Request>>; DEPTH],
    /// The slot of the request whose chain begins with a descriptor.
    slot_of: [Option<u8>; QUEUE],
    is_broken: bool,
}

impl VirtioBlock {
    /// Sets the device up.
    ///
    /// # Errors
    /// ENODEV: no device of today's virtio, or not one that we understand; ENOSPC; ENOMEM.
    pub fn new(at: DeviceFunction) -> Result<Self, Errno> {
        let mut transport = virtio::transport(at)?;
        let features = transport.begin_init(
            Features::SEG_MAX
                | Features::RO
                | Features::BLK_SIZE
                | Features::FLUSH
                | Features::INDIRECT_DESC
                | Features::VERSION_1,
        );
        if !transport.get_status().contains(DeviceStatus::FEATURES_OK)
            || !features.contains(Features::VERSION_1)
        {
            return Err(Errno::ENODEV);
        }
        let word = |offset| {
            transport
                .read_config_space::<u32>(offset)
                .map_err(|_| Errno::ENODEV)
        };
        let sectors = u64::from(word(0)?) | u64::from(word(4)?) << 32;
        let most = if features.contains(Features::SEG_MAX) {
            word(12)? as usize
        } else {
            1
        };
        let block = if features.contains(Features::BLK_SIZE) {
            word(20)? / 512
        } else {
            1
        };
        let is_indirect = features.contains(Features::INDIRECT_DESC);
        let queue = VirtQueue::new(&mut transport, 0, is_indirect, false).map_err(|_| Errno::ENOMEM)?;
        transport.finish_init();
        let info = Info {
            sectors,
            block_sectors: block.max(1),
            is_read_only: features.contains(Features::RO),
            has_cache: features.contains(Features::FLUSH),
            max_segments: most.clamp(1, MAX_SEGMENTS),
            is_copying: false,
            depth: DEPTH,
        };
        let state = State {
            transport,
            queue,
            slots: DmaPage::new()?,
            requests: [const { None }; DEPTH],
            slot_of: [None; QUEUE],
            is_broken: false,
        };
        Ok(Self {
            info,
            state: RefCell::new(state),
        })
    }
}

impl Device for VirtioBlock {
    fn info(&self) -> Info {
        self.info
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        if let Err(error) = check::request(&self.info, &request) {
            return Err(Refused { request, error });
        }
        if request.op == Op::Flush && !self.info.has_cache {
            request.client.begin();
            request.complete(Ok(()));
            return Ok(());
        }
        self.state.borrow_mut().begin(request)
    }
}

impl Driver for VirtioBlock {
    fn interrupt(&self) {
        let mut state = self.state.borrow_mut();
        // This reads the reason and so makes the device stop asking; what it does from here on makes it ask again.
        state.transport.ack_interrupt();
        while state.finish_one() {}
    }
}

/// Most buffers in one direction.
const BUFFERS: usize = MAX_SEGMENTS + 1;

/// A request's buffers as the crate wants them. (Plain arrays: a type with a destructor could not be lent for as long as the
/// crate asks.)
struct Buffers<'b> {
    /// What the device reads.
    inputs: ([&'b [u8]; BUFFERS], usize),
    /// What it writes.
    outputs: ([&'b mut [u8]; BUFFERS], usize),
}

impl<'b> Buffers<'b> {
    fn new() -> Self {
        Self {
            inputs: ([&[]; BUFFERS], 0),
            outputs: (core::array::from_fn(|_| &mut [][..]), 0),
        }
    }

    fn input(&mut self, bytes: &'b [u8]) {
        let (list, count) = &mut self.inputs;
        list[*count] = bytes;
        *count += 1;
    }

    fn output(&mut self, bytes: &'b mut [u8]) {
        let (list, count) = &mut self.outputs;
        list[*count] = bytes;
        *count += 1;
    }
}

impl State {
    fn begin(&mut self, request: Box<Request>) -> Result<(), Refused> {
        if self.is_broken {
            let error = BlockError::Gone;
            return Err(Refused { request, error });
        }
        let free = self.requests.iter().position(Option::is_none);
        let Some(slot) = free.filter(|_| self.queue.available_desc() >= request.segments.len() + 2) else {
            let error = BlockError::Busy;
            return Err(Refused { request, error });
        };
        self.write_header(slot, &request);
        let mut buffers = self.buffers(slot, &request);
        let (inputs, outputs) = (&buffers.inputs, &mut buffers.outputs);
        // SAFETY: header and status are the slot's until the request is done, and its pieces are what `Segment` promises.
        let added = unsafe { self.queue.add(&inputs.0[..inputs.1], &mut outputs.0[..outputs.1]) };
        let Some(place) = added
            .ok()
            .and_then(|token| self.slot_of.get_mut(usize::from(token)))
        else {
            let error = BlockError::Busy;
            return Err(Refused { request, error });
        };
        *place = Some(slot as u8);
        request.client.begin();
        self.requests[slot] = Some(request);
        if self.queue.should_notify() {
            self.transport.notify(0);
        }
        Ok(())
    }

    fn write_header(&self, slot: usize, request: &Request) {
        let kind: u32 = match request.op {
            Op::Read => 0,
            Op::Write => 1,
            Op::Flush => 4,
        };
        let at = self.slots.pointer(slot * SLOT);
        let words = [kind, 0, request.sector as u32, (request.sector >> 32) as u32];
        // SAFETY: inside the page, aligned, and the device does not look at a slot that is free.
        unsafe { at.cast::<[u32; 4]>().write_volatile(words) };
        const UNSET: u8 = 0xFF;
        // SAFETY: as above: the status byte follows the header.
        let status = unsafe { at.add(STATUS) };
        // SAFETY: as above.
        unsafe { status.write_volatile(UNSET) };
    }

    /// The buffers of `request` in `slot`. They are looked at by the crate only for address and length.
    fn buffers<'b>(&self, slot: usize, request: &Request) -> Buffers<'b> {
        let mut buffers = Buffers::new();
        let header = NonNull::slice_from_raw_parts(self.slots.pointer(slot * SLOT), STATUS);
        // SAFETY: the slot's header: 16 bytes in a page that lives as long as the queue.
        buffers.input(unsafe { header.as_ref() });
        for segment in &request.segments {
            let mut bytes = NonNull::slice_from_raw_parts(segment.pointer(), segment.len() as usize);
            if request.op == Op::Write {
                // SAFETY: what `Segment` promises: mapped until the completion, and nobody else refers to it.
                buffers.input(unsafe { bytes.as_ref() });
            } else {
                // SAFETY: as above, and writable.
                buffers.output(unsafe { bytes.as_mut() });
            }
        }
        let mut status = NonNull::slice_from_raw_parts(self.slots.pointer(slot * SLOT + STATUS), 1);
        // SAFETY: the slot's status byte.
        buffers.output(unsafe { status.as_mut() });
        buffers
    }

    /// Takes one request that the device has done; `false` where there is none.
    fn finish_one(&mut self) -> bool {
        if self.is_broken {
            return false;
        }
        let Some(token) = self.queue.peek_used() else {
            return false;
        };
        let place = self.slot_of.get_mut(usize::from(token));
        let Some(slot) = place.and_then(Option::take).map(usize::from) else {
            self.give_up();
            return false;
        };
        let Some(request) = self.requests[slot].take() else {
            self.give_up();
            return false;
        };
        let mut buffers = self.buffers(slot, &request);
        let (inputs, outputs) = (&buffers.inputs, &mut buffers.outputs);
        let (inputs, outputs) = (&inputs.0[..inputs.1], &mut outputs.0[..outputs.1]);
        // SAFETY: the same buffers as were added: they follow from slot and request.
        let popped = unsafe { self.queue.pop_used(token, inputs, outputs) };
        // SAFETY: inside the page; the device is done with the slot.
        let status = unsafe { self.slots.pointer(slot * SLOT + STATUS).read_volatile() };
        let is_done = popped.is_ok() && status == 0;
        request.complete(if is_done { Ok(()) } else { Err(BlockError::Io) });
        true
    }

    /// The device has answered what nobody asked: it is stopped, and whatever it had is lost.
    fn give_up(&mut self) {
        self.is_broken = true;
        self.transport.set_status(DeviceStatus::empty());
        crate::println!("mini-guest: a virtio disk answers nonsense and was stopped");
        for request in self.requests.iter_mut().filter_map(Option::take) {
            request.complete(Err(BlockError::Gone));
        }
    }
}
