//! The line discipline, typed at and read from.

use super::*;

fn typed(text: &[u8]) -> Tty {
    let mut tty = Tty::default();
    for &byte in text {
        assert_eq!(tty.input(byte), None);
    }
    tty
}

fn raw(tty: &mut Tty) {
    let mut termios = tty.termios();
    termios
        .local
        .remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
    tty.set_termios(termios);
}

fn data(text: &[u8]) -> TtyRead {
    TtyRead::Data(text.to_vec())
}

#[test]
fn lines_come_one_at_a_time() {
    let mut tty = typed(b"ls\rps\npart");
    assert_eq!(tty.read(100), data(b"ls\n"));
    assert_eq!(tty.take_echo(usize::MAX), b"ls\r\n");
    assert_eq!(tty.read(2), data(b"ps"));
    assert_eq!(tty.read(2), data(b"\n"));
    assert_eq!(tty.read(2), TtyRead::Wait);
}

#[test]
fn erase_and_kill_edit_the_line() {
    let mut tty = typed(b"abd\x7fc\x08cd\n");
    assert_eq!(tty.read(100), data(b"abcd\n"));
    let mut tty = typed(b"rubbish\x15ok\n\x7f\x15x\n");
    assert_eq!(tty.read(100), data(b"ok\n"));
    assert_eq!(tty.read(100), data(b"x\n"));
}

#[test]
fn end_of_file_is_given_once() {
    let mut tty = typed(b"\x04next\n");
    assert_eq!(tty.available(), Some(0));
    assert_eq!(tty.read(10), data(b""));
    assert_eq!(tty.read(10), data(b"next\n"));
}

#[test]
fn end_of_file_in_a_line_ends_the_read() {
    let mut tty = typed(b"half\x04");
    assert_eq!(tty.read(10), data(b"half"));
    assert_eq!(tty.read(10), TtyRead::Wait);
}

#[test]
fn nothing_is_lost_when_the_mode_changes() {
    let mut tty = typed(b"first\nsecond\x04\x7f");
    assert_eq!(tty.read(2), data(b"fi"));
    raw(&mut tty);
    assert_eq!(tty.available(), Some(12));
    assert_eq!(tty.read(4), data(b"rst\n"));
    assert_eq!(tty.read(100), data(b"second\x04\x7f"));
    assert_eq!(tty.read(1), TtyRead::Wait);
}

#[test]
fn a_line_half_typed_survives_too() {
    let mut tty = typed(b"ab");
    assert_eq!(tty.read(10), TtyRead::Wait);
    raw(&mut tty);
    assert_eq!(tty.read(10), data(b"ab"));
}

#[test]
fn signal_characters_act_at_once_and_drop_input() {
    let mut tty = typed(b"abc");
    assert_eq!(tty.input(3), Some(Signal::INT));
    assert_eq!(tty.take_echo(usize::MAX), b"^C\r\n");
    assert_eq!(tty.room(), BACKLOG);
    assert_eq!(tty.input(28), Some(Signal::QUIT));
    raw(&mut tty);
    assert_eq!(tty.input(3), None);
    assert_eq!(tty.read(5), data(b"\x03"));
}

#[test]
fn raw_reads_may_ask_not_to_wait() {
    let mut tty = Tty::default();
    raw(&mut tty);
    let mut termios = tty.termios();
    termios.cc[cc::VMIN] = 0;
    tty.set_termios(termios);
    assert_eq!(tty.read(5), data(b""));
}

#[test]
fn output_gets_carriage_returns_only_where_asked() {
    let mut tty = Tty::default();
    assert_eq!(tty.output(b"a\nb"), b"a\r\nb");
    let mut termios = tty.termios();
    termios.output.remove(OutputFlags::OPOST);
    tty.set_termios(termios);
    assert_eq!(tty.output(b"a\nb"), b"a\nb");
}

#[test]
fn full_queues_refuse_and_long_lines_are_cut() {
    let mut tty = typed(&[b'x'; BACKLOG]);
    assert_eq!(tty.room(), 0);
    assert_eq!(tty.read(1), TtyRead::Wait);
    assert_eq!(tty.room(), BACKLOG);
    tty.input(b'y');
    tty.input(b'\n');
    let TtyRead::Data(line) = tty.read(2 * MAX_LINE) else {
        panic!("a line is there")
    };
    assert_eq!(line.len(), MAX_LINE);
    assert_eq!(line.last(), Some(&b'\n'));
}

#[test]
fn output_and_echo_keep_to_the_room_there_is() {
    let tty = Tty::default();
    let within = |room| tty.output_within(b"a\nb\n", room);
    assert_eq!(within(6), (4, b"a\r\nb\r\n".to_vec()));
    assert_eq!(within(5), (3, b"a\r\nb".to_vec()));
    assert_eq!(within(2), (1, b"a".to_vec()));
    assert_eq!(within(0), (0, Vec::new()));
    let mut tty = typed(b"ls\n");
    assert_eq!(tty.read(100), data(b"ls\n"));
    assert_eq!(tty.take_echo(3), b"ls\r");
    assert_eq!(tty.take_echo(3), b"\n");
}
