//! How an interface gets its address: `ADDRESS/PREFIX[,gw=ADDRESS]`, or by DHCP.

use core::net::Ipv4Addr;

/// Where the address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// It is asked for on the network (RFC 2131).
    Dhcp,
    /// It is given.
    Fixed(Address),
}

/// An address, how many of its bits are the network's, and who forwards what is for elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of the network: 0 to 32.
    pub prefix: u8,
    /// The gateway.
    pub gateway: Option<Ipv4Addr>,
}

/// Neither `dhcp` nor `ADDRESS/PREFIX[,gw=ADDRESS]` with an address that one machine can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAddress;

impl Addressing {
    /// Reads what a command line or the store says.
    ///
    /// # Errors
    /// [`NotAnAddress`].
    pub fn parse(text: &str) -> Result<Self, NotAnAddress> {
        if text == "dhcp" {
            return Ok(Self::Dhcp);
        }
        let (own, gateway) = match text.split_once(",gw=") {
            Some((own, gateway)) => (own, Some(gateway.parse().map_err(|_| NotAnAddress)?)),
            None => (text, None),
        };
        let (address, prefix) = own.split_once('/').ok_or(NotAnAddress)?;
        let is_digits = prefix.bytes().all(|digit| digit.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| is_digits).ok_or(NotAnAddress)?;
        let address = address.parse().map_err(|_| NotAnAddress)?;
        Address::new(address, prefix, gateway)
            .map(Self::Fixed)
            .ok_or(NotAnAddress)
    }
}

impl Address {
    /// An address that one machine can have.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8, gateway: Option<Ipv4Addr>) -> Option<Self> {
        let is_good = is_host(address) && prefix <= 32 && gateway.is_none_or(is_host);
        is_good.then_some(Self {
            address,
            prefix,
            gateway,
        })
    }

    /// The network's mask.
    #[must_use]
    pub fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0))
    }

    /// The address of all in the network.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.netmask().to_bits())
    }

    /// Whether `other` is in the same network.
    #[must_use]
    pub fn is_near(self, other: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ other.to_bits()) & self.netmask().to_bits() == 0
    }
}

/// Whether one machine can have it (and it is not every machine's own).
fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(Addressing::parse("dhcp"), Ok(Addressing::Dhcp));
        let Ok(Addressing::Fixed(address)) = Addressing::parse("10.0.2.7/24,gw=10.0.2.2") else {
            panic!("refused");
        };
        assert_eq!(address.address, Ipv4Addr::new(10, 0, 2, 7));
        assert_eq!(address.gateway, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(address.netmask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(address.broadcast(), Ipv4Addr::new(10, 0, 2, 255));
        assert!(address.is_near(Ipv4Addr::new(10, 0, 2, 200)));
        assert!(!address.is_near(Ipv4Addr::new(10, 0, 3, 7)));
    }

    #[test]
    fn prefixes_at_the_ends() {
        let at = |prefix| Address::new(Ipv4Addr::new(192, 168, 1, 1), prefix, None).unwrap();
        assert_eq!(at(0).netmask(), Ipv4Addr::UNSPECIFIED);
        assert_eq!(at(32).netmask(), Ipv4Addr::BROADCAST);
        assert!(at(0).is_near(Ipv4Addr::new(8, 8, 8, 8)));
        assert!(!at(32).is_near(Ipv4Addr::new(192, 168, 1, 2)));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "10.0.2.7",
            "10.0.2.7/33",
            "10.0.2.7/+4",
            "10.0.2.7/",
            "10.0.2/24",
            "0.0.0.0/0",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "255.255.255.255/32",
            "10.0.2.7/24,gw=",
            "10.0.2.7/24,gw=127.0.0.1",
            "10.0.2.7/24,10.0.2.2",
            "DHCP",
        ] {
            assert_eq!(Addressing::parse(text), Err(NotAnAddress), "{text:?}");
        }
    }
}
