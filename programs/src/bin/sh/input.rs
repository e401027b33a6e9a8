//! Where the shell's lines come from.
//!
//! Both the terminal and a plain descriptor are read byte by byte, so that what follows a line is left for the
//! programs that the line starts.

use alloc::vec::Vec;

use programs::file::read_some;
use programs::io::{self, STDIN};
use programs::terminal::Raw;
use shell_lang::edit::{Editor, Event};

/// A source of lines.
pub enum Input {
    /// Standard input is a terminal: lines are edited.
    Terminal(Editor),
    /// A descriptor that is none.
    Descriptor(i32),
    /// A text that is already here: `-c`, or a file.
    Text {
        /// All of it.
        text: Vec<u8>,
        /// Where the next line begins.
        next: usize,
    },
}

/// What came.
pub enum Line {
    /// A line, without its end.
    Text(Vec<u8>),
    /// Ctrl-C.
    Interrupted,
    /// Nothing more.
    End,
}

impl Input {
    /// The terminal on standard input.
    pub fn terminal() -> Input {
        Input::Terminal(Editor::new())
    }

    /// An open file.
    pub fn descriptor(fd: i32) -> Input {
        Input::Descriptor(fd)
    }

    /// A text.
    pub fn text(text: &[u8]) -> Input {
        Input::Text {
            text: text.to_vec(),
            next: 0,
        }
    }

    /// The next line; a terminal shows `prompt` before.
    pub fn line(&mut self, prompt: &[u8]) -> Line {
        match self {
            Input::Terminal(editor) => edited(editor, prompt),
            Input::Descriptor(fd) => plain(*fd),
            Input::Text { text, next } => {
                let rest = &text[*next..];
                if rest.is_empty() {
                    return Line::End;
                }
                let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                *next = (*next + length + 1).min(text.len());
                Line::Text(rest[..length].to_vec())
            }
        }
    }
}

fn next_byte(fd: i32) -> Option<u8> {
    let mut byte = [0];
    matches!(read_some(fd, &mut byte), Ok(1)).then_some(byte[0])
}

fn edited(editor: &mut Editor, prompt: &[u8]) -> Line {
    let raw = Raw::enter(STDIN);
    io::out(prompt);
    let mut show = Vec::new();
    loop {
        let Some(byte) = next_byte(STDIN) else {
            return Line::End;
        };
        // A terminal that stays in line mode (it cannot be switched) ends input by an empty read, handled above.
        let event = editor.key(byte, &mut show);
        if raw.is_ok() {
            io::out(&show);
        }
        show.clear();
        match event {
            Event::Pending => {}
            Event::Line(line) => return Line::Text(line),
            Event::Interrupted => return Line::Interrupted,
            Event::End => {
                io::out(b"\n");
                return Line::End;
            }
        }
    }
}

fn plain(fd: i32) -> Line {
    let mut line = Vec::new();
    loop {
        match next_byte(fd) {
            Some(b'\n') => return Line::Text(line),
            Some(byte) => line.push(byte),
            None if line.is_empty() => return Line::End,
            None => return Line::Text(line),
        }
    }
}
