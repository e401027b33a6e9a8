//! From words to fields: parameters are replaced, values outside of quotes are split at blanks.

use alloc::vec::Vec;

use crate::token::{Piece, Word};

/// Where the values of parameters come from.
pub trait Parameters {
    /// The value of `$name`; unset ones expand to nothing.
    fn value(&self, name: &[u8]) -> Option<Vec<u8>>;
    /// `$1`, `$2` and so on.
    fn positional(&self) -> &[Vec<u8>];
}

/// An expanded field. Bytes that were quoted are marked, since wildcards among them do not count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Field {
    /// The text.
    pub text: Vec<u8>,
    /// For each byte, whether it stood in quotes.
    pub quoted: Vec<bool>,
}

impl Field {
    fn push(&mut self, text: &[u8], quoted: bool) {
        self.text.extend_from_slice(text);
        self.quoted.resize(self.text.len(), quoted);
    }

    /// Whether a wildcard counts in it.
    pub fn has_wildcards(&self) -> bool {
        self.text
            .iter()
            .zip(&self.quoted)
            .any(|(byte, &quoted)| !quoted && b"*?[".contains(byte))
    }
}

/// All fields of a word: none, one, or several.
pub fn fields(word: &Word, parameters: &impl Parameters) -> Vec<Field> {
    let mut done = Vec::new();
    // The field being built, once anything (quotes included) has begun it.
    let mut open: Option<Field> = None;
    for piece in &word.0 {
        match piece {
            Piece::Plain(text) => open.get_or_insert_default().push(text, false),
            Piece::Quoted(text) => open.get_or_insert_default().push(text, true),
            Piece::Parameter { name, quoted: true } if name == b"@" => {
                for (index, value) in parameters.positional().iter().enumerate() {
                    if index != 0 {
                        done.extend(open.take());
                    }
                    open.get_or_insert_default().push(value, true);
                }
            }
            Piece::Parameter { name, quoted } => {
                let value = value(name, parameters);
                if *quoted {
                    open.get_or_insert_default().push(&value, true);
                } else {
                    split(&value, &mut open, &mut done);
                }
            }
        }
    }
    done.extend(open);
    done
}

/// The word as one text, unsplit: the value of an assignment, the target of a redirection.
pub fn text(word: &Word, parameters: &impl Parameters) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in &word.0 {
        match piece {
            Piece::Plain(part) | Piece::Quoted(part) => text.extend_from_slice(part),
            Piece::Parameter { name, .. } => text.extend_from_slice(&value(name, parameters)),
        }
    }
    text
}

fn value(name: &[u8], parameters: &impl Parameters) -> Vec<u8> {
    match name {
        b"@" | b"*" => parameters.positional().join(&b' '),
        _ => parameters.value(name).unwrap_or_default(),
    }
}

/// Blanks in the value end fields; text next to it in the word joins the first and the last one.
fn split(value: &[u8], open: &mut Option<Field>, done: &mut Vec<Field>) {
    for &byte in value {
        if matches!(byte, b' ' | b'\t' | b'\n') {
            done.extend(open.take());
        } else {
            open.get_or_insert_default().push(&[byte], false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;
    use alloc::vec;

    struct Values(Vec<Vec<u8>>);

    impl Parameters for Values {
        fn value(&self, name: &[u8]) -> Option<Vec<u8>> {
            match name {
                b"two" => Some(b" one  two ".to_vec()),
                b"star" => Some(b"*".to_vec()),
                b"empty" => Some(vec![]),
                b"?" => Some(b"7".to_vec()),
                _ => None,
            }
        }

        fn positional(&self) -> &[Vec<u8>] {
            &self.0
        }
    }

    fn expanded(line: &str) -> Vec<Vec<u8>> {
        let list = parse(line.as_bytes()).unwrap();
        let values = Values(vec![b"a b".to_vec(), b"c".to_vec()]);
        let words = &list[0].first.commands[0].words;
        words
            .iter()
            .flat_map(|word| fields(word, &values))
            .map(|field| field.text)
            .collect()
    }

    fn texts(expected: &[&str]) -> Vec<Vec<u8>> {
        expected.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn values_outside_of_quotes_are_split() {
        assert_eq!(expanded("x $two y"), texts(&["x", "one", "two", "y"]));
        assert_eq!(expanded("x${two}y"), texts(&["x", "one", "two", "y"]));
    }

    #[test]
    fn values_in_quotes_stay_whole() {
        assert_eq!(expanded("\"$two\""), texts(&[" one  two "]));
    }

    #[test]
    fn nothing_is_no_field_unless_quoted() {
        assert_eq!(expanded("x $empty $unset \"$empty\" ''"), texts(&["x", "", ""]));
    }

    #[test]
    fn positional_parameters_stay_apart_in_quotes() {
        assert_eq!(expanded("x \"<$@>\""), texts(&["x", "<a b", "c>"]));
        assert_eq!(expanded("$@"), texts(&["a", "b", "c"]));
        assert_eq!(expanded("\"$*\""), texts(&["a b c"]));
    }

    #[test]
    fn quoted_wildcards_do_not_count() {
        let values = Values(vec![]);
        for (line, counts) in [
            ("a*", true),
            ("'a*'", false),
            ("a\\*", false),
            ("$star", true),
            ("\"$star\"", false),
        ] {
            let list = parse(line.as_bytes()).unwrap();
            let found = fields(&list[0].first.commands[0].words[0], &values);
            assert_eq!(found[0].has_wildcards(), counts, "{line}");
        }
    }

    #[test]
    fn a_text_is_never_split() {
        let list = parse(b"A=$two-$?").unwrap();
        let (name, word) = &list[0].first.commands[0].assignments[0];
        assert_eq!(
            (&name[..], text(word, &Values(vec![]))),
            (&b"A"[..], b" one  two -7".to_vec())
        );
    }
}
