//! The user's terminal: raw while a machine runs, restored whatever ends it.

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::io::{IsTerminal, stdin};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The settings to go back to.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);
/// Whether a machine is attended, so that its console loop is what ends on a signal.
static ATTENDED: AtomicBool = AtomicBool::new(false);
/// Whether a signal asked the launcher to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Hands every key to the reader: no line editing, no echo, no signals. Output keeps its line ends.
pub fn make_raw() {
    let Ok(settings) = tcgetattr(stdin()) else { return };
    let mut raw = settings.clone();
    raw.input_modes -= InputModes::IGNBRK
        | InputModes::BRKINT
        | InputModes::PARMRK
        | InputModes::ISTRIP
        | InputModes::INLCR
        | InputModes::IGNCR
        | InputModes::ICRNL
        | InputModes::IXON;
    raw.local_modes -=
        LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    if tcsetattr(stdin(), OptionalActions::Now, &raw).is_ok() {
        // A second call must not take raw settings for the user's.
        saved().get_or_insert(settings);
    }
}

/// Gives the terminal its settings back.
pub fn restore() {
    if let Some(settings) = saved().take() {
        // Nothing is left to do about a terminal that went away.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &settings);
    }
}

fn saved() -> std::sync::MutexGuard<'static, Option<Termios>> {
    SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether standard input is a terminal.
pub fn is_present() -> bool {
    stdin().is_terminal()
}

/// Makes a signal (interrupt, hang-up, termination) end the machine in order, or the launcher when there is none.
pub fn catch_signals() {
    // A second call finds the handler there already.
    let _ = ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        if !ATTENDED.load(Ordering::SeqCst) {
            restore();
            std::process::exit(130);
        }
    });
}

/// Whether a signal asked for the end.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// While it lives, signals are left to a console loop that polls [`is_interrupted`].
pub struct Attending;

impl Attending {
    /// Begins to attend.
    pub fn begin() -> Self {
        ATTENDED.store(true, Ordering::SeqCst);
        Self
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        ATTENDED.store(false, Ordering::SeqCst);
    }
}
