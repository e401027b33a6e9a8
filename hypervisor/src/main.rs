//! The xenlite hypervisor: boot, wiring, trap routing.
//!
//! `hv-core` decides, `hv-arch` touches the machine; this binary connects the two. [`hv_main`] is the order of boot.
#![no_std]
#![no_main]

mod acpi;
mod boot;
mod clock;
mod console;
mod crash;
mod dom0;
mod end;
mod exit;
mod hypercalls;
mod inspect;
mod interrupts;
mod keys;
mod lock;
mod logging;
mod m2p;
mod machine;
mod memory;
mod pci;
mod report;
mod state;
mod timer;
mod trap_route;

use hv_arch::entry;
use hv_bootinfo::options::Options;
use hv_core::{regs::UserRegs, segment::SegmentLimits};

/// Where the boot section ends up: 64-bit, boot page tables, this CPU's stack, interrupts off.
#[unsafe(no_mangle)]
extern "sysv64" fn hv_main(magic: u32, info_address: u32, entered_at: u64) -> ! {
    clock::start(entered_at);
    logging::init();
    logging::set_clock(clock::now_ns);
    let info = boot::read_info(magic, u64::from(info_address));
    let options = Options::parse(info.cmd_line());
    boot::open_consoles(info, &options);
    report::configure(options.audits_on_shutdown);
    end::configure(options.exits_on_shutdown, options.is_reboot_forbidden);
    log::info!(
        "xenlite {} started by {}",
        env!("CARGO_PKG_VERSION"),
        info.loader()
    );

    let firmware = info.rsdp().and_then(|root| acpi::read(root, &boot::low_memory));

    let frames = boot::ram_frames(info);
    let limits = SegmentLimits::Truncate(m2p::window_end(frames));
    let mut memory = boot::carve(info);
    let modules = boot::lift_modules(info, &mut memory);
    let root = boot::map_everything(info, &mut memory);
    boot::attach_framebuffer(info, &options, root, &mut memory);
    boot::set_up_cpu(&mut memory, root, limits);
    interrupts::init();
    timer::init(firmware.as_ref(), root, &mut memory);
    clock::read_wall_clock(firmware.as_ref());
    end::find_ways(firmware.as_ref(), root, &mut memory);
    report::take_room(&mut memory);
    boot::set_up_memory(info, memory, frames, limits);
    boot::choose_policy(options.scheduler);
    boot::say_what_there_is(frames);

    let mut regs = UserRegs::ZERO;
    dom0::build(info, &modules, &options, &mut regs);
    interrupts::start_console();
    pci::look_for_devices();
    boot::say_what_it_took(info);
    // SAFETY: `dom0::build` filled the registers with checked values and activated the address space.
    unsafe { entry::enter_guest(&regs) }
}
