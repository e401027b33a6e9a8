//! `int 0x80`, and one safe function for each system call that a safe function can be made of.
//!
//! Register contract (Linux, i386): number in EAX, arguments in EBX, ECX, EDX, ESI, EDI, EBP, result in EAX; nothing
//! else changes. −4095…−1 is a negated error number.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::arch::global_asm;

use crate::abi::{AT_FDCWD, STATX_BASIC_STATS, SigAction, Statx, Timespec, UserDesc, UtsName, nr};
use crate::errno::{Errno, Result};

// cdecl: the seven arguments lie above the return address; EBX, ESI, EDI and EBP belong to the caller.
global_asm!(
    ".section .text.program_syscall, \"ax\"",
    ".global program_syscall",
    "program_syscall:",
    "    push ebp",
    "    push ebx",
    "    push esi",
    "    push edi",
    "    mov eax, [esp + 20]",
    "    mov ebx, [esp + 24]",
    "    mov ecx, [esp + 28]",
    "    mov edx, [esp + 32]",
    "    mov esi, [esp + 36]",
    "    mov edi, [esp + 40]",
    "    mov ebp, [esp + 44]",
    "    int 0x80",
    "    pop edi",
    "    pop esi",
    "    pop ebx",
    "    pop ebp",
    "    ret",
);

unsafe extern "C" {
    fn program_syscall(number: u32, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32) -> i32;
}

/// Issues a system call.
///
/// # Errors
/// Whatever the kernel answers.
///
/// # Safety
/// The arguments must be such that the kernel changes no memory of this program that safe code relies on.
pub unsafe fn raw(number: u32, args: [u32; 6]) -> Result<u32> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the caller vouches for what the kernel does with the arguments.
    let result = unsafe { program_syscall(number, a, b, c, d, e, f) };
    match result {
        -4095..=-1 => Err(Errno(-result)),
        _ => Ok(result.cast_unsigned()),
    }
}

/// A call whose arguments are numbers only, or addresses that the kernel only reads.
fn call(number: u32, args: &[u32]) -> Result<u32> {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    // SAFETY: only used in this module, with calls that write to nothing of ours, or to exclusively borrowed values.
    unsafe { raw(number, all) }
}

fn address<T: ?Sized>(value: &T) -> u32 {
    core::ptr::from_ref(value).cast::<u8>() as u32
}

fn address_mut<T: ?Sized>(value: &mut T) -> u32 {
    core::ptr::from_mut(value).cast::<u8>() as u32
}

/// A path with its zero byte.
///
/// # Errors
/// EINVAL when a zero byte is inside.
pub fn c_string(text: &[u8]) -> Result<CString> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    let _ = call(nr::EXIT, &[status.cast_unsigned()]);
    unreachable!("exit came back")
}

/// Makes a copy of this process: the child's number here, 0 there.
///
/// # Errors
/// EAGAIN or ENOMEM.
pub fn fork() -> Result<i32> {
    call(nr::FORK, &[]).map(u32::cast_signed)
}

/// Reads into `buffer`.
///
/// # Errors
/// What the kernel answers.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    let length = buffer.len() as u32;
    call(nr::READ, &[fd.cast_unsigned(), address_mut(buffer), length]).map(|n| n as usize)
}

/// Writes from `bytes`.
///
/// # Errors
/// What the kernel answers.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call(
        nr::WRITE,
        &[fd.cast_unsigned(), address(bytes), bytes.len() as u32],
    )
    .map(|n| n as usize)
}

/// Opens a file.
///
/// # Errors
/// What the kernel answers.
pub fn open(path: &[u8], flags: u32, mode: u32) -> Result<i32> {
    let path = c_string(path)?;
    call(nr::OPEN, &[address(path.as_bytes_with_nul()), flags, mode]).map(u32::cast_signed)
}

/// Closes a descriptor.
///
/// # Errors
/// EBADF.
pub fn close(fd: i32) -> Result<()> {
    call(nr::CLOSE, &[fd.cast_unsigned()]).map(drop)
}

/// Replaces this process by a program; comes back only with an error.
pub fn execve(path: &[u8], arguments: &[CString], environment: &[CString]) -> Errno {
    let path = match c_string(path) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let pointers = |strings: &[CString]| -> Vec<u32> {
        strings
            .iter()
            .map(|string| address(string.as_bytes_with_nul()))
            .chain([0])
            .collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    let args = [
        address(path.as_bytes_with_nul()),
        address(&arguments[..]),
        address(&environment[..]),
    ];
    call(nr::EXECVE, &args).err().unwrap_or(Errno::ENOSYS)
}

/// Changes the working directory.
///
/// # Errors
/// What the kernel answers.
pub fn chdir(path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    call(nr::CHDIR, &[address(path.as_bytes_with_nul())]).map(drop)
}

/// Writes the working directory's path with its zero byte; returns the length of both.
///
/// # Errors
/// ERANGE when it does not fit.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    let length = buffer.len() as u32;
    call(nr::GETCWD, &[address_mut(buffer), length]).map(|n| n as usize)
}

/// Moves a file's position; `whence` 0 start, 1 here, 2 end.
///
/// # Errors
/// ESPIPE for pipes and terminals.
pub fn lseek(fd: i32, offset: i32, whence: u32) -> Result<u32> {
    call(nr::LSEEK, &[fd.cast_unsigned(), offset.cast_unsigned(), whence])
}

/// This process's number.
pub fn getpid() -> i32 {
    call(nr::GETPID, &[]).map_or(0, u32::cast_signed)
}

/// The parent's number.
pub fn getppid() -> i32 {
    call(nr::GETPPID, &[]).map_or(0, u32::cast_signed)
}

/// Sends a signal.
///
/// # Errors
/// ESRCH, EINVAL.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    call(nr::KILL, &[pid.cast_unsigned(), signal.cast_unsigned()]).map(drop)
}

/// Makes a pipe: (read end, write end).
///
/// # Errors
/// EMFILE.
pub fn pipe() -> Result<(i32, i32)> {
    let mut ends = [0_i32; 2];
    call(nr::PIPE, &[address_mut(&mut ends)])?;
    Ok((ends[0], ends[1]))
}

/// Makes `to` another name of `from`.
///
/// # Errors
/// EBADF.
pub fn dup2(from: i32, to: i32) -> Result<()> {
    call(nr::DUP2, &[from.cast_unsigned(), to.cast_unsigned()]).map(drop)
}

/// A request about a descriptor.
///
/// # Errors
/// What the kernel answers.
pub fn fcntl(fd: i32, command: u32, argument: u32) -> Result<u32> {
    call(nr::FCNTL64, &[fd.cast_unsigned(), command, argument])
}

/// A request to a device, with a structure that it reads or fills in.
///
/// # Errors
/// ENOTTY when the file is not such a device.
///
/// # Safety
/// `T` must be the structure that `request` works on, and every bit pattern must be a valid `T`.
pub unsafe fn ioctl<T>(fd: i32, request: u32, argument: &mut T) -> Result<u32> {
    call(nr::IOCTL, &[fd.cast_unsigned(), request, address_mut(argument)])
}

/// Moves a process to a process group.
///
/// # Errors
/// What the kernel answers.
pub fn setpgid(pid: i32, group: i32) -> Result<()> {
    call(nr::SETPGID, &[pid.cast_unsigned(), group.cast_unsigned()]).map(drop)
}

/// Begins a new session.
///
/// # Errors
/// EPERM for the leader of a process group.
pub fn setsid() -> Result<()> {
    call(nr::SETSID, &[]).map(drop)
}

/// Stops the machine; comes back only with an error.
pub fn reboot(command: u32) -> Errno {
    use crate::abi::{REBOOT_MAGIC1, REBOOT_MAGIC2};
    call(nr::REBOOT, &[REBOOT_MAGIC1, REBOOT_MAGIC2, command])
        .err()
        .unwrap_or(Errno::EINVAL)
}

/// Waits for a child: (its number or 0, its status word).
///
/// # Errors
/// ECHILD, EINTR.
pub fn wait4(pid: i32, options: u32) -> Result<(i32, u32)> {
    let mut status = 0_u32;
    let who = call(
        nr::WAIT4,
        &[pid.cast_unsigned(), address_mut(&mut status), options],
    )?;
    Ok((who.cast_signed(), status))
}

/// Names of the system.
///
/// # Errors
/// What the kernel answers.
pub fn uname() -> Result<UtsName> {
    let mut names = UtsName { fields: [[0; 65]; 6] };
    call(nr::UNAME, &[address_mut(&mut names)])?;
    Ok(names)
}

/// Lets others run.
pub fn sched_yield() {
    let _ = call(nr::SCHED_YIELD, &[]);
}

/// Sleeps.
///
/// # Errors
/// EINTR with what is left, EINVAL.
pub fn nanosleep(time: Timespec) -> core::result::Result<(), (Errno, Timespec)> {
    let mut rest = Timespec::default();
    call(nr::NANOSLEEP, &[address(&time), address_mut(&mut rest)])
        .map(drop)
        .map_err(|error| (error, rest))
}

/// Reads a clock.
///
/// # Errors
/// EINVAL for an unknown clock.
pub fn clock_gettime(clock: u32) -> Result<Timespec> {
    let mut time = Timespec::default();
    call(nr::CLOCK_GETTIME, &[clock, address_mut(&mut time)])?;
    Ok(time)
}

/// Reads directory entries.
///
/// # Errors
/// ENOTDIR and what else the kernel answers.
pub fn getdents64(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    let length = buffer.len() as u32;
    call(nr::GETDENTS64, &[fd.cast_unsigned(), address_mut(buffer), length]).map(|n| n as usize)
}

/// What kind of file `path` is, relative to `directory`; `flags` are `AT_*`.
///
/// # Errors
/// What the kernel answers.
pub fn statx(directory: i32, path: &[u8], flags: u32) -> Result<Statx> {
    let path = c_string(path)?;
    let mut status = Statx::default();
    let path_address = address(path.as_bytes_with_nul());
    call(
        nr::STATX,
        &[
            directory.cast_unsigned(),
            path_address,
            flags,
            STATX_BASIC_STATS,
            address_mut(&mut status),
        ],
    )?;
    Ok(status)
}

/// What kind of file `path` is.
///
/// # Errors
/// What the kernel answers.
pub fn stat(path: &[u8]) -> Result<Statx> {
    statx(AT_FDCWD, path, 0)
}

/// Changes the set of blocked signals (`how`: 0 block, 1 unblock, 2 set); gives the old set.
///
/// # Errors
/// EINVAL.
pub fn rt_sigprocmask(how: u32, set: u64) -> Result<u64> {
    let mut old = 0_u64;
    call(
        nr::RT_SIGPROCMASK,
        &[how, address(&set), address_mut(&mut old), 8],
    )?;
    Ok(old)
}

/// Sleeps with another set of blocked signals until a handler has run.
pub fn rt_sigsuspend(set: u64) -> Errno {
    call(nr::RT_SIGSUSPEND, &[address(&set), 8])
        .err()
        .unwrap_or(Errno::EINTR)
}

/// Sets what a signal does; gives what it did.
///
/// # Errors
/// EINVAL.
///
/// # Safety
/// A handler must be a function that may interrupt this program anywhere, and its restorer must fit it.
pub unsafe fn rt_sigaction(signal: i32, action: Option<&SigAction>) -> Result<SigAction> {
    let mut old = SigAction::default();
    let new = action.map_or(0, address);
    call(
        nr::RT_SIGACTION,
        &[signal.cast_unsigned(), new, address_mut(&mut old), 8],
    )?;
    Ok(old)
}

/// Sets a descriptor for thread-local storage.
///
/// # Errors
/// EINVAL for an index that is not for programs, ESRCH when none is free.
pub fn set_thread_area(descriptor: &mut UserDesc) -> Result<()> {
    call(nr::SET_THREAD_AREA, &[address_mut(descriptor)]).map(drop)
}

/// Asks for the program break `to`; gives the break that is.
pub fn brk(to: usize) -> usize {
    call(nr::BRK, &[to as u32]).map_or(0, |at| at as usize)
}

/// Maps zero pages that may be read and written.
///
/// # Errors
/// ENOMEM, EINVAL.
pub fn map_anonymous(length: usize) -> Result<*mut u8> {
    use crate::abi::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE};
    let args = [
        0,
        length as u32,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS,
        u32::MAX,
        0,
    ];
    call(nr::MMAP2, &args).map(|at| at as *mut u8)
}

/// Changes what may be done with pages.
///
/// # Errors
/// ENOMEM for a hole, EINVAL.
///
/// # Safety
/// No live reference may reach the pages in a way that is then forbidden.
pub unsafe fn mprotect(start: *mut u8, length: usize, protection: u32) -> Result<()> {
    call(nr::MPROTECT, &[start as u32, length as u32, protection]).map(drop)
}

/// Unmaps pages.
///
/// # Errors
/// EINVAL.
///
/// # Safety
/// Nothing may use the pages afterwards.
pub unsafe fn munmap(start: *mut u8, length: usize) -> Result<()> {
    call(nr::MUNMAP, &[start as u32, length as u32]).map(drop)
}
