//! The kernel proper: one value that everything belongs to, and the way of every entry through it.
//!
//! ```text
//! ring 3 → entry.S → Kernel::enter: what was it? → system call, fault, FPU, event
//!                  → Kernel::resume: events, signals, who runs next → exit path of entry.S
//! ```
//!
//! A system call never blocks the kernel: one that cannot be finished says what it waits for, its process sleeps, and
//! when it wakes the call is begun anew with the same registers ([`Stop::Wait`]). So there is one kernel stack, and
//! a process that sleeps is nothing but its registers.
//!
//! | module | one line |
//! |---|---|
//! | `schedule` | sleeping, waking, switching, idling |
//! | `fault` | exceptions of programs |
//! | `signal` | sending and delivering signals |
//! | `exec`, `life` | starting programs, making and ending processes |
//! | `descriptors` | the GDT with the programs' thread-local storage |
//! | `procfs` | what `/proc` shows |
//! | `terminal` | the terminal's two ends |
//! | `consoles` | those of other domains |
//! | `net` | the TCP/IP stack: its interface, and when it is polled |
//! | `disks` | the disks' events, and writing what is left |
//! | `serial` | serial lines that this domain was given, and power-off |
//! | `store`, `backends`, `exports` | the store's connections, and the disks that Domain0 serves others |
//! | `store_ring`, `fronts` | the other domains' way to the store, and to the devices that they are served |
//! | `blkfront`, `front_disks` | the disks among these |
//! | `switch`, `netback` | Domain0's bridge, and the interfaces that it serves others |
//! | `kills` | kills of backends that were asked for |
//! | `netfront` | the network interfaces among them |
//! | `own_page` | pages of ours that the backends have |
//! | [`crate::syscall`] | the system calls |

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use guest_abi::event_channel::Virq;
use guest_abi::trap::{SYSCALL_VECTOR, Vector};

use crate::block::cache::{Cache, Ticket};
use crate::cell::OneCpu;
use crate::drivers::found::Devices;
use crate::evtchn::EventPorts;
use crate::fat::Mount;
use crate::fs::{Fs, Inode};
use crate::linux::Errno;
use crate::process::{Process, WaitFor};
use crate::random::Random;
use crate::sched::RunQueue;
use crate::syscall::load::Measured;
use crate::syscall::net_load::NetLoad;
use crate::traps::{Cause, TrapFrame};
use crate::tty::Tty;
use crate::tty::screen_line::ScreenLine;
use crate::{console, events, time, traps};

mod backends;
mod blkfront;
mod consoles;
mod descriptors;
mod disks;
mod exec;
mod exports;
mod fault;
mod front_disks;
mod fronts;
mod kills;
mod life;
pub mod net;
mod netback;
mod netfront;
mod own_page;
mod procfs;
mod requests;
mod schedule;
mod serial;
mod signal;
mod store;
pub mod store_ring;
mod switch;
mod terminal;

pub use descriptors::Gdt;
pub use life::ForkOptions;
pub(crate) use procfs::{RELEASE, VERSION, memory};
pub(crate) use serial::SerialLine;

/// Most processes at a time.
pub const MAX_PROCESSES: usize = 512;

/// Why a system call has no result yet, or never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It failed.
    Errno(Errno),
    /// It cannot be finished now: the process sleeps until one of these happens, or until the call's deadline.
    Wait(WaitFor),
    /// There is nobody to give a result to: the process has ended, or its registers were replaced.
    NoResult,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// What a system call answers.
pub type SysResult = Result<u32, Stop>;

/// Everything that the kernel keeps.
pub struct Kernel {
    /// All processes, zombies too.
    pub processes: BTreeMap<u32, Box<Process>>,
    /// The process that runs, or that ran last.
    pub current: u32,
    /// Who runs next.
    pub queue: RunQueue,
    /// The files.
    pub fs: Fs,
    /// The terminal.
    pub tty: Tty,
    /// What stands unfinished on the terminal's last line.
    screen_line: ScreenLine,
    /// The consoles of other domains.
    pub(crate) backend: consoles::Backend,
    /// The store, in Domain0.
    pub(crate) store: store::Service,
    /// The TCP/IP stack.
    pub net: net::Network,
    /// Devices and disks.
    pub devices: Devices,
    /// Mounted volumes, and the directories that they are mounted at.
    pub(crate) mounts: Vec<(Rc<Inode>, Rc<Mount>)>,
    /// Files of these that are to be other domains' disks.
    pub(crate) files_as_disks: exports::Files,
    /// What processes wait for that want their writes on the medium.
    pub(crate) syncs: BTreeMap<u32, Vec<(Rc<Cache>, Ticket)>>,
    /// Loads that processes wait for.
    pub(crate) loads: BTreeMap<u32, Measured>,
    /// Those on network interfaces.
    pub(crate) net_loads: BTreeMap<u32, NetLoad>,
    /// The devices that other domains serve this one.
    pub(crate) fronts: Option<fronts::Fronts>,
    /// The open files of `/dev/xen/evtchn`.
    pub(crate) event_files: Vec<Rc<EventPorts>>,
    /// Unpredictable numbers.
    pub random: Random,
    /// The kernel's command line.
    pub command_line: Vec<u8>,
    gdt: Gdt,
    fpu_owner: Option<u32>,
    last_pid: u32,
    timer_port: u32,
    console_port: Option<u32>,
    /// Tells that a domain has ended, in the domain that is told.
    ends_port: Option<u32>,
    /// What the timer is set to, and whether that may be wrong by now.
    armed: (Option<u64>, bool),
    /// The running process's slice is over and somebody waits.
    must_yield: bool,
    /// How programs come to their right beside the service for other domains.
    programs: schedule::ProgramsTurn,
    switched_at: u64,
    boot_ns: u64,
    idle_ns: u64,
    switches: u64,
}

static KERNEL: OneCpu<RefCell<Option<Box<Kernel>>>> = OneCpu::new(RefCell::new(None));

impl Kernel {
    /// A kernel without processes; the events that it needs are bound.
    ///
    /// # Errors
    /// What the hypervisor refused.
    pub fn new(fs: Fs, command_line: &[u8]) -> Result<Self, guest_abi::errno::Errno> {
        let now = time::now_ns();
        let mut queue = RunQueue::default();
        queue.reserve(MAX_PROCESSES);
        Ok(Self {
            processes: BTreeMap::new(),
            current: 0,
            queue,
            fs,
            tty: Tty::default(),
            screen_line: ScreenLine::default(),
            backend: consoles::Backend::default(),
            store: store::Service::default(),
            net: net::Network::new(command_line, time::tsc() ^ now.rotate_left(32)),
            devices: Devices::default(),
            mounts: Vec::new(),
            files_as_disks: exports::Files::default(),
            syncs: BTreeMap::new(),
            loads: BTreeMap::new(),
            net_loads: BTreeMap::new(),
            fronts: None,
            event_files: Vec::new(),
            random: Random::new(time::tsc() ^ now),
            command_line: command_line.into(),
            gdt: Gdt::install()?,
            fpu_owner: None,
            last_pid: 0,
            timer_port: events::bind_virq(Virq::TIMER)?,
            console_port: console_port(),
            ends_port: events::bind_virq(Virq::DOM_EXC).ok(),
            armed: (None, true),
            must_yield: false,
            programs: schedule::ProgramsTurn::default(),
            switched_at: now,
            boot_ns: now,
            idle_ns: 0,
            switches: 0,
        })
    }

    /// Starts the first program and never comes back.
    ///
    /// # Errors
    /// No program could be started; what was tried, and why not.
    pub fn run(mut self, candidates: &[&[u8]]) -> Vec<(Vec<u8>, Errno)> {
        let mut failures = Vec::new();
        for path in candidates {
            let mut frame = TrapFrame::default();
            match self.start_init(path, &mut frame) {
                Ok(()) => {
                    *KERNEL.borrow_mut() = Some(Box::new(self));
                    traps::set_user_handler(enter);
                    // The kernel itself saves FPU registers, which may trap first; the trap is over when this runs.
                    traps::set_kernel_handler(Vector::DEVICE_NOT_AVAILABLE, Some(|_| ()));
                    traps::enter_user(&frame)
                }
                Err(errno) => failures.push((path.to_vec(), errno)),
            }
        }
        failures
    }

    /// The process that runs.
    ///
    /// # Panics
    /// Where there is none: not while a program's entry is dealt with.
    pub fn process(&mut self) -> &mut Process {
        let current = self.current;
        self.processes
            .get_mut(&current)
            .expect("the running process exists")
    }

    /// The same, to look at.
    ///
    /// # Panics
    /// As for [`Kernel::process`].
    #[must_use]
    pub fn process_ref(&self) -> &Process {
        self.processes
            .get(&self.current)
            .expect("the running process exists")
    }

    fn enter(&mut self, frame: &mut TrapFrame, cause: Cause) {
        match cause {
            Cause::Vector(SYSCALL_VECTOR) => self.begin_call(frame),
            Cause::Vector(vector) => self.exception(frame, Vector::new(vector)),
            // Events are looked for in any case; selectors that could not be loaded are tried again on the way back.
            Cause::Event | Cause::Failsafe => {}
        }
        self.resume(frame);
    }
}

/// The port at which typing is announced, not masked: of the ring, or of the machine's console.
fn console_port() -> Option<u32> {
    match console::ring::get() {
        Some(ring) => {
            events::unmask_port(ring.port);
            Some(ring.port)
        }
        None => events::bind_virq(Virq::CONSOLE).ok(),
    }
}

/// Handles every entry from ring 3.
fn enter(frame: &mut TrapFrame, cause: Cause) {
    let mut kernel = KERNEL.borrow_mut();
    kernel
        .as_mut()
        .expect("programs run only once there is a kernel")
        .enter(frame, cause);
}
