//! The machine and the hypervisor itself: clock, counters, what there is.

use super::{Answer, Command, must_be_0};
use crate::{error::HvError, guest_mem::GuestSlice, hypercall::CallCounters, platform::Platform, time};
use core::ops::RangeInclusive;
use guest_abi::{
    addr::GuestVirt,
    domctl::{
        CPU_ANY, Msr, PERFC_VALUES, PerfcControl, PerfcDesc, PerfcOp, PhysInfo, PinCpuDomain,
        READCONSOLE_CLEAR, ReadConsole, SetTime,
    },
};

/// In ECX: the console is being read. EDX says how much is copied, ESI how much there is in all, EDI the low half of where it
/// ends.
const READING: u32 = 0xC0E3_0000;
/// Bytes copied at a time.
const PIECE: usize = 256;
/// Bytes copied between two looks at whether work waits.
const BYTES_PER_CHECK: u32 = 2048;

/// Model-specific registers that hold the hypervisor's own state or would show its addresses: APIC base, SYSENTER, debug
/// control, PAT, deadline, x2APIC, EFER and the targets of SYSCALL, segment bases.
const OWN_MSRS: [RangeInclusive<u32>; 8] = [
    0x1B..=0x1B,
    0x174..=0x176,
    0x1D9..=0x1E0,
    0x277..=0x277,
    0x6E0..=0x6E0,
    0x800..=0x8FF,
    0xC000_0080..=0xC000_0084,
    0xC000_0100..=0xC000_0103,
];

/// Registers that may be written: performance state, clock modulation, thermal interrupt, energy bias, hardware
/// performance request.
const WRITABLE_MSRS: [u32; 5] = [0x199, 0x19A, 0x19B, 0x1B0, 0x774];

impl<P: Platform> Command<'_, '_, P> {
    /// SETTIME.
    pub(super) fn set_time(&mut self) -> Result<Answer, HvError> {
        let args: SetTime = self.op.args();
        if args.usecs >= 1_000_000 {
            return Err(HvError::Invalid);
        }
        let hv = &mut *self.cx.hv;
        hv.time.set_wall_clock(args.secs, args.usecs, args.system_time);
        let slot = hv.current;
        time::announce(hv, self.cx.platform, slot);
        Ok(Answer::Done)
    }

    /// PHYSINFO. What is neither free nor a domain's the hypervisor keeps.
    pub(super) fn phys_info(&mut self) -> Result<Answer, HvError> {
        let hv = &*self.cx.hv;
        let free_pages = hv.mm.allocator.free_frames();
        let given: u32 = hv.domains.iter().flatten().map(|domain| domain.total_pages).sum();
        self.op.set_args(&PhysInfo {
            threads_per_core: 1,
            cores: 1,
            cpu_khz: u32::try_from(self.cx.platform.tsc_hz() / 1000).unwrap_or(u32::MAX),
            max_frame: u32::try_from(hv.mm.rules.ram_end).unwrap_or(u32::MAX),
            total_pages: hv.mm.ram_frames,
            free_pages,
            hypervisor_pages: hv.mm.ram_frames.saturating_sub(free_pages).saturating_sub(given),
            pad: 0,
        });
        Ok(Answer::Results)
    }

    /// READCONSOLE: the newest text there is room for. Text that comes in during a pause is left out.
    pub(super) fn read_console(&mut self) -> Result<Answer, HvError> {
        let args: ReadConsole = self.op.args();
        if args.flags & !READCONSOLE_CLEAR != 0 {
            return Err(HvError::Invalid);
        }
        let platform = self.cx.platform;
        let written = platform.written();
        // Where the text begins is remembered by how far that is from its end, which is remembered by its low half.
        let (mut done, count, end) = match self.state {
            [READING, done, count, end] => (
                done,
                count,
                written - u64::from((written as u32).wrapping_sub(end)),
            ),
            _ => {
                let len = platform.history_len().min(args.count as usize);
                (0, len as u32, written)
            }
        };
        let to = GuestSlice::<u8>::new(args.buffer.raw(), count)?;
        let start = end.saturating_sub(count.into());
        while done < count {
            let mut piece = [0; PIECE];
            let wanted = PIECE.min((count - done) as usize);
            let got = platform.read_history(start + u64::from(done), &mut piece[..wanted]);
            if got == 0 {
                break;
            }
            platform.write_bytes(GuestVirt::new(to.addr_of(done)), &piece[..got])?;
            done += got as u32;
            if done.is_multiple_of(BYTES_PER_CHECK) && done < count && platform.work_pending() {
                return Ok(Answer::Pause([READING, done, count, end as u32]));
            }
        }
        if args.flags == READCONSOLE_CLEAR {
            platform.clear_history();
        }
        Ok(Answer::Number(done))
    }

    /// MSR: what the hypervisor lives by is denied; of the rest, everything may be read, and what only regulates power and
    /// heat be written.
    pub(super) fn msr(&mut self) -> Result<Answer, HvError> {
        let mut args: Msr = self.op.args();
        must_be_0(&[args.pad])?;
        if args.write > 1 || args.cpu_mask & 1 == 0 {
            return Err(HvError::Invalid);
        }
        let register = args.msr;
        if args.write == 1 {
            if !WRITABLE_MSRS.contains(&register) {
                return Err(HvError::Denied);
            }
            let written = self.cx.platform.write_msr(register, args.value);
            return written.map(|()| Answer::Done).map_err(|_| HvError::Invalid);
        }
        if OWN_MSRS.iter().any(|own| own.contains(&register)) {
            return Err(HvError::Denied);
        }
        args.value = self
            .cx
            .platform
            .read_msr(register)
            .map_err(|_| HvError::Invalid)?;
        self.op.set_args(&args);
        Ok(Answer::Results)
    }

    /// PINCPUDOMAIN: there is one processor to be pinned to.
    pub(super) fn pin_cpu(&mut self) -> Result<Answer, HvError> {
        let args: PinCpuDomain = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        if slot == self.cx.hv.current || args.cpu < CPU_ANY {
            return Err(HvError::Invalid);
        }
        Ok(Answer::Done)
    }

    /// PERFCCONTROL: the counters of calls, as two arrays by call number. Their low 32 bits.
    pub(super) fn counters(&mut self) -> Result<Answer, HvError> {
        let mut args: PerfcControl = self.op.args();
        let calls = &self.cx.hv.calls;
        let tables = [
            ("hypercalls made", &calls.made),
            ("hypercalls refused", &calls.refused),
        ];
        let fits = args.nr_counters;
        args.nr_counters = tables.len() as u32;
        match args.op {
            PerfcOp::RESET => self.cx.hv.calls = CallCounters::new(),
            PerfcOp::QUERY if args.desc.raw() == 0 => {}
            PerfcOp::QUERY if fits < args.nr_counters => return Err(HvError::Invalid),
            PerfcOp::QUERY => {
                let out = GuestSlice::<PerfcDesc>::new(args.desc.raw(), args.nr_counters)?;
                for (index, (name, values)) in (0..).zip(tables) {
                    let mut description = PerfcDesc {
                        nr_vals: values.len() as u32,
                        ..PerfcDesc::default()
                    };
                    description.name[..name.len()].copy_from_slice(name.as_bytes());
                    for (slot, value) in description.vals.iter_mut().zip(values) {
                        *slot = *value as u32;
                    }
                    if let Some(slot) = out.get(index) {
                        slot.write(self.cx.platform, &description)?;
                    }
                }
            }
            _ => return Err(HvError::Invalid),
        }
        self.op.set_args(&args);
        Ok(Answer::Results)
    }
}

const _: () = assert!(
    guest_abi::hypercall::CallNumber::COUNT <= PERFC_VALUES,
    "a value per call"
);
