//! Starting programs.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use guest_abi::segment::Selector;

use super::Kernel;
use crate::fs::tree::{Follow, Node};
use crate::fs::{Body, FileTable, Inode, OpenFile, What};
use crate::linux::Errno;
use crate::linux::file::{OpenFlags, mode};
use crate::process::areas::{Backing, Protection, Source};
use crate::process::elf::{HEAD, Image};
use crate::process::space::{AddressSpace, STACK_TOP};
use crate::process::stack::{self, Arguments};
use crate::process::{Process, WaitFor};
use crate::time;
use crate::traps::{TrapFrame, eflags};

/// Most interpreters one after the other.
const MAX_SCRIPTS: u32 = 4;
/// Bytes of a script's first line that are looked at.
const SCRIPT_LINE: usize = 256;

/// A program that can be started: nothing of the old one was touched for it.
struct Program {
    space: AddressSpace,
    frame: TrapFrame,
    path: Vec<u8>,
    name: Vec<u8>,
    command_line: Vec<u8>,
}

impl Kernel {
    /// Makes process 1 and gives it the program at `path`.
    pub(super) fn start_init(&mut self, path: &[u8], frame: &mut TrapFrame) -> Result<(), Errno> {
        let environment = [
            &b"HOME=/"[..],
            b"TERM=vt100",
            b"PATH=/bin:/sbin:/usr/bin:/usr/sbin",
        ];
        let mut arguments = self.init_arguments();
        arguments.insert(0, path.to_vec());
        let arguments = Arguments {
            arguments,
            environment: environment.iter().map(|string| string.to_vec()).collect(),
        };
        let mut process = Process::first(self.fs.root(), time::now_ns());
        self.open_console(&mut process.files)?;
        (self.current, self.last_pid) = (1, 1);
        (self.tty.session, self.tty.foreground) = (1, 1);
        self.processes.insert(1, process);
        let started = self.load_program(path, arguments);
        let result = started.map(|program| self.install(program, frame));
        if result.is_err() {
            self.processes.clear();
        }
        result
    }

    /// What the kernel's command line has after `--`: arguments for process 1.
    fn init_arguments(&self) -> Vec<Vec<u8>> {
        let words = self
            .command_line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        words
            .skip_while(|word| *word != b"--")
            .skip(1)
            .map(<[u8]>::to_vec)
            .collect()
    }

    fn open_console(&self, files: &mut FileTable) -> Result<(), Errno> {
        let node = self
            .fs
            .resolve(&self.fs.root(), b"/dev/console", Follow::Yes, self)?;
        let Node::Inode(inode) = node else {
            return Err(Errno::ENXIO);
        };
        let file = OpenFile::new(What::Console(inode), OpenFlags::RDWR);
        for fd in 0..3 {
            files.set(fd, file.clone(), false)?;
        }
        Ok(())
    }

    /// Replaces the running process's program; its registers are then the new one's.
    ///
    /// # Errors
    /// As `execve`; the old program is unharmed.
    pub(crate) fn exec(
        &mut self,
        path: &[u8],
        arguments: Arguments,
        frame: &mut TrapFrame,
    ) -> Result<(), Errno> {
        let program = self.load_program(path, arguments)?;
        self.install(program, frame);
        Ok(())
    }

    fn load_program(&mut self, path: &[u8], mut arguments: Arguments) -> Result<Program, Errno> {
        crate::fs::enough_memory()?;
        let mut path = path.to_vec();
        for _ in 0..MAX_SCRIPTS {
            let inode = self.executable(&path)?;
            let (head, len) = read_head(&inode)?;
            if let Some((interpreter, argument)) = script(&head) {
                let old = core::mem::take(&mut arguments.arguments);
                arguments.arguments.push(interpreter.clone());
                arguments.arguments.extend(argument);
                arguments.arguments.push(path);
                arguments.arguments.extend(old.into_iter().skip(1));
                path = interpreter;
                continue;
            }
            let image = Image::parse(&head, len)?;
            return self.map_program(&inode, &image, &path, &arguments);
        }
        Err(Errno::ENOEXEC)
    }

    /// The file at `path`, where it may be executed.
    fn executable(&self, path: &[u8]) -> Result<Rc<Inode>, Errno> {
        let process = self.process_ref();
        let node = self.fs.resolve(&process.directory, path, Follow::Yes, self)?;
        match node {
            Node::Inode(inode) if inode.mode.get() & mode::TYPE == mode::REGULAR && inode.is_executable() => {
                Ok(inode)
            }
            _ => Err(Errno::EACCES),
        }
    }

    fn map_program(
        &mut self,
        inode: &Rc<Inode>,
        image: &Image,
        path: &[u8],
        arguments: &Arguments,
    ) -> Result<Program, Errno> {
        let mut space = AddressSpace::new()?;
        for segment in &image.segments {
            let protection = Protection {
                readable: true,
                writable: segment.writable,
            };
            let backing = Backing {
                inode: inode.clone(),
                offset: segment.offset.into(),
                len: segment.file_len,
            };
            let source = if segment.file_len > 0 {
                Source::File(backing)
            } else {
                Source::Zeroes
            };
            space.map(
                Some(segment.start),
                0,
                segment.end - segment.start,
                protection,
                source,
            )?;
        }
        space.set_program(inode.clone());
        space.set_brk_start(image.brk);
        let mut random = [0; 16];
        self.random.stir(time::tsc());
        self.random.fill(&mut random);
        let absolute = self.absolute(path)?;
        let initial = stack::build(STACK_TOP, arguments, path, image, &random, cpu_features())?;
        space.poke(initial.esp, &initial.bytes)?;
        let mut frame = TrapFrame {
            esp: initial.esp,
            ss: Selector::FLAT_RING3_DS.raw().into(),
            ..TrapFrame::default()
        };
        frame.cs = Selector::FLAT_RING3_CS.raw().into();
        (frame.ds, frame.es) = (frame.ss, frame.ss);
        frame.eip = image.entry;
        frame.eflags = eflags::RESERVED | eflags::IF;
        Ok(Program {
            space,
            frame,
            path: absolute,
            name: path
                .rsplit(|byte| *byte == b'/')
                .next()
                .unwrap_or_default()
                .to_vec(),
            command_line: arguments.command_line(),
        })
    }

    /// The path of a program as `/proc` shows it: absolute, links followed up to the last name.
    fn absolute(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let process = self.process_ref();
        if let Ok(node) = self.fs.resolve(&process.directory, path, Follow::No, self)
            && let Some(target) = node.link(self).filter(|_| path.starts_with(b"/proc/"))
        {
            return Ok(target);
        }
        let place = self.fs.place(&process.directory, path, self)?;
        let mut absolute = self.fs.path_of(&Node::Inode(place.directory))?;
        if absolute != b"/" {
            absolute.push(b'/');
        }
        absolute.extend_from_slice(&place.name);
        Ok(absolute)
    }

    fn install(&mut self, program: Program, frame: &mut TrapFrame) {
        let current = self.current;
        let process = self.process();
        process.set_name(&program.name);
        process.program = program.path;
        process.command_line = program.command_line;
        process.files.exec();
        process.signals.exec();
        process.tls = Default::default();
        process.last_flip = None;
        process.clear_tid = 0;
        process.fpu = Default::default();
        let old = process.space.replace(Rc::new(RefCell::new(program.space)));
        let was_vfork = core::mem::take(&mut process.is_vfork);
        *frame = program.frame;
        self.drop_fpu(current);
        self.load_current();
        drop(old);
        self.files_closed();
        if was_vfork {
            self.wake(WaitFor::VFORK);
        }
    }
}

/// The first bytes of a regular file, and its length.
fn read_head(inode: &Inode) -> Result<(Box<[u8]>, u64), Errno> {
    let Body::File(file) = &inode.body else {
        return Err(Errno::EACCES);
    };
    let data = file.data.borrow();
    let mut head = alloc::vec![0; HEAD.min(data.len())].into_boxed_slice();
    data.read_at(0, &mut head);
    Ok((head, data.len() as u64))
}

/// The interpreter of a script, and the one argument that its first line may have.
fn script(head: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = head.strip_prefix(b"#!")?;
    let line = line
        .get(..SCRIPT_LINE)
        .unwrap_or(line)
        .split(|byte| *byte == b'\n')
        .next()?
        .trim_ascii();
    let (interpreter, argument) = match line.iter().position(u8::is_ascii_whitespace) {
        Some(at) => (&line[..at], Some(line[at..].trim_ascii().to_vec())),
        None => (line, None),
    };
    (!interpreter.is_empty()).then(|| (interpreter.to_vec(), argument))
}

/// CPUID 1 EDX, by which programs choose their instructions.
fn cpu_features() -> u32 {
    core::arch::x86::__cpuid(1).edx
}
