//! `http://ADDRESS[:PORT]/PATH`: names of hosts are nobody's business here.

use core::net::{Ipv4Addr, SocketAddrV4};

/// Reads a URL; `http://` may be missing. Gives where, and what.
#[must_use]
pub fn read(text: &str) -> Option<(SocketAddrV4, &str)> {
    let rest = text.strip_prefix("http://").unwrap_or(text);
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let is_path = path.bytes().all(|byte| byte > b' ' && byte != 0x7F);
    let there = match host.split_once(':') {
        Some((address, port)) => SocketAddrV4::new(address.parse().ok()?, port.parse().ok()?),
        None => SocketAddrV4::new(host.parse::<Ipv4Addr>().ok()?, 80),
    };
    is_path.then_some((there, path))
}

#[test]
fn urls_are_read() {
    let at = |port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 2), port);
    assert_eq!(read("http://10.0.2.2/a/b"), Some((at(80), "/a/b")));
    assert_eq!(read("10.0.2.2:8080"), Some((at(8080), "/")));
    for text in [
        "",
        "http://",
        "https://10.0.2.2/",
        "host/",
        "10.0.2.2:x/",
        "10.0.2.2/a b",
        "10.0.2.2:99999/",
    ] {
        assert_eq!(read(text), None, "{text:?}");
    }
}
