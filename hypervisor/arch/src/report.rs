//! What the hardware says of an exception, in words: for a panic, and for the line about a killed guest.
//!
//! Source: Intel SDM vol. 3A, table 6-1, 4.7 (page-fault error code), 6.13 (selector error code).

use core::fmt;

/// The name of an exception by its vector; others are interrupts.
#[must_use]
pub const fn exception_name(vector: u8) -> &'static str {
    match vector {
        0 => "#DE divide error",
        1 => "#DB debug",
        2 => "NMI",
        3 => "#BP breakpoint",
        4 => "#OF overflow",
        5 => "#BR bound range exceeded",
        6 => "#UD invalid opcode",
        7 => "#NM device not available",
        8 => "#DF double fault",
        10 => "#TS invalid TSS",
        11 => "#NP segment not present",
        12 => "#SS stack fault",
        13 => "#GP general protection",
        14 => "#PF page fault",
        16 => "#MF floating-point error",
        17 => "#AC alignment check",
        18 => "#MC machine check",
        19 => "#XM SIMD floating-point error",
        20 => "#VE virtualization exception",
        21 => "#CP control protection",
        9 | 15 | 22..32 => "reserved exception",
        32.. => "interrupt",
    }
}

/// An error code together with the vector that pushed it, which says how to read it. Shows nothing for vectors
/// that push none.
#[derive(Clone, Copy, Debug)]
pub struct ErrorCode {
    /// The exception.
    pub vector: u8,
    /// Its error code.
    pub code: u32,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vector {
            14 => page_fault(self.code, f),
            10..=13 => selector(self.code, f),
            8 | 17 | 21 => write!(f, "error code {:#x}", self.code),
            _ => Ok(()),
        }
    }
}

fn page_fault(code: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is = |bit: u32| code & (1 << bit) != 0;
    let access = match () {
        () if is(4) => "instruction fetch",
        () if is(1) => "write",
        () => "read",
    };
    let ring = if is(2) { "user" } else { "supervisor" };
    let page = if is(0) {
        "forbidden by its page's rights"
    } else {
        "of a page that is not present"
    };
    write!(f, "{ring} {access} {page}")?;
    for (bit, note) in [
        (3, "reserved bit set in an entry"),
        (5, "protection key"),
        (6, "shadow stack"),
    ] {
        if is(bit) {
            write!(f, ", {note}")?;
        }
    }
    Ok(())
}

fn selector(code: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if code == 0 {
        return f.write_str("no selector to blame");
    }
    let index = code >> 3 & 0x1FFF;
    match code >> 1 & 3 {
        0 => write!(f, "GDT entry {index:#x}")?,
        2 => write!(f, "LDT entry {index:#x}")?,
        _ => write!(f, "IDT vector {index:#x}")?,
    }
    f.write_str(if code & 1 != 0 {
        ", from outside the program"
    } else {
        ""
    })
}

/// The general registers as two-column text of fixed width, `rax` first.
#[derive(Clone, Copy, Debug)]
pub struct Registers<'a>(pub &'a [(&'static str, u64)]);

impl fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.0.iter().enumerate() {
            let gap = match position {
                0 => "  ",
                _ if position % 4 == 0 => "\n  ",
                _ => "  ",
            };
            write!(f, "{gap}{name:>6} {value:016x}")?;
        }
        Ok(())
    }
}

/// The flags that are set, by name, and the I/O privilege level.
#[derive(Clone, Copy, Debug)]
pub struct Flags(pub u64);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u32, &str); 14] = [
            (0, "CF"),
            (2, "PF"),
            (4, "AF"),
            (6, "ZF"),
            (7, "SF"),
            (8, "TF"),
            (9, "IF"),
            (10, "DF"),
            (11, "OF"),
            (14, "NT"),
            (16, "RF"),
            (17, "VM"),
            (18, "AC"),
            (21, "ID"),
        ];
        write!(f, "IOPL={}", self.0 >> 12 & 3)?;
        NAMES
            .iter()
            .filter(|(bit, _)| self.0 & (1 << bit) != 0)
            .try_for_each(|(_, name)| write!(f, " {name}"))
    }
}
