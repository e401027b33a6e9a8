//! Links each test guest as the mini-guest's library wants it.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=DEP_MINI_GUEST_LINKER_SCRIPT");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let script =
            env::var("DEP_MINI_GUEST_LINKER_SCRIPT").expect("the mini-guest says where its linker script is");
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rustc-link-arg-bins=--gc-sections");
    }
}
