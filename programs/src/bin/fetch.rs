//! `fetch URL`: gets a file by HTTP and writes it to standard output.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use net_tools::{answer, url};
use programs::args::Args;
use programs::errno::Errno;
use programs::file::read_some;
use programs::socket::Socket;
use programs::{eprintln, io};

programs::program!(main);

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 16 * 1024;
const CHUNK: usize = 8192;

/// Why there is nothing, or not all.
enum Failure {
    System(Errno),
    NoAnswer,
    Cut,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::System(errno)
    }
}

fn main(args: &Args) -> i32 {
    let words: Vec<&[u8]> = args.rest().collect();
    let [word] = words[..] else {
        eprintln!("usage: fetch http://ADDRESS[:PORT]/PATH");
        return 2;
    };
    let Ok(text) = core::str::from_utf8(word) else {
        eprintln!("fetch: not a URL");
        return 2;
    };
    match fetch(text) {
        Some(Ok(200..=299)) => i32::from(io::output_failed()),
        Some(Ok(status)) => {
            eprintln!("fetch: {text}: {status} {}", answer::words(status));
            1
        }
        Some(Err(failure)) => {
            match failure {
                Failure::System(errno) => eprintln!("fetch: {text}: {errno}"),
                Failure::NoAnswer => eprintln!("fetch: {text}: no answer of HTTP"),
                Failure::Cut => eprintln!("fetch: {text}: the connection ended too early"),
            }
            1
        }
        None => {
            eprintln!("fetch: {text}: not http://ADDRESS[:PORT]/PATH");
            2
        }
    }
}

/// Gets what is there; the status. `None`: no URL.
fn fetch(text: &str) -> Option<Result<u16, Failure>> {
    let (there, path) = url::read(text)?;
    Some((|| {
        let connection = Socket::connect(there)?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {there}\r\nUser-Agent: fetch\r\n\r\n");
        connection.send_all(request.as_bytes())?;
        let mut buffer = vec![0; CHUNK];
        let mut head = Vec::new();
        let told = loop {
            if let Some(told) = answer::read(&head).map_err(|_| Failure::NoAnswer)? {
                break told;
            }
            let count = read_some(connection.descriptor(), &mut buffer)?;
            if count == 0 || head.len() > MAX_HEAD {
                return Err(Failure::NoAnswer);
            }
            head.extend_from_slice(&buffer[..count]);
        };
        let mut body = head.split_off(told.body);
        let mut count = 0;
        loop {
            if told
                .length
                .is_some_and(|length| count + body.len() as u64 > length)
            {
                return Err(Failure::NoAnswer);
            }
            io::out(&body);
            count += body.len() as u64;
            if told.length == Some(count) {
                return Ok(told.status);
            }
            body.resize(CHUNK, 0);
            let more = read_some(connection.descriptor(), &mut body)?;
            body.truncate(more);
            if more == 0 {
                return if told.length.is_none() {
                    Ok(told.status)
                } else {
                    Err(Failure::Cut)
                };
            }
        }
    })())
}
