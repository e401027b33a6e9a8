//! What Domain0 itself does while the others play.

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::event_channel::{BindInterdomain, Close, Send};
use guest_abi::grant_table::{GrantFlags, GrantStatus, MapFlags};
use guest_abi::mmu::{Pte, UvmFlags};
use test_guests::grants::{map, map_record, unmap, unmap_record};
use test_guests::pages::WRITABLE;
use test_guests::small_domain::{pause, unpause};
use test_guests::{check_eq, guest_abi, hypercall};

use super::{Game, OURS, PUPPETS, REFERENCES};

impl Game {
    /// Something of our own.
    pub fn act(&mut self) {
        let n = self.random.below(PUPPETS as u32) as usize;
        let (puppet, domain) = (self.puppets[n], DomId::new(self.domain()));
        let (port, peer) = (self.random.below(12), self.random.below(12));
        let reference = self.random.below(REFERENCES);
        match self.random.below(10) {
            0 => {
                let _ = pause(puppet.id);
            }
            1 | 2 => {
                for puppet in self.puppets {
                    let _ = unpause(puppet.id);
                }
            }
            3 => {
                let page = self.random.pick(&self.pages);
                let flags = self.random.pick(&[
                    GrantFlags::PERMIT_ACCESS,
                    GrantFlags::PERMIT_ACCESS | GrantFlags::READ_ONLY,
                    GrantFlags::empty(),
                ]);
                self.table.publish(reference, puppet.id, page.mfn(), flags);
            }
            4 | 5 => self.map_one(domain, reference),
            6 => {
                let bind = BindInterdomain {
                    dom1: domain,
                    dom2: puppet.id,
                    port1: port,
                    port2: peer,
                };
                let _ = hypercall::event_channel_op(&bind);
            }
            7 => {
                let _ = hypercall::event_channel_op(&Send { local_port: port });
            }
            8 => {
                let close = Close {
                    dom: domain,
                    pad: 0,
                    port,
                };
                let _ = hypercall::event_channel_op(&close);
            }
            _ => {
                // A frame of somebody's, as the domain that may map any.
                let frame = Mfn::new(self.frame(n));
                let at = GuestVirt::new(self.window.0);
                // SAFETY: the window is nobody else's.
                let _ = unsafe {
                    hypercall::update_va_mapping_otherdomain(
                        at,
                        Pte::new(frame, WRITABLE),
                        UvmFlags::INVLPG,
                        puppet.id,
                    )
                };
            }
        }
    }

    /// Maps a grant of `domain`'s in a view, or unmaps what is there.
    fn map_one(&mut self, domain: DomId, reference: u32) {
        let view = self.random.below(OURS as u32) as usize;
        let at = self.views[view].0;
        if let Some(handle) = self.held[view].take() {
            check_eq!(unmap(unmap_record(handle, at)), GrantStatus::OKAY);
            return;
        }
        let flags = self
            .random
            .pick(&[MapFlags::HOST_MAP, MapFlags::HOST_MAP | MapFlags::READ_ONLY]);
        let done = map(map_record(domain, reference, at, flags));
        if done.status == GrantStatus::OKAY {
            self.tally.mapped += 1;
            self.held[view] = Some(done.handle);
        }
    }
}
