//! Event channels by `/dev/xen/evtchn`.

use alloc::vec::Vec;

use guest_abi::domain::DomId;
use guest_abi::event_channel::Virq;

use crate::abi::O_RDWR;
use crate::errno::Result;
use crate::file::{File, read_some};
use crate::sys;

/// The device.
pub const PATH: &[u8] = b"/dev/xen/evtchn";

const BIND_VIRQ: u32 = 0x0004_4500;
const BIND_INTERDOMAIN: u32 = 0x0008_4501;
const BIND_UNBOUND: u32 = 0x0004_4502;
const UNBIND: u32 = 0x0004_4503;
const NOTIFY: u32 = 0x0004_4504;

/// Ports that close with this.
pub struct Evtchn {
    file: File,
}

impl Evtchn {
    /// Opens the device, without ports.
    ///
    /// # Errors
    /// ENOENT: this is no privileged domain.
    pub fn open() -> Result<Self> {
        File::open_with(PATH, O_RDWR).map(|file| Self { file })
    }

    /// The descriptor, for `poll`.
    #[must_use]
    pub fn descriptor(&self) -> i32 {
        self.file.descriptor()
    }

    fn request<const N: usize>(&self, number: u32, mut block: [u32; N]) -> Result<u32> {
        // SAFETY: the requests above read as many words as their callers give.
        unsafe { sys::ioctl(self.descriptor(), number, &mut block) }
    }

    /// Receives a virtual interrupt; gives its port. Others may receive the same one.
    ///
    /// # Errors
    /// EBUSY: one that the kernel keeps for itself.
    pub fn bind_virq(&self, virq: Virq) -> Result<u32> {
        self.request(BIND_VIRQ, [virq.raw()])
    }

    /// Connects a new port with `remote` of `domain`; gives it.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn bind_interdomain(&self, domain: DomId, remote: u32) -> Result<u32> {
        self.request(BIND_INTERDOMAIN, [domain.raw().into(), remote])
    }

    /// A new port that `domain` may connect to.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn alloc_unbound(&self, domain: DomId) -> Result<u32> {
        self.request(BIND_UNBOUND, [domain.raw().into()])
    }

    /// Gives a port back.
    ///
    /// # Errors
    /// EINVAL: not one of these.
    pub fn unbind(&self, port: u32) -> Result<()> {
        self.request(UNBIND, [port]).map(drop)
    }

    /// Raises the other end of a port.
    ///
    /// # Errors
    /// EINVAL: not one of these, or not connected.
    pub fn notify(&self, port: u32) -> Result<()> {
        self.request(NOTIFY, [port]).map(drop)
    }

    /// Waits until ports have fired, and gives them. Each fires again only after [`Evtchn::unmask`].
    ///
    /// # Errors
    /// EINTR.
    pub fn wait(&self) -> Result<Vec<u32>> {
        let mut bytes = [0; 64];
        let count = read_some(self.descriptor(), &mut bytes)?;
        let words = bytes[..count].chunks_exact(4);
        Ok(words
            .map(|word| word.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
            .collect())
    }

    /// Lets a port fire again.
    ///
    /// # Errors
    /// None is known.
    pub fn unmask(&self, port: u32) -> Result<()> {
        sys::write(self.descriptor(), &port.to_le_bytes()).map(drop)
    }
}
