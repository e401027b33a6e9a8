//! Lines and what they are cut into.

use super::*;
use alloc::vec;

fn plain(text: &str) -> Token {
    Token::Word(Word(vec![Piece::Plain(text.into())]))
}

#[test]
fn words_and_operators_need_no_blanks_between() {
    use Token::*;
    let found = tokens(b"a&&b||c;d|e&f\ng").unwrap();
    let (a, b, c, d, e, f, g) = (
        plain("a"),
        plain("b"),
        plain("c"),
        plain("d"),
        plain("e"),
        plain("f"),
        plain("g"),
    );
    assert_eq!(
        found,
        [a, And, b, Or, c, Semicolon, d, Pipe, e, Ampersand, f, Newline, g]
    );
}

#[test]
fn quotes_keep_blanks_and_operators() {
    let found = tokens(br#"'a b|c' "d;e" f\ g ''"#).unwrap();
    let quoted = |text: &str| Token::Word(Word(vec![Piece::Quoted(text.into())]));
    let mixed = Word(vec![
        Piece::Plain("f".into()),
        Piece::Quoted(" ".into()),
        Piece::Plain("g".into()),
    ]);
    assert_eq!(
        found,
        [quoted("a b|c"), quoted("d;e"), Token::Word(mixed), quoted("")]
    );
}

#[test]
fn backslash_in_double_quotes_only_before_special_bytes() {
    let found = tokens(br#""\"\$\\\n""#).unwrap();
    assert_eq!(
        found,
        [Token::Word(Word(vec![Piece::Quoted(br#""$\\n"#.to_vec())]))]
    );
}

#[test]
fn redirections_take_a_descriptor_right_before() {
    use Redirection::*;
    let found = tokens(b"<a >b >>c 2>d 2>&1 3<e 4 >f").unwrap();
    let expected = [
        Token::Redirect(0, Read),
        plain("a"),
        Token::Redirect(1, Write),
        plain("b"),
        Token::Redirect(1, Append),
        plain("c"),
        Token::Redirect(2, Write),
        plain("d"),
        Token::Redirect(2, Duplicate),
        plain("1"),
        Token::Redirect(3, Read),
        plain("e"),
        plain("4"),
        Token::Redirect(1, Write),
        plain("f"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn digits_inside_a_word_are_no_descriptor() {
    let found = tokens(b"a2>b").unwrap();
    assert_eq!(
        found,
        [plain("a2"), Token::Redirect(1, Redirection::Write), plain("b")]
    );
}

#[test]
fn a_descriptor_beyond_all_numbers_is_refused() {
    assert!(matches!(
        tokens(b"99999999999>a"),
        Err(SyntaxError::Unexpected(_))
    ));
}

#[test]
fn parameters_end_where_names_end() {
    let parameter = |name: &str, quoted| Piece::Parameter {
        name: name.into(),
        quoted,
    };
    let found = tokens(br#"$a_1-${b}c"$?$1x"$"#).unwrap();
    let expected = Word(vec![
        parameter("a_1", false),
        Piece::Plain("-".into()),
        parameter("b", false),
        Piece::Plain("c".into()),
        Piece::Quoted(vec![]),
        parameter("?", true),
        parameter("1", true),
        Piece::Quoted("x".into()),
        Piece::Plain("$".into()),
    ]);
    assert_eq!(found, [Token::Word(expected)]);
}

#[test]
fn comments_run_to_the_end_of_the_line() {
    assert_eq!(
        tokens(b"a # b | 'c\nd#e").unwrap(),
        [plain("a"), Token::Newline, plain("d#e")]
    );
}

#[test]
fn open_quotes_ask_for_more() {
    for line in [&b"'a"[..], b"\"a", b"a\\", b"${a", b"\"\\"] {
        assert_eq!(tokens(line), Err(SyntaxError::Incomplete));
    }
}

#[test]
fn what_the_shell_lacks_is_named() {
    for line in [&b"$(a)"[..], b"`a`", b"(a)", b"a <<b", b"${a:-b}", b"${}"] {
        assert!(
            matches!(tokens(line), Err(SyntaxError::Unsupported(_))),
            "{line:?}"
        );
    }
}
