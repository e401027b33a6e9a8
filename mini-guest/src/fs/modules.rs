//! `/boot`: the loader's modules that are meant for other domains, as files that are read where they lie.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::data::FileData;
use super::inode::{Body, File};
use super::tree::Fs;
use crate::linux::Errno;
use crate::linux::file::mode;

/// A module: its command line and its bytes.
pub type BootModule = (&'static [u8], &'static [u8]);

impl Fs {
    /// Adds `/boot/NAME` for each module, NAME being what the first word of its command line has after its last slash, and
    /// `/boot/NAME.args` with the other words where there are any. The second module of a name is `NAME.2`, and one
    /// without a name is `moduleN`, the first being number 2 (after Domain0's kernel and RAM disk).
    ///
    /// # Errors
    /// ENOMEM; a RAM disk with a file at `/boot`.
    pub fn add_boot_modules(&self, modules: impl Iterator<Item = BootModule>) -> Result<(), Errno> {
        for (number, (line, bytes)) in (2..).zip(modules) {
            let (given, arguments) = split(line);
            let given = match given {
                b"" | b"." | b".." => format!("module{number}").into_bytes(),
                given => given.to_vec(),
            };
            let name = self.add_module(&given, bytes)?;
            if !arguments.is_empty() {
                let line: &'static [u8] = Box::leak([arguments, b"\n"].concat().into_boxed_slice());
                self.add_module(&[&name, &b".args"[..]].concat(), line)?;
            }
        }
        Ok(())
    }

    /// Adds a file of this name, or the first free one with a number, and says which.
    fn add_module(&self, name: &[u8], bytes: &'static [u8]) -> Result<Vec<u8>, Errno> {
        let mut unique = name.to_vec();
        for number in 2_u32.. {
            let place = self.place_for(&[b"boot/", &unique[..]].concat())?;
            let file = File {
                data: RefCell::new(FileData::Borrowed(bytes)),
                ..File::default()
            };
            match self.create(&place, mode::REGULAR | 0o444, Body::File(file)) {
                Ok(_) => break,
                Err(Errno::EEXIST) => {
                    unique = [name, format!(".{number}").as_bytes()].concat();
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(unique)
    }
}

/// The name in a command line, and what comes after it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii();
    let end = line
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len());
    let (path, arguments) = line.split_at(end);
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    (name, arguments.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::proc::NoProcesses;
    use crate::fs::tree::Follow;

    fn text(fs: &Fs, path: &str) -> Result<String, Errno> {
        let node = fs.resolve(&fs.root(), path.as_bytes(), Follow::Yes, &NoProcesses)?;
        let crate::fs::Node::Inode(inode) = node else {
            return Err(Errno::EINVAL);
        };
        let Body::File(file) = &inode.body else {
            return Err(Errno::EISDIR);
        };
        let mut bytes = vec![0; inode.size() as usize];
        file.data.borrow().read_at(0, &mut bytes);
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn modules_are_named_by_their_command_lines() {
        let fs = Fs::default();
        let modules: [BootModule; 6] = [
            (b"/some/where/kernel quiet  init=/x ", b"k"),
            (b"kernel", b"l"),
            (b"", b"m"),
            (b"a/..", b"n"),
            (b"  disk.cpio", b""),
            (b"kernel.2", b"o"),
        ];
        fs.add_boot_modules(modules.into_iter()).unwrap();
        for (path, content) in [
            ("/boot/kernel", "k"),
            ("/boot/kernel.args", "quiet  init=/x\n"),
            ("/boot/kernel.2", "l"),
            ("/boot/module4", "m"),
            ("/boot/module5", "n"),
            ("/boot/disk.cpio", ""),
            ("/boot/kernel.2.2", "o"),
        ] {
            assert_eq!(text(&fs, path).as_deref(), Ok(content), "{path}");
        }
        assert_eq!(text(&fs, "/boot/kernel.2.args"), Err(Errno::ENOENT));
    }

    #[test]
    fn without_modules_there_is_no_directory() {
        let fs = Fs::default();
        fs.add_boot_modules(std::iter::empty()).unwrap();
        assert_eq!(text(&fs, "/boot"), Err(Errno::ENOENT));
    }
}
