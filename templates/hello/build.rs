//! Links the guest as `guest.ld` says.

fn main() {
    let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=guest.ld");
    println!("cargo::rustc-link-arg-bins=-T{dir}/guest.ld");
}
