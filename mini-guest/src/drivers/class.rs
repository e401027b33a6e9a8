//! Names of kinds of devices, for people.
//!
//! Source: PCI Code and ID Assignment Specification 1.11.

/// What class and subclass of a PCI function mean.
#[must_use]
pub fn name(class: u8, subclass: u8) -> &'static str {
    match (class, subclass) {
        (0x01, 0x00) => "SCSI controller",
        (0x01, 0x01) => "IDE controller",
        (0x01, 0x06) => "SATA controller",
        (0x01, 0x08) => "NVMe controller",
        (0x01, _) => "storage controller",
        (0x02, 0x00) => "Ethernet controller",
        (0x02, _) => "network controller",
        (0x03, _) => "display controller",
        (0x04, _) => "multimedia device",
        (0x05, _) => "memory controller",
        (0x06, 0x00) => "host bridge",
        (0x06, 0x01) => "ISA bridge",
        (0x06, 0x04) => "PCI bridge",
        (0x06, _) => "bridge",
        (0x07, _) => "communication controller",
        (0x08, _) => "system peripheral",
        (0x0C, 0x03) => "USB controller",
        (0x0C, 0x05) => "SMBus",
        (0x0C, _) => "serial bus controller",
        (0x00, 0xFF) | (0xFF, _) => "device",
        _ => "unknown device",
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_subclass_is_named_before_its_class() {
        assert_eq!(name(1, 6), "SATA controller");
        assert_eq!(name(1, 0x77), "storage controller");
        assert_eq!(name(0x55, 0), "unknown device");
    }
}
