//! A domain killed at every step of its life: while it is created, built, filled; between any two of its own calls; with pages
//! mapped by others and pages of others mapped, with ports connected and events pending, while it waits, in the middle of
//! a call that paused, and after its end. Each time everything must come back, to the frame; the audit at the end must find
//! nothing wrong.
//!
//! The steps are counted by living: a life is called off at its first step, then at its second, until one is complete.
//!
//! timeout: 400
//! icount: yes
#![no_std]
#![no_main]

mod in_a_call;
mod life;

use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::event_channel::Close;
use guest_abi::grant_table::{GrantFlags, GrantStatus};
use guest_abi::start_info::StartInfo;
use mini_guest::shared;
use test_guests::grants::{Table, unmap, unmap_record, vacate};
use test_guests::pages::Page;
use test_guests::puppet::{FREE_AT, Puppet};
use test_guests::small_domain::{BASE, destroy, free_pages, info};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, hypercall, println, report};

use life::Life;

test_guests::entry!(main);

const OKAY: GrantStatus = GrantStatus::OKAY;
/// The reference that we grant, and that the domain does.
const REFERENCE: u32 = 10;

/// What outlives the domain.
struct Stage {
    window: Page,
    mail: Page,
    /// A page of ours that it is granted, where we map one of its, and our table.
    page: Page,
    view: Page,
    table: Table,
    /// A domain that lives on, and holds a page of the other's.
    witness: Puppet,
    /// What is to be let go of afterwards.
    held: Option<u32>,
    witnessed: Option<u32>,
    port: Option<u32>,
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let Ok(table) = Table::set_up(DomId::DOM0) else {
        report::failure(format_args!("no grant table"))
    };
    let mut stage = Stage {
        window: Page::take(),
        mail: Page::take(),
        page: Page::take(),
        view: vacate(Page::take()),
        table,
        witness: Puppet::new(|_| ()).set_up_table(),
        held: None,
        witnessed: None,
        port: None,
    };
    // What the hypervisor keeps for us grows once.
    check!(stage.live(u32::MAX));
    let free = free_pages();
    let mut steps = 0;
    loop {
        let is_complete = stage.live(steps);
        check_eq!(free_pages(), free, "after step {steps}");
        if is_complete {
            break;
        }
        steps += 1;
    }
    println!("killed at each of {steps} steps");
    check!(steps >= 60, "{steps} steps");
    stage.kill_in_calls(free);
    report::success()
}

impl Stage {
    /// A life that ends before step `left`. Whether it was complete by then.
    fn live(&mut self, left: u32) -> bool {
        let mut life = Life {
            stage: self,
            id: None,
            left,
        };
        let is_complete = life.live().is_ok();
        let id = life.id;
        self.end(id);
        is_complete
    }

    /// Kills the domain, and lets go of what is left of it.
    fn end(&mut self, id: Option<DomId>) {
        if let Some(id) = id {
            check_eq!(destroy(id), Ok(()));
            // Whatever of it is still in use here.
            check_eq!(destroy(id).is_ok(), info(id).is_ok());
        }
        self.window.unprotect();
        self.mail.unprotect();
        if let Some(handle) = self.held.take() {
            check_eq!(unmap(unmap_record(handle, self.view.0)), OKAY);
        }
        if let Some(handle) = self.witnessed.take() {
            check_eq!(self.witness.unmap(handle, FREE_AT), OKAY);
        }
        if let Some(port) = self.port.take() {
            let close = Close {
                dom: DomId::SELF,
                pad: 0,
                port,
            };
            check_eq!(hypercall::event_channel_op(&close).map(drop), Ok(()));
        }
        check_eq!(
            self.table.flags(REFERENCE) & (GrantFlags::READING | GrantFlags::WRITING),
            GrantFlags::empty()
        );
        // The record of one that was still in use goes with the next call.
        let _ = free_pages();
        if let Some(id) = id {
            check_eq!(info(id).map(drop), Err(Errno::Srch));
        }
    }
}

/// System time.
fn now() -> u64 {
    // SAFETY: reading the time-stamp counter, which this machine has and lets us.
    shared::time_record().system_time_at(unsafe { core::arch::x86::_rdtsc() })
}

/// Where frame `n` of an puppet is mapped in it.
const fn page_at(n: usize) -> u32 {
    BASE + n as u32 * 4096
}
