//! Ethernet addresses.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

/// An Ethernet address, in the order of its bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

// As numbers: tables compare addresses for each frame, and a comparison of bytes would be a call.
impl Ord for Mac {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for Mac {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Mac {
    /// To everybody.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address of a domain's interface where its configuration gives none: Xen's prefix 00:16:3e, then the domain's
    /// number and the device's.
    pub const fn of_domain(domain: u16, device: u8) -> Self {
        let [high, low] = domain.to_be_bytes();
        Self([0x00, 0x16, 0x3e, high, low, device])
    }

    /// Its bytes as one number, the first one highest.
    const fn number(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// Whether frames to it go to more than one interface (IEEE 802.3: the lowest bit of the first byte).
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not six numbers of two hexadecimal digits with colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMac;

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or(NotAMac)?;
            let is_digits = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(part, 16)
                .ok()
                .filter(|_| is_digits)
                .ok_or(NotAMac)?;
        }
        parts.next().is_none().then_some(Self(bytes)).ok_or(NotAMac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_and_back() {
        let mac = Mac::of_domain(0x0102, 3);
        assert_eq!(mac.to_string(), "00:16:3e:01:02:03");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert!(!mac.is_group() && Mac::BROADCAST.is_group());
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "00:16:3e:01:02",
            "00:16:3e:01:02:03:04",
            "0:16:3e:01:02:03",
            "00:16:3e:01:02:+3",
            "00-16-3e-01-02-03",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(NotAMac), "{text:?}");
        }
    }
}
