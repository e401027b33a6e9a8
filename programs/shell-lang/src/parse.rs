//! From tokens to a list of pipelines.
//!
//! ```text
//! list     = [ chain { (";" | "&" | newline) chain } ]
//! chain    = pipeline { ("&&" | "||") pipeline }
//! pipeline = ["!"] command { "|" command }
//! command  = { NAME=value } { word | redirection word }
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::iter::Peekable;

use crate::token::{Piece, Redirection, SyntaxError, Token, Word, name_length, tokens};

/// A redirection with its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// The descriptor that is redirected.
    pub fd: i32,
    /// How.
    pub kind: Redirection,
    /// A path, or a descriptor for [`Redirection::Duplicate`].
    pub target: Word,
}

/// A simple command.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Command {
    /// `NAME=value` before the first word.
    pub assignments: Vec<(Vec<u8>, Word)>,
    /// The program and its arguments.
    pub words: Vec<Word>,
    /// In the order of the line.
    pub redirects: Vec<Redirect>,
}

/// Commands connected by pipes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pipeline {
    /// `!`: success and failure change places.
    pub negated: bool,
    /// At least one.
    pub commands: Vec<Command>,
}

/// When the next pipeline of a chain runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// `&&`: after success.
    Success,
    /// `||`: after failure.
    Failure,
}

/// Pipelines connected by `&&` and `||`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    /// The first one always runs.
    pub first: Pipeline,
    /// The others, each under its condition.
    pub rest: Vec<(Condition, Pipeline)>,
    /// `&`: nobody waits for it.
    pub background: bool,
}

/// What a line says.
pub type List = Vec<Chain>;

/// Words of the shell's compound commands, where a command's name would stand.
const RESERVED: [&str; 16] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function",
    "select", "{", "}",
];

/// Reads a line, or several.
///
/// # Errors
/// [`SyntaxError::Incomplete`] when another line is needed; the other kinds when it makes no sense.
pub fn parse(line: &[u8]) -> Result<List, SyntaxError> {
    let mut parser = Parser {
        tokens: tokens(line)?.into_iter().peekable(),
    };
    parser.list()
}

struct Parser {
    tokens: Peekable<alloc::vec::IntoIter<Token>>,
}

impl Parser {
    fn take(&mut self, token: &Token) -> bool {
        self.tokens.next_if_eq(token).is_some()
    }

    fn list(&mut self) -> Result<List, SyntaxError> {
        let mut list = List::new();
        loop {
            while self.take(&Token::Newline) {}
            if self.tokens.peek().is_none() {
                return Ok(list);
            }
            let mut chain = self.chain()?;
            match self.tokens.next() {
                None | Some(Token::Semicolon | Token::Newline) => {}
                Some(Token::Ampersand) => chain.background = true,
                Some(other) => return Err(unexpected(Some(&other))),
            }
            list.push(chain);
        }
    }

    fn chain(&mut self) -> Result<Chain, SyntaxError> {
        let mut chain = Chain {
            first: self.pipeline()?,
            ..Chain::default()
        };
        loop {
            let condition = if self.take(&Token::And) {
                Condition::Success
            } else if self.take(&Token::Or) {
                Condition::Failure
            } else {
                return Ok(chain);
            };
            while self.take(&Token::Newline) {}
            chain.rest.push((condition, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, SyntaxError> {
        let bang = Token::Word(Word([Piece::Plain(b"!".to_vec())].into()));
        let mut pipeline = Pipeline::default();
        while self.take(&bang) {
            pipeline.negated = !pipeline.negated;
        }
        loop {
            pipeline.commands.push(self.command()?);
            if !self.take(&Token::Pipe) {
                return Ok(pipeline);
            }
            while self.take(&Token::Newline) {}
        }
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        let mut command = Command::default();
        let mut empty = true;
        while let Some(token) = self
            .tokens
            .next_if(|token| matches!(token, Token::Word(_) | Token::Redirect(..)))
        {
            empty = false;
            match token {
                Token::Redirect(fd, kind) => match self.tokens.next() {
                    Some(Token::Word(target)) => command.redirects.push(Redirect { fd, kind, target }),
                    None => return Err(SyntaxError::Unexpected("end of line after a redirection".into())),
                    other => return Err(unexpected(other.as_ref())),
                },
                Token::Word(word) => match assignment(&word).filter(|_| command.words.is_empty()) {
                    Some(assignment) => command.assignments.push(assignment),
                    None => {
                        if command.words.is_empty() {
                            refuse_reserved(&word)?;
                        }
                        command.words.push(word);
                    }
                },
                _ => {}
            }
        }
        match self.tokens.peek() {
            _ if !empty => Ok(command),
            None => Err(SyntaxError::Incomplete),
            other => Err(unexpected(other)),
        }
    }
}

fn refuse_reserved(word: &Word) -> Result<(), SyntaxError> {
    let [Piece::Plain(text)] = &word.0[..] else {
        return Ok(());
    };
    match RESERVED.iter().find(|reserved| reserved.as_bytes() == text) {
        Some(reserved) => Err(SyntaxError::Unsupported(reserved)),
        None => Ok(()),
    }
}

/// `NAME=value`, if the name and the equals sign stand outside of quotes.
fn assignment(word: &Word) -> Option<(Vec<u8>, Word)> {
    let (first, rest) = word.0.split_first()?;
    let Piece::Plain(text) = first else { return None };
    let length = name_length(text);
    if length == 0 || text.get(length) != Some(&b'=') {
        return None;
    }
    let value = text.get(length + 1..).unwrap_or_default();
    let mut pieces = Vec::new();
    if !value.is_empty() {
        pieces.push(Piece::Plain(value.to_vec()));
    }
    pieces.extend_from_slice(rest);
    Some((text[..length].to_vec(), Word(pieces)))
}

fn unexpected(token: Option<&Token>) -> SyntaxError {
    let name: String = match token {
        None => return SyntaxError::Incomplete,
        Some(Token::Word(_)) => "word".into(),
        Some(Token::Redirect(..)) => "redirection".into(),
        Some(Token::Pipe) => "|".into(),
        Some(Token::And) => "&&".into(),
        Some(Token::Or) => "||".into(),
        Some(Token::Semicolon) => ";".into(),
        Some(Token::Ampersand) => "&".into(),
        Some(Token::Newline) => "end of line".into(),
    };
    SyntaxError::Unexpected(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn word(text: &str) -> Word {
        Word(vec![Piece::Plain(text.into())])
    }

    fn command(words: &[&str]) -> Command {
        Command {
            words: words.iter().map(|text| word(text)).collect(),
            ..Command::default()
        }
    }

    fn pipeline(commands: &[&[&str]]) -> Pipeline {
        Pipeline {
            negated: false,
            commands: commands.iter().map(|words| command(words)).collect(),
        }
    }

    #[test]
    fn semicolons_newlines_and_ampersands_separate_chains() {
        let found = parse(b"a b; c\n\n d & e\n").unwrap();
        let chain = |words: &[&str], background| Chain {
            first: pipeline(&[words]),
            rest: vec![],
            background,
        };
        assert_eq!(
            found,
            [
                chain(&["a", "b"], false),
                chain(&["c"], false),
                chain(&["d"], true),
                chain(&["e"], false)
            ]
        );
    }

    #[test]
    fn conditions_bind_weaker_than_pipes() {
        let found = parse(b"a | b && c || d &").unwrap();
        let rest = vec![
            (Condition::Success, pipeline(&[&["c"]])),
            (Condition::Failure, pipeline(&[&["d"]])),
        ];
        assert_eq!(
            found,
            [Chain {
                first: pipeline(&[&["a"], &["b"]]),
                rest,
                background: true
            }]
        );
    }

    #[test]
    fn redirections_may_stand_anywhere() {
        let found = parse(b"<in a 2>&1 b >out").unwrap();
        let redirect = |fd, kind, target| Redirect {
            fd,
            kind,
            target: word(target),
        };
        let expected = [
            redirect(0, Redirection::Read, "in"),
            redirect(2, Redirection::Duplicate, "1"),
            redirect(1, Redirection::Write, "out"),
        ];
        assert_eq!(found[0].first.commands[0].redirects, expected);
        assert_eq!(found[0].first.commands[0].words, command(&["a", "b"]).words);
    }

    #[test]
    fn assignments_come_before_the_first_word_only() {
        let found = parse(b"A=1 B= c D=2 =x").unwrap();
        let command = &found[0].first.commands[0];
        assert_eq!(
            command.assignments,
            [(b"A".to_vec(), word("1")), (b"B".to_vec(), Word(vec![]))]
        );
        assert_eq!(command.words, [word("c"), word("D=2"), word("=x")]);
    }

    #[test]
    fn a_quoted_name_assigns_nothing() {
        let found = parse(b"'A'=1").unwrap();
        assert!(found[0].first.commands[0].assignments.is_empty());
    }

    #[test]
    fn exclamation_marks_negate() {
        assert!(parse(b"! a | b").unwrap()[0].first.negated);
        assert!(!parse(b"! ! a").unwrap()[0].first.negated);
        assert!(!parse(b"echo !").unwrap()[0].first.negated);
    }

    #[test]
    fn operators_at_the_end_ask_for_more() {
        for line in [&b"a |"[..], b"a &&", b"a ||\n", b"!"] {
            assert_eq!(parse(line), Err(SyntaxError::Incomplete), "{line:?}");
        }
    }

    #[test]
    fn operators_without_commands_are_refused() {
        for line in [
            &b"| a"[..],
            b"&& a",
            b"; a",
            b"& a",
            b"a | | b",
            b"a && ; b",
            b"a > ;",
            b"a >",
            b"a ;; b",
        ] {
            assert!(matches!(parse(line), Err(SyntaxError::Unexpected(_))), "{line:?}");
        }
    }

    #[test]
    fn compound_commands_are_named_and_refused() {
        assert_eq!(
            parse(b"for i in a; do b; done"),
            Err(SyntaxError::Unsupported("for"))
        );
        assert_eq!(parse(b"a && { b; }"), Err(SyntaxError::Unsupported("{")));
        assert!(parse(b"echo if").is_ok());
        assert!(parse(b"'if'").is_ok());
    }

    #[test]
    fn nothing_is_an_empty_list() {
        for line in [&b""[..], b"   ", b"# only this", b"\n\n"] {
            assert_eq!(parse(line), Ok(vec![]));
        }
    }
}
