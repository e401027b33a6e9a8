//! Progress of the steps before the machine starts, on standard error.
//!
//! On a terminal a step is a spinner with its time; elsewhere it is one plain line, printed only when the step takes longer
//! than a second, so that a warm start prints nothing.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Steps that are over sooner leave no trace.
const WORTH_SHOWING: Duration = Duration::from_secs(1);

/// One step, from [`Step::start`] to its drop.
pub struct Step {
    name: String,
    started: Instant,
    show: Show,
}

/// The two ways to show a step.
enum Show {
    Spinner(ProgressBar),
    /// Dropping the sender tells the waiting thread that the step is over.
    Plain {
        _over: Sender<()>,
    },
}

impl Step {
    /// Begins a step.
    pub fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        let show = if stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}")
                .expect("the template is constant");
            let bar = ProgressBar::new_spinner()
                .with_style(style)
                .with_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            Show::Spinner(bar)
        } else {
            let (over, is_over) = channel::<()>();
            let line = name.clone();
            std::thread::spawn(move || {
                if is_over.recv_timeout(WORTH_SHOWING) == Err(RecvTimeoutError::Timeout) {
                    eprintln!("{line} ...");
                }
            });
            Show::Plain { _over: over }
        };
        Self {
            name,
            started: Instant::now(),
            show,
        }
    }

    /// What the step is busy with just now.
    pub fn detail(&self, text: &str) {
        if let Show::Spinner(bar) = &self.show {
            bar.set_message(text.trim().to_string());
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Show::Spinner(bar) = &self.show {
            bar.finish_and_clear();
            if self.started.elapsed() >= WORTH_SHOWING {
                eprintln!("  {} ({:.1} s)", self.name, self.started.elapsed().as_secs_f32());
            }
        }
    }
}
