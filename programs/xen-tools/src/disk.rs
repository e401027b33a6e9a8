//! Disks of domains, as options and configuration files name them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The ordinary weight of a disk's user.
pub const WEIGHT: u32 = 100;
/// The largest.
const MAX_WEIGHT: u32 = 1000;
/// The number of `xvda`.
const FIRST_DEVICE: u32 = 202 << 8;
/// From one disk to the next: the numbers between are partitions'.
const DEVICE_STEP: u32 = 16;

/// A disk of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Domain0's name for it.
    pub disk: String,
    /// The domain's name for it, or the first that is free.
    pub device: Option<String>,
    /// The domain does not write there.
    #[serde(default)]
    pub is_read_only: bool,
    /// Its share of the disk, beside others who use it, if it is not the ordinary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

impl Disk {
    /// Reads `DISK[,DEVICE[,r|w]][,weight=N]`, where DISK may have `phy:` before it, or is `file:` and a path; without DEVICE the domain's first free name is taken.
    ///
    /// # Errors
    /// One line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut weight = None;
        let mut plain = Vec::new();
        for word in text.split(',').map(str::trim) {
            match word.strip_prefix("weight=") {
                Some(value) => weight = Some(weight_of(value)?),
                None => plain.push(word),
            }
        }
        let mut words = plain.into_iter();
        let disk = words.next().unwrap_or_default();
        if disk
            .strip_prefix("file:")
            .is_some_and(|path| !path.starts_with('/'))
        {
            return Err(format!(
                "`{text}`: behind `file:` is a whole path, which begins with a slash"
            ));
        }
        let disk = disk.strip_prefix("phy:").unwrap_or(disk);
        let disk = disk.strip_prefix("/dev/").unwrap_or(disk);
        if disk.is_empty() {
            return Err(format!("`{text}` names no disk"));
        }
        let device = words.next().filter(|name| !name.is_empty()).map(String::from);
        if let Some(device) = &device {
            device_number(device)?;
        }
        let is_read_only = match words.next() {
            None | Some("w" | "rw") if words.next().is_none() => false,
            Some("r" | "ro") if words.next().is_none() => true,
            _ => return Err(format!("`{text}`: it is DISK,DEVICE, and r or w behind that")),
        };
        let disk = disk.into();
        Ok(Self {
            disk,
            device,
            is_read_only,
            weight,
        })
    }
}

/// Reads a weight.
///
/// # Errors
/// One line.
pub fn weight_of(text: &str) -> Result<u32, String> {
    let weight = text
        .parse()
        .ok()
        .filter(|weight| (1..=MAX_WEIGHT).contains(weight));
    weight.ok_or_else(|| {
        format!("`{text}` is no weight: a number from 1 to {MAX_WEIGHT} is, {WEIGHT} is the ordinary one")
    })
}

/// The number of a device in the store, by its name: Linux's of `xvda` to `xvdz`.
///
/// # Errors
/// One line.
pub fn device_number(name: &str) -> Result<u32, String> {
    match name.strip_prefix("xvd").map(str::as_bytes) {
        Some(&[letter @ b'a'..=b'z']) => Ok(FIRST_DEVICE + DEVICE_STEP * u32::from(letter - b'a')),
        _ => Err(format!("`{name}` is no name of a disk: xvda to xvdz are")),
    }
}

/// The name of the device with that number.
pub fn device_name(number: u32) -> Option<String> {
    let index = number.checked_sub(FIRST_DEVICE)? / DEVICE_STEP;
    let letter = u8::try_from(index).ok().filter(|index| *index < 26)?;
    Some(format!("xvd{}", char::from(b'a' + letter)))
}
