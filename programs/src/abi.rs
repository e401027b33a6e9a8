//! Numbers, flags and structures of Linux's i386 system-call interface, as far as the programs use them.
//!
//! Source: Linux `arch/x86/entry/syscalls/syscall_32.tbl` and the `uapi` headers; `docs/syscalls.md` lists them all.
//! Structures are exactly as the kernel writes them; their sizes are asserted here.

/// System-call numbers.
pub mod nr {
    #![allow(missing_docs, reason = "the names are Linux's own")]
    pub const EXIT: u32 = 1;
    pub const FORK: u32 = 2;
    pub const READ: u32 = 3;
    pub const WRITE: u32 = 4;
    pub const OPEN: u32 = 5;
    pub const CLOSE: u32 = 6;
    pub const UNLINK: u32 = 10;
    pub const EXECVE: u32 = 11;
    pub const CHDIR: u32 = 12;
    pub const LSEEK: u32 = 19;
    pub const GETPID: u32 = 20;
    pub const MOUNT: u32 = 21;
    pub const SYNC: u32 = 36;
    pub const KILL: u32 = 37;
    pub const RENAME: u32 = 38;
    pub const MKDIR: u32 = 39;
    pub const RMDIR: u32 = 40;
    pub const DUP: u32 = 41;
    pub const PIPE: u32 = 42;
    pub const BRK: u32 = 45;
    pub const IOCTL: u32 = 54;
    pub const SETPGID: u32 = 57;
    pub const DUP2: u32 = 63;
    pub const GETPPID: u32 = 64;
    pub const UMOUNT2: u32 = 52;
    pub const SETSID: u32 = 66;
    pub const REBOOT: u32 = 88;
    pub const MUNMAP: u32 = 91;
    pub const WAIT4: u32 = 114;
    pub const FSYNC: u32 = 118;
    pub const SIGRETURN: u32 = 119;
    pub const UNAME: u32 = 122;
    pub const MPROTECT: u32 = 125;
    pub const MLOCK: u32 = 150;
    pub const SCHED_YIELD: u32 = 158;
    pub const NANOSLEEP: u32 = 162;
    pub const POLL: u32 = 168;
    pub const RT_SIGRETURN: u32 = 173;
    pub const RT_SIGACTION: u32 = 174;
    pub const RT_SIGPROCMASK: u32 = 175;
    pub const RT_SIGSUSPEND: u32 = 179;
    pub const GETCWD: u32 = 183;
    pub const MMAP2: u32 = 192;
    pub const GETDENTS64: u32 = 220;
    pub const FCNTL64: u32 = 221;
    pub const SET_THREAD_AREA: u32 = 243;
    pub const CLOCK_GETTIME: u32 = 265;
    pub const CLOCK_SETTIME64: u32 = 404;
    pub const SOCKET: u32 = 359;
    pub const BIND: u32 = 361;
    pub const CONNECT: u32 = 362;
    pub const LISTEN: u32 = 363;
    pub const ACCEPT4: u32 = 364;
    pub const GETSOCKOPT: u32 = 365;
    pub const SETSOCKOPT: u32 = 366;
    pub const GETSOCKNAME: u32 = 367;
    pub const GETPEERNAME: u32 = 368;
    pub const SENDTO: u32 = 369;
    pub const RECVFROM: u32 = 371;
    pub const SHUTDOWN: u32 = 373;
    pub const STATX: u32 = 383;
}

/// `open`: for reading.
pub const O_RDONLY: u32 = 0;
/// `open`: for writing.
pub const O_WRONLY: u32 = 1;
/// `open`: for both.
pub const O_RDWR: u32 = 2;
/// `open`: make the file if it is not there.
pub const O_CREAT: u32 = 0x40;
/// `open`: fail if it is there.
pub const O_EXCL: u32 = 0x80;
/// `open`: empty the file.
pub const O_TRUNC: u32 = 0x200;
/// `open`: every write goes to the end.
pub const O_APPEND: u32 = 0x400;
/// `open` and `F_SETFL`: never sleep.
pub const O_NONBLOCK: u32 = 0x800;
/// `open`: only a directory will do.
pub const O_DIRECTORY: u32 = 0x1_0000;
/// `open`: closed by `execve`.
pub const O_CLOEXEC: u32 = 0x8_0000;

/// `fcntl`: set the status flags.
pub const F_SETFL: u32 = 4;
/// `fcntl`: read the flags.
pub const F_GETFL: u32 = 3;
/// `fcntl`: copy to a number of at least the argument, closed by `execve`.
pub const F_DUPFD_CLOEXEC: u32 = 1030;

/// The directory that relative paths start from.
pub const AT_FDCWD: i32 = -100;
/// `statx`: do not follow a symbolic link.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// `statx`: an empty path means the descriptor itself.
pub const AT_EMPTY_PATH: u32 = 0x1000;
/// `statx`: the classic fields.
pub const STATX_BASIC_STATS: u32 = 0x7FF;

/// A regular file.
pub const S_IFREG: u16 = 0o100_000;
/// The type bits of a file's mode.
pub const S_IFMT: u16 = 0o170_000;
/// A directory.
pub const S_IFDIR: u16 = 0o040_000;
/// A character device.
pub const S_IFCHR: u16 = 0o020_000;
/// A symbolic link.
pub const S_IFLNK: u16 = 0o120_000;
/// A pipe.
pub const S_IFIFO: u16 = 0o010_000;

/// `wait4`: come back at once when nobody has ended.
pub const WNOHANG: u32 = 1;

/// `mmap2`: pages may be read.
pub const PROT_READ: u32 = 1;
/// `mmap2`: pages may be written.
pub const PROT_WRITE: u32 = 2;
/// `mmap`: what is written is written to the object itself.
pub const MAP_SHARED: u32 = 1;
/// `mmap2`: private copy.
pub const MAP_PRIVATE: u32 = 2;
/// `mmap2`: zero pages, no file.
pub const MAP_ANONYMOUS: u32 = 0x20;

/// Terminal: read the settings.
pub const TCGETS: u32 = 0x5401;
/// Terminal: set the settings, now.
pub const TCSETS: u32 = 0x5402;
/// Terminal: become the controlling terminal.
pub const TIOCSCTTY: u32 = 0x540E;
/// Terminal: read the foreground process group.
pub const TIOCGPGRP: u32 = 0x540F;
/// Terminal: set the foreground process group.
pub const TIOCSPGRP: u32 = 0x5410;
/// Terminal: rows and columns.
pub const TIOCGWINSZ: u32 = 0x5413;

/// `clock_gettime`: seconds since 1970.
pub const CLOCK_REALTIME: u32 = 0;
/// `clock_gettime`: since boot.
pub const CLOCK_MONOTONIC: u32 = 1;

/// Sockets: IPv4.
pub const AF_INET: u16 = 2;
/// `socket`: a connection.
pub const SOCK_STREAM: u32 = 1;
/// `socket`: datagrams.
pub const SOCK_DGRAM: u32 = 2;
/// `socket`: packets of one protocol.
pub const SOCK_RAW: u32 = 3;
/// `socket`: nothing waits.
pub const SOCK_NONBLOCK: u32 = 0x800;
/// The protocol of ping.
pub const IPPROTO_ICMP: u32 = 1;
/// Level of options of all sockets.
pub const SOL_SOCKET: u32 = 1;
/// Option: the port may just have been another socket's.
pub const SO_REUSEADDR: u32 = 2;
/// Option: the kind, read only.
pub const SO_TYPE: u32 = 3;
/// Option: what failed, read only.
pub const SO_ERROR: u32 = 4;
/// Option: datagrams to all may be sent.
pub const SO_BROADCAST: u32 = 6;
/// `recvfrom`: what is read stays.
pub const MSG_PEEK: u32 = 2;
/// `recvfrom`: this call does not wait.
pub const MSG_DONTWAIT: u32 = 0x40;
/// `recvfrom`: all that was asked for.
pub const MSG_WAITALL: u32 = 0x100;
/// `sendto`: no signal where nobody reads.
pub const MSG_NOSIGNAL: u32 = 0x4000;
/// Interfaces: flags.
pub const SIOCGIFFLAGS: u32 = 0x8913;
/// Interfaces: the address.
pub const SIOCGIFADDR: u32 = 0x8915;
/// Interfaces: the address of all.
pub const SIOCGIFBRDADDR: u32 = 0x8919;
/// Interfaces: the mask.
pub const SIOCGIFNETMASK: u32 = 0x891B;
/// Interfaces: most bytes of a packet.
pub const SIOCGIFMTU: u32 = 0x8921;
/// Interfaces: the Ethernet address.
pub const SIOCGIFHWADDR: u32 = 0x8927;

/// `mount`: nothing may be written.
pub const MS_RDONLY: u32 = 1;

/// First magic number of `reboot`.
pub const REBOOT_MAGIC1: u32 = 0xFEE1_DEAD;
/// Second magic number of `reboot`.
pub const REBOOT_MAGIC2: u32 = 0x2812_1969;
/// `reboot`: restart (`RB_AUTOBOOT`).
pub const REBOOT_RESTART: u32 = 0x0123_4567;
/// `reboot`: power off (`RB_POWER_OFF`).
pub const REBOOT_POWER_OFF: u32 = 0x4321_FEDC;

/// `poll`: there is something to read, or the end.
pub const POLLIN: i16 = 1;
/// `poll`: something can be written.
pub const POLLOUT: i16 = 4;

/// What `poll` asks about a descriptor; a negative one is passed over.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct PollFd {
    /// The descriptor.
    pub fd: i32,
    /// What is asked.
    pub events: i16,
    /// What is so.
    pub revents: i16,
}
const _: () = assert!(size_of::<PollFd>() == 8);

/// An address of IPv4 with a port.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct SocketAddress {
    /// `AF_INET`.
    pub family: u16,
    /// The port, high byte first.
    pub port: u16,
    /// The address.
    pub address: [u8; 4],
    /// Nothing.
    pub zero: [u8; 8],
}
const _: () = assert!(size_of::<SocketAddress>() == 16);

/// What is asked of an interface.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct InterfaceRequest {
    /// Which, with zeroes behind.
    pub name: [u8; 16],
    /// The answer.
    pub value: [u8; 16],
}

/// Seconds and nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Timespec {
    /// Seconds.
    pub seconds: i32,
    /// Nanoseconds, below 1,000,000,000.
    pub nanoseconds: i32,
}

/// A time in [`Statx`].
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct StatxTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds.
    pub nanoseconds: u32,
    _pad: i32,
}

/// What `statx` tells about a file.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Statx {
    /// Which fields are valid.
    pub mask: u32,
    /// Preferred size of reads.
    pub block_size: u32,
    /// Extended attributes.
    pub attributes: u64,
    /// Number of names.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Type and permissions.
    pub mode: u16,
    _pad: u16,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Size in units of 512 bytes.
    pub blocks: u64,
    /// Which attributes are known.
    pub attributes_mask: u64,
    /// Last access.
    pub accessed: StatxTime,
    /// Creation.
    pub born: StatxTime,
    /// Last change of status.
    pub changed: StatxTime,
    /// Last change of content.
    pub modified: StatxTime,
    /// Device, if it is one: major number.
    pub rdev_major: u32,
    /// Device, if it is one: minor number.
    pub rdev_minor: u32,
    /// File system: major number.
    pub dev_major: u32,
    /// File system: minor number.
    pub dev_minor: u32,
    _spare: [u64; 14],
}
const _: () = assert!(size_of::<Statx>() == 256);

/// Settings of a terminal, as `TCGETS` gives them (not the C library's longer structure).
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Termios {
    /// Input modes.
    pub input: u32,
    /// Output modes.
    pub output: u32,
    /// Control modes.
    pub control: u32,
    /// Local modes.
    pub local: u32,
    /// Line discipline.
    pub line: u8,
    /// Control characters.
    pub characters: [u8; 19],
}
const _: () = assert!(size_of::<Termios>() == 36);

/// Rows and columns of a terminal.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct WindowSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
    _pixels: [u16; 2],
}

/// One descriptor for thread-local storage.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct UserDesc {
    /// Index in the GDT; −1 asks for a free one.
    pub entry: i32,
    /// Base address.
    pub base: u32,
    /// Limit, in pages with [`UserDesc::PAGES`].
    pub limit: u32,
    /// `seg_32bit` and so on.
    pub flags: u32,
}

impl UserDesc {
    /// `seg_32bit`.
    pub const BITS32: u32 = 1;
    /// `read_exec_only`.
    pub const READ_ONLY: u32 = 1 << 3;
    /// `limit_in_pages`.
    pub const PAGES: u32 = 1 << 4;
    /// `seg_not_present`.
    pub const NOT_PRESENT: u32 = 1 << 5;
    /// `useable`.
    pub const USEABLE: u32 = 1 << 6;
}

/// What `rt_sigaction` takes and gives.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct SigAction {
    /// 0 default, 1 ignore, else the handler.
    pub handler: u32,
    /// `SA_*`.
    pub flags: u32,
    /// Where a handler returns to.
    pub restorer: u32,
    /// Signals blocked while it runs (low half first: 4-byte alignment, as in the kernel's structure).
    pub mask: [u32; 2],
}
const _: () = assert!(size_of::<SigAction>() == 20);

/// What `uname` gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UtsName {
    /// `Linux`, host name, release, version, machine, domain; each ends with a zero byte.
    pub fields: [[u8; 65]; 6],
}
const _: () = assert!(size_of::<UtsName>() == 390);
