//! `/dev/xen/evtchn`: event channels for programs, with the requests of Linux's driver of the same name.
//!
//! Source: Linux, `evtchn.h`.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use guest_abi::domain::DomId;
use guest_abi::event_channel::Virq;

use crate::events;
use crate::evtchn::{EventPorts, MAX_PORTS};
use crate::fs::OpenFile;
use crate::kernel::{Kernel, SysResult};
use crate::linux::{Errno, word};
use crate::process::WaitFor;

/// A virtual interrupt: 4 bytes.
const BIND_VIRQ: u32 = 0x0004_4500;
/// A port of another domain: its number and the port, 8 bytes.
const BIND_INTERDOMAIN: u32 = 0x0008_4501;
/// A port that a domain may connect to: 4 bytes.
const BIND_UNBOUND: u32 = 0x0004_4502;
/// A port is given back: 4 bytes.
const UNBIND: u32 = 0x0004_4503;
/// The other end is raised: 4 bytes.
const NOTIFY: u32 = 0x0004_4504;
/// What has fired is forgotten.
const RESET: u32 = 0x0000_4505;

impl Kernel {
    pub(super) fn evtchn_request(&mut self, ports: &Rc<EventPorts>, number: u32, arg: u32) -> SysResult {
        let hypervisors = Errno::from_hypervisor;
        let is_known = |port| {
            if ports.has(port) {
                Ok(port)
            } else {
                Err(Errno::EINVAL)
            }
        };
        if matches!(number, BIND_VIRQ | BIND_INTERDOMAIN | BIND_UNBOUND) && !ports.has_room() {
            return Err(Errno::ENOSPC.into());
        }
        match number {
            BIND_VIRQ => {
                let virq = Virq::new(u32::from_le_bytes(self.copy_in(arg)?));
                if [Virq::MISDIRECT, Virq::TIMER, Virq::CONSOLE].contains(&virq) {
                    // The kernel's own.
                    return Err(Errno::EBUSY.into());
                }
                let port = events::bind_virq(virq).map_err(hypervisors)?;
                ports.add(port, true);
                Ok(port)
            }
            BIND_INTERDOMAIN => {
                let block = self.copy_in::<8>(arg)?;
                let (port, _) = events::bind_interdomain(domain(word(&block, 0))?, word(&block, 4))
                    .map_err(hypervisors)?;
                ports.add(port, false);
                Ok(port)
            }
            BIND_UNBOUND => {
                let peer = domain(u32::from_le_bytes(self.copy_in(arg)?))?;
                let port = events::alloc_unbound(peer).map_err(hypervisors)?;
                ports.add(port, false);
                Ok(port)
            }
            UNBIND => {
                let port = is_known(u32::from_le_bytes(self.copy_in(arg)?))?;
                ports.remove(port);
                self.release_port(port);
                Ok(0)
            }
            NOTIFY => {
                let port = is_known(u32::from_le_bytes(self.copy_in(arg)?))?;
                events::notify(port).map_err(hypervisors)?;
                Ok(0)
            }
            RESET => {
                ports.reset();
                Ok(0)
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    /// Opens the device anew: without ports.
    pub(super) fn open_evtchn(&mut self) -> Rc<EventPorts> {
        let ports = Rc::<EventPorts>::default();
        self.event_files.push(ports.clone());
        ports
    }

    pub(super) fn read_events(
        &mut self,
        file: &Rc<OpenFile>,
        ports: &EventPorts,
        (to, len): (u32, u32),
        is_first: bool,
    ) -> SysResult {
        if len < 4 {
            return Err(Errno::EINVAL.into());
        }
        self.process().memory().borrow_mut().prepare_out(to, len)?;
        let fired = ports.take(len as usize / 4);
        if fired.is_empty() {
            return self.wait_unless_nonblocking(file, WaitFor::EVENT, is_first);
        }
        let bytes: Vec<u8> = fired.iter().flat_map(|port| port.to_le_bytes()).collect();
        self.copy_out(to, &bytes)?;
        Ok(bytes.len() as u32)
    }

    /// The program has dealt with these ports: they may fire again.
    pub(super) fn unmask_events(&mut self, ports: &EventPorts, from: u32, len: u32) -> SysResult {
        if !len.is_multiple_of(4) || len as usize > MAX_PORTS * 4 {
            return Err(Errno::EINVAL.into());
        }
        let mut bytes = vec![0; len as usize];
        self.process().memory().borrow_mut().copy_in(from, &mut bytes)?;
        let numbers = bytes.chunks_exact(4).map(|bytes| word(bytes, 0));
        numbers
            .filter(|port| ports.can_unmask(*port))
            .for_each(events::unmask_port);
        Ok(len)
    }
}

fn domain(number: u32) -> Result<DomId, Errno> {
    DomId::from_register(number).ok_or(Errno::ESRCH)
}
