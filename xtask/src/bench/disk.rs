//! A disk for measuring: it answers only when the machine has nothing else to do.
//!
//! A disk of QEMU's own answers at some moment of real time, and so interrupts the machine anywhere. What is counted would then be another number each
//! time. This one is a server of the NBD protocol, which QEMU makes a virtio disk of: it keeps its answers until all of QEMU's threads sleep, that
//! is until the machine idles with every request submitted that it has, and then gives them all. What is read is zeroes; what is written is forgotten.
//!
//! QEMU asks at most 16 requests at a time of such a server, so of more the first 16 are answered first.
//!
//! Source: the NBD protocol (fixed newstyle handshake, simple and structured replies).

use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of the disk.
const SIZE: u64 = 1 << 30;
/// The socket, in the machine's work directory.
const SOCKET: &str = "disk.sock";
/// Between two looks at QEMU's threads.
const LOOK: Duration = Duration::from_millis(1);
/// So many looks in turn must find them asleep.
const LOOKS: u32 = 3;

const MAGIC: u64 = u64::from_be_bytes(*b"NBDMAGIC");
const OPTION_MAGIC: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const SIMPLE_REPLY: u32 = 0x6744_6698;
const STRUCTURED_REPLY: u32 = 0x668e_33ef;

/// Options of the handshake.
mod option {
    pub const GO: u32 = 7;
    pub const STRUCTURED_REPLY: u32 = 8;
}

/// Types of answers to options.
mod answer {
    pub const ACK: u32 = 1;
    pub const INFO: u32 = 3;
    pub const UNSUPPORTED: u32 = (1 << 31) + 1;
}

/// The server, with a thread of its own.
pub struct QuietDisk {
    qemu: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl QuietDisk {
    /// Listens in the work directory of a machine that is to be started.
    ///
    /// # Errors
    /// No socket there.
    pub fn start(work: &Path) -> Result<Self> {
        let listener = UnixListener::bind(work.join(SOCKET)).context("no socket for the disk")?;
        listener.set_nonblocking(true)?;
        let (qemu, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let server = (Arc::clone(&qemu), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            while !server.1.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => return Connection::new(stream, server.0, server.1)?.serve(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        });
        Ok(Self {
            qemu,
            is_over,
            thread: Some(thread),
        })
    }

    /// QEMU's arguments.
    pub fn arguments() -> Vec<String> {
        [
            "-blockdev",
            &format!("driver=nbd,node-name=quiet,server.type=unix,server.path={SOCKET}"),
            "-device",
            "virtio-blk-pci,drive=quiet",
        ]
        .map(String::from)
        .into()
    }

    /// Which process it is.
    pub fn is_for(&self, qemu: u32) {
        self.qemu.store(qemu, Ordering::SeqCst);
    }

    /// Ends when QEMU has.
    ///
    /// # Errors
    /// What it met.
    pub fn end(mut self) -> Result<()> {
        self.is_over.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("there until now");
        thread
            .join()
            .expect("the server does not panic")
            .context("the measuring disk")
    }
}

struct Connection {
    stream: UnixStream,
    qemu: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
    is_structured: bool,
    /// Answers that are kept back.
    kept: Vec<u8>,
}

impl Connection {
    fn new(stream: UnixStream, qemu: Arc<AtomicU32>, is_over: Arc<AtomicBool>) -> Result<Self> {
        stream.set_nonblocking(false)?;
        Ok(Self {
            stream,
            qemu,
            is_over,
            is_structured: false,
            kept: Vec::new(),
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Result<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn skip(&mut self, count: u32) -> Result<()> {
        let skipped = std::io::copy(&mut (&mut self.stream).take(count.into()), &mut std::io::sink())?;
        ensure!(
            skipped == u64::from(count),
            "the connection ends in the midst of a message"
        );
        Ok(())
    }

    fn serve(mut self) -> Result<()> {
        self.shake_hands()?;
        self.stream.set_read_timeout(Some(LOOK))?;
        let mut quiet = 0;
        loop {
            let mut first = [0];
            match self.stream.read(&mut first) {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    self.stream.set_read_timeout(None)?;
                    if !self.request(first[0])? {
                        return Ok(());
                    }
                    self.stream.set_read_timeout(Some(LOOK))?;
                    quiet = 0;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.is_over.load(Ordering::SeqCst) {
                        return Ok(());
                    }
                    quiet = if is_asleep(self.qemu.load(Ordering::SeqCst)) {
                        quiet + 1
                    } else {
                        0
                    };
                    if quiet >= LOOKS && !self.kept.is_empty() {
                        let kept = std::mem::take(&mut self.kept);
                        self.stream.write_all(&kept)?;
                        quiet = 0;
                    }
                }
                // QEMU was stopped.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn shake_hands(&mut self) -> Result<()> {
        const FIXED_NEWSTYLE_NO_ZEROES: u16 = 3;
        let mut hello = Vec::new();
        hello.extend(MAGIC.to_be_bytes());
        hello.extend(OPTION_MAGIC.to_be_bytes());
        hello.extend(FIXED_NEWSTYLE_NO_ZEROES.to_be_bytes());
        self.stream.write_all(&hello)?;
        self.number()?;
        loop {
            ensure!(self.long()? == OPTION_MAGIC, "not an option");
            let (option, length) = (self.number()?, self.number()?);
            self.skip(length)?;
            match option {
                option::STRUCTURED_REPLY => {
                    self.is_structured = true;
                    self.answer(option, answer::ACK, &[])?;
                }
                option::GO => {
                    const HAS_FLAGS: u16 = 1;
                    let mut export = vec![0, 0];
                    export.extend(SIZE.to_be_bytes());
                    export.extend(HAS_FLAGS.to_be_bytes());
                    self.answer(option, answer::INFO, &export)?;
                    return self.answer(option, answer::ACK, &[]);
                }
                _ => self.answer(option, answer::UNSUPPORTED, &[])?,
            }
        }
    }

    fn answer(&mut self, option: u32, kind: u32, data: &[u8]) -> Result<()> {
        let mut message = Vec::from(OPTION_REPLY.to_be_bytes());
        for word in [option, kind, data.len() as u32] {
            message.extend(word.to_be_bytes());
        }
        message.extend(data);
        Ok(self.stream.write_all(&message)?)
    }

    /// Takes a request whose first byte is this; `false` at the end.
    fn request(&mut self, first: u8) -> Result<bool> {
        let [b, c, d] = self.take()?;
        ensure!(u32::from_be_bytes([first, b, c, d]) == REQUEST, "not a request");
        let _flags: [u8; 2] = self.take()?;
        let kind = u16::from_be_bytes(self.take()?);
        let (handle, offset, length) = (self.long()?, self.long()?, self.number()?);
        match kind {
            0 => {
                ensure!(self.is_structured, "QEMU wants reads with all their bytes");
                self.keep_zeroes(handle, offset, length);
            }
            1 => {
                self.skip(length)?;
                self.keep_done(handle);
            }
            2 => return Ok(false),
            _ => self.keep_done(handle),
        }
        Ok(true)
    }

    fn keep_done(&mut self, handle: u64) {
        self.kept.extend(SIMPLE_REPLY.to_be_bytes());
        self.kept.extend(0_u32.to_be_bytes());
        self.kept.extend(handle.to_be_bytes());
    }

    /// A hole is an answer without the bytes.
    fn keep_zeroes(&mut self, handle: u64, offset: u64, length: u32) {
        const DONE: u16 = 1;
        const HOLE: u16 = 2;
        self.kept.extend(STRUCTURED_REPLY.to_be_bytes());
        self.kept.extend(DONE.to_be_bytes());
        self.kept.extend(HOLE.to_be_bytes());
        self.kept.extend(handle.to_be_bytes());
        self.kept.extend(12_u32.to_be_bytes());
        self.kept.extend(offset.to_be_bytes());
        self.kept.extend(length.to_be_bytes());
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
