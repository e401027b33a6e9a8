//! Cutting a line into words and operators.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A part of a word, with what quoting means for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Text outside of quotes: wildcards in it count.
    Plain(Vec<u8>),
    /// Text in quotes or behind a backslash: taken as it is. May be empty: `''` is a word.
    Quoted(Vec<u8>),
    /// A parameter, `$name`; in quotes its value is not split.
    Parameter {
        /// Its name: letters, a digit, or one of `?$!#@*`.
        name: Vec<u8>,
        /// Whether it stands in double quotes.
        quoted: bool,
    },
}

/// A word, not yet expanded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Word(pub Vec<Piece>);

/// How a redirection opens its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Redirection {
    /// `<`
    Read,
    /// `>`
    Write,
    /// `>>`
    Append,
    /// `>&` or `<&`: the target is a descriptor.
    Duplicate,
}

/// A word or an operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// A word.
    Word(Word),
    /// A redirection of a descriptor; the target is the next word.
    Redirect(i32, Redirection),
    /// `|`
    Pipe,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;`
    Semicolon,
    /// `&`
    Ampersand,
    /// The end of a line.
    Newline,
}

/// Why a line makes no sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyntaxError {
    /// It goes on in the next line: an open quote, or an operator at its end.
    Incomplete,
    /// This was not expected here.
    Unexpected(String),
    /// The shell does not have this.
    Unsupported(&'static str),
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyntaxError::Incomplete => f.write_str("syntax error: the line is not complete"),
            SyntaxError::Unexpected(what) => write!(f, "syntax error: unexpected {what}"),
            SyntaxError::Unsupported(what) => write!(f, "{what}: not supported by this shell"),
        }
    }
}

/// Cuts `line` into tokens.
///
/// # Errors
/// [`SyntaxError::Incomplete`] for an open quote, [`SyntaxError::Unsupported`] for what this shell lacks.
pub fn tokens(line: &[u8]) -> Result<Vec<Token>, SyntaxError> {
    let mut reader = Reader { rest: line };
    let mut tokens = Vec::new();
    while let Some(token) = reader.token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let taken = self.rest.strip_prefix(text);
        self.rest = taken.unwrap_or(self.rest);
        taken.is_some()
    }

    fn token(&mut self) -> Result<Option<Token>, SyntaxError> {
        while self.take(b" ") || self.take(b"\t") || self.take(b"\r") || self.take(b"\\\n") {}
        if self.peek() == Some(b'#') {
            while self.peek().is_some_and(|byte| byte != b'\n') {
                self.next();
            }
        }
        let Some(byte) = self.peek() else { return Ok(None) };
        if let Some(redirect) = self.redirect()? {
            return Ok(Some(redirect));
        }
        let token = match byte {
            b'\n' => self.operator(b"\n", Token::Newline),
            b';' => self.operator(b";", Token::Semicolon),
            b'&' if self.take(b"&&") => Token::And,
            b'&' => self.operator(b"&", Token::Ampersand),
            b'|' if self.take(b"||") => Token::Or,
            b'|' => self.operator(b"|", Token::Pipe),
            b'(' | b')' => return Err(SyntaxError::Unsupported("( )")),
            _ => Token::Word(self.word()?),
        };
        Ok(Some(token))
    }

    fn operator(&mut self, text: &[u8], token: Token) -> Token {
        self.take(text);
        token
    }

    /// `<`, `>`, `>>`, `>&`, with a descriptor's digits right before it or without.
    fn redirect(&mut self) -> Result<Option<Token>, SyntaxError> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, behind) = self.rest.split_at(digits);
        let (kind, length, usual) = match behind {
            [b'<', b'<', ..] => return Err(SyntaxError::Unsupported("<<")),
            [b'<', b'&', ..] => (Redirection::Duplicate, 2, 0),
            [b'<', ..] => (Redirection::Read, 1, 0),
            [b'>', b'>', ..] => (Redirection::Append, 2, 1),
            [b'>', b'&', ..] => (Redirection::Duplicate, 2, 1),
            [b'>', ..] => (Redirection::Write, 1, 1),
            _ => return Ok(None),
        };
        let fd = match core::str::from_utf8(number) {
            Ok("") => usual,
            Ok(digits) => digits
                .parse()
                .map_err(|_| SyntaxError::Unexpected(digits.into()))?,
            Err(_) => usual,
        };
        self.rest = &behind[length..];
        Ok(Some(Token::Redirect(fd, kind)))
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut pieces = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                b'`' => return Err(SyntaxError::Unsupported("`command`")),
                b'\\' => {
                    self.next();
                    match self.next() {
                        None => return Err(SyntaxError::Incomplete),
                        Some(b'\n') => {}
                        Some(byte) => push_quoted(&mut pieces, byte),
                    }
                }
                b'\'' => {
                    self.next();
                    let end = self
                        .rest
                        .iter()
                        .position(|&byte| byte == b'\'')
                        .ok_or(SyntaxError::Incomplete)?;
                    pieces.push(Piece::Quoted(self.rest[..end].to_vec()));
                    self.rest = &self.rest[end + 1..];
                }
                b'"' => {
                    self.next();
                    self.double_quoted(&mut pieces)?;
                }
                b'$' => self.dollar(&mut pieces, false)?,
                _ => {
                    self.next();
                    push_plain(&mut pieces, byte);
                }
            }
        }
        Ok(Word(pieces))
    }

    fn double_quoted(&mut self, pieces: &mut Vec<Piece>) -> Result<(), SyntaxError> {
        pieces.push(Piece::Quoted(Vec::new()));
        loop {
            match self.peek().ok_or(SyntaxError::Incomplete)? {
                b'"' => {
                    self.next();
                    return Ok(());
                }
                b'`' => return Err(SyntaxError::Unsupported("`command`")),
                b'$' => self.dollar(pieces, true)?,
                b'\\' => {
                    self.next();
                    match self.next().ok_or(SyntaxError::Incomplete)? {
                        b'\n' => {}
                        byte @ (b'"' | b'\\' | b'$' | b'`') => push_quoted(pieces, byte),
                        byte => {
                            push_quoted(pieces, b'\\');
                            push_quoted(pieces, byte);
                        }
                    }
                }
                byte => {
                    self.next();
                    push_quoted(pieces, byte);
                }
            }
        }
    }

    /// `$name`, `${name}`, `$?` and the like; a dollar before anything else is a dollar.
    fn dollar(&mut self, pieces: &mut Vec<Piece>, quoted: bool) -> Result<(), SyntaxError> {
        self.next();
        if self.peek() == Some(b'(') {
            return Err(SyntaxError::Unsupported("$(command)"));
        }
        let name = if self.take(b"{") {
            let end = self
                .rest
                .iter()
                .position(|&byte| byte == b'}')
                .ok_or(SyntaxError::Incomplete)?;
            let name = &self.rest[..end];
            if parameter_length(name) != end || end == 0 {
                return Err(SyntaxError::Unsupported("${...} with more than a name"));
            }
            self.rest = &self.rest[end + 1..];
            name.to_vec()
        } else {
            let (name, rest) = self.rest.split_at(parameter_length(self.rest));
            self.rest = rest;
            name.to_vec()
        };
        if name.is_empty() {
            if quoted {
                push_quoted(pieces, b'$');
            } else {
                push_plain(pieces, b'$');
            }
        } else {
            pieces.push(Piece::Parameter { name, quoted });
        }
        Ok(())
    }
}

/// How many bytes of `text` are the name of a parameter.
fn parameter_length(text: &[u8]) -> usize {
    match text.first() {
        Some(b'?' | b'$' | b'!' | b'#' | b'@' | b'*' | b'0'..=b'9') => 1,
        _ => name_length(text),
    }
}

/// How many bytes of `text` are a variable's name: letters, digits, underscores, no digit first.
pub fn name_length(text: &[u8]) -> usize {
    if text.first().is_none_or(u8::is_ascii_digit) {
        return 0;
    }
    text.iter()
        .take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'_')
        .count()
}

fn push_plain(pieces: &mut Vec<Piece>, byte: u8) {
    match pieces.last_mut() {
        Some(Piece::Plain(text)) => text.push(byte),
        _ => pieces.push(Piece::Plain([byte].into())),
    }
}

fn push_quoted(pieces: &mut Vec<Piece>, byte: u8) {
    match pieces.last_mut() {
        Some(Piece::Quoted(text)) => text.push(byte),
        _ => pieces.push(Piece::Quoted([byte].into())),
    }
}

#[cfg(test)]
mod tests;
