//! Who gets what a domain prints, and what happens when nobody does.

use super::*;

fn shown(consoles: &mut Consoles) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((_, line)) = consoles.next_line() {
        lines.push(String::from_utf8(line).unwrap());
    }
    lines
}

fn print(consoles: &mut Consoles, domain: u16, text: &[u8]) {
    consoles.get(domain).unwrap().store(text);
}

#[test]
fn whole_lines_are_shown_behind_their_names() {
    let mut consoles = Consoles::default();
    consoles.attach(1, b"web", true);
    consoles.attach(2, b"", true);
    print(&mut consoles, 1, b"hello\r\nhalf a ");
    print(&mut consoles, 2, b"\n");
    assert_eq!(shown(&mut consoles), ["web: hello\n", "2: \n"]);
    assert!(!consoles.has_line());
    print(&mut consoles, 1, b"line\n");
    assert_eq!(shown(&mut consoles), ["web: half a line\n"]);
}

#[test]
fn a_flood_delays_others_by_one_line() {
    let mut consoles = Consoles::default();
    for (domain, name) in [(1, b"a"), (2, b"b"), (3, b"c")] {
        consoles.attach(domain, name, true);
    }
    print(&mut consoles, 1, "flood\n".repeat(1000).as_bytes());
    assert_eq!(consoles.next_line().unwrap().1, b"a: flood\n");
    print(&mut consoles, 3, b"one\ntwo\n");
    let next: Vec<u16> = (0..4).map(|_| consoles.next_line().unwrap().0).collect();
    assert_eq!(next, [3, 1, 3, 1]);
}

#[test]
fn a_line_without_end_is_shown_in_pieces() {
    let mut consoles = Consoles::default();
    consoles.attach(1, b"a", true);
    print(&mut consoles, 1, &[b'x'; LINE - 1]);
    assert!(!consoles.has_line());
    print(&mut consoles, 1, b"xx");
    let lines = shown(&mut consoles);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].len(), LINE + 4);
}

#[test]
fn what_drives_a_terminal_is_written_out() {
    let mut consoles = Consoles::default();
    consoles.attach(1, b"\x1b[1m", true);
    print(&mut consoles, 1, "a\x1b[6n\tb\u{9b}6n\x7f\u{e9}\n".as_bytes());
    print(&mut consoles, 1, b"\x9b\n");
    assert_eq!(
        shown(&mut consoles),
        ["^[[1m: a^[[6n\tb\\x9b6n^?\u{e9}\n", "^[[1m: \u{fffd}\n"]
    );
}

#[test]
fn who_is_looked_at_loses_nothing_and_others_keep_the_newest() {
    let mut consoles = Consoles::default();
    consoles.attach(1, b"a", true);
    consoles.attach(2, b"b", false);
    assert_eq!(consoles.get(1).unwrap().room(), BUFFER);
    print(&mut consoles, 1, &[b'x'; 1000]);
    assert_eq!(consoles.get(1).unwrap().room(), BUFFER - 1000);

    let quiet = consoles.get(2).unwrap();
    assert_eq!(quiet.room(), usize::MAX);
    quiet.store(&[b'o'; BUFFER]);
    quiet.store(b"new");
    assert_eq!(quiet.waiting(), BUFFER);
    let opening = consoles.open(2).unwrap().unwrap();
    let quiet = consoles.get(2).unwrap();
    assert_eq!(quiet.room(), 0);
    let text = quiet.read(usize::MAX);
    assert!(text.ends_with(b"onew"));
    assert_eq!(quiet.room(), BUFFER);
    assert!(consoles.list().ends_with(b"2 b -o- 0 3\n"));
    drop(opening);
    assert!(consoles.list().ends_with(b"2 b --- 0 3\n"));
}

#[test]
fn an_open_console_is_not_shown_and_can_hold_the_others() {
    let mut consoles = Consoles::default();
    consoles.attach(1, b"a", true);
    consoles.attach(2, b"b", true);
    let opening = consoles.open(1).unwrap().unwrap();
    assert!(consoles.open(1).unwrap().is_none());
    print(&mut consoles, 1, b"mine\n");
    print(&mut consoles, 2, b"theirs\n");
    opening.set(true);
    assert!(!consoles.has_line());
    assert!(consoles.next_line().is_none());
    opening.set(false);
    assert_eq!(shown(&mut consoles), ["b: theirs\n"]);
    assert!(!consoles.was_closed());
    drop(opening);
    assert!(consoles.was_closed() && !consoles.was_closed());
    assert_eq!(shown(&mut consoles), ["a: mine\n"]);
    assert!(consoles.open(9).is_none());
}

#[test]
fn the_last_words_of_a_domain_are_shown_or_read() {
    let mut consoles = Consoles::default();
    consoles.attach(1, b"a", true);
    consoles.attach(2, b"b", false);
    consoles.attach(3, b"c", false);
    let opening = consoles.open(2).unwrap().unwrap();
    for domain in 1..4 {
        consoles.detach(domain, b"bye");
        consoles.detach(domain, b"twice");
    }
    assert_eq!(consoles.take_over(), [3]);
    assert_eq!(shown(&mut consoles), ["a: bye\n"]);
    assert_eq!(consoles.take_over(), [1]);
    assert_eq!(consoles.get(2).unwrap().read(9), b"bye");
    drop(opening);
    assert_eq!(consoles.take_over(), [2]);
    assert!(consoles.list().is_empty());
}

#[test]
fn consoles_that_nobody_touches_are_not_looked_at() {
    let mut consoles = Consoles::default();
    for domain in 1..=1000 {
        consoles.attach(domain, b"a", domain % 2 == 0);
    }
    assert!(consoles.touched.is_empty());
    print(&mut consoles, 7, b"not shown\n");
    print(&mut consoles, 8, b"no line yet");
    assert!(consoles.touched.iter().eq(&[8]));
    assert!(consoles.next_line().is_none() && consoles.touched.is_empty());
    print(&mut consoles, 8, b"\n");
    consoles.set(7, b"b", true);
    assert_eq!(shown(&mut consoles), ["b: not shown\n", "a: no line yet\n"]);
    // One that is open stays in mind: its lines are shown when it is closed.
    let opening = consoles.open(8).unwrap().unwrap();
    print(&mut consoles, 8, b"later\n");
    assert!(consoles.next_line().is_none());
    drop(opening);
    assert_eq!(shown(&mut consoles), ["a: later\n"]);
    // What is replaced or gone is in no set.
    consoles.detach(7, b"bye\n");
    consoles.attach(7, b"new", false);
    consoles.detach(9, b"");
    assert_eq!(consoles.take_over(), [9]);
    assert!(consoles.take_over().is_empty() && consoles.detached.is_empty());
}

#[test]
fn a_new_domain_is_not_read_by_the_old_ones_reader() {
    let mut consoles = Consoles::default();
    consoles.attach(1, b"a", true);
    let opening = consoles.open(1).unwrap().unwrap();
    assert!(consoles.get(1).unwrap().is_opened_by(&opening));
    consoles.attach(1, b"a", true);
    assert!(!consoles.get(1).unwrap().is_opened_by(&opening));
    assert!(consoles.open(1).unwrap().is_some());
}
