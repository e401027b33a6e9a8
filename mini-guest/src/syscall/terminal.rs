//! The terminal's settings, and waiting for several files.

use alloc::vec;

use super::load::LOAD;
use crate::fs::What;
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::file::{BLKFLSBUF, OpenFlags, poll};
use crate::linux::process::MAX_FILES;
use crate::linux::socket::request::FIONBIO;
use crate::linux::terminal::{Termios, request};
use crate::linux::{Errno, word};
use crate::process::WaitFor;
use crate::time;

impl Kernel {
    /// Whether the running process's session has the terminal.
    pub(super) fn has_terminal(&self) -> bool {
        self.tty.session != 0 && self.tty.session == self.process_ref().session
    }

    /// Refuses input to a background group. (On Linux it would be stopped.)
    pub(super) fn check_foreground(&self) -> Result<(), Errno> {
        let is_background = self.has_terminal() && self.tty.foreground != self.process_ref().group;
        let has_reader = self
            .processes
            .values()
            .any(|other| other.group == self.tty.foreground && !other.is_zombie());
        if is_background && has_reader {
            Err(Errno::EIO)
        } else {
            Ok(())
        }
    }

    pub(super) fn sys_ioctl(&mut self, fd: u32, number: u32, arg: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        if number == FIONBIO {
            let waits_not = u32::from_le_bytes(self.copy_in(arg)?) != 0;
            let mut flags = file.flags.get();
            flags.set(OpenFlags::NONBLOCK, waits_not);
            file.flags.set(flags);
            return Ok(0);
        }
        match &file.what {
            What::Socket(socket) => self.socket_request(socket.id(), number, arg),
            What::Console(_) => self.terminal_request(number, arg),
            What::Pipe(pipe) if number == request::FIONREAD => {
                let waiting = pipe.len() as u32;
                self.copy_out(arg, &waiting.to_le_bytes())?;
                Ok(0)
            }
            What::Privcmd(_) => self.privcmd_request(number, arg),
            What::Evtchn(_, ports) => self.evtchn_request(ports, number, arg),
            What::Volume(_, volume) if number == BLKFLSBUF => self.flush_buffers(volume),
            What::Volume(_, volume) if number == LOAD => self.load_request(volume, file.flags.get(), arg),
            What::Consoles(_) => self.consoles_request(number, arg),
            What::DomainConsole(_, _, opening) => self.console_request(opening, number),
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn terminal_request(&mut self, number: u32, arg: u32) -> SysResult {
        match number {
            request::TCGETS => {
                let settings = self.tty.termios().packed();
                self.copy_out(arg, &settings)?;
            }
            request::TCSETS | request::TCSETSW | request::TCSETSF => {
                let settings = Termios::from_packed(&self.copy_in(arg)?);
                if number == request::TCSETSF {
                    self.tty.flush_input();
                }
                self.tty.set_termios(settings);
                // What waits may be readable now that was not before.
                self.wake(WaitFor::TTY);
            }
            request::TCFLSH => match arg {
                0 | 2 => self.tty.flush_input(),
                1 => {}
                _ => return Err(Errno::EINVAL.into()),
            },
            request::TIOCGWINSZ => {
                let size: vec::Vec<u8> = self
                    .tty
                    .window
                    .iter()
                    .flat_map(|word| word.to_le_bytes())
                    .collect();
                self.copy_out(arg, &size)?;
            }
            request::TIOCSWINSZ => {
                let size = self.copy_in::<8>(arg)?;
                for (word, bytes) in self.tty.window.iter_mut().zip(size.chunks_exact(2)) {
                    *word = u16::from_le_bytes([bytes[0], bytes[1]]);
                }
            }
            request::FIONREAD => {
                let waiting = self.tty.available().unwrap_or(0) as u32;
                self.show_echo();
                self.copy_out(arg, &waiting.to_le_bytes())?;
            }
            request::TIOCSCTTY => self.take_terminal()?,
            other => return self.session_request(other, arg),
        }
        Ok(0)
    }

    fn session_request(&mut self, number: u32, arg: u32) -> SysResult {
        if !self.has_terminal() {
            return Err(Errno::ENOTTY.into());
        }
        match number {
            request::TIOCNOTTY => {
                if self.process().session == self.current {
                    (self.tty.session, self.tty.foreground) = (0, 0);
                }
            }
            request::TIOCGPGRP => {
                let group = self.tty.foreground;
                self.copy_out(arg, &group.to_le_bytes())?;
            }
            request::TIOCGSID => {
                let session = self.tty.session;
                self.copy_out(arg, &session.to_le_bytes())?;
            }
            request::TIOCSPGRP => {
                let group = u32::from_le_bytes(self.copy_in(arg)?);
                let session = self.tty.session;
                let exists = self
                    .processes
                    .values()
                    .any(|other| other.group == group && other.session == session);
                if !exists {
                    return Err(Errno::EPERM.into());
                }
                self.tty.foreground = group;
                self.wake(WaitFor::TTY);
            }
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }

    /// Makes the terminal the session's own, whoever had it: everybody is user 0.
    fn take_terminal(&mut self) -> Result<(), Errno> {
        let process = self.process_ref();
        if process.session != process.pid {
            return Err(Errno::EPERM);
        }
        let (session, group) = (process.session, process.group);
        if self.tty.session != session {
            (self.tty.session, self.tty.foreground) = (session, group);
        }
        Ok(())
    }

    pub(super) fn sys_poll(&mut self, list: u32, count: u32, timeout_ms: u32) -> SysResult {
        if count as usize > MAX_FILES {
            return Err(Errno::EINVAL.into());
        }
        let mut entries = vec![0; count as usize * 8];
        self.process().memory().borrow_mut().copy_in(list, &mut entries)?;
        let mut ready = 0;
        for entry in entries.chunks_exact_mut(8) {
            let (fd, events) = (word(entry, 0), word(entry, 4) as u16);
            let found = if (fd as i32) < 0 {
                0
            } else {
                self.poll_file(fd, events)
            };
            entry[6..8].copy_from_slice(&found.to_le_bytes());
            ready += u32::from(found != 0);
        }
        self.show_echo();
        let is_over = match timeout_ms as i32 {
            0 => true,
            ms if ms > 0 => self.call_deadline(u64::from(timeout_ms) * 1_000_000) <= time::now_ns(),
            _ => false,
        };
        if ready == 0 && !is_over {
            return Err(Stop::Wait(
                WaitFor::TTY
                    | WaitFor::PIPE
                    | WaitFor::OUTPUT
                    | WaitFor::CONSOLE
                    | WaitFor::EVENT
                    | WaitFor::STORE
                    | WaitFor::SERIAL
                    | WaitFor::NETWORK,
            ));
        }
        self.copy_out(list, &entries)?;
        Ok(ready)
    }

    /// What is true of a file, of what was asked and of what is always told.
    fn poll_file(&mut self, fd: u32, events: u16) -> u16 {
        let Ok(file) = self.process().files.get(fd) else {
            return poll::NVAL;
        };
        let state = match &file.what {
            What::Console(_) => {
                (if crate::console::room() > 1 { poll::OUT } else { 0 })
                    | if self.tty.available().is_some() {
                        poll::IN
                    } else {
                        0
                    }
            }
            What::Pipe(pipe) => pipe.poll(),
            What::Socket(socket) => self.net.stack.borrow_mut().readiness(socket.id()),
            What::Evtchn(_, ports) => poll::OUT | if ports.is_ready() { poll::IN } else { 0 },
            What::DomainConsole(_, domain, opening) => {
                let (can_read, can_write) = self.domain_is_ready(*domain, opening);
                (if can_read { poll::IN } else { 0 }) | if can_write { poll::OUT } else { 0 }
            }
            What::Serial(_, number) => {
                let line = self.serial_line(*number);
                let (can_read, can_write) = line.map_or((false, false), |line| line.is_ready());
                (if can_read { poll::IN } else { 0 }) | if can_write { poll::OUT } else { 0 }
            }
            What::Xenbus(_, connection) => {
                let (can_read, can_write) = self.store_is_ready(**connection);
                (if can_read { poll::IN } else { 0 }) | if can_write { poll::OUT } else { 0 }
            }
            _ => poll::IN | poll::OUT,
        };
        state & (events | poll::ERR | poll::HUP)
    }
}
