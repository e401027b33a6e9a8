//! `fault [-l | NUMBER]`: tries what ring 3 must not do, each in a child of its own, and says what came of it.
//!
//! Every attempt must end its child by the expected signal; the others are system calls with addresses that are not
//! the program's, which must answer EFAULT. `fault -l` lists the attempts; `fault NUMBER` makes one of them in this
//! very process, so that the shell sees it die.
#![no_std]
#![no_main]

extern crate alloc;

mod attempts;
mod pointers;

use programs::args::{self, Args};
use programs::check::Checks;
use programs::process::{self, Ended};
use programs::signal;
use programs::{eprintln, machine, println};

use attempts::{ATTEMPTS, Attempt, SURVIVED};

programs::program!(main);

fn main(args: &Args) -> i32 {
    match (args.len(), args.get(1)) {
        (1, _) => try_all(),
        (2, Some(b"-l")) => {
            for (number, attempt) in ATTEMPTS.iter().enumerate() {
                println!("{number:3} {:45} {}", attempt.name, signal::name(attempt.signal));
            }
            0
        }
        (2, Some(number)) => match args::number(number).and_then(|number| ATTEMPTS.get(number as usize)) {
            Some(attempt) => (attempt.run)(),
            None => {
                eprintln!("fault: there are the attempts 0 to {}", ATTEMPTS.len() - 1);
                2
            }
        },
        _ => {
            eprintln!("usage: fault [-l | NUMBER]");
            2
        }
    }
}

fn try_all() -> i32 {
    let mut checks = Checks::new("fault");
    let on_xenlite = machine::is_xenlite();
    for attempt in ATTEMPTS {
        if attempt.only_xenlite && !on_xenlite {
            checks.skip(attempt.name, "another kernel may allow it");
        } else {
            try_one(attempt, &mut checks);
        }
    }
    pointers::try_all(&mut checks);
    checks.finish()
}

fn try_one(attempt: &Attempt, checks: &mut Checks) {
    match process::run(|| (attempt.run)()) {
        Ok(Ended::Killed(signal)) if signal == attempt.signal => {
            checks.that(
                format_args!("{}: killed by {}", attempt.name, signal::name(signal)),
                true,
            );
        }
        Ok(Ended::Exited(SURVIVED)) => checks.that(format_args!("{}: survived", attempt.name), false),
        Ok(other) => {
            let expected = signal::name(attempt.signal);
            checks.that(
                format_args!("{}: {other}, expected {expected}", attempt.name),
                false,
            );
        }
        Err(error) => checks.that(format_args!("{}: no process: {error}", attempt.name), false),
    }
}
