//! What is typed into a console: the user's terminal, a stream such as a pipe, or the text of a test.
//!
//! One thread reads the source for as long as the launcher lives, and hands it on in pieces of bounded number, so that a
//! machine which is started again goes on where the last one stopped reading.

use crate::terminal;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

/// The key that leaves the console on a terminal: Ctrl-].
const LEAVE: u8 = 0x1d;

/// A source of typed bytes.
pub struct Keyboard {
    pieces: Receiver<Vec<u8>>,
    ear: Option<Ear>,
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
            ear: None,
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
            ear: None,
            left,
            ends: true,
        }
    }

    /// A text that is typed step by step, some of it when the machine has said something; then it ends.
    pub fn of_steps(steps: Vec<Step>) -> Self {
        let (typing, pieces) = channel();
        let mut ear = Ear {
            steps: steps.into(),
            typing: Some(typing),
            asked: 0,
            heard: String::new(),
        };
        ear.go_on();
        Self {
            pieces,
            ear: Some(ear),
            left: Arc::default(),
            ends: true,
        }
    }

    /// What hears the machine, if the keyboard waits for anything it says. There is one.
    pub fn take_ear(&mut self) -> Option<Ear> {
        self.ear.take()
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

/// What somebody does at a shell who looks at what it answers.
pub enum Step {
    /// Types.
    Type(String),
    /// Gives a command again and again, until its output says so.
    Until(String, Box<dyn Fn(&str) -> bool + Send>),
}

impl Step {
    /// Types some lines.
    pub fn keys(text: impl Into<String>) -> Self {
        Self::Type(text.into())
    }

    /// Gives a command until its output has this text.
    pub fn until(command: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Until(command.into(), Box::new(move |output| output.contains(&text)))
    }
}

/// What hears the machine, and has the next keys typed when they are due.
pub struct Ear {
    steps: VecDeque<Step>,
    typing: Option<Sender<Vec<u8>>>,
    /// How many commands have been given.
    asked: usize,
    /// What the machine has said since the last one, as far as it is not judged.
    heard: String,
}

impl Ear {
    /// The machine said this.
    pub fn hear(&mut self, bytes: &[u8]) {
        if self.typing.is_none() {
            return;
        }
        self.heard.push_str(&String::from_utf8_lossy(bytes));
        // The mark stands alone in a line; where the command is echoed it does not.
        let mark = format!("\n{}\r", self.mark());
        let Some(end) = self.heard.find(&mark) else {
            return;
        };
        let said = &self.heard[..end];
        // Behind the echo of the command, if there was one.
        let begin = said.rfind(&self.mark()).map_or(0, |at| at + self.mark().len());
        let is_so = match self.steps.front() {
            Some(Step::Until(_, is_so)) => is_so(&said[begin..]),
            _ => false,
        };
        self.heard.drain(..end + mark.len());
        if is_so {
            self.steps.pop_front();
        }
        self.go_on();
    }

    /// What is printed behind the command that was given last.
    fn mark(&self) -> String {
        format!("=={}==", self.asked)
    }

    /// Types up to the next command whose output counts, and that.
    fn go_on(&mut self) {
        let mut keys = String::new();
        while let Some(Step::Type(text)) = self.steps.front() {
            keys += text;
            self.steps.pop_front();
        }
        if let Some(Step::Until(command, _)) = self.steps.front() {
            let command = command.clone();
            // From the second time on not so fast.
            self.asked += 1;
            keys += &format!("{command}; echo {}; sleep 0.2\n", self.mark());
        }
        if let Some(typing) = &self.typing {
            // Nobody reads it when the machine is over.
            let _ = typing.send(keys.into_bytes());
        }
        if self.steps.is_empty() {
            self.typing = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_given_until_its_output_says_so() {
        let typed = |keyboard: &Keyboard| match keyboard.read(SOON) {
            Typed::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
            other => format!("{other:?}"),
        };
        let mut keyboard = Keyboard::of_steps(vec![
            Step::keys("create a\n"),
            Step::keys("echo\n"),
            Step::until("list", "blocked"),
            Step::keys("poweroff\n"),
        ]);
        let mut ear = keyboard.take_ear().unwrap();
        assert_eq!(typed(&keyboard), "create a\necho\nlist; echo ==1==; sleep 0.2\n");
        // The word is in what was printed before, and in the echo; the mark is in the echo.
        for part in [
            "blocked\r\n/ # list blocked; ec",
            "ho ==1==; sleep 0.2\r\nrunning\r",
            "\n==1=",
            "=\r\n",
        ] {
            assert_eq!(keyboard.read(Duration::ZERO), Typed::Nothing);
            ear.hear(part.as_bytes());
        }
        assert_eq!(typed(&keyboard), "list; echo ==2==; sleep 0.2\n");
        ear.hear(b"/ # list; echo ==2==; sleep 0.2\r\nINFO [ 1.0] this\r\nblocked\r\n==2==\r\n");
        assert_eq!(typed(&keyboard), "poweroff\n");
        assert_eq!(keyboard.read(SOON), Typed::End);
        ear.hear(b"\n==2==\r");
        assert_eq!(keyboard.read(SOON), Typed::End);
    }

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
