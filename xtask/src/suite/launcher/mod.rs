//! The launcher's own tests: real emulators, and a stand-in kernel of a few lines instead of the hypervisor.
//!
//! So the launcher is judged alone: arguments and modules by every way to boot, exit statuses, the console without a lost byte, time
//! limits, names in stack traces.

mod console;

use super::command_line::{Finished, Stdin, launch};
use super::{Outcome, Stop, Test, fixture};
use crate::boot_image::BootImage;
use crate::check;
use crate::cli::{Boot, Chipset};
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::status::{Ending, Verdict};
use crate::workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// The tests.
pub fn tests(launcher: &Path) -> Vec<Test> {
    let launcher: Arc<Path> = launcher.into();
    let cli = |name: &str, run: fn(&Path) -> Outcome| {
        let launcher = Arc::clone(&launcher);
        Test::new(format!("launcher::{name}"), move || run(&launcher))
    };
    let mut tests = vec![
        cli("statuses_follow_the_table", statuses),
        cli("bad_arguments_are_one_line_and_status_2", bad_arguments),
        cli("typed_input_arrives_whole", console::typed_input),
        cli("closed_input_ends_the_run", console::closed_input),
        cli("silent_input_is_waited_for", console::silent_input),
        cli("debugger_is_waited_for", debugger),
        cli("reboot_starts_the_machine_again", reboot),
        cli("stack_traces_get_names", stack_traces),
        cli("log_holds_what_the_console_shows", log_file),
        cli("leaving_key_leaves", console::leaving_key),
        cli("termination_takes_the_machine_along", console::termination),
    ];
    for (name, machine) in machines() {
        let test = format!("launcher::boots_{name}");
        tests.push(Test::new(test.clone(), move || boots(&test, &machine)));
    }
    tests
}

/// Each way to boot with each chipset it has.
fn machines() -> Vec<(&'static str, Machine)> {
    let qemu = Machine::qemu;
    let bochs = Machine::bochs();
    vec![
        ("direct_q35", qemu(Boot::Direct, Chipset::Q35)),
        ("direct_pc", qemu(Boot::Direct, Chipset::Pc)),
        ("bios_q35", qemu(Boot::Bios, Chipset::Q35)),
        ("bios_pc", qemu(Boot::Bios, Chipset::Pc)),
        ("uefi_q35", qemu(Boot::Uefi, Chipset::Q35)),
        ("uefi_pc", qemu(Boot::Uefi, Chipset::Pc)),
        (
            "without_serial_port",
            Machine {
                has_serial: false,
                ..Machine::default()
            },
        ),
        ("bochs", bochs),
    ]
}

/// The stand-in, compiled for this run.
fn stand_in() -> Result<PathBuf, Stop> {
    static COMPILED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let compile = || {
        let source = workspace::root().join("xtask/tests/stand-in/kernel.c");
        let out = workspace::scratch()
            .map_err(|error| error.to_string())?
            .join("stand-in");
        let output = Command::new("gcc")
            .args([
                "-m32",
                "-g",
                "-O1",
                "-ffreestanding",
                "-fno-pic",
                "-fno-stack-protector",
                "-nostdlib",
                "-static",
            ])
            .args([
                "-no-pie",
                "-Wl,--build-id=none,-Ttext-segment=0x100000,-z,norelro,-N,--no-warn-rwx-segments",
                "-o",
            ])
            .args([&out, &source])
            .output()
            .map_err(|error| format!("cannot run gcc: {error}"))?;
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(out)
        } else {
            Err(complaints)
        }
    };
    COMPILED.get_or_init(compile).clone().map_err(Stop::Fail)
}

/// Runs the launcher with the stand-in and a time limit.
fn run(launcher: &Path, append: &str, more: &[&str], stdin: Stdin) -> Result<Finished, Stop> {
    let kernel = stand_in()?;
    fixture::need(&fixture::tools_of(&Machine::default()))?;
    let kernel = kernel.to_string_lossy();
    let mut args = vec!["--hypervisor", &*kernel, "--dom0", "-", "--append", append];
    args.extend(more);
    if !more.contains(&"--timeout") {
        args.extend(["--timeout", "60"]);
    }
    launch(launcher, &args, stdin)
}

fn statuses(launcher: &Path) -> Outcome {
    let cases = [
        ("exit=0x10", 0),
        ("exit=0x11", 1),
        ("exit=0x12", 0),
        ("exit=0x13", 1),
        ("exit=0x14", 0),
        ("exit=0x15", 1),
        ("exit=0x20", 3),
        ("exit=0x77", 3),
        ("reset", 3),
    ];
    for (append, status) in cases {
        run(launcher, append, &[], Stdin::Text(b""))?.expect_status(status)?;
    }
    run(launcher, "hang", &["--timeout", "2"], Stdin::Text(b""))?.expect_status(124)?;
    Ok(())
}

fn bad_arguments(launcher: &Path) -> Outcome {
    let text = tempfile::NamedTempFile::new()?;
    std::fs::write(text.path(), "this is text")?;
    let text = text.path().to_string_lossy().into_owned();
    let cases: [(&[&str], &str); 11] = [
        (&["--no-such-option"], "--no-such-option"),
        (&["frobnicate"], "frobnicate"),
        (&["--mem", "much"], "much"),
        (&["--dom0", &text], "not an ELF file"),
        (&["--dom0", "/nonexistent"], "/nonexistent"),
        (&["--initrd", "/nonexistent"], "/nonexistent"),
        (&["--hypervisor", &text, "--dom0", "-"], "not an ELF file"),
        (&["--disk", "/nonexistent", "--dom0", "-"], "/nonexistent"),
        (&["--net", "8080"], "tcp:8080:80"),
        (&["--net", "--emulator", "bochs"], "--net"),
        (&["--log", "/nonexistent/log"], "/nonexistent/log"),
    ];
    for (args, word) in cases {
        let finished = launch(launcher, args, Stdin::Text(b""))?.expect_status(2)?;
        let line = finished.complaints.lines().next().unwrap_or("");
        check!(
            line.starts_with("error: ") && line.contains(word),
            "{args:?}: {}",
            finished.complaints
        );
    }
    // QEMU itself refuses a directory as a disk; its reason is passed on.
    let refused = run(launcher, "", &["--disk", "/dev"], Stdin::Text(b""))?.expect_status(2)?;
    check!(
        refused.complaints.contains("the emulator did not start: "),
        "{}",
        refused.complaints
    );
    Ok(())
}

/// The line to paste names a port where a debugger is answered, and nothing runs before it says so.
fn debugger(launcher: &Path) -> Outcome {
    let waiting = run(
        launcher,
        "exit=0x10",
        &["--gdb", "--timeout", "3"],
        Stdin::Text(b""),
    )?
    .expect_status(124)?;
    check!(waiting.output.is_empty(), "it ran: {}", waiting.output);
    let pasted = waiting
        .complaints
        .lines()
        .find_map(|line| line.split_once("waiting for: gdb "));
    check!(
        pasted.is_some_and(|(_, line)| line.contains("-ex 'target remote :")),
        "{}",
        waiting.complaints
    );
    Ok(())
}

fn reboot(launcher: &Path) -> Outcome {
    let again = run(launcher, "exit=0x16", &["--timeout", "5"], Stdin::Text(b""))?.expect_status(124)?;
    again.expect_output(&[
        "xenlite 0.0",
        "xenlite: exit 0x16",
        "xenlite 0.0",
        "xenlite: exit 0x16",
    ])?;
    run(launcher, "exit=0x16 noreboot", &[], Stdin::Text(b""))?.expect_status(0)?;
    Ok(())
}

fn stack_traces(launcher: &Path) -> Outcome {
    let finished = run(launcher, "trace exit=0x20", &[], Stdin::Text(b""))?.expect_status(3)?;
    finished.expect_output(&[
        "#0 0x",
        " print_hex (xtask/tests/stand-in/kernel.c:",
        "#1 0x",
        " kernel_main (",
    ])?;
    let kernel = stand_in()?;
    let plain = format!("  #0 {:#010x}", 0x10_0000);
    let symbolized = launch(
        launcher,
        &["symbolize", &kernel.to_string_lossy()],
        Stdin::Text(plain.as_bytes()),
    )?;
    symbolized.expect_status(0)?.expect_output(&[plain.as_str()])?;
    Ok(())
}

fn log_file(launcher: &Path) -> Outcome {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("log").to_string_lossy().into_owned();
    let shown = run(launcher, "exit=0x10", &["--log", &log], Stdin::Text(b""))?
        .expect_status(0)?
        .output;
    let written = std::fs::read_to_string(&log)?;
    check!(
        written == shown && written.contains("xenlite 0.0"),
        "shown: {shown}\nwritten: {written}"
    );
    Ok(())
}

/// The stand-in gets its arguments and modules, whatever boots it, and its verdict comes back.
fn boots(test: &str, machine: &Machine) -> Outcome {
    let dir = tempfile::tempdir()?;
    let small = dir.path().join("a file, with a comma");
    std::fs::write(&small, b"12345")?;
    let kernel = stand_in()?;
    let image = BootImage {
        hypervisor: kernel.clone(),
        append: "first second=a,b exit=0x12".into(),
        modules: vec![
            fixture::module("dom0", &kernel, "x=1,2 y"),
            fixture::module("initrd", &small, ""),
        ],
    };
    let record = fixture::boot(test, machine, &image, Keyboard::of_text(""), fixture::LIMIT)?;
    let seen = fixture::tail(&record.text);
    check!(
        record.ending == Ending::Verdict(Verdict::Success),
        "{}\n{seen}",
        record.ending
    );
    if machine.has_serial {
        // QEMU puts the name before the arguments, as multiboot1 has it; GRUB gives the arguments alone.
        let name = if machine.boot == Boot::Direct {
            ["dom0 ", "initrd"]
        } else {
            ["", ""]
        };
        let expected = [
            "arguments <first second=a,b exit=0x12>".to_string(),
            format!("<{}x=1,2 y>", name[0]),
            format!("module 0x00000005 <{}>", name[1]),
        ];
        for text in expected {
            check!(record.text.contains(&text), "no {text:?} in\n{seen}");
        }
    }
    Ok(())
}
