//! The terminal's two ends: what was typed goes into the line discipline, what programs write comes out.

use super::Kernel;
use crate::console;
use crate::process::WaitFor;

impl Kernel {
    /// Takes typed bytes from the console, as many as there is room for; the others wait there.
    pub(crate) fn read_console(&mut self) {
        let mut bytes = [0; 128];
        let mut taken = false;
        loop {
            let room = self.tty.room().min(bytes.len());
            let count = console::read(&mut bytes[..room]);
            if count == 0 {
                break;
            }
            taken = true;
            for byte in &bytes[..count] {
                if let Some(signal) = self.tty.input(*byte) {
                    let foreground = self.tty.foreground;
                    self.signal_group(foreground, Some(signal));
                }
            }
        }
        if taken {
            self.show_echo();
            self.wake(WaitFor::TTY);
        }
    }

    /// Writes what the line discipline wants shown, as far as there is room; the rest comes when there is.
    pub(crate) fn show_echo(&mut self) {
        let echo = self.tty.take_echo(console::room());
        self.screen_line.note(&echo);
        console::write(&echo);
    }

    /// Writes a program's output to the console, and says how much of it there was room for.
    pub(crate) fn write_console(&mut self, bytes: &[u8]) -> usize {
        let (count, text) = self.tty.output_within(bytes, console::room());
        self.screen_line.note(&text);
        console::write(&text);
        count
    }
}
