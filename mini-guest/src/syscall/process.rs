//! Processes: fork, execve, exit, wait, numbers and groups, thread-local storage.

use alloc::vec::Vec;

use super::Args;
use crate::kernel::{ForkOptions, Kernel, Stop, SysResult};
use crate::linux::process::{MAX_ARGUMENT_BYTES, MAX_FILES, STACK_BYTES, clone, wait};
use crate::linux::{Errno, Packed};
use crate::process::stack::Arguments;
use crate::process::tls::{self, USER_DESC};
use crate::process::{State, WaitFor};
use crate::traps::TrapFrame;

/// Most arguments, whatever their length.
const MAX_ARGUMENTS: usize = 4096;
/// No limit, in the calls about limits.
const INFINITY: u32 = u32::MAX;

impl Kernel {
    pub(super) fn sys_fork(&mut self, frame: &TrapFrame) -> SysResult {
        Ok(self.fork(frame, ForkOptions::default())?)
    }

    pub(super) fn sys_vfork(&mut self, frame: &TrapFrame) -> SysResult {
        self.wait_for_vfork(frame, 0)
    }

    pub(super) fn sys_clone(&mut self, frame: &TrapFrame, args: Args) -> SysResult {
        let [flags, stack, parent_tid, _, child_tid, _] = args;
        let shares = flags & (clone::VM | clone::VFORK);
        let is_vfork = shares == clone::VM | clone::VFORK;
        if flags & !clone::KNOWN != 0 || !(is_vfork || shares == 0) {
            return Err(Errno::EINVAL.into());
        }
        if is_vfork {
            return self.wait_for_vfork(frame, stack);
        }
        let pid = self.fork(frame, ForkOptions { vfork: false, stack })?;
        if flags & clone::PARENT_SETTID != 0 {
            // As on Linux nobody is told of a bad address.
            let _ = self.copy_out(parent_tid, &pid.to_le_bytes());
        }
        let Some(child) = self.processes.get_mut(&pid) else {
            return Err(Errno::EAGAIN.into());
        };
        if flags & clone::CHILD_CLEARTID != 0 {
            child.clear_tid = child_tid;
        }
        if flags & clone::CHILD_SETTID != 0 {
            let _ = child.memory().borrow_mut().poke(child_tid, &pid.to_le_bytes());
        }
        Ok(pid)
    }

    /// Makes a child that shares our memory, and sleeps until it has its own.
    fn wait_for_vfork(&mut self, frame: &TrapFrame, stack: u32) -> SysResult {
        let Some(child) = self.process().call.child else {
            let pid = self.fork(frame, ForkOptions { vfork: true, stack })?;
            self.process().call.child = Some(pid);
            return Err(Stop::Wait(WaitFor::VFORK));
        };
        let shares = self.processes.get(&child).is_some_and(|child| child.is_vfork);
        if shares {
            Err(Stop::Wait(WaitFor::VFORK))
        } else {
            Ok(child)
        }
    }

    pub(super) fn sys_execve(&mut self, frame: &mut TrapFrame, [path, argv, envp, ..]: Args) -> SysResult {
        let path = self.path_in(path)?;
        let mut budget = MAX_ARGUMENT_BYTES;
        let arguments = self.strings(argv, &mut budget)?;
        let environment = self.strings(envp, &mut budget)?;
        self.exec(
            &path,
            Arguments {
                arguments,
                environment,
            },
            frame,
        )?;
        Err(Stop::NoResult)
    }

    /// A list of strings, ended by a null pointer.
    fn strings(&mut self, at: u32, budget: &mut usize) -> Result<Vec<Vec<u8>>, Errno> {
        let mut list = Vec::new();
        if at == 0 {
            return Ok(list);
        }
        let memory = self.process().memory();
        let mut memory = memory.borrow_mut();
        for index in 0.. {
            let pointer = memory.word(at.checked_add(index * 4).ok_or(Errno::EFAULT)?)?;
            if pointer == 0 {
                break;
            }
            if list.len() >= MAX_ARGUMENTS {
                return Err(Errno::E2BIG);
            }
            let string = memory.string(pointer, *budget, Errno::E2BIG)?;
            *budget = budget.saturating_sub(string.len() + 5);
            list.push(string);
        }
        Ok(list)
    }

    pub(super) fn sys_exit(&mut self, status: u32) -> SysResult {
        self.end_process((status & 0xFF) << 8);
        Err(Stop::NoResult)
    }

    pub(super) fn process_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, d, ..] = args;
        match number {
            7 => self.sys_wait4(a, b, c, 0),
            114 => self.sys_wait4(a, b, c, d),
            20 | 224 => Ok(self.current),
            64 => Ok(self.process().parent),
            57 => self.sys_setpgid(a, b),
            65 => Ok(self.process().group),
            132 => Ok(self.named(a)?.group),
            147 => Ok(self.named(a)?.session),
            66 => self.sys_setsid(),
            172 => self.sys_prctl(a, b),
            191 => {
                let (now, most) = limit(a)?;
                self.copy_out(b, &Packed::<8>::new().u32(now).u32(most).finish())?;
                Ok(0)
            }
            340 => self.sys_prlimit(a, b, c, d),
            243 => self.sys_set_thread_area(a),
            244 => self.sys_get_thread_area(a),
            258 => {
                self.process().clear_tid = a;
                Ok(self.current)
            }
            _ => Err(Errno::ENOSYS.into()),
        }
    }

    fn sys_wait4(&mut self, which: u32, status_at: u32, options: u32, usage_at: u32) -> SysResult {
        if options & !wait::KNOWN != 0 {
            return Err(Errno::EINVAL.into());
        }
        let parent = self.process_ref();
        let children = || {
            self.processes
                .values()
                .filter(|child| Self::is_waited_for(child, parent, which as i32))
        };
        let ended = children().find_map(|child| match child.state {
            State::Zombie(status) => Some((child.pid, status)),
            _ => None,
        });
        let Some((pid, status)) = ended else {
            return match children().next() {
                None => Err(Errno::ECHILD.into()),
                Some(_) if options & wait::NOHANG != 0 => Ok(0),
                Some(_) => Err(Stop::Wait(WaitFor::CHILD)),
            };
        };
        self.copy_out_if(status_at, &status.to_le_bytes())?;
        self.copy_out_if(usage_at, &[0; 72])?;
        self.reap(pid);
        Ok(pid)
    }

    /// The process `pid`, 0 being the caller.
    fn named(&self, pid: u32) -> Result<&crate::process::Process, Errno> {
        let pid = if pid == 0 { self.current } else { pid };
        self.processes
            .get(&pid)
            .map(|process| &**process)
            .ok_or(Errno::ESRCH)
    }

    fn sys_setpgid(&mut self, pid: u32, group: u32) -> SysResult {
        let target = self.named(pid)?;
        let caller = self.process_ref();
        if target.pid != caller.pid && target.parent != caller.pid {
            return Err(Errno::ESRCH.into());
        }
        let (pid, session) = (target.pid, target.session);
        let group = if group == 0 { pid } else { group };
        let joins = self
            .processes
            .values()
            .any(|other| other.group == group && other.session == session);
        if session == pid || session != caller.session || (group != pid && !joins) {
            return Err(Errno::EPERM.into());
        }
        if group > i32::MAX as u32 {
            return Err(Errno::EINVAL.into());
        }
        if let Some(target) = self.processes.get_mut(&pid) {
            target.group = group;
        }
        Ok(0)
    }

    fn sys_setsid(&mut self) -> SysResult {
        let pid = self.current;
        if self.processes.values().any(|process| process.group == pid) {
            return Err(Errno::EPERM.into());
        }
        let process = self.process();
        (process.session, process.group) = (pid, pid);
        Ok(pid)
    }

    fn sys_prctl(&mut self, what: u32, at: u32) -> SysResult {
        const SET_NAME: u32 = 15;
        const GET_NAME: u32 = 16;
        match what {
            SET_NAME => {
                let memory = self.process().memory();
                let mut name = [0; 16];
                // The name may end before its 16 bytes do, and so may the program's memory.
                let string = memory.borrow_mut().string(at, 16, Errno::EINVAL);
                match string {
                    Ok(string) => self.process().set_name(&string),
                    Err(Errno::EINVAL) => {
                        memory.borrow_mut().copy_in(at, &mut name)?;
                        self.process().set_name(&name);
                    }
                    Err(errno) => return Err(errno.into()),
                }
            }
            GET_NAME => {
                let name = self.process().name;
                self.copy_out(at, &name)?;
            }
            _ => return Err(Errno::EINVAL.into()),
        }
        Ok(0)
    }

    fn sys_prlimit(&mut self, pid: u32, what: u32, new: u32, old: u32) -> SysResult {
        self.named(pid)?;
        let (now, most) = limit(what)?;
        if new != 0 {
            return Err(Errno::EPERM.into());
        }
        let wide = |limit| {
            if limit == INFINITY {
                u64::MAX
            } else {
                u64::from(limit)
            }
        };
        self.copy_out_if(old, &Packed::<16>::new().u64(wide(now)).u64(wide(most)).finish())?;
        Ok(0)
    }

    fn sys_set_thread_area(&mut self, at: u32) -> SysResult {
        let (wanted, entry) = tls::parse(&self.copy_in::<USER_DESC>(at)?)?;
        let free = || self.process_ref().tls.iter().position(Option::is_none);
        let index = wanted.or_else(free).ok_or(Errno::ESRCH)?;
        // The number first: a bad address must change nothing.
        self.copy_out(at, &(u32::from(tls::FIRST_ENTRY) + index as u32).to_le_bytes())?;
        self.set_tls(index, entry)?;
        Ok(0)
    }

    fn sys_get_thread_area(&mut self, at: u32) -> SysResult {
        let number = self.process().memory().borrow_mut().word(at)?;
        let index = number
            .checked_sub(tls::FIRST_ENTRY.into())
            .map(|index| index as usize);
        let index = index.filter(|index| *index < tls::ENTRIES).ok_or(Errno::EINVAL)?;
        let desc = tls::pack(index, self.process().tls[index].as_ref());
        self.copy_out(at, &desc)?;
        Ok(0)
    }
}

/// A resource's present and highest limit.
fn limit(what: u32) -> Result<(u32, u32), Errno> {
    const STACK: u32 = 3;
    const NOFILE: u32 = 7;
    const LAST: u32 = 15;
    match what {
        STACK => Ok((STACK_BYTES, INFINITY)),
        NOFILE => Ok((MAX_FILES as u32, MAX_FILES as u32)),
        0..=LAST => Ok((INFINITY, INFINITY)),
        _ => Err(Errno::EINVAL),
    }
}
