//! Which structures, numbers, flags and constants the header has.

use crate::emit::Header;
use guest_abi::*;

/// `structures!(out; A, B)`, `numbers!(out; "PREFIX" = Type, …)`, `flags!(…)`, `constants!(out; NAME = value, …)`.
macro_rules! structures {
    ($out:ident; $($Type:ty),+ $(,)?) => { $( $out.structure::<$Type>(); )+ };
}
macro_rules! numbers {
    ($out:ident; $($prefix:literal = $Type:ty),+ $(,)?) => {
        $( $out.numbers($prefix, <$Type>::ALL.iter().map(|(value, name)| (value.raw(), *name))); )+
    };
}
macro_rules! flags {
    ($out:ident; $($prefix:literal = $Type:ty),+ $(,)?) => { $( $out.flags::<$Type>($prefix); )+ };
}
macro_rules! constants {
    ($out:ident; $($name:ident = $value:expr),+ $(,)?) => { $( $out.constant(stringify!($name), $value); )+ };
}

/// `int 0x82` with up to five arguments, for GCC and Clang.
const CALL: &str = r#"
#if defined(__i386__) && defined(__GNUC__)
/* A call; an answer from -4095 to -1 is a negated XL_E number. The argument registers are lost, memory may change. */
static inline int32_t xl_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    __asm__ volatile("int $0x82"
                     : "+a"(number), "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e)
                     :
                     : "memory", "cc");
    return (int32_t)number;
}
#endif
"#;

/// Writes all of it.
pub fn describe(out: &mut Header) {
    calls(out);
    processor(out);
    memory(out);
    start(out);
    events(out);
    grants(out);
    devices(out);
    control(out);
    rings(out);
}

fn calls(out: &mut Header) {
    out.group("Calls", "");
    constants!(out; HYPERCALL_VECTOR = hypercall::HYPERCALL_VECTOR);
    numbers!(out; "CALL" = hypercall::CallNumber);
    out.numbers(
        "E",
        errno::Errno::ALL.map(|errno| (errno as u16, errno.name().trim_start_matches('E'))),
    );
    out.verbatim(CALL);

    out.group("Addresses and domains", "");
    constants!(out;
        PAGE_SHIFT = addr::PAGE_SHIFT,
        PAGE_SIZE = addr::PAGE_SIZE as u32,
        HV_START = addr::HV_START,
        INVALID_FRAME = addr::INVALID_FRAME,
        DOMID_SELF = domain::DomId::SELF.raw(),
        DOMID_IO = domain::DomId::IO.raw(),
        DOMID_XEN = domain::DomId::XEN.raw(),
    );
    structures!(out; addr::Mfn, addr::Pfn, addr::MachAddr, addr::GuestVirt, domain::DomId);

    out.group("multicall", "");
    constants!(out; MULTICALL_RESULT_ARG = multicall::RESULT_ARG as u32);
    structures!(out; multicall::MulticallEntry);

    out.group("sched_op, xen_version, vm_assist, console_io", "");
    numbers!(out; "SCHED" = sched::SchedCmd, "SHUTDOWN" = sched::ShutdownReason);
    out.numbers(
        "VERDICT",
        verdict::Verdict::ALL.map(|verdict| (verdict as u8, verdict.name())),
    );
    constants!(out; INTERFACE_VERSION = version::INTERFACE_VERSION, CONSOLE_MAX_WRITE = console::MAX_WRITE);
    numbers!(out;
        "VERSION" = version::VersionCmd,
        "ASSIST_CMD" = vm_assist::AssistCmd,
        "ASSIST" = vm_assist::AssistType,
        "CONSOLE" = console::ConsoleCmd,
    );
    flags!(out; "FEATURE" = version::Features);
    structures!(out; version::FeatureInfo);
}

fn processor(out: &mut Header) {
    out.group("Segments", "");
    constants!(out;
        FLAT_RING1_CS = segment::Selector::FLAT_RING1_CS.raw(),
        FLAT_RING1_DS = segment::Selector::FLAT_RING1_DS.raw(),
        FLAT_RING3_CS = segment::Selector::FLAT_RING3_CS.raw(),
        FLAT_RING3_DS = segment::Selector::FLAT_RING3_DS.raw(),
        MAX_GDT_ENTRIES = segment::MAX_GDT_ENTRIES,
        MAX_LDT_ENTRIES = segment::MAX_LDT_ENTRIES,
    );
    flags!(out; "DESC" = segment::DescriptorFlags);
    structures!(out; segment::Selector, segment::Descriptor);

    out.group("Traps", "");
    constants!(out; SYSCALL_VECTOR = trap::SYSCALL_VECTOR);
    numbers!(out; "VECTOR" = trap::Vector);
    flags!(out; "TRAP" = trap::TrapFlags, "PF" = trap::PageFaultCode);
    structures!(out;
        trap::TrapInfo,
        trap::IretFrame,
        trap::OuterWords,
        trap::PageFaultWords,
        trap::FailsafeWords,
    );

    out.group("Contexts", "");
    flags!(out; "CONTEXT" = vcpu::ContextFlags);
    structures!(out; vcpu::GuestRegs, vcpu::Callback, vcpu::CpuContext);
}

fn memory(out: &mut Header) {
    out.group("Page tables and memory", "");
    numbers!(out;
        "MMU" = mmu::Command,
        "MMUEXT" = mmu::ExtendedCommand,
        "MEMORY" = memory::MemoryCmd,
    );
    flags!(out; "PTE" = mmu::PteFlags, "UVMF" = mmu::UvmFlags);
    constants!(out; MAX_EXTENTS = memory::MAX_EXTENTS, MAX_ORDER = memory::MAX_ORDER);
    structures!(out; mmu::PteFlags, mmu::Pte, mmu::MmuUpdate);
}

fn start(out: &mut Header) {
    out.group("Start of day", "");
    constants!(out;
        CMD_LINE_BYTES = start_info::CMD_LINE_BYTES as u32,
        MODULE_LIST_MAGIC = module_list::MODULE_LIST_MAGIC,
        START_EFLAGS = start_info::START_EFLAGS,
    );
    numbers!(out; "NOTE" = elfnote::NoteType);
    flags!(out; "SIF" = start_info::StartFlags, "IMAGE" = elfnote::ImageFlags);
    structures!(out; start_info::StartInfo, module_list::ModuleListHeader, module_list::ModuleEntry);

    out.group("The shared page", "");
    constants!(out; EVENT_WORDS = shared_info::EVENT_WORDS as u32);
    structures!(out; shared_info::TimeRecord, shared_info::ArchSharedInfo, shared_info::SharedInfo);
}

fn events(out: &mut Header) {
    out.group("event_channel_op", "evtchn_");
    constants!(out;
        MAX_PORTS = event_channel::MAX_PORTS,
        MAX_PIRQS = event_channel::MAX_PIRQS,
        PIRQ_WILL_SHARE = event_channel::PIRQ_WILL_SHARE,
    );
    numbers!(out;
        "EVTCHN" = event_channel::EvtchnCmd,
        "VIRQ" = event_channel::Virq,
        "PORT" = event_channel::PortState,
    );
    structures!(out;
        event_channel::EvtchnOp,
        event_channel::AllocUnbound,
        event_channel::BindInterdomain,
        event_channel::BindVirq,
        event_channel::BindPirq,
        event_channel::Close,
        event_channel::Send,
        event_channel::Status,
    );
}

fn grants(out: &mut Header) {
    out.group("grant_table_op", "gnttab_");
    constants!(out;
        GRANTS_PER_FRAME = grant_table::ENTRIES_PER_FRAME,
        GRANTS_RESERVED = grant_table::RESERVED_ENTRIES,
    );
    numbers!(out; "GNTTAB" = grant_table::GrantCmd, "GNTST" = grant_table::GrantStatus);
    flags!(out;
        "GTF" = grant_table::GrantFlags,
        "GNTMAP" = grant_table::MapFlags,
        "GNTCOPY" = grant_table::CopyFlags,
    );
    structures!(out;
        grant_table::GrantEntry,
        grant_table::MapGrantRef,
        grant_table::UnmapGrantRef,
        grant_table::SetupTable,
        grant_table::Transfer,
        grant_table::CopyEnd,
        grant_table::GrantCopy,
        grant_table::QuerySize,
    );
}

fn devices(out: &mut Header) {
    out.group("physdev_op", "physdev_");
    constants!(out; IRQ_NEEDS_UNMASK_NOTIFY = physdev::IRQ_NEEDS_UNMASK_NOTIFY);
    numbers!(out; "PHYSDEV" = physdev::PhysdevCmd);
    structures!(out;
        physdev::PhysdevOp,
        physdev::PciConfigRead,
        physdev::PciConfigWrite,
        physdev::PciInitialiseDevice,
        physdev::PciProbeRootBuses,
        physdev::IrqUnmaskNotify,
        physdev::IrqStatusQuery,
    );
}

fn control(out: &mut Header) {
    out.group("dom0_op", "dom0_");
    constants!(out;
        DOM0_INTERFACE_VERSION = domctl::DOM0_INTERFACE_VERSION,
        READCONSOLE_CLEAR = domctl::READCONSOLE_CLEAR,
    );
    numbers!(out;
        "DOM0" = domctl::Dom0Cmd,
        "PERSONALITY" = domctl::Personality,
        "PERFC" = domctl::PerfcOp,
        "CRASH" = domctl::CrashCode,
        "SCHED_ID" = domctl::SchedId,
        "SCHED_DIRECTION" = domctl::Direction,
    );
    flags!(out; "DOMF" = domctl::DomainFlags);
    structures!(out;
        domctl::Dom0Op,
        domctl::CreateDomain,
        domctl::DestroyDomain,
        domctl::PauseDomain,
        domctl::UnpauseDomain,
        domctl::BuildDomain,
        domctl::SetContext,
        domctl::GetDomainInfo,
        domctl::SetDomainVmAssist,
        domctl::GetMemList,
        domctl::SetDomainInitialMem,
        domctl::SetDomainMaxMem,
        domctl::GetPageFrameInfo,
        domctl::GetPageFrameInfo2,
        domctl::SchedCtl,
        domctl::AdjustDom,
        domctl::GetSchedId,
        domctl::PinCpuDomain,
        domctl::Msr,
        domctl::SetTime,
        domctl::ReadConsole,
        domctl::GetTbufs,
        domctl::PhysInfo,
        domctl::AddMemType,
        domctl::DelMemType,
        domctl::ReadMemType,
        domctl::PerfcControl,
        domctl::PerfcDesc,
        domctl::PciDevAccess,
        domctl::PciDevHolder,
        domctl::IoPortPermission,
        domctl::IoMemPermission,
        domctl::IrqPermission,
        domctl::GetCrash,
    );
}

fn rings(out: &mut Header) {
    out.group("Rings", "");
    structures!(out; io::ring::RingIndices, io::console::ConsoleRing);

    out.group("Block device rings", "blkif_");
    constants!(out; BLKIF_MAX_SEGMENTS = io::blkif::MAX_SEGMENTS as u32);
    numbers!(out; "BLKIF_OP" = io::blkif::BlkOp, "BLKIF_STATUS" = io::blkif::BlkStatus);
    structures!(out;
        io::blkif::Segment,
        io::blkif::Request32,
        io::blkif::Request64,
        io::blkif::Indirect32,
        io::blkif::Indirect64,
        io::blkif::Response32,
        io::blkif::Response64,
    );

    out.group("Network device rings", "netif_");
    numbers!(out; "NETIF_STATUS" = io::netif::NetStatus);
    flags!(out; "NETTXF" = io::netif::TxFlags, "NETRXF" = io::netif::RxFlags);
    structures!(out;
        io::netif::TxRequest,
        io::netif::ExtraInfo,
        io::netif::TxResponse,
        io::netif::RxRequest,
        io::netif::RxResponse,
    );

    out.group("The store", "xs_");
    numbers!(out; "XENBUS" = io::xenbus::XenbusState, "XS" = io::xenstore::MessageKind);
    structures!(out; io::xenstore::StoreRing, io::xenstore::MessageHeader);
}
