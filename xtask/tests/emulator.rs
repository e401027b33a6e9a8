//! The emulator tests as cargo runs them; [`xtask::suite`] has the list.

use std::path::Path;
use xtask::suite::{Selection, run};

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    std::process::exit(run(
        Path::new(env!("CARGO_BIN_EXE_xtask")),
        Selection::Tests,
        arguments,
    ));
}
