//! Links the guest with mini-guest's linker script.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none")
        && let Some(script) = std::env::var_os("DEP_MINI_GUEST_LINKER_SCRIPT")
    {
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        println!("cargo::rustc-link-arg-bins=--gc-sections");
    }
}
