//! The other end of a network cable that answers only when the machine has nothing else to do: whoever sends a packet of a load gets it back.
//!
//! QEMU hands each frame on behind its length. What comes back is written at once, so that QEMU gives the card all of it before the machine goes on.
//!
//! Source: QEMU's manual, `-netdev stream`; what a packet of a load looks like: `mini-guest/src/net/load.rs`.

use super::{Moments, Server};
use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The Ethernet address at the other end.
pub const ADDRESS: &str = "02:00:00:00:00:07";
/// The socket, in a directory that is given.
const SOCKET: &str = "echo.sock";
/// Longest frame.
const MOST: usize = 1514;
/// Bytes of the headers of Ethernet and IPv4.
const HEADERS: usize = 34;
/// Where addresses are in them: of Ethernet, and of IPv4.
const MACS: usize = 0;
const IPS: usize = 26;
/// From the first IPv4 address on: that of whoever sends a load, and of whoever sends it back; both ports.
const LOAD: [u8; 12] = [198, 18, 0, 1, 198, 18, 0, 2, 0, 7, 0, 7];

/// The other end.
pub struct QuietEcho {
    server: Server,
    sent_back: Arc<AtomicU64>,
}

impl QuietEcho {
    /// Listens in a directory, for a machine that is to be started.
    ///
    /// # Errors
    /// No socket there.
    pub fn start(dir: &Path) -> Result<Self> {
        let sent_back = Arc::<AtomicU64>::default();
        let count = Arc::clone(&sent_back);
        let server = Server::start(&dir.join(SOCKET), move |stream, moments| {
            let kept = Vec::new();
            Connection { stream, kept, count }.serve(moments)
        })?;
        Ok(Self { server, sent_back })
    }

    /// QEMU's arguments for the card, and for the cable in that directory.
    #[must_use]
    pub fn arguments(dir: &Path) -> Vec<String> {
        let socket = dir.join(SOCKET).display().to_string();
        [
            "-netdev",
            &format!("stream,id=quiet,server=off,addr.type=unix,addr.path={socket}"),
            "-device",
            "virtio-net-pci,netdev=quiet,romfile=",
        ]
        .map(String::from)
        .into()
    }

    /// Ends when QEMU has; gives how many packets were sent back.
    ///
    /// # Errors
    /// What it met.
    pub fn end(self) -> Result<u64> {
        self.server.end().context("the end of the quiet cable")?;
        Ok(self.sent_back.load(Ordering::SeqCst))
    }
}

struct Connection {
    stream: UnixStream,
    /// Frames that are kept back, each behind its length.
    kept: Vec<u8>,
    /// Packets that came, to be sent back.
    count: Arc<AtomicU64>,
}

impl Connection {
    fn serve(mut self, mut moments: Moments) -> Result<()> {
        self.stream.set_nonblocking(true)?;
        loop {
            let mut first = [0];
            match self.stream.read(&mut first) {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    self.stream.set_nonblocking(false)?;
                    self.take(first[0])?;
                    self.stream.set_nonblocking(true)?;
                    moments.note_work();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if moments.is_over() {
                        return Ok(());
                    }
                    if moments.is_one() && !self.kept.is_empty() {
                        self.stream.set_nonblocking(false)?;
                        self.stream.write_all(&std::mem::take(&mut self.kept))?;
                        self.stream.set_nonblocking(true)?;
                        moments.note_work();
                    }
                }
                // QEMU was stopped.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes a frame, of whose length this is the first byte.
    fn take(&mut self, first: u8) -> Result<()> {
        let mut length = [first, 0, 0, 0];
        self.stream.read_exact(&mut length[1..])?;
        let count = u32::from_be_bytes(length) as usize;
        ensure!(count <= MOST, "a frame of {count} bytes");
        let mut frame = vec![0; count];
        self.stream.read_exact(&mut frame)?;
        if is_of_load(&frame) {
            swap(&mut frame[MACS..], 6);
            swap(&mut frame[IPS..], 4);
            self.kept.extend(length);
            self.kept.extend(frame);
            self.count.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Has two fields of so many bytes change places.
fn swap(bytes: &mut [u8], size: usize) {
    let (one, other) = bytes[..2 * size].split_at_mut(size);
    one.swap_with_slice(other);
}

fn is_of_load(frame: &[u8]) -> bool {
    const IPV4: [u8; 2] = [8, 0];
    frame.len() > HEADERS + 8 && frame[12..14] == IPV4 && frame[IPS..IPS + LOAD.len()] == LOAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_a_load_come_back_and_nothing_else() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut frame = vec![0; 43];
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 1, 8, 0]);
        frame[IPS..IPS + 12].copy_from_slice(&LOAD);
        let mut other = frame.clone();
        other[IPS] = 10;
        let mut echo = Connection {
            stream: there,
            kept: Vec::new(),
            count: Arc::default(),
        };
        for frame in [&frame, &other] {
            here.write_all(&43_u32.to_be_bytes()).unwrap();
            here.write_all(frame).unwrap();
            let mut first = [0];
            echo.stream.read_exact(&mut first).unwrap();
            echo.take(first[0]).unwrap();
        }
        let kept = &echo.kept;
        assert_eq!((echo.count.load(Ordering::SeqCst), kept.len()), (1, 47));
        assert_eq!(kept[4..18], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 8, 0]);
        assert_eq!(kept[30..42], [198, 18, 0, 2, 198, 18, 0, 1, 0, 7, 0, 7]);
    }
}
