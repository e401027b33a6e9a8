//! System tests.
use super::Test;
use std::path::Path;
/// The tests.
pub fn tests(_launcher: &Path) -> Vec<Test> {
    Vec::new()
}
