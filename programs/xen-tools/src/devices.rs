//! Devices that are a domain's alone: ports, interrupt lines, PCI functions.
//!
//! | key | option | value |
//! |---|---|---|
//! | `ioports` | `--ioport` | `"2f8-2ff"`, `"80"`: hexadecimal, first and last |
//! | `irqs` | `--irq` | `3` |
//! | `pci` | `--pci` | `"00:04.0"`: bus, device and function as `lspci` shows them |
//! | `unsafe_dma` | `--unsafe-dma` | 1: the functions may be master of the bus |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use guest_abi::domain::DomId;
use guest_abi::domctl::{IoPortPermission, IrqPermission, PciDevAccess};
use serde::{Deserialize, Serialize};

use crate::config::Value;
use crate::errno::Errno;
use crate::privileged::Privileged;

/// A range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// Reads `FIRST-LAST` or one number, hexadecimal.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            u16::from_str_radix(digits, 16)
                .ok()
                .filter(|_| digits.len() <= 4 && !digits.starts_with('+'))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("`{text}` is no range of ports: hexadecimal, as 2f8-2ff")),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.first, self.last)
    }
}

/// A PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its bus.
    pub bus: u8,
    /// Its device.
    pub device: u8,
    /// Its function.
    pub function: u8,
}

impl Function {
    /// Reads `BB:DD.F`; a segment `0000:` before it is accepted.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str, len: usize, limit: u8| {
            let is_plain = text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            u8::from_str_radix(text, 16)
                .ok()
                .filter(|&number| is_plain && number <= limit)
        };
        let place = text.strip_prefix("0000:").unwrap_or(text);
        let parts = place
            .split_once(':')
            .and_then(|(bus, rest)| Some((bus, rest.split_once('.')?)))
            .and_then(|(bus, (device, function))| {
                Some((
                    number(bus, 2, 255)?,
                    number(device, 2, 31)?,
                    number(function, 1, 7)?,
                ))
            });
        let (bus, device, function) =
            parts.ok_or_else(|| format!("`{text}` is no PCI function: bus:device.function, as 00:04.0"))?;
        Ok(Self {
            bus,
            device,
            function,
        })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{:x}", self.bus, self.device, self.function)
    }
}

/// What of the machine's devices a domain is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// Ports.
    pub ports: Vec<Ports>,
    /// Interrupt lines.
    pub lines: Vec<u8>,
    /// PCI functions.
    pub functions: Vec<Function>,
    /// Whether those may be master of the bus.
    pub unsafe_dma: bool,
}

impl Devices {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes a statement; `None`: the key is no device's.
    pub fn set(&mut self, key: &str, value: &Value) -> Option<Result<(), String>> {
        let list = core::slice::from_ref(value);
        // An option gives one more; a list is all of them.
        let (values, is_all) = match value {
            Value::List(values) => (&values[..], true),
            _ => (list, false),
        };
        Some(match key {
            "ioports" => extend(&mut self.ports, values, is_all, |value| {
                text(value).and_then(Ports::parse)
            }),
            "irqs" => extend(&mut self.lines, values, is_all, line),
            "pci" => extend(&mut self.functions, values, is_all, |value| {
                text(value).and_then(Function::parse)
            }),
            "unsafe_dma" => match value {
                Value::Number(number @ (0 | 1)) => {
                    self.unsafe_dma = *number == 1;
                    Ok(())
                }
                _ => Err("the value is 0 or 1".into()),
            },
            _ => return None,
        })
    }

    /// Gives all of them to domain `id`, which was just made. Those that were given before a refusal go with the domain.
    ///
    /// # Errors
    /// One line that says which one was refused, and why.
    pub fn give<H: Privileged>(&self, host: &H, id: DomId) -> Result<(), String> {
        for ports in &self.ports {
            let args = IoPortPermission {
                domain: id,
                allow: 1,
                pad: 0,
                first_port: ports.first.into(),
                nr_ports: u32::from(ports.last - ports.first) + 1,
            };
            let refused = |error| {
                format!(
                    "ports {ports}: {}",
                    why(error, "the hypervisor needs one of them itself")
                )
            };
            host.control(&args).map_err(refused)?;
        }
        for &function in &self.functions {
            let args = PciDevAccess {
                domain: id,
                bus: function.bus.into(),
                dev: function.device.into(),
                func: function.function.into(),
                allow: if self.unsafe_dma {
                    PciDevAccess::GIVE_WITH_DMA
                } else {
                    PciDevAccess::GIVE
                },
                ..PciDevAccess::default()
            };
            let refused = |error| match error {
                Errno::EPERM => format!(
                    "pci {function}: neither bridges nor the screen that the console is on are given away"
                ),
                error => format!(
                    "pci {function}: {}",
                    why(error, "its registers are such as nobody is given")
                ),
            };
            host.control(&args).map_err(refused)?;
        }
        // Behind the functions: a line of theirs comes with them.
        for &line in &self.lines {
            let args = IrqPermission {
                domain: id,
                allow: 1,
                pad: 0,
                irq: line.into(),
            };
            let refused = |error| format!("irq {line}: {}", why(error, "the hypervisor serves it itself"));
            host.control(&args).map_err(refused)?;
        }
        Ok(())
    }
}

/// What a refusal means here.
fn why(error: Errno, invalid: &str) -> String {
    match error {
        Errno::EBUSY => "another domain has it, or a device or driver here uses it".into(),
        Errno::EINVAL => invalid.into(),
        error => format!("{error}"),
    }
}

fn extend<T>(
    known: &mut Vec<T>,
    values: &[Value],
    is_all: bool,
    parse: impl Fn(&Value) -> Result<T, String>,
) -> Result<(), String> {
    let new: Vec<T> = values.iter().map(parse).collect::<Result<_, _>>()?;
    if is_all {
        known.clear();
    }
    known.extend(new);
    Ok(())
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("the value is a list of \"strings\"".into()),
    }
}

fn line(value: &Value) -> Result<u8, String> {
    let number = match value {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        Value::List(_) => None,
    };
    let line = number.and_then(|number| u8::try_from(number).ok());
    line.filter(|&line| line < 16)
        .ok_or_else(|| "an interrupt line is a number from 0 to 15".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_functions_are_read_as_they_are_shown() {
        for (text, shown) in [("2f8-2ff", "2f8-2ff"), ("0x80", "80-80"), ("0-ffff", "0-ffff")] {
            assert_eq!(format!("{}", Ports::parse(text).unwrap()), shown);
        }
        for text in [
            "", "-", "2ff-2f8", "10000", "2f8-", "g", "2f8-2ff-", "+80", "0x12345",
        ] {
            assert!(Ports::parse(text).is_err(), "{text}");
        }
        for (text, shown) in [("00:04.0", "00:04.0"), ("0000:fF:1f.7", "ff:1f.7")] {
            assert_eq!(format!("{}", Function::parse(text).unwrap()), shown);
        }
        for text in [
            "",
            "4",
            "0:4.0",
            "00:20.0",
            "00:04.8",
            "00:04",
            "00:4.0",
            "0001:00:04.0",
            "00:04.0 ",
        ] {
            assert!(Function::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_add_and_lists_replace() {
        let mut devices = Devices::default();
        let texts =
            |texts: &[&str]| Value::List(texts.iter().map(|text| Value::Text((*text).into())).collect());
        assert_eq!(devices.set("ioports", &texts(&["80", "2f8-2ff"])), Some(Ok(())));
        assert_eq!(devices.set("ioports", &Value::Text("60".into())), Some(Ok(())));
        assert_eq!(
            devices.set("irqs", &Value::List(vec![Value::Number(3)])),
            Some(Ok(()))
        );
        assert_eq!(devices.set("irqs", &Value::Text("5".into())), Some(Ok(())));
        assert_eq!(devices.set("pci", &texts(&["00:04.0"])), Some(Ok(())));
        assert_eq!(devices.set("unsafe_dma", &Value::Number(1)), Some(Ok(())));
        assert_eq!(
            (devices.ports.len(), &devices.lines[..], devices.unsafe_dma),
            (3, &[3, 5][..], true)
        );
        assert_eq!(devices.set("pci", &texts(&[])), Some(Ok(())));
        assert!(devices.functions.is_empty() && !devices.is_empty());
        for (key, value) in [
            ("ioports", Value::Number(8)),
            ("irqs", Value::Number(16)),
            ("irqs", Value::Text("x".into())),
            ("pci", texts(&["00:04.0", "x"])),
            ("unsafe_dma", Value::Number(2)),
        ] {
            let before = devices.clone();
            assert!(devices.set(key, &value).is_some_and(|set| set.is_err()), "{key}");
            assert_eq!(devices, before);
        }
        assert_eq!(devices.set("kernel", &Value::Number(1)), None);
    }
}
