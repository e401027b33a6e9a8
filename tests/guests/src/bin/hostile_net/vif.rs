//! One interface: two rings, and requests that go into them as they are.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::Ordering;

use guest_abi::io::netif::{RxRequest, RxResponse, TxRequest, TxResponse};
use mini_guest::blkif::RingPage;
use mini_guest::events;
use mini_guest::net::Mac;
use mini_guest::net::netif::slots::{Rx, Slots, Tx};
use test_guests::frontend::{BACKEND, Front, Page};
use test_guests::guest_abi;

/// An interface.
pub struct Vif {
    /// Where it is in the store, and its backend.
    pub directory: String,
    pub backend: String,
    /// Its own address.
    pub mac: Mac,
    /// The rings, and their grants.
    pub tx: Page,
    pub rx: Page,
    pub tx_reference: u32,
    pub rx_reference: u32,
    pub port: u32,
    /// Requests so far on these rings.
    pub sent: u32,
    pub posted: u32,
}

impl Vif {
    /// Interface `number`, not connected.
    pub fn new(front: &mut Front, number: usize) -> Self {
        let directory = format!("device/vif/{number}");
        let mac = front.read(&format!("{directory}/mac"));
        Self {
            backend: front.read(&format!("{directory}/backend")),
            mac: mac.parse().expect("an address"),
            directory,
            tx: Page::take(),
            rx: Page::take(),
            tx_reference: 0,
            rx_reference: 0,
            port: 0,
            sent: 0,
            posted: 0,
        }
    }

    /// Writes a key of its directory.
    pub fn set(&self, front: &mut Front, key: &str, value: impl core::fmt::Display) {
        front.write(&format!("{}/{key}", self.directory), value);
    }

    /// Fresh rings, granted, and a port; nobody is told yet.
    pub fn prepare(&mut self, front: &Front) {
        self.tx.indices().init();
        self.rx.indices().init();
        (self.sent, self.posted) = (0, 0);
        self.tx_reference = front.grant(self.tx.0.mfn(), false);
        self.rx_reference = front.grant(self.rx.0.mfn(), false);
        self.port = events::alloc_unbound(BACKEND).expect("a port");
    }

    /// Says where the rings are.
    pub fn offer(&self, front: &mut Front, [tx, rx, port]: [u32; 3], copies: u32) {
        self.set(front, "tx-ring-ref", tx);
        self.set(front, "rx-ring-ref", rx);
        self.set(front, "event-channel", port);
        self.set(front, "request-rx-copy", copies);
        self.set(front, "feature-rx-notify", 1);
        self.set(front, "state", 4);
    }

    /// Connects as a frontend should.
    pub fn connect(&mut self, front: &mut Front) {
        front.await_state(&self.backend, 2);
        self.prepare(front);
        self.offer(front, [self.tx_reference, self.rx_reference, self.port], 1);
        front.await_state(&self.backend, 4);
    }

    /// Goes; the backend waits for other rings then.
    pub fn leave(&self, front: &mut Front) {
        self.set(front, "state", 6);
        front.await_state(&self.backend, 6);
        front.end(self.tx_reference);
        front.end(self.rx_reference);
        let _ = events::close(self.port);
        self.set(front, "state", 1);
    }

    /// Tells the backend.
    pub fn notify(&self) {
        let _ = events::notify(self.port);
    }

    /// Puts a request to send into its slot; the index does not move.
    pub fn put(&mut self, request: TxRequest) {
        Tx::put_request(&self.tx, self.sent % Tx::COUNT, request);
        self.sent = self.sent.wrapping_add(1);
    }

    /// Writes a request where an older one was put.
    pub fn overwrite(&self, slot: u32, request: TxRequest) {
        Tx::put_request(&self.tx, slot % Tx::COUNT, request);
    }

    /// Moves the index of the ring for sending, and tells the backend.
    pub fn show(&self, producer: u32) {
        self.tx.indices().req_prod.store(producer, Ordering::SeqCst);
        self.notify();
    }

    /// How many requests to send have their answers.
    pub fn answered(&self) -> u32 {
        self.tx.indices().rsp_prod.load(Ordering::SeqCst)
    }

    /// The answer in a slot of the ring for sending.
    pub fn answer(&self, slot: u32) -> TxResponse {
        Tx::response(&self.tx, slot % Tx::COUNT)
    }

    /// Posts a buffer, and shows it.
    pub fn post(&mut self, gref: u32) {
        let id = self.posted as u16;
        let request = RxRequest { id, pad: 0, gref };
        Rx::put_request(&self.rx, self.posted % Rx::COUNT, request);
        self.posted += 1;
        self.rx.indices().req_prod.store(self.posted, Ordering::SeqCst);
        self.notify();
    }

    /// How many buffers have their answers.
    pub fn received(&self) -> u32 {
        self.rx.indices().rsp_prod.load(Ordering::SeqCst)
    }

    /// The answer in a slot of the ring for receiving.
    pub fn reception(&self, slot: u32) -> RxResponse {
        Rx::response(&self.rx, slot % Rx::COUNT)
    }
}
