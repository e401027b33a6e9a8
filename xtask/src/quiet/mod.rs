//! Devices that answer when the machine has nothing else to do.
//!
//! What a device of QEMU's own does, it does at some moment of real time. These ones are servers in the launcher that QEMU connects to. They look at QEMU's
//! threads, and do the next thing when all of them sleep: that is when the machine idles, having asked for everything that it has to ask for. So what
//! happens in which order does not depend on how fast anything is, and each device is as slow as can be: whoever wants it waits for it, and it never
//! waits for anybody.

use anyhow::{Context, Result};
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub mod disk;
pub mod echo;

/// Between two looks at QEMU's threads.
const LOOK: Duration = Duration::from_millis(1);
/// So many looks in turn must find them asleep.
const LOOKS: u32 = 10;
/// A server with a thread of its own, for one QEMU.
struct Server {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Listens at a socket, and serves whoever comes first.
    fn start(
        socket: &Path,
        serve: impl FnOnce(UnixStream, Moments) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let listener = UnixListener::bind(socket).context("no socket for a device")?;
        listener.set_nonblocking(true)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false)?;
                        let moments = Moments::of(&stream, ends)?;
                        return serve(stream, moments);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        });
        Ok(Self {
            is_over,
            thread: Some(thread),
        })
    }

    /// Ends when QEMU has; what it met.
    fn end(mut self) -> Result<()> {
        self.is_over.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("there until now");
        thread.join().expect("the server does not panic")
    }
}

/// The moments at which the machine idles.
struct Moments {
    qemu: u32,
    is_over: Arc<AtomicBool>,
    quiet: u32,
}

impl Moments {
    /// Of the QEMU at the other end.
    fn of(stream: &UnixStream, is_over: Arc<AtomicBool>) -> Result<Self> {
        let peer =
            rustix::net::sockopt::socket_peercred(stream).context("nobody knows whose device it is")?;
        Ok(Self {
            qemu: peer.pid.as_raw_nonzero().get().unsigned_abs(),
            is_over,
            quiet: 0,
        })
    }

    /// It has asked for something, or something was done for it.
    fn note_work(&mut self) {
        self.quiet = 0;
    }

    /// Waits a moment. Whether it idles now.
    fn is_one(&mut self) -> bool {
        std::thread::sleep(LOOK);
        self.quiet = if is_asleep(self.qemu) { self.quiet + 1 } else { 0 };
        self.quiet >= LOOKS
    }

    /// Whether QEMU has ended.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// Whether all threads of a process sleep.
fn is_asleep(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let line = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The name stands in brackets, and may have any.
        line.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('S'))
    })
}
