//! Buffers for received frames that are none.

use guest_abi::domain::DomId;
use guest_abi::grant_table::GrantFlags;
use guest_abi::io::netif::{NetStatus, TxRequest};
use test_guests::{guest_abi, println};

use crate::net::Net;

/// Each frame that meets such a buffer is lost, and no other.
pub fn buffers_that_are_none(net: &mut Net) {
    net.connect(0);
    let own = net.page.0.mfn();
    let access = GrantFlags::PERMIT_ACCESS;
    let zero = DomId::DOM0;
    let granted = [
        (zero, own, access | GrantFlags::READ_ONLY),
        (DomId::new(4711), own, access),
        (zero, guest_abi::addr::Mfn::new(0x100), access),
        (zero, net.front.page_table, access),
        (zero, own, GrantFlags::ACCEPT_TRANSFER),
    ]
    .map(|(to, frame, flags)| net.front.publish(to, frame, flags));
    let withdrawn = net.front.grant(own, false);
    net.front.end(withdrawn);
    let last = net.front.grant(net.vifs[0].tx.0.mfn(), true);
    let page = test_guests::frontend::Page::take();
    let good = net.front.grant(page.0.mfn(), false);
    let mut posted = granted.to_vec();
    posted.extend([withdrawn, 512, u32::MAX, last, good]);
    posted.iter().for_each(|gref| net.vifs[0].post(*gref));
    let count = posted.len() as u32;
    // The second interface sends so many, and others may send to everybody.
    net.write(net.vifs[0].mac, net.vifs[1].mac, 6);
    for _ in 0..count {
        let request = TxRequest {
            id: net.vifs[1].sent as u16,
            ..net.good()
        };
        net.vifs[1].put(request);
    }
    net.vifs[1].show(net.vifs[1].sent);
    let vif = &net.vifs[0];
    let all = net.front.wait(|_| vif.received() == count);
    net.front.expect(all, "all buffers come back", vif.received());
    for slot in 0..count {
        let status = vif.reception(slot).status;
        let is_so = if slot + 1 < count {
            status == NetStatus::ERROR.raw()
        } else {
            // Whoever's frame it was: from a header's length on.
            status >= 14
        };
        net.front.expect(is_so, "a buffer that is none", (slot, status));
    }
    net.counts.bad_grants += count - 1;
    net.leave();
    granted
        .iter()
        .chain(&[last, good])
        .for_each(|gref| net.front.end(*gref));
    println!("buffers that are none: done");
}
