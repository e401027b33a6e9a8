//! Error numbers of system calls.

use core::fmt;

/// An error number, positive; it travels negated in EAX.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($NAME:ident = $number:literal, $text:literal;)+) => {
        impl Errno {
            $( #[doc = $text] pub const $NAME: Self = Self($number); )+

            /// The C name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self.0 {
                    $( $number => stringify!($NAME), )+
                    _ => "?",
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such file or directory.";
    ESRCH = 3, "No such process.";
    EINTR = 4, "Interrupted by a signal.";
    EIO = 5, "Input/output error.";
    ENXIO = 6, "No such device or address.";
    E2BIG = 7, "Argument list too long.";
    ENOEXEC = 8, "Not an executable of ours.";
    EBADF = 9, "Bad file descriptor.";
    ECHILD = 10, "No such child.";
    EAGAIN = 11, "Try again.";
    ENOMEM = 12, "Out of memory.";
    EACCES = 13, "Permission denied.";
    EFAULT = 14, "Bad address.";
    EBUSY = 16, "In use.";
    EEXIST = 17, "Exists.";
    EXDEV = 18, "Another file system.";
    ENODEV = 19, "No such device.";
    ENOTDIR = 20, "Not a directory.";
    EISDIR = 21, "Is a directory.";
    EINVAL = 22, "Invalid argument.";
    ENFILE = 23, "Too many open files.";
    EMFILE = 24, "Too many open files of one process.";
    ENOTTY = 25, "Not a terminal.";
    ETXTBSY = 26, "The program is running.";
    EFBIG = 27, "File too large.";
    ENOSPC = 28, "No space left.";
    ESPIPE = 29, "Cannot seek.";
    EROFS = 30, "Read-only file system.";
    EMLINK = 31, "Too many links.";
    EPIPE = 32, "Nobody reads.";
    ERANGE = 34, "Result too large.";
    ENAMETOOLONG = 36, "Name too long.";
    ENOSYS = 38, "No such call.";
    ENOTEMPTY = 39, "Directory not empty.";
    ELOOP = 40, "Too many symbolic links.";
    ENODATA = 61, "No data.";
    ENOTSOCK = 88, "Not a socket.";
    EDESTADDRREQ = 89, "To whom?";
    EMSGSIZE = 90, "Message too long.";
    ENOPROTOOPT = 92, "No such option.";
    EPROTONOSUPPORT = 93, "No such protocol.";
    ESOCKTNOSUPPORT = 94, "No such kind of socket.";
    EOPNOTSUPP = 95, "Not of this kind of socket.";
    EAFNOSUPPORT = 97, "No such kind of address.";
    EADDRINUSE = 98, "Address in use.";
    EADDRNOTAVAIL = 99, "Not an address of ours.";
    ENETUNREACH = 101, "No way to that network.";
    ECONNABORTED = 103, "Connection given up.";
    ECONNRESET = 104, "Connection reset by peer.";
    ENOBUFS = 105, "No room for that.";
    EISCONN = 106, "Connected already.";
    ENOTCONN = 107, "Not connected.";
    ETIMEDOUT = 110, "No answer.";
    ECONNREFUSED = 111, "Connection refused.";
    EALREADY = 114, "Being done already.";
    EINPROGRESS = 115, "Begun.";
    EIOCBQUEUED = 529, "A disk has to answer first. The call is begun anew; no program ever sees this.";
}

impl Errno {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// What the hypervisor answered, whose numbers are the same.
    #[must_use]
    pub const fn from_hypervisor(errno: guest_abi::errno::Errno) -> Self {
        Self(errno as u16)
    }

    /// What EAX holds after a call that failed so.
    #[must_use]
    pub const fn to_eax(self) -> u32 {
        (self.0 as u32).wrapping_neg()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
