//! Writes `guest-abi/include/xenlite.h`, or another file: `cargo run -p c-header [-- FILE]`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let path = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| c_header::COMMITTED.into());
    match std::fs::write(&path, c_header::header()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
