//! The command line: subcommands, options, and their checks that need no look at the file system.

use crate::net::Net;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Builds, boots, tests and measures xenlite. Without a subcommand: `run`.
#[derive(Debug, Parser)]
#[command(
    name = "xenlite",
    bin_name = "cargo run --",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the default subcommand.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build all and boot it, with the serial console on this terminal (Ctrl-] leaves)
    Run(RunArgs),
    /// Write a hybrid BIOS/UEFI boot image, for a USB stick or an optical disc
    Iso(IsoArgs),
    /// Run the emulator tests (`cargo test` runs them and the host tests)
    Test(TestArgs),
    /// Measure what operations cost, and print the cost table
    Bench(BenchArgs),
    /// Print how big the hypervisor and the mini-guest are
    Size,
    /// Format, lints, documentation, models, cost table and tests: all that is asked of a change
    Check(CheckArgs),
    /// Add function, file and line to the addresses of a log read from standard input
    Symbolize(SymbolizeArgs),
    /// Install what is missing on this machine
    Setup,
}

/// What is booted.
#[derive(Debug, Clone, Default, Args)]
pub struct Content {
    /// Initial file system of Domain0: a directory (packed as it is) or an archive (passed as it is) [default: our programs]
    #[arg(long, value_name = "FILE|DIR")]
    pub initrd: Option<PathBuf>,
    /// Another kernel as Domain0 (an ELF file, or the directory of a Rust package to build), with its arguments; `,ARGS` gives arguments to the default one, `-` boots without
    #[arg(long, value_name = "FILE[,ARGS]")]
    pub dom0: Option<String>,
    /// A further boot module, for Domain0 to build domains from: a file, or the directory of a Rust package to build (repeatable)
    #[arg(long, value_name = "FILE[,ARGS]")]
    pub module: Vec<String>,
    /// Arguments of the hypervisor
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub append: String,
    /// Another hypervisor, an ELF file, instead of the one that this tree builds
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub hypervisor: Option<PathBuf>,
}

/// Options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What is booted.
    #[command(flatten)]
    pub content: Content,
    /// Memory of the machine (suffix M or G; a plain number is megabytes)
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_mem)]
    pub mem: u64,
    /// Processors of the machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub smp: u32,
    /// A disk of the machine: virtio's, or one at an AHCI controller (repeatable)
    #[arg(long, value_name = "FILE[,bus=virtio|ahci]", value_parser = parse_disk)]
    pub disk: Vec<Disk>,
    /// A network card on a network of QEMU's own, where the host is 10.0.2.2. A FORWARD is a port of the host that leads into it: tcp:8080:80 (to 10.0.2.15, the first address
    /// of DHCP), udp:53:10.0.2.20:53. pcap=FILE writes all frames (repeatable: the second card's network is 10.0.3.0/24)
    #[arg(long, value_name = "FORWARD,…,card=virtio|e1000|e1000e,pcap=FILE", num_args = 0..=1, default_missing_value = "", value_parser = parse_net)]
    pub net: Vec<Net>,
    /// A second serial port (0x2F8, line 3), whose output goes to this file (QEMU)
    #[arg(long, value_name = "FILE")]
    pub serial: Option<PathBuf>,
    /// How the machine boots [default: direct under QEMU, bios under Bochs]
    #[arg(long, value_enum)]
    pub boot: Option<Boot>,
    /// Chipset of the machine [default: q35 under QEMU]
    #[arg(long, value_enum)]
    pub machine: Option<Chipset>,
    /// The emulator (Bochs checks segment limits, QEMU does not)
    #[arg(long, value_enum, default_value_t = Emulator::Qemu)]
    pub emulator: Emulator,
    /// Let the time-stamp counter count executed instructions (QEMU)
    #[arg(long)]
    pub icount: bool,
    /// Wait for a debugger before the first instruction (QEMU)
    #[arg(long)]
    pub gdb: bool,
    /// Stop after so many seconds, with status 124
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
    /// Write what the console prints to this file too
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// What a disk is attached to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bus {
    /// A PCI device of virtio.
    #[default]
    Virtio,
    /// An AHCI controller.
    Ahci,
}

/// A disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its file.
    pub path: PathBuf,
    /// What it is attached to.
    pub bus: Bus,
}

/// A disk: a file, perhaps with `,bus=…` at its end.
fn parse_disk(text: &str) -> Result<Disk, String> {
    let (path, bus) = match text.rsplit_once(",bus=") {
        Some((path, "virtio")) => (path, Bus::Virtio),
        Some((path, "ahci")) => (path, Bus::Ahci),
        Some((_, other)) => return Err(format!("no bus `{other}`: there are virtio and ahci")),
        None => (text, Bus::default()),
    };
    Ok(Disk {
        path: path.into(),
        bus,
    })
}

/// A network card.
fn parse_net(text: &str) -> Result<Net, String> {
    text.parse()
}

/// Options of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Only these [default: all]
    #[arg(value_enum, value_name = "WHAT")]
    pub only: Vec<Check>,
}

/// What `check` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// rustfmt
    Format,
    /// clippy on the host's and the bare-metal crates
    Lints,
    /// rustdoc, links included
    Docs,
    /// The lock-free code in all interleavings of threads (loom)
    Models,
    /// The cost table in the README
    Costs,
    /// `cargo test`
    Tests,
}

/// Options of `iso`.
#[derive(Debug, Clone, Args)]
pub struct IsoArgs {
    /// The image to write
    pub out: PathBuf,
    /// What is booted.
    #[command(flatten)]
    pub content: Content,
}

/// Options of `test`.
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// Only tests whose names contain this
    pub name: Option<String>,
    /// Test the tests: run each attack on a hypervisor that lacks the check it attacks
    #[arg(long)]
    pub mutants: bool,
    /// Only say what would run
    #[arg(long)]
    pub list: bool,
}

/// What has costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Costs {
    /// Hypercalls and the like
    Operations,
    /// Requests of a disk
    Disk,
    /// Packets
    Net,
}

/// Options of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure [default: all]
    pub what: Option<Costs>,
    /// Write the table into README.md
    #[arg(long)]
    pub write: bool,
}

/// Options of `symbolize`.
#[derive(Debug, Clone, Args)]
pub struct SymbolizeArgs {
    /// ELF files with the symbols [default: the hypervisor and the mini-guest as last built]
    pub elf: Vec<PathBuf>,
}

/// How a machine boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Boot {
    /// QEMU loads the hypervisor and its modules itself (multiboot1)
    Direct,
    /// GRUB on BIOS, from an ISO image (multiboot2)
    Bios,
    /// GRUB on UEFI (OVMF), from an ISO image (multiboot2)
    Uefi,
}

/// QEMU's machine type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Chipset {
    /// Intel Q35 and ICH9, PCI Express
    Q35,
    /// Intel 440FX and PIIX, PCI
    Pc,
}

/// What runs the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emulator {
    /// QEMU's TCG
    Qemu,
    /// Bochs
    Bochs,
}

/// Parses a memory size into megabytes.
fn parse_mem(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 1024),
        _ => (text, 1),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a size such as 512M or 4G".to_string())?;
    match number.checked_mul(unit) {
        Some(mib @ 8..=1_048_576) => Ok(mib),
        _ => Err("a machine has between 8M and 1024G".to_string()),
    }
}

/// Parses a time limit.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_string())?;
    if !(seconds > 0.0 && seconds <= 1e6) {
        return Err("a time limit lies between 0 and 1000000 seconds".to_string());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Card;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_needs_no_name() {
        let cli =
            Cli::try_parse_from(["x", "--initrd", "DIR", "--mem", "1G", "--append", "loglvl=all"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.run.content.initrd.as_deref(), Some("DIR".as_ref()));
        assert_eq!(cli.run.mem, 1024);
        assert_eq!(cli.run.content.append, "loglvl=all");
    }

    #[test]
    fn a_card_is_an_option_with_or_without_words() {
        let cli = Cli::try_parse_from(["x", "--net", "--net", "card=e1000", "--smp", "2"]).unwrap();
        let cards: Vec<_> = cli.run.net.iter().map(|net| net.card).collect();
        assert_eq!(cards, [Card::Virtio, Card::E1000]);
    }

    #[test]
    fn nonsense_is_refused_with_status_2() {
        for args in [
            &["x", "--no-such-option"][..],
            &["x", "frobnicate"],
            &["x", "--mem", "lots"],
            &["x", "--mem", "1M"],
            &["x", "--mem", "99999999999999999999G"],
            &["x", "--smp", "0"],
            &["x", "--timeout", "-1"],
            &["x", "--timeout", "nan"],
            &["x", "--boot", "floppy"],
            &["x", "--net", "8080"],
            &["x", "iso"],
        ] {
            let error = Cli::try_parse_from(args).expect_err("refused");
            assert_eq!(error.exit_code(), 2, "{args:?}");
        }
    }
}
