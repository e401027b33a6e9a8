//! Calls of a puppet's with their arguments and answers in place.

use guest_abi::errno::Errno;
use guest_abi::event_channel::{EvtchnArgs, EvtchnOp};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{MmuUpdate, Pte, UvmFlags};

use super::{Command, Ended, Puppet};
use crate::report;
use crate::small_domain::BASE;

impl Puppet {
    /// Has it make a call; EAX and EBX as they come back.
    pub fn call_raw(self, number: CallNumber, arguments: &[u32]) -> Ended {
        self.one(Command::call(number, arguments))
    }

    /// Has it make a call.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn call(self, number: CallNumber, arguments: &[u32]) -> Result<u32, Errno> {
        let ended = self.call_raw(number, arguments);
        ended
            .answer()
            .unwrap_or_else(|| report::failure(format_args!("{number:?}: {ended:x?}")))
    }

    /// A command of event_channel_op.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn event_op<A: EvtchnArgs>(self, args: &A) -> Result<A, Errno> {
        let at = self.put(&EvtchnOp::new(args));
        self.call(CallNumber::EVENT_CHANNEL_OP, &[at])?;
        Ok(self.get::<EvtchnOp>().args())
    }

    /// Page-table requests.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn mmu(self, requests: &[MmuUpdate]) -> Result<(), Errno> {
        let at = self.put(requests);
        let arguments = [at, requests.len() as u32, 0];
        self.call(CallNumber::MMU_UPDATE, &arguments).map(drop)
    }

    /// Maps something at `at`.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn map_page(self, at: u32, entry: Pte) -> Result<(), Errno> {
        let (low, high) = entry.low_high();
        let arguments = [at >> 12, low, high, UvmFlags::INVLPG.bits()];
        self.call(CallNumber::UPDATE_VA_MAPPING, &arguments).map(drop)
    }

    /// Replaces the mapping of its page `n`.
    ///
    /// # Errors
    /// What the hypervisor answered.
    #[track_caller]
    pub fn remap(self, n: u32, entry: Pte) -> Result<(), Errno> {
        self.map_page(BASE + 4096 * n, entry)
    }
}
