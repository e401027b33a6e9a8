//! What `/proc` holds. The kernel fills it in through [`ProcSource`].

use alloc::vec::Vec;

use crate::linux::file::{Stat, mode};

/// A place in `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcNode {
    /// `/proc` itself.
    Root,
    /// `/proc/self`, a link.
    SelfLink,
    /// A file of the whole machine.
    System(SystemFile),
    /// `/proc/xen`.
    Xen,
    /// A file about this domain, in `/proc/xen`.
    XenFile(XenFile),
    /// `/proc/net`.
    Net,
    /// A file about the network, in `/proc/net`.
    NetFile(NetFile),
    /// The directory of a process.
    Process(u32),
    /// A file about a process.
    ProcessFile(u32, ProcessFile),
}

macro_rules! files {
    ($(#[$meta:meta])* $Name:ident { $($VARIANT:ident = $text:literal, $doc:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $( #[doc = $doc] $VARIANT, )+ }

        impl $Name {
            /// All of them, with their names.
            pub const ALL: &'static [(Self, &'static [u8])] = &[ $( (Self::$VARIANT, $text) ),+ ];

            fn by_name(name: &[u8]) -> Option<Self> {
                Self::ALL.iter().find(|(_, text)| *text == name).map(|(file, _)| *file)
            }
        }
    };
}

files! {
    /// Files directly in `/proc`.
    SystemFile {
        Cmdline = b"cmdline", "The kernel's command line.";
        Cpuinfo = b"cpuinfo", "The processor.";
        Interrupts = b"interrupts", "Lines of devices, and how often they fired.";
        Loadavg = b"loadavg", "How busy it is.";
        Meminfo = b"meminfo", "Memory.";
        Mounts = b"mounts", "File systems.";
        Partitions = b"partitions", "Disks and their parts.";
        Pci = b"pci", "PCI devices.";
        Stat = b"stat", "Counters.";
        Uptime = b"uptime", "Seconds since the start.";
        Version = b"version", "The kernel.";
    }
}

files! {
    /// Files in `/proc/xen`.
    XenFile {
        Balloon = b"balloon", "How much memory the domain has and is to have; writing a size changes it.";
    }
}

files! {
    /// Files in `/proc/net`.
    NetFile {
        Dev = b"dev", "The interfaces, and what went through them.";
    }
}

files! {
    /// Files in a process's directory.
    ProcessFile {
        Cmdline = b"cmdline", "The arguments.";
        Comm = b"comm", "The short name.";
        Exe = b"exe", "A link to the program.";
        Stat = b"stat", "One line of numbers.";
        Statm = b"statm", "Pages of memory.";
        Status = b"status", "The same for people.";
    }
}

/// Who knows what the files hold.
pub trait ProcSource {
    /// The processes, in order.
    fn pids(&self) -> Vec<u32>;
    /// The process that asks.
    fn current(&self) -> u32;
    /// What a file holds.
    fn system(&self, file: SystemFile) -> Vec<u8>;
    /// What a file about the domain holds.
    fn xen(&self, file: XenFile) -> Vec<u8>;
    /// What a file about the network holds.
    fn net(&self, file: NetFile) -> Vec<u8>;
    /// What a file about a process holds, or `None` where the process is gone.
    fn process(&self, pid: u32, file: ProcessFile) -> Option<Vec<u8>>;
}

/// A `/proc` without processes.
#[derive(Clone, Copy, Debug)]
pub struct NoProcesses;

impl ProcSource for NoProcesses {
    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    fn current(&self) -> u32 {
        0
    }

    fn system(&self, _: SystemFile) -> Vec<u8> {
        Vec::new()
    }

    fn xen(&self, _: XenFile) -> Vec<u8> {
        Vec::new()
    }

    fn net(&self, _: NetFile) -> Vec<u8> {
        Vec::new()
    }

    fn process(&self, _: u32, _: ProcessFile) -> Option<Vec<u8>> {
        None
    }
}

/// First inode number here, beyond what the tree reaches; each process has 16. (C libraries refuse entries whose
/// number has more than 32 bits.)
const FIRST_INO: u64 = 1 << 31;

impl ProcNode {
    /// What `name` leads to from here.
    #[must_use]
    pub fn lookup(self, name: &[u8], source: &dyn ProcSource) -> Option<Self> {
        match self {
            Self::Root if name == b"self" => Some(Self::SelfLink),
            Self::Root if name == b"xen" => Some(Self::Xen),
            Self::Root if name == b"net" => Some(Self::Net),
            Self::Net => NetFile::by_name(name).map(Self::NetFile),
            Self::Xen => XenFile::by_name(name).map(Self::XenFile),
            Self::Root => SystemFile::by_name(name).map(Self::System).or_else(|| {
                let pid = parse_pid(name)?;
                source.pids().contains(&pid).then_some(Self::Process(pid))
            }),
            Self::Process(pid) => ProcessFile::by_name(name).map(|file| Self::ProcessFile(pid, file)),
            _ => None,
        }
    }

    /// Whether names can be looked up in it.
    #[must_use]
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Root | Self::Xen | Self::Net | Self::Process(_))
    }

    /// The target, of a link.
    #[must_use]
    pub fn link(self, source: &dyn ProcSource) -> Option<Vec<u8>> {
        match self {
            Self::SelfLink => Some(decimal(source.current())),
            Self::ProcessFile(pid, ProcessFile::Exe) => source.process(pid, ProcessFile::Exe),
            _ => None,
        }
    }

    /// The content, of a file.
    #[must_use]
    pub fn content(self, source: &dyn ProcSource) -> Option<Vec<u8>> {
        match self {
            Self::System(file) => Some(source.system(file)),
            Self::XenFile(file) => Some(source.xen(file)),
            Self::NetFile(file) => Some(source.net(file)),
            Self::ProcessFile(pid, file) if file != ProcessFile::Exe => source.process(pid, file),
            _ => None,
        }
    }

    /// The names in a directory, with what they lead to.
    #[must_use]
    pub fn entries(self, source: &dyn ProcSource) -> Vec<(Vec<u8>, Self)> {
        match self {
            Self::Root => {
                let files = SystemFile::ALL
                    .iter()
                    .map(|(file, name)| (name.to_vec(), Self::System(*file)));
                let processes = source
                    .pids()
                    .into_iter()
                    .map(|pid| (decimal(pid), Self::Process(pid)));
                let fixed = [
                    (b"self".to_vec(), Self::SelfLink),
                    (b"net".to_vec(), Self::Net),
                    (b"xen".to_vec(), Self::Xen),
                ];
                fixed.into_iter().chain(files).chain(processes).collect()
            }
            Self::Xen => {
                let files = XenFile::ALL.iter();
                files
                    .map(|(file, name)| (name.to_vec(), Self::XenFile(*file)))
                    .collect()
            }
            Self::Net => {
                let files = NetFile::ALL.iter();
                files
                    .map(|(file, name)| (name.to_vec(), Self::NetFile(*file)))
                    .collect()
            }
            Self::Process(pid) => {
                let files = ProcessFile::ALL.iter();
                files
                    .map(|(file, name)| (name.to_vec(), Self::ProcessFile(pid, *file)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// What stat tells.
    #[must_use]
    pub fn stat(self) -> Stat {
        let mode = match self {
            Self::Root | Self::Xen | Self::Net | Self::Process(_) => mode::DIRECTORY | 0o555,
            Self::XenFile(_) => mode::REGULAR | 0o644,
            Self::SelfLink | Self::ProcessFile(_, ProcessFile::Exe) => mode::SYMLINK | 0o777,
            _ => mode::REGULAR | 0o444,
        };
        let nlink = if self.is_directory() { 2 } else { 1 };
        Stat {
            dev: (0, 3),
            ino: self.ino(),
            mode,
            nlink,
            ..Stat::default()
        }
    }

    fn ino(self) -> u64 {
        FIRST_INO
            + match self {
                Self::Root => 0,
                Self::SelfLink => 1,
                // All below 32, where the processes begin.
                Self::System(file) => 2 + file as u64,
                Self::Xen => 14,
                Self::XenFile(XenFile::Balloon) => 15,
                Self::Net => 16,
                Self::NetFile(file) => 17 + file as u64,
                Self::Process(pid) => (u64::from(pid) + 1) * 16,
                Self::ProcessFile(pid, file) => (u64::from(pid) + 1) * 16 + 1 + file as u64,
            }
    }
}

/// A number in decimal digits.
#[must_use]
pub fn decimal(number: u32) -> Vec<u8> {
    alloc::format!("{number}").into_bytes()
}

fn parse_pid(name: &[u8]) -> Option<u32> {
    if name.is_empty() || name.len() > 9 || name[0] == b'0' {
        return None;
    }
    name.iter().try_fold(0_u32, |number, digit| {
        Some(number * 10 + char::from(*digit).to_digit(10)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_processes() {
        assert_eq!(parse_pid(b"12"), Some(12));
        for name in [&b""[..], b"0", b"012", b"1x", b"-1", b"1234567890"] {
            assert_eq!(parse_pid(name), None);
        }
    }

    #[test]
    fn numbers_tell_files_apart() {
        let fixed = [
            ProcNode::Root,
            ProcNode::SelfLink,
            ProcNode::Xen,
            ProcNode::XenFile(XenFile::Balloon),
            ProcNode::Net,
        ];
        let mut inos = Vec::from(fixed.map(|node| node.stat().ino));
        inos.extend(
            SystemFile::ALL
                .iter()
                .map(|(file, _)| ProcNode::System(*file).stat().ino),
        );
        inos.extend(
            NetFile::ALL
                .iter()
                .map(|(file, _)| ProcNode::NetFile(*file).stat().ino),
        );
        for pid in [1, 2] {
            inos.push(ProcNode::Process(pid).stat().ino);
            inos.extend(
                ProcessFile::ALL
                    .iter()
                    .map(|(file, _)| ProcNode::ProcessFile(pid, *file).stat().ino),
            );
        }
        let count = inos.len();
        inos.sort_unstable();
        inos.dedup();
        assert_eq!(inos.len(), count);
    }
}
