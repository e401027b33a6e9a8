//! System calls with addresses that are not the program's: EFAULT, and nothing written.

use programs::abi::nr;
use programs::check::Checks;
use programs::errno::Errno;
use programs::{process, sys};

const KERNEL: u32 = 0xC000_0000;
const WINDOW: u32 = 0xFC00_0000;
const OWN_CONSTANTS: u32 = 0x0804_8000;

/// Tries them all.
pub fn try_all(checks: &mut Checks) {
    let Ok((read_end, write_end)) = sys::pipe() else {
        checks.that("a pipe for the calls", false);
        return;
    };
    let _ = sys::write(write_end, b"0123456789");
    let (read_end, write_end) = (read_end.cast_unsigned(), write_end.cast_unsigned());
    let word = [0_u32; 4];
    let here = word.as_ptr() as u32;
    for (what, number, args) in [
        ("write from address 0", nr::WRITE, [write_end, 0, 4]),
        ("write from kernel memory", nr::WRITE, [write_end, KERNEL, 4]),
        (
            "write from the hypervisor's window",
            nr::WRITE,
            [write_end, WINDOW, 4],
        ),
        (
            "write from the end of the address space",
            nr::WRITE,
            [write_end, 0xFFFF_FFF0, 8],
        ),
        ("read to address 0", nr::READ, [read_end, 0, 4]),
        ("read to kernel memory", nr::READ, [read_end, KERNEL, 4]),
        ("read to the hypervisor's window", nr::READ, [read_end, WINDOW, 4]),
        (
            "read to the program's own constants",
            nr::READ,
            [read_end, OWN_CONSTANTS, 4],
        ),
        ("open with a path in kernel memory", nr::OPEN, [KERNEL, 0, 0]),
        ("chdir with a path at address 1", nr::CHDIR, [1, 0, 0]),
        ("getcwd to kernel memory", nr::GETCWD, [KERNEL, 4096, 0]),
        ("uname to the hypervisor's window", nr::UNAME, [WINDOW, 0, 0]),
        ("pipe to address 0", nr::PIPE, [0, 0, 0]),
        ("nanosleep from kernel memory", nr::NANOSLEEP, [KERNEL, 0, 0]),
        (
            "clock_gettime to kernel memory",
            nr::CLOCK_GETTIME,
            [0, KERNEL, 0],
        ),
        (
            "set_thread_area from kernel memory",
            nr::SET_THREAD_AREA,
            [KERNEL, 0, 0],
        ),
        (
            "rt_sigaction from kernel memory",
            nr::RT_SIGACTION,
            [10, KERNEL, 0],
        ),
        (
            "execve with a path in kernel memory",
            nr::EXECVE,
            [KERNEL, here, here],
        ),
    ] {
        let mut all = [0; 6];
        all[..3].copy_from_slice(&args);
        if number == nr::RT_SIGACTION {
            all[3] = 8;
        }
        // SAFETY: the kernel must refuse all of these; one that it does not refuse is a failure that is reported.
        let result = unsafe { sys::raw(number, all) };
        checks.equal(what, result, Err(Errno::EFAULT));
    }
    status_of_a_child(checks);
    let mut rest = [0; 16];
    let left = sys::read(read_end.cast_signed(), &mut rest);
    checks.equal(
        "nothing was taken from the pipe by the refused reads",
        left,
        Ok(10),
    );
    let _ = sys::close(read_end.cast_signed());
    let _ = sys::close(write_end.cast_signed());
}

/// Whether the child is gone after a refused status is Linux's secret (it is); that the call says EFAULT is not.
fn status_of_a_child(checks: &mut Checks) {
    let Ok(child) = process::spawn(|| 0) else {
        checks.that("a child to wait for", false);
        return;
    };
    // SAFETY: as above.
    let result = unsafe { sys::raw(nr::WAIT4, [child.cast_unsigned(), KERNEL, 0, 0, 0, 0]) };
    checks.equal(
        "wait4 with its status to kernel memory",
        result,
        Err(Errno::EFAULT),
    );
    let _ = process::wait_for(child);
}
