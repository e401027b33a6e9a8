//! Initial file systems: cpio archives in the "newc" form that Linux's initramfs uses.
//!
//! A directory is packed as a whole, in sorted order, with modes and symbolic links, and belongs to user 0 inside. Names are
//! relative to the directory ("bin/ls"); the directory itself is the archive's first entry, ".".

use crate::build;
use anyhow::{Context, Result, bail};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The archive that stands for the user's `--initrd`: a file as it is, a directory packed to `out`.
///
/// # Errors
/// When it is neither, or cannot be read.
pub fn from_user(path: &Path, out: &Path) -> Result<PathBuf> {
    let kind = fs::metadata(path).with_context(|| format!("initrd {}", path.display()))?;
    if kind.is_file() {
        return Ok(path.to_path_buf());
    }
    if !kind.is_dir() {
        bail!("initrd {} is neither a file nor a directory", path.display());
    }
    fs::write(out, pack(path)?).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(out.to_path_buf())
}

/// The default archive: what [`populate`] makes, packed to `out`.
///
/// # Errors
/// When a program cannot be built or a file not be read.
pub fn of_programs(out: &Path) -> Result<PathBuf> {
    let tree = tempfile::tempdir().context("cannot create a temporary directory")?;
    populate(tree.path())?;
    from_user(tree.path(), out)
}

/// Programs of a domain's initial file system: what does not need Domain0's devices, and is not a test of the kernel.
const DOMAIN_PROGRAMS: [&str; 29] = [
    "cat", "cp", "date", "echo", "false", "fetch", "free", "hexdump", "httpd", "ifconfig", "init", "kill",
    "ls", "mkdir", "mount", "mv", "ping", "poweroff", "ps", "reboot", "rm", "sh", "sleep", "spin", "sync",
    "true", "umount", "uname", "uptime",
];

/// The default archive for other domains: a shell with small programs, packed to `out`.
///
/// # Errors
/// When a program cannot be built or a file not be read.
pub fn of_domain(out: &Path) -> Result<PathBuf> {
    let tree = tempfile::tempdir().context("cannot create a temporary directory")?;
    populate_domain(tree.path())?;
    from_user(tree.path(), out)
}

/// Fills the empty directory `root` with the default tree for other domains.
///
/// # Errors
/// When a program cannot be built or a file not be copied.
pub fn populate_domain(root: &Path) -> Result<()> {
    make_directories(root)?;
    for (name, file) in build::PROGRAMS.build()? {
        if DOMAIN_PROGRAMS.contains(&name.as_str()) {
            add_program(root, &name, &file)?;
        }
    }
    copy_tree(&crate::workspace::root().join("programs/domain-root"), root)
}

/// Fills the empty directory `root` with the default tree: our programs in `bin`, and the files of `programs/root`.
///
/// # Errors
/// When a program cannot be built or a file not be copied.
pub fn populate(root: &Path) -> Result<()> {
    make_directories(root)?;
    if build::PROGRAMS.exists() {
        for (name, file) in build::PROGRAMS.build()? {
            add_program(root, &name, &file)?;
        }
        copy_tree(&crate::workspace::root().join("programs/root"), root)?;
    }
    Ok(())
}

fn make_directories(root: &Path) -> Result<()> {
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    for dir in ["bin", "dev", "etc", "proc", "run", "tmp"] {
        fs::create_dir(root.join(dir))
            .with_context(|| format!("cannot create {dir} in {}", root.display()))?;
    }
    Ok(())
}

fn add_program(root: &Path, name: &str, file: &Path) -> Result<()> {
    let to = root.join("bin").join(name);
    fs::copy(file, &to).with_context(|| format!("cannot copy {}", file.display()))?;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Copies a tree's files, directories and links over another.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        let done = if kind.is_dir() {
            fs::create_dir_all(&copy)?;
            copy_tree(&source, &copy)?;
            Ok(())
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &copy)
        } else {
            fs::copy(&source, &copy).map(|_| ())
        };
        done.with_context(|| format!("cannot copy {}", source.display()))?;
    }
    Ok(())
}

/// Packs the directory `root`.
///
/// # Errors
/// When something in it cannot be read or has no place in an archive (a socket, a file of 4 GB).
pub fn pack(root: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive {
        bytes: Vec::new(),
        inode: 0,
    };
    archive.add(root, b".")?;
    archive.directory(root, b"")?;
    archive.entry(
        b"TRAILER!!!",
        &Header {
            mode: 0,
            modified: 0,
            device: (0, 0),
        },
        &[],
    )?;
    Ok(archive.bytes)
}

struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

/// What an entry says beside its name and data.
struct Header {
    mode: u32,
    modified: u32,
    device: (u32, u32),
}

impl Archive {
    fn directory(&mut self, dir: &Path, prefix: &[u8]) -> Result<()> {
        let unreadable = || format!("cannot read {}", dir.display());
        let entries: std::io::Result<Vec<_>> = fs::read_dir(dir).with_context(unreadable)?.collect();
        let mut entries = entries.with_context(unreadable)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = [prefix, entry.file_name().as_bytes()].concat();
            self.add(&path, &name)?;
            if entry.file_type()?.is_dir() {
                self.directory(&path, &[&name[..], b"/"].concat())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, name: &[u8]) -> Result<()> {
        let unreadable = || format!("cannot read {}", path.display());
        let meta = fs::symlink_metadata(path).with_context(unreadable)?;
        let kind = meta.file_type();
        let data = if kind.is_symlink() {
            fs::read_link(path)
                .with_context(unreadable)?
                .into_os_string()
                .into_encoded_bytes()
        } else if kind.is_file() {
            fs::read(path).with_context(unreadable)?
        } else if kind.is_socket() {
            bail!("{} is a socket, which an initrd cannot hold", path.display());
        } else {
            Vec::new()
        };
        self.entry(name, &Header::of(&meta), &data)
            .with_context(|| format!("cannot pack {}", path.display()))
    }

    fn entry(&mut self, name: &[u8], header: &Header, data: &[u8]) -> Result<()> {
        let size = u32::try_from(data.len()).context("a file in an initrd is smaller than 4 GB")?;
        self.inode += 1;
        let links = if header.mode & 0o170_000 == 0o040_000 {
            2
        } else {
            1
        };
        let (major, minor) = header.device;
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [
            self.inode,
            header.mode,
            0,
            0,
            links,
            header.modified,
            size,
            0,
            0,
            major,
            minor,
        ];
        self.bytes.extend(b"070701");
        for field in fields.into_iter().chain([u32::try_from(name.len() + 1)?, 0]) {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name);
        self.bytes.push(0);
        self.align();
        self.bytes.extend(data);
        self.align();
        Ok(())
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

impl Header {
    fn of(meta: &Metadata) -> Self {
        let kind = meta.file_type();
        let is_device = kind.is_block_device() || kind.is_char_device();
        let device = if is_device {
            (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()))
        } else {
            (0, 0)
        };
        Self {
            mode: meta.mode(),
            modified: u32::try_from(meta.mtime()).unwrap_or(0),
            device,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and data of each entry, read by the format's definition rather than by our writer.
    fn unpack(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            assert_eq!(&archive[..6], b"070701");
            let field = |n: usize| {
                let text = std::str::from_utf8(&archive[6 + 8 * n..14 + 8 * n]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(archive[110..110 + name_size - 1].to_vec()).unwrap();
            assert_eq!(archive[110 + name_size - 1], 0);
            let data = (110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(data, archive.len());
                return entries;
            }
            entries.push((name, mode, archive[data..data + size].to_vec()));
            archive = &archive[(data + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn a_tree_is_packed_with_modes_and_links_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("bin")).unwrap();
        fs::set_permissions(root.join("bin"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(root.join("bin/tool"), b"12345").unwrap();
        fs::set_permissions(root.join("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("tool", root.join("bin/alias")).unwrap();
        fs::write(root.join("empty"), b"").unwrap();
        fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o600)).unwrap();

        let entries = unpack(&pack(root).unwrap());
        let names: Vec<_> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, [".", "bin", "bin/alias", "bin/tool", "empty"]);
        assert_eq!(entries[1].1, 0o040_750);
        assert_eq!(
            (entries[2].1 & 0o170_000, entries[2].2.as_slice()),
            (0o120_000, &b"tool"[..])
        );
        assert_eq!(
            (entries[3].1, entries[3].2.as_slice()),
            (0o104_755, &b"12345"[..])
        );
        assert_eq!((entries[4].1, entries[4].2.len()), (0o100_600, 0));
    }

    #[test]
    fn a_socket_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(pack(dir.path()).unwrap_err().to_string().contains("socket"));
    }

    #[test]
    fn a_file_is_passed_on_and_nothing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.cpio");
        fs::write(&file, b"x").unwrap();
        assert_eq!(from_user(&file, &dir.path().join("out")).unwrap(), file);
        assert!(from_user(&dir.path().join("nothing"), &dir.path().join("out")).is_err());
    }
}
