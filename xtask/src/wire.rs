//! A cable that lets frames through as somebody says: the other end of a machine's network card, in the launcher.
//!
//! Nothing is kept on the way but what the socket holds, a frame or a few: while the cable lets nothing through the card fills, then the queue of whoever sends
//! to it. So what waits there, and in which order it leaves, does not depend on how fast anything is. One station is at that end: it answers ARP and pings.
//!
//! Source: QEMU's `-netdev stream` (each frame behind its length, in 4 bytes); RFC 826 (ARP), RFC 792 (echo).

use crate::machine::Machine;
use anyhow::{Context, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The station's address there.
pub const STATION: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 254);
const STATION_MAC: [u8; 6] = [0x52, 0x54, 0, 0x99, 0, 0xFE];
/// What QEMU's end of the socket may hold, as little as there is: the kernel takes it for its least.
const SOCKET_BYTES: usize = 1;
/// Longest message: no machine here sends longer frames.
const LONGEST: usize = 1514;
/// Between two looks whether anything may pass.
const LOOK: Duration = Duration::from_millis(1);

/// A frame that the machine has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Whose it is.
    pub from: [u8; 6],
    /// Its length.
    pub bytes: u64,
    /// Whether it is a ping to the station, which was answered.
    pub is_ping: bool,
}

/// What the cable lets through, and what it has.
#[derive(Debug, Default)]
pub struct Flow {
    /// How many frames may pass.
    pub may_pass: u64,
    /// Whether none may behind a ping, until somebody says so again.
    pub stops_at_ping: bool,
    /// Those that have.
    pub passed: Vec<Passed>,
}

/// The cable's middle.
#[derive(Clone, Default)]
pub struct Valve(Arc<Mutex<Flow>>);

impl Valve {
    /// Looks what has passed, and says what may.
    pub fn look<R>(&self, look: impl FnOnce(&mut Flow) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The cable.
pub struct Wire {
    valve: Valve,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Wire {
    /// Gives a machine that is to be started a card at such a cable, through which everything may pass.
    ///
    /// # Errors
    /// No sockets.
    pub fn plug_in(machine: &mut Machine) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair().context("no cable")?;
        rustix::net::sockopt::set_socket_send_buffer_size(&theirs, SOCKET_BYTES)?;
        ours.set_nonblocking(true)?;
        machine.arguments.extend([
            "-netdev".into(),
            format!(
                "stream,id=wire,server=off,addr.type=fd,addr.str={}",
                theirs.as_raw_fd()
            ),
            "-device".into(),
            "virtio-net-pci,netdev=wire".into(),
        ]);
        machine.files.push(Arc::new(OwnedFd::from(theirs)));
        let valve = Valve::default();
        valve.look(|flow| flow.may_pass = u64::MAX);
        let is_over = Arc::new(AtomicBool::new(false));
        let end = End {
            stream: ours,
            valve: valve.clone(),
            is_over: Arc::clone(&is_over),
        };
        let thread = std::thread::spawn(move || end.attend());
        Ok(Self {
            valve,
            is_over,
            thread,
        })
    }

    /// What opens and closes it.
    #[must_use]
    pub fn valve(&self) -> Valve {
        self.valve.clone()
    }

    /// Ends when the machine has.
    ///
    /// # Errors
    /// What it met.
    pub fn end(self) -> Result<()> {
        self.is_over.store(true, Ordering::SeqCst);
        let ended = self.thread.join().expect("the cable does not panic");
        ended.context("the cable")
    }
}

/// The station's end.
struct End {
    stream: UnixStream,
    valve: Valve,
    is_over: Arc<AtomicBool>,
}

impl End {
    fn attend(mut self) -> Result<()> {
        while !self.is_over.load(Ordering::SeqCst) {
            let may_pass = self.valve.look(|flow| flow.may_pass > 0);
            let mut length = [0; 4];
            if !may_pass || !self.begins(&mut length)? {
                std::thread::sleep(LOOK);
                continue;
            }
            let mut frame = vec![0; u32::from_be_bytes(length) as usize];
            anyhow::ensure!(frame.len() <= LONGEST, "a frame of {} bytes", frame.len());
            self.stream.read_exact(&mut frame)?;
            let answer = answer(&frame);
            self.stream.set_nonblocking(true)?;
            let passed = Passed {
                from: frame
                    .get(6..12)
                    .and_then(|mac| mac.try_into().ok())
                    .unwrap_or_default(),
                bytes: frame.len() as u64,
                is_ping: answer.is_some() && frame[12..14] == ETHERTYPE_IPV4,
            };
            self.valve.look(|flow| {
                // It may have been closed just now.
                if flow.may_pass != u64::MAX {
                    flow.may_pass = flow.may_pass.saturating_sub(1);
                }
                if passed.is_ping && flow.stops_at_ping {
                    flow.may_pass = 0;
                }
                flow.passed.push(passed);
            });
            if let Some(answer) = answer {
                self.send(&answer)?;
            }
        }
        Ok(())
    }

    /// Whether a frame begins; the rest of it is waited for then.
    fn begins(&mut self, length: &mut [u8; 4]) -> Result<bool> {
        match self.stream.read(&mut length[..1]) {
            // QEMU has ended; so will we.
            Ok(0) => Ok(false),
            Ok(_) => {
                self.stream.set_nonblocking(false)?;
                self.stream.read_exact(&mut length[1..])?;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionReset) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn send(&mut self, frame: &[u8]) -> Result<()> {
        let mut message = Vec::from((frame.len() as u32).to_be_bytes());
        message.extend(frame);
        self.stream.set_nonblocking(false)?;
        let sent = self.stream.write_all(&message);
        self.stream.set_nonblocking(true)?;
        match sent {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }
}

const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const ETHERTYPE_ARP: [u8; 2] = [8, 6];

/// What the station answers.
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = frame.split_at_checked(14)?;
    let mut answer = Vec::from(&header[6..12]);
    answer.extend(STATION_MAC);
    answer.extend(&header[12..14]);
    if header[12..14] == ETHERTYPE_ARP {
        // Ethernet and IPv4, a request.
        let is_asked =
            rest.len() >= 28 && rest[..8] == [0, 1, 8, 0, 6, 4, 0, 1] && rest[24..28] == STATION.octets();
        if !is_asked {
            return None;
        }
        answer.extend([0, 1, 8, 0, 6, 4, 0, 2]);
        answer.extend(STATION_MAC);
        answer.extend(STATION.octets());
        answer.extend(&rest[8..18]);
        return Some(answer);
    }
    const ICMP: u8 = 1;
    const ECHO: u8 = 8;
    let is_ping = header[12..14] == ETHERTYPE_IPV4
        && rest.len() >= 28
        && rest[0] == 0x45
        && rest[9] == ICMP
        && rest[16..20] == STATION.octets()
        && rest[20] == ECHO;
    if !is_ping {
        return None;
    }
    let begin = answer.len();
    answer.extend(rest);
    let ip = &mut answer[begin..];
    // Both addresses change places, so the header's sum stays.
    for at in 12..16 {
        ip.swap(at, at + 4);
    }
    let end = usize::from(u16::from_be_bytes([ip[2], ip[3]])).clamp(28, ip.len());
    let message = &mut ip[20..end];
    message[0] = 0;
    message[2..4].fill(0);
    let sum = checksum(message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    Some(answer)
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u64 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ping to the station, and whose.
    fn ping() -> Vec<u8> {
        let mut frame = Vec::from(STATION_MAC);
        frame.extend([2, 0, 0, 0, 0, 7]);
        frame.extend(ETHERTYPE_IPV4);
        frame.extend([0x45, 0, 0, 33, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 9, 7]);
        frame.extend(STATION.octets());
        // Five bytes of data, and padding that is no part of it.
        frame.extend([8, 0, 0, 0, 0x12, 0x34, 0, 9, 1, 2, 3, 4, 5]);
        frame.resize(60, 0xEE);
        frame
    }

    #[test]
    fn frames_pass_when_they_may_and_pings_are_answered() {
        let mut machine = Machine::default();
        let wire = Wire::plug_in(&mut machine).unwrap();
        let valve = wire.valve();
        valve.look(|flow| flow.may_pass = 1);
        let file = Arc::into_inner(machine.files.pop().unwrap()).unwrap();
        let mut card = UnixStream::from(file);
        let other = [0x33; 70];
        for frame in [&other[..], &ping()] {
            card.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
            card.write_all(frame).unwrap();
        }
        let passed = |count| {
            while valve.look(|flow| flow.passed.len()) < count {
                std::thread::sleep(LOOK);
            }
            valve.look(|flow| (flow.may_pass, flow.passed[count - 1]))
        };
        let (bytes, is_ping, from) = (70, false, [0x33; 6]);
        assert_eq!(passed(1), (0, Passed { from, bytes, is_ping }));
        valve.look(|flow| (flow.may_pass, flow.stops_at_ping) = (5, true));
        let (bytes, is_ping, from) = (60, true, [2, 0, 0, 0, 0, 7]);
        assert_eq!(passed(2), (0, Passed { from, bytes, is_ping }));
        let mut answer = [0; 64];
        card.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..4], 60_u32.to_be_bytes());
        let (header, ip) = answer[4..].split_at(14);
        assert_eq!(header[..6], from);
        assert_eq!(ip[12..20], [10, 0, 9, 254, 10, 0, 9, 7]);
        let echo = &ip[20..33];
        assert_eq!((echo[0], checksum(echo), &echo[4..]), (0, 0, &ping()[38..47]));
        wire.end().unwrap();
    }
}
