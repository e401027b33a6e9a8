//! The system calls: Linux's i386 numbers, registers and errors, as `docs/syscalls.md` has them.
//!
//! A call is a function from the kernel and its arguments to a [`SysResult`]. One that cannot be finished answers
//! [`Stop::Wait`]; it is begun anew with the same arguments when its process wakes, and finds in
//! [`Process::call`](crate::process::Process::call) what it has done so far.
//!
//! | module | calls |
//! |---|---|
//! | `file`, `transfer`, `vector` | open, close, seek; read and write; in pieces |
//! | `disk` | the same of disks; sync |
//! | [`load`], [`net_load`] | what a disk costs, and what packets cost |
//! | `descriptor` | dup, fcntl, pipe |
//! | `path` | what paths lead to: stat, readlink, chdir, getdents |
//! | `tree` | changes of the tree: mkdir, unlink, rename, link |
//! | `mount` | mount, umount |
//! | `memory` | brk, mmap, munmap, mprotect, mlock |
//! | `process` | fork, execve, exit, wait, numbers and groups |
//! | `signal` | kill, sigaction, masks |
//! | `socket`, `socket_transfer`, `socket_options` | sockets; send and receive; options and interfaces |
//! | `alarm` | alarm, setitimer |
//! | `time_calls` | clocks and sleep |
//! | `terminal` | ioctl, poll |
//! | `privcmd`, `evtchn`, `consoles`, `xenbus` | the devices of `/dev/xen` |
//! | `system` | uname, sysinfo, reboot and the like |

use alloc::vec::Vec;

use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::Errno;
use crate::linux::process::MAX_PATH;
use crate::process::{Call, State, WaitFor};
use crate::time;
use crate::traps::TrapFrame;

mod alarm;
mod consoles;
mod descriptor;
mod disk;
mod evtchn;
mod file;
pub mod load;
mod memory;
mod mount;
pub mod net_load;
mod path;
mod privcmd;
mod process;
mod signal;
mod socket;
mod socket_options;
mod socket_transfer;
mod system;
mod terminal;
mod time_calls;
mod transfer;
mod tree;
mod vector;
mod xenbus;

/// The arguments in order: EBX, ECX, EDX, ESI, EDI, EBP.
pub type Args = [u32; 6];

impl Kernel {
    /// Begins the system call that `frame` asks for.
    pub(crate) fn begin_call(&mut self, frame: &mut TrapFrame) {
        self.process().call = Call {
            is_active: true,
            ..Call::default()
        };
        self.run_call(frame);
    }

    /// Goes on with the call that the running process slept in.
    pub(crate) fn continue_call(&mut self, frame: &mut TrapFrame) {
        let process = self.process();
        if process.call.child.is_none() && !process.call.is_disk && process.signals.is_due() {
            self.interrupt_call(frame);
        } else {
            self.run_call(frame);
        }
    }

    fn run_call(&mut self, frame: &mut TrapFrame) {
        let pid = self.current;
        let result = match self.dispatch(frame) {
            Err(Stop::Errno(Errno::EIOCBQUEUED)) => Err(Stop::Wait(WaitFor::DISK)),
            other => other,
        };
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        match result {
            Ok(value) => frame.eax = value,
            Err(Stop::Errno(errno)) => frame.eax = errno.to_eax(),
            Err(Stop::NoResult) => {}
            Err(Stop::Wait(what)) => {
                process.call.is_disk = what == WaitFor::DISK;
                let is_interrupted =
                    !matches!(what, WaitFor::VFORK | WaitFor::DISK) && process.signals.is_due();
                if !is_interrupted {
                    process.state = State::Waiting(what);
                    self.timer_may_change();
                }
                return;
            }
        }
        process.call = Call::default();
    }

    fn dispatch(&mut self, frame: &mut TrapFrame) -> SysResult {
        let args = [frame.ebx, frame.ecx, frame.edx, frame.esi, frame.edi, frame.ebp];
        let [a, b, c, d, _, _] = args;
        match frame.eax {
            // Calls that look at or change the registers.
            2 => self.sys_fork(frame),
            11 => self.sys_execve(frame, args),
            119 => self.sys_sigreturn(frame, false),
            120 => self.sys_clone(frame, args),
            158 => {
                frame.eax = 0;
                self.yield_now(frame);
                Err(Stop::NoResult)
            }
            173 => self.sys_sigreturn(frame, true),
            190 => self.sys_vfork(frame),
            1 => self.sys_exit(a),
            252 => self.sys_exit(a),
            3 => self.sys_read(a, b, c),
            4 => self.sys_write(a, b, c),
            5 => self.sys_open(crate::linux::file::AT_FDCWD as u32, a, b, c),
            295 => self.sys_open(a, b, c, d),
            6 => self.sys_close(a),
            19 => self.sys_lseek(a, b, c),
            140 => self.sys_llseek(args),
            41 => self.sys_dup(a),
            63 => self.sys_dup2(a, b),
            330 => self.sys_dup3(a, b, c),
            42 => self.sys_pipe2(a, 0),
            331 => self.sys_pipe2(a, b),
            55 | 221 => self.sys_fcntl(a, b, c),
            145 => self.sys_readv(a, b, c),
            146 => self.sys_writev(a, b, c),
            180 => self.sys_pread(args),
            181 => self.sys_pwrite(args),
            93 => self.sys_ftruncate(a, u64::from(b)),
            194 => self.sys_ftruncate(a, u64::from(b) | u64::from(c) << 32),
            36 => self.sys_sync(),
            118 | 148 => self.sys_fsync(a),
            54 => self.sys_ioctl(a, b, c),
            168 => self.sys_poll(a, b, c),
            number => self.dispatch_more(number, args),
        }
    }

    fn dispatch_more(&mut self, number: u32, args: Args) -> SysResult {
        match number {
            12 | 15 | 33 | 85 | 133 | 183 | 195..=197 | 220 | 300 | 305..=307 | 383 | 439 => {
                self.path_call(number, args)
            }
            21 | 22 | 52 => self.mount_call(number, args),
            9 | 10 | 38..=40 | 83 | 92 | 94 | 193 | 296 | 301..=304 | 320 | 353 | 412 => {
                self.tree_call(number, args)
            }
            45 | 91 | 125 | 150 | 151 | 163 | 192 => self.memory_call(number, args),
            7 | 20 | 57 | 64 | 65 | 66 | 114 | 132 | 147 | 172 | 191 | 224 | 243 | 244 | 258 | 340 => {
                self.process_call(number, args)
            }
            27 | 104 | 105 => self.alarm_call(number, args),
            102 | 359..=373 => self.socket_call(number, args),
            29 | 37 | 174 | 175 | 176 | 179 | 238 | 270 => self.signal_call(number, args),
            13 | 25 | 43 | 78 | 79 | 162 | 264..=267 | 403 | 404 | 406 => self.time_call(number, args),
            _ => self.system_info_call(number, args),
        }
    }

    // What many calls need.

    /// Copies bytes in from the running program.
    pub(crate) fn copy_in<const N: usize>(&mut self, from: u32) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        self.process().memory().borrow_mut().copy_in(from, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies bytes out to the running program.
    pub(crate) fn copy_out(&mut self, to: u32, bytes: &[u8]) -> Result<(), Errno> {
        self.process().memory().borrow_mut().copy_out(to, bytes)
    }

    /// Copies bytes out, where the program wants them.
    pub(crate) fn copy_out_if(&mut self, to: u32, bytes: &[u8]) -> Result<(), Errno> {
        if to == 0 { Ok(()) } else { self.copy_out(to, bytes) }
    }

    /// Copies a path in.
    pub(crate) fn path_in(&mut self, from: u32) -> Result<Vec<u8>, Errno> {
        self.process()
            .memory()
            .borrow_mut()
            .string(from, MAX_PATH, Errno::ENAMETOOLONG)
    }

    /// The time at which the running call has to end, set at its first attempt from `span` in ns.
    pub(crate) fn call_deadline(&mut self, span: u64) -> u64 {
        let now = time::now_ns();
        *self
            .process()
            .call
            .deadline
            .get_or_insert(now.saturating_add(span))
    }
}
