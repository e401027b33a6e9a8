//! The emulator tests as cargo runs them.
fn main() {}
