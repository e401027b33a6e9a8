//! What entered the hypervisor, from QEMU's log of interrupts (`-d int`): which hypercalls and interrupts.
//!
//! The mini-guest asks for the hypervisor's version when it boots, and then before and behind each measured part: so these calls divide the log.

use anyhow::Result;
use std::io::BufRead;

/// The vector of hypercalls, and the calls that are counted by themselves.
const HYPERCALL: u32 = 0x82;
const XEN_VERSION: u32 = 17;
const EVENT_CHANNEL_OP: u32 = 16;
/// Vectors of exceptions and of programs' system calls; what is neither these nor a hypercall is an interrupt.
const EXCEPTIONS: u32 = 0x20;
const SYSTEM_CALL: u32 = 0x80;

/// What was counted in one part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entries {
    /// All hypercalls.
    pub calls: u64,
    /// Those of them that concern events.
    pub events: u64,
    /// Interrupts of devices and of the timer.
    pub interrupts: u64,
}

/// The parts of a log that lie between two marks.
///
/// # Errors
/// It cannot be read.
pub fn parts(log: impl BufRead) -> Result<Vec<Entries>> {
    let mut parts = Vec::new();
    let mut part: Option<Entries> = None;
    for line in log.split(b'\n') {
        let Some((vector, eax)) = entry(&String::from_utf8_lossy(&line?)) else {
            continue;
        };
        if (vector, eax) == (HYPERCALL, XEN_VERSION) {
            parts.extend(part.replace(Entries::default()));
        } else if let Some(part) = &mut part {
            if vector == HYPERCALL {
                part.calls += 1;
                part.events += u64::from(eax == EVENT_CHANNEL_OP);
            } else if vector >= EXCEPTIONS && vector != SYSTEM_CALL {
                part.interrupts += 1;
            }
        }
    }
    Ok(parts)
}

/// Vector and EAX of a line such as
/// `     0: v=82 e=0000 i=1 cpl=1 IP=e019:c00133b9 pc=c00133b9 SP=e021:c004aeb0 env->regs[R_EAX]=00000011`.
fn entry(line: &str) -> Option<(u32, u32)> {
    let (number, rest) = line.split_once(": v=")?;
    number.trim_start().parse::<u64>().ok()?;
    let vector = u32::from_str_radix(rest.get(..2)?, 16).ok()?;
    let eax = rest
        .split_once("[R_EAX]=")
        .and_then(|(_, digits)| u64::from_str_radix(digits.trim_end(), 16).ok());
    Some((vector, eax.unwrap_or(0) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(vector: u32, eax: u32) -> String {
        format!(
            "    12: v={vector:02x} e=0000 i=1 cpl=1 IP=e019:c00133b9 pc=c00133b9 SP=e021:c004aeb0 env->regs[R_EAX]={eax:016x}\n\
             RAX=0000000000000011 RBX=0\nCR0=80050033 CR2=0 CR3=01 CR4=000006b0\n"
        )
    }

    #[test]
    fn what_lies_between_two_marks_is_counted() {
        let log = [
            entry(0x82, 16),
            entry(0x82, 17),
            entry(0x82, 17),
            entry(0x82, 16),
            entry(0x82, 29),
            entry(0x0E, 20),
            entry(0xEB, 0),
            entry(0x80, 0),
            entry(0x82, 17),
            entry(0x82, 20),
        ]
        .concat();
        let expected = Entries {
            calls: 2,
            events: 1,
            interrupts: 1,
        };
        assert_eq!(parts(log.as_bytes()).unwrap(), [Entries::default(), expected]);
    }
}
