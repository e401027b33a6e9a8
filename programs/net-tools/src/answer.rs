//! Heads of HTTP's answers.

use alloc::format;
use alloc::string::String;

/// The words of a status.
#[must_use]
pub fn words(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// The type of a file's content, by its name.
#[must_use]
pub fn content_type(path: &[u8]) -> &'static str {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let mut parts = name.rsplitn(2, |byte| *byte == b'.');
    match (parts.next(), parts.next()) {
        (Some(b"html" | b"htm"), Some(_)) => "text/html; charset=utf-8",
        (Some(b"txt" | b"md" | b"rs" | b"conf"), Some(_)) => "text/plain; charset=utf-8",
        (Some(b"css"), Some(_)) => "text/css",
        (Some(b"js"), Some(_)) => "text/javascript",
        (Some(b"json"), Some(_)) => "application/json",
        (Some(b"png"), Some(_)) => "image/png",
        (Some(b"jpg" | b"jpeg"), Some(_)) => "image/jpeg",
        (Some(b"svg"), Some(_)) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The head of an answer with a body of `length` bytes; the connection ends behind that.
#[must_use]
pub fn head(status: u16, content_type: &str, length: u64) -> String {
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} {}\r\nServer: xenlite\r\n{allow}Content-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
        words(status)
    )
}

/// The body that says what a status means.
#[must_use]
pub fn page(status: u16) -> String {
    let words = words(status);
    format!("<!DOCTYPE html><title>{words}</title><h1>{status} {words}</h1>\n")
}

/// Text as HTML shows it.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// What a client wants to know of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The status.
    pub status: u16,
    /// How long the body is, where that is said.
    pub length: Option<u64>,
    /// Where the body begins.
    pub body: usize,
}

/// No answer of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// Reads a head from what has come so far; `None` where its end has not come yet.
///
/// # Errors
/// [`NoAnswer`].
pub fn read(bytes: &[u8]) -> Result<Option<Told>, NoAnswer> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = core::str::from_utf8(&bytes[..end]).map_err(|_| NoAnswer)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let version = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    let status = status.filter(|_| version).ok_or(NoAnswer)?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())
    });
    let length = match length {
        Some(None) => return Err(NoAnswer),
        other => other.flatten(),
    };
    Ok(Some(Told {
        status,
        length,
        body: end + 4,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = head(404, "text/html", 42);
        let told = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((told.status, told.length, told.body), (404, Some(42), text.len()));
        assert_eq!(read(&text.as_bytes()[..text.len() - 1]), Ok(None));
        assert_eq!(read(b"HTTP/1.0 200 OK\r\n\r\n").unwrap().unwrap().length, None);
    }

    #[test]
    fn other_answers_are_none() {
        for text in [
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Err(NoAnswer), "{text:?}");
        }
    }

    #[test]
    fn types_follow_from_names() {
        assert_eq!(content_type(b"a/index.html"), "text/html; charset=utf-8");
        assert_eq!(content_type(b"html"), "application/octet-stream");
        assert_eq!(content_type(b"a.html/x"), "application/octet-stream");
    }
}
