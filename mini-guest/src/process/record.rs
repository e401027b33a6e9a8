//! A process: everything that the kernel knows about one running program.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::fpu::FpuState;
use super::signals::Signals;
use super::space::AddressSpace;
use super::tls::TlsEntries;
use crate::fs::{FileTable, Node};
use crate::traps::TrapFrame;

/// An address space, which a child made by vfork shares until it starts a program of its own.
pub type SharedSpace = Rc<RefCell<AddressSpace>>;

bitflags::bitflags! {
    /// What a sleeping process waits for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WaitFor: u32 {
        /// Something typed.
        const TTY = 1;
        /// Something done to a pipe.
        const PIPE = 2;
        /// A child that ended.
        const CHILD = 4;
        /// A child that shares our memory started a program or ended.
        const VFORK = 8;
        /// Room for what we print.
        const OUTPUT = 16;
        /// Something printed by another domain, or room for what is typed at it.
        const CONSOLE = 32;
        /// An event channel of a program.
        const EVENT = 64;
        /// Something that the store says, or room for what is said to it.
        const STORE = 128;
        /// A serial line.
        const SERIAL = 256;
        /// A disk.
        const DISK = 512;
        /// A socket.
        const NETWORK = 1024;
    }
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs or could.
    Ready,
    /// It sleeps in a system call, which is begun again when it wakes.
    Waiting(WaitFor),
    /// It has ended with this wait status, and its parent has not asked yet.
    Zombie(u32),
}

/// A system call that is not finished: begun anew each time its process wakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Whether there is one.
    pub is_active: bool,
    /// When it is to end in any case.
    pub deadline: Option<u64>,
    /// Bytes that are done.
    pub done: u32,
    /// A child that it waits for.
    pub child: Option<u32>,
    /// It waits for a disk, which answers soon: signals wait meanwhile.
    pub is_disk: bool,
}

/// An alarm clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    /// When it rings.
    pub at: Option<u64>,
    /// After how long it rings again; 0: never.
    pub interval: u64,
}

/// One process.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's number.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// What it does.
    pub state: State,
    /// Its registers, while it does not run.
    pub frame: TrapFrame,
    /// The system call that it sleeps in.
    pub call: Call,
    /// Its alarm clock.
    pub alarm: Alarm,
    /// Its memory; none of a zombie.
    pub space: Option<SharedSpace>,
    /// Whether the parent sleeps until this one has memory of its own.
    pub is_vfork: bool,
    /// Its open files.
    pub files: FileTable,
    /// Its working directory.
    pub directory: Node,
    /// Permissions that new files do not get.
    pub umask: u32,
    /// Its signals.
    pub signals: Signals,
    /// Its thread-local storage.
    pub tls: TlsEntries,
    /// Registers at the last #GP that changed the shape of a segment.
    pub last_flip: Option<TrapFrame>,
    /// Its floating-point registers, while nobody has them in the processor.
    pub fpu: FpuState,
    /// Where a 0 is stored when it ends.
    pub clear_tid: u32,
    /// Its short name.
    pub name: [u8; 16],
    /// Absolute path of its program.
    pub program: Vec<u8>,
    /// Its arguments, each with a NUL.
    pub command_line: Vec<u8>,
    /// When it began.
    pub start_ns: u64,
    /// How long it has run.
    pub cpu_ns: u64,
    /// How long its ended children have run.
    pub children_ns: u64,
    /// Faults that brought in a page.
    pub faults: u32,
}

impl Process {
    /// The first process, still without a program.
    #[must_use]
    pub fn first(directory: Node, now: u64) -> Box<Self> {
        Box::new(Self {
            pid: 1,
            parent: 0,
            group: 1,
            session: 1,
            state: State::Ready,
            frame: TrapFrame::default(),
            call: Call::default(),
            alarm: Alarm::default(),
            space: None,
            is_vfork: false,
            files: FileTable::default(),
            directory,
            umask: 0o022,
            signals: Signals::default(),
            tls: TlsEntries::default(),
            last_flip: None,
            fpu: FpuState::default(),
            clear_tid: 0,
            name: [0; 16],
            program: Vec::new(),
            command_line: Vec::new(),
            start_ns: now,
            cpu_ns: 0,
            children_ns: 0,
            faults: 0,
        })
    }

    /// A child with `pid`, alike in all that a fork inherits.
    #[must_use]
    pub fn child(
        &self,
        pid: u32,
        frame: TrapFrame,
        space: SharedSpace,
        fpu: FpuState,
        now: u64,
    ) -> Box<Self> {
        let mut signals = self.signals.clone();
        signals.pending = crate::linux::signal::SigSet::EMPTY;
        signals.suspended = None;
        Box::new(Self {
            pid,
            parent: self.pid,
            group: self.group,
            session: self.session,
            state: State::Ready,
            frame,
            call: Call::default(),
            alarm: Alarm::default(),
            space: Some(space),
            is_vfork: false,
            files: self.files.clone(),
            directory: self.directory.clone(),
            umask: self.umask,
            signals,
            tls: self.tls,
            last_flip: None,
            fpu,
            clear_tid: 0,
            name: self.name,
            program: self.program.clone(),
            command_line: self.command_line.clone(),
            start_ns: now,
            cpu_ns: 0,
            children_ns: 0,
            faults: 0,
        })
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, State::Zombie(_))
    }

    /// Its memory.
    ///
    /// # Panics
    /// Of a zombie, which runs no code that could ask.
    #[must_use]
    pub fn memory(&self) -> SharedSpace {
        self.space.clone().expect("a process that runs has memory")
    }

    /// Sets the short name, cut to 15 bytes.
    pub fn set_name(&mut self, name: &[u8]) {
        self.name = [0; 16];
        let len = name.len().min(15);
        self.name[..len].copy_from_slice(&name[..len]);
    }

    /// The short name without its NULs.
    #[must_use]
    pub fn short_name(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}
