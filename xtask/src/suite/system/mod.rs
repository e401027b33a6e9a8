//! System tests: the whole of it, as a person uses it. Keys go in at the console, and what the screen shows is judged.

mod balloon;
mod cards;
mod consoles;
mod crowd;
mod deaths;
mod disks;
mod domains;
mod endings;
mod fair;
mod fair_disk;
mod fair_nets;
mod files;
mod given;
mod hostile;
mod keyboard;
mod keys;
mod launched;
mod nets;
mod programs;
mod screens;
mod session;
mod split;
mod stack;
mod store;
mod templates;
mod transfers;
mod watching;

use super::command_line::{Stdin, launch};
use super::{Outcome, Stop, Test, coverage, fixture};
use crate::boot_image::BootImage;
use crate::check;
use crate::cli::{Boot, Chipset};
use crate::console::Record;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::status::{Ending, Verdict};
use crate::{build, initrd, workspace};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tests.
pub fn tests(launcher: &Path) -> Vec<Test> {
    let needed = [build::MINI_GUEST, build::PROGRAMS, build::TEST_GUESTS];
    if let Some(missing) = needed.iter().find(|package| !package.exists()) {
        let reason = format!("the package `{}` is not in this tree", missing.name);
        return vec![Test::new("system::all", move || Err(Stop::Skip(reason)))];
    }
    let launcher: Arc<Path> = launcher.into();
    let mut tests = vec![
        Test::new("system::typed_commands_answer", {
            let launcher = Arc::clone(&launcher);
            move || typed_commands(&launcher)
        }),
        Test::new("system::end_of_input_powers_off", {
            let launcher = Arc::clone(&launcher);
            move || end_of_input(&launcher)
        }),
        Test::new("system::many_lines_arrive_whole", many_lines),
        Test::new("system::a_carriage_return_ends_a_line", carriage_return),
        Test::new("system::reboot_is_orderly", reboot),
        Test::new("system::c_program_from_a_users_initrd", programs::c_program),
        Test::new("system::busybox_unmodified", programs::busybox),
        Test::new("system::initrd_replaces_everything", programs::replaced_initrd),
        Test::new("system::a_foreign_kernel_is_refused", foreign_kernel),
        Test::new("system::boot_modules_are_files", boot_modules),
        Test::new("system::a_double_fault_is_reported", double_fault),
        Test::new("system::template_in_rust", templates::rust),
        Test::new("system::template_in_c", templates::c),
    ];
    tests.extend(domains::tests(&launcher));
    tests.extend(endings::tests());
    tests.extend(consoles::tests(&launcher));
    tests.extend(store::tests());
    tests.extend(balloon::tests());
    tests.extend(keys::tests(&launcher));
    tests.extend(keyboard::tests());
    tests.extend(screens::tests());
    tests.extend(watching::tests(&launcher));
    tests.extend(crowd::tests());
    tests.extend(disks::tests());
    tests.extend(stack::tests());
    tests.extend(nets::tests(&launcher));
    tests.extend(cards::tests());
    tests.extend(split::tests(&launcher));
    tests.extend(fair::tests());
    tests.extend(fair_disk::tests());
    tests.extend(fair_nets::tests());
    tests.extend(files::tests(&launcher));
    tests.extend(given::tests(&launcher));
    tests.extend(hostile::tests(&launcher));
    tests.extend(deaths::tests());
    for program in programs::CHECKERS {
        let name = format!("system::program_{program}");
        tests.push(Test::new(name.clone(), move || programs::checker(&name, program)));
    }
    for (name, machine, append) in machines() {
        let name = format!("system::boots_{name}");
        tests.push(Test::new(name.clone(), move || boots(&name, &machine, append)));
    }
    tests
}

/// Machines that Domain0 must come up on, with hypervisor arguments.
fn machines() -> Vec<(&'static str, Machine, &'static str)> {
    let qemu = Machine::qemu;
    let memory = |mem_mib| Machine {
        mem_mib,
        ..Machine::default()
    };
    let bochs = Machine::bochs();
    vec![
        ("direct_q35", qemu(Boot::Direct, Chipset::Q35), ""),
        ("direct_pc", qemu(Boot::Direct, Chipset::Pc), ""),
        ("bios_q35", qemu(Boot::Bios, Chipset::Q35), ""),
        ("bios_pc", qemu(Boot::Bios, Chipset::Pc), ""),
        ("uefi_q35", qemu(Boot::Uefi, Chipset::Q35), ""),
        ("uefi_pc", qemu(Boot::Uefi, Chipset::Pc), ""),
        ("bochs", bochs, ""),
        ("with_64_megabytes", memory(64), ""),
        ("with_6_gigabytes", memory(6144), ""),
        (
            "with_4_processors",
            Machine {
                smp: 4,
                ..Machine::default()
            },
            "",
        ),
        (
            "without_serial_port",
            Machine {
                has_serial: false,
                ..Machine::default()
            },
            "",
        ),
        ("console_on_the_screen", Machine::default(), "console=vga"),
        (
            "console_on_the_screen_uefi",
            qemu(Boot::Uefi, Chipset::Q35),
            "console=vga",
        ),
    ]
}

/// The hypervisor with the mini-guest as Domain0, which starts no other domains.
fn image(initrd: &Path, append: &str) -> Result<BootImage, Stop> {
    Ok(BootImage {
        hypervisor: fixture::hypervisor()?,
        append: format!("loglvl=debug {append}").trim().into(),
        modules: vec![
            fixture::module("dom0", &fixture::mini_guest()?, "autostart=no"),
            fixture::module("initrd", initrd, ""),
        ],
    })
}

/// Boots with an initial file system, types `keys`, and expects an orderly poweroff.
fn session(test: &str, initrd: &Path, keys: &str) -> Result<Record, Stop> {
    let image = image(initrd, "")?;
    let record = fixture::boot(
        test,
        &Machine::default(),
        &image,
        Keyboard::of_text(keys),
        fixture::LIMIT,
    )?;
    coverage::collect(&record.text);
    powered_off(&record)?;
    Ok(record)
}

fn powered_off(record: &Record) -> Outcome {
    ended(record, Verdict::PowerOff)
}

/// Checks how the machine ended.
fn ended(record: &Record, verdict: Verdict) -> Outcome {
    check!(
        record.ending == Ending::Verdict(verdict),
        "{}\n{}",
        record.ending,
        fixture::tail(&record.text)
    );
    Ok(())
}

/// Checks that the screen has each of `lines` as a line of its own, in this order: what was typed is echoed, but behind a prompt.
fn has_lines(record: &Record, lines: &[&str]) -> Outcome {
    let mut screen = record.text.lines().map(|line| line.trim_end_matches('\r'));
    for line in lines {
        check!(
            screen.any(|seen| seen == *line),
            "no line {line:?} in\n{}",
            fixture::tail(&record.text)
        );
    }
    Ok(())
}

/// What the loader brings beside Domain0's own is under `/boot`, by the names in the command lines.
fn boot_modules() -> Outcome {
    let test = "system::boot_modules_are_files";
    let dir = tempfile::tempdir()?;
    let long = dir.path().join("long");
    let text: String = (0..3000).map(|n| format!("{n}\n")).collect();
    std::fs::write(&long, &text)?;
    let short = dir.path().join("short");
    std::fs::write(&short, "brief")?;
    let mut image = image(&fixture::programs()?, "")?;
    for (file, args) in [
        (&long, "some/where/numbers first second"),
        (&short, "numbers"),
        (&short, ""),
    ] {
        let name = format!("module{}", image.modules.len());
        image.modules.push(fixture::module(&name, file, args));
    }
    let keys = "wc -c /boot/numbers\ncat /boot/numbers.args\ncat /boot/numbers.2; echo\ncat /boot/module4; echo\npoweroff\n";
    let record = fixture::boot(
        test,
        &Machine::default(),
        &image,
        Keyboard::of_text(keys),
        fixture::LIMIT,
    )?;
    powered_off(&record)?;
    let seen = record.text.contains(&text.len().to_string());
    check!(
        seen,
        "not {} bytes in\n{}",
        text.len(),
        fixture::tail(&record.text)
    );
    has_lines(&record, &["first second", "brief", "brief"])
}

/// Packs a directory for a machine.
fn packed(tree: &Path) -> Result<tempfile::NamedTempFile, Stop> {
    let file = tempfile::NamedTempFile::new()?;
    initrd::from_user(tree, file.path())?;
    Ok(file)
}

/// The README's example, through the command line.
fn typed_commands(launcher: &Path) -> Outcome {
    fixture::need(&fixture::tools_of(&Machine::default()))?;
    // Built before the time limit begins.
    fixture::hypervisor()?;
    fixture::mini_guest()?;
    fixture::programs()?;
    let keys = b"ls\nps\ncat /etc/motd\nfault\npoweroff\n";
    let motd = std::fs::read_to_string(workspace::root().join("programs/root/etc/motd"))?;
    let motd = motd.lines().next().unwrap_or("").to_string();
    let finished = launch(launcher, &["--timeout", "180"], Stdin::Text(keys))?;
    fixture::keep_log("system::typed_commands_answer", &finished.output)?;
    // `ls` shows the root, `ps` a process with its name, `cat` a file; `fault` dies many deaths and says so.
    finished.expect_status(0)?.expect_output(&[
        "bin",
        "etc",
        "/bin/init",
        &motd,
        "killed by SIGSEGV",
        ", 0 failed",
    ])?;
    Ok(())
}

/// Without a `poweroff`, and without any input, the end of the input powers off.
fn end_of_input(launcher: &Path) -> Outcome {
    fixture::need(&fixture::tools_of(&Machine::default()))?;
    fixture::hypervisor()?;
    fixture::mini_guest()?;
    fixture::programs()?;
    let args = ["run", "--timeout", "120"];
    launch(launcher, &args, Stdin::Text(b"echo one$?two"))?
        .expect_status(0)?
        .expect_output(&["one0two"])?;
    // A program that reads to the end takes one Ctrl-D; the shell gets its own.
    launch(launcher, &args, Stdin::Text(b"wc -l\na\nb\n"))?
        .expect_status(0)?
        .expect_output(&["2"])?;
    launch(launcher, &args, Stdin::Closed)?.expect_status(0)?;
    Ok(())
}

fn many_lines() -> Outcome {
    let numbers = 0..400;
    let keys: String = numbers.clone().map(|n| format!("echo line-$?-{n}\n")).collect();
    let record = session("system::many_lines_arrive_whole", &fixture::programs()?, &keys)?;
    let lines: Vec<String> = numbers.map(|n| format!("line-0-{n}")).collect();
    has_lines(&record, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Terminals send a carriage return for the Enter key.
fn carriage_return() -> Outcome {
    let keys = "echo a-$?\recho b-$?\rpoweroff\r";
    let record = session(
        "system::a_carriage_return_ends_a_line",
        &fixture::programs()?,
        keys,
    )?;
    has_lines(&record, &["a-0", "b-0"])
}

/// The debug key that runs off the stack: the report comes on the double fault's own stack, with the guard page's address
/// and names for the calls.
fn double_fault() -> Outcome {
    let image = image(&fixture::programs()?, "")?;
    let keyboard = Keyboard::of_text("\x01\x01\x01X");
    let name = "system::a_double_fault_is_reported";
    let record = fixture::boot(name, &Machine::default(), &image, keyboard, fixture::LIMIT)?;
    ended(&record, Verdict::Panic)?;
    let seen = fixture::tail(&record.text);
    for text in [
        "PANIC: #DF double fault in the hypervisor: error code 0x0",
        "overflow_stack",
        "serve (hypervisor/src/keys.rs",
    ] {
        check!(record.text.contains(text), "the report lacks {text:?}\n{seen}");
    }
    Ok(())
}

fn reboot() -> Outcome {
    let image = image(&fixture::programs()?, "")?;
    let keyboard = Keyboard::of_text("reboot\n");
    let name = "system::reboot_is_orderly";
    let record = fixture::boot(name, &Machine::default(), &image, keyboard, fixture::LIMIT)?;
    ended(&record, Verdict::Reboot)
}

/// A script in the initial file system needs nobody at the console, so this works without any input too.
fn boots(test: &str, machine: &Machine, append: &str) -> Outcome {
    let tree = fixture::copied_program_tree()?;
    std::fs::write(tree.path().join("etc/rc"), "uname\nfree\necho up-$?\npoweroff\n")?;
    let archive = packed(tree.path())?;
    let image = image(archive.path(), append)?;
    let record = fixture::boot(test, machine, &image, Keyboard::idle(), fixture::LIMIT * 2)?;
    powered_off(&record)?;
    if machine.has_serial && append.is_empty() {
        has_lines(&record, &["up-0"])?;
    }
    Ok(())
}

/// An ELF file that is no guest is refused with the reason, and that is no success.
fn foreign_kernel() -> Outcome {
    let hypervisor = fixture::hypervisor()?;
    let foreign: PathBuf = hypervisor.clone();
    let image = BootImage {
        hypervisor,
        append: String::new(),
        modules: vec![fixture::module("dom0", &foreign, "")],
    };
    let name = "system::a_foreign_kernel_is_refused";
    let record = fixture::boot(
        name,
        &Machine::default(),
        &image,
        Keyboard::idle(),
        fixture::LIMIT,
    )?;
    let seen = fixture::tail(&record.text);
    check!(
        record.ending.status() != crate::status::OK,
        "{}\n{seen}",
        record.ending
    );
    let reason = "kernel image is not a 32-bit ELF file";
    check!(record.text.contains(reason), "no {reason:?} in\n{seen}");
    Ok(())
}
