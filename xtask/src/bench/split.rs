//! What requests of a disk cost: Domain0 by its driver, then another domain by the split driver with the same disk.

use super::Numbers;
use super::scene::{self, BATCHES, DEPTHS, DONE, Scene};
use crate::quiet::disk::QuietDisk;
use crate::suite::fixture;
use crate::workspace;
use anyhow::{Result, ensure};

/// What is done, as `diskcost` calls it.
pub const KINDS: [&str; 2] = ["read", "write"];
/// Bytes of requests.
pub const SIZES: [u32; 2] = [4096, 65_536];

/// The loads as `diskcost` takes them.
fn loads() -> Vec<String> {
    let mut loads = Vec::new();
    for kind in KINDS {
        for size in SIZES {
            loads.extend(DEPTHS.map(|depth| format!("{kind}:{size}:{depth}")));
        }
    }
    loads
}

/// Builds what is booted: Domain0 does all loads, then the other domain.
///
/// # Errors
/// A failed build.
pub fn prepare() -> Result<Scene> {
    let loads = loads().join(" ");
    Scene::prepare(
        "autostart=no",
        &format!(
            "xl autostart\ndiskcost -n {BATCHES} /dev/vda {loads}\n\
             create load --kernel mini-guest --initrd load.cpio --memory 24M --show --disk vda\n"
        ),
        &[(
            "load",
            &format!("diskcost -n {BATCHES} /dev/xvda {loads}\necho {DONE}\n"),
        )],
    )
}

/// Measures once.
///
/// # Errors
/// A machine that ends otherwise than it should; numbers that are missing.
pub fn measure(scene: &Scene) -> Result<Numbers> {
    let work = tempfile::tempdir_in(workspace::scratch()?)?;
    let disk = QuietDisk::start(work.path(), Vec::new())?;
    let (text, parts) = scene.run(work.path(), QuietDisk::arguments(work.path(), &[]))?;
    disk.end()?;
    let [native, split] = [None, Some("load")].map(|domain| scene::said(&text, "diskcost", domain));
    let (native, split) = (native?, split?);
    let each = loads().len();
    // Each domain asks for the version at its boot, too.
    let count = scene::parts_of(each);
    ensure!(
        (native.len(), split.len(), parts.len()) == (each, each, 2 * count + 3),
        "{} and {} numbers, and {} parts in\n{}",
        native.len(),
        split.len(),
        parts.len(),
        fixture::tail(&text)
    );
    let mut numbers = Numbers::new();
    scene::add(&mut numbers, "native", native, &parts[1..]);
    scene::add(&mut numbers, "split", split, &parts[parts.len() - count..]);
    Ok(numbers)
}
