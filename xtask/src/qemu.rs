//! QEMU: its command line, and what its exit status means.
//!
//! The serial port is QEMU's standard input and output, and those are pipes to the launcher: QEMU's own escape key and
//! signals are off, and it reads the pipe only as the guest's UART has room, so nothing that is typed gets lost. Files
//! are named by short links in the machine's work directory: a multiboot command line begins with the file's name, and ends the
//! name at the first blank.

use crate::boot_image::BootImage;
use crate::cli::{Boot, Bus, Chipset, Disk};
use crate::image;
use crate::iso;
use crate::machine::{Machine, Monitor, Running};
use crate::status::{EXIT_PORT, Ending, Verdict};
use crate::tools::{self, Tool};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

/// Starts `machine` under QEMU.
///
/// # Errors
/// A missing tool, or an image that cannot be made.
pub fn start(machine: &Machine, image: &BootImage, work: &Path) -> Result<Running> {
    tools::require(&[Tool::Qemu])?;
    let mut command = Command::new(tools::qemu().context("no QEMU")?);
    hardware(&mut command, machine);
    for file in &machine.files {
        keep_open(&mut command, Arc::clone(file));
    }
    match machine.boot {
        Boot::Direct => direct(&mut command, image, work)?,
        Boot::Bios => cdrom(&mut command, image, work)?,
        Boot::Uefi => {
            firmware(&mut command, work)?;
            cdrom(&mut command, image, work)?;
        }
    }
    if machine.gdb {
        let port = free_port()?;
        command.args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
        let symbols = crate::workspace::display(&image.hypervisor);
        eprintln!("waiting for: gdb {symbols} -ex 'target remote :{port}'");
    }
    let monitor = if machine.monitor.is_empty() && machine.reactions.is_empty() {
        None
    } else {
        Some(Monitor::new(
            machine.monitor.clone(),
            machine.reactions.clone(),
            monitor(&mut command)?,
        ))
    };
    command
        .current_dir(work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    die_with_parent(&mut command);
    let mut child = command.spawn().context("cannot start QEMU")?;
    let output = child.stdout.take().expect("piped");
    let input = child.stdin.take().filter(|_| machine.has_serial);
    let complaints = child
        .stderr
        .take()
        .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    Ok(Running {
        child,
        output: Box::new(output),
        input: input.map(|pipe| Box::new(pipe) as Box<_>),
        complaints,
        monitor,
        interpret,
    })
}

/// The part of the command line that says what the machine is made of.
fn hardware(command: &mut Command, machine: &Machine) {
    let chipset = match machine.chipset {
        Chipset::Q35 => "q35",
        Chipset::Pc => "pc",
    };
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-vga",
            "std",
        ])
        .args(["-machine", chipset, "-accel", "tcg", "-cpu", "max"])
        .args([
            "-m",
            &format!("{}M", machine.mem_mib),
            "-smp",
            &machine.smp.to_string(),
        ])
        .args([
            "-device",
            &format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x04"),
        ]);
    for device in &machine.devices {
        command.args(["-device", device]);
    }
    if machine.has_serial {
        command.args([
            "-chardev",
            "stdio,id=console,signal=off,mux=off",
            "-serial",
            "chardev:console",
        ]);
    } else {
        command.args(["-serial", "none"]);
    }
    if let Some(file) = &machine.second_serial {
        command.args([
            "-serial",
            &format!("file:{}", doubled_commas(&file.display().to_string())),
        ]);
    }
    if machine.icount {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    command.args(&machine.arguments);
    disks(machine, command);
    command.args(crate::net::qemu_args(&machine.nets));
}

/// Attaches the disks. The q35 chipset has an AHCI controller with six ports, of which the third is the optical drive's; another one is
/// added to a pc.
fn disks(machine: &Machine, command: &mut Command) {
    let is_pc = machine.chipset == Chipset::Pc;
    if is_pc && machine.disks.iter().any(|disk| disk.bus == Bus::Ahci) {
        command.args(["-device", "ich9-ahci,id=ahci"]);
    }
    let mut ports = [0, 1, 3, 4, 5].into_iter();
    for (n, Disk { path, bus }) in machine.disks.iter().enumerate() {
        let (file, format) = (doubled_commas(&path.display().to_string()), disk_format(path));
        command.args([
            "-drive",
            &format!("if=none,id=disk{n},format={format},file={file}"),
        ]);
        let device = match bus {
            Bus::Virtio => format!("virtio-blk-pci,drive=disk{n}"),
            Bus::Ahci => {
                let name = if is_pc { "ahci" } else { "ide" };
                // QEMU says what is wrong with a port too many.
                let port = ports.next().unwrap_or(6);
                format!("ide-hd,drive=disk{n},bus={name}.{port}")
            }
        };
        command.args(["-device", &device]);
    }
}

/// Connects QEMU's monitor to the launcher, by a socket that has no name.
fn monitor(command: &mut Command) -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair().context("no line to the monitor")?;
    command.args([
        "-chardev",
        &format!("socket,id=monitor,fd={}", theirs.as_raw_fd()),
        "-mon",
        "chardev=monitor,mode=readline",
    ]);
    keep_open(command, theirs);
    Ok(ours)
}

/// Lets QEMU have an open file, by the number that it has here.
fn keep_open(command: &mut Command, file: impl AsFd + Send + Sync + 'static) {
    let keep_open = move || {
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
        Ok(())
    };
    // SAFETY: the closure makes one system call, allocates nothing and takes no lock, as code between fork and exec must.
    unsafe { command.pre_exec(keep_open) };
}

/// Direct boot: a 32-bit copy as the kernel, the modules in `-initrd`.
fn direct(command: &mut Command, image: &BootImage, work: &Path) -> Result<()> {
    let kernel = image::elf32(&image.hypervisor, work)?;
    let name = kernel.file_name().context("the kernel has a name")?;
    command.arg("-kernel").arg(name);
    if !image.append.is_empty() {
        command.arg("-append").arg(&image.append);
    }
    let mut modules = String::new();
    for module in &image.modules {
        let link = work.join(&module.name);
        symlink(std::path::absolute(&module.file)?, &link)
            .with_context(|| format!("cannot link {}", module.file.display()))?;
        let line = format!("{} {}", module.name, module.args);
        let comma = if modules.is_empty() { "" } else { "," };
        write!(modules, "{comma}{}", doubled_commas(line.trim_end()))?;
    }
    if !modules.is_empty() {
        command.arg("-initrd").arg(modules);
    }
    Ok(())
}

/// Boot by GRUB from an image.
fn cdrom(command: &mut Command, image: &BootImage, work: &Path) -> Result<()> {
    iso::make(image, iso::Menu::Immediate, &work.join("boot.iso"))?;
    command.args([
        "-drive",
        "if=ide,media=cdrom,readonly=on,format=raw,file=boot.iso",
        "-boot",
        "d",
    ]);
    Ok(())
}

/// UEFI firmware with a variable store of its own.
fn firmware(command: &mut Command, work: &Path) -> Result<()> {
    tools::require(&[Tool::Ovmf])?;
    let (code, vars) = tools::ovmf().context("no OVMF")?;
    std::fs::copy(&vars, work.join("vars.fd")).with_context(|| format!("cannot copy {}", vars.display()))?;
    let code = doubled_commas(&code.display().to_string());
    command
        .args([
            "-drive",
            &format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"),
        ])
        .args(["-drive", "if=pflash,unit=1,format=raw,file=vars.fd"]);
    Ok(())
}

/// In QEMU's option lists a comma that belongs to a value is written twice.
fn doubled_commas(text: &str) -> String {
    text.replace(',', ",,")
}

/// The format of a disk's file, by its magic number.
fn disk_format(disk: &Path) -> &'static str {
    let mut magic = [0; 4];
    let read = std::fs::File::open(disk).and_then(|mut file| file.read_exact(&mut magic));
    if read.is_ok() && &magic == b"QFI\xfb" {
        "qcow2"
    } else {
        "raw"
    }
}

/// The port that debuggers use by habit, or another one when it is taken.
fn free_port() -> Result<u16> {
    let listen = |port| std::net::TcpListener::bind(("127.0.0.1", port));
    let listener = listen(1234)
        .or_else(|_| listen(0))
        .context("no free port for the debugger")?;
    Ok(listener.local_addr()?.port())
}

/// Makes the emulator end with the launcher, however that ends.
pub fn die_with_parent(command: &mut Command) {
    let before_exec = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        Ok(())
    };
    // SAFETY: the closure makes one system call, allocates nothing and takes no lock, as code between fork and exec must.
    unsafe { command.pre_exec(before_exec) };
}

/// What QEMU's exit status means. It is 1 both for arguments that QEMU refuses and for nothing that the exit device can say.
fn interpret(status: ExitStatus, _announced: Option<Verdict>, complaints: &str) -> Ending {
    match status.code() {
        Some(0) => Ending::Reset,
        Some(1) => Ending::NotStarted(last_line(complaints)),
        Some(code) => Verdict::from_qemu(code).map_or_else(
            || Ending::Died(format!("status {code} {}", last_line(complaints))),
            Ending::Verdict,
        ),
        None => Ending::Died(format!(
            "signal {} {}",
            status.signal().unwrap_or(0),
            last_line(complaints)
        )),
    }
}

/// The last line of what the emulator complained about; it is the reason, the ones before are warnings.
fn last_line(complaints: &str) -> String {
    complaints
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("")
        .trim()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_of_values_are_doubled() {
        assert_eq!(doubled_commas("a,b"), "a,,b");
    }

    #[test]
    fn an_exit_status_is_told_apart_from_a_refusal() {
        let status = |code: i32| ExitStatus::from_raw(code << 8);
        assert_eq!(
            interpret(status(0x10 << 1 | 1), None, ""),
            Ending::Verdict(Verdict::PowerOff)
        );
        assert_eq!(interpret(status(0), None, ""), Ending::Reset);
        let refused = interpret(status(1), None, "qemu: warning: x\nqemu: no such machine\n");
        assert_eq!(refused, Ending::NotStarted("qemu: no such machine".into()));
        assert!(matches!(
            interpret(ExitStatus::from_raw(9), None, ""),
            Ending::Died(_)
        ));
    }

    #[test]
    fn disks_are_told_apart_by_their_magic_number() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("d");
        std::fs::write(&file, b"QFI\xfb....").unwrap();
        assert_eq!(disk_format(&file), "qcow2");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(disk_format(&file), "raw");
    }
}
