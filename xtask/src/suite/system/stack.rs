//! The TCP/IP stack on the whole machine: an address by DHCP, ping, a server that the host reaches, and a client that reaches the host.

use super::{has_lines, image, packed, powered_off, session};
use crate::check;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::net::{Forward, Net};
use crate::suite::{Outcome, Stop, Test, fixture};
use crate::tools::{self, Tool};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that go to the guest and come back.
const LONG: usize = 300_000;
/// Between two attempts to reach a machine that is still starting, and before an answer is given up.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![
        Test::new("system::stack_ping_http_and_the_host", the_host),
        Test::new("system::stack_busybox", busybox),
    ]
}

fn long_text() -> Vec<u8> {
    (0..LONG).map(|n| b"0123456789abcdef\n"[n * 7 % 17]).collect()
}

/// A port of the host that nothing has.
pub(super) fn free_port() -> Result<u16, Stop> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let there = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let stream = TcpStream::connect(there)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What a request is answered with, to the connection's end.
fn finish(mut stream: TcpStream, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

pub(super) fn ask(port: u16, request: &str) -> std::io::Result<Vec<u8>> {
    finish(connect(port)?, request)
}

/// The body of an answer with `status`.
pub(super) fn body(answer: &[u8], status: &str) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return Err(format!("no answer: {text:?}"));
    };
    let body = &answer[head.len() + 4..];
    let length = format!("Content-Length: {}", body.len());
    if !head.starts_with(&format!("HTTP/1.1 {status}\r\n")) || !head.contains(&length) {
        return Err(format!("not {status} with {length}: {head:?}"));
    }
    Ok(body.to_vec())
}

/// What the host sees of the guest's server: seven connections. The first is tried until it is there, or the machine is gone.
fn visit(port: u16, is_over: &AtomicBool) -> Result<(), String> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: guest\r\n\r\n");
    let first = loop {
        match ask(port, &get("/")).map(|answer| body(&answer, "200 OK")) {
            Ok(Ok(page)) => break page,
            _ if is_over.load(Ordering::SeqCst) => return Err("the server was never there".into()),
            _ => std::thread::sleep(PAUSE),
        }
    };
    if !first.ends_with(b"from a domain.</p>\n") {
        return Err(format!("another page: {}", String::from_utf8_lossy(&first)));
    }
    let failed = |error: std::io::Error| error.to_string();
    // One that is silent does not keep others waiting.
    let silent = connect(port).map_err(failed)?;
    body(&ask(port, &get("/none")).map_err(failed)?, "404 Not Found")?;
    body(
        &ask(port, &get("/../etc/passwd")).map_err(failed)?,
        "403 Forbidden",
    )?;
    body(
        &ask(port, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").map_err(failed)?,
        "405 Method Not Allowed",
    )?;
    let listing = body(&ask(port, &get("/files/")).map_err(failed)?, "200 OK")?;
    if !String::from_utf8_lossy(&listing).contains("<a href=\"/files/long\">long</a>") {
        return Err(format!("no list of files: {}", String::from_utf8_lossy(&listing)));
    }
    let long = body(&finish(silent, &get("/files/long")).map_err(failed)?, "200 OK")?;
    body(&ask(port, &get("/")).map_err(failed)?, "200 OK")?;
    if long == long_text() {
        Ok(())
    } else {
        Err(format!("{} bytes came back, others or not all", long.len()))
    }
}

/// Serves a long text once.
fn serve(listener: TcpListener) -> JoinHandle<std::io::Result<()>> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => request.extend_from_slice(&buffer[..count]),
            }
        }
        let text = long_text();
        write!(
            stream,
            "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n",
            text.len()
        )?;
        stream.write_all(&text)
    })
}

/// Domain0 asks for its address, pings, gets a file from the host and gives it away.
fn the_host() -> Outcome {
    let name = "system::stack_ping_http_and_the_host";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let from_host = listener.local_addr()?.port();
    let port = free_port()?;
    let machine = Machine {
        nets: vec![Net {
            forwards: vec![Forward {
                is_udp: false,
                from: port,
                address: None,
                to: 80,
            }],
            ..Net::default()
        }],
        ..Machine::default()
    };
    let keys = format!(
        "ifconfig -w\nping -c 3 10.0.2.2; echo ping-$?\nping -c 1 127.0.0.1; echo loop-$?\nmkdir /www/files\n\
         fetch http://10.0.2.2:{from_host}/ >/www/files/long; echo fetch-$?\nhttpd -n 7; echo httpd-$?\npoweroff\n"
    );
    let image = image(&fixture::programs()?, "")?;
    let host = serve(listener);
    let is_over = Arc::new(AtomicBool::new(false));
    let visitor = {
        let is_over = Arc::clone(&is_over);
        std::thread::spawn(move || visit(port, &is_over))
    };
    let record = fixture::boot(
        name,
        &machine,
        &image,
        Keyboard::of_text(keys),
        fixture::LIMIT * 2,
    );
    is_over.store(true, Ordering::SeqCst);
    let record = record?;
    powered_off(&record)?;
    let seen = fixture::tail(&record.text);
    check!(
        record
            .text
            .contains("mini-guest: eth0: 10.0.2.15/24, gateway 10.0.2.2"),
        "no address by DHCP\n{seen}"
    );
    check!(
        record.text.contains("inet 10.0.2.15 netmask 255.255.255.0"),
        "ifconfig does not show it\n{seen}"
    );
    let pings = record.text.matches("64 bytes from 10.0.2.2: icmp_seq=").count();
    check!(pings == 3, "{pings} replies instead of 3\n{seen}");
    has_lines(&record, &["ping-0", "loop-0", "fetch-0", "httpd-0"])?;
    if let Ok(Err(error)) = host.join() {
        return Err(Stop::Fail(format!("the host's server: {error}\n{seen}")));
    }
    match visitor.join() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(what)) => Err(Stop::Fail(format!("{what}\n{seen}"))),
        Err(_) => Err(Stop::Fail("the visitor panicked".into())),
    }
}

/// Debian's busybox speaks to itself: ping, httpd and wget, nc.
fn busybox() -> Outcome {
    fixture::need(&[Tool::Busybox])?;
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    for dir in ["bin", "dev", "etc", "proc", "tmp", "www"] {
        std::fs::create_dir(root.join(dir))?;
    }
    std::fs::copy(tools::busybox(), root.join("bin/busybox"))?;
    std::fs::set_permissions(root.join("bin/busybox"), std::fs::Permissions::from_mode(0o755))?;
    for applet in [
        "sh", "cat", "echo", "httpd", "nc", "ping", "poweroff", "sleep", "wget",
    ] {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    std::fs::write(root.join("www/page"), "a page of busybox\n")?;
    let archive = packed(root)?;
    let keys = "ping -c 2 127.0.0.1; echo ping-$?\nhttpd -f -p 80 -h /www </dev/null &\n\
                until wget -q -O - http://127.0.0.1/page; do sleep 1; done\n\
                echo through a wire | nc -l -p 99 >/dev/null &\n\
                until nc 127.0.0.1 99 </dev/null >/tmp/got; do sleep 1; done\ncat /tmp/got\n\
                wget -O - http://127.0.0.1:1/; echo refused-$?\npoweroff -f\n";
    let record = session("system::stack_busybox", archive.path(), keys)?;
    has_lines(
        &record,
        &[
            "2 packets transmitted, 2 packets received, 0% packet loss",
            "ping-0",
            "a page of busybox",
            "through a wire",
            "wget: can't connect to remote host (127.0.0.1): Connection refused",
            "refused-1",
        ],
    )
}
