//! Wildcards: `*` any text, `?` any byte, `[a-z]` and `[!a-z]` one byte of a set. None of them matches a slash, and a
//! leading dot must be written out.

use alloc::vec::Vec;

use crate::expand::Field;

/// One element of a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Element {
    Byte(u8),
    AnyByte,
    AnyText,
    OneOf { ranges: Vec<(u8, u8)>, inverted: bool },
}

/// The pattern of one path component.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Vec<Element>);

impl Pattern {
    /// Whether `name` matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        if name.first() == Some(&b'.') && self.0.first() != Some(&Element::Byte(b'.')) {
            return false;
        }
        // Where to go on after a mismatch: behind the last `*`, with one more byte given to it.
        let (mut element, mut position) = (0, 0);
        let mut retry = None;
        loop {
            match self.0.get(element) {
                Some(Element::AnyText) => {
                    element += 1;
                    retry = Some((element, position));
                    continue;
                }
                None if position == name.len() => return true,
                Some(wanted) if name.get(position).is_some_and(|&byte| wanted.matches(byte)) => {
                    element += 1;
                    position += 1;
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((behind, start)) if start < name.len() => {
                    retry = Some((behind, start + 1));
                    (element, position) = (behind, start + 1);
                }
                _ => return false,
            }
        }
    }

    /// The text, when there is no wildcard in it.
    pub fn literal(&self) -> Option<Vec<u8>> {
        self.0
            .iter()
            .map(|element| {
                if let Element::Byte(byte) = element {
                    Some(*byte)
                } else {
                    None
                }
            })
            .collect()
    }
}

impl Element {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Element::Byte(wanted) => *wanted == byte,
            Element::AnyByte | Element::AnyText => true,
            Element::OneOf { ranges, inverted } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&byte)) != *inverted
            }
        }
    }
}

/// The patterns of a field's path components, in order; an empty one stands for a slash at the beginning or the end.
pub fn components(field: &Field) -> Vec<Pattern> {
    let mut done = Vec::new();
    let mut start = 0;
    for end in (0..=field.text.len()).filter(|&end| field.text.get(end).is_none_or(|&byte| byte == b'/')) {
        done.push(component(&field.text[start..end], &field.quoted[start..end]));
        start = end + 1;
    }
    done
}

fn component(text: &[u8], quoted: &[bool]) -> Pattern {
    let mut elements = Vec::new();
    let mut index = 0;
    while index < text.len() {
        let byte = text[index];
        let mut length = 1;
        elements.push(match byte {
            _ if quoted[index] => Element::Byte(byte),
            b'*' => Element::AnyText,
            b'?' => Element::AnyByte,
            b'[' => match set(&text[index..]) {
                Some((element, used)) => {
                    length = used;
                    element
                }
                None => Element::Byte(byte),
            },
            _ => Element::Byte(byte),
        });
        index += length;
    }
    Pattern(elements)
}

/// `[…]` at the start of `text` and its length; a bracket that is never closed is a bracket.
fn set(text: &[u8]) -> Option<(Element, usize)> {
    let inverted = matches!(text.get(1), Some(b'!' | b'^'));
    let first = if inverted { 2 } else { 1 };
    // A closing bracket that comes first belongs to the set.
    let close = text.iter().skip(first + 1).position(|&byte| byte == b']')? + first + 1;
    let members = &text[first..close];
    let mut ranges = Vec::new();
    let mut index = 0;
    while index < members.len() {
        if members.get(index + 1) == Some(&b'-') && index + 2 < members.len() {
            ranges.push((members[index], members[index + 2]));
            index += 3;
        } else {
            ranges.push((members[index], members[index]));
            index += 1;
        }
    }
    Some((Element::OneOf { ranges, inverted }, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn pattern(text: &str) -> Pattern {
        component(text.as_bytes(), &vec![false; text.len()])
    }

    #[test]
    fn stars_match_any_text() {
        for (wildcard, name, matches) in [
            ("*", "abc", true),
            ("a*", "a", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("*ab", "aba", false),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(
                pattern(wildcard).matches(name.as_bytes()),
                matches,
                "{wildcard} {name}"
            );
        }
    }

    #[test]
    fn question_marks_and_sets_match_one_byte() {
        for (wildcard, name, matches) in [
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]", "d", true),
            ("[^a-c]", "a", false),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
        ] {
            assert_eq!(
                pattern(wildcard).matches(name.as_bytes()),
                matches,
                "{wildcard} {name}"
            );
        }
    }

    #[test]
    fn leading_dots_are_written_out() {
        assert!(!pattern("*").matches(b".profile"));
        assert!(!pattern("?x").matches(b".x"));
        assert!(pattern(".*").matches(b".profile"));
    }

    #[test]
    fn quoted_bytes_are_themselves() {
        let quoted = component(b"a*", &[false, true]);
        assert!(quoted.matches(b"a*"));
        assert!(!quoted.matches(b"ab"));
        assert_eq!(quoted.literal(), Some(b"a*".to_vec()));
    }

    #[test]
    fn components_are_cut_at_slashes() {
        let field = Field {
            text: b"/b*/c".to_vec(),
            quoted: vec![false; 5],
        };
        let found = components(&field);
        assert_eq!(found, [pattern(""), pattern("b*"), pattern("c")]);
        assert_eq!(found[1].literal(), None);
    }
}
