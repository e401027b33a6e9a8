//! Files: flags of open, modes, the structures of stat, statx and getdents64.

use alloc::vec::Vec;

use super::{Packed, time::TimeSpec};

/// File types in a mode (`S_IF…`), and permission bits.
pub mod mode {
    /// The bits that hold the type.
    pub const TYPE: u32 = 0o170_000;
    /// Directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// Character device.
    pub const CHAR_DEVICE: u32 = 0o020_000;
    /// Block device.
    pub const BLOCK_DEVICE: u32 = 0o060_000;
    /// Regular file.
    pub const REGULAR: u32 = 0o100_000;
    /// Pipe.
    pub const FIFO: u32 = 0o010_000;
    /// A socket.
    pub const SOCKET: u32 = 0o140_000;
    /// Symbolic link.
    pub const SYMLINK: u32 = 0o120_000;
    /// Execute permission for anyone.
    pub const ANY_EXECUTE: u32 = 0o111;
    /// All permission bits, with set-id and sticky.
    pub const PERMISSIONS: u32 = 0o7777;
}

bitflags::bitflags! {
    /// Flags of `open`, and of an open file.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// Write, not read.
        const WRONLY = 1;
        /// Read and write.
        const RDWR = 2;
        /// Make it where it does not exist.
        const CREAT = 0x40;
        /// Refuse where it exists.
        const EXCL = 0x80;
        /// Not the controlling terminal.
        const NOCTTY = 0x100;
        /// Make it empty.
        const TRUNC = 0x200;
        /// Write at the end.
        const APPEND = 0x400;
        /// Do not wait.
        const NONBLOCK = 0x800;
        /// Data reaches the disk with the call.
        const DSYNC = 0x1000;
        /// No cache.
        const DIRECT = 0x4000;
        /// Offsets beyond 2 GiB.
        const LARGEFILE = 0x8000;
        /// Refuse what is no directory.
        const DIRECTORY = 0x1_0000;
        /// Refuse a symbolic link.
        const NOFOLLOW = 0x2_0000;
        /// Leave the access time.
        const NOATIME = 0x4_0000;
        /// Closed by execve.
        const CLOEXEC = 0x8_0000;
        /// Data and times reach the disk with the call.
        const SYNC = 0x10_0000;
        /// Only the name, no access.
        const PATH = 0x20_0000;
    }
}

impl OpenFlags {
    /// Whether reads are allowed.
    #[must_use]
    pub fn can_read(self) -> bool {
        !self.contains(Self::WRONLY)
    }

    /// Whether writes are allowed.
    #[must_use]
    pub fn can_write(self) -> bool {
        self.intersects(Self::WRONLY | Self::RDWR)
    }

    /// What `fcntl(F_GETFL)` tells: the access mode and the flags that belong to the open file.
    #[must_use]
    pub fn status(self) -> Self {
        self & (Self::WRONLY
            | Self::RDWR
            | Self::APPEND
            | Self::NONBLOCK
            | Self::LARGEFILE
            | Self::DIRECTORY
            | Self::PATH)
    }
}

/// ioctl of a disk: write what the cache holds of it, and forget that.
pub const BLKFLSBUF: u32 = 0x1261;
/// The directory file descriptor that means the working directory.
pub const AT_FDCWD: i32 = -100;
/// Flag of the `…at` calls: do not follow a symbolic link at the end.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// Flag of `unlinkat`: a directory.
pub const AT_REMOVEDIR: u32 = 0x200;
/// Flag of `linkat`: follow a symbolic link at the end.
pub const AT_SYMLINK_FOLLOW: u32 = 0x400;
/// Flag of statx: no automatic mount.
pub const AT_NO_AUTOMOUNT: u32 = 0x800;
/// Flag: an empty path means the descriptor itself.
pub const AT_EMPTY_PATH: u32 = 0x1000;
/// Flags of statx about network file systems.
pub const AT_STATX_SYNC: u32 = 0x6000;

/// `whence` of seeks: from the start.
pub const SEEK_SET: u32 = 0;
/// From the present position.
pub const SEEK_CUR: u32 = 1;
/// From the end.
pub const SEEK_END: u32 = 2;

/// What poll waits for and finds.
pub mod poll {
    /// Something to read.
    pub const IN: u16 = 1;
    /// A write would not wait.
    pub const OUT: u16 = 4;
    /// Nobody reads the pipe.
    pub const ERR: u16 = 8;
    /// Nobody writes the pipe.
    pub const HUP: u16 = 16;
    /// No such descriptor.
    pub const NVAL: u16 = 32;
    /// The peer of a connection will send no more.
    pub const RDHUP: u16 = 0x2000;
}

/// What is known about a file, as the three kinds of stat structures tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Device that holds the file: major, minor.
    pub dev: (u32, u32),
    /// Inode number.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device that the file is: major, minor.
    pub rdev: (u32, u32),
    /// Bytes.
    pub size: u64,
    /// Last change.
    pub mtime: TimeSpec,
}

/// Bytes that a file's size is rounded up to, and what stdio buffers.
const BLOCK: u32 = 4096;

fn device_number((major, minor): (u32, u32)) -> u64 {
    u64::from((major & 0xFFF) << 8 | (minor & 0xFF) | (minor & 0xFFF00) << 12)
}

impl Stat {
    fn blocks(&self) -> u64 {
        self.size.div_ceil(u64::from(BLOCK)) * (u64::from(BLOCK) / 512)
    }

    /// `struct stat64`.
    #[must_use]
    pub fn stat64(&self) -> [u8; 96] {
        let mut packed = Packed::new()
            .u64(device_number(self.dev))
            .u32(0)
            .u32(self.ino as u32)
            .u32(self.mode)
            .u32(self.nlink)
            .u32(self.uid)
            .u32(self.gid)
            .u64(device_number(self.rdev))
            .u32(0)
            .u64(self.size)
            .u32(BLOCK)
            .u64(self.blocks());
        for _ in 0..3 {
            packed = packed.u32(self.mtime.seconds as u32).u32(self.mtime.nanos);
        }
        packed.u64(self.ino).finish()
    }

    /// `struct statx`, with all basic fields.
    #[must_use]
    pub fn statx(&self) -> [u8; 256] {
        const BASIC_STATS: u32 = 0x7FF;
        let mut packed = Packed::new()
            .u32(BASIC_STATS)
            .u32(BLOCK)
            .u64(0)
            .u32(self.nlink)
            .u32(self.uid)
            .u32(self.gid)
            .u16(self.mode as u16)
            .u16(0)
            .u64(self.ino)
            .u64(self.size)
            .u64(self.blocks())
            .u64(0);
        for at in [64, 96, 112] {
            packed = packed.at(at).u64(self.mtime.seconds).u32(self.mtime.nanos);
        }
        packed
            .at(128)
            .u32(self.rdev.0)
            .u32(self.rdev.1)
            .u32(self.dev.0)
            .u32(self.dev.1)
            .finish()
    }

    /// `d_type` of a directory entry for a file of this mode.
    #[must_use]
    pub fn directory_type(mode: u32) -> u8 {
        ((mode & mode::TYPE) >> 12) as u8
    }
}

/// Bytes of a directory entry before its name.
const DIRENT_HEADER: usize = 19;

/// How long the record of a name of `len` bytes is in `getdents64`.
#[must_use]
pub const fn dirent_len(len: usize) -> usize {
    (DIRENT_HEADER + len + 1).next_multiple_of(8)
}

/// Appends a record of `getdents64`.
pub fn push_dirent(to: &mut Vec<u8>, ino: u64, next: u64, kind: u8, name: &[u8]) {
    let len = dirent_len(name.len());
    let start = to.len();
    to.extend_from_slice(&ino.to_le_bytes());
    to.extend_from_slice(&next.to_le_bytes());
    to.extend_from_slice(&(len as u16).to_le_bytes());
    to.push(kind);
    to.extend_from_slice(name);
    to.resize(start + len, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::word;

    fn sample() -> Stat {
        let mtime = TimeSpec {
            seconds: 0x1234,
            nanos: 5,
        };
        Stat {
            ino: 77,
            mode: mode::CHAR_DEVICE | 0o620,
            nlink: 1,
            rdev: (5, 1),
            size: 4097,
            mtime,
            ..Stat::default()
        }
    }

    #[test]
    fn statx_fields_are_where_the_library_looks() {
        let bytes = sample().statx();
        assert_eq!(word(&bytes, 16), 1);
        assert_eq!(u16::from_le_bytes([bytes[28], bytes[29]]), 0o020_620);
        assert_eq!(word(&bytes, 32), 77);
        assert_eq!(word(&bytes, 40), 4097);
        assert_eq!(word(&bytes, 48), 16);
        assert_eq!(word(&bytes, 112), 0x1234);
        assert_eq!(word(&bytes, 120), 5);
        assert_eq!((word(&bytes, 128), word(&bytes, 132)), (5, 1));
    }

    #[test]
    fn stat64_fields_are_where_the_library_looks() {
        let bytes = sample().stat64();
        assert_eq!(word(&bytes, 12), 77);
        assert_eq!(word(&bytes, 16), 0o020_620);
        assert_eq!(word(&bytes, 32), 0x501);
        assert_eq!(word(&bytes, 44), 4097);
        assert_eq!(word(&bytes, 52), 4096);
        assert_eq!(word(&bytes, 56), 16);
        assert_eq!((word(&bytes, 64), word(&bytes, 68)), (0x1234, 5));
        assert_eq!(word(&bytes, 88), 77);
    }

    #[test]
    fn directory_records_are_multiples_of_eight() {
        let mut bytes = Vec::new();
        push_dirent(&mut bytes, 5, 1, Stat::directory_type(mode::REGULAR), b"abcd");
        assert_eq!(bytes.len(), 24);
        assert_eq!(&bytes[16..19], &[24, 0, 8]);
        assert_eq!(&bytes[19..24], b"abcd\0");
        push_dirent(&mut bytes, 6, 2, Stat::directory_type(mode::DIRECTORY), b"abcde");
        assert_eq!(bytes.len(), 24 + 32);
    }
}
