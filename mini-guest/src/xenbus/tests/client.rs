//! Answers of a store that is not to be believed.

use alloc::vec::Vec;

use crate::store::Error;
use crate::xenbus::{Client, Keys, Session, Transport};

/// A store that answers what it likes.
struct Liar(Vec<u8>);

impl Transport for Liar {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        Ok(bytes.len())
    }

    fn receive(&mut self) -> Result<Vec<u8>, Error> {
        Ok(core::mem::take(&mut self.0))
    }
}

#[test]
fn a_store_that_makes_no_sense_is_not_believed() {
    use guest_abi::io::xenstore::{MessageHeader, MessageKind};
    let message = |kind, req_id, len| {
        let header = MessageHeader {
            kind,
            req_id,
            tx_id: 0,
            len,
        };
        zerocopy::IntoBytes::as_bytes(&header).to_vec()
    };
    for bytes in [
        message(MessageKind::READ, 2, 0),
        message(MessageKind::WRITE, 1, 0),
        message(MessageKind::READ, 1, 5000),
    ] {
        let (mut client, mut liar) = (Client::default(), Liar(bytes));
        let mut keys = Session {
            client: &mut client,
            transport: &mut liar,
        };
        assert_eq!(keys.read("x"), Err(Error::Io));
        assert_eq!(keys.read("x"), Err(Error::Io));
    }
    let (mut client, mut liar) = (Client::default(), Liar(message(MessageKind::READ, 1, 0)));
    let mut keys = Session {
        client: &mut client,
        transport: &mut liar,
    };
    assert_eq!(keys.read("x").as_deref(), Ok(""));
}
