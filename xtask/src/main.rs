//! The host launcher.
fn main() {}
