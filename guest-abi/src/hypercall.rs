//! The 23 calls: their numbers and what each expects in which register.
//!
//! A guest kernel in ring 1 puts the number into EAX, up to five arguments into EBX, ECX, EDX, ESI, EDI, and
//! executes `int 0x82`. EAX holds the answer: 0 or more is a value or a count, −4095 to −1 an error
//! ([`crate::errno::from_eax`]). The argument registers of the call may be changed (a preempted call rewrites
//! them to continue where it stopped); all other registers, the segment registers and EFLAGS are preserved.
//! From ring 2 or 3 the gate is closed: #GP, delivered to the guest kernel as any `int n`.
//!
//! Pointers are linear addresses in the current address space and must lie wholly below
//! [`crate::addr::HV_START`]; a pointer that does not, or that meets an unmapped or read-only page, is
//! −EFAULT.
//!
//! | # | call | EBX | ECX | EDX | ESI | EDI |
//! |---|---|---|---|---|---|---|
//! | 0 | set_trap_table | [`TrapInfo`](crate::trap::TrapInfo) array | | | | |
//! | 1 | mmu_update | [`MmuUpdate`](crate::mmu::MmuUpdate) array | count | `u32` done counter or 0 | | |
//! | 2 | set_gdt | `u32` frame list | entries | | | |
//! | 3 | stack_switch | SS | ESP | | | |
//! | 4 | set_callbacks | event CS | event EIP | failsafe CS | failsafe EIP | |
//! | 5 | fpu_taskswitch | | | | | |
//! | 6 | sched_op | [packed command](crate::sched) | | | | |
//! | 7 | dom0_op | command block | | | | |
//! | 8 | set_debugreg | register | value | | | |
//! | 9 | get_debugreg | register; *out*: status | | | | |
//! | 10 | update_descriptor | address low | address high | descriptor low | descriptor high | |
//! | 11 | set_fast_trap | vector | | | | |
//! | 12 | dom_mem_op | packed command | extent list | extents | order | domain |
//! | 13 | multicall | [`MulticallEntry`](crate::multicall::MulticallEntry) array | count | | | |
//! | 14 | update_va_mapping | page number | entry low | entry high | [flags](crate::mmu::UvmFlags) | |
//! | 15 | set_timer_op | time **high** | time **low** | | | |
//! | 16 | event_channel_op | [`EvtchnOp`](crate::event_channel::EvtchnOp) block | | | | |
//! | 17 | xen_version | command | buffer | | | |
//! | 18 | console_io | [command](crate::console::ConsoleCmd) | count | buffer | | |
//! | 19 | physdev_op | command block | | | | |
//! | 20 | grant_table_op | command | array | count | | |
//! | 21 | vm_assist | command | type | | | |
//! | 22 | update_va_mapping_otherdomain | page number | entry low | entry high | flags | domain |
//!
//! Source: Xen 2.0, `public/xen.h`, with machine addresses and page-table entries widened to 64 bits.

/// The interrupt vector of hypercalls. Its gate admits ring 1 and not ring 3.
pub const HYPERCALL_VECTOR: u8 = 0x82;

/// Most arguments a call takes (EBX, ECX, EDX, ESI, EDI).
pub const MAX_ARGS: usize = 5;

open_number! {
    /// A call's number, in EAX. The whole register counts: a number beyond the table is −ENOSYS, never an
    /// alias.
    CallNumber: u32 {
        /// Installs entries of the virtual IDT. Returns 0; −EFAULT, −EPERM (bad code selector).
        SET_TRAP_TABLE = 0, "set_trap_table";
        /// A batch of page-table updates and extended commands. Returns 0; −EINVAL at the first bad request,
        /// −EFAULT. The done counter says how many were completed.
        MMU_UPDATE = 1, "mmu_update";
        /// Replaces the GDT: 1 to [`MAX_GDT_ENTRIES`](crate::segment::MAX_GDT_ENTRIES) entries in frames that
        /// become read-only; 0 entries are refused. Returns 0; −EINVAL, −EFAULT.
        SET_GDT = 2, "set_gdt";
        /// Sets the ring-1 stack for entries from rings 2 and 3. Returns 0; −EPERM (RPL 0).
        STACK_SWITCH = 3, "stack_switch";
        /// Registers the event and failsafe callbacks. Returns 0; −EPERM (bad code selector).
        SET_CALLBACKS = 4, "set_callbacks";
        /// Sets the virtual TS: the next FPU instruction raises vector 7 in the guest, with TS already clear.
        FPU_TASKSWITCH = 5, "fpu_taskswitch";
        /// Yield, block, shut down. Returns 0, also after a switch; −ENOSYS.
        SCHED_OP = 6, "sched_op";
        /// Domain control, for privileged domains. −EPERM, −EFAULT, −EACCES (interface version), −ENOSYS.
        DOM0_OP = 7, "dom0_op";
        /// Writes a virtual debug register. Returns 0; −EINVAL, −EPERM.
        SET_DEBUGREG = 8, "set_debugreg";
        /// Reads a virtual debug register: the value in EAX, the status (0 or −EINVAL) in EBX.
        GET_DEBUGREG = 9, "get_debugreg";
        /// Writes one descriptor at an 8-aligned machine address. Returns 0; −EINVAL.
        UPDATE_DESCRIPTOR = 10, "update_descriptor";
        /// Lets a vector go from ring 3 to its ring-1 handler by the shortest way; 0 removes it. Returns 0;
        /// −EPERM (vector not allowed, or registered to mask events).
        SET_FAST_TRAP = 11, "set_fast_trap";
        /// Gives frames to or takes frames from a domain. Returns the number of extents completed.
        DOM_MEM_OP = 12, "dom_mem_op";
        /// A batch of calls; each result goes to the entry's `args[5]`. Returns 0; −EINVAL (inside a
        /// multicall), −EFAULT.
        MULTICALL = 13, "multicall";
        /// Writes the L1 entry that maps a page, and flushes as asked. Returns 0; −EINVAL.
        UPDATE_VA_MAPPING = 14, "update_va_mapping";
        /// Sets the one-shot timer to an absolute system time in ns, **high word first**; 0 cancels.
        /// Returns 0.
        SET_TIMER_OP = 15, "set_timer_op";
        /// Event channels. −EFAULT, −ENOSYS and each command's own errors.
        EVENT_CHANNEL_OP = 16, "event_channel_op";
        /// Version and features; also the idiom that forces pending events out. −ENOSYS.
        XEN_VERSION = 17, "xen_version";
        /// The privileged domain's console. Returns the count taken or given; −EPERM, −EFAULT, −ENOSYS.
        CONSOLE_IO = 18, "console_io";
        /// PCI configuration and physical interrupts.
        PHYSDEV_OP = 19, "physdev_op";
        /// Grant tables. Each operation has its own status in its record.
        GRANT_TABLE_OP = 20, "grant_table_op";
        /// Switches an assist on or off. Returns 0; −ENOSYS, −EINVAL.
        VM_ASSIST = 21, "vm_assist";
        /// `update_va_mapping` of a frame that belongs to another domain. −EPERM, −ESRCH, −EINVAL.
        UPDATE_VA_MAPPING_OTHERDOMAIN = 22, "update_va_mapping_otherdomain";
    }
}

impl CallNumber {
    /// The highest number.
    pub const MAX: Self = Self::UPDATE_VA_MAPPING_OTHERDOMAIN;
    /// How many calls there are.
    pub const COUNT: usize = Self::MAX.0 as usize + 1;

    /// The number as an index into a table of [`Self::COUNT`] entries, or `None` for an unknown call.
    #[must_use]
    pub const fn index(self) -> Option<usize> {
        if self.0 <= Self::MAX.0 {
            Some(self.0 as usize)
        } else {
            None
        }
    }
}

const _: () = assert!(CallNumber::ALL.len() == CallNumber::COUNT);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnknownNumber;

    #[test]
    fn numbers_are_dense_and_in_order() {
        for (index, (number, name)) in CallNumber::ALL.iter().enumerate() {
            assert_eq!(number.index(), Some(index));
            assert_eq!(number.name(), Some(*name));
        }
    }

    #[test]
    fn a_number_beyond_the_table_is_no_alias() {
        for raw in [23, 31, 32, 33, u32::MAX] {
            assert_eq!(CallNumber::try_from(raw), Err(UnknownNumber(i64::from(raw))));
            assert_eq!(CallNumber::new(raw).index(), None);
        }
    }
}
