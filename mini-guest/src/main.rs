//! The mini-guest's kernel image.
#![no_std]
#![no_main]

use guest_abi::sched::ShutdownReason;
use guest_abi::start_info::{StartFlags, StartInfo};
use mini_guest::command_line::option;
use mini_guest::drivers::found::Devices;
use mini_guest::fs::Fs;
use mini_guest::kernel::Kernel;
use mini_guest::{hypercall, mm, println, report, traps};

mini_guest::entry!(main);

/// Where the first program is looked for.
const INIT: [&[u8]; 4] = [b"/init", b"/sbin/init", b"/bin/init", b"/bin/sh"];

fn main(start_info: &'static StartInfo) -> ! {
    report::set_broken_reason(ShutdownReason::CRASH);
    let version = hypercall::xen_version().unwrap_or(0);
    let role = if start_info.flags.contains(StartFlags::INITIAL_DOMAIN) {
        "Domain0"
    } else {
        "a domain"
    };
    println!(
        "mini-guest: version {} in ring 1 as {role}, interface {}.{}",
        env!("CARGO_PKG_VERSION"),
        version >> 16,
        version & 0xFFFF
    );
    let ramdisk = mm::init(start_info);
    let (free, total) = mm::frame_counts();
    println!(
        "mini-guest: {} KiB free of {} KiB, RAM disk of {} KiB",
        free * 4,
        total * 4,
        ramdisk.len() / 1024
    );
    if let Err(errno) = traps::arm_fast_syscall() {
        println!("mini-guest: no fast system calls: {errno}");
    }

    let is_initial = start_info.flags.contains(StartFlags::INITIAL_DOMAIN);
    let command_line = start_info.command_line();
    let mut devices = Devices::find(command_line);
    devices.add_ram_disks(mm::boot_modules(start_info));

    let fs = Fs::default();
    let found = fs.add_archive(ramdisk);
    if let Some(error) = found.error {
        println!("mini-guest: RAM disk: {error}; what came before is there");
    }
    if let Err(errno) = fs.add_standard() {
        println!("mini-guest: cannot make /dev and /proc: {errno}");
    }
    for (number, name, _) in devices.disks.iter() {
        if let Err(errno) = fs.add_disk(name, number) {
            println!("mini-guest: cannot make /dev/{name}: {errno}");
        }
    }
    if is_initial
        && let Err(errno) = fs
            .add_boot_modules(mm::boot_modules(start_info))
            .and_then(|()| fs.add_control())
    {
        println!("mini-guest: cannot make /boot and /dev/xen: {errno}");
    }
    let mut kernel = match Kernel::new(fs, command_line) {
        Ok(kernel) => kernel,
        Err(errno) => report::broken(format_args!("cannot start: {errno}")),
    };
    kernel.devices = devices;
    kernel.start_serial();
    if start_info.flags.contains(StartFlags::INITIAL_DOMAIN) {
        kernel.start_store();
        kernel.start_network();
    } else {
        kernel.start_card();
        kernel.start_fronts(start_info);
    }
    let chosen = option(command_line, b"init=");
    let failures = match chosen {
        Some(path) => kernel.run(&[path]),
        None => kernel.run(&INIT),
    };
    for (path, errno) in failures {
        println!("mini-guest: {}: {errno}", path.escape_ascii());
    }
    report::broken(format_args!(
        "no program to start; {} files in the RAM disk",
        found.added
    ))
}
