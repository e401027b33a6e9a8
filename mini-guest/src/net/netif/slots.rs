//! The slots of both rings. A slot is as large as the larger of request and answer; both layouts are the same in 32- and
//! 64-bit domains.

use guest_abi::addr::PAGE_SIZE;
use guest_abi::io::netif::{RX_SLOTS, RxRequest, RxResponse, TX_SLOTS, TxRequest, TxResponse};
use guest_abi::io::ring::SLOTS_OFFSET;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::blkif::RingPage;

/// What stands in the slots of a ring.
pub trait Slots {
    /// A request.
    type Request: FromBytes + IntoBytes + Immutable;
    /// Its answer.
    type Response: FromBytes + IntoBytes + Immutable;
    /// How many slots there are.
    const COUNT: u32;

    /// Where a slot is in the page.
    fn place(index: u32) -> usize {
        let bytes = size_of::<Self::Request>().max(size_of::<Self::Response>());
        // The index is below the number of slots by the ring's logic; a place is inside the page whatever it is.
        let at = SLOTS_OFFSET + (index % Self::COUNT) as usize * bytes;
        assert!(at + bytes <= PAGE_SIZE);
        at
    }

    /// Copies a request out of its slot, once.
    fn request(page: &dyn RingPage, index: u32) -> Self::Request {
        copied(page, Self::place(index))
    }

    /// Copies an answer out of its slot, once.
    fn response(page: &dyn RingPage, index: u32) -> Self::Response {
        copied(page, Self::place(index))
    }

    /// Puts a request into its slot.
    fn put_request(page: &dyn RingPage, index: u32, request: Self::Request) {
        page.write(Self::place(index), request.as_bytes());
    }

    /// Puts an answer into its slot.
    fn put_response(page: &dyn RingPage, index: u32, response: Self::Response) {
        page.write(Self::place(index), response.as_bytes());
    }
}

fn copied<T: FromBytes + IntoBytes>(page: &dyn RingPage, at: usize) -> T {
    let mut value = T::new_zeroed();
    page.read(at, value.as_mut_bytes());
    value
}

/// Frames that the frontend sends.
#[derive(Debug)]
pub enum Tx {}

impl Slots for Tx {
    type Request = TxRequest;
    type Response = TxResponse;
    const COUNT: u32 = TX_SLOTS;
}

/// Frames that the frontend receives.
#[derive(Debug)]
pub enum Rx {}

impl Slots for Rx {
    type Request = RxRequest;
    type Response = RxResponse;
    const COUNT: u32 = RX_SLOTS;
}
