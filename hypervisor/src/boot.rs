//! From the boot loader's word to a machine in order: what is there, address space, CPU tables, memory.

use crate::{clock, console, logging, m2p, machine, memory::BootMemory, state};
use arrayvec::ArrayVec;
use core::ptr::NonNull;
use guest_abi::addr::Mfn;
use hv_arch::{
    apic,
    boot::{MULTIBOOT1, MULTIBOOT2},
    cpu,
    framebuffer::{Cells, Channel, Layout},
    gdt, idt, machine_check,
    paging::{self, Access, AddressSpace, Root, direct},
    percpu, tss, vga,
};
use hv_bootinfo::{
    BootInfo,
    framebuffer::{ColourField, FramebufferKind},
    frames::Carver,
    info::{MAX_MODULES, Module},
    memory_map::RegionKind,
    options::Options,
    range::PhysRange,
};
use hv_core::{
    mm::{
        FrameInfo, FrameTable, Mm,
        pte::{DeniedIo, EntryRules},
    },
    sched::policy::ChosenPolicy,
    segment::{SegmentLimits, reserved},
    trap::IdtErrorForm,
};
use multiboot2::{BootInformation, BootInformationHeader};

static INFO: spin::Mutex<BootInfo> = spin::Mutex::new(BootInfo::new());

/// Reads what the loader left at `at`.
///
/// # Panics
/// Where it cannot be used; the message says what is wrong.
pub fn read_info(magic: u32, at: u64) -> &'static BootInfo {
    let info = spin::MutexGuard::leak(INFO.lock());
    let (start, end) = paging::image_range();
    let image = PhysRange::new(start, end);
    let result = match magic {
        MULTIBOOT1 => info.read_multiboot1(at, &low_memory, image),
        MULTIBOOT2 => {
            // SAFETY: the loader says that a multiboot2 block lies there; it is below 4 GiB, hence mapped, and
            // nothing has been written to memory yet.
            let block = unsafe { BootInformation::load(direct(at).cast::<BootInformationHeader>()) };
            match block {
                Ok(block) => info.read_multiboot2(&block, at, image),
                Err(e) => panic!("the boot loader's multiboot2 information is damaged: {e:?}"),
            }
        }
        other => panic!("not started by a multiboot loader (magic {other:#x})"),
    };
    if let Err(e) = result {
        panic!("cannot use what the boot loader handed over: {e}");
    }
    info
}

/// Physical memory below 4 GiB, as the boot page tables show it.
pub fn low_memory(at: u64, len: usize) -> Option<&'static [u8]> {
    let end = at.checked_add(len as u64)?;
    if at == 0 || end > crate::memory::MAPPED_AT_BOOT {
        return None;
    }
    // SAFETY: mapped by the boot tables; nothing is written there before the information has been copied.
    Some(unsafe { core::slice::from_raw_parts(direct(at), len) })
}

/// Opens the consoles that the command line asks for and applies its log levels.
pub fn open_consoles(info: &BootInfo, options: &Options<'_>) {
    use hv_arch::uart::ComPort;
    logging::set_levels(options.log_level, options.guest_log_level);
    if options.consoles.com1 {
        console::attach_serial(ComPort::Com1, console::DEFAULT_BAUD);
    }
    if options.consoles.com2 {
        console::attach_serial(ComPort::Com2, console::DEFAULT_BAUD);
    }
    if options.consoles.screen {
        attach_screen(info);
    }
    for warning in info.warnings() {
        log::warn!("{warning}");
    }
    for warning in &options.warnings {
        log::warn!("{warning}");
    }
}

/// Has the scheduler follow the policy that the command line names.
pub fn choose_policy(name: Option<&str>) {
    let mut hv = state::lock();
    match name.map(ChosenPolicy::by_name) {
        Some(Some(policy)) => hv.sched.policy = policy,
        Some(None) => log::warn!(
            "sched={}: no such scheduler; there are {:?}",
            name.unwrap_or_default(),
            ChosenPolicy::NAMES
        ),
        None => {}
    }
    log::info!("scheduler: {}", hv.sched.policy.name());
}

/// Memory that is taken before anything is allocated: the image and the modules.
pub fn carve(info: &'static BootInfo) -> BootMemory<'static> {
    let mut carver = Carver::new(info.memory());
    let (start, end) = paging::image_range();
    let pieces = info
        .modules()
        .iter()
        .map(|m| m.range)
        .chain([PhysRange::new(start, end)]);
    for piece in pieces {
        if let Err(e) = carver.reserve(piece) {
            panic!("cannot boot here: {e}");
        }
    }
    BootMemory(carver)
}

/// Builds the final address space and activates it.
pub fn map_everything(info: &BootInfo, memory: &mut BootMemory<'_>) -> Root {
    let root = Root::new(memory);
    root.map_image(memory);
    let has_1g = cpu::has_1g_pages();
    for ram in info.memory().ram() {
        let (start, end) = (ram.start & !0xFFF, ram.end & !0xFFF);
        root.map(
            memory,
            paging::DIRECT_MAP + start,
            start,
            end - start,
            Access::ReadWrite,
            has_1g,
        );
    }
    // The screen in text mode keeps its place in the direct map.
    let screen = 0xB_8000;
    root.map(
        memory,
        paging::DIRECT_MAP + screen,
        screen,
        0x8000,
        Access::Device,
        false,
    );
    // SAFETY: image, stack and direct map are in it.
    unsafe { root.activate() };
    root
}

/// Puts the CPU's own tables and control registers in order, and makes the address space that domains run in.
pub fn set_up_cpu(memory: &mut BootMemory<'_>, root: Root, limits: SegmentLimits) {
    cpu::set_control_registers(cpu::has_umip());
    let space = AddressSpace::new(memory, root);
    // SAFETY: no guest tables hang in it yet.
    unsafe { space.activate() };
    machine::set_address_space(space);
    percpu::set_upcall_flags(None);
    gdt::init(&reserved::entries(limits), tss::init());
    gdt::load();
    idt::init();
    machine_check::init();
}

/// Sets the frame table up: who owns which frame, and what is free.
pub fn set_up_memory(info: &BootInfo, mut memory: BootMemory<'_>, frames: u32, limits: SegmentLimits) {
    let m2p = m2p::build(&mut memory, frames);
    let (table, _) = memory.take_array::<FrameInfo>(frames as usize);
    for i in 0..frames as usize {
        // SAFETY: the array has just been taken and is that long.
        unsafe { table.wrapping_add(i).write(FrameInfo::new()) };
    }
    // SAFETY: initialised just now, never given back, and from here on reached through this slice only.
    let table = FrameTable::new(unsafe { core::slice::from_raw_parts(table, frames as usize) });
    let ram_end = info
        .memory()
        .ram()
        .map(|ram| ram.end.div_ceil(4096))
        .max()
        .unwrap_or(0);
    let rules = EntryRules::new(
        ram_end.max(u64::from(frames)),
        cpu::physical_address_bits(),
        true,
        denied_io(),
    );

    let mut hv = state::lock();
    hv.segment_limits = limits;
    let (vector, code) = idt::error_code_form();
    hv.idt_error_form = IdtErrorForm::measured(vector, code)
        .unwrap_or_else(|| panic!("`int {vector:#x}` without a gate gives error code {code:#x}"));
    hv.mm = Mm::new(table, rules, m2p.window);
    let ram: u64 = info.memory().ram().map(|ram| ram.end - ram.start).sum();
    hv.mm.ram_frames = u32::try_from(ram / 4096).unwrap_or(u32::MAX);
    for region in info
        .memory()
        .regions()
        .iter()
        .filter(|r| r.kind != RegionKind::Ram)
    {
        let first = (region.range.start / 4096).min(u64::from(frames));
        let end = region.range.end.div_ceil(4096).min(u64::from(frames));
        table.reserve_for_io(Mfn::new(first as u32)..Mfn::new(end as u32));
    }
    // The first MiB: the BIOS's tables and the screen, but for the RAM that the loader needs no more by now.
    for n in (0..0x100.min(frames)).filter(|&n| !is_free_low_frame(info, n)) {
        table.reserve_for_io(Mfn::new(n)..Mfn::new(n + 1));
    }
    for n in (0..0x100.min(frames)).filter(|&n| is_free_low_frame(info, n)) {
        hv.mm.allocator.add(table, Mfn::new(n)..Mfn::new(n + 1));
    }
    table.show_read_only(m2p.frames);
    for free in memory.0.free() {
        hv.mm.allocator.add(table, free.start..free.end);
    }
}

/// Whether frame `n` of the first MiB is RAM that can be given out once the loader's information has been copied. The BIOS may
/// still use the first 64 KiB, whatever the map says.
fn is_free_low_frame(info: &BootInfo, n: u32) -> bool {
    const BIOS_FRAMES: u32 = 16;
    let frame = u64::from(n) * 4096;
    let is_ram = |ram: PhysRange| ram.start <= frame && frame + 4096 <= ram.end;
    n >= BIOS_FRAMES && info.memory().ram().any(is_ram)
}

/// Number of frames up to the end of RAM that guests may have.
pub fn ram_frames(info: &BootInfo) -> u32 {
    u32::try_from(info.memory().guest_ram_end() / 4096).expect("RAM beyond 64 GiB is left out")
}

/// I/O frames that no domain may map. The local APIC's registers would let a guest reset the machine's CPU; those of an
/// I/O APIC would let it raise any vector, exceptions included, whose frame then is not what the gate's code expects.
fn denied_io() -> DeniedIo {
    const LOCAL_APIC: u64 = 0xFEE0_0000 >> 12;
    /// Where I/O APICs are, by convention (ICH data sheets: 0xFEC0_0000, in steps of 4 KiB).
    const IO_APICS: u64 = 0xFEC0_0000 >> 12;
    let mut denied: DeniedIo = [(IO_APICS, IO_APICS + 16), (LOCAL_APIC, LOCAL_APIC + 1)]
        .into_iter()
        .collect();
    if let Some(apic::Found::Memory(moved)) = apic::detect()
        && moved >> 12 != LOCAL_APIC
    {
        denied.push((moved >> 12, (moved >> 12) + 1));
    }
    denied
}

/// One line on what was found.
pub fn say_what_there_is(frames: u32) {
    let hv = state::lock();
    let free = hv.mm.allocator.free_frames();
    log::info!(
        "{} MiB of memory up to {:#x}, {} MiB free",
        frames / 256,
        u64::from(frames) * 4096,
        free / 256
    );
}

/// One line on what the boot cost, just before Domain0's first instruction.
pub fn say_what_it_took(info: &BootInfo) {
    let hv = state::lock();
    let ram: u64 = info.memory().ram().map(|ram| ram.end - ram.start).sum();
    let given = hv
        .domains
        .iter()
        .flatten()
        .map(|domain| domain.total_pages)
        .sum::<u32>();
    let not_kept = u64::from(hv.mm.allocator.free_frames() + given) * 4096;
    log::info!(
        "Domain0 starts after {} ticks; {} bytes of memory kept",
        clock::ticks(),
        ram.saturating_sub(not_kept)
    );
}

/// The screen, while it shows text: a graphics mode waits until device memory can be mapped.
fn attach_screen(info: &BootInfo) {
    match info.framebuffer().map(|screen| screen.kind) {
        Some(FramebufferKind::Text) => attach_text_mode(true),
        Some(_) => {}
        None => attach_text_mode(false),
    }
}

/// Makes the screen in text mode an output, where it `is_certain` that there is one or the adapter's registers show
/// one.
pub fn attach_text_mode(is_certain: bool) {
    let Some(cells) = NonNull::new(direct(vga::TEXT_BASE).cast::<u16>()) else {
        return;
    };
    // SAFETY: the boot tables map the first 4 GiB; the final ones map the screen again.
    if is_certain || unsafe { vga::VgaText::is_present(cells) } {
        // SAFETY: as above; the console is its one user.
        unsafe { console::attach_vga(cells) }
    }
}

/// The screen in a graphics mode, once device memory can be mapped.
pub fn attach_framebuffer(info: &BootInfo, options: &Options<'_>, root: Root, memory: &mut BootMemory<'_>) {
    let Some(screen) = info.framebuffer().filter(|_| options.consoles.screen) else {
        return;
    };
    let FramebufferKind::DirectColour { red, green, blue } = screen.kind else {
        return;
    };
    let channel = |field: ColourField| Channel {
        position: field.position,
        size: field.size,
    };
    let layout = Layout {
        width: screen.width,
        height: screen.height,
        pitch: screen.pitch,
        depth: screen.bits,
        channels: [red, green, blue].map(channel),
    };
    let Some(bytes) = layout.bytes() else { return };
    let base = paging::map_physical(root, memory, screen.addr, bytes as u64, Access::WriteThrough);
    if let Some(base) = NonNull::new(base) {
        let (cells, _) = memory.take_array::<Cells>(1);
        // SAFETY: frames taken just now, for good.
        unsafe { cells.write_bytes(0, 1) };
        // SAFETY: initialised just now, and reached by this reference only.
        let cells = unsafe { &mut *cells };
        // SAFETY: mapped just now, for good and so long.
        unsafe { console::attach_framebuffer(base, screen.addr, layout, cells) };
    }
}

/// The boot modules, those in the first MiB copied out of it: its RAM is given out later.
pub fn lift_modules(info: &BootInfo, memory: &mut BootMemory<'_>) -> ArrayVec<Module, MAX_MODULES> {
    let lift = |module: &Module| {
        let mut module = *module;
        if module.is_low() {
            let len = module.range.end - module.range.start;
            let room = memory.take(u32::try_from(len.div_ceil(4096)).expect("less than a MiB"));
            let start = room.start.addr().raw();
            // SAFETY: the module lies below 1 MiB, the fresh frames above; both are mapped by the boot tables.
            unsafe { direct(start).copy_from_nonoverlapping(direct(module.range.start), len as usize) };
            module.range = PhysRange::new(start, start + len);
        }
        module
    };
    info.modules().iter().map(lift).collect()
}
