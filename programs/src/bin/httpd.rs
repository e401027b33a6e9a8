//! `httpd [-p PORT] [-n COUNT] [DIRECTORY]`: gives the files below a directory away by HTTP, one process a connection; ends after COUNT
//! connections.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use net_tools::answer::{content_type, escaped, head, page, words};
use net_tools::request::{self, MAX_HEAD, Method, Request};
use programs::abi::{S_IFDIR, S_IFMT, S_IFREG};
use programs::args::{self, Args};
use programs::errno::{Errno, Result};
use programs::file::{File, read_some};
use programs::io::Text;
use programs::socket::Socket;
use programs::{clock, dir, eprintln, println, process, sys};

programs::program!(main);

/// Most connections at a time; more wait.
const MAX_CHILDREN: usize = 8;
/// How long a request may take to come, in milliseconds.
const PATIENCE_MS: u64 = 10_000;
/// Bytes that are sent at a time.
const CHUNK: usize = 8192;
/// How many connections wait while all children are busy.
const BACKLOG: u32 = 8;

fn main(args: &Args) -> i32 {
    let Some((port, count, directory)) = wanted(args) else {
        eprintln!("usage: httpd [-p PORT] [-n COUNT] [DIRECTORY]");
        return 2;
    };
    if let Err(error) = sys::chdir(directory) {
        eprintln!("httpd: {}: {error}", Text(directory));
        return 1;
    }
    let at = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    let server = match Socket::listen(at, BACKLOG) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("httpd: port {port}: {error}");
            return 1;
        }
    };
    println!("httpd: {} at port {port}", Text(directory));
    serve(&server, count)
}

fn wanted(args: &Args) -> Option<(u16, Option<u32>, &'static [u8])> {
    let (mut port, mut count, mut directory) = (80, None, None);
    let mut words = args.rest();
    while let Some(word) = words.next() {
        match word {
            b"-p" => {
                let number = args::number(words.next()?)?;
                port = u16::try_from(number).ok().filter(|port| *port > 0)?;
            }
            b"-n" => count = Some(args::number(words.next()?)?),
            word if directory.is_none() && !word.starts_with(b"-") => directory = Some(word),
            _ => return None,
        }
    }
    Some((port, count, directory.unwrap_or(b"/www")))
}

/// Takes connections, `most` or for ever, each with a child of its own.
fn serve(server: &Socket, most: Option<u32>) -> i32 {
    let (mut children, mut count) = (0, 0);
    while most != Some(count) {
        let (connection, from) = match server.accept() {
            Ok(accepted) => accepted,
            Err(error @ (Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::ECONNABORTED)) => {
                eprintln!("httpd: {error}");
                clock::sleep_ms(100);
                continue;
            }
            Err(error) => {
                eprintln!("httpd: {error}");
                return 1;
            }
        };
        while children > 0 && matches!(process::poll_any(), Ok(Some(_))) {
            children -= 1;
        }
        if children >= MAX_CHILDREN && process::wait_for(-1).is_ok() {
            children -= 1;
        }
        let born = process::spawn(|| {
            attend(&connection, from);
            0
        });
        match born {
            Ok(_) => children += 1,
            Err(error) => eprintln!("httpd: {error}"),
        }
        count = count.saturating_add(1);
    }
    while children > 0 && process::wait_for(-1).is_ok() {
        children -= 1;
    }
    0
}

/// One request and its answer.
fn attend(connection: &Socket, from: SocketAddrV4) {
    let status = match receive(connection) {
        Ok(Ok(request)) => answer(connection, &request),
        Ok(Err(status)) => refuse(connection, status, Method::Get),
        // Nobody is there to be told.
        Err(_) => return,
    };
    match status {
        Ok(status) => println!("httpd: {} {status} {}", from.ip(), words(status)),
        Err(error) => println!("httpd: {}: {error}", from.ip()),
    }
}

/// Reads a request; or the status that it is refused with.
fn receive(connection: &Socket) -> Result<core::result::Result<Request, u16>> {
    let deadline = clock::monotonic_ns() + PATIENCE_MS * 1_000_000;
    let mut head = Vec::with_capacity(MAX_HEAD);
    loop {
        match request::read(&head) {
            Ok(Some(request)) => return Ok(Ok(request)),
            Ok(None) => {}
            Err(refusal) => return Ok(Err(refusal as u16)),
        }
        let left = deadline.saturating_sub(clock::monotonic_ns()) / 1_000_000;
        if left == 0 || !connection.wait(left as i32)? {
            return Ok(Err(408));
        }
        let start = head.len();
        head.resize(MAX_HEAD, 0);
        let count = read_some(connection.descriptor(), &mut head[start..])?;
        head.truncate(start + count);
        if count == 0 {
            return if start == 0 {
                Err(Errno::EPIPE)
            } else {
                Ok(Err(400))
            };
        }
    }
}

fn refuse(connection: &Socket, status: u16, method: Method) -> Result<u16> {
    send(
        connection,
        status,
        "text/html; charset=utf-8",
        page(status).as_bytes(),
        method,
    )?;
    Ok(status)
}

fn send(connection: &Socket, status: u16, kind: &str, body: &[u8], method: Method) -> Result<()> {
    connection.send_all(head(status, kind, body.len() as u64).as_bytes())?;
    if method == Method::Get {
        connection.send_all(body)?;
    }
    Ok(())
}

fn answer(connection: &Socket, request: &Request) -> Result<u16> {
    let method = request.method;
    let path: &[u8] = if request.path.is_empty() {
        b"."
    } else {
        &request.path
    };
    match kind_of(path) {
        Some(S_IFDIR) => {
            let index = dir::join(path, b"index.html");
            if kind_of(&index) == Some(S_IFREG) {
                return give(connection, &index, method);
            }
            let listing = listing(path, request)?;
            send(
                connection,
                200,
                "text/html; charset=utf-8",
                listing.as_bytes(),
                method,
            )?;
            Ok(200)
        }
        Some(S_IFREG) if !request.is_directory => give(connection, path, method),
        // Not devices or pipes, whatever the directory has.
        _ => refuse(connection, 404, method),
    }
}

fn kind_of(path: &[u8]) -> Option<u16> {
    sys::stat(path).ok().map(|stat| stat.mode & S_IFMT)
}

/// Gives a file away: as many bytes as the head says, or the connection ends early.
fn give(connection: &Socket, path: &[u8], method: Method) -> Result<u16> {
    let (Ok(file), Ok(stat)) = (File::open(path), sys::stat(path)) else {
        return refuse(connection, 404, method);
    };
    connection.send_all(head(200, content_type(path), stat.size).as_bytes())?;
    let mut left = if method == Method::Get { stat.size } else { 0 };
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let most = left.min(CHUNK as u64) as usize;
        let count = read_some(file.descriptor(), &mut buffer[..most])?;
        if count == 0 {
            return Err(Errno::EIO);
        }
        connection.send_all(&buffer[..count])?;
        left -= count as u64;
    }
    Ok(200)
}

/// What is in a directory, as a page.
fn listing(path: &[u8], request: &Request) -> Result<String> {
    let mut names = dir::names(path)?;
    names.sort();
    let base = String::from_utf8_lossy(&request.path);
    let mut text = format!(
        "<!DOCTYPE html><title>/{0}</title><h1>/{0}</h1>\n",
        escaped(&base)
    );
    for name in names.iter().filter(|name| !name.starts_with(b".")) {
        let slash = if kind_of(&dir::join(path, name)) == Some(S_IFDIR) {
            "/"
        } else {
            ""
        };
        let mut link = String::from("/");
        for byte in dir::join(&request.path, name) {
            match byte {
                b'/' | b'.' | b'-' | b'_' => link.push(byte.into()),
                byte if byte.is_ascii_alphanumeric() => link.push(byte.into()),
                byte => link.push_str(&format!("%{byte:02X}")),
            }
        }
        let shown = escaped(&String::from_utf8_lossy(name));
        text.push_str(&format!("<a href=\"{link}{slash}\">{shown}{slash}</a><br>\n"));
    }
    Ok(text)
}
