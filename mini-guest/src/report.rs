//! How a guest ends: verdicts of test guests, and what to do when the kernel itself is broken.

use core::cell::Cell;
use core::fmt;
use core::panic::PanicInfo;

use guest_abi::sched::ShutdownReason;
use guest_abi::verdict::Verdict;

use crate::cell::OneCpu;
use crate::{hypercall, println};

/// What a broken kernel gives as its reason. A test guest that breaks is at fault itself until it knows better.
static BROKEN_REASON: OneCpu<Cell<ShutdownReason>> = OneCpu::new(Cell::new(Verdict::Error.reason()));

/// Says with which reason the domain stops when its kernel panics or takes a trap it has no handler for.
pub fn set_broken_reason(reason: ShutdownReason) {
    BROKEN_REASON.set(reason);
}

/// Ends a test guest: everything was as it should be.
pub fn success() -> ! {
    end(Verdict::Success, format_args!(""))
}

/// Ends a test guest that cannot run here, and says why.
pub fn skip(why: fmt::Arguments<'_>) -> ! {
    end(Verdict::Skip, why)
}

/// Ends a test guest that is wrong itself or met what it did not expect.
pub fn error(what: fmt::Arguments<'_>) -> ! {
    end(Verdict::Error, what)
}

/// Ends a test guest that saw the hypervisor do what it must not do.
pub fn failure(what: fmt::Arguments<'_>) -> ! {
    end(Verdict::Failure, what)
}

fn end(verdict: Verdict, text: fmt::Arguments<'_>) -> ! {
    if text.as_str() == Some("") {
        println!("verdict: {verdict}");
    } else {
        println!("verdict: {verdict}: {text}");
    }
    hypercall::shutdown(verdict.reason())
}

/// Ends a kernel that cannot go on.
pub fn broken(what: fmt::Arguments<'_>) -> ! {
    println!("guest kernel: {what}");
    hypercall::shutdown(BROKEN_REASON.get())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    broken(format_args!("{info}"))
}

/// Goes on if `condition` holds; else ends the test guest with a failure that says what was found.
#[macro_export]
macro_rules! check {
    ($condition:expr $(,)?) => {
        if !$condition {
            $crate::report::failure(format_args!("{}:{}: {}", file!(), line!(), stringify!($condition)))
        }
    };
    ($condition:expr, $($argument:tt)+) => {
        if !$condition {
            $crate::report::failure(format_args!("{}:{}: {}", file!(), line!(), format_args!($($argument)+)))
        }
    };
}

/// Goes on if both are equal; else ends the test guest with a failure that shows them, and what the rest of the
/// arguments say.
#[macro_export]
macro_rules! check_eq {
    ($found:expr, $wanted:expr $(,)?) => {
        $crate::check_eq!($found, $wanted, "")
    };
    ($found:expr, $wanted:expr, $($argument:tt)+) => {
        match (&$found, &$wanted) {
            (found, wanted) => {
                if *found != *wanted {
                    $crate::report::failure(format_args!(
                        "{}:{}: {} is {:?}, not {:?} {}",
                        file!(),
                        line!(),
                        stringify!($found),
                        found,
                        wanted,
                        format_args!($($argument)+)
                    ))
                }
            }
        }
    };
}
