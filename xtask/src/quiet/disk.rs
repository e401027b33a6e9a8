//! A disk that answers only when the machine has nothing else to do: a server of the NBD protocol, which QEMU makes a virtio disk of.
//!
//! It gives all the answers that there are then, so what a request costs is the same number each time. And it is the slowest part of any machine: what
//! could be asked for has been asked for when it answers, and in which order that was, its [record](QuietDisk::record) says. What is read is
//! zeroes behind a first part that is given; what is written is forgotten.
//!
//! QEMU asks at most 16 requests at a time of such a server, and keeps the order of others.
//!
//! Source: the NBD protocol (fixed newstyle handshake, simple and structured replies).

use super::{Moments, Server};
use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of the disk.
const SIZE: u64 = 1 << 30;
/// The socket, in a directory that is given.
const SOCKET: &str = "disk.sock";

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

/// A request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// At which of the moments it was answered, counted from 1: those of one moment were all asked before any of their answers came.
    pub moment: u64,
}

/// Requests in the order in which they were answered.
type Log = Arc<Mutex<Vec<Answered>>>;

/// The disk.
pub struct QuietDisk {
    server: Server,
    log: Log,
}

/// What it has done.
#[derive(Clone)]
pub struct Record(Log);

impl Record {
    /// Looks at the requests that were answered and may take them out.
    pub fn look<R>(&self, look: impl FnOnce(&mut Vec<Answered>) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl QuietDisk {
    /// Listens in a directory, for a machine that is to be started. The disk begins with these bytes.
    ///
    /// # Errors
    /// No socket there.
    pub fn start(dir: &Path, begin: Vec<u8>) -> Result<Self> {
        let log = Log::default();
        let connection = (Arc::clone(&log), begin);
        let server = Server::start(&dir.join(SOCKET), move |stream, moments| {
            let (log, begin) = connection;
            let connection = Connection {
                stream,
                moments,
                is_structured: false,
                kept: Vec::new(),
                begin,
                moment: 0,
                log,
            };
            connection.serve()
        })?;
        Ok(Self { server, log })
    }

    /// QEMU's arguments for the disk in that directory, with further properties of the device.
    #[must_use]
    pub fn arguments(dir: &Path, properties: &[&str]) -> Vec<String> {
        let socket = dir.join(SOCKET).display().to_string();
        let properties: String = properties.iter().flat_map(|property| [",", property]).collect();
        [
            "-blockdev",
            &format!("driver=nbd,node-name=quiet,server.type=unix,server.path={socket}"),
            "-device",
            &format!("virtio-blk-pci,drive=quiet{properties}"),
        ]
        .map(String::from)
        .into()
    }

    /// What it does.
    #[must_use]
    pub fn record(&self) -> Record {
        Record(Arc::clone(&self.log))
    }

    /// Ends when QEMU has.
    ///
    /// # Errors
    /// What it met.
    pub fn end(self) -> Result<()> {
        self.server.end().context("the quiet disk")
    }
}

struct Connection {
    stream: UnixStream,
    moments: Moments,
    is_structured: bool,
    /// Answers that are kept back, in the order in which they were asked for.
    kept: Vec<(Answered, Vec<u8>)>,
    begin: Vec<u8>,
    /// Moments at which there were answers.
    moment: u64,
    log: Log,
}

impl Connection {
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
        self.stream.set_nonblocking(true)?;
        loop {
            let mut first = [0];
            match self.stream.read(&mut first) {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    self.stream.set_nonblocking(false)?;
                    if !self.request(first[0])? {
                        return Ok(());
                    }
                    self.stream.set_nonblocking(true)?;
                    self.moments.note_work();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.moments.is_over() {
                        return Ok(());
                    }
                    if self.moments.is_one() && !self.kept.is_empty() {
                        self.stream.set_nonblocking(false)?;
                        self.give()?;
                        self.stream.set_nonblocking(true)?;
                        self.moments.note_work();
                    }
                }
                // QEMU was stopped.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the answers.
    fn give(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.moment += 1;
        for (mut answered, answer) in self.kept.drain(..) {
            answered.moment = self.moment;
            log.push(answered);
            bytes.extend(answer);
        }
        drop(log);
        Ok(self.stream.write_all(&bytes)?)
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
        let answer = match kind {
            0 => {
                ensure!(self.is_structured, "QEMU wants reads with all their bytes");
                self.content(handle, offset, length)
            }
            1 => {
                self.skip(length)?;
                done(handle)
            }
            2 => return Ok(false),
            _ => done(handle),
        };
        let answered = Answered {
            offset,
            length: length.into(),
            moment: 0,
        };
        self.kept.push((answered, answer));
        Ok(true)
    }

    /// The answer to a read: zeroes are a hole, without the bytes.
    fn content(&self, handle: u64, offset: u64, length: u32) -> Vec<u8> {
        const HOLE: u16 = 2;
        let begin = usize::try_from(offset).ok().and_then(|at| self.begin.get(at..));
        let Some(begin) = begin.filter(|begin| !begin.is_empty()) else {
            let mut data = Vec::from(offset.to_be_bytes());
            data.extend(length.to_be_bytes());
            return chunk(handle, HOLE, &data);
        };
        const DATA: u16 = 1;
        let mut data = Vec::from(offset.to_be_bytes());
        data.extend(begin.iter().chain(std::iter::repeat(&0)).take(length as usize));
        chunk(handle, DATA, &data)
    }
}

/// The answer to a request that there are no bytes for.
fn done(handle: u64) -> Vec<u8> {
    let mut answer = Vec::from(SIMPLE_REPLY.to_be_bytes());
    answer.extend(0_u32.to_be_bytes());
    answer.extend(handle.to_be_bytes());
    answer
}

/// A structured answer, of which there is one part.
fn chunk(handle: u64, kind: u16, data: &[u8]) -> Vec<u8> {
    const LAST: u16 = 1;
    let mut answer = Vec::from(STRUCTURED_REPLY.to_be_bytes());
    answer.extend(LAST.to_be_bytes());
    answer.extend(kind.to_be_bytes());
    answer.extend(handle.to_be_bytes());
    answer.extend((data.len() as u32).to_be_bytes());
    answer.extend(data);
    answer
}
