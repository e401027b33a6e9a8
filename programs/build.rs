//! Links every program by `program.ld`: separate segments for what is read, executed and written.

fn main() {
    let directory = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's directory");
    println!("cargo:rerun-if-changed=program.ld");
    println!("cargo:rustc-link-arg-bins=-T{directory}/program.ld");
    // Segments start on pages of 4096 bytes; nobody debugs from the image that the guest loads.
    for argument in [
        "-zmax-page-size=4096",
        "-znorelro",
        "--gc-sections",
        "--strip-debug",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
