//! The store ring: one page shared by a domain and the store. Xen 4.x `public/io/xs_wire.h`.
//!
//! Two byte rings of [`RING_BYTES`] with free-running indices as in [`super::console`]. What goes through
//! them is a stream of messages, each a [`MessageHeader`] and its payload; a reply repeats the request's
//! `req_id` and `tx_id`. Watch events come unasked.

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of each ring.
pub const RING_BYTES: usize = 1024;
/// Most bytes of a payload.
pub const MAX_PAYLOAD: usize = 4096;

/// The start of the page, for offsets and snapshots; live indices are reached by atomics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StoreRing {
    /// Requests, from the domain.
    pub req: [u8; RING_BYTES],
    /// Replies and watch events, towards the domain.
    pub rsp: [u8; RING_BYTES],
    /// Moved by the store.
    pub req_cons: u32,
    /// Moved by the domain.
    pub req_prod: u32,
    /// Moved by the domain.
    pub rsp_cons: u32,
    /// Moved by the store.
    pub rsp_prod: u32,
    /// What the store can do beside the basics: [`FEATURE_RECONNECT`], [`FEATURE_ERROR`].
    pub server_features: u32,
    /// [`CONNECTED`] or [`RECONNECT`].
    pub connection: u32,
    /// Why the store closed the connection, with [`FEATURE_ERROR`]; 0 if it did not.
    pub error: u32,
}

layout!(
    StoreRing, size 2076,
    req @ 0, rsp @ 1024, req_cons @ 2048, req_prod @ 2052, rsp_cons @ 2056, rsp_prod @ 2060,
    server_features @ 2064, connection @ 2068, error @ 2072,
);
default_is_zero!(StoreRing);

/// Offset of `req_cons`.
pub const REQ_CONS: usize = offset_of!(StoreRing, req_cons);
/// Offset of `req_prod`.
pub const REQ_PROD: usize = offset_of!(StoreRing, req_prod);
/// Offset of `rsp_cons`.
pub const RSP_CONS: usize = offset_of!(StoreRing, rsp_cons);
/// Offset of `rsp_prod`.
pub const RSP_PROD: usize = offset_of!(StoreRing, rsp_prod);

/// Feature: the domain may ask for a fresh connection.
pub const FEATURE_RECONNECT: u32 = 1 << 0;
/// Feature: the store tells errors in `error`.
pub const FEATURE_ERROR: u32 = 1 << 1;
/// `connection`: in use.
pub const CONNECTED: u32 = 0;
/// `connection`: the domain asks for a fresh one.
pub const RECONNECT: u32 = 1;

/// What precedes each payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MessageHeader {
    /// What is asked or answered.
    pub kind: MessageKind,
    /// The asker's own number, repeated in the reply.
    pub req_id: u32,
    /// The transaction, 0 outside one.
    pub tx_id: u32,
    /// Bytes of payload that follow.
    pub len: u32,
}

layout!(MessageHeader, size 16, kind @ 0, req_id @ 4, tx_id @ 8, len @ 12);

open_number! {
    /// Kind of a message (`XS_*`). Strings end with a NUL unless noted.
    MessageKind: u32 {
        /// Speak to the store itself.
        CONTROL = 0, "control";
        /// List a node's children: path; answered by the names.
        DIRECTORY = 1, "directory";
        /// Read a value: path; answered by the value, without a NUL.
        READ = 2, "read";
        /// Read permissions: path.
        GET_PERMS = 3, "get_perms";
        /// Set a watch: path, token. It fires once at once.
        WATCH = 4, "watch";
        /// Remove a watch: path, token.
        UNWATCH = 5, "unwatch";
        /// Start a transaction; answered by its number in digits.
        TRANSACTION_START = 6, "transaction_start";
        /// End a transaction: "T" to commit, "F" to drop it.
        TRANSACTION_END = 7, "transaction_end";
        /// Tell the store of a new domain: id, frame, port in digits.
        INTRODUCE = 8, "introduce";
        /// Tell the store that a domain is gone: id.
        RELEASE = 9, "release";
        /// Ask for a domain's home: id.
        GET_DOMAIN_PATH = 10, "get_domain_path";
        /// Write a value: path, then the value without a NUL.
        WRITE = 11, "write";
        /// Make an empty node: path.
        MKDIR = 12, "mkdir";
        /// Remove a node and what is below: path.
        RM = 13, "rm";
        /// Set permissions: path, then each permission.
        SET_PERMS = 14, "set_perms";
        /// Unasked: a watch fired: path, token.
        WATCH_EVENT = 15, "watch_event";
        /// Reply: the request failed: the error's C name.
        ERROR = 16, "error";
        /// Ask whether a domain is known: id; answered by "T" or "F".
        IS_DOMAIN_INTRODUCED = 17, "is_domain_introduced";
        /// Resume a domain: id.
        RESUME = 18, "resume";
        /// Let one domain act for another: two ids.
        SET_TARGET = 19, "set_target";
        /// Drop all watches of the connection.
        RESET_WATCHES = 21, "reset_watches";
        /// List a part of a long directory: path, offset in digits.
        DIRECTORY_PART = 22, "directory_part";
    }
}
