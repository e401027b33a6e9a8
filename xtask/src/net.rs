//! Network cards of the machine, each on a user network of its own: what `--net` says, and what QEMU is told.
//!
//! The user network is QEMU's own, without rights on the host: the first card's is 10.0.2.0/24 with the host at 10.0.2.2, a name
//! server at 10.0.2.3 and addresses by DHCP from 10.0.2.15 on; the next card's is 10.0.3.0/24, and so on. From outside nothing
//! comes in but what a forward lets in, and those listen on the host's own address 127.0.0.1.

use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;

/// Most cards: as many have a network of their own.
pub const MAX_CARDS: usize = 8;

/// A network card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Net {
    /// What it is.
    pub card: Card,
    /// Ports of the host that lead into its network.
    pub forwards: Vec<Forward>,
    /// Where all its frames are written to, in tcpdump's format.
    pub pcap: Option<PathBuf>,
}

/// Kinds of network cards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Card {
    /// Virtio's, on PCI.
    #[default]
    Virtio,
    /// Intel 82540EM.
    E1000,
    /// Intel 82574L.
    E1000e,
}

impl Card {
    const ALL: [(&'static str, Self, &'static str); 3] = [
        ("virtio", Self::Virtio, "virtio-net-pci"),
        ("e1000", Self::E1000, "e1000"),
        ("e1000e", Self::E1000e, "e1000e"),
    ];

    /// QEMU's name of the device.
    fn device(self) -> &'static str {
        let [virtio, e1000, e1000e] = Self::ALL.map(|(_, _, device)| device);
        match self {
            Self::Virtio => virtio,
            Self::E1000 => e1000,
            Self::E1000e => e1000e,
        }
    }
}

/// A port of the host that leads to one in the card's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Whether it is UDP's; otherwise TCP's.
    pub is_udp: bool,
    /// The host's port.
    pub from: u16,
    /// Where to; without an address it is the first that DHCP gives.
    pub address: Option<Ipv4Addr>,
    /// The port there.
    pub to: u16,
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let mut net = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            if let Some(name) = word.strip_prefix("card=") {
                let card = Card::ALL.iter().find(|(known, ..)| *known == name);
                net.card = card
                    .ok_or_else(|| format!("no card `{name}`: there are virtio, e1000 and e1000e"))?
                    .1;
            } else if let Some(file) = word.strip_prefix("pcap=") {
                net.pcap = Some(file.into());
            } else {
                net.forwards.push(word.parse()?);
            }
        }
        Ok(net)
    }
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (kind, from, address, to) = match *parts {
            [kind, from, to] => (kind, from, None, to),
            [kind, from, address, to] => (kind, from, Some(address), to),
            _ => {
                return Err(format!(
                    "`{text}` is neither a forward (such as tcp:8080:80 or tcp:8080:10.0.2.20:80) nor card=… or pcap=FILE"
                ));
            }
        };
        let is_udp = match kind {
            "tcp" => false,
            "udp" => true,
            _ => return Err(format!("`{kind}` is not forwarded: tcp and udp are")),
        };
        let port = |digits: &str| {
            let port = digits.parse().ok().filter(|port| *port != 0);
            port.ok_or_else(|| format!("`{digits}` is no port: they are 1 to 65535"))
        };
        let address = address
            .map(|text| {
                text.parse()
                    .map_err(|_| format!("`{text}` is no address such as 10.0.2.20"))
            })
            .transpose()?;
        Ok(Self {
            is_udp,
            from: port(from)?,
            address,
            to: port(to)?,
        })
    }
}

impl Net {
    /// Looks whether the host's ports are free.
    ///
    /// # Errors
    /// Names the one that is not.
    pub fn check_forwards(&self) -> Result<()> {
        for Forward { is_udp, from, .. } in &self.forwards {
            let address = (Ipv4Addr::LOCALHOST, *from);
            let (kind, tried) = if *is_udp {
                ("udp", UdpSocket::bind(address).map(drop))
            } else {
                ("tcp", TcpListener::bind(address).map(drop))
            };
            tried.with_context(|| {
                format!("--net: port {kind}:{from} of the host is not to be had; forward another one")
            })?;
        }
        Ok(())
    }
}

/// QEMU's arguments for the cards.
pub fn qemu_args(nets: &[Net]) -> Vec<String> {
    let mut args = Vec::new();
    for (n, net) in nets.iter().enumerate() {
        let third = 2 + n;
        let mut network = format!("user,id=net{n},net=10.0.{third}.0/24");
        for forward in &net.forwards {
            let kind = if forward.is_udp { "udp" } else { "tcp" };
            let address = forward
                .address
                .map_or_else(|| format!("10.0.{third}.15"), |address| address.to_string());
            let _ = write!(
                network,
                ",hostfwd={kind}:127.0.0.1:{}-{address}:{}",
                forward.from, forward.to
            );
        }
        args.extend(["-netdev".into(), network]);
        // Nothing boots from the network, so no ROM with a program for that is needed.
        let device = format!("{},netdev=net{n},romfile=", net.card.device());
        args.extend(["-device".into(), device]);
        if let Some(file) = &net.pcap {
            let file = file.display().to_string().replace(',', ",,");
            args.extend([
                "-object".into(),
                format!("filter-dump,id=dump{n},netdev=net{n},file={file}"),
            ]);
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_needs_no_words() {
        assert_eq!("".parse(), Ok(Net::default()));
        let args = qemu_args(&[Net::default(), "card=e1000".parse().unwrap()]);
        assert_eq!(
            args,
            [
                "-netdev",
                "user,id=net0,net=10.0.2.0/24",
                "-device",
                "virtio-net-pci,netdev=net0,romfile=",
                "-netdev",
                "user,id=net1,net=10.0.3.0/24",
                "-device",
                "e1000,netdev=net1,romfile="
            ]
        );
    }

    #[test]
    fn forwards_listen_on_the_host_alone() {
        let net = "tcp:8080:80,udp:53:10.0.2.20:5353,card=e1000e,pcap=/tmp/a"
            .parse()
            .unwrap();
        let args = qemu_args(&[net]);
        let network = "user,id=net0,net=10.0.2.0/24,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80,\
                       hostfwd=udp:127.0.0.1:53-10.0.2.20:5353";
        assert_eq!(args[1], network);
        assert_eq!(args[3], "e1000e,netdev=net0,romfile=");
        assert_eq!(args[5], "filter-dump,id=dump0,netdev=net0,file=/tmp/a");
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let net: Net = format!("tcp:{port}:80").parse().unwrap();
        let error = net.check_forwards().expect_err("taken");
        assert!(error.to_string().contains(&format!("tcp:{port}")), "{error}");
    }

    #[test]
    fn nonsense_is_named() {
        for (text, word) in [
            ("card=ne2k", "`ne2k`"),
            ("8080", "tcp:8080:80"),
            ("sctp:1:2", "`sctp`"),
            ("tcp:0:80", "`0`"),
            ("tcp:80:65536", "`65536`"),
            ("tcp:80:10.0.2:80", "`10.0.2`"),
            ("tcp:1:2:3:4", "tcp:1:2:3:4"),
        ] {
            let error = text.parse::<Net>().expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
