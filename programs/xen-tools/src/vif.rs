//! A network interface of a domain, as options and configuration files say it: `KEY=VALUE,…`.
//!
//! | key | meaning | without it |
//! |---|---|---|
//! | `mac` | the address, six numbers of two hexadecimal digits | `00:16:3e`, the domain's number, the device's |
//! | `ip`, `gw` | internet address with the length of its network's prefix, and the gateway | the domain asks for one |
//! | `rate` | most that the domain may send: `250KB/s`, `10Mb/s`, `1MB/s@20ms`; a number alone is KB/s | as much as it can |
//! | `permit` | 1: it may send from other addresses, as a bridge of its own would | 0 |
//! | `bridge`, `script`, `type`, `model`, `vifname` | taken for Xen's files' sake, and mean nothing: there is one bridge | |
//!
//! Source: Xen 4.x, `xl-network-configuration(5)`.

use alloc::format;
use alloc::string::{String, ToString};
use core::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Bytes of a KB, and of the others in their turn.
const KILO: u64 = 1000;
/// The interval in which a rate is kept, if none is said: 50 ms.
const INTERVAL_US: u64 = 50_000;
/// Longest interval: 10 s.
const MAX_INTERVAL_US: u64 = 10_000_000;

/// A network interface of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vif {
    /// Its address.
    pub mac: Option<String>,
    /// Its internet address as the store has it, `ADDRESS/PREFIX[,gw=ADDRESS]`.
    pub ip: Option<String>,
    /// Its rate.
    pub rate: Option<Rate>,
    /// Other sources are permitted.
    #[serde(default)]
    pub permit: bool,
}

/// How much may be sent in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Bytes.
    pub bytes: u32,
    /// Microseconds.
    pub interval_us: u32,
}

impl Rate {
    /// Reads `NUMBER[UNIT/s][@INTERVAL]`; units are B, KB, MB, GB (bytes) and b, Kb, Mb, Gb (bits).
    ///
    /// # Errors
    /// One line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rate: 250KB/s, 10Mb/s and 1MB/s@20ms are");
        let (rate, interval) = match text.split_once('@') {
            Some((rate, interval)) => (rate, parse_interval(interval).ok_or_else(wrong)?),
            None => (text, INTERVAL_US),
        };
        let digits = rate.find(|c: char| !c.is_ascii_digit()).unwrap_or(rate.len());
        let (number, unit) = rate.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (unit, bits) = match unit.strip_suffix("/s").unwrap_or(unit) {
            "" => ("K", 8),
            unit if unit.ends_with('b') => (unit.trim_end_matches('b'), 1),
            unit if unit.ends_with('B') => (unit.trim_end_matches('B'), 8),
            _ => return Err(wrong()),
        };
        let factor = match unit {
            "" => 1,
            "K" => KILO,
            "M" => KILO * KILO,
            "G" => KILO * KILO * KILO,
            _ => return Err(wrong()),
        };
        let per_second = u128::from(number) * u128::from(factor * bits) / 8;
        let bytes = per_second * u128::from(interval) / 1_000_000;
        let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes > 0);
        Ok(Self {
            bytes: bytes.ok_or_else(|| format!("`{text}` is too little or too much in an interval"))?,
            // Below 10 s.
            interval_us: interval as u32,
        })
    }

    /// As the store has it.
    pub fn to_key(self) -> String {
        format!("{},{}", self.bytes, self.interval_us)
    }

    /// From there.
    pub fn from_key(text: &str) -> Option<Self> {
        let (bytes, interval) = text.split_once(',')?;
        Some(Self {
            bytes: bytes.parse().ok()?,
            interval_us: interval.parse().ok().filter(|interval| *interval > 0)?,
        })
    }

    /// KB in a second.
    pub fn kb_per_second(self) -> u64 {
        u64::from(self.bytes) * KILO / u64::from(self.interval_us.max(1))
    }
}

fn parse_interval(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "us" => 1,
        "ms" => 1000,
        "s" => 1_000_000,
        _ => return None,
    };
    let interval = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (1..=MAX_INTERVAL_US).contains(&interval).then_some(interval)
}

impl Vif {
    /// Reads `KEY=VALUE,…`; nothing is an interface, too.
    ///
    /// # Errors
    /// One line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut vif = Self::default();
        let mut gateway = None;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("`{word}` is not KEY=VALUE"))?;
            match key {
                "mac" => vif.mac = Some(parse_mac(value)?),
                "ip" => vif.ip = Some(parse_ip(value)?),
                "gw" | "gateway" => gateway = Some(parse_address(value)?),
                "rate" => vif.rate = Some(Rate::parse(value)?),
                "permit" if matches!(value, "0" | "1") => vif.permit = value == "1",
                "permit" => return Err("permit is 0 or 1".into()),
                "bridge" | "script" | "type" | "model" | "vifname" => {}
                _ => {
                    return Err(format!(
                        "`{key}` is no key of a network interface: mac, ip, gw, rate and permit are"
                    ));
                }
            }
        }
        match (&mut vif.ip, gateway) {
            (Some(ip), Some(gateway)) => *ip += &format!(",gw={gateway}"),
            (None, Some(_)) => return Err("a gateway needs an address before it: ip=ADDRESS/PREFIX".into()),
            _ => {}
        }
        Ok(vif)
    }

    /// Its address, where it is device `device` of domain `domain`.
    pub fn mac_of(&self, domain: u16, device: u8) -> String {
        let [high, low] = domain.to_be_bytes();
        let default = || format!("00:16:3e:{high:02x}:{low:02x}:{device:02x}");
        self.mac.clone().unwrap_or_else(default)
    }
}

fn parse_mac(text: &str) -> Result<String, String> {
    let mut parts = 0;
    let is_byte = |part: &str| {
        parts += 1;
        part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    if !text.split(':').all(is_byte) || parts != 6 {
        return Err(format!(
            "`{text}` is no address: six numbers of two hexadecimal digits with colons are"
        ));
    }
    let mac = text.to_ascii_lowercase();
    let is_group = u8::from_str_radix(&mac[..2], 16).is_ok_and(|first| first & 1 != 0);
    if is_group || mac == "00:00:00:00:00:00" {
        return Err(format!("`{text}` is not the address of one machine"));
    }
    Ok(mac)
}

fn parse_address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no internet address"))
}

fn parse_ip(text: &str) -> Result<String, String> {
    let (address, prefix) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` has no prefix: 10.0.2.20/24 has"))?;
    let address = parse_address(address)?;
    let prefix = prefix
        .parse::<u8>()
        .ok()
        .filter(|prefix| (1..=30).contains(prefix));
    let prefix = prefix.ok_or_else(|| format!("`{text}`: a prefix is 1 to 30"))?;
    Ok(address.to_string() + &format!("/{prefix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_said() {
        let vif = Vif::parse(
            "mac=00:16:3E:01:02:03, ip=10.0.2.20/24,gw=10.0.2.2,rate=250KB/s,bridge=xenbr0,permit=1",
        );
        let wanted = Vif {
            mac: Some("00:16:3e:01:02:03".into()),
            ip: Some("10.0.2.20/24,gw=10.0.2.2".into()),
            rate: Some(Rate {
                bytes: 12_500,
                interval_us: 50_000,
            }),
            permit: true,
        };
        assert_eq!(vif.as_ref(), Ok(&wanted));
        assert_eq!(wanted.mac_of(1, 0), "00:16:3e:01:02:03");
        assert_eq!(Vif::parse(""), Ok(Vif::default()));
        assert_eq!(Vif::default().mac_of(0x0102, 3), "00:16:3e:01:02:03");
    }

    #[test]
    fn rates() {
        for (text, key) in [
            ("1000", "50000,50000"),
            ("1000KB/s", "50000,50000"),
            ("8Mb/s", "50000,50000"),
            ("1MB/s@20ms", "20000,20000"),
            ("20B/s@1s", "20,1000000"),
            ("1GB/s@100us", "100000,100"),
        ] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!(rate.to_key(), key, "{text}");
            assert_eq!(Rate::from_key(key), Some(rate));
        }
        assert_eq!(Rate::parse("250KB/s").unwrap().kb_per_second(), 250);
        for text in [
            "",
            "x",
            "0",
            "1B/s",
            "5TB/s",
            "1MB/s@",
            "1MB/s@11s",
            "1MB/s@0s",
            "99999GB/s",
            "-1",
        ] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_error_has_a_line() {
        for (text, part) in [
            ("mac", "KEY=VALUE"),
            ("mac=1:2:3:4:5:6", "no address"),
            ("mac=00:16:3e:00:00", "no address"),
            ("mac=01:00:00:00:00:00", "one machine"),
            ("mac=00:00:00:00:00:00", "one machine"),
            ("ip=10.0.2.20", "no prefix"),
            ("ip=10.0.2/24", "no internet address"),
            ("ip=10.0.2.20/31", "1 to 30"),
            ("gw=10.0.2.2", "before it"),
            ("permit=2", "0 or 1"),
            ("color=red", "no key"),
        ] {
            assert!(
                Vif::parse(text).is_err_and(|error| error.contains(part)),
                "{text}"
            );
        }
    }
}
