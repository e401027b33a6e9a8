//! Finding programs in `PATH`, and file names for wildcards.

use alloc::vec::Vec;

use programs::abi::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFDIR, S_IFMT};
use programs::{dir, sys};
use shell_lang::expand::{Field, Parameters};
use shell_lang::pattern;

use crate::shell::Shell;

/// The path of the program `name`: itself when it has a slash, else the first in `PATH` that may be executed.
pub fn program(shell: &Shell, name: &[u8]) -> Option<Vec<u8>> {
    if name.contains(&b'/') {
        return Some(name.to_vec());
    }
    let path = shell.value(b"PATH").unwrap_or_default();
    let candidates = path
        .split(|&byte| byte == b':')
        .map(|directory| dir::join(directory, name));
    candidates.into_iter().find(|candidate| is_program(candidate))
}

fn is_program(path: &[u8]) -> bool {
    sys::stat(path).is_ok_and(|status| status.mode & S_IFMT != S_IFDIR && status.mode & 0o111 != 0)
}

/// The names that a field with wildcards stands for, sorted; the field itself when there are none.
pub fn names(field: &Field) -> Vec<Vec<u8>> {
    if !field.has_wildcards() {
        return [field.text.clone()].into();
    }
    let components = pattern::components(field);
    let mut paths = [Vec::new()].to_vec();
    for (index, component) in components.iter().enumerate() {
        let last = index + 1 == components.len();
        let mut longer = Vec::new();
        for path in &paths {
            match component.literal() {
                // A slash at the beginning or at the end, or two in a row.
                Some(name) if name.is_empty() => longer.push([path, &b"/"[..]].concat()),
                Some(name) => {
                    let next = dir::join(path, &name);
                    if !last || sys::statx(AT_FDCWD, &next, AT_SYMLINK_NOFOLLOW).is_ok() {
                        longer.push(next);
                    }
                }
                None => {
                    let directory: &[u8] = if path.is_empty() { b"." } else { path };
                    let mut found = dir::names(directory).unwrap_or_default();
                    found.retain(|name| component.matches(name) && name != b"." && name != b"..");
                    found.sort();
                    longer.extend(found.iter().map(|name| dir::join(path, name)));
                }
            }
        }
        paths = longer;
    }
    if paths.is_empty() {
        [field.text.clone()].into()
    } else {
        paths
    }
}
