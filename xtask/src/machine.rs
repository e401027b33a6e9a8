//! A machine to boot, whatever the emulator; and a machine that runs.

use crate::boot_image::BootImage;
use crate::cli::{Boot, Chipset, Disk, Emulator, RunArgs};
use crate::net::{MAX_CARDS, Net};
use crate::status::{Ending, Verdict};
use anyhow::{Result, ensure};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;

/// A machine: its hardware and what it boots.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What runs it.
    pub emulator: Emulator,
    /// Its chipset.
    pub chipset: Chipset,
    /// How it boots.
    pub boot: Boot,
    /// Its memory in megabytes.
    pub mem_mib: u64,
    /// Its processors.
    pub smp: u32,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Its network cards.
    pub nets: Vec<Net>,
    /// Whether it has a serial port.
    pub has_serial: bool,
    /// Whether its time-stamp counter counts instructions.
    pub icount: bool,
    /// Whether it waits for a debugger.
    pub gdb: bool,
    /// What the machine's own software may ask of QEMU's monitor: see [`Monitor`].
    pub monitor: Vec<String>,
    /// What QEMU's monitor is asked when the console first has a line with a text: the text, and the command.
    pub reactions: Vec<(String, String)>,
    /// Devices of QEMU beside the usual ones.
    pub devices: Vec<String>,
    /// Further arguments of QEMU.
    pub arguments: Vec<String>,
    /// Open files that QEMU has, too, by the numbers that they have here.
    pub files: Vec<Arc<OwnedFd>>,
    /// The file that a second serial port's output goes to; without it there is no such port.
    pub second_serial: Option<PathBuf>,
}

impl Machine {
    /// QEMU's, otherwise as is usual.
    pub fn qemu(boot: Boot, chipset: Chipset) -> Self {
        Self {
            boot,
            chipset,
            ..Self::default()
        }
    }

    /// Bochs's: it has one chipset, and its firmware is a BIOS.
    pub fn bochs() -> Self {
        Self {
            emulator: Emulator::Bochs,
            ..Self::qemu(Boot::Bios, Chipset::Pc)
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            emulator: Emulator::Qemu,
            chipset: Chipset::Q35,
            boot: Boot::Direct,
            mem_mib: 512,
            smp: 1,
            disks: Vec::new(),
            nets: Vec::new(),
            has_serial: true,
            icount: false,
            gdb: false,
            monitor: Vec::new(),
            reactions: Vec::new(),
            devices: Vec::new(),
            arguments: Vec::new(),
            files: Vec::new(),
            second_serial: None,
        }
    }
}

impl Machine {
    /// The machine that the options describe.
    ///
    /// # Errors
    /// A combination that the emulator does not have; a disk that is not there.
    pub fn from_args(args: &RunArgs) -> Result<Self> {
        let is_bochs = args.emulator == Emulator::Bochs;
        if is_bochs {
            ensure!(
                matches!(args.boot, None | Some(Boot::Bios)),
                "Bochs boots by BIOS only"
            );
            ensure!(
                matches!(args.machine, None | Some(Chipset::Pc)),
                "Bochs has the pc chipset only"
            );
            ensure!(!args.icount && !args.gdb, "--icount and --gdb are QEMU's");
            ensure!(
                args.net.is_empty(),
                "--net is QEMU's: leave out --emulator bochs, or --net"
            );
            ensure!(args.serial.is_none(), "--serial is QEMU's");
            ensure!(args.smp == 1, "Debian's Bochs has one processor");
        }
        let mut disks = Vec::new();
        for disk in &args.disk {
            ensure!(disk.path.exists(), "disk {}: no such file", disk.path.display());
            // The emulator runs in another directory.
            disks.push(Disk {
                path: std::path::absolute(&disk.path)?,
                bus: disk.bus,
            });
        }
        ensure!(
            args.net.len() <= MAX_CARDS,
            "--net: a machine has up to {MAX_CARDS} cards"
        );
        let mut nets = args.net.clone();
        for net in &nets {
            net.check_forwards()?;
        }
        for file in nets.iter_mut().filter_map(|net| net.pcap.as_mut()) {
            *file = std::path::absolute(&file)?;
        }
        Ok(Self {
            emulator: args.emulator,
            chipset: args
                .machine
                .unwrap_or(if is_bochs { Chipset::Pc } else { Chipset::Q35 }),
            boot: args
                .boot
                .unwrap_or(if is_bochs { Boot::Bios } else { Boot::Direct }),
            mem_mib: args.mem,
            smp: args.smp,
            disks,
            nets,
            has_serial: true,
            icount: args.icount,
            gdb: args.gdb,
            monitor: Vec::new(),
            reactions: Vec::new(),
            devices: Vec::new(),
            arguments: Vec::new(),
            files: Vec::new(),
            second_serial: args.serial.as_ref().map(std::path::absolute).transpose()?,
        })
    }

    /// Starts the machine with `work` as the directory of its files.
    ///
    /// # Errors
    /// A missing tool, or an image that cannot be made.
    pub fn start(&self, image: &BootImage, work: &Path) -> Result<Running> {
        match self.emulator {
            Emulator::Qemu => crate::qemu::start(self, image, work),
            Emulator::Bochs => crate::bochs::start(self, image, work),
        }
    }
}

/// A machine that runs.
pub struct Running {
    /// The emulator.
    pub child: Child,
    /// Where the serial console is read.
    pub output: Box<dyn Read + Send>,
    /// Where the serial console is typed into; without it nothing can be typed.
    pub input: Option<Box<dyn Write + Send>>,
    /// The emulator's own complaints.
    pub complaints: Option<Box<dyn Read + Send>>,
    /// The emulator's monitor.
    pub monitor: Option<Monitor>,
    /// What the emulator's exit status and its last lines mean.
    pub interpret: fn(ExitStatus, announced: Option<Verdict>, complaints: &str) -> Ending,
}

/// The emulator's monitor, for tests of what only hardware can do. A line `monitor: COMMAND` on the console has the
/// command given, if it is one of those that the machine was described with; other lines may have a command of their own.
pub struct Monitor {
    commands: Vec<String>,
    reactions: Vec<(String, String)>,
    input: Box<dyn Write + Send>,
}

impl Monitor {
    /// The monitor that reads `input`, what may be asked of it, and what it is asked behind which texts.
    pub fn new(
        commands: Vec<String>,
        reactions: Vec<(String, String)>,
        input: impl Write + Send + 'static,
    ) -> Self {
        Self {
            commands,
            reactions,
            input: Box::new(input),
        }
    }

    /// Looks at a line of the console.
    pub fn hear(&mut self, line: &str) {
        if let Some((_, asked)) = line.split_once("monitor: ")
            && self.commands.iter().any(|command| command == asked.trim())
        {
            self.ask(asked.trim());
        }
        let due: Vec<_> = self
            .reactions
            .extract_if(.., |(text, _)| line.contains(text.as_str()))
            .collect();
        for (_, command) in due {
            self.ask(&command);
        }
    }

    /// Gives the monitor a command.
    pub fn ask(&mut self, command: &str) {
        // A monitor that is gone went with its machine.
        let _ = writeln!(self.input, "{command}").and_then(|()| self.input.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Line(Arc<Mutex<Vec<u8>>>);

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_what_the_machine_was_described_with_is_passed_on() {
        let line = Line::default();
        let mut monitor = Monitor::new(vec!["nmi".into()], Vec::new(), line.clone());
        for text in ["nmi", "monitor: quit", "monitor: nmi 7", "d0: monitor: nmi\r"] {
            monitor.hear(text);
        }
        assert_eq!(line.0.lock().unwrap().as_slice(), b"nmi\n");
    }

    #[test]
    fn a_line_has_its_command_given_once() {
        let line = Line::default();
        let reactions = [("up", "down"), ("other", "no")];
        let reactions = reactions.map(|(text, command)| (text.into(), command.into()));
        let mut monitor = Monitor::new(Vec::new(), reactions.into(), line.clone());
        for text in ["it is u", "it is up", "it is up"] {
            monitor.hear(text);
        }
        assert_eq!(line.0.lock().unwrap().as_slice(), b"down\n");
    }
}
