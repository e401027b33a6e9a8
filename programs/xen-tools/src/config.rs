//! The syntax of configuration files, which is that of `xl.cfg`: statements `key = value`, one a line or separated by `;`.
//!
//! A value is a string in single or double quotes (`\` takes the next character as it is), a whole number (decimal or
//! `0x…`), or a list `[ value, value, ]`, which may span lines. `#` begins a comment. A key that comes again replaces
//! the one before it, as with `xl`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::iter::Peekable;
use core::str::Chars;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string, without its quotes.
    Text(String),
    /// A whole number.
    Number(u64),
    /// A list.
    List(Vec<Value>),
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line that its key is on, from 1.
    pub line: u32,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// What does not follow the syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl core::error::Error for SyntaxError {}

/// Lists in lists beyond this are refused, so that no file can exhaust the stack.
const MAX_DEPTH: u32 = 8;

/// The statements of a file, in order.
///
/// # Errors
/// The first place where it does not follow the syntax.
pub fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        line: 1,
    };
    let mut entries = Vec::new();
    loop {
        reader.skip(true);
        let line = reader.line;
        match reader.rest.peek() {
            None => return Ok(entries),
            Some(';') => {
                reader.next();
                continue;
            }
            Some(c) if c.is_ascii_alphabetic() || *c == '_' => {}
            Some(_) => return Err(reader.error("a statement begins with a name")),
        }
        let key = reader.word();
        reader.skip(false);
        if reader.next() != Some('=') {
            return Err(SyntaxError {
                line,
                what: "a name is followed by `=` and a value",
            });
        }
        reader.skip(false);
        let value = reader.value(0)?;
        reader.skip(false);
        if !matches!(reader.rest.peek(), None | Some('\n' | ';')) {
            return Err(reader.error("something follows the value; strings need quotes"));
        }
        entries.push(Entry { line, key, value });
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: u32,
}

impl Reader<'_> {
    fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError {
            line: self.line,
            what,
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += u32::from(next == Some('\n'));
        next
    }

    /// Passes over blanks and comments, and over line ends where `lines` says so.
    fn skip(&mut self, lines: bool) {
        while let Some(&c) = self.rest.peek() {
            match c {
                '#' => while self.rest.next_if(|c| *c != '\n').is_some() {},
                '\n' if !lines => return,
                c if c.is_whitespace() => drop(self.next()),
                _ => return,
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self
            .rest
            .next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        {
            word.push(c);
        }
        word
    }

    fn value(&mut self, depth: u32) -> Result<Value, SyntaxError> {
        match self.rest.peek().copied() {
            Some(quote @ ('"' | '\'')) => self.string(quote),
            Some('[') if depth == MAX_DEPTH => Err(self.error("too many lists in lists")),
            Some('[') => self.list(depth + 1),
            Some(c) if c.is_ascii_digit() => self.number(),
            _ => Err(self.error("a value is a \"string\", a whole number or a [list]")),
        }
    }

    fn string(&mut self, quote: char) -> Result<Value, SyntaxError> {
        let unfinished = self.error("a string has no closing quote");
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some(c) if c == quote => return Ok(Value::Text(text)),
                Some('\\') => text.push(self.next().ok_or(unfinished.clone())?),
                Some('\n') | None => return Err(unfinished),
                Some(c) => text.push(c),
            }
        }
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let word = self.word();
        let number = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number
            .map(Value::Number)
            .map_err(|_| self.error("not a whole number; strings need quotes"))
    }

    fn list(&mut self, depth: u32) -> Result<Value, SyntaxError> {
        let unfinished = self.error("a list has no closing bracket");
        self.next();
        let mut values = Vec::new();
        loop {
            self.skip(true);
            match self.rest.peek() {
                None => return Err(unfinished),
                Some(']') => break,
                Some(_) => values.push(self.value(depth)?),
            }
            self.skip(true);
            match self.rest.peek() {
                Some(',') => drop(self.next()),
                Some(']') | None => {}
                Some(_) => return Err(self.error("values of a list are separated by commas")),
            }
        }
        self.next();
        Ok(Value::List(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn statements_of_every_kind() {
        let source = "# a comment\nname = \"web\" # and another\nmemory=16; weight = 0x200\n\n\
                      disk = [ 'a', [ 1, 2 ],\n  \"b\", # inside\n]\nextra = 'say \"\\'hi\\'\"'\nvif = [ ]";
        let entries = parse(source).unwrap();
        let found: Vec<_> = entries
            .iter()
            .map(|e| (e.line, e.key.as_str(), e.value.clone()))
            .collect();
        let numbers = Value::List(vec![Value::Number(1), Value::Number(2)]);
        let expected = [
            (2, "name", text("web")),
            (3, "memory", Value::Number(16)),
            (3, "weight", Value::Number(0x200)),
            (5, "disk", Value::List(vec![text("a"), numbers, text("b")])),
            (8, "extra", text("say \"'hi'\"")),
            (9, "vif", Value::List(vec![])),
        ];
        assert_eq!(found, expected);
        assert_eq!(parse(" \n#\n;;"), Ok(vec![]));
    }

    #[test]
    fn errors_name_the_line() {
        for (source, line) in [
            ("name", 1),
            ("\nname web", 2),
            ("name = web", 1),
            ("name = \"web", 1),
            ("name = \"a\nb\"", 1),
            ("a = 1\nb = [ 1, 2", 2),
            ("b = [ 1 2 ]", 1),
            ("b = [\n1,\n,]", 3),
            ("n = 12x", 1),
            ("n = 99999999999999999999", 1),
            ("n = -1", 1),
            ("n = 1 2", 1),
            ("= 1", 1),
            ("n = ", 1),
            ("n =\n1", 1),
            ("a = [[[[[[[[[[1]]]]]]]]]]", 1),
        ] {
            assert_eq!(parse(source).map_err(|e| e.line), Err(line), "{source:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(source in "[a-c=\\[\\]'\"\\\\#;,0-9 \n]{0,60}") {
            let _ = parse(&source);
        }
    }
}
