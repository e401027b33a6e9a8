//! `top`: who uses processor and memory, refreshed in place on a terminal.

use alloc::format;
use alloc::string::String;

use guest_abi::domctl::PhysInfo;
use programs::abi::{POLLIN, PollFd};
use programs::io::{STDIN, STDOUT};
use programs::terminal::{self, Raw};
use programs::{args, clock, io, sys};
use xen_tools::options::{Word, Words, dashed, unknown};
use xen_tools::privileged::Privileged;
use xen_tools::size::PAGE_KIB;
use xen_tools::view::{self, Sample};
use xen_tools::{builder, weight};

use crate::Outcome;
use crate::domains;
use crate::host::Host;

/// Cursor to the upper left corner; clear from there to the end of the screen.
const HOME: &str = "\x1b[H\x1b[J";
/// What Ctrl-C is, where it is no signal.
const CTRL_C: u8 = 3;

struct Options {
    count: Option<u32>,
    delay_ns: u64,
    plain: bool,
    json: bool,
}

/// `top [-n COUNT] [-d SECONDS] [-b] [--json]`.
pub fn top(words: &[&str]) -> Outcome {
    let options = parse(words)?;
    let host = Host::open()?;
    let in_place =
        !options.plain && !options.json && terminal::is_terminal(STDOUT) && terminal::is_terminal(STDIN);
    // What cannot be left by a key ends by itself.
    let count = options.count.or((!in_place).then_some(1));
    let raw = if in_place { Raw::enter(STDIN).ok() } else { None };
    let mut before = sample(&host)?;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        if pass(options.delay_ns, raw.is_some()) {
            break;
        }
        let now = sample(&host)?;
        let rows = view::rows(&before, &now);
        let text = if options.json {
            view::json(&rows)
        } else {
            let screen = view::screen(&rows, &now, clock::wall_seconds());
            if raw.is_some() {
                format!("{HOME}{screen}\nq leaves\n")
            } else {
                screen
            }
        };
        io::out(text.as_bytes());
        if io::output_failed() {
            break;
        }
        before = now;
        shown += 1;
    }
    Ok(())
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let mut options = Options {
        count: None,
        delay_ns: clock::SECOND_NS,
        plain: false,
        json: false,
    };
    let mut words = Words::new(words);
    while let Some(word) = words.take()? {
        match word {
            Word::Option("b" | "batch") => options.plain = true,
            Word::Option("json") => options.json = true,
            Word::Option(option @ ("n" | "iterations")) => {
                let text = words.value(option)?;
                let count = args::number(text.as_bytes()).filter(|count| *count > 0);
                options.count =
                    Some(count.ok_or_else(|| format!("{}: `{text}` is no count", dashed(option)))?);
            }
            Word::Option(option @ ("d" | "delay")) => {
                let text = words.value(option)?;
                let delay = clock::parse_seconds(text.as_bytes()).filter(|delay| *delay > 0);
                options.delay_ns =
                    delay.ok_or_else(|| format!("{}: `{text}` is no time in seconds", dashed(option)))?;
            }
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(word) => return Err(format!("what is `{word}`? `top --help` says what it takes")),
        }
    }
    Ok(options)
}

/// Lets time pass; says whether a key asked to leave.
fn pass(delay_ns: u64, keys: bool) -> bool {
    if !keys {
        clock::sleep_ns(delay_ns);
        return false;
    }
    let end = clock::monotonic_ns().saturating_add(delay_ns);
    loop {
        let left = end.saturating_sub(clock::monotonic_ns());
        let milliseconds = i32::try_from(left.div_ceil(1_000_000)).unwrap_or(i32::MAX);
        let mut input = [PollFd {
            fd: STDIN,
            events: POLLIN,
            revents: 0,
        }];
        if !matches!(sys::poll(&mut input, milliseconds), Ok(1..)) {
            return false;
        }
        // One byte: what is typed ahead belongs to whoever reads next.
        let mut key = [0];
        match sys::read(STDIN, &mut key) {
            Ok(0) => return true,
            Ok(_) if matches!(key[0], b'q' | b'Q' | CTRL_C) => return true,
            _ => {}
        }
    }
}

fn sample(host: &Host) -> Result<Sample, String> {
    let physical = host
        .control(&PhysInfo::default())
        .map_err(|error| format!("asking about the machine: {error}"))?;
    let known = domains::all(host)?;
    let domains = known.iter().map(|known| {
        let params = builder::scheduling(host, known.id()).ok();
        (
            known.view(),
            params.map(|params| weight::from_advance(params.mcu_advance)),
        )
    });
    Ok(Sample {
        at_ns: clock::monotonic_ns(),
        domains: domains.collect(),
        total_kib: u64::from(physical.total_pages) * PAGE_KIB,
        free_kib: u64::from(physical.free_pages) * PAGE_KIB,
    })
}
