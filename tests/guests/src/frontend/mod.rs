//! What a guest needs that is another domain's frontend: the store, grants that it publishes and takes back as it likes, and waiting for its
//! backend.
//!
//! Nothing here keeps to the rules that frontends keep to: that is what the guests are for. What a backend did wrong is counted and told;
//! the guest goes on.

use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::Display;
use core::sync::atomic::Ordering::Relaxed;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::grant_table::{ENTRIES_PER_FRAME, GrantFlags, RESERVED_ENTRIES};
use guest_abi::sched::ShutdownReason;
use guest_abi::segment::Selector;
use guest_abi::start_info::{StartFlags, StartInfo};
use mini_guest::kernel::store_ring::StoreRing;
use mini_guest::store::Error;
use mini_guest::xenbus::{Client, Keys, Session, Transport, number};
use mini_guest::{mm, shared, time};

use crate::grants::Table;
use crate::{hypercall, pages, println, report};

mod page;

pub use page::Page;

/// Who serves.
pub const BACKEND: DomId = DomId::DOM0;
/// How long Domain0 may take for an answer: so long that it cannot but have stopped.
const PATIENCE_NS: u64 = 30 * time::NS_PER_SEC;
/// A table of one frame.
const REFERENCES: u32 = ENTRIES_PER_FRAME;

/// The way to the store, for a kernel without events: it gives way to others until there is an answer.
struct Way {
    ring: StoreRing,
    until: u64,
}

impl Transport for Way {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.ring.send(bytes)
    }

    fn receive(&mut self) -> Result<Vec<u8>, Error> {
        self.ring.receive()
    }

    fn begin(&mut self, _: u64) {
        self.until = time::now_ns() + PATIENCE_NS;
    }

    fn wait(&mut self) -> bool {
        let _ = hypercall::yield_now();
        time::now_ns() < self.until
    }
}

/// The guest as a frontend's domain.
pub struct Front {
    client: Client,
    store: Way,
    /// Its grants.
    pub table: Table,
    next: Cell<u32>,
    wrong: Cell<u32>,
    /// Where the builder put its page tables: a frame that no other domain may write to.
    pub page_table: Mfn,
}

/// After how many answers a guest is to die, if its command line says so: `die=N`.
pub fn dies_after(start_info: &StartInfo) -> Option<u32> {
    let line = core::str::from_utf8(start_info.command_line()).ok()?;
    let mut words = line.split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix("die=")?.parse().ok())
}

/// Has the hypervisor kill the domain: an event is due, and there is nothing to call.
pub fn die() -> ! {
    let nothing = (Selector::FLAT_RING1_CS, 0);
    let _ = hypercall::set_callbacks(nothing, nothing);
    shared::upcall_pending().store(1, Relaxed);
    shared::upcall_mask().store(0, Relaxed);
    let _ = hypercall::xen_version();
    unreachable!("the hypervisor delivers an event to nobody")
}

impl Front {
    /// Starts memory, the store and a grant table. As Domain0 a guest has no backend, and is skipped.
    ///
    /// # Panics
    /// Where there is no store or no grant table.
    pub fn start(start_info: &'static StartInfo) -> Self {
        if start_info.flags.contains(StartFlags::INITIAL_DOMAIN) {
            report::skip(format_args!("it attacks Domain0 from another domain"));
        }
        report::set_broken_reason(ShutdownReason::CRASH);
        pages::init(start_info);
        mm::init(start_info);
        let pages_in = start_info.pt_base.raw() - mini_guest::entry::VIRT_BASE;
        Self {
            client: Client::default(),
            store: Way {
                ring: StoreRing::find(start_info).expect("a way to the store"),
                until: 0,
            },
            table: Table::set_up(DomId::SELF).expect("a grant table"),
            next: Cell::new(RESERVED_ENTRIES),
            wrong: Cell::new(0),
            page_table: pages::frame(pages_in / guest_abi::addr::PAGE_SIZE as u32),
        }
    }

    fn keys(&mut self) -> Session<'_> {
        Session {
            client: &mut self.client,
            transport: &mut self.store,
        }
    }

    /// A key's value; empty where there is none.
    pub fn read(&mut self, path: &str) -> String {
        self.keys().read(path).unwrap_or_default()
    }

    /// A key's value as a number; 0 where it is none.
    pub fn number(&mut self, path: &str) -> u64 {
        number(&mut self.keys(), path).unwrap_or(0)
    }

    /// Writes a key.
    ///
    /// # Errors
    /// What the store answers.
    pub fn try_write(&mut self, path: &str, value: &str) -> Result<(), Error> {
        self.keys().write(path, value)
    }

    /// Writes a key of its own.
    pub fn write(&mut self, path: &str, value: impl Display) {
        let written = self.try_write(path, &value.to_string());
        self.expect(written.is_ok(), path, written);
    }

    /// Notes what must be so.
    pub fn expect(&self, is_so: bool, what: &str, found: impl core::fmt::Debug) {
        if !is_so {
            self.wrong.set(self.wrong.get() + 1);
            println!("WRONG: {what}: {found:?}");
        }
    }

    /// How much was wrong.
    pub fn wrong(&self) -> u32 {
        self.wrong.get()
    }

    /// Lets others run until something is so; whether it ever was.
    pub fn wait(&mut self, mut is_so: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = time::now_ns() + PATIENCE_NS;
        while !is_so(self) {
            if time::now_ns() > deadline {
                return false;
            }
            let _ = hypercall::yield_now();
        }
        true
    }

    /// Waits until the key `state` of a directory is this.
    pub fn await_state(&mut self, directory: &str, state: u32) {
        let (path, state) = (format!("{directory}/state"), state.to_string());
        let is_there = self.wait(|front| front.read(&path) == state);
        let now = self.read(&path);
        self.expect(is_there, &format!("{directory} goes to state {state}"), now);
    }

    /// Lets Domain0 do what it has to do: it answers requests to its store meanwhile, and serves us between them.
    pub fn let_it_work(&mut self) {
        for _ in 0..4 {
            let _ = self.read("domid");
        }
    }

    /// Grants the backend's domain a frame.
    pub fn grant(&self, frame: Mfn, is_read_only: bool) -> u32 {
        let flags = if is_read_only {
            GrantFlags::READ_ONLY
        } else {
            GrantFlags::empty()
        };
        self.publish(BACKEND, frame, GrantFlags::PERMIT_ACCESS | flags)
    }

    /// Puts something into a reference that nothing is in.
    ///
    /// # Panics
    /// Where all have something.
    pub fn publish(&self, to: DomId, frame: Mfn, flags: GrantFlags) -> u32 {
        let first = self.next.get();
        let all = (first..REFERENCES).chain(RESERVED_ENTRIES..first);
        let free = all.into_iter().find(|n| self.table.flags(*n).is_empty());
        let free = free.expect("an entry of the table is free");
        self.next.set(free + 1);
        self.table.publish(free, to, frame, flags);
        free
    }

    /// Whether the other side has a grant mapped.
    pub fn is_used(&self, reference: u32) -> bool {
        let used = GrantFlags::READING | GrantFlags::WRITING;
        self.table.flags(reference).intersects(used)
    }

    /// Takes a grant back, which nobody may have mapped any more.
    pub fn end(&self, reference: u32) {
        self.expect(
            !self.is_used(reference),
            "what was answered is unmapped",
            reference,
        );
        self.revoke(reference);
    }

    /// Takes a grant back, whoever has it mapped: no frontend may do that.
    pub fn revoke(&self, reference: u32) {
        self.table
            .publish(reference, DomId::DOM0, Mfn::new(0), GrantFlags::empty());
    }
}
