//! Domain0's kernel and the hypervisor, as far as the builder meets them, with memory that is a map. It judges: frames
//! must be unmapped when tables are pinned, machine-to-phys entries set, steps in their order. And it refuses the n-th
//! call on demand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::domctl::{
    AdjustDom, CreateDomain, DestroyDomain, Direction, Dom0Cmd, Dom0Op, GetDomainInfo, PhysInfo,
    SetDomainMaxMem, SetDomainVmAssist,
};
use guest_abi::mmu::{Command, Extended, MmuUpdate};
use guest_abi::vcpu::CpuContext;

use crate::errno::{Errno, Result};
use crate::privileged::{Access, Plain, Privileged, Window};

/// A kernel file made to order.
#[path = "../../../guest-image/tests/common/mod.rs"]
pub mod image;

/// The frame of every domain's shared_info.
pub const SHARED_INFO: u32 = 0x77;
/// Ports of consoles.
pub const PORT: u32 = 9;
/// Other ports.
pub const STORE_PORT: u32 = 10;
/// Frames of the machine.
pub const TOTAL: u32 = 16_384;

type Memory = Rc<RefCell<BTreeMap<u32, Vec<u8>>>>;

/// A domain.
#[derive(Clone, Default)]
pub struct Domain {
    /// Its frames in its own order.
    pub frames: Vec<u32>,
    /// Machine-to-phys entries that were set.
    pub numbers: BTreeMap<u32, u32>,
    /// The frame that is pinned.
    pub pinned: Option<u32>,
    /// The context it starts with.
    pub context: Option<CpuContext>,
    /// Its console: ring, name, shown.
    pub console: Option<(u32, String, bool)>,
    /// Its ring of the store: frame, port.
    pub store: Option<(u32, u32)>,
    /// Its limit in KiB, where one was set.
    pub limit_kib: Option<u64>,
    /// Its advance of virtual time.
    pub advance: u32,
    /// Writable page tables were switched on.
    pub assisted: bool,
}

/// What there is.
pub struct State {
    /// The domains.
    pub domains: BTreeMap<u16, Domain>,
    /// The scheduler has weights.
    pub has_weights: bool,
    /// Calls made so far.
    pub calls: u32,
    /// The call that is refused, counted from 1, and how.
    pub refuse: Option<(u32, Errno)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            domains: BTreeMap::new(),
            has_weights: true,
            calls: 0,
            refuse: None,
        }
    }
}

/// The mock.
#[derive(Default)]
pub struct Mock {
    /// What there is.
    pub state: RefCell<State>,
    memory: Memory,
}

/// Mapped frames.
pub struct Pages {
    memory: Memory,
    frames: Vec<u32>,
    access: Access,
}

impl Mock {
    /// Counts a call, and refuses it if it is to be.
    fn count(&self) -> Result<()> {
        let mut state = self.state.borrow_mut();
        state.calls += 1;
        match state.refuse {
            Some((call, errno)) if call == state.calls => Err(errno),
            _ => Ok(()),
        }
    }

    /// How many mappings there are.
    pub fn mappings(&self) -> usize {
        Rc::strong_count(&self.memory) - 1
    }

    fn with<R>(&self, domain: DomId, work: impl FnOnce(&mut Domain) -> R) -> Result<R> {
        let mut state = self.state.borrow_mut();
        state.domains.get_mut(&domain.raw()).map(work).ok_or(Errno::ESRCH)
    }

    fn perform(&self, op: &mut Dom0Op) -> Result<()> {
        match op.cmd {
            Dom0Cmd::CREATEDOMAIN => {
                let mut args: CreateDomain = op.args();
                let mut state = self.state.borrow_mut();
                let taken: usize = state.domains.values().map(|domain| domain.frames.len()).sum();
                let wanted = (args.memory_kb / 4) as u32;
                if wanted > TOTAL - taken as u32 {
                    return Err(Errno::ENOMEM);
                }
                let id = (1..).find(|id| !state.domains.contains_key(id)).unwrap();
                // Neighbours in the domain are none in the machine.
                let frames = (0..wanted).map(|n| u32::from(id) << 20 | (wanted - n)).collect();
                let domain = Domain {
                    frames,
                    advance: 10,
                    ..Domain::default()
                };
                state.domains.insert(id, domain);
                args.domain = DomId::new(id);
                op.set_args(&args);
                Ok(())
            }
            Dom0Cmd::DESTROYDOMAIN => {
                let args: DestroyDomain = op.args();
                let gone = self.state.borrow_mut().domains.remove(&args.domain.raw());
                // Frames that are still mapped would stay with the dead domain.
                let rings = gone
                    .as_ref()
                    .map(|gone| (gone.console.is_some(), gone.store.is_some()));
                let in_use = (self.mappings(), rings.unwrap_or_default());
                assert_eq!(in_use, (0, (false, false)), "its frames are in use here");
                gone.map(drop).ok_or(Errno::ESRCH)
            }
            Dom0Cmd::PHYSINFO => {
                let state = self.state.borrow();
                let taken: usize = state.domains.values().map(|domain| domain.frames.len()).sum();
                let info = PhysInfo {
                    total_pages: TOTAL,
                    free_pages: TOTAL - taken as u32,
                    ..PhysInfo::default()
                };
                op.set_args(&info);
                Ok(())
            }
            Dom0Cmd::SETDOMAINMAXMEM => {
                let args: SetDomainMaxMem = op.args();
                self.with(args.domain, |domain| domain.limit_kib = Some(args.max_memkb))
            }
            Dom0Cmd::SETDOMAINVMASSIST => {
                let args: SetDomainVmAssist = op.args();
                self.with(args.domain, |domain| domain.assisted = true)
            }
            Dom0Cmd::ADJUSTDOM => {
                let mut args: AdjustDom = op.args();
                if !self.state.borrow().has_weights {
                    return Err(Errno::EINVAL);
                }
                if args.direction == Direction::PUT {
                    return self.with(args.domain, |domain| domain.advance = args.mcu_advance);
                }
                args.mcu_advance = self.with(args.domain, |domain| domain.advance)?;
                op.set_args(&args);
                Ok(())
            }
            _ => Err(Errno::ENOSYS),
        }
    }
}

impl Privileged for Mock {
    type Window = Pages;

    fn control<A: Plain>(&self, args: &A) -> Result<A> {
        self.count()?;
        let mut op = Dom0Op::new(args);
        self.perform(&mut op)?;
        Ok(op.args())
    }

    fn info(&self, first: DomId) -> Result<GetDomainInfo> {
        self.count()?;
        Ok(GetDomainInfo {
            domain: first,
            tot_pages: self.with(first, |domain| domain.frames.len() as u32)?,
            shared_info_frame: Mfn::new(SHARED_INFO),
            ..GetDomainInfo::default()
        })
    }

    fn memory_list(&self, domain: DomId, count: u32) -> Result<Vec<Mfn>> {
        self.count()?;
        self.with(domain, |domain| {
            domain
                .frames
                .iter()
                .take(count as usize)
                .map(|frame| Mfn::new(*frame))
                .collect()
        })
    }

    fn mmu_update(&self, requests: &[MmuUpdate]) -> Result<()> {
        self.count()?;
        assert!(requests.len() <= 0xFFFF, "more than a call takes");
        let owner = match requests[0].as_extended() {
            Ok(Extended::SetForeignDom { domain }) => domain,
            other => panic!("whose frames? {other:?}"),
        };
        let mappings = self.mappings();
        self.with(owner, |domain| {
            for request in &requests[1..] {
                let frame = (request.address().raw() >> 12) as u32;
                assert!(
                    domain.frames.contains(&frame),
                    "frame {frame:#x} is not the domain's"
                );
                if request.command() == Command::MACHPHYS_UPDATE {
                    domain.numbers.insert(frame, request.val as u32);
                } else {
                    assert!(matches!(
                        request.as_extended(),
                        Ok(Extended::Pin { level: 3, .. })
                    ));
                    assert_eq!(mappings, 0, "a table would be writable here");
                    domain.pinned = Some(frame);
                }
            }
        })
    }

    fn set_first_context(&self, domain: DomId, context: &CpuContext) -> Result<()> {
        self.count()?;
        self.with(domain, |domain| {
            assert!(
                domain
                    .pinned
                    .is_some_and(|frame| u64::from(frame) << 12 == context.pt_base.raw())
            );
            domain.context = Some(*context);
        })
    }

    fn context(&self, domain: DomId) -> Result<(GetDomainInfo, CpuContext)> {
        self.count()?;
        let context = self.with(domain, |domain| domain.context)?.ok_or(Errno::EINVAL)?;
        Ok((GetDomainInfo::default(), context))
    }

    fn map(&self, domain: DomId, frames: &[Mfn], access: Access) -> Result<Pages> {
        self.count()?;
        let frames: Vec<u32> = frames.iter().map(|frame| frame.raw()).collect();
        let is_owner = self.with(domain, |domain| {
            frames.iter().all(|frame| domain.frames.contains(frame))
        })?;
        if !is_owner {
            return Err(Errno::EINVAL);
        }
        Ok(Pages {
            memory: Rc::clone(&self.memory),
            frames,
            access,
        })
    }

    fn attach_console(&self, domain: DomId, ring: Mfn, name: &str, show: bool) -> Result<u32> {
        self.count()?;
        self.with(domain, |domain| {
            domain.console = Some((ring.raw(), name.into(), show))
        })?;
        Ok(PORT)
    }

    fn detach_console(&self, domain: DomId) -> Result<()> {
        self.count()?;
        self.with(domain, |domain| domain.console = None)
    }

    fn new_port(&self, domain: DomId) -> Result<u32> {
        self.count()?;
        self.with(domain, |_| STORE_PORT)
    }

    fn introduce(&self, domain: DomId, ring: Mfn, port: u32) -> Result<()> {
        self.count()?;
        self.with(domain, |domain| domain.store = Some((ring.raw(), port)))
    }

    fn release(&self, domain: DomId) -> Result<()> {
        self.with(domain, |domain| domain.store = None)
    }
}

impl Pages {
    fn at(&self, at: usize, len: usize) -> (u32, usize) {
        assert!(at % 4096 + len <= 4096, "not within one frame");
        (self.frames[at / 4096], at % 4096)
    }
}

impl Window for Pages {
    fn read(&self, at: usize, bytes: &mut [u8]) {
        let (frame, offset) = self.at(at, bytes.len());
        match self.memory.borrow().get(&frame) {
            Some(page) => bytes.copy_from_slice(&page[offset..offset + bytes.len()]),
            None => bytes.fill(0),
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        assert_eq!(self.access, Access::ReadWrite, "a fault");
        let (frame, offset) = self.at(at, bytes.len());
        let mut memory = self.memory.borrow_mut();
        let page = memory.entry(frame).or_insert_with(|| vec![0; 4096]);
        page[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn zero(&mut self, at: usize, len: usize) {
        self.write(at, &vec![0; len]);
    }
}
