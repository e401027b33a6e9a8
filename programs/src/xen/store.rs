//! The store by `/dev/xen/xenbus`: each request waits for its answer, and events that come meanwhile are kept.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::io::xenstore::{MAX_PAYLOAD, MessageHeader, MessageKind};
use zerocopy::{FromBytes, IntoBytes};

use crate::abi::O_RDWR;
use crate::errno::{Errno, Result};
use crate::file::{File, read_some};
use crate::io;

/// The device.
pub const PATH: &[u8] = b"/dev/xen/xenbus";

/// A connection to the store.
pub struct Store {
    file: File,
    transaction: u32,
    events: VecDeque<(String, String)>,
}

/// The errors that the store answers.
const ERRORS: [Errno; 11] = [
    Errno::EINVAL,
    Errno::EACCES,
    Errno::EPERM,
    Errno::ENOENT,
    Errno::EEXIST,
    Errno::ENOSPC,
    Errno::ENOMEM,
    Errno::E2BIG,
    Errno::EAGAIN,
    Errno::ENOSYS,
    Errno::EIO,
];

impl Store {
    /// Connects.
    ///
    /// # Errors
    /// ENOENT: this is no privileged domain.
    pub fn open() -> Result<Self> {
        let file = File::open_with(PATH, O_RDWR)?;
        Ok(Self {
            file,
            transaction: 0,
            events: VecDeque::new(),
        })
    }

    /// Asks for something, with the words and the bytes behind them as payload.
    ///
    /// # Errors
    /// What the store answers; EIO: nonsense.
    pub fn ask(&mut self, kind: MessageKind, words: &[&str], rest: &[u8]) -> Result<Vec<u8>> {
        let mut payload: Vec<u8> = vec![];
        for word in words {
            payload.extend_from_slice(word.as_bytes());
            payload.push(0);
        }
        payload.extend_from_slice(rest);
        if payload.len() > MAX_PAYLOAD {
            return Err(Errno::E2BIG);
        }
        let header = MessageHeader {
            kind,
            req_id: 1,
            tx_id: self.transaction,
            len: payload.len() as u32,
        };
        let message = [header.as_bytes(), &payload].concat();
        io::write_all(self.file.descriptor(), &message)?;
        loop {
            let (header, payload) = self.receive()?;
            if header.kind == MessageKind::WATCH_EVENT {
                self.keep(&payload);
            } else if header.kind == MessageKind::ERROR {
                let name = payload.strip_suffix(b"\0").unwrap_or(&payload);
                let is_it = |errno: &Errno| errno.name().is_some_and(|known| known.as_bytes() == name);
                return Err(ERRORS.into_iter().find(is_it).unwrap_or(Errno::EIO));
            } else if header.kind == kind {
                return Ok(payload);
            } else {
                return Err(Errno::EIO);
            }
        }
    }

    fn receive(&mut self) -> Result<(MessageHeader, Vec<u8>)> {
        let mut bytes = [0; size_of::<MessageHeader>()];
        self.fill(&mut bytes)?;
        let header = MessageHeader::read_from_bytes(&bytes).map_err(|_| Errno::EIO)?;
        if header.len as usize > MAX_PAYLOAD {
            return Err(Errno::EIO);
        }
        let mut payload = vec![0; header.len as usize];
        self.fill(&mut payload)?;
        Ok((header, payload))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match read_some(self.file.descriptor(), &mut bytes[done..])? {
                0 => return Err(Errno::EIO),
                count => done += count,
            }
        }
        Ok(())
    }

    fn keep(&mut self, payload: &[u8]) {
        let text = core::str::from_utf8(payload).unwrap_or_default();
        let mut words = text.split('\0');
        if let (Some(path), Some(token)) = (words.next(), words.next()) {
            self.events.push_back((path.into(), token.into()));
        }
    }

    /// A node's value.
    ///
    /// # Errors
    /// ENOENT, EACCES.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        self.ask(MessageKind::READ, &[path], b"")
    }

    /// Gives a node a value; it is made where it is missing.
    ///
    /// # Errors
    /// EACCES, ENOSPC.
    pub fn write(&mut self, path: &str, value: &[u8]) -> Result<()> {
        self.ask(MessageKind::WRITE, &[path], value).map(drop)
    }

    /// Removes a node with what is below.
    ///
    /// # Errors
    /// EACCES. One that is not there is no error.
    pub fn remove(&mut self, path: &str) -> Result<()> {
        match self.ask(MessageKind::RM, &[path], b"") {
            Ok(_) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// The names below a node.
    ///
    /// # Errors
    /// ENOENT, EACCES.
    pub fn list(&mut self, path: &str) -> Result<Vec<String>> {
        let mut names = String::new();
        loop {
            let offset = format!("{}", names.len());
            let part = self.ask(MessageKind::DIRECTORY_PART, &[path, &offset], b"")?;
            let text = core::str::from_utf8(&part).map_err(|_| Errno::EIO)?;
            let (_, part) = text.split_once('\0').ok_or(Errno::EIO)?;
            let last = part
                .strip_suffix('\0')
                .filter(|rest| rest.is_empty() || rest.ends_with('\0'));
            names += last.unwrap_or(part);
            if last.is_some() || part.is_empty() {
                return Ok(names.split_terminator('\0').map(String::from).collect());
            }
        }
    }

    /// A node's permissions, with spaces between them.
    ///
    /// # Errors
    /// ENOENT, EACCES.
    pub fn perms(&mut self, path: &str) -> Result<String> {
        let answer = self.ask(MessageKind::GET_PERMS, &[path], b"")?;
        let text = core::str::from_utf8(&answer).map_err(|_| Errno::EIO)?;
        Ok(text.trim_end_matches('\0').replace('\0', " "))
    }

    /// Sets them: each with a NUL.
    ///
    /// # Errors
    /// ENOENT, EACCES, EINVAL.
    pub fn set_perms(&mut self, path: &str, perms: &str) -> Result<()> {
        self.ask(MessageKind::SET_PERMS, &[path], perms.as_bytes())
            .map(drop)
    }

    /// Does `work` as one transaction; what it did is dropped where it fails.
    ///
    /// # Errors
    /// What `work` answers; EAGAIN: others changed what it looked at.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let answer = self.ask(MessageKind::TRANSACTION_START, &[""], b"")?;
        let digits = answer.strip_suffix(b"\0").unwrap_or(&answer);
        self.transaction = crate::args::number(digits).ok_or(Errno::EIO)?;
        let done = work(self);
        let end = if done.is_ok() { "T" } else { "F" };
        let ended = self.ask(MessageKind::TRANSACTION_END, &[end], b"");
        self.transaction = 0;
        let value = done?;
        ended.map(|_| value)
    }

    /// Watches a node and what is below.
    ///
    /// # Errors
    /// EEXIST, EINVAL.
    pub fn watch(&mut self, path: &str, token: &str) -> Result<()> {
        self.ask(MessageKind::WATCH, &[path, token], b"").map(drop)
    }

    /// The next event: path and token. Sleeps until there is one.
    ///
    /// # Errors
    /// EIO: nonsense.
    pub fn next_event(&mut self) -> Result<(String, String)> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let (header, payload) = self.receive()?;
            if header.kind == MessageKind::WATCH_EVENT {
                self.keep(&payload);
            }
        }
    }

    /// Tells the store of a domain: the frame of its ring, the port at the domain.
    ///
    /// # Errors
    /// EINVAL: there are none such.
    pub fn introduce(&mut self, domain: DomId, ring: Mfn, port: u32) -> Result<()> {
        let [domain, ring, port] = [u32::from(domain.raw()), ring.raw(), port].map(|n| format!("{n}"));
        self.ask(MessageKind::INTRODUCE, &[&domain, &ring, &port], b"")
            .map(drop)
    }

    /// Has the store forget a domain.
    ///
    /// # Errors
    /// ENOENT: it does not know it.
    pub fn release(&mut self, domain: DomId) -> Result<()> {
        let domain = format!("{}", domain.raw());
        self.ask(MessageKind::RELEASE, &[&domain], b"").map(drop)
    }
}
