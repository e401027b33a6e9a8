//! What the program `netlog` said of its transfers.

use crate::check;
use crate::suite::{Outcome, Stop, fixture};
use std::collections::BTreeMap;

/// The byte at a place of a transfer, on its way back to whoever made it.
fn byte(number: u32, at: u32) -> u8 {
    ((at ^ number.wrapping_mul(0x85EB_CA6B) ^ 1).wrapping_mul(0x9E37_79B1) >> 24) as u8
}

/// FNV-1a of all of them.
fn sum(number: u32, bytes: u32) -> u32 {
    (0..bytes).fold(0x811C_9DC5, |sum, at| {
        (sum ^ u32::from(byte(number, at))).wrapping_mul(0x0100_0193)
    })
}

/// Number, bytes and checksum of a line.
fn transfer(line: &str) -> Option<(u32, u32, u32)> {
    let (number, rest) = line.trim_end().strip_prefix("transfer ")?.split_once(": ")?;
    let (bytes, sum) = rest.split_once(" bytes, sum ")?;
    Some((
        number.parse().ok()?,
        bytes.parse().ok()?,
        u32::from_str_radix(sum, 16).ok()?,
    ))
}

/// Each transfer of a domain was complete and right, none is missing between the first and the last, and none failed. Programs that run at the same
/// time make transfers of different lengths.
pub fn are_whole(output: &str, domain: &str) -> Outcome {
    let seen = fixture::tail(output);
    let start = format!("{domain}: netlog: ");
    let mut done = BTreeMap::new();
    for line in output.lines() {
        let Some((_, line)) = line.split_once(&start) else {
            continue;
        };
        let Some((number, bytes, found)) = transfer(line) else {
            return Err(Stop::Fail(format!("{line:?}\n{seen}")));
        };
        let last = done.insert(bytes, number).unwrap_or(0);
        check!(
            number == last + 1 && bytes > 0 && found == sum(number, bytes),
            "{line:?} behind transfer {last}, instead of the sum {:x}\n{seen}",
            sum(number, bytes)
        );
    }
    let enough = !done.is_empty() && done.values().all(|count| *count > 1);
    check!(enough, "there were no transfers of {domain}: {done:?}\n{seen}");
    check!(
        !output.contains("netlog: serve: "),
        "the other side had a bad one\n{seen}"
    );
    Ok(())
}
