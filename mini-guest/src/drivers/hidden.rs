//! Which PCI functions Domain0 leaves alone: a function that it drives could not be given to another domain, since Domain0 has its registers mapped.
//!
//! `pci-hide=00:04.0,00:05.0` on the kernel's command line.

use alloc::vec::Vec;

use crate::command_line::option;

/// The option's name.
const OPTION: &[u8] = b"pci-hide=";

/// Bus, device and function of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden(Vec<(u8, u8, u8)>);

impl Hidden {
    /// What a command line says, and the words of it that are no address.
    #[must_use]
    pub fn parse(command_line: &[u8]) -> (Self, Vec<&[u8]>) {
        let (mut hidden, mut unknown) = (Self::default(), Vec::new());
        let list = option(command_line, OPTION).unwrap_or_default();
        for item in list.split(|byte| *byte == b',').filter(|item| !item.is_empty()) {
            match core::str::from_utf8(item).ok().and_then(address) {
                Some(at) => hidden.0.push(at),
                None => unknown.push(item),
            }
        }
        (hidden, unknown)
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn has(&self, bus: u8, device: u8, function: u8) -> bool {
        self.0.contains(&(bus, device, function))
    }
}

/// `00:04.0`, hexadecimal but for the function.
fn address(text: &str) -> Option<(u8, u8, u8)> {
    let (bus, rest) = text.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let number = |text: &str, most: u8| {
        let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u8::from_str_radix(text, 16)
            .ok()
            .filter(|number| is_hex && *number <= most)
    };
    Some((number(bus, 255)?, number(device, 31)?, number(function, 7)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let (hidden, unknown) = Hidden::parse(b"ip=dhcp pci-hide=00:04.0,3a:1f.7 quiet -- /bin/sh");
        assert_eq!(hidden, Hidden([(0, 4, 0), (0x3A, 0x1F, 7)].into()));
        assert!(unknown.is_empty());
        assert!(hidden.has(0, 4, 0));
        assert!(!hidden.has(0, 4, 1));
    }

    #[test]
    fn what_is_no_address_hides_nothing() {
        for text in [
            "", "4", "00:04", "00:20.0", "00:04.8", "100:00.0", "0x:04.0", "+1:04.0",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
        let (hidden, unknown) = Hidden::parse(b"pci-hide=nothing,00:04.0");
        assert_eq!(
            hidden,
            Hidden([(0, 4, 0)].into()),
            "the others are hidden all the same"
        );
        assert_eq!(unknown, [b"nothing"]);
    }
}
