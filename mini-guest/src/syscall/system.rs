//! The machine as a whole: names, users, memory, power.

use guest_abi::sched::ShutdownReason;

use super::Args;
use crate::kernel::{Kernel, RELEASE, SysResult, VERSION, memory};
use crate::linux::process::reboot;
use crate::linux::{Errno, Packed};
use crate::{hypercall, println, time};

/// Bytes of each name of uname.
const NAME: usize = 65;
/// Most bytes of one getrandom.
const MAX_RANDOM: u32 = 32 * 1024;

impl Kernel {
    pub(super) fn system_info_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, ..] = args;
        match number {
            // Everybody is user 0 and group 0.
            24 | 47 | 49 | 50 | 199..=202 => Ok(0),
            205 => Ok(0),
            60 => Ok(core::mem::replace(&mut self.process().umask, a & 0o777)),
            88 => self.sys_reboot(a, b, c),
            116 => self.sys_sysinfo(a),
            122 => self.sys_uname(a),
            355 => self.sys_getrandom(a, b, c),
            _ => Err(Errno::ENOSYS.into()),
        }
    }

    fn sys_uname(&mut self, to: u32) -> SysResult {
        let names = ["Linux", "xenlite", RELEASE, VERSION, "i686", "(none)"];
        let mut packed = Packed::<{ 6 * NAME }>::new();
        for (index, name) in names.iter().enumerate() {
            packed = packed.at(index * NAME).bytes(name.as_bytes());
        }
        self.copy_out(to, &packed.finish())?;
        Ok(0)
    }

    fn sys_sysinfo(&mut self, to: u32) -> SysResult {
        let (total, free, _) = memory();
        let uptime = self.uptime_ns() / time::NS_PER_SEC;
        let packed = Packed::<64>::new()
            .u32(uptime as u32)
            .u32(0)
            .u32(0)
            .u32(0)
            .u32(total as u32)
            .u32(free as u32)
            .at(40)
            .u16(self.processes.len() as u16)
            .at(52)
            .u32(1);
        self.copy_out(to, &packed.finish())?;
        Ok(0)
    }

    fn sys_getrandom(&mut self, to: u32, len: u32, flags: u32) -> SysResult {
        if flags & !7 != 0 {
            return Err(Errno::EINVAL.into());
        }
        let len = len.min(MAX_RANDOM);
        let mut done = 0;
        self.random.stir(time::tsc());
        while done < len {
            let mut bytes = [0; 256];
            let part = (len - done).min(256);
            self.random.fill(&mut bytes);
            self.copy_out(
                to.checked_add(done).ok_or(Errno::EFAULT)?,
                &bytes[..part as usize],
            )?;
            done += part;
        }
        Ok(done)
    }

    fn sys_reboot(&mut self, magic1: u32, magic2: u32, cmd: u32) -> SysResult {
        if magic1 != reboot::MAGIC1 || !reboot::MAGIC2.contains(&magic2) {
            return Err(Errno::EINVAL.into());
        }
        let reason = match cmd {
            reboot::CAD_ON | reboot::CAD_OFF => return Ok(0),
            reboot::RESTART => ShutdownReason::REBOOT,
            reboot::HALT | reboot::POWER_OFF => ShutdownReason::POWEROFF,
            _ => return Err(Errno::EINVAL.into()),
        };
        println!("mini-guest: {reason}");
        self.flush_devices();
        hypercall::shutdown(reason)
    }
}
