//! What lines of a machine's output say: which address, of which kernel.

/// How the line of `info` with the instruction pointer begins.
pub const REGISTERS: &str = "registers ";

/// The kernel of the domain that `info` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The tools do not know it.
    Unknown,
    /// Domain0's.
    Domain0,
    /// What the domain's settings name.
    Named(String),
}

impl Kernel {
    /// What a line of `info` says about it.
    pub fn of_line(line: &str) -> Option<Self> {
        let (label, value) = line.split_once(": ")?;
        match (label.trim_end(), value.trim()) {
            ("id", "0") => Some(Self::Domain0),
            ("id", _) => Some(Self::Unknown),
            ("kernel", name) => Some(Self::Named(name.into())),
            _ => None,
        }
    }
}

/// Whether a line of the hypervisor's log is about a domain that is not Domain0: it says `d3`, `d3:` or `(d3v0)`.
pub fn names_another_domain(line: &str) -> bool {
    line.split([' ', ':', '(', ')']).any(|word| {
        let number = word.strip_prefix('d').map(|number| number.trim_end_matches("v0"));
        number.is_some_and(|number| number.parse::<u16>().is_ok_and(|number| number > 0))
    })
}

/// The code address that a line of a trace shows, and whether it is a return address.
pub fn frame_address(line: &str) -> Option<(u64, bool)> {
    let hex = |text: &str| {
        let digits = text.strip_prefix("0x")?;
        let end = digits
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        (8..=16)
            .contains(&end)
            .then(|| u64::from_str_radix(&digits[..end], 16).ok())?
    };
    if let Some((_, rest)) = line.split_once('#') {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|digits| *digits > 0);
        if let Some(digits) = digits {
            let number: u32 = rest[..digits].parse().ok()?;
            return hex(rest[digits..].trim_start()).map(|address| (address, number > 0));
        }
    }
    // An instruction pointer with its segment, in a line of registers: `cs:eip e019:c00003e1`.
    if let Some((_, rest)) = line.split_once("ip ")
        && let Some((_, address)) = rest
            .split_once(':')
            .filter(|(selector, _)| is_hex(selector, 4..=4))
    {
        let digits = address.split(|c: char| !c.is_ascii_hexdigit()).next()?;
        return is_hex(digits, 8..=16).then(|| u64::from_str_radix(digits, 16).ok().map(|at| (at, false)))?;
    }
    let (_, rest) = line.rsplit_once(" at 0x")?;
    // Take the prefix along again.
    hex(&line[line.len() - rest.len() - 2..]).map(|address| (address, false))
}

/// Whether a text is a hexadecimal number of so many digits.
fn is_hex(text: &str, digits: std::ops::RangeInclusive<usize>) -> bool {
    digits.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_faults_are_recognised() {
        assert_eq!(
            frame_address("  #0 0xffff828000101234"),
            Some((0xffff_8280_0010_1234, false))
        );
        assert_eq!(
            frame_address("(d0v0)  #12 0xc0101234 "),
            Some((0xc010_1234, true))
        );
        assert_eq!(
            frame_address("panicked at 0xffff828000101234, sorry"),
            Some((0xffff_8280_0010_1234, false))
        );
        for other in [
            "",
            "#",
            "#0",
            "#0 0x12",
            "#x 0xffff828000101234",
            "issue #5 is open",
            "at 0xzz",
            "C# at 0x1",
        ] {
            assert_eq!(frame_address(other), None, "{other}");
        }
    }

    #[test]
    fn lines_say_whose_address_it_is() {
        assert_eq!(
            Kernel::of_line("id                     : 0"),
            Some(Kernel::Domain0)
        );
        assert_eq!(Kernel::of_line("memory                 : 1 KiB"), None);
        for (line, is_other) in [
            ("WARN  [    1.0] d3 killed: at 0xc0001000", true),
            ("d12: last saved eip e019:c0001000", true),
            ("(d3v0)  #1 0xc0001000", true),
            ("(d0v0)  #1 0xc0001000", false),
            ("d0: last saved eip e019:c0001000", false),
            ("dead beef d", false),
        ] {
            assert_eq!(names_another_domain(line), is_other, "{line}");
        }
    }
}
