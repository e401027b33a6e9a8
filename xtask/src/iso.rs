//! Boot images: GRUB with the hypervisor and its modules, for BIOS and UEFI, from a disc or a USB stick.
//!
//! The menu is `grub/grub.cfg` with the entries filled in. Command lines follow the multiboot2 convention: they hold arguments
//! only, not the file's name before them.

use crate::boot_image::{self, BootImage};
use crate::cli::IsoArgs;
use crate::image;
use crate::progress::Step;
use crate::tools::{self, Tool};
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What GRUB shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Menu {
    /// Nothing: the only entry is booted at once.
    Immediate,
    /// A menu, for people.
    Shown,
}

/// The subcommand `iso`.
///
/// # Errors
/// As for [`boot_image::prepare`] and [`make`].
pub fn iso(args: &IsoArgs) -> Result<()> {
    let work = tempfile::tempdir_in(workspace::scratch()?).context("cannot create a temporary directory")?;
    let image = boot_image::prepare(&args.content, work.path())?;
    make(&image, Menu::Shown, &args.out)?;
    let size = fs::metadata(&args.out)?.len();
    println!(
        "{}: {:.1} MB, boots by BIOS and UEFI",
        args.out.display(),
        size as f64 / 1e6
    );
    Ok(())
}

/// Writes the boot image `out`.
///
/// # Errors
/// A missing tool, or arguments that GRUB's language cannot carry.
pub fn make(image: &BootImage, menu: Menu, out: &Path) -> Result<()> {
    tools::require(&[
        Tool::GrubBios,
        Tool::GrubEfi,
        Tool::Xorriso,
        Tool::Mtools,
        Tool::Objcopy,
    ])?;
    let _step = Step::start("Making the boot image");
    let tree = tempfile::tempdir().context("cannot create a temporary directory")?;
    let root = tree.path().join("root");
    let boot = root.join("boot");
    fs::create_dir_all(boot.join("grub"))?;
    image::stripped(&image.hypervisor, &boot)?;
    for module in &image.modules {
        fs::copy(&module.file, boot.join(&module.name))
            .with_context(|| format!("cannot copy {}", module.file.display()))?;
    }
    let template = workspace::root().join("grub/grub.cfg");
    let template =
        fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    fs::write(boot.join("grub/grub.cfg"), config(&template, image, menu)?)?;
    // A failed run leaves no half image behind.
    let finished = tree.path().join("boot.iso");
    let output = Command::new(tools::grub_mkrescue().context("no grub-mkrescue")?)
        .arg("-o")
        .args([&finished, &root])
        .output()
        .context("cannot run grub-mkrescue")?;
    if !output.status.success() {
        bail!(
            "grub-mkrescue failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    fs::copy(&finished, out).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(())
}

/// The configuration file for `image`.
fn config(template: &str, image: &BootImage, menu: Menu) -> Result<String> {
    let (timeout, style) = match menu {
        Menu::Immediate => ("0", "hidden"),
        Menu::Shown => ("5", "menu"),
    };
    let mut entries = entry("Hypervisor and Domain0", image, "")?;
    if menu == Menu::Shown {
        entries += &entry(
            "Hypervisor and Domain0, console on the screen",
            image,
            "console=vga",
        )?;
    }
    Ok(template
        .replace("@TIMEOUT@", timeout)
        .replace("@STYLE@", style)
        .replace("@ENTRIES@", entries.trim_end()))
}

/// A BIOS has a text mode. `multiboot2` asks for graphics wherever the image can do with them, so this comes after it.
const TEXT_MODE: &str = "    if [ \"$grub_platform\" = pc ]; then set gfxpayload=text; fi\n";

fn entry(title: &str, image: &BootImage, extra: &str) -> Result<String> {
    let mut text = format!("menuentry '{title}' {{\n    multiboot2 /boot/xenlite");
    text += &quoted(&image.append)?;
    text += &quoted(extra)?;
    text.push('\n');
    for module in &image.modules {
        writeln!(text, "    module2 /boot/{}{}", module.name, quoted(&module.args)?)?;
    }
    Ok(text + TEXT_MODE + "}\n")
}

/// Arguments as words that GRUB's language takes literally, a blank before each.
fn quoted(args: &str) -> Result<String> {
    ensure!(
        !args.contains(['\'', '\n']),
        "GRUB cannot carry the arguments {args:?}"
    );
    Ok(args.split_whitespace().map(|word| format!(" '{word}'")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot_image::Module;

    fn image() -> BootImage {
        let module = |name: &str, args: &str| Module {
            name: name.into(),
            file: name.into(),
            args: args.into(),
        };
        BootImage {
            hypervisor: "h".into(),
            append: "loglvl=all dom0_mem=64M".into(),
            modules: vec![module("dom0", "a=$b"), module("initrd", "")],
        }
    }

    #[test]
    fn the_menu_names_every_module_in_order() {
        let text = config("t=@TIMEOUT@\n@ENTRIES@\n", &image(), Menu::Immediate).unwrap();
        let expected = "t=0\nmenuentry 'Hypervisor and Domain0' {\n    multiboot2 /boot/xenlite 'loglvl=all' 'dom0_mem=64M'\n    \
                        module2 /boot/dom0 'a=$b'\n    module2 /boot/initrd\n";
        assert_eq!(text, format!("{expected}{TEXT_MODE}}}\n"));
        let shown = config("@TIMEOUT@@ENTRIES@", &image(), Menu::Shown).unwrap();
        assert!(shown.starts_with('5') && shown.contains("'console=vga'"));
    }

    #[test]
    fn arguments_that_would_end_the_quotes_are_refused() {
        let image = BootImage {
            append: "a'; reboot".into(),
            ..image()
        };
        assert!(config("", &image, Menu::Immediate).is_err());
    }
}
