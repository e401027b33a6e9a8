//! The programs and files of the host that the launcher needs, and where distributions keep them.

use anyhow::{Result, bail};
use std::path::PathBuf;

/// Something that has to be on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A Rust toolchain with the library's sources (found by [`crate::toolchain`]).
    RustSources,
    /// The linker `ld.lld` or rustup's `rust-lld`.
    Lld,
    /// The linter of that toolchain (only `check` needs it).
    Clippy,
    /// `objcopy` of the GNU binutils.
    Objcopy,
    /// QEMU for x86-64.
    Qemu,
    /// GRUB's image maker with its BIOS and UEFI modules.
    GrubBios,
    /// GRUB's modules for 64-bit UEFI.
    GrubEfi,
    /// xorriso, which `grub-mkrescue` runs.
    Xorriso,
    /// mtools, which `grub-mkrescue` runs for the UEFI partition.
    Mtools,
    /// Makers and checkers of FAT volumes (only tests need them).
    Dosfstools,
    /// UEFI firmware for QEMU.
    Ovmf,
    /// The emulator Bochs with its text display.
    Bochs,
    /// Bochs's BIOS.
    BochsBios,
    /// Bochs's VGA BIOS.
    VgaBios,
    /// script(1), which gives Bochs a terminal.
    Script,
    /// A C compiler that makes static 32-bit programs (only tests need it).
    Gcc32,
    /// busybox, a static 32-bit program that is not ours (only tests need it).
    Busybox,
}

impl Tool {
    /// What to call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RustSources => "a Rust toolchain (1.95 or newer) with the library's sources",
            Self::Clippy => "clippy for the bare-metal toolchain",
            Self::Lld => "the linker ld.lld",
            Self::Objcopy => "objcopy",
            Self::Qemu => "qemu-system-x86_64",
            Self::GrubBios => "grub-mkrescue with GRUB's BIOS modules",
            Self::GrubEfi => "GRUB's UEFI modules",
            Self::Xorriso => "xorriso",
            Self::Mtools => "mtools",
            Self::Dosfstools => "mkfs.vfat and fsck.vfat",
            Self::Ovmf => "OVMF, the UEFI firmware for QEMU",
            Self::Bochs => "bochs with its text display",
            Self::BochsBios => "Bochs's BIOS",
            Self::VgaBios => "Bochs's VGA BIOS",
            Self::Script => "script(1)",
            Self::Gcc32 => "gcc -m32 -static",
            Self::Busybox => "Debian's busybox-static for i386",
        }
    }

    /// The group of `scripts/setup` that installs it.
    pub fn group(self) -> &'static str {
        match self {
            Self::RustSources | Self::Lld | Self::Objcopy => "build",
            Self::Qemu => "run",
            Self::GrubBios | Self::GrubEfi | Self::Xorriso | Self::Mtools | Self::Ovmf => "iso",
            Self::Bochs | Self::BochsBios | Self::VgaBios | Self::Script => "bochs",
            Self::Clippy => "check",
            Self::Gcc32 | Self::Busybox | Self::Dosfstools => "test",
        }
    }

    /// Packages by distribution family: Debian and Ubuntu, Fedora, Arch.
    pub fn packages(self) -> [&'static str; 3] {
        match self {
            Self::RustSources => [
                "rustc-web cargo-web rust-web-src",
                "rust cargo rust-src",
                "rust rust-src",
            ],
            Self::Clippy => ["rust-web-clippy", "clippy", "rust"],
            Self::Lld => ["lld", "lld", "lld"],
            Self::Objcopy => ["binutils", "binutils", "binutils"],
            Self::Qemu => ["qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86"],
            Self::GrubBios => [
                "grub-common grub-pc-bin",
                "grub2-tools-extra grub2-pc-modules",
                "grub",
            ],
            Self::GrubEfi => ["grub-efi-amd64-bin", "grub2-efi-x64-modules", "grub"],
            Self::Xorriso => ["xorriso", "xorriso", "libisoburn"],
            Self::Mtools => ["mtools", "mtools", "mtools"],
            Self::Dosfstools => ["dosfstools", "dosfstools", "dosfstools"],
            Self::Ovmf => ["ovmf", "edk2-ovmf", "edk2-ovmf"],
            Self::Bochs => ["bochs bochs-term", "bochs", "bochs"],
            Self::BochsBios => ["bochsbios", "bochs-bios", "bochs"],
            Self::VgaBios => ["vgabios", "bochs-bios", "bochs"],
            Self::Script => ["bsdutils", "util-linux-script", "util-linux"],
            // Only Debian packs one; it is not installed, but kept in the build directory.
            Self::Busybox => ["busybox-static:i386", "", ""],
            Self::Gcc32 => ["gcc-multilib", "gcc glibc-static.i686", "gcc lib32-glibc"],
        }
    }

    /// Whether it is there.
    pub fn is_present(self) -> bool {
        match self {
            Self::RustSources => crate::toolchain::find().is_some(),
            Self::Clippy => crate::toolchain::find().is_some_and(|toolchain| toolchain.clippy().is_some()),
            Self::Lld => crate::toolchain::find_linker().is_some(),
            Self::Objcopy => find_program(&["objcopy"]).is_some(),
            Self::Qemu => qemu().is_some(),
            Self::GrubBios => grub_mkrescue().is_some() && find_file(&grub_modules("i386-pc")).is_some(),
            Self::GrubEfi => find_file(&grub_modules("x86_64-efi")).is_some(),
            Self::Xorriso => find_program(&["xorriso"]).is_some(),
            Self::Mtools => find_program(&["mformat"]).is_some(),
            Self::Dosfstools => {
                find_program(&["mkfs.vfat"]).is_some() && find_program(&["fsck.vfat"]).is_some()
            }
            Self::Ovmf => ovmf().is_some(),
            Self::Bochs => find_program(&["bochs"]).is_some() && bochs_has_term(),
            Self::BochsBios => bochs_bios().is_some(),
            Self::VgaBios => bochs_vga_bios().is_some(),
            Self::Script => find_program(&["script"]).is_some(),
            Self::Busybox => busybox().is_file(),
            Self::Gcc32 => crate::setup::gcc_makes_static_32_bit_programs(),
        }
    }
}

/// A program's path, searched in PATH and in the system's own directories (a user's PATH may lack `/usr/sbin`).
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/sbin", "/bin"].map(PathBuf::from);
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).chain(system).collect();
    names
        .iter()
        .find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file()))
}

/// The first of `paths` that is there.
fn find_file<T: AsRef<str>>(paths: &[T]) -> Option<PathBuf> {
    paths
        .iter()
        .map(|path| PathBuf::from(path.as_ref()))
        .find(|path| path.exists())
}

fn grub_modules(platform: &str) -> [String; 3] {
    ["/usr/lib/grub", "/usr/lib/grub2", "/usr/share/grub2"]
        .map(|dir| format!("{dir}/{platform}/multiboot2.mod"))
}

/// QEMU's path.
pub fn qemu() -> Option<PathBuf> {
    find_program(&["qemu-system-x86_64"])
}

/// The path of GRUB's image maker.
pub fn grub_mkrescue() -> Option<PathBuf> {
    find_program(&["grub-mkrescue", "grub2-mkrescue"])
}

/// OVMF's code and its variable store, which belong together.
pub fn ovmf() -> Option<(PathBuf, PathBuf)> {
    const PAIRS: [(&str, &str); 6] = [
        (
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/OVMF/OVMF_VARS_4M.fd",
        ),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        (
            "/usr/share/edk2/ovmf/OVMF_CODE.fd",
            "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        ),
        (
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
            "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
        ),
        (
            "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
            "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd",
        ),
        (
            "/usr/share/ovmf/x64/OVMF_CODE.fd",
            "/usr/share/ovmf/x64/OVMF_VARS.fd",
        ),
    ];
    PAIRS
        .iter()
        .map(|(code, vars)| (PathBuf::from(code), PathBuf::from(vars)))
        .find(|(code, vars)| code.is_file() && vars.is_file())
}

/// Bochs's BIOS image.
pub fn bochs_bios() -> Option<PathBuf> {
    find_file(&[
        "/usr/share/bochs/BIOS-bochs-latest",
        "/usr/local/share/bochs/BIOS-bochs-latest",
    ])
}

/// Bochs's VGA BIOS image.
pub fn bochs_vga_bios() -> Option<PathBuf> {
    find_file(&[
        "/usr/share/bochs/VGABIOS-lgpl-latest",
        "/usr/share/vgabios/vgabios.bin",
        "/usr/share/bochs/VGABIOS-lgpl-latest.bin",
        "/usr/local/share/bochs/VGABIOS-lgpl-latest",
    ])
}

/// Where `scripts/setup` keeps busybox.
pub fn busybox() -> PathBuf {
    crate::workspace::target().join("downloads/busybox-i386")
}

/// Whether Bochs's display in a text terminal is installed; Debian packs it on its own, as a plugin.
fn bochs_has_term() -> bool {
    let plugins = find_file(&[
        "/usr/lib/bochs/plugins",
        "/usr/lib/x86_64-linux-gnu/bochs/plugins",
    ]);
    // Without a plugin directory the displays are built in.
    plugins.is_none_or(|dir| dir.join("libbx_term_gui.so").exists() || dir.join("libbx_term.so").exists())
}

/// Makes sure that all of `tools` are there, installing what is missing where that is possible.
///
/// # Errors
/// Names what is missing, with the one line that installs it.
pub fn require(tools: &[Tool]) -> Result<()> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    crate::setup::install(&missing)?;
    let still = self::missing(tools);
    if !still.is_empty() {
        bail!("still missing after the installation: {}", names(&still));
    }
    Ok(())
}

/// Those of `tools` that are not there.
pub fn missing(tools: &[Tool]) -> Vec<Tool> {
    tools.iter().copied().filter(|tool| !tool.is_present()).collect()
}

/// The tools' names in a row.
pub fn names(tools: &[Tool]) -> String {
    tools
        .iter()
        .map(|tool| tool.name())
        .collect::<Vec<_>>()
        .join(", ")
}
