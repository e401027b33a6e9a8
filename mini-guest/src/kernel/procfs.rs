//! What `/proc` shows.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use guest_abi::addr::PAGE_SIZE;

use super::Kernel;
use crate::fs::Node;
use crate::fs::proc::{NetFile, ProcSource, ProcessFile, SystemFile, XenFile};
use crate::linux::time::{NS_PER_SEC, ticks};
use crate::process::{Process, State, page_cache};
use crate::{mm, time};

/// The kernel's release, as uname tells it.
pub const RELEASE: &str = "5.10.0-xenlite";
/// The kernel's version, as uname tells it.
pub const VERSION: &str = "#1 mini-guest";

/// Memory in bytes: all, free, cached.
pub(crate) fn memory() -> (u64, u64, u64) {
    let (free, total) = mm::frame_counts();
    let bytes = |frames: u32| u64::from(frames) * PAGE_SIZE as u64;
    (bytes(total), bytes(free), bytes(page_cache::len() as u32))
}

impl Kernel {
    /// Nanoseconds since this kernel started.
    pub(crate) fn uptime_ns(&self) -> u64 {
        time::now_ns().saturating_sub(self.boot_ns)
    }

    /// How many processes are ready or running.
    fn running(&self) -> usize {
        self.processes
            .values()
            .filter(|process| process.state == State::Ready)
            .count()
    }

    fn meminfo(&self) -> String {
        let (total, free, cached) = memory();
        let heap = mm::heap::usage();
        let mut text = String::new();
        for (name, bytes) in [
            ("MemTotal", total),
            ("MemFree", free),
            ("MemAvailable", free + cached),
            ("Buffers", 0),
            ("Cached", cached),
            ("SwapCached", 0),
            ("SwapTotal", 0),
            ("SwapFree", 0),
            ("Shmem", 0),
            ("Slab", heap.1 as u64),
            ("SReclaimable", 0),
        ] {
            let label = format!("{name}:");
            let _ = writeln!(text, "{label:<16}{:>8} kB", bytes / 1024);
        }
        text
    }

    fn mounts_text(&self) -> String {
        let mut text = String::from("rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n");
        for (at, mount) in &self.mounts {
            let path = self.fs.path_of(&Node::Inode(at.clone())).unwrap_or_default();
            let how = if mount.is_read_only() { "ro" } else { "rw" };
            let _ = writeln!(text, "{} {} vfat {how} 0 0", mount.source(), path.escape_ascii());
        }
        text
    }

    fn partitions(&self) -> String {
        let mut text = String::from("major minor  #blocks  name\n\n");
        for (number, name, volume) in self.devices.disks.iter() {
            let _ = writeln!(text, "{:>4} {number:>7} {:>10} {name}", 259, volume.sectors / 2);
        }
        text
    }

    fn stat(&self) -> String {
        let up = ticks(self.uptime_ns());
        let idle = ticks(self.idle_ns);
        let busy = up.saturating_sub(idle);
        let (boot, _) = time::wall_clock();
        let boot = boot.saturating_sub(self.uptime_ns() / NS_PER_SEC);
        format!(
            "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 {busy} 0 0 {idle} 0 0 0 0 0 0\nctxt {}\nbtime {boot}\n\
             processes {}\nprocs_running {}\nprocs_blocked 0\n",
            self.switches,
            self.last_pid,
            self.running()
        )
    }

    fn process_stat(&self, process: &Process) -> String {
        let (virtual_size, resident) = sizes(process);
        let start = ticks(process.start_ns.saturating_sub(self.boot_ns));
        format!(
            "{} ({}) {} {} {} {} {} {} 0 {} 0 0 0 {} 0 {} 0 20 0 1 0 {start} {virtual_size} {} 4294967295 \
             0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
            process.pid,
            process.short_name().escape_ascii(),
            state_letter(process),
            process.parent,
            process.group,
            process.session,
            if self.tty.session == process.session {
                5 << 8 | 1
            } else {
                0
            },
            if self.tty.session == process.session {
                self.tty.foreground as i32
            } else {
                -1
            },
            process.faults,
            ticks(process.cpu_ns),
            ticks(process.children_ns),
            resident / PAGE_SIZE as u64,
        )
    }

    fn process_status(&self, process: &Process) -> String {
        let (virtual_size, resident) = sizes(process);
        format!(
            "Name:\t{}\nState:\t{}\nTgid:\t{}\nPid:\t{}\nPPid:\t{}\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n\
             VmSize:\t{:>8} kB\nVmRSS:\t{:>8} kB\nThreads:\t1\n",
            process.short_name().escape_ascii(),
            state_letter(process),
            process.pid,
            process.pid,
            process.parent,
            virtual_size / 1024,
            resident / 1024
        )
    }
}

fn state_letter(process: &Process) -> char {
    match process.state {
        State::Ready => 'R',
        State::Waiting(_) => 'S',
        State::Zombie(_) => 'Z',
    }
}

/// Bytes of address space and bytes of memory.
fn sizes(process: &Process) -> (u64, u64) {
    process
        .space
        .as_ref()
        .map_or((0, 0), |space| space.borrow().sizes())
}

fn hundredths(ns: u64) -> String {
    format!("{}.{:02}", ns / NS_PER_SEC, ns % NS_PER_SEC / 10_000_000)
}

impl ProcSource for Kernel {
    fn pids(&self) -> Vec<u32> {
        self.processes.keys().copied().collect()
    }

    fn current(&self) -> u32 {
        self.current
    }

    fn system(&self, file: SystemFile) -> Vec<u8> {
        let text = match file {
            SystemFile::Cmdline => return [&self.command_line[..], b"\n"].concat(),
            SystemFile::Cpuinfo => format!(
                "processor\t: 0\ncpu MHz\t\t: {}\n",
                crate::shared::time_record().cpu_freq / 1_000_000
            ),
            SystemFile::Loadavg => {
                let running = self.running();
                format!(
                    "0.00 0.00 0.00 {running}/{} {}\n",
                    self.processes.len(),
                    self.last_pid
                )
            }
            SystemFile::Interrupts => self.devices.interrupts_text(),
            SystemFile::Meminfo => self.meminfo(),
            SystemFile::Mounts => self.mounts_text(),
            SystemFile::Partitions => self.partitions(),
            SystemFile::Pci => self.devices.pci_text(),
            SystemFile::Stat => self.stat(),
            SystemFile::Uptime => {
                format!("{} {}\n", hundredths(self.uptime_ns()), hundredths(self.idle_ns))
            }
            SystemFile::Version => format!("Linux version {RELEASE} (mini-guest) {VERSION}\n"),
        };
        text.into_bytes()
    }

    fn xen(&self, file: XenFile) -> Vec<u8> {
        match file {
            XenFile::Balloon => mm::exchange::balloon().text().into_bytes(),
        }
    }

    fn net(&self, file: NetFile) -> Vec<u8> {
        match file {
            NetFile::Dev => self.devices.interfaces.text().into_bytes(),
        }
    }

    fn process(&self, pid: u32, file: ProcessFile) -> Option<Vec<u8>> {
        let process = self.processes.get(&pid)?;
        Some(match file {
            ProcessFile::Cmdline => process.command_line.clone(),
            ProcessFile::Comm => [process.short_name(), b"\n"].concat(),
            ProcessFile::Exe => process.program.clone(),
            ProcessFile::Stat => self.process_stat(process).into_bytes(),
            ProcessFile::Statm => {
                let (size, resident) = sizes(process);
                let page = PAGE_SIZE as u64;
                format!("{} {} 0 0 0 0 0\n", size / page, resident / page).into_bytes()
            }
            ProcessFile::Status => self.process_status(process).into_bytes(),
        })
    }
}
