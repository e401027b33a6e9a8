//! System tests: the whole of it, as a person uses it. Keys go in at the console, and what the screen shows is judged.

use super::command_line::{Stdin, launch};
use super::{Outcome, Stop, Test, fixture};
use crate::boot_image::BootImage;
use crate::check;
use crate::cli::{Boot, Chipset, Emulator};
use crate::console::Record;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::status::{Ending, Verdict};
use crate::tools::{self, Tool};
use crate::{build, initrd, workspace};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Programs that check promises of the kernel by themselves; each ends with status 0 only if all were kept.
const CHECKERS: [&str; 8] = ["fault", "cow", "spin", "tls", "fpu", "pipe", "signal", "stress"];

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
        Test::new("system::end_of_input_powers_off", move || end_of_input(&launcher)),
        Test::new("system::many_lines_arrive_whole", many_lines),
        Test::new("system::a_carriage_return_ends_a_line", carriage_return),
        Test::new("system::reboot_is_orderly", reboot),
        Test::new("system::c_program_from_a_users_initrd", c_program),
        Test::new("system::busybox_unmodified", busybox),
        Test::new("system::initrd_replaces_everything", replaced_initrd),
        Test::new("system::a_foreign_kernel_is_refused", foreign_kernel),
    ];
    for program in CHECKERS {
        let name = format!("system::program_{program}");
        tests.push(Test::new(name.clone(), move || checker(&name, program)));
    }
    for (name, machine, append) in machines() {
        let name = format!("system::boots_{name}");
        tests.push(Test::new(name.clone(), move || boots(&name, &machine, append)));
    }
    tests
}

/// Machines that Domain0 must come up on, with hypervisor arguments.
fn machines() -> Vec<(&'static str, Machine, &'static str)> {
    let qemu = |boot, chipset| Machine {
        boot,
        chipset,
        ..Machine::default()
    };
    let memory = |mem_mib| Machine {
        mem_mib,
        ..Machine::default()
    };
    let bochs = Machine {
        emulator: Emulator::Bochs,
        boot: Boot::Bios,
        chipset: Chipset::Pc,
        ..Machine::default()
    };
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

/// The hypervisor with the mini-guest as Domain0.
fn image(initrd: &Path, append: &str) -> Result<BootImage, Stop> {
    Ok(BootImage {
        hypervisor: fixture::hypervisor()?,
        append: append.into(),
        modules: vec![
            fixture::module("dom0", &fixture::mini_guest()?, ""),
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
    powered_off(&record)?;
    Ok(record)
}

fn powered_off(record: &Record) -> Outcome {
    let seen = fixture::tail(&record.text);
    check!(
        record.ending == Ending::Verdict(Verdict::PowerOff),
        "{}\n{seen}",
        record.ending
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

fn reboot() -> Outcome {
    let image = image(&fixture::programs()?, "")?;
    let keyboard = Keyboard::of_text("reboot\n");
    let name = "system::reboot_is_orderly";
    let record = fixture::boot(name, &Machine::default(), &image, keyboard, fixture::LIMIT)?;
    let seen = fixture::tail(&record.text);
    check!(
        record.ending == Ending::Verdict(Verdict::Reboot),
        "{}\n{seen}",
        record.ending
    );
    Ok(())
}

fn checker(test: &str, program: &str) -> Outcome {
    let keys = format!("{program}; echo status $?\npoweroff\n");
    let record = session(test, &fixture::programs()?, &keys)?;
    has_lines(&record, &["status 0"])
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

/// Compiles `source` to a static 32-bit program.
fn compile_c(source: &str, to: &Path) -> Outcome {
    fixture::need(&[Tool::Gcc32])?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("program.c");
    std::fs::write(&file, source)?;
    let output = Command::new("gcc")
        .args(["-m32", "-static", "-O1", "-o"])
        .args([to, &file])
        .output()?;
    check!(
        output.status.success(),
        "gcc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A program that the repository does not contain, with the C library of the host: its system calls are Linux's.
fn c_program() -> Outcome {
    const SOURCE: &str = r#"
        #include <errno.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/wait.h>
        #include <unistd.h>

        static __thread int per_thread = 40;

        int main(int argc, char **argv) {
            char text[64] = "";
            char *large = malloc(3 << 20);
            FILE *file = fopen("/data/text", "r");
            int status = 0;
            if (!large || !file || !fgets(text, sizeof text, file)) return 1;
            memset(large, argc, 3 << 20);
            pid_t child = fork();
            if (child == 0) { large[0] = 9; _exit(large[0] + per_thread); }
            if (waitpid(child, &status, 0) != child) return 2;
            per_thread += large[3 << 19];
            printf("%s %s %d %d %s\n", argv[1], strtok(text, "\n"), WEXITSTATUS(status), per_thread, getenv("HOME"));
            errno = 0;
            if (fopen("/nowhere", "r") || errno != ENOENT) return 3;
            printf("%.3f\n", 1.0 / argc + strtod("0.25", 0));
            return 5;
        }
    "#;
    let tree = fixture::copied_program_tree()?;
    std::fs::create_dir(tree.path().join("data"))?;
    std::fs::write(tree.path().join("data/text"), "from the initrd\n")?;
    compile_c(SOURCE, &tree.path().join("bin/foreign"))?;
    let archive = packed(tree.path())?;
    let keys = "foreign word; echo status $?\npoweroff\n";
    let record = session("system::c_program_from_a_users_initrd", archive.path(), keys)?;
    has_lines(&record, &["word from the initrd 49 42 /", "0.750", "status 5"])
}

/// Debian's busybox for i386, as it is: its shell is process 1, its applets do the rest.
fn busybox() -> Outcome {
    fixture::need(&[Tool::Busybox])?;
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    for dir in ["bin", "dev", "etc", "proc", "tmp"] {
        std::fs::create_dir(root.join(dir))?;
    }
    std::fs::copy(tools::busybox(), root.join("bin/busybox"))?;
    std::fs::set_permissions(root.join("bin/busybox"), std::fs::Permissions::from_mode(0o755))?;
    for applet in ["sh", "ls", "cat", "ps", "echo", "wc", "poweroff", "sort", "grep"] {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    std::fs::write(root.join("etc/motd"), "zebra\nant\nbee\n")?;
    let archive = packed(root)?;
    let keys = "ls /\ncat /etc/motd\nps\nsort /etc/motd | grep -v bee | wc -l\nx=$((6*7)); echo answer-$x\npoweroff -f\n";
    let record = session("system::busybox_unmodified", archive.path(), keys)?;
    has_lines(&record, &["zebra", "2", "answer-42"])?;
    for text in ["bin", "PID", "ps"] {
        check!(
            record.text.contains(text),
            "no {text:?} in\n{}",
            fixture::tail(&record.text)
        );
    }
    Ok(())
}

/// The user's tree is all there is: modes and links are its own, and nothing of the default tree remains.
fn replaced_initrd() -> Outcome {
    let defaults = fixture::copied_program_tree()?;
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    std::fs::create_dir(root.join("bin"))?;
    for program in ["sh", "init", "echo", "cat", "poweroff"] {
        std::fs::copy(
            defaults.path().join("bin").join(program),
            root.join("bin").join(program),
        )?;
    }
    std::fs::write(root.join("only-this"), "mine alone\n")?;
    symlink("only-this", root.join("alias"))?;
    std::fs::write(root.join("closed"), "not a program\n")?;
    std::fs::set_permissions(root.join("closed"), std::fs::Permissions::from_mode(0o644))?;
    let archive = packed(root)?;
    let keys =
        "cat /alias\n/closed; echo closed $?\ncow; echo cow $?\ncat /etc/motd; echo motd $?\npoweroff\n";
    let record = session("system::initrd_replaces_everything", archive.path(), keys)?;
    has_lines(&record, &["mine alone", "closed 126", "cow 127", "motd 1"])
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
