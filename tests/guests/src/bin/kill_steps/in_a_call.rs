//! Killed in the middle of a call: at instants that have nothing to do with what the domain does, which is nothing but long calls.

use core::sync::atomic::Ordering::Relaxed;
use guest_abi::addr::GuestVirt;
use guest_abi::domctl::GetDomainInfo;
use guest_abi::event_channel::{BindVirq, Virq};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::vcpu::CpuContext;
use mini_guest::{shared, traps};
use test_guests::pages::READ_ONLY;
use test_guests::puppet::{Command, MAX_COMMANDS, Puppet, SPARE};
use test_guests::small_domain::{free_pages, op, show};
use test_guests::tables::DIRECTORY;
use test_guests::{Regs, check, check_eq, guest_abi, hypercall, println};

use super::{Stage, now, page_at};

/// Kills in the middle of calls: at so many instants, and so many of them in a call that had paused.
const INSTANTS: u64 = 48;
const PAUSED: u32 = 6;
/// Nanoseconds from one instant to the next.
const PACE: u64 = 23_000;

/// Whatever comes is taken.
fn on_event(_: &mut Regs) {
    shared::upcall_pending().store(0, Relaxed);
    shared::pending_selector().store(0, Relaxed);
    shared::pending_word(0).store(0, Relaxed);
}

impl Stage {
    /// Kills one domain after the other; `free` frames must be free after each.
    pub fn kill_in_calls(&mut self, free: u32) {
        let timer = BindVirq {
            virq: Virq::TIMER,
            port: 0,
        };
        let port = hypercall::event_channel_op(&timer).map(|done| done.port);
        check!(port.is_ok_and(|port| port < 32), "{port:?}");
        shared::set_port_mask(port.unwrap_or(0), false);
        traps::set_kernel_event_handler(Some(on_event));
        let mut paused = 0;
        for instant in 1..=INSTANTS {
            paused += u32::from(self.kill_in_a_call(instant * PACE));
            check_eq!(free_pages(), free, "instant {instant}");
        }
        println!("killed at {INSTANTS} instants, {paused} times in a call that had paused");
        check!(paused >= PAUSED, "{paused} paused calls prove little");
    }

    /// Kills a domain that pins and unpins tables all the time, at an instant that has nothing to do with what it does. Whether a
    /// call of its had paused then.
    fn kill_in_a_call(&mut self, after_ns: u64) -> bool {
        let puppet = Puppet::at(self.mail, self.window, |_| ());
        let [l1, l2] = [SPARE, SPARE + 1];
        // Every entry of the one names the other, which maps a page in all of its.
        for n in [l1, l2] {
            check_eq!(puppet.map_page(page_at(n), Pte::EMPTY), Ok(()));
        }
        for (n, entry) in [
            (l1, Pte::new(puppet.frames[SPARE + 2], READ_ONLY)),
            (l2, Pte::new(puppet.frames[l1], DIRECTORY)),
        ] {
            show(self.window, puppet.id, puppet.frames[n]);
            self.window.fill(entry.raw());
        }
        self.window.unprotect();
        let frame = puppet.frames[l2].addr();
        let requests =
            [Extended::Pin { level: 2, frame }, Extended::Unpin { frame }].map(MmuUpdate::extended);
        let at = puppet.put(&requests);
        let pair = Command::call(CallNumber::MMU_UPDATE, &[at, 2, 0]);
        puppet.tell(&[pair; MAX_COMMANDS]);
        let instant = now() + after_ns;
        check_eq!(hypercall::set_timer(instant), Ok(()));
        // An event may be pending from before.
        while now() < instant {
            hypercall::block().expect("block");
        }
        let mut context = CpuContext::default();
        let asked = op(&GetDomainInfo {
            domain: puppet.id,
            ctxt: GuestVirt::new(core::ptr::from_mut(&mut context) as u32),
            ..GetDomainInfo::default()
        });
        check!(asked.is_ok());
        // SAFETY: the hypervisor has written it meanwhile.
        let regs = unsafe { core::ptr::from_ref(&context.regs).read_volatile() };
        const RESUMED: u32 = guest_abi::mmu::COUNT_RESUMED;
        let is_paused = regs.eax == CallNumber::MMU_UPDATE.raw() && regs.ecx & RESUMED != 0;
        self.end(Some(puppet.id));
        is_paused
    }
}
