//! `signal`: what signals do by default, when ignored, when handled and when blocked.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

use programs::abi::Timespec;
use programs::args::Args;
use programs::check::Checks;
use programs::errno::Errno;
use programs::file::pipe;
use programs::process::{self, Ended};
use programs::signal::{
    self, Action, SA_RESETHAND, SA_RESTART, SA_SIGINFO, SIGCHLD, SIGFPE, SIGINT, SIGKILL, SIGSEGV, SIGTERM,
    SIGUSR1, SIGUSR2, bit,
};
use programs::{clock, sys};

programs::program!(main);

static SEEN: AtomicU32 = AtomicU32::new(0);
static LAST: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(number: i32) {
    SEEN.fetch_add(1, Relaxed);
    LAST.store(number, Relaxed);
}

/// How many signals were handled since the last question, and the last one's number.
fn seen() -> (u32, i32) {
    (SEEN.swap(0, Relaxed), LAST.swap(0, Relaxed))
}

fn to_myself(number: i32) {
    let _ = sys::kill(sys::getpid(), number);
}

fn main(_args: &Args) -> i32 {
    let mut checks = Checks::new("signal");
    defaults(&mut checks);
    handlers(&mut checks);
    blocked(&mut checks);
    interrupted(&mut checks);
    over_fork_and_exec(&mut checks);
    exceptions(&mut checks);
    refusals(&mut checks);
    checks.finish()
}

fn defaults(checks: &mut Checks) {
    for (what, number) in [
        ("SIGTERM", SIGTERM),
        ("SIGKILL", SIGKILL),
        ("SIGINT", SIGINT),
        ("SIGUSR1", SIGUSR1),
    ] {
        let ended = process::spawn(|| {
            clock::sleep_ms(10_000);
            0
        })
        .and_then(|child| sys::kill(child, number).and_then(|()| process::wait_for(child)));
        checks.equal(
            format_args!("{what} ends a sleeper"),
            ended.map(|(_, ended)| ended),
            Ok(Ended::Killed(number)),
        );
    }
    let ended = process::spawn(|| {
        loop {
            core::hint::spin_loop();
        }
    })
    .and_then(|child| {
        clock::sleep_ms(20);
        sys::kill(child, SIGTERM).and_then(|()| process::wait_for(child))
    });
    checks.equal(
        "SIGTERM ends a loop",
        ended.map(|(_, ended)| ended),
        Ok(Ended::Killed(SIGTERM)),
    );
    let ended = process::run(|| {
        to_myself(SIGCHLD);
        7
    });
    checks.equal("SIGCHLD does nothing by default", ended, Ok(Ended::Exited(7)));
    let ended = process::run(|| {
        let _ = signal::simple(SIGTERM, Action::Ignore);
        to_myself(SIGTERM);
        8
    });
    checks.equal("an ignored signal does nothing", ended, Ok(Ended::Exited(8)));
}

fn handlers(checks: &mut Checks) {
    let _ = seen();
    checks.equal(
        "a handler is set",
        signal::simple(SIGUSR1, Action::Handle(note)),
        Ok(()),
    );
    to_myself(SIGUSR1);
    checks.equal("it ran once, with the signal's number", seen(), (1, SIGUSR1));
    for _ in 0..1000 {
        to_myself(SIGUSR1);
    }
    checks.equal("and 1000 times more", seen(), (1000, SIGUSR1));
    checks.equal(
        "a handler with siginfo",
        signal::set(SIGUSR2, Action::Handle(note), SA_SIGINFO, 0),
        Ok(()),
    );
    to_myself(SIGUSR2);
    checks.equal("it ran", seen(), (1, SIGUSR2));
    let _ = signal::set(SIGUSR2, Action::Handle(note), SA_RESETHAND, 0);
    let ended = process::run(|| {
        to_myself(SIGUSR2);
        to_myself(SIGUSR2);
        0
    });
    checks.equal(
        "a handler for once, then the default",
        ended,
        Ok(Ended::Killed(SIGUSR2)),
    );
    // A handler may come between any two instructions of this sum.
    let ended = process::run(|| {
        let parent = sys::getppid();
        (0..200).for_each(|_| {
            let _ = sys::kill(parent, SIGUSR1);
        });
        0
    });
    let sum = core::hint::black_box(0..1_000_000_u64).fold(0, |sum: u64, number| sum ^ number.rotate_left(7));
    let again =
        core::hint::black_box(0..1_000_000_u64).fold(0, |sum: u64, number| sum ^ number.rotate_left(7));
    checks.that(
        "registers survive handlers",
        ended == Ok(Ended::Exited(0)) && sum == again && seen().0 >= 1,
    );
}

fn blocked(checks: &mut Checks) {
    let _ = signal::simple(SIGUSR1, Action::Handle(note));
    checks.equal(
        "a signal is blocked",
        sys::rt_sigprocmask(0, bit(SIGUSR1)).map(drop),
        Ok(()),
    );
    to_myself(SIGUSR1);
    to_myself(SIGUSR1);
    checks.equal("nothing comes", seen().0, 0);
    checks.equal(
        "it was the only blocked one",
        sys::rt_sigprocmask(1, bit(SIGUSR1)),
        Ok(bit(SIGUSR1)),
    );
    checks.equal("then it comes, once", seen(), (1, SIGUSR1));
    let before = sys::rt_sigprocmask(2, bit(SIGUSR1));
    to_myself(SIGUSR1);
    checks.equal("sigsuspend lets it through", sys::rt_sigsuspend(0), Errno::EINTR);
    checks.equal("and it came in there", seen().0, 1);
    checks.equal(
        "afterwards it is blocked again",
        sys::rt_sigprocmask(2, before.unwrap_or(0)),
        Ok(bit(SIGUSR1)),
    );
    let kill_blocked = sys::rt_sigprocmask(0, bit(SIGKILL)).and_then(|_| sys::rt_sigprocmask(1, 0));
    checks.equal("SIGKILL cannot be blocked", kill_blocked, Ok(0));
}

fn interrupted(checks: &mut Checks) {
    let poke = |after_ms: u32| {
        let parent = sys::getpid();
        process::spawn(move || {
            clock::sleep_ms(after_ms);
            i32::from(sys::kill(parent, SIGUSR1).is_err())
        })
    };
    let _ = signal::simple(SIGUSR1, Action::Handle(note));
    let child = poke(30);
    let rest = sys::nanosleep(Timespec {
        seconds: 5,
        nanoseconds: 0,
    });
    let told = matches!(rest, Err((Errno::EINTR, left)) if (1..5).contains(&left.seconds));
    checks.that(
        format_args!("sleep is interrupted and says what is left: {rest:?}"),
        told,
    );
    let _ = child.and_then(process::wait_for);
    let Ok((read_end, write_end)) = pipe() else { return };
    let child = poke(30);
    checks.equal(
        "read is interrupted",
        sys::read(read_end.descriptor(), &mut [0; 4]),
        Err(Errno::EINTR),
    );
    let _ = child.and_then(process::wait_for);
    let _ = signal::set(SIGUSR1, Action::Handle(note), SA_RESTART, 0);
    let child = poke(30);
    let writer = process::spawn(|| {
        clock::sleep_ms(90);
        i32::from(sys::write(write_end.descriptor(), b"x") != Ok(1))
    });
    let _ = seen();
    checks.equal(
        "read goes on with SA_RESTART",
        sys::read(read_end.descriptor(), &mut [0; 4]),
        Ok(1),
    );
    checks.equal("though the handler ran", seen().0, 1);
    for child in [child, writer] {
        let _ = child.and_then(process::wait_for);
    }
    let _ = signal::set(SIGCHLD, Action::Handle(note), SA_RESTART, 0);
    let ended = process::run(|| 3);
    checks.that(
        "SIGCHLD comes with a child's end",
        ended == Ok(Ended::Exited(3)) && seen() == (1, SIGCHLD),
    );
    let _ = signal::simple(SIGCHLD, Action::Default);
}

fn over_fork_and_exec(checks: &mut Checks) {
    let _ = signal::simple(SIGUSR1, Action::Handle(note));
    let ended = process::run(|| {
        let _ = seen();
        to_myself(SIGUSR1);
        i32::from(seen() != (1, SIGUSR1))
    });
    checks.equal("a child inherits handlers", ended, Ok(Ended::Exited(0)));
    let run = |action: Action| {
        process::run(|| {
            let _ = signal::simple(SIGTERM, action);
            // The new program sends itself SIGTERM and leaves with 9 if it lives.
            let arguments = process::c_strings([&b"sh"[..], b"-c", b"kill -TERM $$; exit 9"].into_iter());
            let environment = process::c_strings([&b"PATH=/bin:/usr/bin"[..]].into_iter());
            process::execute(b"/bin/sh", &arguments, &environment)
        })
    };
    checks.equal(
        "a new program has no handlers",
        run(Action::Handle(note)),
        Ok(Ended::Killed(SIGTERM)),
    );
    checks.equal(
        "but ignores what was ignored",
        run(Action::Ignore),
        Ok(Ended::Exited(9)),
    );
}

fn exceptions(checks: &mut Checks) {
    /// A handler that cannot repair anything leaves.
    extern "C" fn leave(number: i32) {
        process::exit(100 + number);
    }
    let ended = process::run(|| {
        let _ = signal::simple(SIGSEGV, Action::Handle(leave));
        // SAFETY: the write faults, and the handler ends this child.
        unsafe { core::arch::asm!("mov dword ptr ds:[0], 1") };
        0
    });
    checks.equal(
        "a handler for SIGSEGV runs",
        ended,
        Ok(Ended::Exited(100 + SIGSEGV)),
    );
    let ended = process::run(|| {
        let _ = signal::simple(SIGFPE, Action::Ignore);
        // SAFETY: the division faults, which ends this child.
        unsafe { core::arch::asm!("xor edx, edx", "div edx", out("eax") _, out("edx") _) };
        0
    });
    checks.equal("an exception cannot be ignored", ended, Ok(Ended::Killed(SIGFPE)));
}

fn refusals(checks: &mut Checks) {
    checks.equal(
        "SIGKILL has no handler",
        signal::simple(SIGKILL, Action::Handle(note)),
        Err(Errno::EINVAL),
    );
    checks.equal(
        "signal 65 does not exist",
        sys::kill(sys::getpid(), 65),
        Err(Errno::EINVAL),
    );
    checks.equal("signal 0 only asks", sys::kill(sys::getpid(), 0), Ok(()));
    let gone = process::spawn(|| 0).and_then(|child| process::wait_for(child).map(|_| child));
    checks.equal(
        "nobody is there",
        gone.and_then(|pid| sys::kill(pid, SIGTERM)),
        Err(Errno::ESRCH),
    );
}
