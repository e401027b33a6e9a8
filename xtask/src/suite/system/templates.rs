//! The templates of guest kernels: copied elsewhere and built there, as `docs/write-a-guest.md` tells, they say hello.

use crate::boot_image::BootImage;
use crate::check;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::suite::{Outcome, fixture};
use crate::tools::Tool;
use crate::{build, workspace};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Copies the files of a template, without what a build left there.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if name == "target" || name == "Cargo.lock" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Boots a kernel as Domain0: it prints `line` and powers the machine off.
fn says(test: &str, kernel: &Path, line: &str) -> Outcome {
    let image = BootImage {
        hypervisor: fixture::hypervisor()?,
        append: "audit-on-shutdown".into(),
        modules: vec![fixture::module("dom0", kernel, "")],
    };
    let record = fixture::boot(
        test,
        &Machine::default(),
        &image,
        Keyboard::idle(),
        fixture::LIMIT,
    )?;
    let seen = fixture::tail(&record.text);
    check!(
        record.ending.status() == crate::status::OK,
        "{}\n{seen}",
        record.ending
    );
    check!(record.text.contains(line), "no {line:?} in\n{seen}");
    Ok(())
}

/// The template in Rust, which the launcher builds.
pub fn rust() -> Outcome {
    let dir = tempfile::tempdir()?;
    let home = dir.path().join("my-guest");
    copy(&workspace::root().join("templates/hello"), &home)?;
    let manifest = home.join("Cargo.toml");
    let abi = format!("path = \"{}\"", workspace::root().join("guest-abi").display());
    let text = fs::read_to_string(&manifest)?;
    check!(text.contains("path = \"../../guest-abi\""), "{text}");
    fs::write(&manifest, text.replace("path = \"../../guest-abi\"", &abi))?;
    let kernel = build::foreign_guest(&home)?;
    says("system::template_in_rust", &kernel, "hello from a guest in Rust")
}

/// The template in C, with the header that is generated from guest-abi.
pub fn c() -> Outcome {
    fixture::need(&[Tool::Gcc32])?;
    let dir = tempfile::tempdir()?;
    let home = dir.path().join("my-guest");
    copy(&workspace::root().join("templates/hello-c"), &home)?;
    let output = Command::new("make")
        .arg(format!("XENLITE={}", workspace::root().display()))
        .arg("CFLAGS_EXTRA=-Werror")
        .current_dir(&home)
        .output()?;
    check!(
        output.status.success(),
        "make: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    says(
        "system::template_in_c",
        &home.join("hello"),
        "hello from a guest in C",
    )
}
