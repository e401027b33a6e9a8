//! Requests and their answers over a stream of bytes, and the events that come in between.
//!
//! One request at a time is under way; its answer repeats its number. What comes that is neither this answer nor an event means that
//! the other side is no store, and every further request fails.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::io::xenstore::{MAX_PAYLOAD, MessageHeader, MessageKind};
use zerocopy::{FromBytes, IntoBytes};

use super::Keys;
use crate::store::Error;

/// Where the bytes go and come from.
pub trait Transport {
    /// Sends all of it.
    ///
    /// # Errors
    /// [`Error::Io`]: the store does not take it.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Bytes that have come; where `waits` at least one, for which it may have to wait.
    ///
    /// # Errors
    /// [`Error::Io`]: none come.
    fn receive(&mut self, waits: bool) -> Result<Vec<u8>, Error>;
}

/// What is kept between requests.
#[derive(Debug, Default)]
pub struct Client {
    last_id: u32,
    input: Vec<u8>,
    events: VecDeque<(String, String)>,
    is_broken: bool,
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

    /// Takes what has come without waiting; only events can have.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pump(&mut self, transport: &mut dyn Transport) -> Result<(), Error> {
        let bytes = transport.receive(false)?;
        self.input.extend(bytes);
        while let Some((header, payload)) = self.next_message()? {
            if header.kind != MessageKind::WATCH_EVENT {
                return Err(self.broken());
            }
            self.keep(&payload);
        }
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
            let event = (path.into(), token.into());
            if !self.events.contains(&event) {
                self.events.push_back(event);
            }
        }
    }
}

impl Session<'_> {
    fn ask(&mut self, kind: MessageKind, words: &[&str], rest: &str) -> Result<Vec<u8>, Error> {
        let client = &mut *self.client;
        if client.is_broken {
            return Err(Error::Io);
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
        let message = [header.as_bytes(), &payload].concat();
        // Half a request, or half an answer, and what follows means nothing any more.
        self.transport
            .send(&message)
            .inspect_err(|_| client.is_broken = true)?;
        loop {
            while let Some((answer, payload)) = client.next_message()? {
                if answer.kind == MessageKind::WATCH_EVENT {
                    client.keep(&payload);
                    continue;
                }
                if answer.req_id != header.req_id {
                    return Err(client.broken());
                }
                if answer.kind == MessageKind::ERROR {
                    let name = payload.strip_suffix(b"\0").unwrap_or(&payload);
                    return Err(Error::from_name(core::str::from_utf8(name).unwrap_or_default()));
                }
                return if answer.kind == kind {
                    Ok(payload)
                } else {
                    Err(client.broken())
                };
            }
            let bytes = self
                .transport
                .receive(true)
                .inspect_err(|_| client.is_broken = true)?;
            client.input.extend(bytes);
        }
    }
}

impl Keys for Session<'_> {
    fn read(&mut self, path: &str) -> Result<String, Error> {
        let value = self.ask(MessageKind::READ, &[path], "")?;
        String::from_utf8(value).map_err(|_| Error::Invalid)
    }

    fn write(&mut self, path: &str, value: &str) -> Result<(), Error> {
        self.ask(MessageKind::WRITE, &[path], value).map(drop)
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.ask(MessageKind::RM, &[path], "").map(drop)
    }

    fn list(&mut self, path: &str) -> Result<Vec<String>, Error> {
        let names = self.ask(MessageKind::DIRECTORY, &[path], "")?;
        let names = String::from_utf8(names).map_err(|_| Error::Invalid)?;
        Ok(names.split_terminator('\0').map(String::from).collect())
    }

    fn watch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.ask(MessageKind::WATCH, &[path, token], "").map(drop)
    }

    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.ask(MessageKind::UNWATCH, &[path, token], "").map(drop)
    }
}
