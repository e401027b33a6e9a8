//! Two domains that ring each other without end, beside one that computes and ourselves, who wake by the timer.

use core::sync::atomic::Ordering::Relaxed;

use guest_abi::domain::DomId;
use guest_abi::event_channel::{AllocUnbound, BindInterdomain, BindVirq, EvtchnOp, Send, Virq};
use guest_abi::shared_info::offset;
use mini_guest::{shared, time::now_ns, traps};
use zerocopy::IntoBytes;

use crate::pages::poke32;
use crate::puppet::Puppet;
use crate::small_domain::info;
use crate::{Regs, check, check_eq, hypercall, println};

const MS: u64 = 1_000_000;
/// How long each storm blows, how long we sleep, and how long we then compute.
const STORM_NS: u64 = 2_000 * MS;
const SLEEP_NS: u64 = 7 * MS;

crate::scripts! {
    /// Waits for the other's event, answers it, and so on; counts. The block of the command lies behind the counter.
    wait_and_ring: "jmp 4f",
        "2:", "mov byte ptr [shared_page + 1], 1", "cmp dword ptr [shared_page + 4], 0", "jne 3f",
        "mov eax, 6", "mov ebx, 1", "int 0x82", "jmp 2b",
        "3:", "mov byte ptr [shared_page], 0", "mov dword ptr [shared_page + 132], 0", "mov dword ptr [shared_page + 4], 0",
        "4:", "inc dword ptr [words]", "mov eax, 16", "lea ebx, [words + 16]", "int 0x82", "jmp 2b";
    /// Rings and yields.
    yield_and_ring:
        "2:", "mov dword ptr [shared_page + 4], 0", "inc dword ptr [words]", "mov eax, 16", "lea ebx, [words + 16]",
        "int 0x82", "mov eax, 6", "xor ebx, ebx", "int 0x82", "jmp 2b";
    /// Rings and rings.
    ring:
        "2:", "mov dword ptr [shared_page + 4], 0", "inc dword ptr [words]", "mov eax, 16", "lea ebx, [words + 16]",
        "int 0x82", "jmp 2b";
    /// Computes.
    compute: "2:", "inc dword ptr [words]", "jmp 2b";
}

fn on_event(_: &mut Regs) {
    shared::upcall_pending().store(0, Relaxed);
    shared::pending_selector().swap(0, Relaxed);
    shared::pending_word(0).swap(0, Relaxed);
}

/// Sleeps until `deadline` and says how late it is then.
fn sleep_until(deadline: u64) -> u64 {
    check_eq!(hypercall::set_timer(deadline), Ok(()));
    loop {
        let now = now_ns();
        if now >= deadline {
            return now - deadline;
        }
        check_eq!(hypercall::block(), Ok(()));
        shared::upcall_mask().store(1, Relaxed);
    }
}

/// Two puppets with their ports connected, each with a `send` to the other ready.
fn ringers() -> [Puppet; 2] {
    let pair = [Puppet::new(|_| ()), Puppet::new(|_| ())];
    let [one, other] = pair;
    let waits = one.event_op(&AllocUnbound {
        dom: other.id,
        ..AllocUnbound::default()
    });
    let ends = BindInterdomain {
        dom1: DomId::SELF,
        dom2: one.id,
        port1: 0,
        port2: waits.expect("a port").port,
    };
    let ends = other.event_op(&ends).expect("a connection");
    for (puppet, local_port) in [(one, ends.port2), (other, ends.port1)] {
        let op = EvtchnOp::new(&Send { local_port });
        for (n, word) in (4..).zip(op.as_bytes().chunks_exact(4)) {
            puppet.set_word(n, u32::from_le_bytes(word.try_into().expect("4 bytes")));
        }
        puppet.set_word(0, 0);
        // Its ports and upcalls are unmasked from now on.
        let shared = puppet.shared().0;
        poke32(shared + offset::EVTCHN_MASK as u32, 0);
        poke32(shared, 0);
    }
    pair
}

fn used(puppet: Puppet) -> u64 {
    info(puppet.id).expect("the domain").cpu_time
}

/// Each kind of storm: the one that computes has nine tenths of its third or more, and we are woken within `latest_ns`.
pub fn storms(latest_ns: u64) {
    traps::set_kernel_event_handler(Some(on_event));
    let bound = hypercall::event_channel_op(&BindVirq {
        virq: Virq::TIMER,
        port: 0,
    });
    shared::set_port_mask(bound.expect("a port").port, false);
    let kinds: [(&str, extern "C" fn()); 3] = [
        ("wait", wait_and_ring),
        ("yield", yield_and_ring),
        ("ring on", ring),
    ];
    for (name, kind) in kinds {
        let (pair, worker) = (ringers(), Puppet::new(|_| ()));
        worker.set_word(0, 0);
        worker.start(compute);
        pair.iter().for_each(|puppet| puppet.start(kind));
        // What came before is not counted: their start.
        sleep_until(now_ns() + 100 * MS);
        let (begin, before, rung) = (now_ns(), used(worker), pair.map(|puppet| puppet.word(0)));
        let (mut latest, mut sum, mut count) = (0, 0, 0);
        let mut next = begin + SLEEP_NS;
        while next < begin + STORM_NS {
            let late = sleep_until(next);
            latest = late.max(latest);
            (sum, count) = (sum + late, count + 1);
            next = now_ns() + SLEEP_NS;
        }
        let share = (used(worker) - before) * 10_000 / (now_ns() - begin);
        let rings: u32 = pair
            .iter()
            .zip(rung)
            .map(|(puppet, before)| puppet.word(0) - before)
            .sum();
        println!(
            "two that {name}: {rings} events; who computes has {share} of 10000; late by {latest} ns at worst, {} on the mean of {count}",
            sum / count
        );
        // Under the round robin each waits for the end of a slice before it answers.
        check!(rings >= 100, "no storm: {rings} events");
        check!(
            share >= 3_000,
            "{share} of 10000 is less than nine tenths of a third"
        );
        check!(latest <= latest_ns, "an event {latest} ns late");
        for puppet in pair.into_iter().chain([worker]) {
            puppet.end();
        }
    }
}
