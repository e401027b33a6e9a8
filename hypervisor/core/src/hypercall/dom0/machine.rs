//! The machine and the hypervisor itself: clock, counters, what there is.

use super::{Answer, Command, must_be_0};
use crate::{error::HvError, guest_mem::GuestSlice, hypercall::CallCounters, platform::Platform, time};
use guest_abi::domctl::{
    CPU_ANY, PERFC_VALUES, PerfcControl, PerfcDesc, PerfcOp, PhysInfo, PinCpuDomain, SetTime,
};

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
