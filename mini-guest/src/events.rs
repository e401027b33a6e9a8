//! Event channels: binding them and finding out which have fired.
//!
//! Nothing here runs in the upcall itself. An upcall from ring 3 is an entry like any other and one from ring 1
//! only masks events ([`crate::traps`]); the kernel looks for pending ports with [`poll`] when it is ready. So no
//! handler ever interrupts another, and no stack can overflow by nesting.
//!
//! Source: Xen 2.0 interface: shared_info, event_channel_op.

use core::sync::atomic::Ordering;

use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::{AllocUnbound, BindInterdomain, BindVirq, Close, Send, Virq};

use crate::{hypercall, shared};

/// Binds a virtual interrupt and gives its port, not masked.
///
/// # Errors
/// −EINVAL, −ENOSPC.
pub fn bind_virq(virq: Virq) -> Result<u32, Errno> {
    let port = hypercall::event_channel_op(&BindVirq { virq, port: 0 })?.port;
    shared::set_port_mask(port, false);
    Ok(port)
}

/// Connects a new port of ours with `remote` of domain `dom`, a new one where that is 0; gives both. Ours is not masked.
///
/// # Errors
/// −EPERM, −EINVAL, −ESRCH, −ENOSPC.
pub fn bind_interdomain(dom: DomId, remote: u32) -> Result<(u32, u32), Errno> {
    let ends = hypercall::event_channel_op(&BindInterdomain {
        dom1: DomId::SELF,
        dom2: dom,
        port1: 0,
        port2: remote,
    })?;
    unmask_port(ends.port1);
    Ok((ends.port1, ends.port2))
}

/// A new port that `dom` may connect to, not masked.
///
/// # Errors
/// −ESRCH, −ENOSPC.
pub fn alloc_unbound(dom: DomId) -> Result<u32, Errno> {
    let port = hypercall::event_channel_op(&AllocUnbound { dom, pad: 0, port: 0 })?.port;
    unmask_port(port);
    Ok(port)
}

/// Raises the other end of a port.
///
/// # Errors
/// −EINVAL: it is not connected.
pub fn notify(port: u32) -> Result<(), Errno> {
    hypercall::event_channel_op(&Send { local_port: port }).map(drop)
}

/// Our end of a channel to another domain's port; closed when dropped.
#[derive(Debug)]
pub struct Channel(u32);

impl Channel {
    /// Binds a port to the one that `remote` of `domain` keeps for this domain.
    ///
    /// # Errors
    /// As for [`bind_interdomain`]; −EINVAL for port 0, which is none.
    pub fn bind(domain: DomId, remote: u32) -> Result<Self, Errno> {
        if remote == 0 {
            return Err(Errno::Inval);
        }
        bind_interdomain(domain, remote).map(|(port, _)| Self(port))
    }

    /// Our port.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.0
    }

    /// Tells the other side, if there still is one.
    pub fn notify(&self) {
        // A peer that is gone need not be told.
        let _ = notify(self.0);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // It is ours, so it is open.
        let _ = close(self.0);
    }
}

/// Lets a port fire. One that became pending while it was masked does so with the next [`poll`].
pub fn unmask_port(port: u32) {
    shared::set_port_mask(port, false);
    let (index, bit) = (port / 32, 1 << (port % 32));
    if shared::pending_word(index as usize).load(Ordering::SeqCst) & bit != 0 {
        look_at(index);
    }
}

/// Lets a port that was taken by [`poll`] fire once more.
pub fn raise_again(port: u32) {
    let (index, bit) = (port / 32, 1 << (port % 32));
    shared::pending_word(index as usize).fetch_or(bit, Ordering::SeqCst);
    look_at(index);
}

/// Has the word `index` of pending ports looked at.
fn look_at(index: u32) {
    shared::pending_selector().fetch_or(1 << index, Ordering::SeqCst);
    shared::upcall_pending().store(1, Ordering::SeqCst);
}

/// Closes one of our ports.
///
/// # Errors
/// −EINVAL: it is not open.
pub fn close(port: u32) -> Result<(), Errno> {
    hypercall::event_channel_op(&Close {
        dom: DomId::SELF,
        pad: 0,
        port,
    })
    .map(drop)
}

/// Whether something may be pending, without taking it.
#[must_use]
pub fn any_pending() -> bool {
    shared::upcall_pending().load(Ordering::Acquire) != 0
}

/// Takes every event that is pending and not masked, and calls `handle` with its port.
pub fn poll(mut handle: impl FnMut(u32)) {
    // The flag is cleared before the selector is taken: what comes in between sets it anew.
    while shared::upcall_pending().swap(0, Ordering::SeqCst) != 0 {
        let mut words = shared::pending_selector().swap(0, Ordering::SeqCst);
        while words != 0 {
            let index = words.trailing_zeros();
            words &= words - 1;
            take_word(index, &mut handle);
        }
    }
}

fn take_word(index: u32, handle: &mut impl FnMut(u32)) {
    let word = shared::pending_word(index as usize);
    let mut ready = word.load(Ordering::SeqCst) & !shared::mask_word(index as usize).load(Ordering::Relaxed);
    while ready != 0 {
        let bit = ready.trailing_zeros();
        ready &= ready - 1;
        word.fetch_and(!(1 << bit), Ordering::SeqCst);
        handle(index * 32 + bit);
    }
}

/// Lets the vCPU sleep until an event is pending, and comes back with events masked.
pub fn wait() {
    // It answers 0 in every case; an upcall that it let through has masked events, and this does so where none came.
    let _ = hypercall::block();
    shared::upcall_mask().store(1, Ordering::SeqCst);
}

/// Unmasks events and has those delivered that wait; for kernels with a handler of their own
/// ([`crate::traps::set_kernel_event_handler`]). Each delivery masks them again.
pub fn unmask() {
    shared::upcall_mask().store(0, Ordering::SeqCst);
    if any_pending() {
        // Any call delivers what is due on its way back.
        let _ = hypercall::xen_version();
    }
}

/// Masks events.
pub fn mask() {
    shared::upcall_mask().store(1, Ordering::SeqCst);
}
