//! `ifconfig [-w]`: the network interfaces with their addresses, and what went through them; with `-w` once one has an address that is not
//! only this machine's own.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use programs::abi::{
    InterfaceRequest, SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFMTU, SIOCGIFNETMASK,
};
use programs::args::Args;
use programs::errno::Result;
use programs::socket::Socket;
use programs::{clock, eprintln, file, io, println, sys};

programs::program!(main);

/// Between two looks at whether there is an address.
const PAUSE_MS: u32 = 100;
const FLAGS: [(u32, &str); 4] = [(1, "UP"), (2, "BROADCAST"), (8, "LOOPBACK"), (0x40, "RUNNING")];

fn main(args: &Args) -> i32 {
    let waits = match args.get(1) {
        None => false,
        Some(b"-w") if args.len() == 2 => true,
        Some(_) => {
            eprintln!("usage: ifconfig [-w]");
            return 2;
        }
    };
    let shown = Socket::datagram().and_then(|socket| {
        while waits && !has_address(&socket)? {
            clock::sleep_ms(PAUSE_MS);
        }
        let text = file::read_file(b"/proc/net/dev")?;
        let text = String::from_utf8_lossy(&text).into_owned();
        for line in text.lines().skip(2) {
            if let Some((name, counters)) = line.split_once(':') {
                show(&socket, name.trim(), counters);
            }
        }
        Ok(())
    });
    match shown {
        Ok(()) => i32::from(io::output_failed()),
        Err(error) => {
            eprintln!("ifconfig: {error}");
            1
        }
    }
}

/// Whether an interface other than the loop has an address.
fn has_address(socket: &Socket) -> Result<bool> {
    let text = file::read_file(b"/proc/net/dev")?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut names = text.lines().skip(2).filter_map(|line| line.split(':').next());
    Ok(names.any(|name| name.trim() != "lo" && ask(socket, name.trim(), SIOCGIFADDR).is_ok()))
}

/// What a request about an interface answers.
fn ask(socket: &Socket, name: &str, request: u32) -> Result<[u8; 16]> {
    let mut block = InterfaceRequest::default();
    let len = name.len().min(15);
    block.name[..len].copy_from_slice(&name.as_bytes()[..len]);
    // SAFETY: these requests take and fill in an `InterfaceRequest`, which is all bytes.
    unsafe { sys::ioctl(socket.descriptor(), request, &mut block) }?;
    Ok(block.value)
}

fn number(value: [u8; 16]) -> u32 {
    let [a, b, c, d, ..] = value;
    u32::from_le_bytes([a, b, c, d])
}

fn show(socket: &Socket, name: &str, counters: &str) {
    let address = |request| {
        let value = ask(socket, name, request).ok()?;
        Some(Ipv4Addr::new(value[4], value[5], value[6], value[7]))
    };
    // A card that the bridge has is nobody's address.
    if let Ok(flags) = ask(socket, name, SIOCGIFFLAGS) {
        let flags = u32::from(u16::from_le_bytes([flags[0], flags[1]]));
        let words: Vec<&str> = FLAGS
            .iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, word)| *word)
            .collect();
        let mtu = ask(socket, name, SIOCGIFMTU).map_or(0, number);
        println!("{name}: <{}> mtu {mtu}", words.join(","));
    } else {
        println!("{name}:");
    }
    if let Some(own) = address(SIOCGIFADDR) {
        let mask = address(SIOCGIFNETMASK).unwrap_or(Ipv4Addr::UNSPECIFIED);
        match address(SIOCGIFBRDADDR).filter(|all| !all.is_unspecified()) {
            Some(all) => println!("    inet {own} netmask {mask} broadcast {all}"),
            None => println!("    inet {own} netmask {mask}"),
        }
    }
    if let Ok([_, _, a, b, c, d, e, f, ..]) = ask(socket, name, SIOCGIFHWADDR)
        && [a, b, c, d, e, f] != [0; 6]
    {
        println!("    ether {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    }
    let fields: Vec<&str> = counters.split_whitespace().collect();
    if let [
        bytes,
        packets,
        errors,
        drops,
        _,
        _,
        _,
        _,
        sent_bytes,
        sent,
        sent_errors,
        sent_drops,
        ..,
    ] = fields[..]
    {
        println!("    RX packets {packets} bytes {bytes} errors {errors} dropped {drops}");
        println!("    TX packets {sent} bytes {sent_bytes} errors {sent_errors} dropped {sent_drops}");
    }
}
