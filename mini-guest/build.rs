//! Hands the guest linker script to this package's binary and to the packages that build test guests with the
//! library.

use std::env;
use std::path::PathBuf;

fn main() {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let script = manifest_dir.join("guest.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::metadata=LINKER_SCRIPT={}", script.display());
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        println!("cargo::rustc-link-arg-bins=--gc-sections");
    }
}
