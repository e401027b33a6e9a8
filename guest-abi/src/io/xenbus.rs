//! How the two halves of a split driver find each other: states and keys in the store.
//!
//! Each half has a directory (frontend `device/<class>/<n>`, backend `backend/<class>/<domain>/<n>`) and
//! tells its state in the key [`STATE`] as a decimal number. The backend publishes its features and goes to
//! [`XenbusState::INIT_WAIT`]; the frontend grants its ring pages, writes their references and its port and
//! goes to [`XenbusState::INITIALISED`]; the backend maps and binds them, publishes the device's properties
//! and goes to [`XenbusState::CONNECTED`], and the frontend follows. Either side starts the end with
//! [`XenbusState::CLOSING`].
//!
//! Source: Xen 4.x, `public/io/xenbus.h`, `public/io/blkif.h`, `public/io/netif.h`.

open_number! {
    /// State of one half (`XenbusState*`).
    XenbusState: u8 {
        /// Never valid in the store: what a missing key counts as.
        UNKNOWN = 0, "unknown";
        /// Began.
        INITIALISING = 1, "initialising";
        /// Waits for the other half's details.
        INIT_WAIT = 2, "init_wait";
        /// Has given its details.
        INITIALISED = 3, "initialised";
        /// In use.
        CONNECTED = 4, "connected";
        /// Ends: finishes what is under way.
        CLOSING = 5, "closing";
        /// Ended.
        CLOSED = 6, "closed";
    }
}

/// Key of each half: its state.
pub const STATE: &str = "state";
/// Frontend's key: the path of the backend's directory.
pub const BACKEND: &str = "backend";
/// Frontend's key: the backend's domain.
pub const BACKEND_ID: &str = "backend-id";
/// Backend's key: the path of the frontend's directory.
pub const FRONTEND: &str = "frontend";
/// Backend's key: the frontend's domain.
pub const FRONTEND_ID: &str = "frontend-id";
/// Frontend's key: grant reference of a block ring.
pub const RING_REF: &str = "ring-ref";
/// Frontend's key: grant reference of the ring of packets to send.
pub const TX_RING_REF: &str = "tx-ring-ref";
/// Frontend's key: grant reference of the ring of packets to receive.
pub const RX_RING_REF: &str = "rx-ring-ref";
/// Frontend's key: the unbound port that the backend binds.
pub const EVENT_CHANNEL: &str = "event-channel";
/// Frontend's key: layout of a block ring's slots.
pub const PROTOCOL: &str = "protocol";
