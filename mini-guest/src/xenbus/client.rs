//! Requests and their answers over a stream of bytes, and the events that come in between.
//!
//! One request at a time is under way; its answer repeats its number. Nobody waits for an answer that does not come in time. What was to be read is
//! [`Error::Again`] then; what was to be changed will be. Until that answer has come every further request is [`Error::Again`], at once and without
//! being sent: a store that is slow, or stands still, keeps nobody waiting more than once. When it has come there is an event, for whoever gave up to
//! look again. Each time the next answer may take longer, so a store that is always slow is used all the same.
//!
//! What comes that is neither this answer nor an event means that the other side is no store, and every further request fails, until somebody makes
//! a new connection.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::io::xenstore::{MAX_PAYLOAD, MessageHeader, MessageKind};
use zerocopy::{FromBytes, IntoBytes};

use super::Keys;
use crate::store::Error;

/// Where the bytes go and come from.
pub trait Transport {
    /// Sends as many bytes as there is room for, and says how many.
    ///
    /// # Errors
    /// [`Error::Io`]: what is between here and the store makes no sense.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Error>;

    /// Bytes that have come.
    ///
    /// # Errors
    /// As for [`Transport::send`].
    fn receive(&mut self) -> Result<Vec<u8>, Error>;

    /// Begins to wait for an answer, for so many nanoseconds.
    fn begin(&mut self, patience_ns: u64) {
        let _ = patience_ns;
    }

    /// Sleeps until there may be bytes or room; `false` when the time is over. Whoever answers at once has nobody wait.
    fn wait(&mut self) -> bool {
        false
    }

    /// The wait is over.
    fn end(&mut self) {}
}

/// How long the first answers may take: a domain that begins can do nothing else.
const FIRST_PATIENCE_NS: u64 = 10_000_000_000;
/// How long others may, until one takes longer.
const PATIENCE_NS: u64 = 200_000_000;
/// Never longer.
const MOST_PATIENCE_NS: u64 = FIRST_PATIENCE_NS;

/// What is kept between requests.
#[derive(Debug)]
pub struct Client {
    last_id: u32,
    input: Vec<u8>,
    /// What there was no room for.
    output: Vec<u8>,
    events: VecDeque<(String, String)>,
    /// The request whose answer nobody waits for any more.
    late: Option<u32>,
    patience_ns: u64,
    is_broken: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            last_id: 0,
            input: Vec::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            late: None,
            patience_ns: FIRST_PATIENCE_NS,
            is_broken: false,
        }
    }
}

/// A client with its way to the store.
pub struct Session<'a> {
    /// The client.
    pub client: &'a mut Client,
    /// The way.
    pub transport: &'a mut dyn Transport,
}

impl Client {
    /// The next event: path and token.
    pub fn next_event(&mut self) -> Option<(String, String)> {
        self.events.pop_front()
    }

    /// Whether nothing that is asked gets an answer any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether an answer is still to come that nobody waits for.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// Nobody has to wait as long as at the beginning from now on.
    pub fn has_begun(&mut self) {
        self.patience_ns = self.patience_ns.min(PATIENCE_NS);
    }

    /// Takes what has come without waiting: events, and an answer that nobody waits for any more, which is an event then.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pump(&mut self, transport: &mut dyn Transport) -> Result<(), Error> {
        if self.is_broken {
            return Err(Error::Io);
        }
        self.exchange(transport)?;
        while let Some((header, payload)) = self.next_message()? {
            if header.kind == MessageKind::WATCH_EVENT {
                self.keep(&payload);
            } else if self.late == Some(header.req_id) {
                self.late = None;
                self.note(String::new(), String::new());
            } else {
                return Err(self.broken());
            }
        }
        Ok(())
    }

    /// Sends and takes what can be.
    fn exchange(&mut self, transport: &mut dyn Transport) -> Result<(), Error> {
        if !self.output.is_empty() {
            let sent = transport.send(&self.output).map_err(|_| self.broken())?;
            self.output.drain(..sent.min(self.output.len()));
        }
        let bytes = transport.receive().map_err(|_| self.broken())?;
        self.input.extend(bytes);
        Ok(())
    }

    fn broken(&mut self) -> Error {
        self.is_broken = true;
        Error::Io
    }

    fn next_message(&mut self) -> Result<Option<(MessageHeader, Vec<u8>)>, Error> {
        let Ok((header, rest)) = MessageHeader::read_from_prefix(&self.input) else {
            return Ok(None);
        };
        let len = header.len as usize;
        if len > MAX_PAYLOAD {
            return Err(self.broken());
        }
        let Some(payload) = rest.get(..len).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.input.drain(..size_of::<MessageHeader>() + len);
        Ok(Some((header, payload)))
    }

    fn keep(&mut self, payload: &[u8]) {
        let text = core::str::from_utf8(payload).unwrap_or_default();
        let mut words = text.split('\0');
        if let (Some(path), Some(token)) = (words.next(), words.next()) {
            self.note(path.into(), token.into());
        }
    }

    fn note(&mut self, path: String, token: String) {
        let event = (path, token);
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }
}

impl Session<'_> {
    /// Asks for what is read.
    fn get(&mut self, kind: MessageKind, path: &str) -> Result<String, Error> {
        let value = self.ask(kind, &[path], "")?.ok_or(Error::Again)?;
        String::from_utf8(value).map_err(|_| Error::Invalid)
    }

    /// The answer; `None` where it is late.
    fn ask(&mut self, kind: MessageKind, words: &[&str], rest: &str) -> Result<Option<Vec<u8>>, Error> {
        let client = &mut *self.client;
        if client.late.is_some() {
            client.pump(self.transport)?;
        }
        if client.is_broken {
            return Err(Error::Io);
        }
        if client.late.is_some() {
            return Err(Error::Again);
        }
        let mut payload = Vec::new();
        for word in words {
            payload.extend_from_slice(word.as_bytes());
            payload.push(0);
        }
        payload.extend_from_slice(rest.as_bytes());
        if payload.len() > MAX_PAYLOAD {
            return Err(Error::TooBig);
        }
        client.last_id = client.last_id.wrapping_add(1);
        let header = MessageHeader {
            kind,
            req_id: client.last_id,
            tx_id: 0,
            len: payload.len() as u32,
        };
        client.output.extend_from_slice(header.as_bytes());
        client.output.extend_from_slice(&payload);
        self.transport.begin(client.patience_ns);
        let answer = client.answer(self.transport, &header);
        self.transport.end();
        answer
    }
}

impl Client {
    /// Waits for the answer to the request that is in the output; `None` where it does not come in time.
    fn answer(
        &mut self,
        transport: &mut dyn Transport,
        asked: &MessageHeader,
    ) -> Result<Option<Vec<u8>>, Error> {
        loop {
            self.exchange(transport)?;
            while let Some((answer, payload)) = self.next_message()? {
                if answer.kind == MessageKind::WATCH_EVENT {
                    self.keep(&payload);
                    continue;
                }
                if answer.req_id != asked.req_id {
                    return Err(self.broken());
                }
                if answer.kind == MessageKind::ERROR {
                    let name = payload.strip_suffix(b"\0").unwrap_or(&payload);
                    return Err(Error::from_name(core::str::from_utf8(name).unwrap_or_default()));
                }
                return if answer.kind == asked.kind {
                    Ok(Some(payload))
                } else {
                    Err(self.broken())
                };
            }
            if !transport.wait() {
                self.late = Some(asked.req_id);
                self.patience_ns = self.patience_ns.saturating_mul(2).min(MOST_PATIENCE_NS);
                return Ok(None);
            }
        }
    }
}

impl Keys for Session<'_> {
    fn read(&mut self, path: &str) -> Result<String, Error> {
        self.get(MessageKind::READ, path)
    }

    fn write(&mut self, path: &str, value: &str) -> Result<(), Error> {
        self.ask(MessageKind::WRITE, &[path], value).map(drop)
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.ask(MessageKind::RM, &[path], "").map(drop)
    }

    fn list(&mut self, path: &str) -> Result<Vec<String>, Error> {
        let names = self.get(MessageKind::DIRECTORY, path)?;
        Ok(names.split_terminator('\0').map(String::from).collect())
    }

    fn watch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.ask(MessageKind::WATCH, &[path, token], "").map(drop)
    }

    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.ask(MessageKind::UNWATCH, &[path, token], "").map(drop)
    }
}
