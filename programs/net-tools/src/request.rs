//! Requests of HTTP/1.0 and 1.1 (RFC 9112), as a server that only gives files away reads them.

use alloc::vec::Vec;

/// Most bytes of a request's head.
pub const MAX_HEAD: usize = 4096;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The file.
    Get,
    /// What would be said of it.
    Head,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is wanted.
    pub method: Method,
    /// Where, below the server's directory: no `.` or `..`, no empty parts, no slash at either end.
    pub path: Vec<u8>,
    /// The path ended in a slash, so it is a directory's.
    pub is_directory: bool,
}

/// Why there is no request, as a status of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense.
    BadRequest = 400,
    /// It leads out of the server's directory.
    Forbidden = 403,
    /// Something other than GET and HEAD.
    MethodNotAllowed = 405,
    /// Longer than [`MAX_HEAD`].
    TooLarge = 431,
    /// Another version of HTTP.
    VersionNotSupported = 505,
}

/// Reads a request from what has come so far; `None` where its end has not come yet.
///
/// # Errors
/// [`Refusal`].
pub fn read(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let Some(end) = end_of_head(bytes) else {
        return if bytes.len() >= MAX_HEAD {
            Err(Refusal::TooLarge)
        } else {
            Ok(None)
        };
    };
    if end > MAX_HEAD {
        return Err(Refusal::TooLarge);
    }
    let line = bytes[..end]
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::BadRequest);
    };
    if method.is_empty() || !method.iter().all(u8::is_ascii_uppercase) {
        return Err(Refusal::BadRequest);
    }
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => {}
        other if other.starts_with(b"HTTP/") => return Err(Refusal::VersionNotSupported),
        _ => return Err(Refusal::BadRequest),
    }
    let method = match method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        _ => return Err(Refusal::MethodNotAllowed),
    };
    let (path, is_directory) = local(target)?;
    Ok(Some(Request {
        method,
        path,
        is_directory,
    }))
}

/// Where the head ends: behind the first empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut ends = ends.map(|(at, _)| at);
    ends.find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// The path that a target means, below the server's directory.
fn local(target: &[u8]) -> Result<(Vec<u8>, bool), Refusal> {
    let path = target
        .split(|byte| matches!(byte, b'?' | b'#'))
        .next()
        .unwrap_or_default();
    if !path.starts_with(b"/") {
        return Err(Refusal::BadRequest);
    }
    let decoded = decode(path)?;
    let mut whole: Vec<u8> = Vec::new();
    for part in decoded.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            // Even where it would not lead out: nobody needs it.
            b".." => return Err(Refusal::Forbidden),
            part => {
                if !whole.is_empty() {
                    whole.push(b'/');
                }
                whole.extend_from_slice(part);
            }
        }
    }
    let is_directory = decoded.ends_with(b"/") || whole.is_empty();
    Ok((whole, is_directory))
}

/// Undoes `%41`; what could not be in a path is refused.
fn decode(text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut bytes = text.iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || {
            let digit = bytes.next().and_then(|digit| char::from(*digit).to_digit(16));
            digit.ok_or(Refusal::BadRequest)
        };
        let byte = match byte {
            b'%' => (digit()? * 16 + digit()?) as u8,
            byte => *byte,
        };
        if byte < b' ' || byte == 0x7F {
            return Err(Refusal::BadRequest);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(target: &str) -> Result<(Vec<u8>, bool), Refusal> {
        let text = alloc::format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        read(text.as_bytes()).map(|request| {
            let request = request.expect("it is whole");
            (request.path, request.is_directory)
        })
    }

    #[test]
    fn paths_are_below_the_directory() {
        assert_eq!(get("/"), Ok((b"".to_vec(), true)));
        assert_eq!(get("/a/b.txt?x=1#y"), Ok((b"a/b.txt".to_vec(), false)));
        assert_eq!(get("//a/./b//"), Ok((b"a/b".to_vec(), true)));
        assert_eq!(get("/%41%20b"), Ok((b"A b".to_vec(), false)));
        assert_eq!(get("/..."), Ok((b"...".to_vec(), false)));
        for out in [
            "/..",
            "/../etc/passwd",
            "/a/../../b",
            "/%2e%2e/x",
            "/a/..%2f..%2fb",
            "/a/.%2E",
        ] {
            assert_eq!(get(out), Err(Refusal::Forbidden), "{out}");
        }
        for bad in ["a", "http://x/", "*", "/%4", "/%zz", "/%00", "/a%0d"] {
            assert_eq!(get(bad), Err(Refusal::BadRequest), "{bad}");
        }
    }

    #[test]
    fn other_requests_are_refused() {
        let refused = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(refused("POST / HTTP/1.1\r\n\r\n"), Refusal::MethodNotAllowed);
        assert_eq!(refused("get / HTTP/1.1\r\n\r\n"), Refusal::BadRequest);
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), Refusal::VersionNotSupported);
        assert_eq!(refused("GET /\r\n\r\n"), Refusal::BadRequest);
        assert_eq!(refused("GET / HTTP/1.1 x\r\n\r\n"), Refusal::BadRequest);
        assert_eq!(refused("\r\n\r\n"), Refusal::BadRequest);
        let long = alloc::format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MAX_HEAD));
        assert_eq!(refused(&long), Refusal::TooLarge);
        assert_eq!(refused(&"a".repeat(MAX_HEAD)), Refusal::TooLarge);
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"HEAD / HTTP/1.0\r\nHost: x\r\n"), Ok(None));
        let whole = read(b"HEAD / HTTP/1.0\r\nHost: x\r\n\r\nrest").unwrap().unwrap();
        assert_eq!(whole.method, Method::Head);
        assert!(read(b"GET / HTTP/1.0\n\n").unwrap().is_some());
    }

    proptest! {
        #[test]
        fn no_request_leads_out(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = [b"GET /", &bytes[..], b" HTTP/1.1\r\n\r\n"].concat();
            if let Ok(Some(request)) = read(&text) {
                prop_assert!(!request.path.starts_with(b"/") && !request.path.contains(&0));
                prop_assert!(request.path.split(|byte| *byte == b'/').all(|part| part != b".."));
            }
        }
    }
}
