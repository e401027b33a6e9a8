//! What is typed into a console: the user's terminal, a stream such as a pipe, or the text of a test.
//!
//! One thread reads the source for as long as the launcher lives, and hands it on in pieces of bounded number, so that a
//! machine which is started again goes on where the last one stopped reading.

use crate::terminal;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// The key that leaves the console on a terminal: Ctrl-].
const LEAVE: u8 = 0x1d;

/// A source of typed bytes.
pub struct Keyboard {
    pieces: Receiver<Vec<u8>>,
    left: Arc<AtomicBool>,
    ends: bool,
}

/// What came from a keyboard.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// Nothing for now.
    Nothing,
    /// The source ended; no byte will follow.
    End,
}

impl Keyboard {
    /// Standard input: key by key on a terminal, to its end otherwise.
    pub fn of_stdin() -> Self {
        if terminal::is_present() {
            terminal::make_raw();
            eprintln!("(Ctrl-] leaves the console)");
            Self::new(std::io::stdin(), Some(LEAVE))
        } else {
            Self::new(std::io::stdin(), None)
        }
    }

    /// A text that is typed, and then ends.
    pub fn of_text(text: impl Into<Vec<u8>>) -> Self {
        Self::new(std::io::Cursor::new(text.into()), None)
    }

    /// Nobody types, and nothing ends: for guests that read no console.
    pub fn idle() -> Self {
        let (_, pieces) = sync_channel(1);
        Self {
            pieces,
            left: Arc::default(),
            ends: false,
        }
    }

    fn new(mut source: impl Read + Send + 'static, leave: Option<u8>) -> Self {
        let (sender, pieces) = sync_channel(1);
        let left = Arc::new(AtomicBool::new(false));
        let leaving = Arc::clone(&left);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                let typed = &buffer[..count];
                let is_leaving = leave.and_then(|key| typed.iter().position(|byte| *byte == key));
                if let Some(at) = is_leaving {
                    leaving.store(true, Ordering::SeqCst);
                    let _ = sender.try_send(typed[..at].to_vec());
                    return;
                }
                if sender.send(typed.to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            pieces,
            left,
            ends: true,
        }
    }

    /// The next bytes, waiting for them at most so long.
    pub fn read(&self, patience: Duration) -> Typed {
        match self.pieces.recv_timeout(patience) {
            Ok(bytes) => Typed::Bytes(bytes),
            Err(RecvTimeoutError::Timeout) => Typed::Nothing,
            Err(RecvTimeoutError::Disconnected) if self.ends => Typed::End,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(patience);
                Typed::Nothing
            }
        }
    }

    /// Whether the user pressed the key that leaves; it works even while nothing else is read.
    pub fn has_left(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_text_comes_whole_and_then_ends_for_good() {
        let text: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        let keyboard = Keyboard::of_text(text.clone());
        let mut read = Vec::new();
        while let Typed::Bytes(bytes) = keyboard.read(SOON) {
            read.extend(bytes);
        }
        assert!(read == text);
        assert_eq!(keyboard.read(SOON), Typed::End);
    }

    #[test]
    fn the_leaving_key_stops_the_reading_on_a_terminal_only() {
        let source = || std::io::Cursor::new(b"ab\x1dcd".to_vec());
        let terminal = Keyboard::new(source(), Some(LEAVE));
        assert_eq!(terminal.read(SOON), Typed::Bytes(b"ab".to_vec()));
        assert_eq!(terminal.read(SOON), Typed::End);
        assert!(terminal.has_left().load(Ordering::SeqCst));
        let pipe = Keyboard::new(source(), None);
        assert_eq!(pipe.read(SOON), Typed::Bytes(b"ab\x1dcd".to_vec()));
    }

    #[test]
    fn an_idle_keyboard_never_ends() {
        assert_eq!(Keyboard::idle().read(Duration::from_millis(1)), Typed::Nothing);
    }
}
